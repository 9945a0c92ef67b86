"""The engine in memory: the contract, and the disk that loses unsynced writes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from flaredb.engine.base import CF_DEFAULT, CF_LOCK, Engine, EngineClosed, EngineError, EngineFailed
from flaredb.engine.memory import MemoryEngine
from tests.engine.contract import EngineContract, keys, put_all


class TestContract(EngineContract):
    @pytest.fixture
    def make(self) -> Callable[[], Engine]:
        held: list[MemoryEngine] = []

        def open_engine() -> Engine:
            held.append(held[-1].reopen() if held else MemoryEngine())
            return held[-1]

        return open_engine


def with_batches(synced: int, unsynced: int) -> MemoryEngine:
    """Batch i puts row i in two families and overwrites the row `last`."""
    engine = MemoryEngine()
    for i in range(synced + unsynced):
        batch = engine.batch()
        batch.put(CF_DEFAULT, b"%03d" % i, b"v")
        batch.put(CF_LOCK, b"%03d" % i, b"v")
        batch.put(CF_DEFAULT, b"last", b"%03d" % i)
        engine.write(batch)
        if i + 1 == synced:
            engine.sync()
    return engine


def test_a_power_cut_keeps_exactly_what_was_synced():
    after = with_batches(3, 4).crash(Random(1), "synced")
    assert keys(after) == [b"000", b"001", b"002", b"last"]
    assert keys(after, cf=CF_LOCK) == [b"000", b"001", b"002"]
    assert after.get(CF_DEFAULT, b"last") == b"002"


def test_a_killed_process_loses_nothing_that_was_written():
    assert with_batches(1, 5).crash(Random(1), "all").get(CF_DEFAULT, b"last") == b"005"


def test_a_prefix_crash_keeps_whole_batches_in_write_order_and_reaches_every_length():
    lengths = set()
    for seed in range(100):
        after = with_batches(2, 4).crash(Random(seed), "prefix")
        kept = len(keys(after, cf=CF_LOCK))
        assert keys(after) == [b"%03d" % i for i in range(kept)] + [b"last"]
        assert after.get(CF_DEFAULT, b"last") == b"%03d" % (kept - 1)
        lengths.add(kept)
    assert lengths == {2, 3, 4, 5, 6}


def test_a_crash_brings_back_what_an_unsynced_range_had_deleted():
    engine = with_batches(5, 0)
    batch = engine.batch()
    batch.put(CF_DEFAULT, b"001x", b"")
    batch.delete_range(CF_DEFAULT, b"001", b"004")
    batch.put(CF_DEFAULT, b"002", b"other")
    engine.write(batch)
    assert keys(engine) == [b"000", b"002", b"004", b"last"]
    after = engine.crash(Random(0), "synced")
    assert list(after.scan(CF_DEFAULT, b"", b"l")) == [(b"%03d" % i, b"v") for i in range(5)]


def test_what_survived_one_crash_survives_the_next():
    after = with_batches(0, 3).crash(Random(0), "all")
    assert keys(after.crash(Random(0), "synced"), cf=CF_LOCK) == [b"000", b"001", b"002"]


def test_a_slow_sync_covers_only_what_was_written_when_it_began():
    engine = with_batches(0, 2)
    mark = engine.last_sequence
    put_all(engine, {b"later": b""})
    engine.sync_through(mark)
    assert (engine.synced_sequence, engine.last_sequence) == (2, 3)
    assert keys(engine.crash(Random(0), "synced")) == [b"000", b"001", b"last"]


def test_the_dead_engine_its_snapshots_and_scans_are_fenced():
    engine = with_batches(1, 1)
    snapshot, scan, batch = engine.snapshot(), engine.scan(CF_DEFAULT, b"", None), engine.batch()
    engine.crash(Random(0), "synced")
    for call in (
        lambda: engine.write(batch),
        engine.sync,
        lambda: engine.get(CF_DEFAULT, b""),
        lambda: snapshot.get(CF_DEFAULT, b""),
        lambda: next(scan),
    ):
        with pytest.raises(EngineClosed, match="crashed"):
            call()
    with pytest.raises(EngineError, match="crashed before"):
        engine.crash(Random(0), "synced")


def test_after_a_failed_sync_every_call_fails_and_the_batches_stay_at_risk():
    engine = with_batches(1, 2)
    batch, snapshot = engine.batch(), engine.snapshot()
    engine.fail_next_sync()
    for call in (
        engine.sync,
        engine.sync,
        lambda: engine.write(batch),
        lambda: engine.get(CF_DEFAULT, b"000"),
        lambda: engine.scan(CF_DEFAULT, b"", None),
        lambda: snapshot.get(CF_DEFAULT, b"000"),
        engine.batch,
        engine.stats,
    ):
        with pytest.raises(EngineFailed, match="the process must stop"):
            call()
    assert keys(engine.crash(Random(0), "synced"), cf=CF_LOCK) == [b"000"]


def test_a_failed_write_may_or_may_not_survive_and_fails_everything_after():
    survived = set()
    for seed in range(30):
        engine = with_batches(1, 0)
        engine.fail_next_write()
        with pytest.raises(EngineFailed):
            put_all(engine, {b"x": b""})
        with pytest.raises(EngineFailed):
            engine.sync()
        survived.add(engine.crash(Random(seed), "prefix").get(CF_DEFAULT, b"x"))
    assert survived == {None, b""}


def test_what_a_bulk_load_took_in_is_durable_and_so_is_what_was_written_before():
    engine = with_batches(1, 2)
    load = engine.bulk_load()
    load.add(CF_DEFAULT, [(b"loaded", b"1")])
    load.finish()
    put_all(engine, {b"after": b""})
    assert keys(engine.crash(Random(0), "synced")) == [b"000", b"001", b"002", b"last", b"loaded"]
