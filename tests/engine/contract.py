"""The contract of `flaredb.engine.base`, as tests that every engine inherits.

A subclass provides the fixture `make`, a function that opens an engine on the same storage each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flaredb.engine.base import (
    ALL_CFS,
    CF_DEFAULT,
    CF_LOCK,
    CF_RAFT,
    CF_WRITE,
    KEY_SIZE_BYTES_MAX,
    STATS_KEYS,
    Engine,
    EngineClosed,
    Reader,
)

ROWS = {b"": b"empty key", b"a": b"1", b"b": b"", b"b\x00": b"3", b"c": b"4", b"\xff\xff": b"5"}
ORDER = sorted(ROWS)


def put_all(engine: Engine, rows: dict[bytes, bytes], cf: str = CF_DEFAULT) -> None:
    batch = engine.batch()
    for key, value in rows.items():
        batch.put(cf, key, value)
    engine.write(batch)


def keys(reader: Reader, start: bytes = b"", end: bytes | None = None, cf: str = CF_DEFAULT, **how) -> list[bytes]:
    return [key for key, _ in reader.scan(cf, start, end, **how)]


class EngineContract:
    @pytest.fixture
    def engine(self, make: Callable[[], Engine]):
        engine = make()
        yield engine
        engine.close()

    def test_a_missing_key_is_none_and_an_empty_value_is_a_value(self, engine):
        put_all(engine, ROWS)
        assert engine.get(CF_DEFAULT, b"missing") is None
        assert engine.get(CF_DEFAULT, b"b") == b""
        assert engine.get(CF_DEFAULT, b"") == b"empty key"

    def test_multi_get_keeps_the_order_of_the_keys_and_repeats(self, engine):
        put_all(engine, ROWS)
        assert engine.multi_get(CF_DEFAULT, [b"c", b"no", b"", b"c"]) == [b"4", None, b"empty key", b"4"]
        assert engine.multi_get(CF_DEFAULT, []) == []

    def test_column_families_do_not_share_keys(self, engine):
        for number, cf in enumerate(ALL_CFS):
            put_all(engine, {b"k": b"%d" % number}, cf)
        assert [engine.get(cf, b"k") for cf in ALL_CFS] == [b"0", b"1", b"2", b"3", b"4"]

    def test_an_unknown_column_family_is_refused_by_name(self, engine):
        for call in (
            lambda: engine.get("nope", b""),
            lambda: engine.multi_get("nope", [b""]),
            lambda: engine.scan("nope", b"", None),
            lambda: engine.batch().put("nope", b"", b""),
            lambda: engine.batch().delete("nope", b""),
            lambda: engine.batch().delete_range("nope", b"", None),
            lambda: engine.approximate_size_bytes("nope", b"", None),
        ):
            with pytest.raises(ValueError, match="nope"):
                call()

    def test_a_key_over_the_limit_is_refused_and_the_longest_legal_one_is_not(self, engine):
        longest = b"\xff" * KEY_SIZE_BYTES_MAX
        put_all(engine, {longest: b"v"})
        assert engine.get(CF_DEFAULT, longest) == b"v"
        with pytest.raises(ValueError, match="key of 16385 bytes"):
            engine.batch().put(CF_DEFAULT, longest + b"\x00", b"")

    # --- batches ---

    def test_operations_of_a_batch_take_effect_in_order(self, engine):
        put_all(engine, {b"a": b"old", b"b": b"old", b"c": b"old"})
        batch = engine.batch()
        batch.put(CF_DEFAULT, b"b1", b"swallowed by the range")
        batch.delete_range(CF_DEFAULT, b"b", b"c")
        batch.put(CF_DEFAULT, b"b2", b"after the range")
        batch.delete(CF_DEFAULT, b"a")
        batch.put(CF_DEFAULT, b"a", b"new")
        batch.delete(CF_DEFAULT, b"never was")
        engine.write(batch)
        assert dict(engine.scan(CF_DEFAULT, b"", None)) == {b"a": b"new", b"b2": b"after the range", b"c": b"old"}

    def test_nothing_of_a_batch_is_visible_before_its_write(self, engine):
        batch = engine.batch()
        batch.put(CF_DEFAULT, b"k", b"v")
        batch.put(CF_LOCK, b"k", b"l")
        assert engine.get(CF_DEFAULT, b"k") is None
        engine.write(batch)
        assert (engine.get(CF_DEFAULT, b"k"), engine.get(CF_LOCK, b"k")) == (b"v", b"l")

    def test_writing_empties_the_batch_and_it_serves_again(self, engine):
        batch = engine.batch()
        batch.put(CF_DEFAULT, b"a", b"1")
        engine.write(batch)
        assert (len(batch), batch.size_bytes) == (0, 0)
        batch.put(CF_DEFAULT, b"b", b"2")
        engine.write(batch)
        engine.write(batch)  # an empty write is allowed
        assert keys(engine) == [b"a", b"b"]

    def test_a_cleared_batch_writes_nothing(self, engine):
        batch = engine.batch()
        batch.put(CF_DEFAULT, b"a", b"1")
        batch.clear()
        assert len(batch) == 0
        engine.write(batch)
        assert keys(engine) == []

    def test_length_counts_operations_and_size_grows_with_the_data(self, engine):
        batch = engine.batch()
        assert (len(batch), batch.size_bytes) == (0, 0)
        batch.put(CF_DEFAULT, b"k" * 100, b"v" * 1000)
        batch.delete(CF_RAFT, b"k")
        batch.delete_range(CF_RAFT, b"a", b"z")
        assert len(batch) == 3
        assert 1103 <= batch.size_bytes < 1303

    @pytest.mark.parametrize(
        ("start", "end", "left"),
        [
            (b"", None, []),
            (b"", b"", ORDER),
            (b"c", b"a", ORDER),
            (b"b", b"b", ORDER),
            (b"", b"a", ORDER[1:]),
            (b"b", b"c", [b"", b"a", b"c", b"\xff\xff"]),
            (b"b", b"b\x00", [b"", b"a", b"b\x00", b"c", b"\xff\xff"]),
            (b"c", None, ORDER[:4]),
        ],
    )
    def test_delete_range(self, engine, start, end, left):
        put_all(engine, ROWS)
        put_all(engine, ROWS, CF_WRITE)
        batch = engine.batch()
        batch.delete_range(CF_DEFAULT, start, end)
        assert len(batch) == (left != ORDER)
        engine.write(batch)
        assert keys(engine) == left
        assert keys(engine, reverse=True) == left[::-1]
        assert [key for key in ORDER if engine.get(CF_DEFAULT, key) is not None] == left
        assert keys(engine, cf=CF_WRITE) == ORDER
        put_all(engine, ROWS)
        assert keys(engine) == ORDER

    def test_a_range_to_the_end_takes_even_the_greatest_key(self, engine):
        greatest = b"\xff" * KEY_SIZE_BYTES_MAX
        put_all(engine, {b"a": b"", greatest: b""})
        batch = engine.batch()
        batch.delete_range(CF_DEFAULT, b"b", None)
        engine.write(batch)
        assert keys(engine) == [b"a"]

    # --- scans ---

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("limit", [None, 0, 1, 2, 100])
    @pytest.mark.parametrize(
        ("start", "end"), [(b"", None), (b"", b""), (b"a", b"c"), (b"a\x00", b"b\x01"), (b"c", b"a"), (b"d", None)]
    )
    def test_a_scan_is_the_sorted_rows_of_its_range(self, engine, start, end, limit, reverse):
        put_all(engine, ROWS)
        expected = [(k, ROWS[k]) for k in ORDER if k >= start and (end is None or k < end)]
        expected = (expected[::-1] if reverse else expected)[:limit]
        assert list(engine.scan(CF_DEFAULT, start, end, reverse=reverse, limit=limit)) == expected
        with engine.snapshot() as snapshot:
            assert list(snapshot.scan(CF_DEFAULT, start, end, reverse=reverse, limit=limit)) == expected
        no_values = engine.scan(CF_DEFAULT, start, end, reverse=reverse, limit=limit, keys_only=True)
        assert list(no_values) == [(key, b"") for key, _ in expected]

    @pytest.mark.parametrize("count", [63, 64, 65, 128, 1000])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_long_scans_lose_no_row_at_inner_boundaries(self, engine, count, reverse):
        rows = {b"%06d" % i: b"%d" % i for i in range(count)}
        put_all(engine, rows)
        expected = sorted(rows.items(), reverse=reverse)
        assert list(engine.scan(CF_DEFAULT, b"", None, reverse=reverse)) == expected
        for limit in (64, 65, 128, count - 1, count, count + 1):
            assert list(engine.scan(CF_DEFAULT, b"", None, reverse=reverse, limit=limit)) == expected[:limit]
        inner = [row for row in expected if b"000010" <= row[0] < b"000060"]
        assert list(engine.scan(CF_DEFAULT, b"000010", b"000060", reverse=reverse)) == inner

    def test_a_scan_shows_the_moment_of_its_call(self, engine):
        rows = {b"%04d" % i: b"old" for i in range(300)}
        put_all(engine, rows)
        scan = engine.scan(CF_DEFAULT, b"", None)
        first = next(scan)
        late = engine.scan(CF_DEFAULT, b"", None)
        batch = engine.batch()
        batch.delete_range(CF_DEFAULT, b"0100", b"0200")
        batch.put(CF_DEFAULT, b"0000a", b"new")
        batch.put(CF_DEFAULT, b"0299", b"new")
        engine.write(batch)
        assert [first, *scan] == sorted(rows.items())
        assert list(late) == sorted(rows.items())

    # --- snapshots ---

    def test_a_snapshot_stays_at_its_moment_over_all_families(self, engine):
        put_all(engine, ROWS)
        put_all(engine, {b"k": b"before"}, CF_WRITE)
        with engine.snapshot() as snapshot:
            batch = engine.batch()
            batch.delete_range(CF_DEFAULT, b"", None)
            batch.put(CF_DEFAULT, b"z", b"late")
            batch.put(CF_WRITE, b"k", b"after")
            batch.put(CF_LOCK, b"k", b"after")
            engine.write(batch)
            assert keys(snapshot) == ORDER
            assert keys(snapshot, reverse=True) == ORDER[::-1]
            assert snapshot.get(CF_DEFAULT, b"z") is None
            assert snapshot.get(CF_DEFAULT, b"") == b"empty key"
            assert snapshot.multi_get(CF_WRITE, [b"k", b"x"]) == [b"before", None]
            assert snapshot.get(CF_LOCK, b"k") is None
            with engine.snapshot() as later:
                assert keys(later) == [b"z"]
        assert keys(engine) == [b"z"]

    def test_a_closed_snapshot_refuses_and_closes_again(self, engine):
        put_all(engine, ROWS)
        snapshot = engine.snapshot()
        rest = snapshot.scan(CF_DEFAULT, b"", None)
        snapshot.close()
        snapshot.close()
        with pytest.raises(EngineClosed):
            snapshot.get(CF_DEFAULT, b"")
        with pytest.raises(EngineClosed):
            snapshot.scan(CF_DEFAULT, b"", None)
        with pytest.raises(EngineClosed):
            next(rest)

    def test_another_thread_may_read_and_close_a_snapshot(self, engine):
        put_all(engine, {b"%05d" % i: b"old" for i in range(2000)})
        snapshot = engine.snapshot()
        seen: list[set[bytes]] = []
        first_writes_done = threading.Event()

        def read() -> None:
            first_writes_done.wait(30)
            with snapshot:
                for _ in range(5):
                    seen.append({value for _, value in snapshot.scan(CF_DEFAULT, b"", None)})

        reader = threading.Thread(target=read)
        reader.start()
        for i in range(2000):
            put_all(engine, {b"%05d" % i: b"new", b"x%d" % i: b"new"})
            if i == 100:
                first_writes_done.set()
        reader.join(30)
        assert seen == [{b"old"}] * 5

    def test_scans_of_one_snapshot_do_not_disturb_each_other(self, engine):
        rows = {b"%04d" % i: b"%d" % i for i in range(200)}
        put_all(engine, rows)
        with engine.snapshot() as snapshot:
            up, down = snapshot.scan(CF_DEFAULT, b"", None), snapshot.scan(CF_DEFAULT, b"", None, reverse=True)
            pairs = list(zip(up, down, strict=True))
        assert [pair[0] for pair in pairs] == sorted(rows.items())
        assert [pair[1] for pair in pairs] == sorted(rows.items(), reverse=True)

    # --- durability, closing, numbers ---

    def test_sync_in_another_thread_beside_writes(self, engine):
        stop = threading.Event()
        failures: list[BaseException] = []

        def sync_until_stopped() -> None:
            try:
                while not stop.is_set():
                    engine.sync()
            except BaseException as error:
                failures.append(error)

        syncer = threading.Thread(target=sync_until_stopped)
        syncer.start()
        for i in range(500):
            put_all(engine, {b"%04d" % i: b"v"})
        stop.set()
        syncer.join(30)
        assert not failures
        assert len(keys(engine)) == 500

    def test_a_closed_engine_keeps_its_data_for_the_next(self, make):
        engine = make()
        put_all(engine, ROWS)
        put_all(engine, {b"k": b"v"}, CF_RAFT)
        engine.close()
        engine.close()
        again = make()
        assert dict(again.scan(CF_DEFAULT, b"", None)) == ROWS
        assert again.get(CF_RAFT, b"k") == b"v"
        again.close()

    def test_a_closed_engine_refuses_and_has_let_go_of_everything(self, make):
        engine = make()
        put_all(engine, {b"%04d" % i: b"" for i in range(300)})
        batch, snapshot, scan = engine.batch(), engine.snapshot(), engine.scan(CF_DEFAULT, b"", None)
        next(scan)
        engine.close()
        for call in (
            lambda: engine.get(CF_DEFAULT, b""),
            lambda: engine.multi_get(CF_DEFAULT, [b""]),
            lambda: engine.scan(CF_DEFAULT, b"", None),
            lambda: engine.write(batch),
            engine.sync,
            engine.batch,
            engine.snapshot,
            engine.stats,
            lambda: snapshot.get(CF_DEFAULT, b""),
            lambda: list(scan),
        ):
            with pytest.raises(EngineClosed):
                call()
        again = make()  # while the batch, the snapshot and the scan are still referenced
        assert len(keys(again)) == 300
        again.close()

    def test_the_approximate_size_follows_the_data(self, engine):
        assert engine.approximate_size_bytes(CF_DEFAULT, b"", None) == 0
        put_all(engine, {b"a%03d" % i: b"v" * 96 for i in range(200)})
        put_all(engine, {b"b%03d" % i: b"v" * 96 for i in range(100)})
        assert engine.approximate_size_bytes(CF_DEFAULT, b"", None) == 30_000
        assert engine.approximate_size_bytes(CF_DEFAULT, b"a", b"b") == 20_000
        assert engine.approximate_size_bytes(CF_DEFAULT, b"c", None) == 0
        assert engine.approximate_size_bytes(CF_LOCK, b"", None) == 0

    def test_a_bulk_load_shows_its_rows_at_once_when_it_is_finished(self, engine, make):
        put_all(engine, {b"a": b"1", b"x": b"2"})
        load = engine.bulk_load()
        load.add(CF_DEFAULT, [(b"b%04d" % i, b"v" * 100) for i in range(500)])
        load.add(CF_DEFAULT, [(b"c%04d" % i, b"") for i in range(500)])
        load.add(CF_WRITE, [(b"", b"empty key")])
        before = engine.snapshot()
        assert keys(engine) == [b"a", b"x"]
        load.finish()
        assert len(keys(engine)) == 1002
        assert engine.get(CF_DEFAULT, b"b0007") == b"v" * 100
        assert engine.get(CF_WRITE, b"") == b"empty key"
        assert keys(before) == [b"a", b"x"]
        before.close()
        put_all(engine, {b"b0007": b"new"})
        load.abandon()
        engine.close()
        again = make()
        assert (len(keys(again)), again.get(CF_DEFAULT, b"b0007")) == (1002, b"new")
        again.close()

    def test_a_bulk_load_wins_over_what_was_deleted_before_it(self, engine):
        put_all(engine, {b"b": b"old", b"c": b"old"})
        batch = engine.batch()
        batch.delete_range(CF_DEFAULT, b"a", b"z")
        engine.write(batch)
        load = engine.bulk_load()
        load.add(CF_DEFAULT, [(b"b", b"new")])
        load.finish()
        assert list(engine.scan(CF_DEFAULT, b"", None)) == [(b"b", b"new")]
        batch.delete_range(CF_DEFAULT, b"a", b"z")
        engine.write(batch)
        assert keys(engine) == []

    def test_an_abandoned_bulk_load_leaves_nothing(self, engine, make):
        for _ in range(2):
            load = engine.bulk_load()
            load.add(CF_DEFAULT, [(b"a", b"1")])
            load.abandon()
            load.abandon()
        load = engine.bulk_load()
        load.add(CF_DEFAULT, [(b"b", b"2")])
        engine.close()
        again = make()
        assert keys(again) == []
        load = again.bulk_load()
        load.add(CF_DEFAULT, [(b"c", b"3")])
        load.finish()
        assert keys(again) == [b"c"]
        again.close()

    def test_an_empty_bulk_load_is_finished_without_effect(self, engine):
        load = engine.bulk_load()
        load.add(CF_DEFAULT, [])
        load.finish()
        assert keys(engine) == []

    def test_a_bulk_load_into_an_unknown_family_is_refused(self, engine):
        with pytest.raises(ValueError, match="unknown column family"):
            engine.bulk_load().add("nope", [(b"a", b"1")])

    def test_a_range_reader_gives_the_rows_of_its_moment_once_and_in_order(self, engine):
        put_all(engine, {b"%04d" % i: b"v%d" % i for i in range(500)})
        put_all(engine, ROWS, CF_WRITE)
        reader = engine.range_reader(b"0100", b"0400")
        batch = engine.batch()
        batch.delete(CF_DEFAULT, b"0200")
        batch.put(CF_DEFAULT, b"0200x", b"later")
        batch.delete_range(CF_DEFAULT, b"0300", b"0350")
        engine.write(batch)
        found = [reader.take(CF_DEFAULT, 100) for _ in range(4)]
        assert [len(rows) for rows in found] == [100, 100, 100, 0]
        assert [row for rows in found for row in rows] == [(b"%04d" % i, b"v%d" % i) for i in range(100, 400)]
        assert reader.take(CF_WRITE, 10) == []
        whole = engine.range_reader(b"", None)
        assert whole.take(CF_WRITE, 4) + whole.take(CF_WRITE, 4) == [(key, ROWS[key]) for key in ORDER]
        with pytest.raises(ValueError, match="unknown column family"):
            whole.take("nope", 1)
        whole.close()
        whole.close()
        with pytest.raises(EngineClosed):
            whole.take(CF_WRITE, 1)
        engine.close()
        with pytest.raises(EngineClosed):
            reader.take(CF_WRITE, 1)

    def test_range_readers_keep_to_their_bounds_whatever_else_is_read_and_written(self, engine):
        put_all(engine, {b"%04d" % i: b"v" * 90 for i in range(2000)})
        for low in range(0, 1900, 20):
            reader = engine.range_reader(b"%04d" % low, b"%04d" % (low + 75))
            scan = engine.scan(CF_DEFAULT, b"%04d" % low, b"%04d" % (low + 75))
            others = [engine.scan(CF_DEFAULT, bytes([i]) * 4, bytes([i + 1]) * 4) for i in range(40)]
            put_all(engine, {bytes([i]) * 4: b"x" for i in range(1, 40)}, CF_LOCK)
            found = [key for _ in range(3) for key, _ in reader.take(CF_DEFAULT, 30)]
            assert found == [b"%04d" % i for i in range(low, low + 75)]
            assert [key for key, _ in scan] == found
            assert [list(other) for other in others] == [[]] * 40
            reader.close()

    def test_a_range_reader_of_a_closed_engine_leaves_the_directory_free(self, engine, make):
        put_all(engine, ROWS)
        reader = engine.range_reader(b"", None)
        assert len(reader.take(CF_DEFAULT, 2)) == 2
        engine.close()
        again = make()
        assert len(keys(again)) == len(ROWS)
        again.close()

    def test_an_engine_at_rest_owes_little(self, engine):
        put_all(engine, {b"k": b"v" * 5000})
        pressure = engine.pressure()
        assert (pressure.unflushed_memtables, pressure.level0_files, pressure.pending_compaction_bytes) == (0, 0, 0)

    def test_stats_have_the_promised_keys(self, engine):
        put_all(engine, {b"k": b"v" * 5000})
        stats = engine.stats()
        assert tuple(stats) == STATS_KEYS
        assert stats["memtable_bytes"] >= 5000
        assert all(isinstance(number, int) and number >= 0 for number in stats.values())
