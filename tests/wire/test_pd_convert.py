"""What stores tell PD and what PD tells of regions survives the way to the protocol and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flaredb.model.cluster import DownPeer, RegionHeartbeat, RegionRoute, StoreStats
from flaredb.model.ids import StoreId
from flaredb.model.region import Region
from flaredb.wire import pd_convert
from flaredb.wire.pb import pdpb_pb2 as pdpb
from tests.wire.test_convert import PEERS, REGIONS

SMALL = st.integers(0, 2**32 - 1)
LARGE = st.integers(0, 2**64 - 1)
DOWN = st.builds(DownPeer, PEERS, LARGE)
HEARTBEATS = st.builds(
    RegionHeartbeat,
    REGIONS,
    PEERS,
    LARGE,
    st.lists(DOWN, max_size=2),
    st.lists(PEERS, max_size=2),
    LARGE,
    LARGE,
    LARGE,
    LARGE,
    LARGE,
    LARGE,
    LARGE,
    LARGE,
)
STATS = st.builds(
    StoreStats,
    LARGE.map(StoreId),
    LARGE,
    LARGE,
    LARGE,
    SMALL,
    SMALL,
    st.booleans(),
    SMALL,
    SMALL,
    SMALL,
    st.booleans(),
    LARGE,
    LARGE,
    LARGE,
    LARGE,
    LARGE,
    LARGE,
)
ROUTES = st.builds(
    RegionRoute,
    REGIONS,
    st.none() | PEERS.filter(lambda peer: peer.id != 0),
    st.lists(DOWN, max_size=2).map(tuple),
    st.lists(PEERS, max_size=2).map(tuple),
)


@given(HEARTBEATS)
def test_a_region_heartbeat_survives_the_wire(heartbeat: RegionHeartbeat) -> None:
    sent = pd_convert.heartbeat_to_pb(heartbeat).SerializeToString()
    assert pd_convert.heartbeat_from_pb(pdpb.RegionHeartbeatRequest.FromString(sent)) == heartbeat


@given(STATS)
def test_a_store_heartbeat_survives_the_wire(stats: StoreStats) -> None:
    sent = pd_convert.stats_to_pb(stats).SerializeToString()
    assert pd_convert.stats_from_pb(pdpb.StoreStats.FromString(sent)) == stats


@given(ROUTES)
def test_a_route_survives_each_form_of_the_wire(route: RegionRoute) -> None:
    listed = pdpb.Region.FromString(pd_convert.route_to_pb(route).SerializeToString())
    assert pd_convert.route_from_pb(listed) == route
    queried = pdpb.RegionResponse.FromString(pd_convert.route_to_response(route).SerializeToString())
    assert pd_convert.route_from_pb(queried) == route
    response = pdpb.GetRegionResponse()
    pd_convert.fill_region_response(response, route)
    assert pd_convert.route_from_pb(response) == route


@given(REGIONS)
def test_an_unknown_leader_is_left_unset(region: Region) -> None:
    assert not pd_convert.route_to_pb(RegionRoute(region, None)).HasField("leader")


def test_no_region_leaves_the_response_empty() -> None:
    response = pdpb.GetRegionResponse()
    pd_convert.fill_region_response(response, None)
    assert response == pdpb.GetRegionResponse()
