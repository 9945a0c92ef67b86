"""The log and its unstable tail."""

from __future__ import annotations

import pytest

from flaredb.raft import (
    Compacted,
    ConfState,
    Entry,
    MemStorage,
    RaftInvariantError,
    RaftLog,
    Snapshot,
    SnapshotMetadata,
    Unstable,
)

from .group import entry, log_of


def stored(*terms: int) -> MemStorage:
    store = MemStorage()
    store.append(log_of(*terms))
    return store


def snapshot(index: int, term: int) -> Snapshot:
    return Snapshot(b"", SnapshotMetadata(ConfState([1]), index, term))


def positions(entries: list[Entry]) -> list[tuple[int, int]]:
    return [(e.term, e.index) for e in entries]


# Unstable.


@pytest.mark.parametrize(
    ("new", "offset", "terms"),
    [
        ([(1, 7)], 5, [1, 1, 1]),
        ([(2, 5), (2, 6)], 5, [2, 2]),
        ([(2, 3), (2, 4)], 3, [2, 2]),
        ([(2, 6)], 5, [1, 2]),
    ],
)
def test_new_entries_follow_replace_all_replace_below_or_replace_a_part(
    new: list[tuple[int, int]], offset: int, terms: list[int]
) -> None:
    unstable = Unstable(5)
    unstable.truncate_and_append([entry(1, 5), entry(1, 6)])
    unstable.truncate_and_append([entry(t, i) for t, i in new])
    assert (unstable.offset, [e.term for e in unstable.entries]) == (offset, terms)


def test_a_gap_in_the_tail_is_a_broken_invariant() -> None:
    unstable = Unstable(5)
    with pytest.raises(RaftInvariantError):
        unstable.truncate_and_append([entry(1, 6)])


def test_terms_of_the_tail_and_of_the_waiting_snapshot_are_known() -> None:
    unstable = Unstable(1)
    unstable.restore(snapshot(4, 3))
    unstable.truncate_and_append([entry(5, 5)])
    assert [unstable.maybe_term(i) for i in (3, 4, 5, 6)] == [None, 3, 5, None]
    assert (unstable.maybe_first_index(), unstable.maybe_last_index()) == (5, 5)


def test_only_the_exact_last_entry_becomes_stable() -> None:
    unstable = Unstable(5)
    unstable.truncate_and_append([entry(1, 5), entry(1, 6)])
    with pytest.raises(RaftInvariantError):
        unstable.stable_entries(5, 1)
    unstable.stable_entries(6, 1)
    assert (unstable.offset, unstable.entries) == (7, [])


def test_a_snapshot_becomes_stable_before_the_entries_after_it() -> None:
    unstable = Unstable(1)
    unstable.restore(snapshot(4, 1))
    unstable.truncate_and_append([entry(1, 5)])
    with pytest.raises(RaftInvariantError):
        unstable.stable_entries(5, 1)
    with pytest.raises(RaftInvariantError):
        unstable.stable_snap(3)
    unstable.stable_snap(4)
    unstable.stable_entries(5, 1)
    assert unstable.snapshot is None


# Reading across storage and tail.


def mixed() -> RaftLog:
    """Entries 1 to 3 stored, 4 and 5 unstable, terms 1 1 2 2 3."""
    log = RaftLog(stored(1, 1, 2))
    log.append([entry(2, 4), entry(3, 5)])
    return log


@pytest.mark.parametrize(
    ("low", "high", "max_size", "expected"),
    [
        (1, 6, None, [1, 2, 3, 4, 5]),
        (2, 4, None, [2, 3]),
        (4, 6, None, [4, 5]),
        (3, 5, None, [3, 4]),
        (2, 2, None, []),
        (1, 6, 0, [1]),
        (1, 6, 36, [1, 2, 3]),
        (1, 6, 48, [1, 2, 3, 4]),
        (4, 6, 13, [4]),
    ],
)
def test_a_slice_joins_storage_and_tail_within_its_size(
    low: int, high: int, max_size: int | None, expected: list[int]
) -> None:
    assert [e.index for e in mixed().slice(low, high, max_size)] == expected


def test_terms_are_known_from_the_entry_before_the_first_to_the_last() -> None:
    store = stored(1, 1, 2)
    log = RaftLog(store)
    log.append([entry(2, 4)])
    store.compact(3)
    assert [log.term(i) for i in range(1, 6)] == [0, 1, 2, 2, 0]
    with pytest.raises(Compacted):
        log.slice(2, 4, None)


def test_a_log_after_a_snapshot_begins_after_it() -> None:
    log = mixed()
    log.restore(snapshot(9, 4))
    assert (log.first_index(), log.last_index(), log.last_term(), log.committed) == (10, 9, 4, 9)
    assert [log.match_term(i, 4) for i in (8, 9, 10)] == [False, True, False]


@pytest.mark.parametrize(
    ("entries", "conflict"),
    [
        ([], 0),
        ([(1, 1), (1, 2)], 0),
        ([(2, 3), (2, 4)], 0),
        ([(2, 4), (3, 5), (3, 6)], 6),
        ([(4, 1)], 1),
        ([(1, 2), (3, 3), (3, 4)], 3),
    ],
)
def test_a_conflict_is_the_first_entry_of_another_term_or_beyond_the_end(
    entries: list[tuple[int, int]], conflict: int
) -> None:
    assert mixed().find_conflict([entry(t, i) for t, i in entries]) == conflict


@pytest.mark.parametrize(
    ("index", "term", "found"),
    [(5, 3, (5, 3)), (5, 2, (4, 2)), (5, 1, (2, 1)), (3, 9, (3, 2)), (5, 0, (0, 0)), (9, 3, (5, 3)), (0, 1, (0, 0))],
)
def test_a_conflict_by_term_skips_every_entry_of_a_later_term(index: int, term: int, found: tuple[int, int]) -> None:
    assert mixed().find_conflict_by_term(index, term) == found


# Appending, committing, persisting.


@pytest.mark.parametrize(
    ("prev", "commit", "entries", "last", "committed", "terms"),
    [
        ((3, 5), 3, [], 5, 3, [1, 1, 2, 2, 3]),
        ((3, 5), 9, [(3, 6)], 6, 6, [1, 1, 2, 2, 3, 3]),
        ((2, 3), 3, [(4, 4)], 4, 3, [1, 1, 2, 4]),
        ((1, 2), 4, [(2, 3)], 3, 3, [1, 1, 2, 2, 3]),
        ((9, 5), 5, [(9, 6)], None, 1, [1, 1, 2, 2, 3]),
        ((3, 6), 5, [(3, 7)], None, 1, [1, 1, 2, 2, 3]),
    ],
)
def test_a_followers_append(
    prev: tuple[int, int],
    commit: int,
    entries: list[tuple[int, int]],
    last: int | None,
    committed: int,
    terms: list[int],
) -> None:
    log = mixed()
    log.commit_to(1)
    assert log.maybe_append(prev[1], prev[0], commit, [entry(t, i) for t, i in entries]) == last
    assert (log.committed, [e.term for e in log.all_entries()]) == (committed, terms)
    assert (log.tail_index, log.tail_term) == (len(terms), terms[-1])


def test_a_committed_entry_is_never_replaced() -> None:
    log = mixed()
    log.commit_to(4)
    with pytest.raises(RaftInvariantError):
        log.maybe_append(2, 1, 4, [entry(9, 3)])
    with pytest.raises(RaftInvariantError):
        log.append([entry(9, 4)])


def test_the_commit_index_never_falls_and_never_passes_the_end() -> None:
    log = mixed()
    log.commit_to(4)
    log.commit_to(2)
    assert log.committed == 4
    with pytest.raises(RaftInvariantError):
        log.commit_to(6)


@pytest.mark.parametrize(("index", "term", "moved"), [(5, 3, True), (4, 3, False), (4, 2, True), (1, 1, False)])
def test_commit_by_counting_checks_the_term(index: int, term: int, moved: bool) -> None:
    log = mixed()
    log.commit_to(1)
    assert log.maybe_commit(index, term) is moved
    assert log.committed == (index if moved else 1)


def test_replacing_persisted_entries_takes_the_persisted_mark_back() -> None:
    log = RaftLog(stored(1, 1, 1))
    assert log.persisted == 3
    log.maybe_append(1, 1, 0, [entry(2, 2)])
    assert log.persisted == 1


def test_only_what_is_stable_and_unchanged_counts_as_persisted() -> None:
    store = stored(1, 1)
    log = RaftLog(store)
    log.append([entry(1, 3)])
    assert log.maybe_persist(3, 1) is False, "still unstable"
    store.append([entry(1, 3)])
    log.unstable.stable_entries(3, 1)
    assert log.maybe_persist(3, 2) is False, "another term"
    assert log.maybe_persist(3, 1) is True
    assert log.maybe_persist(2, 1) is False, "never goes back"
    assert log.persisted == 3


def test_a_late_sync_of_entries_a_snapshot_replaced_is_ignored() -> None:
    store = stored(1, 1)
    log = RaftLog(store)
    log.append([entry(1, 3)])
    store.append([entry(1, 3)])
    log.unstable.stable_entries(3, 1)
    log.restore(snapshot(9, 2))
    store.apply_snapshot(snapshot(9, 2))
    log.unstable.stable_snap(9)
    assert log.maybe_persist(3, 1) is False
    assert log.maybe_persist_snap(9) is True
    assert log.persisted == 9


def test_entries_are_handed_out_up_to_committed_and_persisted() -> None:
    store = stored(1, 1, 1)
    log = RaftLog(store)
    log.append([entry(1, 4), entry(1, 5)])
    log.commit_to(5)
    assert [e.index for e in log.next_entries_since(0, None)] == [1, 2, 3]
    assert log.has_next_entries_since(2)
    assert not log.has_next_entries_since(3)
    log.max_apply_unpersisted_log_limit = 1
    assert [e.index for e in log.next_entries_since(3, None)] == [4]


def test_applied_stays_between_itself_and_committed() -> None:
    log = mixed()
    log.commit_to(3)
    log.applied_to(2)
    for wrong in (1, 4):
        with pytest.raises(RaftInvariantError):
            log.applied_to(wrong)


def test_a_snapshot_never_takes_committed_entries_back() -> None:
    log = mixed()
    log.commit_to(4)
    with pytest.raises(RaftInvariantError):
        log.restore(snapshot(3, 2))


def test_a_scan_sees_every_entry_page_by_page_until_told_to_stop() -> None:
    pages: list[list[int]] = []

    def visit(page: object) -> bool:
        pages.append([e.index for e in page])  # type: ignore[attr-defined]
        return len(pages) < 2

    mixed().scan(1, 6, 24, visit)
    assert pages == [[1, 2], [3, 4]]
