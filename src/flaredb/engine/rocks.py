"""The engine on RocksDB. The only file that imports rocksdict.

What the library does that this file works around (rocksdict 0.3.29):

- Its `items()` and `keys()` end silently at a corrupt block, and reads by `ReadOptions` ignore the lower
  bound. So scans drive the raw iterator and ask its status when it ends.
- Iterators of its `Snapshot` show the present, not the snapshot; only its gets are right. But every iterator
  is pinned to the moment of its creation. So our snapshot makes one per family and its scans share them.
- A write batch is spent once written. Our batch makes a new one.
- A range with start > end poisons the database for every later write. Our batch drops empty ranges.
- An upper bound lives in its `ReadOptions`, and an iterator does not keep them: once they are gone it ends anywhere.
  So whoever holds an iterator with a bound holds its options, and lets go of them last.
- `next()` on an iterator that is not valid crashes the process.
- Column family handles, iterators and snapshots keep the database and its LOCK alive after `close()`; they
  even keep answering. So everything handed out is tracked and let go first.
- `close()` flushes, raises when that fails, and then keeps the directory until its last reference is gone.
- `write` holds the interpreter lock, `flush_wal` releases it. Hence unsynced writes plus `flush_wal(True)`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn, Self
from weakref import WeakSet

import rocksdict as rd

from flaredb.engine.base import (
    ALL_CFS,
    CF_DEFAULT,
    CF_META,
    CF_RAFT,
    KEY_SIZE_BYTES_MAX,
    STATS_KEYS,
    EngineClosed,
    EngineFailed,
    Pressure,
    WriteBatch,
)
from flaredb.engine.rocks_errors import (
    check_logs,
    file_size_bytes,
    raise_open_error,
    raise_read_error,
    wal_files,
)
from flaredb.engine.rocks_load import LOADING_DIRECTORY, RocksLoad, clear_loading
from flaredb.engine.rocks_mark import SyncMark
from flaredb.engine.rocks_options import RocksOptions
from flaredb.engine.rocks_range import RocksRangeReader
from flaredb.engine.rocks_scan import ByName, Reader
from flaredb.engine.rocks_size import Span, file_numbers, size_in_range

_ABOVE_EVERY_KEY = b"\xff" * (KEY_SIZE_BYTES_MAX + 1)
_COUNTED_ROWS_MAX = 1_000
_MEMTABLE_ROWS = ("rocksdb.num-entries-active-mem-table", "rocksdb.num-entries-imm-mem-tables")
_READ_AHEAD_BYTES = 256 * 1024
_RECORD_HEADER_BYTES = 12
_NO_BLOOM_CFS = frozenset((CF_RAFT, CF_META))  # read by scans and by keys that exist


def open_rocks(path: str | os.PathLike[str], options: RocksOptions | None = None) -> RocksEngine:
    """Open the engine in directory `path`, creating it where missing.

    Post:   what is found is durable: the log is replayed and flushed to table files before this returns.
    Errors: EngineLocked, EngineCorrupted, EngineError (the message names the path); ValueError for options
            that contradict each other.
    """
    options = options or RocksOptions()
    options.validate()
    directory = os.fspath(path)
    opened: list[SyncMark | rd.Rdict] = []
    try:
        os.makedirs(directory, exist_ok=True)
        clear_loading(directory)
        check_logs(directory)
        mark = SyncMark(directory, options.mark_every_s)
        opened.append(mark)
        mark.check_files()
        families = _family_options(options)
        database = rd.Rdict(directory, _database_options(options), families)
        opened.append(database)
        mark.check_sequence(database.latest_sequence_number())
    except Exception as error:
        for open_file in opened:
            open_file.close()
        raise_open_error(directory, error)
    return RocksEngine(directory, database, families, options.sst_file_size_bytes, mark)


class RocksBatch:
    """A `WriteBatch` over the library's own, which lies beside the families' handles."""

    __slots__ = ("_handles", "native")

    def __init__(self, handles: dict[str, Any]) -> None:
        self._handles = handles
        self.native = rd.WriteBatch(raw_mode=True)

    def put(self, cf: str, key: bytes, value: bytes) -> None:
        if len(key) > KEY_SIZE_BYTES_MAX:
            raise ValueError(f"key of {len(key)} bytes; the engine takes at most {KEY_SIZE_BYTES_MAX}")
        self.native.put(key, value, self._handles[cf])

    def delete(self, cf: str, key: bytes) -> None:
        self.native.delete(key, self._handles[cf])

    def delete_range(self, cf: str, start: bytes, end: bytes | None) -> None:
        handle = self._handles[cf]
        if end is None:
            end = _ABOVE_EVERY_KEY
        if start < end:
            self.native.delete_range(start, end, handle)

    def __len__(self) -> int:
        return int(self.native.len())

    @property
    def size_bytes(self) -> int:
        return int(self.native.size_in_bytes()) - _RECORD_HEADER_BYTES

    def clear(self) -> None:
        self.native = rd.WriteBatch(raw_mode=True)


class RocksSnapshot(Reader):
    """A library snapshot for gets and a pinned iterator for scans, of each column family.

    All show the same moment because the owner alone writes, and takes snapshots (contract, 5).
    """

    _SHARED_ITERATORS = True
    __slots__ = ("__weakref__", "_engine", "_iterators")

    def __init__(self, engine: RocksEngine, families: ByName) -> None:
        super().__init__(engine.path, ByName((cf, family.snapshot()) for cf, family in families.items()))
        self._iterators = ByName((cf, family.iter(rd.ReadOptions())) for cf, family in families.items())
        self._engine: RocksEngine | None = engine

    def get(self, cf: str, key: bytes) -> bytes | None:
        self._check_usable()
        source = self._sources[cf]
        try:
            return source[key]  # type: ignore[no-any-return]
        except Exception as error:
            if error.args == ("key not found",):
                return None
            raise_read_error(self.path, error)

    def multi_get(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(cf, key) for key in keys]

    def close(self) -> None:
        self._engine = None
        self._drop_scans()
        self._sources = ByName()
        self._iterators = ByName()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self._engine is None:
            raise EngineClosed(f"{self.path}: the snapshot is closed")
        self._engine._check_usable()

    def _iterator(self, cf: str, end: bytes | None) -> tuple[Any, Any]:  # noqa: ARG002
        return self._iterators[cf], None


def _once(end: bytes | None) -> Any:
    """Options of a read that nobody repeats: it leaves the block cache to others."""
    options = rd.ReadOptions()
    options.fill_cache(False)  # type: ignore[call-arg]  # its stub lacks the argument
    options.set_readahead_size(_READ_AHEAD_BYTES)
    if end is not None:
        options.set_iterate_upper_bound(end)
    return options


class RocksEngine(Reader):
    """An `Engine` in a directory. Made by `open_rocks`."""

    __slots__ = (
        "_database",
        "_failure",
        "_family_options",
        "_handles",
        "_mark",
        "_snapshots",
        "_sync_lock",
        "_table_size_bytes",
    )

    def __init__(
        self, path: str, database: Any, family_options: dict[str, Any], table_size_bytes: int, mark: SyncMark
    ) -> None:
        super().__init__(path, ByName((cf, database.get_column_family(cf)) for cf in ALL_CFS))
        self._database: Any | None = database
        self._mark = mark
        self._family_options = ByName(family_options)
        self._table_size_bytes = table_size_bytes
        self._handles = ByName((cf, database.get_column_family_handle(cf)) for cf in ALL_CFS)
        self._snapshots: WeakSet[RocksSnapshot | RocksRangeReader] = WeakSet()
        self._failure = ""
        self._sync_lock = threading.Lock()  # held by a running sync; close waits for it

    def get(self, cf: str, key: bytes) -> bytes | None:
        if self._failure:
            self._check_usable()
        source = self._sources[cf]
        try:
            return source.get(key)  # type: ignore[no-any-return]
        except Exception as error:
            raise_read_error(self.path, error)

    def multi_get(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        self._check_usable()
        source = self._sources[cf]
        try:
            return source.get(list(keys)) if keys else []
        except Exception as error:
            raise_read_error(self.path, error)

    def batch(self) -> RocksBatch:
        self._check_usable()
        return RocksBatch(self._handles)

    def write(self, batch: WriteBatch) -> None:
        database = self._check_usable()
        if not isinstance(batch, RocksBatch):
            raise TypeError(f"a {type(batch).__name__} belongs to another engine")
        native = batch.native
        batch.clear()
        try:
            database.write(native)
        except Exception as error:
            self._fail("write", error)

    def bulk_load(self) -> RocksLoad:
        self._check_usable()
        return RocksLoad(
            os.path.join(self.path, LOADING_DIRECTORY), self._table_size_bytes, self._table_writer, self._take_tables
        )

    def _table_writer(self, cf: str, path: str, is_first: bool) -> Any:
        """A writer of one table file. A memtable may hold older deletions of the range, and taking tables in then waits
        for its flush: begun with the first table of a family, it is over by then."""
        self._check_usable()
        writer = rd.SstFileWriter(self._family_options[cf])
        try:
            if is_first:
                self._sources[cf].flush(False)
            writer.open(path)
        except Exception as error:
            self._fail("bulk load", error)
        return writer

    def _take_tables(self, tables: dict[str, list[str]], error: Exception | None) -> None:
        """Make table files part of the data; with an error, fail: they could not be written."""
        if error is not None:
            self._fail("bulk load", error)
        self.sync()  # what is taken in is durable at once, so everything before it must be
        how = rd.IngestExternalFileOptions()
        how.set_move_files(True)
        try:
            for cf, paths in tables.items():
                self._sources[cf].ingest_external_file(paths, how)
        except Exception as trouble:
            self._fail("bulk load", trouble)

    def sync(self) -> None:
        with self._sync_lock:
            database = self._check_usable()
            sequence = database.latest_sequence_number()
            try:
                database.flush_wal(True)
                self._mark.note(sequence)
            except Exception as error:
                self._fail("sync", error)

    def snapshot(self) -> RocksSnapshot:
        self._check_usable()
        snapshot = RocksSnapshot(self, self._sources)
        self._snapshots.add(snapshot)
        return snapshot

    def range_reader(self, start: bytes, end: bytes | None) -> RocksRangeReader:
        self._check_usable()
        options, families = _once(end), self._sources
        rows = {cf: family.items(from_key=start, read_opt=options) for cf, family in families.items()}
        raw = {cf: family.iter(options) for cf, family in families.items()}
        reader = RocksRangeReader(self.path, self._check_usable, start, rows, raw, options)
        self._snapshots.add(reader)
        return reader

    def approximate_size_bytes(self, cf: str, start: bytes, end: bytes | None) -> int:
        """Exact bytes of a range of up to 1,000 rows (0.3 ms), else the estimate of `rocks_size`."""
        self._check_usable()
        counted_bytes = rows = 0
        for key, value in self.scan(cf, start, end, limit=_COUNTED_ROWS_MAX):
            counted_bytes += len(key) + len(value)
            rows += 1
        if rows < _COUNTED_ROWS_MAX:
            return counted_bytes
        spans = [*self._file_spans(cf), *self._memtable_spans(cf, row_size_bytes=counted_bytes // rows)]
        return max(counted_bytes, size_in_range(spans, start, end))

    def stats(self) -> dict[str, int]:
        self._check_usable()
        sizes = {
            "wal_bytes": sum(file_size_bytes(entry) for entry in wal_files(self.path)),
            "sst_bytes": self._family_sum("rocksdb.live-sst-files-size"),
            "memtable_bytes": self._family_sum("rocksdb.size-all-mem-tables"),
            "pending_compaction_bytes": self._family_sum("rocksdb.estimate-pending-compaction-bytes"),
            "level0_files_max": max(_level0_files(family) for family in self._sources.values()),
            "running_compactions": _property(self._sources[CF_DEFAULT], "rocksdb.num-running-compactions"),
        }
        assert tuple(sizes) == STATS_KEYS
        return sizes

    def pressure(self) -> Pressure:
        self._check_usable()
        families = self._sources.values()
        return Pressure(
            max(_property(family, "rocksdb.num-immutable-mem-table") for family in families),
            max(_level0_files(family) for family in families),
            self._family_sum("rocksdb.estimate-pending-compaction-bytes"),
        )

    def flush(self) -> None:
        """Write all memtables to table files. For tests and tools; the engine flushes by itself."""
        self._check_usable()
        for family in self._sources.values():
            family.flush(True)

    def close(self) -> None:
        with self._sync_lock:
            if self._database is None:
                return
            for snapshot in list(self._snapshots):
                snapshot.close()
            self._drop_scans()
            self._handles.clear()
            self._sources.clear()
            database, self._database = self._database, None
            failed_before, self._failure = bool(self._failure), "closed"
            problem = ""
            try:
                sequence = database.latest_sequence_number()
                database.close()  # flushes the memtables, so it fails where the disk does
                self._mark.note(sequence, at_once=True)
            except Exception as error:
                problem = str(error)
            self._mark.close()
            del database  # the last reference: lets the directory go even then
            if problem and not failed_before:
                raise EngineFailed(f"{self.path}: closed, but the last flush failed: {problem}")

    def _iterator(self, cf: str, end: bytes | None) -> tuple[Any, Any]:
        bounds = rd.ReadOptions()
        if end is not None:
            bounds.set_iterate_upper_bound(end)
        return self._sources[cf].iter(bounds), bounds

    def _family_sum(self, name: str) -> int:
        return sum(_property(family, name) for family in self._sources.values())

    def _file_spans(self, cf: str) -> list[Span]:
        """Table files of one column family; the library lists those of all families, without saying whose."""
        family = self._sources[cf]
        numbers = file_numbers(family.property_value("rocksdb.sstables") or "")
        return [
            Span(file["start_key"], file["end_key"], file["size"])
            for file in family.live_files()
            if int(file["name"].strip("/").removesuffix(".sst")) in numbers
        ]

    def _memtable_spans(self, cf: str, row_size_bytes: int) -> list[Span]:
        first = next(self.scan(cf, b"", None, limit=1, keys_only=True), None)
        last = next(self.scan(cf, b"", None, limit=1, keys_only=True, reverse=True), None)
        if first is None or last is None:
            return []
        family = self._sources[cf]
        rows = sum(_property(family, name) for name in _MEMTABLE_ROWS)
        return [Span(first[0], last[0], rows * row_size_bytes)]

    def _fail(self, action: str, error: Exception) -> NoReturn:
        self._failure = f"{action} failed: {error}"
        raise EngineFailed(f"{self.path}: {self._failure}; the process must stop") from error

    def _check_usable(self) -> Any:
        if self._failure == "closed":
            raise EngineClosed(f"{self.path}: the engine is closed")
        if self._failure:
            raise EngineFailed(f"{self.path}: an earlier {self._failure}; the process must stop")
        return self._database


def _property(family: Any, name: str) -> int:
    return family.property_int_value(name) or 0


def _level0_files(family: Any) -> int:
    return int(family.property_value("rocksdb.num-files-at-level0") or 0)


def _database_options(tuning: RocksOptions) -> Any:
    options = _common_options(tuning)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    # The default mode stops at a damaged record in mid-log and opens without what follows, silently.
    options.set_wal_recovery_mode(rd.DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_paranoid_checks(True)
    options.set_max_total_wal_size(tuning.wal_size_bytes_max)
    options.set_db_write_buffer_size(tuning.write_buffers_size_bytes)
    options.set_max_open_files(tuning.open_files_max)
    options.set_max_background_jobs(tuning.background_jobs_max)
    options.set_bytes_per_sync(1024 * 1024)  # spread the writeback of table files
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(1024 * 1024)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_skip_stats_update_on_db_open(True)
    return options


def _family_options(tuning: RocksOptions) -> dict[str, Any]:
    cache = rd.Cache(tuning.block_cache_size_bytes)  # one for all families
    families = {}
    for cf in ALL_CFS:
        options = _common_options(tuning)
        options.set_block_based_table_factory(_table_options(tuning, cache, bloom=cf not in _NO_BLOOM_CFS))
        families[cf] = options
    return families


def _common_options(tuning: RocksOptions) -> Any:
    options = rd.Options(raw_mode=True)
    options.set_write_buffer_size(tuning.write_buffer_size_bytes)
    options.set_max_write_buffer_number(tuning.write_buffers_unflushed_max)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_max_bytes_for_level_base(tuning.level1_size_bytes)
    options.set_target_file_size_base(tuning.sst_file_size_bytes)
    options.set_level_zero_file_num_compaction_trigger(tuning.level0_compaction_trigger_files)
    options.set_level_zero_slowdown_writes_trigger(tuning.level0_slowdown_files)
    options.set_level_zero_stop_writes_trigger(tuning.level0_stop_files)
    options.set_soft_pending_compaction_bytes_limit(tuning.pending_compaction_size_bytes_max)
    options.set_hard_pending_compaction_bytes_limit(tuning.pending_compaction_size_bytes_max)
    options.set_compression_type(getattr(rd.DBCompressionType, tuning.compression)())
    return options


def _table_options(tuning: RocksOptions, cache: Any, *, bloom: bool) -> Any:
    table = rd.BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_block_size(16 * 1024)
    table.set_format_version(5)
    if bloom:
        table.set_bloom_filter(tuning.bloom_bits_per_key, False)
    return table
