"""The engine on RocksDB: the contract, damage, locks, what survives, and closing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flaredb.engine.base import (
    ALL_CFS,
    CF_DEFAULT,
    CF_LOCK,
    CF_WRITE,
    Engine,
    EngineCorrupted,
    EngineError,
    EngineFailed,
    EngineLocked,
)
from flaredb.engine.rocks import RocksEngine, open_rocks
from flaredb.engine.rocks_options import RocksOptions
from flaredb.engine.rocks_size import Span, file_numbers, size_in_range
from tests.engine.contract import EngineContract, keys, put_all
from tests.engine.killed import kill


class TestContract(EngineContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: open_rocks(tmp_path / "db")


def random_rows(count: int) -> dict[bytes, bytes]:
    """Values that do not compress, so that a file's middle lies in its data blocks."""
    return {b"%06d" % i: bytes((i * 7919 + j * j * 31) % 251 for j in range(64)) for i in range(count)}


def cut_power_after(path: Path, batches: int) -> Path:
    """Write and sync batches, then copy the directory of the running engine: what a power cut would leave."""
    engine = open_rocks(path)
    for i in range(batches):
        put_all(engine, {b"%06d" % i: b"v" * 100})
    copy = path.with_name("copy")
    kill(engine, copy)
    return copy


def flip_a_bit(file: Path, where: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(len(data) * where)] ^= 0x10
    file.write_bytes(data)


def only_log(path: Path) -> Path:
    (log,) = [file for file in path.glob("*.log") if file.stat().st_size]
    return log


def test_synced_batches_are_in_the_files_before_any_close(tmp_path):
    engine = open_rocks(cut_power_after(tmp_path / "db", 100))
    assert len(keys(engine)) == 100
    engine.close()


def test_a_flipped_bit_in_the_middle_of_the_log_refuses_to_open_and_says_what_to_do(tmp_path):
    copy = cut_power_after(tmp_path / "db", 1000)
    log = only_log(copy)
    flip_a_bit(log, 0.5)
    with pytest.raises(EngineCorrupted) as refused:
        open_rocks(copy)
    for part in (str(copy), log.name, "must not serve", "new one on an empty directory"):
        assert part in str(refused.value)


def test_a_torn_tail_of_the_log_is_an_ordinary_power_cut(tmp_path):
    """The write that was on its way is gone, and nothing that was synced."""
    engine = open_rocks(tmp_path / "db")
    for i in range(999):
        put_all(engine, {b"%06d" % i: b"v" * 100})
    batch = engine.batch()
    batch.put(CF_DEFAULT, b"000999", b"v" * 100)
    engine.write(batch)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "db", copy)
    engine.close()
    log = only_log(copy)
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 37)
    engine = open_rocks(copy)
    assert keys(engine) == [b"%06d" % i for i in range(999)]
    engine.close()


def test_what_recovery_found_is_durable_after_open(tmp_path):
    copy = cut_power_after(tmp_path / "db", 100)
    engine = open_rocks(copy)
    second = tmp_path / "second"
    kill(engine, second)
    for log in second.glob("*.log"):  # a second power cut that takes the whole unsynced log
        log.write_bytes(b"")
    again = open_rocks(second)
    assert len(keys(again)) == 100
    again.close()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_damaged_table_file_raises_and_never_shortens_a_scan(tmp_path, reverse):
    engine = open_rocks(tmp_path / "db")
    put_all(engine, random_rows(5000))
    engine.flush()
    engine.close()
    (table,) = (tmp_path / "db").glob("*.sst")
    flip_a_bit(table, 0.4)
    engine = open_rocks(tmp_path / "db")
    with pytest.raises(EngineCorrupted, match=table.name):
        list(engine.scan(CF_DEFAULT, b"", None, reverse=reverse))
    with pytest.raises(EngineCorrupted, match=table.name):
        [engine.get(CF_DEFAULT, b"%06d" % i) for i in range(5000)]
    reader = engine.range_reader(b"", None)
    with pytest.raises(EngineCorrupted, match=table.name):
        [rows for _ in range(100) if len(rows := reader.take(CF_DEFAULT, 100)) == 100]
    with pytest.raises(EngineCorrupted, match=table.name):
        engine.multi_get(CF_DEFAULT, [b"%06d" % i for i in range(5000)])
    with engine.snapshot() as snapshot:
        with pytest.raises(EngineCorrupted, match=table.name):
            list(snapshot.scan(CF_DEFAULT, b"", None, reverse=reverse))
        with pytest.raises(EngineCorrupted, match=table.name):
            [snapshot.get(CF_DEFAULT, b"%06d" % i) for i in range(5000)]
    engine.close()


@pytest.mark.parametrize("name", ["MANIFEST-*", "CURRENT"])
def test_a_damaged_or_missing_description_refuses_to_open(tmp_path, name):
    copy = cut_power_after(tmp_path / "db", 10)
    (file,) = copy.glob(name)
    if name == "CURRENT":
        file.unlink()
    else:
        flip_a_bit(file, 0.5)
    with pytest.raises(EngineCorrupted, match=str(copy)):
        open_rocks(copy)


def test_a_second_engine_of_this_process_is_refused(tmp_path):
    engine = open_rocks(tmp_path / "db")
    with pytest.raises(EngineLocked, match=str(tmp_path / "db")):
        open_rocks(tmp_path / "db")
    engine.close()
    open_rocks(tmp_path / "db").close()


def test_another_process_is_refused_and_told_the_path(tmp_path):
    program = (
        "import sys\n"
        "from flaredb.engine.base import EngineLocked\n"
        "from flaredb.engine.rocks import open_rocks\n"
        "try:\n    open_rocks(sys.argv[1])\n"
        "except EngineLocked as refused:\n    print(refused)\n"
    )
    engine = open_rocks(tmp_path / "db")
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path / "db")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    engine.close()
    assert f"{tmp_path / 'db'}: in use by another process" in result.stdout


def test_a_path_that_cannot_hold_a_database_names_itself(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a directory")
    with pytest.raises(EngineError, match=str(file)):
        open_rocks(file)


class FailingDatabase:
    """Stands before the library and refuses one kind of call, as a full or broken disk would."""

    def __init__(self, real, refuses: str) -> None:
        self._real, self._refuses = real, refuses

    def __getattr__(self, name):
        if name == self._refuses:
            return self._fail
        return getattr(self._real, name)

    def _fail(self, *_):
        raise Exception("IO error: No space left on device")


@pytest.mark.parametrize("refuses", ["write", "flush_wal"])
def test_one_failed_write_or_sync_stops_everything_until_a_new_open(tmp_path, refuses):
    engine = open_rocks(tmp_path / "db")
    real = engine._database
    engine._database = FailingDatabase(real, refuses)
    batch = engine.batch()

    def write_and_sync() -> None:
        put_all(engine, {b"k": b"v"})
        engine.sync()

    with pytest.raises(EngineFailed, match="No space left on device"):
        write_and_sync()
    engine._database = real
    for call in (
        engine.sync,
        lambda: engine.write(batch),
        lambda: engine.get(CF_DEFAULT, b"k"),
        lambda: engine.scan(CF_DEFAULT, b"", None),
        engine.batch,
        engine.snapshot,
    ):
        with pytest.raises(EngineFailed, match="the process must stop"):
            call()
    engine.close()
    open_rocks(tmp_path / "db").close()


def test_a_close_that_cannot_flush_says_so_and_still_lets_the_directory_go(tmp_path):
    engine = open_rocks(tmp_path / "db")
    put_all(engine, {b"k": b"v"})
    engine.sync()
    engine._database.cancel_all_background(True)
    with pytest.raises(EngineFailed, match="the last flush failed") as refused:
        engine.close()
    engine.close()
    again = open_rocks(tmp_path / "db")  # while the error and the engine are still referenced
    assert again.get(CF_DEFAULT, b"k") == b"v"
    again.close()
    assert str(tmp_path / "db") in str(refused.value)


def test_a_batch_of_another_engine_is_refused(tmp_path):
    from flaredb.engine.memory import MemoryEngine

    engine, memory = open_rocks(tmp_path / "db"), MemoryEngine()
    with pytest.raises(TypeError, match="belongs to another engine"):
        engine.write(memory.batch())
    with pytest.raises(TypeError, match="belongs to another engine"):
        memory.write(engine.batch())
    engine.close()


def test_deleted_ranges_stay_deleted_through_flush_and_reopen_and_under_a_snapshot(tmp_path):
    engine: RocksEngine = open_rocks(tmp_path / "db")
    rows = random_rows(3000)
    put_all(engine, rows)
    engine.flush()
    snapshot = engine.snapshot()
    batch = engine.batch()
    batch.delete_range(CF_DEFAULT, b"000500", b"002500")
    batch.put(CF_DEFAULT, b"001000", b"again")
    engine.write(batch)
    left = [key for key in sorted(rows) if not b"000500" <= key < b"002500" or key == b"001000"]
    for _ in range(2):
        assert keys(engine) == left
        assert keys(engine, reverse=True) == left[::-1]
        assert keys(snapshot) == sorted(rows)
        engine.flush()
    snapshot.close()
    engine.close()
    again = open_rocks(tmp_path / "db")
    assert keys(again) == left
    again.close()


def test_the_size_estimate_of_large_ranges_counts_files_and_memtables_of_one_family(tmp_path):
    engine = open_rocks(tmp_path / "db", RocksOptions(compression="none"))
    rows = random_rows(20_000)
    total = sum(len(key) + len(value) for key, value in rows.items())
    put_all(engine, rows)
    put_all(engine, rows, CF_WRITE)
    for _ in range(2):  # in memtables, then in files
        assert 0.7 * total < engine.approximate_size_bytes(CF_DEFAULT, b"", None) < 2 * total
        half = engine.approximate_size_bytes(CF_DEFAULT, b"005000", b"015000")
        assert 0.3 * total < half < 1.2 * total
        engine.flush()
    assert engine.approximate_size_bytes(CF_LOCK, b"", None) == 0
    stats = engine.stats()
    assert stats["sst_bytes"] > total
    assert stats["level0_files_max"] == 1
    engine.close()


def test_stats_see_the_write_ahead_log(tmp_path):
    engine = open_rocks(tmp_path / "db")
    before = engine.stats()["wal_bytes"]
    put_all(engine, {b"k": b"v" * 100_000})
    engine.sync()
    assert engine.stats()["wal_bytes"] - before >= 100_000
    engine.close()


def test_the_column_families_of_the_database_are_ours_alone(tmp_path):
    import rocksdict  # noqa: TID251  (looks at the files from outside)

    open_rocks(tmp_path / "db").close()
    assert sorted(rocksdict.Rdict.list_cf(str(tmp_path / "db"))) == sorted(ALL_CFS)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"write_buffer_size_bytes": 1 << 40}, "write_buffers_size_bytes"),
        ({"level0_slowdown_files": 3}, "slowdown"),
        ({"compression": "gzip"}, "gzip"),
        ({"background_jobs_max": 1}, "background_jobs_max"),
    ],
)
def test_contradicting_options_are_refused_before_anything_is_created(tmp_path, wrong, names):
    with pytest.raises(ValueError, match=names):
        open_rocks(tmp_path / "db", RocksOptions(**wrong))
    assert not (tmp_path / "db").exists()


def test_small_buffers_do_not_stall_a_burst(tmp_path):
    """Far more files and memtables than RocksDB's own brakes allow by default; a stall would time out."""
    options = RocksOptions(write_buffer_size_bytes=64 * 1024, write_buffers_size_bytes=128 * 1024)
    engine = open_rocks(tmp_path / "db", options)
    for i in range(2000):
        put_all(engine, {b"%06d" % (i * 7 % 2000): bytes(1024)})
    assert len(keys(engine)) == 2000
    engine.close()


# --- the size estimate, as a table ---


@pytest.mark.parametrize(
    ("what", "start", "end", "expected"),
    [
        ("whole file inside", b"", None, 1000),
        ("below", b"", b"k0", 0),
        ("above", b"k9z", None, 0),
        ("up to a third", b"", b"k3", 333),
        ("from a third", b"k3", None, 667),
        ("decimal digits count decimally", b"k2", b"k25", 55),
        ("empty range inside", b"k4", b"k4", 0),
    ],
)
def test_share_of_a_file(what, start, end, expected):
    assert size_in_range([Span(b"k0", b"k9", 1000)], start, end) == pytest.approx(expected, abs=2), what


def test_file_numbers_of_the_table_property():
    text = (
        "--- level 0 ---\n 11:15394324[101002 .. 300001]['30' seq:1, type:1 .. '39' seq:2, type:1](0)\n 9:1[1 .. 2]\n"
    )
    assert file_numbers(text) == {11, 9}


def test_what_a_bulk_load_took_in_survives_a_power_cut_and_leaves_no_file_behind(tmp_path):
    engine = open_rocks(tmp_path / "db", RocksOptions(sst_file_size_bytes=10_000))
    put_all(engine, {b"before": b"1"})
    load = engine.bulk_load()
    rows = list(random_rows(1_000).items())
    for at in range(0, 1_000, 100):
        load.add(CF_DEFAULT, rows[at : at + 100])
    load.finish()
    copy = tmp_path / "copy"
    kill(engine, copy)
    again = open_rocks(copy)
    assert list(again.scan(CF_DEFAULT, b"0", b"a")) == rows
    assert again.get(CF_DEFAULT, b"before") == b"1"
    assert list((copy / "loading").iterdir()) == []
    again.close()


def test_tables_of_a_load_that_a_crash_ended_are_deleted(tmp_path):
    engine = open_rocks(tmp_path / "db", RocksOptions(sst_file_size_bytes=100))
    load = engine.bulk_load()
    for key in (b"a", b"b", b"c"):
        load.add(CF_DEFAULT, [(key, b"v" * 200)])
    copy = tmp_path / "copy"
    kill(engine, copy)
    assert len(list((copy / "loading").iterdir())) == 3
    again = open_rocks(copy)
    assert keys(again) == []
    assert list((copy / "loading").iterdir()) == []
    again.close()


def test_a_bulk_load_that_cannot_be_written_fails_the_engine(tmp_path):
    engine = open_rocks(tmp_path / "db")
    (tmp_path / "db" / "loading").rmdir()
    with pytest.raises(EngineFailed, match="the process must stop"):
        engine.bulk_load().add(CF_DEFAULT, [(b"a", b"1")])
    with pytest.raises(EngineFailed):
        engine.get(CF_DEFAULT, b"a")
    engine.close()
