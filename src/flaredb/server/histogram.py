"""Durations counted in fixed buckets."""

from __future__ import annotations

from bisect import bisect_left

DURATION_BOUNDS_SECONDS = tuple(round(0.00001 * 2**power, 9) for power in range(21))
"""Upper bounds of the buckets: 10 us, doubled up to 10.5 s. One more bucket holds what took longer."""


class Histogram:
    """Durations in fixed buckets.

    Invariants: ``buckets[i]`` counts what was at most bound i and above the bound before, the last one what exceeded
    every bound; their sum is ``count``.
    """

    __slots__ = ("buckets", "count", "sum_seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(DURATION_BOUNDS_SECONDS) + 1)
        self.count = 0
        self.sum_seconds = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count ``times`` durations of this length."""
        self.buckets[bisect_left(DURATION_BOUNDS_SECONDS, seconds)] += times
        self.count += times
        self.sum_seconds += seconds * times
