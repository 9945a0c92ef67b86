"""What each store holds, counted while the region directory changes, so that nobody has to look at every region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import PeerRole

if TYPE_CHECKING:
    from flaredb.pd.region_tree import RegionRecord


class RegionSet:
    """Region ids, of which one can be picked by chance. Same changes, same order: no hash decides anything."""

    __slots__ = ("_ids", "_places")

    def __init__(self) -> None:
        self._ids: list[RegionId] = []
        self._places: dict[RegionId, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, region_id: RegionId) -> bool:
        return region_id in self._places

    def __iter__(self) -> Iterator[RegionId]:
        return iter(self._ids)

    def add(self, region_id: RegionId) -> None:
        """Pre: it is not in the set."""
        self._places[region_id] = len(self._ids)
        self._ids.append(region_id)

    def remove(self, region_id: RegionId) -> None:
        """Pre: it is in the set."""
        place = self._places.pop(region_id)
        last = self._ids.pop()
        if last != region_id:
            self._ids[place] = last
            self._places[last] = place

    def pick(self, rng: Random) -> RegionId | None:
        """Any of them; None if there is none."""
        return self._ids[rng.randrange(len(self._ids))] if self._ids else None


@dataclass(slots=True)
class StoreTally:
    """One store's replicas: leaders, other voters and learners make up all of them; pending ones are among these."""

    leaders: RegionSet = field(default_factory=RegionSet)
    followers: RegionSet = field(default_factory=RegionSet)
    learners: RegionSet = field(default_factory=RegionSet)
    pending: RegionSet = field(default_factory=RegionSet)
    leader_mib: int = 0
    peer_mib: int = 0
    reported: int = 0
    """Replicas whose leader has reported since PD's start."""

    @property
    def peer_count(self) -> int:
        """Replicas of any role."""
        return len(self.leaders) + len(self.followers) + len(self.learners)


NOTHING = StoreTally()
"""Of a store that holds nothing; not to be changed."""


class Tallies:
    """Tallies by store. Invariant: what ``take`` counted, ``drop`` of the same record takes back."""

    def __init__(self) -> None:
        self._stores: dict[StoreId, StoreTally] = {}
        self.reported = 0
        """Regions whose leader has reported since PD's start."""

    def of(self, store_id: StoreId) -> StoreTally:
        """The store's tally; not to be changed from outside."""
        return self._stores.get(store_id, NOTHING)

    def take(self, record: RegionRecord) -> None:
        """A record came into the directory."""
        region_id, size_mib = record.region.id, record.size_mib
        self.reported += record.is_reported
        for peer in record.region.peers:
            tally = self._stores.setdefault(peer.store_id, StoreTally())
            tally.peer_mib += size_mib
            tally.reported += record.is_reported
            self._role_set(tally, record, peer.id, peer.role).add(region_id)
            if record.leader is not None and peer.id == record.leader.id:
                tally.leader_mib += size_mib
        for peer in record.pending_peers:
            if region_id not in self._stores.setdefault(peer.store_id, StoreTally()).pending:
                self._stores[peer.store_id].pending.add(region_id)

    def replace(self, old: RegionRecord, new: RegionRecord) -> None:
        """A newer record of a region took the place of an older one; most reports change nothing that is counted."""
        if (
            (old.region is not new.region and old.region != new.region)
            or old.leader != new.leader
            or old.pending_peers != new.pending_peers
            or old.size_mib != new.size_mib
            or old.is_reported != new.is_reported
        ):
            self.drop(old)
            self.take(new)

    def drop(self, record: RegionRecord) -> None:
        """A record left the directory."""
        region_id, size_mib = record.region.id, record.size_mib
        self.reported -= record.is_reported
        for peer in record.region.peers:
            tally = self._stores[peer.store_id]
            tally.peer_mib -= size_mib
            tally.reported -= record.is_reported
            self._role_set(tally, record, peer.id, peer.role).remove(region_id)
            if record.leader is not None and peer.id == record.leader.id:
                tally.leader_mib -= size_mib
        for peer in record.pending_peers:
            if region_id in self._stores[peer.store_id].pending:
                self._stores[peer.store_id].pending.remove(region_id)

    @staticmethod
    def _role_set(tally: StoreTally, record: RegionRecord, peer_id: int, role: PeerRole) -> RegionSet:
        if record.leader is not None and peer_id == record.leader.id:
            return tally.leaders
        return tally.learners if role == PeerRole.LEARNER else tally.followers
