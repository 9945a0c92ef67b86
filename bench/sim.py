"""How fast the simulator is: ``python -m bench sim [--runs 16] [--seconds 60] [--jobs 2]``.

Runs 3 stores and 8 regions, faults on and everything checked, from seed 1 on, one after the other in each process, and
prints simulated cluster-hours per minute of this machine: of its clock, and of processor time, which is what an
otherwise idle machine would need. All virtual time counts: forming, faults and healing.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor

from flaredb.sim.run import Report, run
from flaredb.sim.settings import drawn

SHAPE = ("stores=3", "replicas=3", "regions=8")


def measure(seed: int, seconds: int) -> tuple[Report, float]:
    """One run, and the processor seconds it took."""
    started_s = time.process_time()
    report = run(drawn(seed, seconds, SHAPE))
    return report, time.process_time() - started_s


def main(argv: list[str]) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 2))
    arguments = parser.parse_args(argv)
    started_s = time.perf_counter()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        seeds = range(1, arguments.runs + 1)
        found = list(pool.map(measure, seeds, [arguments.seconds] * arguments.runs))
    wall_s = time.perf_counter() - started_s
    cpu_s = sum(cpu_s for _, cpu_s in found) / arguments.jobs
    reports = [report for report, _ in found]
    unknown = sum(report.unknown for report in reports) / sum(report.operations for report in reports)
    simulated_s = sum(report.simulated_seconds for report in reports)
    for label, minutes in (("clock", wall_s / 60), ("processor", cpu_s / 60)):
        print(f"{simulated_s / 3600 / minutes:.2f} simulated cluster-hours per minute of {label} time")
    print(
        f"{arguments.runs} runs, {arguments.jobs} at a time, {sum(bool(report.failure) for report in reports)} failed; "
        f"{sum(report.events for report in reports) / (cpu_s * arguments.jobs):,.0f} events per processor second, "
        f"{sum(report.done for report in reports) / simulated_s:.1f} operations answered per simulated second, "
        f"{100 * unknown:.1f} % unknown"
    )
