"""The region directory: an ordered map of key ranges, kept up to date by what leaders report.

Of two reports about the same keys the one with the larger epoch is true (wire facts 4.4, 4.6). The directory may have
holes for a moment: between the first report of a split's result and the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from flaredb.model.cluster import DownPeer, RegionHeartbeat, RegionRoute
from flaredb.model.ids import PeerId, RegionId
from flaredb.model.keys import format_range
from flaredb.model.region import Peer, PeerRole, Region
from flaredb.pd.store_tally import Tallies

_MIB = 1024 * 1024


class StaleRegion(Exception):
    """A report that a newer one has overtaken; the message names both."""


@dataclass(slots=True)
class RegionRecord:
    """A region, and what its leader last said of it."""

    region: Region
    leader: Peer | None = None
    """None until a leader reports; always one of region.peers."""

    term: int = 0
    """Raft term of the last report; 0: not known."""

    down_peers: tuple[DownPeer, ...] = ()
    pending_peers: tuple[Peer, ...] = ()
    approximate_size_bytes: int = 0
    approximate_keys: int = 0
    bytes_written: int = 0
    keys_written: int = 0
    bytes_read: int = 0
    keys_read: int = 0
    interval_s: int = 0
    """The period that bytes and keys written and read cover."""

    is_reported: bool = False
    """Its leader has reported since PD's start; else it is known from disk, or from the report of a split."""

    @property
    def size_mib(self) -> int:
        """At least 1, as PD counts (wire facts 4.4)."""
        return max(1, -(-self.approximate_size_bytes // _MIB))

    def is_healthy(self) -> bool:
        """Led, and every replica is a voter that its leader hears and that keeps up."""
        return (
            self.leader is not None
            and self.is_reported
            and not self.down_peers
            and not self.pending_peers
            and all(peer.role == PeerRole.VOTER for peer in self.region.peers)
        )

    def is_pending(self, peer_id: PeerId) -> bool:
        """Its leader says that the replica lags."""
        return any(peer.id == peer_id for peer in self.pending_peers)

    def is_down(self, peer_id: PeerId) -> bool:
        """Its leader has not heard the replica for a while."""
        return any(down.peer.id == peer_id for down in self.down_peers)

    def route(self) -> RegionRoute:
        """As known: without a leader if none has reported."""
        return RegionRoute(self.region, self.leader, self.down_peers, self.pending_peers)

    def best_route(self) -> RegionRoute:
        """With a leader in any case: the first voter, if none has reported."""
        if self.leader is not None:
            return self.route()
        voters = [peer for peer in self.region.peers if peer.role != PeerRole.LEARNER]
        return RegionRoute(self.region, (voters or self.region.peers)[0])


@dataclass(slots=True)
class TreeChange:
    """What a report changed."""

    region_changed: bool = False
    """Range, epoch or peers are new and should be written down."""

    leader_changed: bool = False
    removed: list[RegionId] = field(default_factory=list)
    """Regions that gave way to the reported one, itself excepted."""


class RegionTree:
    """Regions by range and by id.

    Invariants: no two ranges overlap; _starts and _records are parallel, ascending by start key; _by_id holds exactly
    the records.
    """

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._records: list[RegionRecord] = []
        self._by_id: dict[RegionId, RegionRecord] = {}
        self.tallies = Tallies()
        """What each store holds; kept in step with the records."""

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RegionRecord]:
        """By start key."""
        return iter(self._records)

    def by_id(self, region_id: RegionId) -> RegionRecord | None:
        """The region of that id, None if it is not known (any more)."""
        return self._by_id.get(region_id)

    def by_key(self, key: bytes) -> RegionRecord | None:
        """The region that holds ``key``; None for a hole."""
        index = bisect_right(self._starts, key) - 1
        if index < 0 or not self._records[index].region.contains(key):
            return None
        return self._records[index]

    def before(self, key: bytes) -> RegionRecord | None:
        """The region that ends where the one with ``key`` begins; None for the first, or next to a hole."""
        index = bisect_right(self._starts, key) - 1
        if index < 1 or not self._records[index].region.contains(key):
            return None
        left = self._records[index - 1]
        return left if left.region.end_key == self._records[index].region.start_key else None

    def scan(self, start: bytes, end: bytes, limit: int = 0) -> list[RegionRecord]:
        """Regions that share a key with [start, end), ascending; an empty end is no bound, limit 0 none."""
        low, high = self._overlap_bounds(start, end)
        return self._records[low : min(high, low + limit) if limit else high]

    def learn(self, region: Region, leader: Peer | None = None) -> TreeChange:
        """Take over a region that is known otherwise than by its leader's report: from a layout or a split.

        Errors: StaleRegion.
        """
        old = self._by_id.get(region.id)
        record = RegionRecord(region, leader, old.term if old else 0)
        return self._replace(record)

    def report(self, heartbeat: RegionHeartbeat) -> TreeChange:
        """Take over a leader's report.

        Pre:    heartbeat.leader is one of heartbeat.region.peers.
        Errors: StaleRegion if the region or its leader is known to be out of date; nothing changes.
        """
        old = self._by_id.get(heartbeat.region.id)
        if old is not None and 0 < heartbeat.term < old.term:
            raise StaleRegion(
                f"region {heartbeat.region.id}: report of term {heartbeat.term}, but term {old.term} is known"
            )
        return self._replace(_record_of(heartbeat, old))

    def _replace(self, record: RegionRecord) -> TreeChange:
        region = record.region
        old = self._by_id.get(region.id)
        low, high = self._overlap_bounds(region.start_key, region.end_key)
        overlapped = self._records[low:high]
        self._check_not_stale(region, old, overlapped)
        change = TreeChange(
            region_changed=old is None or old.region != region,
            leader_changed=(old.leader if old else None) != record.leader,
            removed=[other.region.id for other in overlapped if other is not old],
        )
        if len(overlapped) == 1 and overlapped[0] is old:
            self.tallies.replace(old, record)
            self._starts[low] = region.start_key
            self._records[low] = self._by_id[region.id] = record
            return change
        for other in overlapped:
            del self._by_id[other.region.id]
            self.tallies.drop(other)
        del self._starts[low:high]
        del self._records[low:high]
        if region.id in self._by_id:
            self._remove(self._by_id[region.id])
            low = bisect_left(self._starts, region.start_key)
        self._insert(low, record)
        return change

    def _check_not_stale(self, region: Region, old: RegionRecord | None, overlapped: list[RegionRecord]) -> None:
        if old is not None and region.epoch.is_older_than(old.region.epoch):
            raise StaleRegion(f"{_name(region)} is out of date: {_name(old.region)} is known")
        for other in overlapped:
            if other is not old and other.region.epoch.version > region.epoch.version:
                raise StaleRegion(f"{_name(region)} is out of date: it overlaps the newer {_name(other.region)}")

    def _insert(self, index: int, record: RegionRecord) -> None:
        self._starts.insert(index, record.region.start_key)
        self._records.insert(index, record)
        self._by_id[record.region.id] = record
        self.tallies.take(record)

    def _remove(self, record: RegionRecord) -> None:
        index = bisect_left(self._starts, record.region.start_key)
        assert self._records[index] is record
        del self._starts[index], self._records[index], self._by_id[record.region.id]
        self.tallies.drop(record)

    def _overlap_bounds(self, start: bytes, end: bytes) -> tuple[int, int]:
        """Indexes [low, high) of the regions that share a key with [start, end)."""
        low = bisect_right(self._starts, start) - 1
        if low < 0 or (self._records[low].region.end_key and self._records[low].region.end_key <= start):
            low += 1
        high = bisect_left(self._starts, end) if end else len(self._starts)
        return low, max(low, high)


def _record_of(heartbeat: RegionHeartbeat, old: RegionRecord | None) -> RegionRecord:
    size_bytes = heartbeat.approximate_size_bytes
    if size_bytes == 0 and old is not None:  # 0 is "unknown" (wire facts 4.4)
        size_bytes = old.approximate_size_bytes
    return RegionRecord(
        heartbeat.region,
        heartbeat.leader,
        heartbeat.term or (old.term if old else 0),
        tuple(down for down in heartbeat.down_peers if down.peer.id != heartbeat.leader.id),
        tuple(heartbeat.pending_peers),
        size_bytes,
        heartbeat.approximate_keys,
        heartbeat.bytes_written,
        heartbeat.keys_written,
        heartbeat.bytes_read,
        heartbeat.keys_read,
        max(0, heartbeat.interval_end_s - heartbeat.interval_start_s),
        True,
    )


def _name(region: Region) -> str:
    epoch = region.epoch
    bounds = format_range(region.start_key, region.end_key)
    return f"region {region.id} {bounds} at version {epoch.version}, conf_ver {epoch.conf_ver}"
