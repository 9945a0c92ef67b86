"""The tests of leases can see: each known mistake, put back, makes the test fail that is named here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.store import test_clock_watch, test_lease, test_random_moves, test_random_store
from tests.store.lease_mutants import MUTANTS

CAUGHT_BY: dict[str, Callable[[], None]] = {
    "lease_kept_after_a_transfer": test_lease.test_a_lease_is_void_from_the_start_of_a_transfer,
    "lease_back_after_a_transfer_was_given_up": test_lease.test_a_lease_stays_void_after_a_transfer_was_given_up,
    "lease_counted_from_the_answer": (test_lease.test_a_lease_counts_from_the_sending_of_the_round_that_was_answered),
    "lease_as_long_as_the_election_timeout": (
        test_lease.test_no_other_leader_is_elected_while_a_lease_is_valid_though_clocks_differ
    ),
    "lease_without_a_margin_for_drift": (
        test_lease.test_no_other_leader_is_elected_while_a_lease_is_valid_though_clocks_differ
    ),
    "lease_kept_over_a_split": test_lease.test_a_split_makes_the_parents_lease_void_and_gives_its_children_none,
    "lease_kept_when_the_clock_goes_back": test_lease.test_a_clock_that_goes_back_makes_every_lease_void,
    "votes_not_withheld_after_a_start": (
        lambda: test_lease.test_a_restarted_follower_withholds_its_vote_for_an_election_timeout(lease_reads=True)
    ),
    "promises_kept_only_by_who_reads_by_lease": (
        lambda: test_lease.test_a_restarted_follower_withholds_its_vote_for_an_election_timeout(lease_reads=False)
    ),
    "lease_before_the_own_commit": (test_lease.test_a_new_leader_reads_nothing_before_it_has_committed_in_its_own_term),
    "clocks_not_watched": test_clock_watch.test_a_leader_whose_clock_is_too_slow_reads_by_rounds_and_says_so,
    "lease_though_clocks_differ": test_clock_watch.test_no_two_leaders_read_once_it_is_noticed,
    "read_before_apply": test_lease.test_a_read_waits_until_what_is_committed_is_applied,
}


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mistake_put_back_is_caught(name: str) -> None:
    with MUTANTS[name](), pytest.raises(Exception):  # noqa: B017 - an assertion, or an invariant that broke
        CAUGHT_BY[name]()


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("lease_counted_from_the_answer", test_random_store.run),
        ("lease_kept_after_a_transfer", test_random_moves.run),
    ],
)
def test_chance_finds_it_too(name: str, run: Callable[[int], Counter[str]]) -> None:
    with MUTANTS[name](), pytest.raises(AssertionError, match="reads by a lease"):
        test_random_store.run_seeds(run, range(100))
