"""The event loop of all synchronous clients of a process, in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from flaredb.faces.forks import fork_error

STOP_DEADLINE_S = 2.0


class LoopThread:
    """An event loop that any thread can give work to. Started with the first work, ends with the process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._loop = _new_loop()
        self._work: deque[Callable[[], None]] = deque()
        self._is_woken = False
        self._thread = threading.Thread(target=self._run, name="flaredb-client", daemon=True)
        self._thread.start()
        atexit.register(self._stop)

    def do(self, work: Callable[[], None]) -> None:
        """Run ``work`` on the loop soon. Many at once cost one wake-up."""
        self._work.append(work)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        """Run a coroutine on the loop and wait for its result. Errors: its own; TimeoutError."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    def _drain(self) -> None:
        self._is_woken = False
        work = self._work
        while work:
            work.popleft()()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _stop(self) -> None:
        if self.pid == os.getpid():
            asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop)
            self._thread.join(STOP_DEADLINE_S)

    async def _end_tasks(self) -> None:
        await end_other_tasks(STOP_DEADLINE_S / 2)
        self._loop.stop()


async def end_other_tasks(deadline_s: float) -> None:
    """Cancel what the loop still runs, such as gRPC's tasks of calls that just ended: asyncio would complain of them
    once the loop has stopped.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=deadline_s)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_lock = threading.Lock()
_the_thread: LoopThread | None = None


def loop_thread() -> LoopThread:
    """The process's loop thread. Errors: ForkError in a child of a process that has one."""
    global _the_thread
    with _lock:
        if _the_thread is None:
            _the_thread = LoopThread()
        elif _the_thread.pid != os.getpid():
            raise fork_error()
        return _the_thread


def _renew_lock() -> None:
    """After a fork: another thread may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
