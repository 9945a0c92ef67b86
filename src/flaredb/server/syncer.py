"""Makes the engine durable: in the loop where the disk is fast, in a thread where it is slow.

A 50 us sync in line beats the hop to a thread; above about a millisecond it would hold up every region's messages.
So the disk is measured at start. Syncs that are asked for while one is under way are answered by the next one.

While nothing else is to be done a sync in line holds up nobody, so it is made there on disks that are a little slower,
too, and a busy start, at which every disk looks slow, costs a put alone nothing: the last syncs tell how fast it is.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from flaredb.engine.base import CF_META, Engine, EngineError
from flaredb.server.counters import Histogram

INLINE_SYNC_SECONDS_MAX = 0.0005
ALONE_SYNC_SECONDS_MAX = 0.001
"""The hop to the thread and back takes a tenth of that, and what comes meanwhile waits no longer than that."""

_RECENT_SYNCS = 9
_PROBE_KEY = b"\x00probe"
_PROBE_ROUNDS = 5


def measure_sync_seconds(engine: Engine) -> float:
    """Median time of a small write and its sync."""
    samples = []
    for _ in range(_PROBE_ROUNDS):
        batch = engine.batch()
        batch.put(CF_META, _PROBE_KEY, b"\x01")
        started = time.perf_counter()
        engine.write(batch)
        engine.sync()
        samples.append(time.perf_counter() - started)
    return statistics.median(samples)


Done = Callable[[int], None]
Failed = Callable[[Exception], None]


class Syncer:
    """At most one sync is under way; a later one covers all sequences asked for meanwhile.

    A failure is final: what the disk holds is unknown then, and a later success would prove nothing.

    The thread is one of its own, fed by a queue, because a sync is asked for some thousand times a second: an
    executor's work item, its two futures and their callbacks cost as much as a write.
    """

    def __init__(self, engine: Engine, inline: bool, durations: Histogram) -> None:
        self.is_inline = inline
        self._durations = durations
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[tuple[int, Done, Failed] | None] = SimpleQueue()
        """Holds one sync at most; None: no more."""
        self._thread: Thread | None = None
        if not inline:
            self._thread = Thread(target=self._serve, name="flaredb-sync")
            self._thread.start()
        self._recent: deque[float] = deque(maxlen=_RECENT_SYNCS)
        """Seconds that the last syncs took."""
        self._wanted = 0
        self.is_busy = False
        """The thread is at it."""
        self._is_closed = False
        self._error: Exception | None = None

    def sync(self, sequence: int, done: Done, failed: Failed, is_alone: bool = False) -> None:
        """Make everything written so far durable, then call ``done(sequence)`` on the loop's thread.

        ``is_alone``: nothing else waits for the loop, so it may as well wait for the disk, if that has been fast.
        """
        if self._error is not None:
            failed(self._error)
            return
        if self._thread is None or (is_alone and not self.is_busy and self._is_fast()):
            try:
                self._timed_sync()
            except EngineError as error:
                self._error = error
                failed(error)
            else:
                done(sequence)
            return
        self._wanted = sequence
        if not self.is_busy:
            self._begin(done, failed)

    def close(self) -> None:
        """Wait for a sync under way; none begins any more."""
        self._is_closed = True
        if self._thread is not None:
            self._orders.put(None)
            self._thread.join()

    def _timed_sync(self) -> None:
        started = time.perf_counter()
        self._engine.sync()
        seconds = time.perf_counter() - started
        self._durations.observe(seconds)
        self._recent.append(seconds)

    def _is_fast(self) -> bool:
        recent = sorted(self._recent)
        return len(recent) == _RECENT_SYNCS and recent[_RECENT_SYNCS // 2] <= ALONE_SYNC_SECONDS_MAX

    def _begin(self, done: Done, failed: Failed) -> None:
        self.is_busy = True
        self._orders.put((self._wanted, done, failed))

    def _serve(self) -> None:
        """The thread: one sync after the other. A loop that has been closed hears no more of it."""
        while (order := self._orders.get()) is not None:
            error: Exception | None = None
            try:
                self._timed_sync()
            except Exception as trouble:
                error = trouble
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finish, error, *order)

    def _finish(self, error: Exception | None, sequence: int, done: Done, failed: Failed) -> None:
        self.is_busy = False
        if error is not None:
            self._error = error
            failed(error)
            return
        done(sequence)
        if self._wanted > sequence and not self._is_closed:
            self._begin(done, failed)
