"""MemStorage: the contract of Storage, and the errors the core handles."""

from __future__ import annotations

import pytest

from flaredb.raft import (
    Compacted,
    ConfState,
    HardState,
    MemStorage,
    Snapshot,
    SnapshotMetadata,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    Unavailable,
)

from .group import entry, log_of


def stored() -> MemStorage:
    """Entries 1 to 5, of which 1 and 2 are compacted; terms 1 1 2 2 3."""
    store = MemStorage.new_with_conf_state(ConfState([1, 2, 3]))
    store.append(log_of(1, 1, 2, 2, 3))
    store.compact(3)
    return store


def test_indexes_after_compaction() -> None:
    store = stored()
    assert (store.first_index(), store.last_index()) == (3, 5)
    store.compact(2)
    assert store.first_index() == 3, "compaction does not go back"
    store.compact(6)
    assert (store.first_index(), store.last_index(), store.term(5)) == (6, 5, 3)


def test_terms_reach_one_entry_before_the_first() -> None:
    store = stored()
    assert [store.term(i) for i in (2, 3, 5)] == [1, 2, 3]
    with pytest.raises(Compacted):
        store.term(1)
    with pytest.raises(Unavailable):
        store.term(6)


@pytest.mark.parametrize(
    ("max_size", "expected"), [(None, [3, 4, 5]), (0, [3]), (24, [3, 4]), (35, [3, 4]), (36, [3, 4, 5])]
)
def test_entries_are_cut_by_size_but_never_to_nothing(max_size: int | None, expected: list[int]) -> None:
    assert [e.index for e in stored().entries(3, 6, max_size)] == expected


def test_entries_outside_the_log() -> None:
    with pytest.raises(Compacted):
        stored().entries(2, 4, None)
    with pytest.raises(Unavailable):
        stored().entries(3, 7, None)


def test_appending_replaces_the_tail() -> None:
    store = stored()
    store.append([entry(4, 4)])
    assert ([e.term for e in store.entries(3, 5, None)], store.last_index()) == ([2, 4], 4)
    for wrong in (2, 6):
        with pytest.raises(AssertionError):
            store.append([entry(9, wrong)])


def test_a_snapshot_replaces_everything_but_never_goes_back() -> None:
    store = stored()
    with pytest.raises(SnapshotOutOfDate):
        store.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState([1]), 1, 1)))
    store.set_hardstate(HardState(2, 3, 4))
    store.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState([1, 9]), 8, 4)))
    assert (store.first_index(), store.last_index(), store.term(8)) == (9, 8, 4)
    state = store.initial_state()
    assert (state.hard_state, state.conf_state.voters) == (HardState(4, 3, 8), [1, 9])


def test_a_snapshot_is_made_of_the_saved_commit_index() -> None:
    store = stored()
    store.commit_to(4)
    snap = store.snapshot(0, 2)
    assert snap is not None
    assert (snap.metadata.index, snap.metadata.term, snap.metadata.conf_state.voters) == (4, 2, [1, 2, 3])
    with pytest.raises(SnapshotTemporarilyUnavailable):
        store.snapshot(5, 2)


def test_a_made_snapshot_is_given_until_compaction_passes_it() -> None:
    store = stored()
    store.commit_to(5)
    store.create_snapshot(4, ConfState([1]), b"data")
    snap = store.snapshot(0, 2)
    assert snap is not None
    assert (snap.data, snap.metadata.index) == (b"data", 4)
    store.compact(6)
    later = store.snapshot(0, 2)
    assert later is not None
    assert later.metadata.index == 5


def test_a_snapshot_may_be_unavailable_once() -> None:
    store = stored()
    store.commit_to(5)
    store.trigger_snap_unavailable()
    with pytest.raises(SnapshotTemporarilyUnavailable):
        store.snapshot(0, 2)
    assert store.snapshot(0, 2) is not None


def test_a_configuration_is_initialised_once_and_copied_out() -> None:
    store = MemStorage()
    assert not store.initial_state().initialized()
    store.initialize_with_conf_state(ConfState([1]))
    store.initial_state().conf_state.voters.append(2)
    assert store.initial_state().conf_state.voters == [1]
    with pytest.raises(AssertionError):
        store.initialize_with_conf_state(ConfState([2]))
