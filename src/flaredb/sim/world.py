"""Virtual time: a heap of things to do, random streams by name, and what happened as lines and as one hash.

One seed decides everything. Whoever needs chance takes a stream of its own by name, so that a change in one part of
the simulation leaves the others' chances alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Protocol

Action = Callable[[], None]


class Owner(Protocol):
    """A process whose actions are void once its life is over, and wait while it stands still."""

    life: int

    def hold(self, action: Action, life: int) -> bool:
        """True if the process stands still: it has kept the action."""


MS = 1_000
"""Microseconds in a millisecond: the world counts microseconds."""

SECOND = 1_000 * MS


class Violation(Exception):
    """Something that must never happen did: a promise was broken, or an invariant."""


class Sink(Protocol):
    """Takes trace lines, such as an open file."""

    def write(self, text: str, /) -> object: ...


class World:
    """Runs actions in the order of their time; equal times in the order in which they were planned.

    Errors of run_until: Violation once more than ``events_max`` actions have run: something runs in circles.
    """

    __slots__ = (
        "_events",
        "_events_max",
        "_hash",
        "_heap",
        "_lines",
        "_moments",
        "_planned",
        "_sink",
        "now_us",
        "seed",
    )

    def __init__(self, seed: int, events_max: int = 20_000_000, sink: Sink | None = None) -> None:
        self.seed = seed
        self.now_us = 0
        self._events = 0
        self._events_max = events_max
        self._planned = 0
        self._moments = 0
        self._heap: list[tuple[int, int, Action, Owner | None, int]] = []
        self._hash = hashlib.blake2b(digest_size=16)
        self._lines: list[str] = []
        self._sink = sink

    @property
    def events(self) -> int:
        """Actions run so far."""
        return self._events

    @property
    def is_traced(self) -> bool:
        """True if somebody reads the lines: then ``explain`` is worth its cost."""
        return self._sink is not None

    def rng(self, name: str) -> Random:
        """A new random stream, the same for the same seed and name."""
        return Random(f"{self.seed}/{name}")

    def moment(self) -> int:
        """The next number of a count that orders what clients do and see."""
        self._moments += 1
        return self._moments

    def at(self, when_us: int, action: Action) -> None:
        """Run ``action`` at that time, or now if it has passed."""
        self._planned += 1
        heappush(self._heap, (max(when_us, self.now_us), self._planned, action, None, 0))

    def after(self, delay_us: int, action: Action, owner: Owner | None = None, life: int = 0) -> None:
        """Run ``action`` when ``delay_us`` have passed; with an ``owner``, only if it still lives that life then."""
        self._planned += 1
        heappush(self._heap, (self.now_us + delay_us, self._planned, action, owner, life))

    def run_until(self, end_us: int, is_done: Callable[[], bool] | None = None) -> None:
        """Run everything planned up to ``end_us``, or until ``is_done`` says so after an action."""
        heap = self._heap
        while heap and heap[0][0] <= end_us:
            self.now_us, _, action, owner, life = heappop(heap)
            self._events += 1
            if self._events > self._events_max:
                raise Violation(f"more than {self._events_max} events: something runs in circles")
            if owner is None or (owner.life == life and not owner.hold(action, life)):
                action()
            if is_done is not None and is_done():
                return
        self.now_us = max(self.now_us, end_us)

    def trace(self, who: str, what: str, detail: str = "") -> None:
        """Note that something happened; it becomes part of the hash, and a line if somebody reads them."""
        line = f"{self.now_us:>12} {who:<4} {what:<10} {detail}\n"
        self._lines.append(line)
        if self._sink is not None:
            self._sink.write(line)
        if len(self._lines) >= 1_000:
            self._digest()

    def explain(self, who: str, what: str, detail: str) -> None:
        """A line for people, not part of the hash."""
        if self._sink is not None:
            self._sink.write(f"{self.now_us:>12} {who:<4} {what:<10} {detail}\n")

    def trace_hash(self) -> str:
        """One hash of everything noted so far: equal in every run of the same seed and code."""
        self._digest()
        return self._hash.hexdigest()

    def _digest(self) -> None:
        self._hash.update("".join(self._lines).encode())
        self._lines.clear()


class Clock:
    """A node's monotonic clock, in milliseconds: its own start, a rate that drifts, and jumps ahead.

    Invariant: it never goes back.
    """

    __slots__ = ("_base_ms", "_base_us", "_rate", "_world")

    def __init__(self, world: World, base_ms: int) -> None:
        self._world = world
        self._base_us = world.now_us
        self._base_ms = float(base_ms)
        self._rate = 1.0

    def now_ms(self) -> int:
        """What the node reads."""
        return int(self._base_ms + (self._world.now_us - self._base_us) * self._rate / MS)

    @property
    def rate(self) -> float:
        """Times the true speed, now."""
        return self._rate

    def set_rate(self, rate: float) -> None:
        """Run at ``rate`` times the true speed from now on."""
        self._rebase()
        self._rate = rate

    def jump(self, ahead_ms: int) -> None:
        """Skip ``ahead_ms``, as when the machine was suspended."""
        self._rebase()
        self._base_ms += ahead_ms

    def when_us(self, at_ms: int) -> int:
        """The world's time at which this clock will show ``at_ms``, if its rate stays."""
        return self._base_us + int((at_ms - self._base_ms) * MS / self._rate) + 1

    def _rebase(self) -> None:
        now_us = self._world.now_us
        self._base_ms += (now_us - self._base_us) * self._rate / MS
        self._base_us = now_us
