"""How fast peers may come to a store and go from it: a token bucket for each direction.

As in PD a bucket holds one large region, or a second's worth if that is more; small regions cost a fifth, empty ones
nothing, because moving them does.
"""

from __future__ import annotations

from enum import IntEnum

from flaredb.model.ids import StoreId
from flaredb.pd.live_settings import LiveSettings
from flaredb.pd.schedule_config import UNLIMITED_PER_MINUTE

SMALL_MIB = 20
_EMPTY_MIB = 1


class Direction(IntEnum):
    """Index into a store's pair of limits."""

    ADD = 0
    REMOVE = 1


def cost(size_mib: int) -> float:
    """Tokens for a region of that size."""
    if size_mib <= _EMPTY_MIB:
        return 0.0
    return 0.2 if size_mib <= SMALL_MIB else 1.0


class StoreLimits:
    """Buckets by store and direction. A full bucket is not kept."""

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._buckets: dict[tuple[StoreId, Direction], tuple[float, int]] = {}
        """(tokens, core time they were counted at)."""

    def allows(self, store_id: StoreId, direction: Direction, tokens: float, now_ms: int) -> bool:
        """They are there."""
        return not tokens or self._level(store_id, direction, now_ms) >= tokens

    def take(self, store_id: StoreId, direction: Direction, tokens: float, now_ms: int) -> None:
        """Use them up, also below nothing: orders by people do not wait."""
        if tokens and self._per_ms(store_id, direction) * 60_000 < UNLIMITED_PER_MINUTE:
            self._buckets[store_id, direction] = (self._level(store_id, direction, now_ms) - tokens, now_ms)

    def _per_ms(self, store_id: StoreId, direction: Direction) -> float:
        return self._settings.limits(store_id)[direction] / 60_000

    def _level(self, store_id: StoreId, direction: Direction, now_ms: int) -> float:
        per_ms = self._per_ms(store_id, direction)
        if not per_ms:
            return 0.0
        capacity = max(1.0, per_ms * 1_000)
        tokens, counted_at_ms = self._buckets.get((store_id, direction), (capacity, now_ms))
        return min(capacity, tokens + per_ms * (now_ms - counted_at_ms))
