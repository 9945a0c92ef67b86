"""Calls that wait, for a bounded time and in bounded number, for what is merely not known yet.

Official clients spend all their retries within milliseconds when they are refused at once (wire facts 3.2), so a short
wait here is what carries them over an election or a start of the cluster.
"""

from __future__ import annotations

from collections import deque

from flaredb.pd.messages import Called


class HeldCalls:
    """Oldest first. Invariant: deadlines ascend, because every call is held for the same time."""

    def __init__(self, hold_ms: int, calls_max: int) -> None:
        self._hold_ms = hold_ms
        self._calls_max = calls_max
        self._waiting: deque[tuple[int, Called]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_deadline_ms(self) -> int | None:
        """When the oldest call must be answered; None if none waits."""
        return self._waiting[0][0] if self._waiting else None

    def hold(self, called: Called, now_ms: int) -> bool:
        """Keep the call; False if it must be answered now, because too many wait."""
        if not self._hold_ms or len(self._waiting) >= self._calls_max:
            return False
        self._waiting.append((now_ms + self._hold_ms, called))
        return True

    def take_due(self, now_ms: int) -> list[Called]:
        """Calls whose time is up, removed."""
        due = []
        while self._waiting and self._waiting[0][0] <= now_ms:
            due.append(self._waiting.popleft()[1])
        return due

    def take_all(self) -> list[tuple[int, Called]]:
        """Every call with its deadline, removed: something changed, so each is looked at again."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def put_back(self, deadline_ms: int, called: Called) -> None:
        """Keep a call that ``take_all`` gave out. Pre: in the order given out."""
        self._waiting.append((deadline_ms, called))
