"""Staying awake for a moment where something is about to come.

A process that sleeps until a socket has something is late when it has: its core went idle, or to somebody else, and
waking up takes 50 us to 150 us, more on a virtual machine. A put alone pays that at every hop between client, leader
and follower. So a loop that serves one caller after the other looks at its sockets again at once, for up to a window
of time, and sleeps only then (as Seastar does by idle-poll-time-us, and Linux by cpuidle-haltpoll). That takes CPU
time, so it is done only where it pays:

- Only after waits that have lately ended within the window. A caller that comes every ten milliseconds lets the
  processes sleep. Waits for what an answer depends on and waits for the next request are counted apart.
- A core that somebody else wants is his: every look gives way to whoever is ready to run. Where the others then keep
  the core for long, the machine is busy, and there is no polling for a while, twice as long each time.
- Never among many requests, which keep the loop awake by themselves, and never while a thread needs the interpreter to
  say something (loop.py, node.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

SCORE_MAX = 8
SCORE_ENOUGH = 4
"""A wait that ended within the window counts one up, one that did not one down; from so many on it pays."""

GIVEN_SECONDS_MAX = 0.003
"""The longest that a core may be given away by one look. Another store's step takes 0.3 ms and its sync 1 ms; who
computes keeps the core for one slice of the scheduler's after the other, some 3 ms each."""

REST_SECONDS_MIN = 0.02
REST_SECONDS_MAX = 2.0


def _give_way() -> None:
    """Let others run on this core; nothing where the system has no call for it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()


class IdlePoll:
    """Keeps one event loop awake; times are seconds of ``now_s``'s clock.

    Invariant: ``call_soon`` is asked for at most one look at a time, and for none once the window has passed.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        window_s: float,
        now_s: Callable[[], float] = time.perf_counter,
        give_way: Callable[[], None] = _give_way,
    ) -> None:
        """``window_s``: the longest wait that is polled through; 0.0: none is."""
        self.polled_s = 0.0
        """So long the loop was kept awake, whether or not others had the core meanwhile."""
        self._call_soon = call_soon
        self._window_s = window_s
        self._now_s = now_s
        self._give_way = give_way
        self._scores = [0, 0]
        """Of waits for the next request, and of waits for what an answer depends on."""
        self._since_s: float | None = None
        """When the wait began that has not ended yet."""
        self._is_owed = False
        self._until_s = 0.0
        self._is_looking = False
        self._rest_s = REST_SECONDS_MIN
        self._rest_until_s = 0.0

    def expect(self, began_s: float, is_owed: bool) -> None:
        """A piece of work that began at ``began_s`` has ended, and nothing else is to be done.

        ``is_owed``: somebody waits for an answer that depends on what comes next.
        """
        if not self._window_s:
            return
        self._learn(began_s)
        now_s = self._now_s()
        self._since_s, self._is_owed = now_s, is_owed
        if self._scores[is_owed] < SCORE_ENOUGH or now_s < self._rest_until_s:
            self._until_s = 0.0
            return
        self._until_s = now_s + self._window_s
        if not self._is_looking:
            self._is_looking = True
            self._call_soon(self._look)

    def forget(self) -> None:
        """Many come at once, or the loop has stopped: no waits, nothing to learn."""
        self._since_s = None
        self._until_s = 0.0

    def _learn(self, began_s: float) -> None:
        if self._since_s is None:
            return
        waited_s = began_s - self._since_s
        was_polled = self._until_s > 0
        if was_polled:
            self.polled_s += min(waited_s, self._window_s)
        score = self._scores[self._is_owed]
        if waited_s > self._window_s:
            self._scores[self._is_owed] = max(score - 1, 0)
            return
        self._scores[self._is_owed] = min(score + 1, SCORE_MAX)
        if was_polled:
            self._rest_s = max(self._rest_s / 2, REST_SECONDS_MIN)

    def _look(self) -> None:
        now_s = self._now_s()
        if now_s >= self._until_s:
            self._is_looking = False
            return
        self._give_way()
        given_s = self._now_s() - now_s
        if given_s > GIVEN_SECONDS_MAX:
            self._rest_until_s = now_s + given_s + self._rest_s
            self._rest_s = min(2 * self._rest_s, REST_SECONDS_MAX)
            self._until_s = 0.0
            self._is_looking = False
            return
        # The loop looks at its sockets before it calls again.
        self._call_soon(self._look)
