"""An asyncio client called from synchronous tests: every call runs to its end on a loop of the test's."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

from flaredb.faces.sync_client import MappingSugar


class AsSync(MappingSugar):
    """The calls of the asyncio client ``db``, waited for on ``loop``; a dict's habits come on top."""

    def __init__(self, db: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._db = db
        self._loop = loop

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name in ("keys", "items"):
            return super().__getattribute__(name)
        call = getattr(self._db, name)

        def wait(*args: Any, **named: Any) -> Any:
            answer = call(*args, **named)
            if inspect.isawaitable(answer):
                return self._loop.run_until_complete(answer)
            return self._drain(answer)

        return wait

    def _drain(self, rows: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._loop.run_until_complete(anext(rows))
            except StopAsyncIteration:
                return
