"""What a cold `flaredb kv get` costs: a process of its own for each, CPU seconds as the system counts them.

`python -m bench.cold_start --runs 20`. The target is 250 ms of CPU; what it may load is held by tests/cli/test_kv.py.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from flaredb.testing import Cluster

TARGET_CPU_S = 0.250
LINES = (("flaredb --version",), ("flaredb kv get", "kv", "get", "bench"), ("flaredb ctl store", "ctl", "store"))


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command, in seconds."""

    cpu_s: float
    wall_s: float


def cost_of(arguments: Sequence[str], pd_address: str) -> Cost:
    """Run one command in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    environment = os.environ | {"FLAREDB_URL": pd_address}
    subprocess.run(
        [sys.executable, "-m", "flaredb", *arguments], check=True, stdout=subprocess.DEVNULL, env=environment
    )
    wall_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s)


def measure(runs: int) -> None:
    """Print the least and the median of each command; a busy machine makes all of them dearer."""
    with Cluster(stores=3) as cluster:
        pd_address = cluster.address
        cost_of(("kv", "put", "bench", "value"), pd_address)
        print(f"{'cold start':20}{'CPU ms, least':>14}{'median':>8}{'wall ms, least':>16}{'median':>8}")
        for name, *arguments in LINES:
            costs = [cost_of(arguments or ["--version"], pd_address) for _ in range(runs)]
            cpu_ms = [cost.cpu_s * 1_000 for cost in costs]
            wall_ms = [cost.wall_s * 1_000 for cost in costs]
            print(
                f"{name:20}{min(cpu_ms):>14.0f}{statistics.median(cpu_ms):>8.0f}"
                f"{min(wall_ms):>16.0f}{statistics.median(wall_ms):>8.0f}"
            )
        print(f"target for kv get: {TARGET_CPU_S * 1_000:.0f} ms of CPU")


def main(argv: list[str] | None = None) -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    measure(parser.parse_args(argv).runs)


if __name__ == "__main__":
    main()
