"""A region's log is readable at every moment, whatever of it is cached."""

from __future__ import annotations

from flaredb.engine.memory import MemoryEngine
from flaredb.raft import Entry, EntryType
from flaredb.store.config import StoreConfig
from flaredb.store.raft_storage import INITIAL_INDEX, INITIAL_TERM, RaftStorage, write_initial_state
from flaredb.store.snapshot_desk import SnapshotDesk
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
