"""A few workloads on FlareDB alone and the Raft core alone: ``python -m bench quick [--seconds 5] [--rounds 3]``.

Starts `flaredb demo` in a process of its own, loads it by the generator in Python (kv_load.py), each workload in turn
for some rounds, and prints the medians. Needs no compiler and no etcd.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

from bench.demo import Demo

from bench import raft_core

WORKLOADS = (
    ("batch", "put", 256),
    ("batch", "get", 256),
    ("unary", "put", 256),
    ("unary", "get", 256),
    ("batch", "put", 1),
)
RAFT_CORE_SECONDS = 3.0
READY_SPLIT_KEY = "key-000000010000"


def measure(demo: Demo, mode: str, op: str, in_flight: int, seconds: float, warm_up: float) -> dict[str, object]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "bench.kv_load", "--pd", demo.facts["pd"], "--mode", mode, "--op", op]
    command += ["--in-flight", str(in_flight), "--seconds", str(seconds), "--warm-up", str(warm_up)]
    command += ["--pids", ",".join(map(str, demo.pids))]
    result: dict[str, object] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def print_medians(demo: Demo, rounds: int, seconds: float, warm_up: float) -> None:
    """The table of workloads; rounds are interleaved, so that a noisy minute hits all of them."""
    runs: dict[tuple[str, str, int], list[dict[str, object]]] = {workload: [] for workload in WORKLOADS}
    for _ in range(rounds):
        for workload in WORKLOADS:
            runs[workload].append(measure(demo, *workload, seconds, warm_up))
    print(f"{'work':34}{'ops/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'server CPU s/1,000':>20}{'errors':>8}")
    for (mode, op, in_flight), found in runs.items():

        def median(name: str, found: list[dict[str, object]] = found) -> float:
            return statistics.median(float(str(run[name])) for run in found)

        errors = sum(int(str(run["errors"])) for run in found)
        print(
            f"{f'{op}, {mode}, {in_flight} in flight':34}{median('ops_per_s'):>9,.0f}{median('p50_ms'):>9.2f}"
            f"{median('p99_ms'):>9.2f}{median('server_cpu_s_per_1000'):>20.3f}{errors:>8}"
        )


def main(argv: list[str] | None = None) -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--data-dir", default="", help="empty directory on the disk to measure")
    arguments = parser.parse_args(argv)
    print(
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {arguments.rounds} rounds of {arguments.seconds:g} s"
    )
    demo = Demo(READY_SPLIT_KEY, arguments.data_dir)
    try:
        print(f"flaredb demo ready, first write accepted: {demo.ready_seconds:.2f} s")
        print_medians(demo, arguments.rounds, arguments.seconds, arguments.warm_up)
    finally:
        demo.stop()
    print("\nRaft core alone:")
    raft_core.main(["--seconds", str(min(arguments.seconds, RAFT_CORE_SECONDS))])


if __name__ == "__main__":
    main()
