"""R7. Leases and clocks (tikv 964, tikv 14518): a lease that lives as long as the promise it rests on, or a leader that
does not notice how long it stood still, reads old data.

The core counts in ticks. Its lease ends a tick before any promise does, and whoever drives it gives the ticks that it
missed before anything else.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import permutations
from typing import Any
from unittest.mock import patch

import pytest

from flaredb.raft import reads as raft_reads
from tests.raft import test_lease
from tests.raft.test_lease import group_with_lease
from tests.scenarios.promises import PromiseBroken, breaks, promise

STALL_TICKS = 100
"""5 s at a tick of 50 ms."""


def lease_as_long_as_the_promise() -> AbstractContextManager[Any]:
    """The lease lasts a tick longer than a tick less than the election timeout."""
    whole = raft_reads.in_lease

    def in_lease(r: Any) -> bool:
        r.ticks -= 1
        try:
            return whole(r)
        finally:
            r.ticks += 1

    return patch.object(raft_reads, "in_lease", in_lease)


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_r07_a_lease_ends_a_tick_before_the_promises_it_rests_on(order: tuple[int, ...]) -> None:
    test_lease.test_a_lease_ends_before_any_quorum_may_elect_another(order)


def test_r07_without_that_tick_a_lease_outlives_a_promise() -> None:
    replay = test_lease.test_a_lease_ends_before_any_quorum_may_elect_another
    breaks(lambda: replay((2, 3, 1)), lease_as_long_as_the_promise, "may_elect")


def leader_stands_still(ticks_given: int) -> None:
    """A leader with a lease stands still for 5 s. Others lead and write meanwhile. ``ticks_given``: before the first
    read that it gets when it goes on.
    """
    group = group_with_lease()
    group.isolate(1)
    for _ in range(STALL_TICKS):
        for i in (2, 3):
            group[i].tick()
        group.settle()
    heir = 2 if group[2].raft.leader_id == 2 else 3
    group[heir].propose(b"", b"new")
    group.settle()
    assert group.data(heir) == [b"new"]
    for _ in range(ticks_given):
        group[1].tick()
    group[1].read_index(b"read")
    promise(not group[1].ready().read_states, "the old leader reads by a lease that is over by the clock")


def test_r07_a_leader_that_stood_still_reads_by_no_lease() -> None:
    leader_stands_still(STALL_TICKS)


def test_r07_without_the_ticks_it_missed_it_reads_old_data() -> None:
    with pytest.raises(PromiseBroken, match="over by the clock"):
        leader_stands_still(ticks_given=1)
