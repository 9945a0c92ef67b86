"""R7. Leases and clocks (tikv 964, tikv 14518): a lease that lives as long as the promise it rests on, a leader that
does not notice how long it stood still, clocks of different speed, or one that goes back.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import permutations
from typing import Any
from unittest.mock import patch

import pytest

from flaredb.raft import reads as raft_reads
from flaredb.store.store import Store
from tests.raft import test_lease
from tests.raft.test_lease import group_with_lease
from tests.scenarios.promises import PromiseBroken, breaks, promise
from tests.store import test_lease as store_leases
from tests.store.lease_mutants import MUTANTS

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


# ------------------------------------------------ stores, whose leases are counted by a clock


def a_tick_for_each_step() -> AbstractContextManager[Any]:
    """However long ago the last step was, leases age by a tick."""
    whole = Store._set_time

    def set_time(self: Store, now_ms: int) -> None:
        before_ms = self.lease_clock.now
        whole(self, now_ms)
        self.lease_clock.now = min(self.lease_clock.now, before_ms + self.config.tick_ms)

    return patch.object(Store, "_set_time", set_time)


def test_r07_a_store_that_stood_still_answers_no_read_by_its_lease() -> None:
    store_leases.test_a_leader_that_stood_still_reads_by_a_round()


def test_r07_without_the_time_that_passed_a_client_reads_what_was_overwritten() -> None:
    breaks(store_leases.test_a_leader_that_stood_still_reads_by_a_round, a_tick_for_each_step, r"b'1' not in \[b'1'\]")


def test_r07_leases_allow_for_clocks_of_different_speed() -> None:
    store_leases.test_no_other_leader_is_elected_while_a_lease_is_valid_though_clocks_differ()


@pytest.mark.parametrize("longer", ["lease_without_a_margin_for_drift", "lease_as_long_as_the_election_timeout"])
def test_r07_without_that_allowance_two_leaders_read(longer: str) -> None:
    replay = store_leases.test_no_other_leader_is_elected_while_a_lease_is_valid_though_clocks_differ
    breaks(replay, MUTANTS[longer], r"two leaders read after \d+ ms")


def test_r07_a_clock_that_goes_back_by_an_hour_ends_leases_and_no_process() -> None:
    store_leases.test_a_clock_that_goes_back_makes_every_lease_void()


def test_r07_without_that_a_lease_is_kept_though_nobody_knows_how_old_it_is() -> None:
    replay = store_leases.test_a_clock_that_goes_back_makes_every_lease_void
    breaks(replay, MUTANTS["lease_kept_when_the_clock_goes_back"], "assert not True")
