"""The tests of moves can see: each known mistake, put back, makes the test fail that is named here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.store import test_move, test_move_removed, test_move_snapshots
from tests.store.move_mutants import MUTANTS

CAUGHT_BY: dict[str, Callable[[], None]] = {
    "tombstone_forgotten": test_move_removed.test_no_old_message_revives_a_removed_replica,
    "split_takes_a_vote_back": (
        test_move_snapshots.test_a_vote_survives_a_restart_and_the_split_that_would_make_its_replica_anew
    ),
    "snapshot_over_a_neighbour": (
        test_move_snapshots.test_a_snapshot_is_refused_when_a_neighbour_took_its_range_after_its_replica_was_made
    ),
    "replica_over_a_neighbour": (
        test_move_snapshots.test_a_snapshot_over_a_neighbour_that_has_not_split_yet_is_refused
    ),
    "read_while_filling": test_move_snapshots.test_a_replica_that_is_being_filled_serves_no_read,
    "apply_while_filling": test_move_snapshots.test_nothing_is_applied_or_served_while_rows_are_written,
    "install_without_mark": test_move_snapshots.test_a_crash_while_rows_are_written_begins_the_filling_again,
    "file_gone_before_the_sync": test_move_snapshots.test_the_file_of_a_snapshot_stays_until_its_rows_are_synced,
    "snapshot_acknowledged_before_the_sync": (
        test_move_snapshots.test_a_snapshot_is_acknowledged_only_once_its_first_batch_is_synced
    ),
    "old_rows_under_a_snapshot": test_move_snapshots.test_what_was_deleted_meanwhile_does_not_survive_a_snapshot,
    "snapshot_ahead_of_its_rows": test_move_snapshots.test_nothing_is_applied_or_served_while_rows_are_written,
    "rows_of_a_removed_replica_stay": test_move.test_the_removed_replica_leaves_nothing_but_a_tombstone,
    "removed_replica_is_not_told": test_move_removed.test_a_peer_removed_while_cut_off_learns_of_it_from_its_peers,
    "change_of_another_epoch": test_move.test_a_change_made_for_another_epoch_counts_nowhere_when_applied,
    "quorum_not_looked_at": test_move.test_a_removal_that_would_leave_no_living_quorum_is_refused,
    "promotion_too_early": test_move.test_a_learner_that_has_not_caught_up_is_not_promoted,
    "leader_removed": lambda: test_move.test_a_change_is_refused("the leader's own removal", "transfer leadership"),
    "log_cut_under_a_slow_replica": (test_move_snapshots.test_a_log_within_its_limits_is_kept_for_the_slowest_replica),
}


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mistake_put_back_is_caught(name: str) -> None:
    with MUTANTS[name](), pytest.raises(Exception):  # noqa: B017 - an assertion, or an invariant that broke
        CAUGHT_BY[name]()


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_without_the_mistake_it_passes(name: str) -> None:
    CAUGHT_BY[name]()
