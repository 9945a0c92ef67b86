"""One region that moves: what the tests of moves share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange
from flaredb.model.region import Peer, PeerRole, Region
from flaredb.store.messages import SyncDone
from tests.store.harness import CONFIG, Cluster, Node, region

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


def removed_but_not_synced(made: Cluster) -> tuple[Node, int]:
    """A leader that has applied a removal which its disk does not hold yet, and the region's conf_ver before."""
    made.change(1, (REMOVE, follower_of(made, 1)))
    gone, leader = follower_of(made, 1), made.await_leader(1)
    peer = leader.store.peers[R1]
    before = peer.region.epoch.conf_ver
    made.drop = lambda envelope: envelope.from_store == gone.store_id
    made.order(1, ChangePeers((PeerChange(REMOVE, gone),)))
    made.run_for(20)  # the leader has the entry on its disk
    leader.sync_at_once = False
    made.drop = lambda envelope: False
    made.run_until(lambda: peer.region.epoch.conf_ver > before)
    return leader, before


def syncs_again(leader: Node) -> None:
    leader.sync_at_once = True
    leader.engine.sync()
    leader.inbox.append(SyncDone(10**6))
