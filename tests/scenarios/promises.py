"""What every scenario uses: a promise, and the proof that its guard is what keeps it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.sim.mutants import MUTANTS as SIMULATED

Guard = Callable[[], AbstractContextManager[Any]]
"""Opens a block in which one guard is removed from our code."""


class PromiseBroken(AssertionError):
    """What the scenario is about went wrong: not its script, but what the database owes its users."""


def promise(holds: Any, text: str) -> None:
    """The database owes this. ``text`` says what is wrong if it does not hold. Errors: PromiseBroken."""
    if not holds:
        raise PromiseBroken(text)


def breaks(scenario: Callable[[], Any], removed: Guard, told: str) -> None:
    """Play a scenario without its guard: it must fail, and for this reason (a regular expression).

    Errors: pytest's Failed if the scenario does not notice; AssertionError if it fails for another reason.
    """
    with removed(), pytest.raises(Exception, match=told):
        scenario()


def put_back(bug: str) -> Guard:
    """A guard whose removal the simulator's list of known bugs has under this name (tests/sim/mutants.py)."""
    return next(mutant for mutant in SIMULATED if mutant.name == bug).installed
