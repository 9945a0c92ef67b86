"""Reads by lease against reads by ReadIndex: ``python -m bench reads [--seconds 3] [--rounds 5]``.

Two `flaredb demo`, alike but for `raftstore.read-mode`, run at the same time and are loaded in turn, so that a noisy
minute hits both. The one that waits costs little.
"""

from __future__ import annotations

import argparse
import statistics

from bench.demo import Demo
from bench.quick import measure

MODES = ("lease", "read-index")
WORKLOADS = (("batch", "get", 256), ("unary", "get", 256), ("batch", "get", 1), ("unary", "get", 1))
SPLIT_KEY = "key-000000010000"


def main(argv: list[str] | None = None) -> None:
    """Print the medians of both modes, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-up", type=float, default=1.0)
    arguments = parser.parse_args(argv)
    demos: dict[str, Demo] = {}
    runs: dict[tuple[str, str, int, str], list[dict[str, object]]] = {}
    try:
        for mode in MODES:
            demos[mode] = Demo(SPLIT_KEY, config=f'[raftstore]\nread-mode = "{mode}"\n')
            measure(demos[mode], "batch", "put", 256, arguments.seconds, arguments.warm_up)
        for _ in range(arguments.rounds):
            for workload in WORKLOADS:
                for mode in MODES:
                    found = measure(demos[mode], *workload, arguments.seconds, arguments.warm_up)
                    runs.setdefault((*workload, mode), []).append(found)
    finally:
        for demo in demos.values():
            demo.stop()
    print(f"{'work':24}{'read-mode':>12}{'ops/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU s/1,000':>13}{'errors':>8}")
    for (kind, op, in_flight, mode), results in runs.items():
        names = ("ops_per_s", "p50_ms", "p99_ms", "server_cpu_s_per_1000")
        rate, p50, p99, cpu = (statistics.median(float(str(run[name])) for run in results) for name in names)
        errors = sum(int(str(run["errors"])) for run in results)
        work = f"{op}, {kind}, {in_flight}"
        print(f"{work:24}{mode:>12}{rate:>10,.0f}{p50:>9.2f}{p99:>9.2f}{cpu:>13.3f}{errors:>8}")
