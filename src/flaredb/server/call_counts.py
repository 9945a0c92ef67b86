"""What the KV service counts: answered calls with their durations, failures, region errors, refusals of full queues."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from flaredb.model.errors import RegionError
from flaredb.server.counters import CALL_TYPES, Counters, add, durations
from flaredb.wire.raw_calls import RAW_CALLS


class CallCounts:
    """Names are looked up once per method. ``now_s`` is a monotonic clock."""

    def __init__(self, counters: Counters, now_s: Callable[[], float] = perf_counter) -> None:
        self.now_s = now_s
        self._counters = counters
        self._durations = {name: durations(counters.calls, CALL_TYPES[name]) for name in RAW_CALLS}

    def answered(self, name: str, arrived_s: float, times: int = 1) -> None:
        """``times`` requests of this method that came together have their answers."""
        self._durations[name].observe(self.now_s() - arrived_s, times)

    def failed(self, name: str) -> None:
        """A call of this method ended in a gRPC status or an error text."""
        add(self._counters.failures, CALL_TYPES[name])

    def region_error(self, error: RegionError) -> None:
        """An answer is a region error."""
        add(self._counters.region_errors, type(error).__name__)

    def queue_full(self, queue: str) -> None:
        """A request was refused because ``queue`` was full."""
        add(self._counters.channel_full, queue)
