"""The engine in memory: same contract as the real one, and a disk that loses exactly the unsynced tail.

Every write leaves an undo record until a sync covers it. A crash undoes unsynced batches, newest first, so
what survives is always a prefix of the write order, in whole batches, over all column families at once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from random import Random
from types import TracebackType
from typing import Literal, Self

from flaredb.engine.base import (
    ALL_CFS,
    KEY_SIZE_BYTES_MAX,
    STATS_KEYS,
    EngineClosed,
    EngineError,
    EngineFailed,
    Pressure,
    WriteBatch,
)
from flaredb.engine.memory_bulk import MemoryLoad, MemoryRangeReader

Keep = Literal["synced", "prefix", "all"]
"""What a crash keeps of the unsynced batches: none, a random prefix, or all (a killed process: the operating
system still holds what was written)."""

_OPERATION_OVERHEAD_BYTES = 8
_FRESH_KEYS_INSERTED_ONE_BY_ONE = 8


class _Table:
    """One column family: a dict for reads and a sorted key list that is brought up to date when order matters.

    Invariant: `_sorted` and `_fresh` are disjoint, and together are exactly the keys of `rows`.
    """

    __slots__ = ("_fresh", "_sorted", "rows", "shared", "size_bytes")

    def __init__(self, rows: dict[bytes, bytes] | None = None, ordered: list[bytes] | None = None) -> None:
        self.rows: dict[bytes, bytes] = rows if rows is not None else {}
        self._sorted: list[bytes] = ordered if ordered is not None else []
        self._fresh: list[bytes] = []
        self.size_bytes = 0  # of all keys and values
        self.shared = False  # a snapshot reads this table: copy it before changing it

    def copy(self) -> _Table:
        twin = _Table(self.rows.copy(), self._ordered().copy())
        twin.size_bytes = self.size_bytes
        return twin

    def freeze(self) -> None:
        """A snapshot reads this table from now on, maybe in another thread: nothing here changes any more."""
        self._ordered()
        self.shared = True

    def put(self, key: bytes, value: bytes) -> bytes | None:
        """Store a row and return the value it replaces."""
        old = self.rows.get(key)
        if old is None:
            self._fresh.append(key)
            self.size_bytes += len(key) + len(value)
        else:
            self.size_bytes += len(value) - len(old)
        self.rows[key] = value
        return old

    def delete(self, key: bytes) -> bytes | None:
        """Drop a row and return its value, None when there was none."""
        old = self.rows.pop(key, None)
        if old is not None:
            self.size_bytes -= len(key) + len(old)
            if self._fresh and self._fresh[-1] == key:
                self._fresh.pop()
            else:
                ordered = self._ordered(dropped=key)
                del ordered[bisect_left(ordered, key)]
        return old

    def delete_range(self, start: bytes, end: bytes | None) -> list[tuple[bytes, bytes]]:
        """Drop the rows of [start, end) and return them."""
        ordered = self._ordered()
        low, high = _bounds(ordered, start, end)
        removed = [(key, self.rows.pop(key)) for key in ordered[low:high]]
        del ordered[low:high]
        self.size_bytes -= sum(len(key) + len(value) for key, value in removed)
        return removed

    def keys(self, start: bytes, end: bytes | None, *, reverse: bool, limit: int | None) -> list[bytes]:
        ordered = self._ordered()
        low, high = _bounds(ordered, start, end)
        if limit is not None and high - low > limit:
            low, high = (high - limit, high) if reverse else (low, low + limit)
        keys = ordered[low:high]
        if reverse:
            keys.reverse()
        return keys

    def _ordered(self, dropped: bytes | None = None) -> list[bytes]:
        """The sorted key list, with the fresh keys merged in. `dropped` has just left `rows`."""
        if self._fresh:
            if len(self._fresh) <= _FRESH_KEYS_INSERTED_ONE_BY_ONE:
                for key in self._fresh:
                    insort(self._sorted, key)
            else:
                self._sorted.extend(self._fresh)
                self._sorted.sort()  # timsort: the long sorted run costs one pass
            self._fresh.clear()
        assert len(self._sorted) == len(self.rows) + (dropped is not None)
        return self._sorted


def _bounds(ordered: list[bytes], start: bytes, end: bytes | None) -> tuple[int, int]:
    low = bisect_left(ordered, start)
    high = len(ordered) if end is None else bisect_left(ordered, end)
    return low, max(low, high)


Tables = dict[str, _Table]
_Undo = list[tuple[str, bytes, bytes | None]]


def _table(tables: Mapping[str, _Table], cf: str) -> _Table:
    try:
        return tables[cf]
    except KeyError:
        raise ValueError(f"unknown column family {cf!r}; there are {', '.join(ALL_CFS)}") from None


class MemoryBatch:
    """A `WriteBatch` that is a list of operations: (cf, key, value), or a range as (cf, start, end, True)."""

    __slots__ = ("_size_bytes", "operations")

    def __init__(self) -> None:
        self.operations: list[tuple[str, bytes, bytes | None, bool]] = []
        self._size_bytes = 0

    def put(self, cf: str, key: bytes, value: bytes) -> None:
        if len(key) > KEY_SIZE_BYTES_MAX:
            raise ValueError(f"key of {len(key)} bytes; the engine takes at most {KEY_SIZE_BYTES_MAX}")
        self._add(cf, key, bytes(value), False)

    def delete(self, cf: str, key: bytes) -> None:
        self._add(cf, key, None, False)

    def delete_range(self, cf: str, start: bytes, end: bytes | None) -> None:
        if end is None or start < end:
            self._add(cf, start, end, True)

    def __len__(self) -> int:
        return len(self.operations)

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def clear(self) -> None:
        self.operations = []
        self._size_bytes = 0

    def _add(self, cf: str, key: bytes, value: bytes | None, is_range: bool) -> None:
        if cf not in ALL_CFS:
            raise ValueError(f"unknown column family {cf!r}; there are {', '.join(ALL_CFS)}")
        self.operations.append((cf, bytes(key), value, is_range))
        self._size_bytes += len(key) + len(value or b"") + _OPERATION_OVERHEAD_BYTES


class _TableReader:
    """Reads over a set of tables; shared by the engine and its snapshots."""

    __slots__ = ("_tables",)

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, cf: str, key: bytes) -> bytes | None:
        self._check_usable()
        return _table(self._tables, cf).rows.get(key)

    def multi_get(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        self._check_usable()
        rows = _table(self._tables, cf).rows
        return [rows.get(key) for key in keys]

    def scan(
        self,
        cf: str,
        start: bytes,
        end: bytes | None,
        *,
        reverse: bool = False,
        limit: int | None = None,
        keys_only: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_usable()
        table = _table(self._tables, cf)
        keys = table.keys(start, end, reverse=reverse, limit=limit)
        values = repeat(b"") if keys_only else [table.rows[key] for key in keys]
        return self._advance(zip(keys, values, strict=False))

    def _advance(self, rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for row in rows:
            self._check_usable()
            yield row

    def _check_usable(self) -> None:
        raise NotImplementedError


class MemorySnapshot(_TableReader):
    """A frozen view: the tables it was taken from are copied by the engine before their next change."""

    __slots__ = ("_closed", "_engine")

    def __init__(self, engine: MemoryEngine, tables: Tables) -> None:
        super().__init__(tables)
        self._engine = engine
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._tables = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise EngineClosed("the snapshot is closed")
        self._engine._check_usable()


class MemoryEngine(_TableReader):
    """An `Engine` in memory for simulation and tests.

    `sync` covers everything written so far. A simulated disk with latency instead takes `last_sequence` when
    the sync starts and calls `sync_through` with it when the virtual time has passed.
    """

    __slots__ = ("_failing", "_gone", "_path", "_synced_sequence", "_undo_log", "owed")

    def __init__(self, path: str = "memory") -> None:
        super().__init__({cf: _Table() for cf in ALL_CFS})
        self._path = path
        # Undo records of the batches synced_sequence + 1 .. last_sequence, oldest first.
        self._undo_log: deque[_Undo] = deque()
        self._synced_sequence = 0
        self._failing: Literal["", "next write", "next sync", "failed"] = ""
        self._gone = ""
        self.owed = Pressure()
        """What ``pressure`` tells; tests set it."""

    @property
    def path(self) -> str:
        return self._path

    @property
    def last_sequence(self) -> int:
        """Number of batches written so far."""
        return self._synced_sequence + len(self._undo_log)

    @property
    def synced_sequence(self) -> int:
        """Number of batches, counted in write order, that a power cut cannot take."""
        return self._synced_sequence

    def batch(self) -> MemoryBatch:
        self._check_usable()
        return MemoryBatch()

    def write(self, batch: WriteBatch) -> None:
        self._check_usable()
        if not isinstance(batch, MemoryBatch):
            raise TypeError(f"a {type(batch).__name__} belongs to another engine")
        operations = batch.operations
        batch.clear()
        self._undo_log.append(self._apply(operations))
        if self._failing == "next write":
            self._fail("write failed (injected)")

    def bulk_load(self) -> MemoryLoad:
        self._check_usable()
        return MemoryLoad(self)

    def sync(self) -> None:
        self.sync_through(self.last_sequence)

    def sync_through(self, sequence: int) -> None:
        """Make the batches up to `sequence` durable; later ones stay at risk. Going back is allowed and idle."""
        self._check_usable()
        assert sequence <= self.last_sequence, "cannot sync what was not written"
        if self._failing == "next sync":
            self._fail("sync failed (injected)")
        while self._synced_sequence < sequence:
            self._undo_log.popleft()
            self._synced_sequence += 1

    def snapshot(self) -> MemorySnapshot:
        self._check_usable()
        for table in self._tables.values():
            table.freeze()
        return MemorySnapshot(self, dict(self._tables))

    def range_reader(self, start: bytes, end: bytes | None) -> MemoryRangeReader:
        return MemoryRangeReader(self.snapshot(), start, end)

    def approximate_size_bytes(self, cf: str, start: bytes, end: bytes | None) -> int:
        """Exact here: the bytes of keys and values."""
        self._check_usable()
        table = _table(self._tables, cf)
        keys = table.keys(start, end, reverse=False, limit=None)
        return sum(len(key) + len(table.rows[key]) for key in keys)

    def stats(self) -> dict[str, int]:
        self._check_usable()
        held = sum(table.size_bytes for table in self._tables.values())
        return {**dict.fromkeys(STATS_KEYS, 0), "memtable_bytes": held}

    def pressure(self) -> Pressure:
        """What a test has set; this engine owes nothing by itself."""
        self._check_usable()
        return self.owed

    def close(self) -> None:
        self._gone = self._gone or "the engine is closed"

    def reopen(self) -> MemoryEngine:
        """The engine that a new process finds after this one was closed or killed: nothing is lost."""
        return self.crash(Random(0), "all")

    def crash(self, rng: Random, keep: Keep) -> MemoryEngine:
        """Take the power away (`synced`, `prefix`) or kill the process (`all`).

        Post:   the returned engine holds what survived, all of it durable; this one, its snapshots and its
                scans raise EngineClosed from now on, so nothing of a dead node can reach the disk.
        Errors: EngineError when this engine has already crashed.
        """
        if self._gone == "the engine has crashed":
            raise EngineError("this engine has crashed before; use the engine that crash() returned")
        unsynced = len(self._undo_log)
        kept = {"synced": 0, "all": unsynced}.get(keep)
        if kept is None:
            kept = rng.randint(0, unsynced)
        self._undo_newest(unsynced - kept)
        survivor = MemoryEngine(self._path)
        survivor._tables = self._tables
        survivor._synced_sequence = self._synced_sequence + kept
        self._tables = {}
        self._gone = "the engine has crashed"
        return survivor

    def fail_next_write(self) -> None:
        """The next write raises EngineFailed. Whether its batch survives a crash is open, as on a real disk."""
        self._failing = "next write"

    def fail_next_sync(self) -> None:
        """The next sync raises EngineFailed and makes nothing durable; the written batches stay at risk."""
        self._failing = "next sync"

    def _apply(self, operations: list[tuple[str, bytes, bytes | None, bool]]) -> _Undo:
        undo: _Undo = []
        for cf, key, value, is_range in operations:
            table = self._writable(cf)
            if is_range:
                undo += [(cf, old_key, old) for old_key, old in table.delete_range(key, value)]
            elif value is None:
                undo.append((cf, key, table.delete(key)))
            else:
                undo.append((cf, key, table.put(key, value)))
        return undo

    def _undo_newest(self, count: int) -> None:
        for _ in range(count):
            for cf, key, old in reversed(self._undo_log.pop()):
                table = self._writable(cf)
                if old is None:
                    table.delete(key)
                else:
                    table.put(key, old)

    def _writable(self, cf: str) -> _Table:
        table = self._tables[cf]
        if table.shared:
            table = self._tables[cf] = table.copy()
        return table

    def _fail(self, reason: str) -> None:
        self._failing = "failed"
        raise EngineFailed(f"{self._path}: {reason}; the process must stop")

    def _check_usable(self) -> None:
        if self._gone:
            raise EngineClosed(f"{self._path}: {self._gone}")
        if self._failing == "failed":
            raise EngineFailed(f"{self._path}: an earlier write or sync failed; the process must stop")
