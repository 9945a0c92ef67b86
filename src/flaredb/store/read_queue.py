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


class ReadQueue:
    """Invariant: a request is in exactly one of waiting, round and confirmed."""

    __slots__ = ("_count", "confirmed", "round", "waiting")

    def __init__(self) -> None:
        self._count = 0
        self.waiting: list[Request] = []
        self.round: Round | None = None
        self.confirmed: deque[tuple[int, list[Request]]] = deque()
        """(index, reads) that wait until the index is applied; indexes ascend."""

    def next_name(self) -> bytes:
        """A name no earlier round of this peer's process had."""
        self._count += 1
        return self._count.to_bytes(8, "big")

    def is_idle(self) -> bool:
        """True when no read waits."""
        return not (self.waiting or self.round or self.confirmed)
