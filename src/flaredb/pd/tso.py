"""Timestamps that only grow: over restarts, and whatever the clock does.

A timestamp is a millisecond and a counter of 18 bits within it. Before a millisecond is used, a later one is on disk;
after a restart the oracle goes on from there, so the clock may even have been set back meanwhile (wire facts 3.9).
"""

from __future__ import annotations

from flaredb.pd.messages import PdError, PdErrorKind, Timestamps
from flaredb.pd.state import PdState

LOGICAL_BITS = 18
TIMESTAMPS_PER_MS = 1 << LOGICAL_BITS


class TimestampOracle:
    """Source of all timestamps of the cluster.

    Invariants: every timestamp handed out has a millisecond < _bound_ms; the bound on disk is at least _bound_ms once
    the step's writes are synced; (_physical_ms, _next_logical) is above every timestamp handed out.
    """

    def __init__(self, state: PdState, save_interval_ms: int) -> None:
        self._state = state
        self._save_interval_ms = save_interval_ms
        self._bound_ms = state.tso_bound_ms()
        self._physical_ms = self._bound_ms
        self._next_logical = 0

    @property
    def physical_ms(self) -> int:
        """Millisecond of the newest timestamp, for people; 0 before the first one ever."""
        return self._physical_ms

    def take(self, count: int, wall_ms: int) -> Timestamps:
        """``count`` timestamps of one millisecond: the clock's, or a later one if the clock is behind.

        Errors: PdError INVALID_VALUE for a count that does not fit a millisecond.
        """
        if not 1 <= count <= TIMESTAMPS_PER_MS:
            raise PdError(
                PdErrorKind.INVALID_VALUE, f"{count} timestamps asked at once; ask for 1 to {TIMESTAMPS_PER_MS}"
            )
        if wall_ms > self._physical_ms:
            self._physical_ms, self._next_logical = wall_ms, 0
        elif self._next_logical + count > TIMESTAMPS_PER_MS:
            self._physical_ms, self._next_logical = self._physical_ms + 1, 0
        if self._physical_ms >= self._bound_ms:
            self._bound_ms = self._physical_ms + self._save_interval_ms
            self._state.put_tso_bound_ms(self._bound_ms)
        self._next_logical += count
        return Timestamps(self._physical_ms, self._next_logical - 1, count)
