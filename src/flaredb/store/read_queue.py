"""The reads of one region that wait: for a ReadIndex round, in the one under way, or for its index to be applied."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flaredb.model.commands import Request


@dataclass(slots=True)
class Round:
    """One ReadIndex round under way."""

    name: bytes
    started_ms: int
    requests: list[Request]


@dataclass(slots=True)
class ReadCounts:
    """How the reads of a store became consistent."""

    by_lease: int = 0
    by_round: int = 0


class RoundNames:
    """Names for the rounds of one store, of which none is used twice, in this process or before it."""

    __slots__ = ("_count", "_life")

    def __init__(self, life: int) -> None:
        """``life`` is a random 64-bit number: it tells the rounds of this process from those of an earlier one."""
        self._life = life.to_bytes(8, "big")
        self._count = 0

    def next(self) -> bytes:
        """One more."""
        self._count += 1
        return self._life + self._count.to_bytes(8, "big")


class ReadQueue:
    """Invariant: a request is in exactly one of waiting, round and confirmed."""

    __slots__ = ("confirmed", "counts", "round", "waiting")

    def __init__(self, counts: ReadCounts) -> None:
        self.counts = counts
        self.waiting: list[Request] = []
        self.round: Round | None = None
        self.confirmed: deque[tuple[int, list[Request]]] = deque()
        """(index, reads) that wait until the index is applied; indexes ascend."""

    def is_idle(self) -> bool:
        """True when no read waits."""
        return not (self.waiting or self.round or self.confirmed)

    def take_all(self) -> list[Request]:
        """Every read; none is left."""
        requests = list(self.waiting) + (self.round.requests if self.round else [])
        for _, confirmed in self.confirmed:
            requests += confirmed
        self.waiting, self.round = [], None
        self.confirmed.clear()
        return requests
