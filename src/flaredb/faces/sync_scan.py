"""Generated from aio_scan.py by scripts/gen_sync_calls.py: change that file and run the script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flaredb.client.scans import Cursor
from flaredb.faces.pending import SyncPending as Pending

__all__ = ["Pending", "SyncScan"]


class SyncScan(Iterator[Any]):
    """Rows of a scan. One page is being used while the next one is fetched; nothing happens before the first row."""

    def __init__(self, fetch: Callable[[], Pending], cursor: Cursor) -> None:
        self._fetch = fetch
        self._cursor = cursor
        self._pending: Pending | None = None
        self._rows: list[Any] = []
        """Of the page in use, the next row last."""

    def __iter__(self) -> SyncScan:
        return self

    def __next__(self) -> Any:
        if not self._rows:
            self._turn_page()
        return self._rows.pop()

    def _turn_page(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            if self._cursor.finished:
                raise StopIteration
            pending = self._fetch()
        rows = pending.result()
        if not rows:
            raise StopIteration
        if not self._cursor.finished:
            self._pending = self._fetch()
        if self._cursor.keys_only:
            self._rows = [key for key, _ in reversed(rows)]
        else:
            self._rows = rows[::-1]
