"""Scans on RocksDB's raw iterators, which rocks.py makes; what they work around is told there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn
from weakref import WeakSet

from flaredb.engine.base import ALL_CFS, EngineClosed
from flaredb.engine.rocks_errors import raise_read_error

_CHUNK_ROWS = 64


class ByName(dict[str, Any]):
    """A dict by column family whose missing key is the contract's ValueError."""

    def __missing__(self, cf: str) -> NoReturn:
        raise ValueError(f"unknown column family {cf!r}; there are {', '.join(ALL_CFS)}")


class LiveScan:
    """One scan: what is left of its range, and the iterator where `close` can find it and let it go."""

    __slots__ = ("__weakref__", "_bounds", "_end", "_keys_only", "_seeks", "_shared", "_start", "iterator", "reverse")

    def __init__(
        self, iterator: Any, bounds: Any, start: bytes, end: bytes | None, reverse: bool, keys_only: bool, shared: bool
    ) -> None:
        self._bounds = bounds  # of the iterator, which does not keep them alive itself
        self.iterator: Any | None = iterator
        self._shared = shared  # other scans move the iterator too: seek before every chunk
        self._seeks = True
        self._start = start
        self._end = end
        self.reverse = reverse
        self._keys_only = keys_only

    def take_ascending(self, wanted: int) -> list[tuple[bytes, bytes]]:
        """Up to `wanted` rows; fewer only when the range is over, which the iterator's status must confirm."""
        rows: list[tuple[bytes, bytes]] = []
        iterator, end, keys_only = self.iterator, self._end, self._keys_only
        assert iterator is not None
        valid, key, value, step = iterator.valid, iterator.key, iterator.value, iterator.next
        if self._seeks:
            iterator.seek(self._start)
            self._seeks = self._shared
        while len(rows) < wanted:
            if not valid():
                iterator.status()
                return rows
            row_key = key()
            if end is not None and row_key >= end:
                return rows
            rows.append((row_key, b"" if keys_only else value()))
            step()
        if rows:
            self._start = rows[-1][0] + b"\0"
        return rows

    def take_descending(self, wanted: int) -> list[tuple[bytes, bytes]]:
        """The same from the end of the range down."""
        rows: list[tuple[bytes, bytes]] = []
        iterator, start, keys_only = self.iterator, self._start, self._keys_only
        assert iterator is not None
        valid, key, value, step = iterator.valid, iterator.key, iterator.value, iterator.prev
        if self._seeks:
            self._seek_below_end()
            self._seeks = self._shared
        while len(rows) < wanted:
            if not valid():
                iterator.status()
                return rows
            row_key = key()
            if row_key < start:
                return rows
            rows.append((row_key, b"" if keys_only else value()))
            step()
        if rows:
            self._end = rows[-1][0]
        return rows

    def _seek_below_end(self) -> None:
        iterator, end = self.iterator, self._end
        assert iterator is not None
        if end is None:
            iterator.seek_to_last()
            return
        iterator.seek_for_prev(end)
        if iterator.valid() and iterator.key() == end:
            iterator.prev()


class Reader:
    """Scans, over iterators that a subclass provides."""

    _SHARED_ITERATORS: ClassVar[bool] = False

    __slots__ = ("_scans", "_sources", "path")

    def __init__(self, path: str, sources: ByName) -> None:
        self.path = path
        self._sources = sources
        self._scans: WeakSet[LiveScan] = WeakSet()

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
        iterator, bounds = self._iterator(cf, end)
        if end is not None and start >= end:
            return iter(())
        live = LiveScan(iterator, bounds, start, end, reverse, keys_only, self._SHARED_ITERATORS)
        if limit is not None and limit <= _CHUNK_ROWS:
            return iter(self._take(live, limit))
        self._scans.add(live)
        return self._rows(live, limit)

    def _rows(self, live: LiveScan, limit: int | None) -> Iterator[tuple[bytes, bytes]]:
        left = limit
        while left is None or left > 0:
            wanted = _CHUNK_ROWS if left is None else min(left, _CHUNK_ROWS)
            chunk = self._take(live, wanted)
            yield from chunk
            if len(chunk) < wanted:
                return
            if left is not None:
                left -= wanted

    def _take(self, live: LiveScan, wanted: int) -> list[tuple[bytes, bytes]]:
        if live.iterator is None:
            raise EngineClosed(f"{self.path}: closed during a scan")
        try:
            return live.take_descending(wanted) if live.reverse else live.take_ascending(wanted)
        except Exception as error:
            raise_read_error(self.path, error)

    def _iterator(self, cf: str, end: bytes | None) -> tuple[Any, Any]:
        """An iterator of the reader's moment, which may be bounded above by `end`, and what must outlive it."""
        raise NotImplementedError

    def _drop_scans(self) -> None:
        for live in list(self._scans):
            live.iterator = None
        self._scans.clear()

    def _check_usable(self) -> Any:
        raise NotImplementedError
