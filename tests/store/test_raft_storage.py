"""A region's log is readable at every moment, whatever of it is cached."""

from __future__ import annotations

import pytest

from flaredb.engine.base import CF_RAFT
from flaredb.engine.memory import MemoryEngine
from flaredb.model.keys import log_key
from flaredb.raft import Entry, EntryType
from flaredb.store.config import StoreConfig
from flaredb.store.raft_storage import INITIAL_INDEX, INITIAL_TERM, RaftStorage, write_initial_state
from flaredb.store.snapshot_desk import SnapshotDesk
from flaredb.wire.records import StateCorrupted
from tests.store.harness import region

FIRST = INITIAL_INDEX + 1


def storage(engine: MemoryEngine, cache_bytes_max: int) -> RaftStorage:
    batch = engine.batch()
    write_initial_state(region(1), batch)
    engine.write(batch)
    return RaftStorage(engine, region(1), cache_bytes_max, SnapshotDesk(StoreConfig(), engine))


def entries(count: int) -> list[Entry]:
    return [Entry(EntryType.EntryNormal, INITIAL_TERM, FIRST + number, b"x" * 100) for number in range(count)]


def test_what_does_not_fit_the_cache_is_there_before_it_is_written_and_after() -> None:
    engine = MemoryEngine()
    log = storage(engine, cache_bytes_max=150)
    batch = engine.batch()
    written = entries(5)
    log.append(written[:3], batch)
    log.append(written[3:], batch)
    assert log.entries(FIRST, FIRST + 5, None) == written, "staged, not written yet"
    engine.write(batch)
    log.written()
    assert log.entries(FIRST, FIRST + 5, None) == written
    assert log.cached_bytes <= 150


def loaded(applied: int, missing: int | None = None, count: int = 9) -> RaftStorage:
    """A log of ``count`` entries as a new process finds it, of which ``applied`` are applied."""
    engine = MemoryEngine()
    log = storage(engine, cache_bytes_max=1 << 20)
    batch = engine.batch()
    log.append(entries(count), batch)
    log.apply_state.applied_index = INITIAL_INDEX + applied
    log.set_apply_state(batch)
    if missing is not None:
        batch.delete(CF_RAFT, log_key(region(1).id, FIRST + missing))
    engine.write(batch)
    return RaftStorage(engine, region(1), 1 << 20, SnapshotDesk(StoreConfig(), engine))


@pytest.mark.parametrize("applied", range(10))
def test_of_a_log_on_disk_only_what_is_to_be_applied_is_read_at_the_start(applied: int) -> None:
    log = loaded(applied)
    assert log.last_index() == INITIAL_INDEX + 9
    assert len(log._cache) == max(9 - applied, 1)
    assert log.entries(FIRST, FIRST + 9, None) == entries(9)
    assert [log.term(index) for index in range(INITIAL_INDEX, FIRST + 9)] == [INITIAL_TERM] * 10


@pytest.mark.parametrize(("applied", "missing"), [(0, 0), (0, 4), (4, 0), (4, 5), (4, 4), (9, 0), (9, 8)])
def test_a_gap_in_what_is_read_at_the_start_is_found(applied: int, missing: int) -> None:
    with pytest.raises(StateCorrupted):
        loaded(applied, missing)


def test_a_gap_in_what_was_applied_is_found_by_who_needs_it() -> None:
    log = loaded(applied=8, missing=4)
    with pytest.raises(StateCorrupted):
        log.entries(FIRST, FIRST + 9, None)
