"""The ordered key-value engine under a store: Protocols, column families, errors and the durability contract.

Contract, held by every implementation and checked by `tests/engine/contract.py`:

1. Keys and values are bytes; keys order as unsigned bytes. The empty key and the empty value are legal.
   A key is at most `KEY_SIZE_BYTES_MAX` long; a longer one is refused by `ValueError` when it is put.
2. `Engine.write` applies a batch as a whole, over all column families, and later reads see it at once.
3. A written batch is *not* durable until a `sync` that began after the write has returned. A power cut keeps
   everything synced plus some prefix of the unsynced batches, in write order, never part of a batch.
   A killed process loses nothing that `write` returned from. What `open` finds is durable.
4. A read, a scan and a snapshot see the state at the moment of the call, whatever is written later.
5. One thread owns the engine: it alone writes, takes snapshots and closes. `sync` may run in one other thread
   at the same time. A snapshot may be handed to one other thread, which alone reads and closes it.
6. After one failed `write` or `sync` the outcome of everything unsynced is unknown. The engine then refuses
   every call with `EngineFailed`; the process must stop and never retry (a retried fsync can report success
   for data that the kernel has dropped).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

CF_DEFAULT: Final = "default"
CF_LOCK: Final = "lock"
CF_WRITE: Final = "write"
CF_RAFT: Final = "raft"
CF_META: Final = "meta"
ALL_CFS: Final = (CF_DEFAULT, CF_LOCK, CF_WRITE, CF_RAFT, CF_META)

KEY_SIZE_BYTES_MAX: Final = 16 * 1024
"""Longest key in bytes. Clients are held to 8 KiB; memcomparable encoding and a timestamp add an eighth."""


class EngineError(Exception):
    """Anything an engine raises on purpose, except `ValueError` for arguments outside the contract."""


class EngineCorrupted(EngineError):
    """Stored bytes fail their checks. The store must not serve from this directory."""


class EngineLocked(EngineError):
    """Another process (or another engine of this one) has the directory open. The message names the path."""


class EngineClosed(EngineError):
    """The engine or the snapshot was closed, or the engine has crashed (simulated)."""


class EngineFailed(EngineError):
    """A write or a sync failed, now or earlier. The process must stop; never retry (contract, 6)."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """Work that an engine owes: what has been written, but not yet brought where it belongs."""

    unflushed_memtables: int = 0
    """Full memtables that wait to become table files; the most of any column family."""

    level0_files: int = 0
    """Table files not sorted in yet, through which every read must look; the most of any column family."""

    pending_compaction_bytes: int = 0
    """Bytes still to be rewritten, of all column families."""


class WriteBatch(Protocol):
    """Operations that take effect together, in the order they were added.

    Writing a batch empties it; it can then be filled again. Belongs to the engine whose `batch()` made it.
    An unknown column family raises `ValueError`.
    """

    def put(self, cf: str, key: bytes, value: bytes) -> None:
        """Set `key`. Errors: ValueError for a key over `KEY_SIZE_BYTES_MAX`."""
        ...

    def delete(self, cf: str, key: bytes) -> None:
        """Remove `key`; removing a missing key is allowed."""
        ...

    def delete_range(self, cf: str, start: bytes, end: bytes | None) -> None:
        """Remove every key in [start, end), earlier puts of this batch included.

        `end` None means to the end of the column family; a range with start >= end adds no operation.
        Cheap however many rows it covers, but each call taxes later scans across it: delete known, few keys
        one by one instead.
        """
        ...

    def __len__(self) -> int:
        """Number of operations; a range counts as one."""
        ...

    @property
    def size_bytes(self) -> int:
        """Approximate size in bytes of keys and values, as a write-ahead log would hold them."""
        ...

    def clear(self) -> None:
        """Forget all operations."""
        ...


class BulkLoad(Protocol):
    """Rows on their way into an engine as a whole: past log and memtables, for ranges that hold no row.

    Much cheaper than batches for many rows, dearer for few. Not finished, it leaves nothing; the next `open` tidies up.
    An unknown column family raises `ValueError`.
    """

    def add(self, cf: str, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Rows whose keys ascend, over all calls for the column family, too; one family after the other.

        Errors: EngineFailed, after which every call of the engine raises it.
        """
        ...

    def finish(self) -> None:
        """Make the rows visible. They and every batch written before are durable when this returns; it blocks.

        A crash meanwhile leaves any part of the rows. Pre: no row in the range from the first key of a family to its
        last. Errors: EngineFailed, after which every call of the engine raises it.
        """
        ...

    def abandon(self) -> None:
        """Forget the rows; after `finish`, and a second time, nothing happens."""
        ...


class Reader(Protocol):
    """Reads. An unknown column family raises `ValueError`."""

    def get(self, cf: str, key: bytes) -> bytes | None:
        """The value, or None for a missing key (an empty value is b"")."""
        ...

    def multi_get(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of `keys`, which may repeat."""
        ...

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
        """Rows (key, value) of [start, end), ascending, or the same set descending when `reverse`.

        `end` None means no upper bound. At most `limit` rows. With `keys_only` every value is b"".
        The rows are those of the moment of this call. Pass a limit where one is known: an implementation may
        gather rows before they are asked for. Finish or drop the iterator before the engine is closed;
        advancing it after that raises `EngineClosed`.
        """
        ...


class Snapshot(Reader, Protocol):
    """One moment of the whole engine, over all column families, until closed. Closing twice is allowed."""

    def close(self) -> None:
        """Let go of what it pins; closing twice is allowed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RangeReader(Protocol):
    """The rows of one range at one moment, to be read once from the first to the last: cheaper than scans.

    It may be handed to one other thread, which alone reads and closes it. An unknown column family raises `ValueError`.
    """

    def take(self, cf: str, count: int) -> list[tuple[bytes, bytes]]:
        """The next rows (key, value) of a family, ascending; fewer than `count` only where the range is over.

        Errors: EngineCorrupted; EngineClosed once this reader or the engine is closed.
        """
        ...

    def close(self) -> None:
        """Let go of what it pins; closing twice is allowed."""
        ...


class Engine(Reader, Protocol):
    """An ordered key-value engine with the column families `ALL_CFS`. The module states the contract."""

    @property
    def path(self) -> str:
        """Directory of the data; a made-up name for an engine in memory."""
        ...

    def batch(self) -> WriteBatch:
        """A new, empty batch for this engine."""
        ...

    def write(self, batch: WriteBatch) -> None:
        """Apply the batch at once and as a whole, not durable until `sync`. Empties the batch.

        Errors: EngineFailed, after which every call raises it. It is unknown then whether the batch survives.
        """
        ...

    def bulk_load(self) -> BulkLoad:
        """A new, empty load into this engine. The engine's owner uses it; finish or abandon it before the next."""
        ...

    def sync(self) -> None:
        """Return only when every batch written before this call is durable. Blocks; releases the interpreter.

        Errors: EngineFailed, after which every call raises it.
        """
        ...

    def snapshot(self) -> Snapshot:
        """This moment of all column families. Close it soon: it pins memory and files."""
        ...

    def range_reader(self, start: bytes, end: bytes | None) -> RangeReader:
        """This moment of [start, end) of every column family. Close it soon: it pins memory and files."""
        ...

    def approximate_size_bytes(self, cf: str, start: bytes, end: bytes | None) -> int:
        """Estimated bytes stored in [start, end). Good for comparing regions, not for accounting."""
        ...

    def stats(self) -> dict[str, int]:
        """Numbers for flow control and status: `STATS_KEYS`."""
        ...

    def pressure(self) -> Pressure:
        """How far the engine is behind with its own work; cheap enough to be asked some times a second."""
        ...

    def close(self) -> None:
        """Release the directory. Open snapshots are closed. Closing twice is allowed. Implies no sync.

        Errors: EngineFailed when tidying up failed and no earlier call has said so; the directory is released
        and what was synced is safe.
        """
        ...


STATS_KEYS: Final = (
    "wal_bytes",
    "sst_bytes",
    "memtable_bytes",
    "pending_compaction_bytes",
    "level0_files_max",
    "running_compactions",
)
"""Keys of `Engine.stats`. `level0_files_max` is the largest count of any column family."""
