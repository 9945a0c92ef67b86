"""Runs of seeds that nobody has seen: what they must hold, and how `make test` deals them out.

They sit in two files, test_fresh_seeds_a.py and test_fresh_seeds_b.py, because a file's tests stay on one worker: so
both cores share them.
"""

from __future__ import annotations

from flaredb.sim.options import draw
from flaredb.sim.run import Report, run

from .conftest import SEEDS, first_fresh_seed

SECONDS = 60
TIMEOUT_S = 600
"""Of a lot, which is all work and no waiting: other work on the same cores makes it many times slower."""

SEEDS_PER_LOT = 10
LOTS_OF_A = range(SEEDS // SEEDS_PER_LOT // 2)
LOTS_OF_B = range(LOTS_OF_A.stop, SEEDS // SEEDS_PER_LOT)
OPERATIONS_PER_SECOND_MIN = 8
"""On average of a lot, all of its virtual time counted: stores that are down and the healing, too. Seen: 18 to 30."""


def check(seed: int, seconds: int = SECONDS) -> Report:
    """Run a seed and demand that nothing went wrong."""
    report = run(draw(seed, seconds))
    again = f"flaredb sim --seed {seed} --seconds {seconds} --trace trace.txt"
    assert not report.failure, f"{report.summary()}\n{report.options}\n{report.where}\nreproduce: {again}"
    return report


def check_lot(lot: int) -> None:
    """Run a lot's seeds: other ones every day (conftest.py says which)."""
    first = first_fresh_seed() + lot * SEEDS_PER_LOT
    reports = [check(seed) for seed in range(first, first + SEEDS_PER_LOT)]
    done, unknown = sum(report.done for report in reports), sum(report.unknown for report in reports)
    simulated_s = sum(report.simulated_seconds for report in reports)
    assert done > OPERATIONS_PER_SECOND_MIN * simulated_s, "too few to mean anything"
    assert unknown < 0.3 * sum(report.operations for report in reports)
    assert all(report.splits >= 2 and report.moves >= 2 for report in reports)
