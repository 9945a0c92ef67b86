"""The asyncio scan iterator. ``sync_scan.py`` is its synchronous twin, generated: scripts/gen_sync_calls.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from flaredb.client.scans import Cursor
from flaredb.faces.pending import AsyncPending as Pending

__all__ = ["AsyncScan", "Pending"]


class AsyncScan(AsyncIterator[Any]):
    """Rows of a scan. One page is being used while the next one is fetched; nothing happens before the first row."""

    def __init__(self, fetch: Callable[[], Pending], cursor: Cursor) -> None:
        self._fetch = fetch
        self._cursor = cursor
        self._pending: Pending | None = None
        self._rows: list[Any] = []
        """Of the page in use, the next row last."""

    def __aiter__(self) -> AsyncScan:
        return self

    async def __anext__(self) -> Any:
        if not self._rows:
            await self._turn_page()
        return self._rows.pop()

    async def _turn_page(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            if self._cursor.finished:
                raise StopAsyncIteration
            pending = self._fetch()
        rows = await pending.result()
        if not rows:
            raise StopAsyncIteration
        if not self._cursor.finished:
            self._pending = self._fetch()
        if self._cursor.keys_only:
            self._rows = [key for key, _ in reversed(rows)]
        else:
            self._rows = rows[::-1]
