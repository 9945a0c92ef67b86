"""Two versions of FlareDB on one machine, interleaved: ``python -m bench ab --before ../other/src [--rounds 5]``.

For judging one change on a machine that does other work too. "before" is another checkout's src, "after" this one's;
both run at once, are loaded in turns, and told are the medians of the rounds' ratios, after divided by before. Without
--before both are this version; --set SECTION.KEY=VALUE is a setting of the stores of "after" alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.compare import KEYS, make_generator
from bench.flare_cluster import FlareCluster, settings_of
from bench.generator import Figures, Work, flare_target

WORKS = {
    "put256": Work("batch", 256),
    "put1024": Work("batch", 1024),
    "put1": Work("batch", 1),
    "get256": Work("batch", 256, 100),
    "mixed256": Work("batch", 256, 95),
    "put64": Work("batch", 64),
    "put12": Work("batch", 12, frame=1),
    "get12": Work("batch", 12, 100, frame=1),
    "unaryput1": Work("unary", 1),
    "unaryput64": Work("unary", 64),
    "unaryput256": Work("unary", 256),
    "unaryget256": Work("unary", 256, 100),
}
FIGURES = ("ops_per_s", "p50_ms", "p99_ms", "server_cpu_s_per_1000")


def print_ratios(name: str, before: list[Figures], after: list[Figures]) -> None:
    """One line: medians of both, and the ratio."""
    cells = []
    for figure in FIGURES:
        old, new = ([float(getattr(run, figure)) for run in side] for side in (before, after))
        ratio = statistics.median(b / a for a, b in zip(old, new, strict=True))
        cells.append(f"{statistics.median(old):>10,.4g} {statistics.median(new):>10,.4g} {ratio:>6.2f}")
    errors = sum(run.errors + run.missing for run in before + after)
    print(f"{name:12}" + " |".join(cells) + (f"  ERRORS {errors}" if errors else ""), flush=True)


def main(argv: list[str] | None = None) -> None:
    """Measure both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, default=None, help="the src directory of another checkout")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help='for "after" alone')
    parser.add_argument("--works", default="put256,put1024,put1,get256,mixed256")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--warm-up", type=float, default=0.5)
    arguments = parser.parse_args(argv)
    works = arguments.works.split(",")
    generator = make_generator()
    runs: dict[str, tuple[list[Figures], list[Figures]]] = {work: ([], []) for work in works}
    with ExitStack() as open_:
        directory = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="flaredb-bench-")))
        sides = ((arguments.before and arguments.before.resolve(), {}), (None, settings_of(arguments.set)))
        clusters = [
            open_.enter_context(FlareCluster(directory / str(number), KEYS, source=source, config=config))
            for number, (source, config) in enumerate(sides)
        ]
        targets = [flare_target(cluster.routes(), cluster.pids) for cluster in clusters]
        for target in targets:
            generator.run(target, Work("batch", 256, keys=KEYS), 1, 0, fill=True)
        for number in range(arguments.rounds):
            for work in works:
                for side in (0, 1) if number % 2 == 0 else (1, 0):
                    figures = generator.run(targets[side], WORKS[work], arguments.seconds, arguments.warm_up)
                    runs[work][side].append(figures)
    print(" " * 12 + " |".join(f"{figure:^29}" for figure in ("ops/s", "p50 ms", "p99 ms", "CPU s/1,000")))
    print(" " * 12 + " |".join(f"{'before':>10} {'after':>10} {'ratio':>6}" for _ in FIGURES))
    for work, (before, after) in runs.items():
        print_ratios(work, before, after)


if __name__ == "__main__":
    main()
