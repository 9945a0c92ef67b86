"""A leader's view of a member, and the window of messages in flight."""

from __future__ import annotations

import pytest

from flaredb.raft import Inflights, Progress, ProgressState, RaftInvariantError


def test_the_window_is_full_at_its_count_and_frees_by_index() -> None:
    ins = Inflights(3)
    for index in (2, 5, 9):
        ins.add(index)
    assert ins.full()
    with pytest.raises(RaftInvariantError):
        ins.add(10)
    ins.free_to(1)
    assert ins.count() == 3
    ins.free_to(5)
    assert ins.count() == 1
    ins.free_to(100)
    assert ins.count() == 0


def test_the_window_is_full_at_its_bytes_although_the_last_message_crosses_them() -> None:
    ins = Inflights(100, 10)
    ins.add(1, 4)
    assert not ins.full()
    ins.add(2, 400)
    assert ins.full()
    ins.free_to(1)
    assert (ins.used_bytes, ins.full()) == (400, True)
    ins.free_first_one()
    assert (ins.used_bytes, ins.count()) == (0, 0)
    ins.free_first_one()


def test_a_reset_window_is_empty() -> None:
    ins = Inflights(2, 10)
    ins.add(1, 20)
    ins.reset()
    assert (ins.count(), ins.used_bytes, ins.full()) == (0, 0, False)


def progress(state: ProgressState, matched: int = 3, next_idx: int = 6) -> Progress:
    pr = Progress(next_idx, 4)
    pr.state, pr.matched = state, matched
    return pr


@pytest.mark.parametrize(
    ("acked", "matched", "next_idx", "news"), [(2, 3, 6, False), (3, 3, 6, False), (5, 5, 6, True), (8, 8, 9, True)]
)
def test_an_acknowledgement_raises_matched_and_next(acked: int, matched: int, next_idx: int, news: bool) -> None:
    pr = progress(ProgressState.Replicate)
    pr.pause()
    assert pr.maybe_update(acked) is news
    assert (pr.matched, pr.next_idx, pr.paused) == (matched, next_idx, not news)


@pytest.mark.parametrize(
    ("state", "rejected", "hint", "accepted", "next_idx"),
    [
        (ProgressState.Replicate, 2, 2, False, 6),
        (ProgressState.Replicate, 3, 3, False, 6),
        (ProgressState.Replicate, 4, 0, True, 4),
        (ProgressState.Probe, 4, 0, False, 6),
        (ProgressState.Probe, 5, 4, True, 5),
        (ProgressState.Probe, 5, 3, True, 4),
        (ProgressState.Probe, 5, 0, True, 4),
        (ProgressState.Probe, 5, 9, True, 5),
    ],
)
def test_a_refusal_goes_back_to_the_hint_but_never_below_matched(
    state: ProgressState, rejected: int, hint: int, accepted: bool, next_idx: int
) -> None:
    pr = progress(state)
    assert pr.maybe_decr_to(rejected, hint, 0) is accepted
    assert pr.next_idx == next_idx


def test_a_request_for_a_snapshot_is_remembered_and_leaves_next_alone() -> None:
    for state in (ProgressState.Replicate, ProgressState.Probe):
        pr = progress(state)
        assert pr.maybe_decr_to(3, 3, 7)
        assert (pr.pending_request_snapshot, pr.next_idx) == (7, 6)


@pytest.mark.parametrize(("pending", "next_idx"), [(9, 10), (2, 4)])
def test_probing_after_a_snapshot_starts_behind_it(pending: int, next_idx: int) -> None:
    pr = progress(ProgressState.Probe)
    pr.become_snapshot(pending)
    assert pr.is_paused()
    pr.become_probe()
    assert (pr.next_idx, pr.pending_snapshot, pr.is_paused()) == (next_idx, 0, False)


def test_probing_after_a_failed_snapshot_starts_behind_what_matched() -> None:
    pr = progress(ProgressState.Probe)
    pr.become_snapshot(9)
    pr.snapshot_failure()
    pr.become_probe()
    assert pr.next_idx == 4


def test_a_snapshot_is_caught_up_when_the_log_reaches_it() -> None:
    pr = progress(ProgressState.Probe)
    pr.become_snapshot(5)
    assert not pr.is_snapshot_caught_up()
    pr.maybe_update(5)
    assert pr.is_snapshot_caught_up()


def test_a_probe_pauses_after_one_message_a_stream_after_a_full_window() -> None:
    pr = progress(ProgressState.Probe)
    pr.sent_entries(6, 0)
    assert (pr.is_paused(), pr.next_idx) == (True, 6)
    pr.become_replicate()
    for index in range(4, 8):
        assert not pr.is_paused()
        pr.sent_entries(index, 0)
    assert (pr.is_paused(), pr.next_idx) == (True, 8)


def test_nothing_is_sent_while_a_snapshot_is_pending() -> None:
    pr = progress(ProgressState.Probe)
    pr.become_snapshot(9)
    with pytest.raises(RaftInvariantError):
        pr.sent_entries(6, 0)


def test_a_reset_forgets_everything() -> None:
    pr = progress(ProgressState.Probe)
    pr.become_snapshot(9)
    pr.pending_request_snapshot, pr.recent_active, pr.lease_tick = 5, True, 7
    pr.reset(11)
    fresh = Progress(11, 4)
    names = [n for n in Progress.__slots__ if n != "ins"]
    assert [getattr(pr, n) for n in names] == [getattr(fresh, n) for n in names]
