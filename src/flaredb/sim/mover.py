"""Orders to leaders by chance, beside those of PD: what a placement driver might do with replicas and leaders.

Every order names the region's epoch as its leader had it; what is overtaken is dropped by the store. New peer ids come
from PD, as all ids do.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from flaredb.model.ids import PeerId
from flaredb.model.orders import (
    ChangeKind,
    ChangePeers,
    PeerChange,
    RegionOrder,
    SplitOrder,
    SplitPolicy,
    TransferLeader,
)
from flaredb.model.region import Peer as PeerMeta
from flaredb.model.region import PeerRole, Region
from flaredb.pd.messages import AllocIds
from flaredb.store.messages import OrderReceived

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster
    from flaredb.sim.store_node import StoreNode
    from flaredb.store.peer import Peer

JOINT = (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER)
CALL_TIMEOUT_MS = 2_000

OrderStep = ChangePeers | TransferLeader | SplitOrder


class Mover:
    """Gives orders to whoever leads."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._rng: Random = cluster.world.rng("mover")
        self.orders = 0

    # ------------------------------------------------ by chance

    def act(self) -> None:
        """One order to one leader, of a random kind."""
        leaders = self._leaders()
        if not leaders:
            return
        node, peer = self._rng.choice(leaders)
        step = self._step(peer.region)
        if step is not None:
            self._order(node, peer, step)

    def _leaders(self) -> list[tuple[StoreNode, Peer]]:
        return [
            (node, peer)
            for node in self._cluster.stores
            if node.store is not None
            for _, peer in sorted(node.store.peers.items())
            if peer.is_leader and peer.is_initialised
        ]

    def _step(self, region: Region) -> OrderStep | None:
        rng = self._rng
        if any(peer.role in JOINT for peer in region.peers):
            return ChangePeers(()) if rng.random() < 0.7 else TransferLeader((rng.choice(region.peers),))
        learners = [peer for peer in region.peers if peer.role is PeerRole.LEARNER]
        voters = [peer for peer in region.peers if peer.role is PeerRole.VOTER]
        kinds = ["grow", "grow", "transfer", "halve"]
        if learners:
            kinds += ["promote", "promote", "swap", "swap", "drop learner"]
        if len(voters) > 2:
            kinds += ["drop voter", "demote"]
        kind = rng.choice(kinds)
        if kind == "grow":
            self._grow(region)
            return None
        if kind == "promote":
            return ChangePeers((PeerChange(ChangeKind.ADD_NODE, rng.choice(learners)),))
        if kind == "swap":
            promoted = PeerChange(ChangeKind.ADD_NODE, rng.choice(learners))
            return ChangePeers((promoted, PeerChange(ChangeKind.ADD_LEARNER_NODE, rng.choice(voters))))
        if kind == "drop learner":
            return ChangePeers((PeerChange(ChangeKind.REMOVE_NODE, rng.choice(learners)),))
        if kind == "drop voter":
            return ChangePeers((PeerChange(ChangeKind.REMOVE_NODE, rng.choice(voters)),))
        if kind == "demote":
            return ChangePeers((PeerChange(ChangeKind.ADD_LEARNER_NODE, rng.choice(voters)),))
        if kind == "transfer":
            return TransferLeader((rng.choice(region.peers),))
        if len(self._regions()) < self._cluster.options.regions_max:
            return SplitOrder(SplitPolicy.SCAN)
        return None

    def _grow(self, region: Region) -> None:
        """Add a learner on a store that has no replica. Its id is taken now: of two replicas that one store ever has of
        a region, the later one has the larger id.
        """
        taken = {peer.store_id for peer in region.peers}
        free = [
            node.store_id
            for node in self._cluster.stores
            if node.store_id and node.store_id not in taken and not node.is_draining
        ]
        if not free:
            return
        store_id = self._rng.choice(free)

        def order(peer_id: object) -> None:
            leaders = [(node, peer) for node, peer in self._leaders() if peer.region == region]
            if isinstance(peer_id, int) and leaders:
                newcomer = PeerMeta(PeerId(peer_id), store_id)
                self._order(*leaders[-1], ChangePeers((PeerChange(ChangeKind.ADD_LEARNER_NODE, newcomer),)))

        self._cluster.pd.call("pd", AllocIds(), order, CALL_TIMEOUT_MS)

    def _regions(self) -> set[int]:
        return {peer.region.id for _, peer in self._leaders()}

    def _order(self, node: StoreNode, peer: Peer, step: OrderStep) -> None:
        order = RegionOrder(peer.region.id, peer.region.epoch, peer.meta, step)
        self.orders += 1
        self._cluster.invariants.after_order(order)
        self._cluster.world.trace("pd", "order", f"r{order.region_id} {node.name} {show_step(step)}")
        self._cluster.network.send_call("pd", node.name, lambda: node.submit(OrderReceived(order)))


def show_step(step: OrderStep) -> str:
    """An order in a few words."""
    if isinstance(step, TransferLeader):
        return "transfer to " + " or ".join(str(peer.id) for peer in step.peers)
    if isinstance(step, SplitOrder):
        return f"split by {step.policy.name.lower()}"
    changes = [f"{item.kind.name.lower()} {item.peer.id} on store {item.peer.store_id}" for item in step.changes]
    return ", ".join(changes) or "leave joint"
