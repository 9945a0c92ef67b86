"""Ids that are never used twice, whatever happens."""

from __future__ import annotations

from flaredb.pd.messages import PdError, PdErrorKind
from flaredb.pd.state import PdState

IDS_PER_CALL_MAX = 1_000_000


class IdAllocator:
    """Hands out ids from 1 on, from a window whose end is on disk before the first id of it is used.

    Invariant: _last <= _bound, and the bound on disk is at least _bound once the step's writes are synced.
    """

    def __init__(self, state: PdState, window: int) -> None:
        self._state = state
        self._window = window
        self._bound = state.id_bound()
        self._last = self._bound  # what was left of the old window is skipped: some of it may have been used

    @property
    def last(self) -> int:
        """The newest id; 0 before the first one."""
        return self._last

    def take(self, count: int = 1) -> int:
        """Take ``count`` consecutive ids and return the last one.

        Errors: PdError INVALID_VALUE for a count out of bounds.
        """
        if not 1 <= count <= IDS_PER_CALL_MAX:
            raise PdError(PdErrorKind.INVALID_VALUE, f"{count} ids asked at once; ask for 1 to {IDS_PER_CALL_MAX}")
        self._last += count
        if self._last > self._bound:
            self._bound = self._last + self._window
            self._state.put_id_bound(self._bound)
        return self._last
