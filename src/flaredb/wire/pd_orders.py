"""Orders on the region heartbeat stream: pdpb.RegionHeartbeatResponse <-> model/orders (wire facts 2.14 and 4.5)."""

from __future__ import annotations

from dataclasses import dataclass

from flaredb.model.ids import RegionId
from flaredb.model.orders import (
    ChangeKind,
    ChangePeers,
    PeerChange,
    RegionOrder,
    SplitOrder,
    SplitPolicy,
    TransferLeader,
)
from flaredb.wire.convert import epoch_from_pb, epoch_to_pb, peer_from_pb, peer_to_pb
from flaredb.wire.pb import pdpb_pb2 as pdpb

_ORDERS = ("change_peer", "change_peer_v2", "transfer_leader", "split_region", "merge", "switch_witnesses")
"""In the order in which a store looks for one: the first present is carried out."""


@dataclass(frozen=True, slots=True)
class UnknownOrder:
    """An order that this version does not carry out, by the name of its field."""

    name: str
    region_id: RegionId


def order_to_pb(order: RegionOrder) -> pdpb.RegionHeartbeatResponse:
    """Without a header: PD knows its cluster. Membership changes take the form that stores understand since 5.0."""
    response = pdpb.RegionHeartbeatResponse(
        region_id=order.region_id, region_epoch=epoch_to_pb(order.epoch), target_peer=peer_to_pb(order.target)
    )
    step = order.step
    if isinstance(step, ChangePeers):
        response.change_peer_v2.CopyFrom(pdpb.ChangePeerV2(changes=[_change_to_pb(change) for change in step.changes]))
    elif isinstance(step, TransferLeader):
        peers = [peer_to_pb(peer) for peer in step.peers]
        response.transfer_leader.CopyFrom(pdpb.TransferLeader(peer=peers[0], peers=peers))
    else:
        policy = int(step.policy)
        response.split_region.CopyFrom(
            pdpb.SplitRegion(policy=policy, keys=step.keys)  # type: ignore[arg-type]
        )
    return response


def order_from_pb(response: pdpb.RegionHeartbeatResponse) -> RegionOrder | UnknownOrder | None:
    """The order in a response; None: there is none, as in a keep-alive.

    Errors: ValueError for a role, kind of change or split policy that the protocol does not have.
    """
    name = next((name for name in _ORDERS if response.HasField(name)), None)
    region_id = RegionId(response.region_id)
    if name is None:
        return UnknownOrder("change_split", region_id) if response.HasField("change_split") else None
    step = _step_from_pb(name, response)
    if step is None:
        return UnknownOrder(name, region_id)
    return RegionOrder(region_id, epoch_from_pb(response.region_epoch), peer_from_pb(response.target_peer), step)


def _step_from_pb(
    name: str, response: pdpb.RegionHeartbeatResponse
) -> ChangePeers | TransferLeader | SplitOrder | None:
    if name == "change_peer":
        return ChangePeers((_change_from_pb(response.change_peer),))
    if name == "change_peer_v2":
        return ChangePeers(tuple(_change_from_pb(change) for change in response.change_peer_v2.changes))
    if name == "transfer_leader":
        transfer = response.transfer_leader
        return TransferLeader(tuple(peer_from_pb(peer) for peer in transfer.peers or [transfer.peer]))
    if name == "split_region":
        return SplitOrder(SplitPolicy(response.split_region.policy), tuple(response.split_region.keys))
    return None


def _change_to_pb(change: PeerChange) -> pdpb.ChangePeer:
    return pdpb.ChangePeer(
        peer=peer_to_pb(change.peer),
        change_type=int(change.kind),  # type: ignore[arg-type]
    )


def _change_from_pb(change: pdpb.ChangePeer) -> PeerChange:
    return PeerChange(ChangeKind(change.change_type), peer_from_pb(change.peer))
