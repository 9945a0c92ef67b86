"""Orders of PD on the wire, both ways and as other PDs write them."""

from __future__ import annotations

import pytest

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import (
    ChangeKind,
    ChangePeers,
    PeerChange,
    RegionOrder,
    SplitOrder,
    SplitPolicy,
    TransferLeader,
)
from flaredb.model.region import Peer, PeerRole, RegionEpoch
from flaredb.wire.pb import metapb_pb2 as metapb
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.pd_orders import UnknownOrder, order_from_pb, order_to_pb

TARGET = Peer(PeerId(11), StoreId(1))
LEARNER = Peer(PeerId(14), StoreId(4), PeerRole.LEARNER)
VOTER = Peer(PeerId(13), StoreId(3))
HEADER = {
    "region_id": 7,
    "region_epoch": metapb.RegionEpoch(version=3, conf_ver=5),
    "target_peer": metapb.Peer(id=11, store_id=1),
}


def order(step: ChangePeers | TransferLeader | SplitOrder) -> RegionOrder:
    return RegionOrder(RegionId(7), RegionEpoch(version=3, conf_ver=5), TARGET, step)


@pytest.mark.parametrize(
    "step",
    [
        ChangePeers((PeerChange(ChangeKind.ADD_LEARNER_NODE, LEARNER),)),
        ChangePeers((PeerChange(ChangeKind.ADD_NODE, VOTER), PeerChange(ChangeKind.REMOVE_NODE, TARGET))),
        ChangePeers(()),
        TransferLeader((VOTER,)),
        TransferLeader((VOTER, TARGET)),
        SplitOrder(SplitPolicy.SCAN),
        SplitOrder(SplitPolicy.APPROXIMATE),
        SplitOrder(SplitPolicy.USEKEY, (b"g", b"m")),
    ],
    ids=["learner", "joint", "leave joint", "transfer", "transfer to either", "scan", "approximate", "keys"],
)
def test_orders_arrive_as_they_were_given(step: ChangePeers | TransferLeader | SplitOrder) -> None:
    sent = order_to_pb(order(step)).SerializeToString()
    assert order_from_pb(pdpb.RegionHeartbeatResponse.FromString(sent)) == order(step)


ADD_14 = pdpb.ChangePeer(peer=metapb.Peer(id=14, store_id=4, role=metapb.Learner), change_type=2)  # type: ignore[arg-type]
PEER_13 = metapb.Peer(id=13, store_id=3)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"change_peer": ADD_14}, order(ChangePeers((PeerChange(ChangeKind.ADD_LEARNER_NODE, LEARNER),)))),
        ({"transfer_leader": pdpb.TransferLeader(peer=PEER_13)}, order(TransferLeader((VOTER,)))),
        ({"change_peer_v2": pdpb.ChangePeerV2()}, order(ChangePeers(()))),
        ({"merge": pdpb.Merge()}, UnknownOrder("merge", RegionId(7))),
        ({"switch_witnesses": pdpb.BatchSwitchWitness()}, UnknownOrder("switch_witnesses", RegionId(7))),
        ({"change_split": pdpb.ChangeSplit()}, UnknownOrder("change_split", RegionId(7))),
        (
            {"change_split": pdpb.ChangeSplit(), "split_region": pdpb.SplitRegion(), "merge": pdpb.Merge()},
            order(SplitOrder(SplitPolicy.SCAN)),
        ),
        (
            {"transfer_leader": pdpb.TransferLeader(peer=PEER_13), "change_peer_v2": pdpb.ChangePeerV2()},
            order(ChangePeers(())),
        ),
    ],
    ids=[
        "keep-alive",
        "old change",
        "one target",
        "leave joint",
        "merge",
        "witness",
        "split switch",
        "split first",
        "first present",
    ],
)
def test_what_other_pds_send(fields: dict[str, object], expected: object) -> None:
    response = pdpb.RegionHeartbeatResponse(**(HEADER if fields else {}), **fields)  # type: ignore[arg-type]
    assert order_from_pb(response) == expected


def test_an_unknown_number_is_an_error_not_a_guess() -> None:
    response = pdpb.RegionHeartbeatResponse(**HEADER, split_region=pdpb.SplitRegion(policy=9))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="9"):
        order_from_pb(response)
