"""All targets for a number of cases: ``python -m tests.fuzz.run --cases 5000000 --seed 1``.

Prints, for each target, its cases and its speed, and how much this process has grown. Exit status 1: a case failed (its
target, seed and number are in the trace), or the process grew too much.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.targets import CASES_PER_SEED, SHARES, play

GROWTH_BYTES_MAX = 50 * 1024 * 1024
WARM_UP_SHARE = 0.02
"""Of the cases are played before memory is looked at for the first time: caches fill, modules load."""
WARM_UP_CASES_MAX = 20_000
PROGRESS_EVERY_S = 60.0


class Run:
    """Lives of targets one after the other, the one first that is furthest behind its share."""

    def __init__(self, seed: int, names: Iterable[str] = SHARES) -> None:
        self.shares = {name: SHARES[name] for name in names}
        self.cases: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.lives: Counter[str] = Counter()
        self.first_bytes = 0
        """This process's memory after the warm-up; 0 before."""
        self._seed = seed

    async def play(self, cases_max: int, seconds_max: float = float("inf")) -> None:
        """Play until so many cases are done or the time is up. Errors: what a target raises."""
        warm_up = min(WARM_UP_CASES_MAX, int(cases_max * WARM_UP_SHARE))
        end_s = time.monotonic() + seconds_max
        told_s = time.monotonic()
        while (left := cases_max - self.cases.total()) > 0 and time.monotonic() < end_s:
            await self._one_life(left, end_s)
            if not self.first_bytes and self.cases.total() >= warm_up:
                self.first_bytes = resident_bytes()
            if time.monotonic() > told_s + PROGRESS_EVERY_S:
                told_s = time.monotonic()
                print(f"{self.cases.total():,} cases, grown by {self.grown_bytes() / 2**20:.1f} MiB", flush=True)

    async def _one_life(self, cases_max: int, end_s: float) -> None:
        name = min(self.shares, key=lambda name: self.cases[name] / self.shares[name])
        started_s = time.monotonic()
        done = 0
        try:
            async with contextlib.aclosing(play(name, self._seed + self.lives[name])) as life:
                async for _ in life:
                    done += 1
                    if done >= cases_max or time.monotonic() > end_s:
                        break
        finally:
            self.lives[name] += 1
            self.cases[name] += done
            self.seconds[name] += time.monotonic() - started_s

    def grown_bytes(self) -> int:
        """What this process has gained since the warm-up."""
        return resident_bytes() - self.first_bytes if self.first_bytes else 0

    def table(self) -> str:
        """Totals of every target, for people."""
        rows = [
            f"{name:10} {self.cases[name]:12,} {self.cases[name] / max(self.seconds[name], 0.001):10,.0f}"
            for name in self.shares
        ]
        total = f"{'all':10} {self.cases.total():12,} {self.cases.total() / max(self.seconds.total(), 0.001):10,.0f}"
        head = f"{'target':10} {'cases':>12} {'a second':>10}"
        grown = f"memory grew by {self.grown_bytes() / 2**20:.1f} MiB in {self.seconds.total():,.0f} s"
        return "\n".join([head, *rows, total, grown])


def resident_bytes(collect: bool = True) -> int:
    """This process's memory now, as a rule without garbage."""
    if collect:
        gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many in all")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000_000, help="of the first lives")
    parser.add_argument("--target", action="append", choices=list(SHARES), help="only this one; may be repeated")
    given = parser.parse_args()
    print(f"seed {given.seed}, {CASES_PER_SEED:,} cases for each life of a target", flush=True)
    run = Run(given.seed, given.target or SHARES)
    failed = False
    try:
        asyncio.run(run.play(given.cases))
    except KeyboardInterrupt:
        print("stopped")
    except Exception:
        traceback.print_exc()
        failed = True
    print(run.table(), flush=True)
    return 1 if failed or run.grown_bytes() > GROWTH_BYTES_MAX else 0


if __name__ == "__main__":
    raise SystemExit(main())
