"""PD's orders to regions that are led here, and the handing over of leaderships before the process stops.

An order that does not fit the region as it is now is dropped: PD sees what is true in the next heartbeat and thinks
again (wire facts 4.5). Why one was refused is noted.
"""

from __future__ import annotations

from flaredb.model.commands import ChangeMembers, Request
from flaredb.model.orders import ChangePeers, RegionOrder, SplitPolicy, TransferLeader
from flaredb.store.admission import take_request
from flaredb.store.commands.transfer_leader import transfer_leader, transfer_to_anyone
from flaredb.store.hibernation import wake
from flaredb.store.messages import SplitRequested
from flaredb.store.peer import Peer
from flaredb.store.splitting import split_request
from flaredb.store.state import StoreState


def on_order(store: StoreState, order: RegionOrder) -> None:
    """Carry out one step, if the order is for the leader here and for the region at exactly this epoch."""
    peer = store.peers.get(order.region_id)
    if (
        peer is None
        or not peer.is_leader
        or peer.meta.id != order.target.id
        or peer.region.epoch != order.epoch
        or store.is_closing
    ):
        return
    wake(store, peer)
    step, epoch = order.step, order.epoch
    if isinstance(step, ChangePeers):
        command = ChangeMembers(step, epoch.conf_ver)
        take_request(store, Request(None, command, order.region_id, epoch.version, peer.meta.id, store.store_id))
    elif isinstance(step, TransferLeader):
        reason = transfer_leader(peer, step.peers)
        if reason is not None:
            store.note("leadership is not transferred", region_id=order.region_id, reason=reason)
        store.touched.add(order.region_id)
    elif step.policy is SplitPolicy.USEKEY:
        keys = tuple(sorted({key for key in step.keys if key != peer.region.start_key}))
        wanted = SplitRequested(None, order.region_id, epoch.version, epoch.conf_ver, keys, "order")
        take_request(store, split_request(store, wanted))
    else:
        store.split_checks.start(peer.region, halve=True)


def leads_others(peer: Peer) -> bool:
    """True if the replica leads a region that another replica could lead."""
    return peer.is_leader and len(peer.region.peers) > 1


def hand_over(store: StoreState) -> None:
    """Ask another replica of every region led here to lead it. Repeated at every tick until none is left."""
    for peer in store.peers.values():
        if leads_others(peer) and peer.node.raft.lead_transferee is None:
            transfer_to_anyone(peer)
            store.touched.add(peer.region.id)
