"""One region that moves: what the tests of moves share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind
from flaredb.model.region import Peer, PeerRole, Region
from tests.store.harness import CONFIG, Cluster, region

ADD, REMOVE, LEARNER = ChangeKind.ADD_NODE, ChangeKind.REMOVE_NODE, ChangeKind.ADD_LEARNER_NODE
R1 = RegionId(1)
NEW = Peer(PeerId(1004), StoreId(4), PeerRole.LEARNER)


def cluster(stores: int = 4, **config: Any) -> Cluster:
    """One region on stores 1 to 3, and further stores that hold nothing."""
    made = Cluster([region(1)], stores=stores, config=replace(CONFIG, **config))
    made.await_leader(1)
    return made


def fill(made: Cluster, count: int, value_bytes: int = 10) -> None:
    for number in range(count):
        assert made.put(made.newest(1), b"key%04d" % number, b"x" * value_bytes) is None


def follower_of(made: Cluster, region_id: int) -> Peer:
    leader = made.await_leader(region_id)
    peer = leader.store.peers[RegionId(region_id)]
    return next(meta for meta in peer.region.peers if meta.id != peer.meta.id and meta.role is PeerRole.VOTER)


def roles(found: Region) -> dict[int, str]:
    return {peer.store_id: peer.role.name for peer in found.peers}
