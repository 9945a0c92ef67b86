"""Latencies in bounded memory: buckets that are at most 1 % wide."""

from __future__ import annotations

import math
from collections.abc import Iterator

FINEST_US = 1.0
"""Shorter times are told as this one."""

GROWTH = 1.01

_LOG_GROWTH = math.log(GROWTH)


class Latencies:
    """How long things took. Invariant: the buckets' sum is ``count``; a percentile is at most 1 % above the truth."""

    __slots__ = ("_buckets", "count", "max_s", "sum_s")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.sum_s = 0.0
        self.max_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        seconds = max(seconds, FINEST_US / 1e6)
        bucket = math.ceil(math.log(seconds * 1e6 / FINEST_US) / _LOG_GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.sum_s += seconds
        self.max_s = max(self.max_s, seconds)

    def merge(self, other: Latencies) -> None:
        """All of another's too."""
        for bucket, times in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += other.count
        self.sum_s += other.sum_s
        self.max_s = max(self.max_s, other.max_s)

    def percentile(self, percent: float) -> float:
        """Seconds within which so many were done; 0.0 if there is none."""
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for upper_s, times in self._ascending():
            seen += times
            if seen >= wanted:
                return min(upper_s, self.max_s)
        return self.max_s

    @property
    def mean_s(self) -> float:
        """0.0 if there is none."""
        return self.sum_s / self.count if self.count else 0.0

    def _ascending(self) -> Iterator[tuple[float, int]]:
        for bucket in sorted(self._buckets):
            yield FINEST_US / 1e6 * GROWTH**bucket, self._buckets[bucket]
