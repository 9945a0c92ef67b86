"""The simulator is worth something: with a known bug put back, it fails, and soon."""

from __future__ import annotations

import pytest

from flaredb.sim.run import run

from .fresh import TIMEOUT_S
from .mutants import MUTANTS, Mutant


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(mutant, id=mutant.name, marks=[pytest.mark.soak] if mutant.is_slow else []) for mutant in MUTANTS],
)
def test_a_known_bug_is_found(mutant: Mutant) -> None:
    with mutant.installed():
        for seed in range(mutant.seeds):
            failure = run(mutant.options(seed)).failure
            if failure:
                assert mutant.told in failure
                return
    raise AssertionError(f"{mutant.seeds} seeds found nothing")


@pytest.mark.timeout(TIMEOUT_S)
def test_without_the_bug_the_same_seeds_pass() -> None:
    """So it is the bug that is found, not the shape of the run."""
    for shape in sorted({mutant.shape for mutant in MUTANTS}, key=str):
        mutant = next(mutant for mutant in MUTANTS if mutant.shape is shape)
        report = run(mutant.options(0))
        assert not report.failure, f"{mutant.name}: {report.summary()}"


def test_there_are_at_least_twenty() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
