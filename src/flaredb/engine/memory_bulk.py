"""Bulk loads and range readers of the engine in memory: plain batches and scans."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from flaredb.engine.base import ALL_CFS, CF_DEFAULT, Engine, Snapshot


class MemoryLoad:
    """A `BulkLoad` that is one batch, written and synced at the end."""

    __slots__ = ("_batch", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batch = engine.batch()

    def add(self, cf: str, rows: Sequence[tuple[bytes, bytes]]) -> None:
        for key, value in rows:
            self._batch.put(cf, key, value)

    def finish(self) -> None:
        self._engine.write(self._batch)
        self._engine.sync()

    def abandon(self) -> None:
        self._batch.clear()


class MemoryRangeReader:
    """A `RangeReader` over a snapshot."""

    __slots__ = ("_rows", "_snapshot")

    def __init__(self, snapshot: Snapshot, start: bytes, end: bytes | None) -> None:
        self._snapshot = snapshot
        self._rows = {cf: snapshot.scan(cf, start, end) for cf in ALL_CFS}

    def take(self, cf: str, count: int) -> list[tuple[bytes, bytes]]:
        self._snapshot.multi_get(CF_DEFAULT, ())  # says so if the engine or this is closed
        if cf not in self._rows:
            raise ValueError(f"unknown column family {cf!r}; there are {', '.join(ALL_CFS)}")
        return list(islice(self._rows[cf], count))

    def close(self) -> None:
        self._snapshot.close()
