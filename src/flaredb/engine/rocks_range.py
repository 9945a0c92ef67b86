"""Range readers of the RocksDB engine."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from flaredb.engine.base import ALL_CFS, EngineClosed, EngineCorrupted
from flaredb.engine.rocks_errors import raise_read_error


class RocksRangeReader:
    """A `RangeReader` over the library's own iterators of rows, which cost half as much per row as raw ones.

    They end silently at a corrupt block, so a raw iterator, pinned to the same moment, says whether the end is one.
    """

    __slots__ = ("__weakref__", "_check_engine", "_next_keys", "_options", "_raw", "_rows", "path")

    def __init__(
        self,
        path: str,
        check_engine: Callable[[], Any],
        start: bytes,
        rows: dict[str, Any],
        raw: dict[str, Any],
        options: Any,
    ) -> None:
        """``options`` hold the upper bound of all iterators, which do not keep them alive."""
        self.path = path
        self._check_engine: Callable[[], Any] | None = check_engine
        self._next_keys = dict.fromkeys(rows, start)
        self._options = options
        self._rows = rows
        self._raw = raw

    def take(self, cf: str, count: int) -> list[tuple[bytes, bytes]]:
        if self._check_engine is None:
            raise EngineClosed(f"{self.path}: the reader is closed")
        self._check_engine()
        if cf not in self._rows:
            raise ValueError(f"unknown column family {cf!r}; there are {', '.join(ALL_CFS)}")
        rows = list(islice(self._rows[cf], count))
        if rows:
            self._next_keys[cf] = rows[-1][0] + b"\0"
        if len(rows) < count:
            self._confirm_end(cf)
        return rows

    def _confirm_end(self, cf: str) -> None:
        """Errors: EngineCorrupted if a row follows, or if that cannot be read."""
        raw = self._raw[cf]
        try:
            raw.seek(self._next_keys[cf])
            if raw.valid():
                raise EngineCorrupted(f"{self.path}: a read of {cf} ended before the row {raw.key()!r}")
            raw.status()
        except EngineCorrupted:
            raise
        except Exception as error:
            raise_read_error(self.path, error)

    def close(self) -> None:
        """Let go of the iterators first, then of what holds their bound."""
        self._check_engine = None
        self._rows = {}
        self._raw = {}
        self._options = None
