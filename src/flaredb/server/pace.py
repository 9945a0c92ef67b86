"""When a step may wait a moment, so that more unary calls share it, its log entry, its read round and its sync.

gRPC hands over unary calls about one per round of the event loop. A step after each keeps the loop so busy that the
rest stays in gRPC's queue, and every call pays for a step of its own. So under many concurrent calls steps keep a
distance. How many calls wait in gRPC cannot be seen from outside: while it is unknown, now and then one step waits to
find out. Frames of BatchCommands bring many requests at once and never wait.
"""

from __future__ import annotations

STEP_DISTANCE_SECONDS = 0.003
CROWDED_CALLS = 8
"""Calls waiting or arrived together from which on it pays to keep the distance."""

CROWDED_SECONDS = 0.05
"""How long a crowd is believed in after it was last seen."""

PROBE_INTERVAL_SECONDS = 0.02
"""Between two steps that wait only to see whether there is a crowd."""


class Pace:
    """Times are seconds of one monotonic clock.

    Invariant: a caller that makes one call at a time never waits, because nothing else waits when its call arrives.
    """

    __slots__ = ("_calls", "_crowded_until", "_last_step", "_next_probe", "_probing")

    def __init__(self) -> None:
        self._calls = 0
        self._crowded_until = 0.0
        self._last_step = 0.0
        self._next_probe = 0.0
        self._probing = False

    def on_call(self, now: float, waiting: int) -> None:
        """A unary call has arrived while ``waiting`` others wait for an answer."""
        self._calls += 1
        if waiting and now >= self._next_probe and now >= self._crowded_until:
            self._probing = True
            self._next_probe = now + PROBE_INTERVAL_SECONDS

    def delay(self, now: float) -> float:
        """How long the next step is to wait; 0.0: not at all."""
        if self._probing:
            return STEP_DISTANCE_SECONDS
        if now >= self._crowded_until:
            return 0.0
        return max(self._last_step + STEP_DISTANCE_SECONDS - now, 0.0)

    def on_step(self, now: float, waiting: int) -> None:
        """A step begins while ``waiting`` requests of earlier steps wait for an answer."""
        if self._calls and self._calls + waiting >= CROWDED_CALLS:
            self._crowded_until = now + CROWDED_SECONDS
        self._calls = 0
        self._probing = False
        self._last_step = now
