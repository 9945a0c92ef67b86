"""Ordered map from key ranges to regions. Ranges never intersect (asserted), so a key has at most one owner."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from flaredb.model.region import Region


class RegionMap:
    """Invariant: ``_starts`` is strictly ascending and ``_regions[i].start_key == _starts[i]``."""

    __slots__ = ("_regions", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._regions: list[Region] = []

    def __len__(self) -> int:
        return len(self._regions)

    def regions(self) -> list[Region]:
        """All regions in key order."""
        return list(self._regions)

    def find(self, key: bytes) -> Region | None:
        """The region that holds ``key``."""
        at = bisect_right(self._starts, key) - 1
        if at < 0:
            return None
        region = self._regions[at]
        return region if region.contains(key) else None

    def overlapping(self, start_key: bytes, end_key: bytes) -> list[Region]:
        """Regions that share a key with [start_key, end_key), in key order; an empty end is no bound."""
        at = bisect_right(self._starts, start_key) - 1
        if at < 0 or not self._regions[at].contains(start_key):
            at += 1
        stop = bisect_left(self._starts, end_key) if end_key else len(self._starts)
        return self._regions[at:stop]

    def ending_at(self, key: bytes) -> Region | None:
        """The region whose end is ``key``, if one is here; none ends at b"", which as a start has nothing before it."""
        at = bisect_left(self._starts, key) - 1
        if not key or at < 0:
            return None
        region = self._regions[at]
        return region if region.end_key == key else None

    def insert(self, region: Region) -> None:
        """Add a region. Pre: it overlaps none that is here (asserted)."""
        clash = self.overlapping(region.start_key, region.end_key)
        assert not clash, f"region {region.id} overlaps region {clash[0].id} on the same store"
        at = bisect_left(self._starts, region.start_key)
        self._starts.insert(at, region.start_key)
        self._regions.insert(at, region)

    def remove(self, region: Region) -> None:
        """Take a region out. Pre: it is here with the same start key (asserted)."""
        at = bisect_left(self._starts, region.start_key)
        here = self._regions[at : at + 1]
        assert [found.id for found in here] == [region.id], f"region {region.id} is not in the map"
        del self._starts[at]
        del self._regions[at]

    def replace(self, before: Region, after: Region) -> None:
        """Put a region in the place of itself at another epoch. Pre: same id and range (asserted)."""
        assert (before.start_key, before.end_key) == (after.start_key, after.end_key), "a replacement has its range"
        at = bisect_left(self._starts, before.start_key)
        assert self._regions[at].id == before.id == after.id, f"region {before.id} is not in the map"
        self._regions[at] = after
