"""Regions: contiguous key ranges, each replicated by its own Raft group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from flaredb.model.ids import PeerId, RegionId, StoreId


class PeerRole(IntEnum):
    """What a replica counts for; numbers of metapb.PeerRole."""

    VOTER = 0
    LEARNER = 1
    INCOMING_VOTER = 2
    DEMOTING_VOTER = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """One replica of a region on one store."""

    id: PeerId
    store_id: StoreId
    role: PeerRole = PeerRole.VOTER


@dataclass(frozen=True, slots=True, order=True)
class RegionEpoch:
    """Two counters that only grow: ``version`` with splits and merges, ``conf_ver`` with membership changes.

    Source: wire facts 4.6.
    """

    version: int = 0
    conf_ver: int = 0

    def is_older_than(self, other: RegionEpoch) -> bool:
        """True if either counter is behind ``other``'s: what this epoch describes is out of date."""
        return self.version < other.version or self.conf_ver < other.conf_ver


INITIAL_EPOCH = RegionEpoch(version=1, conf_ver=1)
"""Epoch of a region that has never split nor changed its members."""


@dataclass(frozen=True, slots=True)
class Region:
    """A key range [start_key, end_key) and its replicas. Empty start: from the first key; empty end: no bound."""

    id: RegionId
    start_key: bytes
    end_key: bytes
    epoch: RegionEpoch
    peers: tuple[Peer, ...]

    def contains(self, key: bytes) -> bool:
        """True if ``key`` lies in [start_key, end_key)."""
        return self.start_key <= key and (not self.end_key or key < self.end_key)

    def contains_as_end(self, key: bytes) -> bool:
        """True if ``key`` may be the exclusive upper bound of a range inside this region; b"" is no bound."""
        if not key:
            return not self.end_key
        return self.start_key < key and (not self.end_key or key <= self.end_key)

    def overlaps(self, other: Region) -> bool:
        """True if some key lies in both ranges."""
        return ranges_overlap(self.start_key, self.end_key, other.start_key, other.end_key)

    def peer_on(self, store_id: StoreId) -> Peer | None:
        """The replica on ``store_id``, if there is one."""
        for peer in self.peers:
            if peer.store_id == store_id:
                return peer
        return None

    def peer(self, peer_id: PeerId) -> Peer | None:
        """The replica with ``peer_id``, if it belongs to this region."""
        for peer in self.peers:
            if peer.id == peer_id:
                return peer
        return None

    def with_epoch(self, epoch: RegionEpoch) -> Region:
        """The same region at another epoch."""
        return replace(self, epoch=epoch)


def ranges_overlap(start_a: bytes, end_a: bytes, start_b: bytes, end_b: bytes) -> bool:
    """True if [start_a, end_a) and [start_b, end_b) share a key; an empty end is no bound."""
    return (not end_b or start_a < end_b) and (not end_a or start_b < end_a)
