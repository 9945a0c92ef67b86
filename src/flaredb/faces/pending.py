"""Plans that have been started, as the two faces wait for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Protocol


class AsyncPending(Protocol):
    """A plan under way, for a coroutine."""

    async def result(self) -> Any:
        """Its result, or raise its error."""


class SyncPending(Protocol):
    """A plan under way, for a thread."""

    def result(self) -> Any:
        """Its result, or raise its error."""


class FuturePending:
    """A plan that ends in a future."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future
        # Whoever stops in the middle of a scan never asks for the page that was being fetched.
        future.add_done_callback(_retrieve)

    async def result(self) -> Any:
        """Its result, or raise its error."""
        return await self._future


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


class ThreadAnswer:
    """Where a plan ends that a thread waits for. A lock is cheaper than an Event, and a Future has two."""

    __slots__ = ("_abandoned", "_error", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._result: Any = None
        self._error: Exception | None = None
        self._abandoned = False

    def done(self) -> bool:
        """True if the thread has stopped waiting."""
        return self._abandoned

    def set_result(self, result: Any, /) -> None:
        """The plan has ended with this."""
        self._result = result
        self._lock.release()

    def set_exception(self, error: Exception, /) -> None:
        """The plan has raised this."""
        self._error = error
        self._lock.release()

    def result(self) -> Any:
        """Wait for the end; the result, or raise the error. Interrupted, as by Ctrl-C, the plan is given up."""
        try:
            self._lock.acquire()
        except BaseException:
            self._abandoned = True
            raise
        self._lock.release()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        return self._result
