"""Cluster objects survive the way to the protocol and back, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.model.cluster import NodeState, StoreMeta, StoreState
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.wire import convert
from flaredb.wire.pb import metapb_pb2 as metapb

IDS = st.integers(0, 2**64 - 1)
EPOCHS = st.builds(RegionEpoch, version=IDS, conf_ver=IDS)
SET_IDS = st.integers(1, 2**64 - 1)
PEERS = st.builds(Peer, id=SET_IDS.map(PeerId), store_id=SET_IDS.map(StoreId), role=st.sampled_from(PeerRole))
REGIONS = st.builds(
    Region,
    id=IDS.map(RegionId),
    start_key=st.binary(max_size=20),
    end_key=st.binary(max_size=20),
    epoch=EPOCHS,
    peers=st.lists(PEERS, max_size=5).map(tuple),
)
TEXTS = st.text(max_size=12)
STORES = st.builds(
    StoreMeta,
    id=IDS.map(StoreId),
    address=TEXTS,
    peer_address=TEXTS,
    status_address=TEXTS,
    version=TEXTS,
    labels=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    state=st.sampled_from(StoreState),
    node_state=st.sampled_from(NodeState),
    start_timestamp_s=st.integers(0, 2**40),
    last_heartbeat_ns=st.integers(0, 2**62),
    deploy_path=TEXTS,
    git_hash=TEXTS,
)


@given(REGIONS)
def test_a_region_survives_the_wire(region: Region) -> None:
    sent = convert.region_to_pb(region).SerializeToString()
    assert convert.region_from_pb(metapb.Region.FromString(sent)) == region


@given(STORES)
def test_a_store_survives_the_wire(store: StoreMeta) -> None:
    sent = convert.store_to_pb(store).SerializeToString()
    assert convert.store_from_pb(metapb.Store.FromString(sent)) == store


def test_the_two_counters_of_an_epoch_are_not_swapped() -> None:
    message = convert.epoch_to_pb(RegionEpoch(version=7, conf_ver=3))
    assert (message.version, message.conf_ver) == (7, 3)


def test_the_models_numbers_are_the_protocols() -> None:
    assert {role.name: role.value for role in PeerRole} == {
        "VOTER": metapb.Voter,
        "LEARNER": metapb.Learner,
        "INCOMING_VOTER": metapb.IncomingVoter,
        "DEMOTING_VOTER": metapb.DemotingVoter,
    }
    assert [state.value for state in StoreState] == [metapb.Up, metapb.Offline, metapb.Tombstone]
    assert [state.value for state in NodeState] == [
        metapb.Preparing,
        metapb.Serving,
        metapb.Removing,
        metapb.Removed,
    ]


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="9"):
        convert.peer_from_pb(metapb.Peer(id=1, store_id=1, role=9))  # type: ignore[arg-type]
