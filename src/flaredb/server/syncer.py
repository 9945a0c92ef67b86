"""Makes the engine durable: in the loop where the disk is fast, in a thread where it is slow.

A 50 us sync in line beats the hop to a thread; above about a millisecond it would hold up every region's messages.
So the disk is measured at start. Syncs that are asked for while one is under way are answered by the next one.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flaredb.engine.base import CF_META, Engine, EngineError
from flaredb.server.counters import Histogram

INLINE_SYNC_SECONDS_MAX = 0.0005
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


class Syncer:
    """At most one sync is under way; a later one covers all sequences asked for meanwhile.

    A failure is final: what the disk holds is unknown then, and a later success would prove nothing.
    """

    def __init__(self, engine: Engine, inline: bool, durations: Histogram) -> None:
        self.is_inline = inline
        self._durations = durations
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._thread = None if inline else ThreadPoolExecutor(1, "flaredb-sync")
        self._wanted = 0
        self._is_busy = False
        self._is_closed = False
        self._error: Exception | None = None

    def sync(self, sequence: int, done: Callable[[int], None], failed: Callable[[Exception], None]) -> None:
        """Make everything written so far durable, then call ``done(sequence)`` on the loop's thread."""
        if self._error is not None:
            failed(self._error)
            return
        if self._thread is None:
            try:
                self._timed_sync()
            except EngineError as error:
                self._error = error
                failed(error)
            else:
                done(sequence)
            return
        self._wanted = sequence
        if not self._is_busy:
            self._begin(done, failed)

    def close(self) -> None:
        """Wait for a sync under way; none begins any more."""
        self._is_closed = True
        if self._thread is not None:
            self._thread.shutdown(wait=True)

    def _timed_sync(self) -> None:
        started = time.perf_counter()
        self._engine.sync()
        self._durations.observe(time.perf_counter() - started)

    def _begin(self, done: Callable[[int], None], failed: Callable[[Exception], None]) -> None:
        assert self._thread is not None
        self._is_busy = True
        sequence = self._wanted
        future = self._loop.run_in_executor(self._thread, self._timed_sync)
        future.add_done_callback(lambda finished: self._finish(finished, sequence, done, failed))

    def _finish(
        self,
        finished: asyncio.Future[None],
        sequence: int,
        done: Callable[[int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._is_busy = False
        error = finished.exception()
        if error is not None:
            self._error = error if isinstance(error, Exception) else RuntimeError(str(error))
            failed(self._error)
            return
        done(sequence)
        if self._wanted > sequence and not self._is_closed:
            self._begin(done, failed)
