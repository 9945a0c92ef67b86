"""R12. A client repeated a write whose answer was lost (jetcd, TiDB): the first try had been applied, somebody else
wrote, and the repetition took that write back.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from flaredb.client.backoff import RULES
from flaredb.client.errors import UndeterminedError
from flaredb.client.steps import AskPd, AskStore
from flaredb.model.cluster import RegionRoute
from flaredb.model.outcomes import Cause, Lost, Refusal
from tests.client.driving import Script
from tests.scenarios.promises import breaks, promise
from tests.store.harness import Cluster, put, region

FOUND = region(1)
LOST = Lost("the connection broke before the answer came")
UNKNOWN = Refusal(Cause.UNDETERMINED_RESULT, "the leader changed before the entry was applied")


def unknown_writes_are_repeated() -> AbstractContextManager[Any]:
    """A write whose fate is unknown is tried again, like one that had no effect."""
    blind = {cause: replace(rule, unknown=False) for cause, rule in RULES.items()}
    return patch.dict(RULES, blind)


class Reply:
    """Three stores and two clients. The plans of the first are FlareDB's client's; the other one calls plainly."""

    def __init__(self) -> None:
        self.cluster = Cluster([FOUND])
        self.leader = self.cluster.await_leader(1)
        self.first = Script(RegionRoute(FOUND, FOUND.peer_on(self.leader.id)))

    def begin(self, value: bytes, **options: Any) -> Any:
        core = self.first.core
        return self.first.start(core.pursue(b"k", lambda _region: put(b"k", value), 60_000, **options))

    def carry_out(self, step: Any) -> Any:
        """The store, or PD, does what it is asked."""
        if isinstance(step, AskPd):
            self.first.core.learn([RegionRoute(FOUND, FOUND.peer_on(self.leader.id))])
            return None
        return self.cluster.call(self.leader, FOUND, step.command)


def reply_is_lost(trouble: Any) -> None:
    """The first client's put is applied and its answer is lost; the second client's put is acknowledged."""
    rig = Reply()
    step = rig.begin(b"first")
    assert rig.carry_out(step) is None
    assert rig.cluster.put(FOUND, b"k", b"second") is None
    told = None
    step = trouble
    while told is None and step != ("done", None):
        try:
            step = rig.first.skip_waits(rig.first.say(step))
        except UndeterminedError as error:
            told = error
        else:
            step = rig.carry_out(step) if isinstance(step, AskStore | AskPd) else step
    found = rig.cluster.get(FOUND, b"k")
    promise(found == b"second", f"an acknowledged write was taken back: k is {found!r}")
    promise(told is not None and told.undetermined and not told.retryable, "the caller is not told that it is unknown")


@pytest.mark.parametrize("trouble", [LOST, UNKNOWN], ids=["the answer is lost", "the store does not know"])
def test_r12_a_write_of_unknown_fate_is_reported_and_not_repeated(trouble: Any) -> None:
    reply_is_lost(trouble)


@pytest.mark.parametrize("trouble", [LOST, UNKNOWN], ids=["the answer is lost", "the store does not know"])
def test_r12_without_that_an_acknowledged_write_is_taken_back(trouble: Any) -> None:
    breaks(lambda: reply_is_lost(trouble), unknown_writes_are_repeated, "taken back: k is b'first'")
