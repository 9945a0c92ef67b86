"""Where a store's time goes under load: ``python -m bench profile [--op put] [--in-flight 256] [--protocol batch]``.

py-spy (in the extra [bench]; needs root or ptrace rights) looks at one store's process many times a second while the
compiled generator loads three stores. Seen is what holds the interpreter's lock. Told are shares: by function with what
it calls, and by function alone. Calls into compiled code (RocksDB, gRPC, sockets) count to the Python function that
makes them, and so does the time for which such a thread is given no core.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path

from bench.compare import KEYS, make_generator
from bench.demo import pause
from bench.flare_cluster import FlareCluster
from bench.generator import Work, flare_target

RATE_HZ = 400


def py_spy() -> str:
    """Its path. Errors: SystemExit with the cure."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise SystemExit("py-spy is missing: pip install py-spy (in the extra [bench])")
    return found


def record(pid: int, seconds: float, path: Path) -> subprocess.Popen[bytes]:
    """Begin to look at a process; what was seen goes to ``path``, one stack and its count per line."""
    words = [py_spy(), "record", "--pid", str(pid), "--duration", str(max(round(seconds), 1)), "--rate", str(RATE_HZ)]
    return subprocess.Popen(
        [*words, "--gil", "--format", "raw", "--function", "--output", str(path)], stdout=subprocess.DEVNULL
    )


def shares(path: Path) -> tuple[Counter[str], Counter[str], int]:
    """Samples by function with what it calls, by function alone, and all."""
    inclusive: Counter[str] = Counter()
    own: Counter[str] = Counter()
    total = 0
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            inclusive[frame] += int(count)
    return inclusive, own, total


def print_shares(path: Path, lines: int) -> None:
    """The two tables."""
    inclusive, own, total = shares(path)
    print(f"{total} samples at {RATE_HZ} a second")
    for title, counts in (("with what it calls", inclusive), ("alone", own)):
        print(f"\n{title}")
        for name, count in counts.most_common(lines):
            print(f"{count / max(total, 1):7.1%}  {name}")


def main(argv: list[str] | None = None) -> None:
    """Profile one store under one workload."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", choices=("batch", "unary"), default="batch")
    parser.add_argument("--op", choices=("put", "get"), default="put")
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--lines", type=int, default=45)
    arguments = parser.parse_args(argv)
    py_spy()
    generator = make_generator()
    with tempfile.TemporaryDirectory(prefix="flaredb-bench-") as name, FlareCluster(Path(name), KEYS) as cluster:
        target = flare_target(cluster.routes(), cluster.pids, cluster.pd_address)
        generator.run(target, Work("batch", 256, keys=KEYS), 1, 0, fill=True)
        raw = Path(name) / "stacks"
        watching = record(cluster.pids[0], arguments.seconds, raw)
        pause(0.5)
        work = Work(arguments.protocol, arguments.in_flight, 100 if arguments.op == "get" else 0, KEYS)
        figures = generator.run(target, work, arguments.seconds, 0)
        watching.wait(timeout=60)
        print(f"{arguments.op}, {arguments.protocol}, {arguments.in_flight} in flight, Python {sys.version.split()[0]}")
        print(f"{figures.ops_per_s:,.0f}/s, server CPU {figures.server_cpu_s_per_1000:.4f} s per 1,000 operations")
        print_shares(raw, arguments.lines)


if __name__ == "__main__":
    main()
