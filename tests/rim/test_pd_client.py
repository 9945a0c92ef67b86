"""The PD client over real gRPC against a PD that fails on demand."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest

from flaredb.model.cluster import NodeState, RegionHeartbeat, StoreMeta, StoreStats
from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.orders import RegionOrder, TransferLeader
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.rpc.channels import address_of_url
from flaredb.rpc.pd import (
    PdClient,
    PdClientTimes,
    PdClusterMismatch,
    PdError,
    PdNotBootstrapped,
    PdRefused,
    PdStoreTombstone,
    PdUnavailable,
    RegionOperator,
    RegionsScattered,
    RegionsSplit,
    SplitIds,
)
from flaredb.rpc.pd_heartbeats import HeartbeatStream
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.pd_orders import order_to_pb
from tests.rim.fake_pd import FakePd, eventually
from tests.rim.pd_rig import kept_port

TIMES = PdClientTimes(
    call_timeout_ms=30_000, retry_window_ms=300, connect_window_ms=30_000, retry_delay_ms_min=5, retry_delay_ms_max=20
)
PATIENT = replace(TIMES, retry_window_ms=30_000)
HASTY = replace(TIMES, connect_window_ms=300)
STORE = StoreMeta(StoreId(1), "127.0.0.1:20160", "127.0.0.1:20170", version="6.5.0", labels=(("zone", "a"),))


def region(region_id: int, start_key: bytes = b"", end_key: bytes = b"", store_id: int = 1) -> Region:
    peer = Peer(PeerId(region_id + 1), StoreId(store_id))
    return Region(RegionId(region_id), start_key, end_key, INITIAL_EPOCH, (peer,))


def heartbeat(region_id: int, term: int) -> RegionHeartbeat:
    reported = region(region_id)
    return RegionHeartbeat(reported, reported.peers[0], term)


@pytest.fixture
async def pd() -> AsyncIterator[FakePd]:
    pd = await FakePd().start()
    yield pd
    await pd.stop()


@pytest.fixture
async def client(pd: FakePd) -> AsyncIterator[PdClient]:
    client = PdClient([f"http://{pd.address}"], TIMES)
    await client.connect()
    yield client
    await client.close()


async def test_connect_learns_the_cluster(client: PdClient, pd: FakePd) -> None:
    assert client.cluster_id == ClusterId(77)
    assert await client.leader() == pd.address


async def test_ids_stores_and_bootstrap(client: PdClient, pd: FakePd) -> None:
    assert [await client.alloc_id(), await client.alloc_id()] == [101, 102]
    assert not await client.is_bootstrapped()
    with pytest.raises(PdNotBootstrapped, match="PD refuses PutStore: cluster is not bootstrapped") as refused:
        await client.put_store(STORE)
    assert refused.value.retryable
    assert await client.bootstrap(STORE, region(5)) is True
    assert await client.bootstrap(STORE, region(6)) is False
    assert await client.is_bootstrapped()
    await client.put_store(STORE)
    found = await client.get_store(StoreId(1))
    assert (found.peer_address, found.labels) == (STORE.peer_address, STORE.labels)
    assert found.node_state is NodeState.PREPARING, "a store leaves its life cycle to PD"
    assert [store.id for store in await client.get_all_stores()] == [1]
    await client.store_heartbeat(StoreStats(StoreId(1), capacity_bytes=10, region_count=3))
    assert (pd.store_heartbeats[0].capacity, pd.store_heartbeats[0].region_count) == (10, 3)


@pytest.mark.parametrize("only_old_lists", [False, True])
async def test_scan_regions_reads_either_list(client: PdClient, pd: FakePd, only_old_lists: bool) -> None:
    pd.only_old_lists = only_old_lists
    pd.regions = [region(1, b"", b"g"), region(3, b"g", b"p"), region(5, b"p", b"")]
    routes = await client.scan_regions(b"h", b"", 10)
    assert [route.region for route in routes] == pd.regions[1:]
    assert [route.leader for route in routes] == [
        None if only_old_lists else found.peers[0] for found in pd.regions[1:]
    ]
    assert len(await client.scan_regions(b"", b"", 2)) == 2


async def test_ask_batch_split(client: PdClient) -> None:
    assert await client.ask_batch_split(region(7), 2) == [
        SplitIds(RegionId(500), (PeerId(1008),)),
        SplitIds(RegionId(501), (PeerId(2008),)),
    ]


@pytest.mark.parametrize(
    ("sentence", "error_type", "kind", "retryable"),
    [
        ("a removed store", pdpb.STORE_TOMBSTONE, PdStoreTombstone, False),
        ("not bootstrapped", pdpb.NOT_BOOTSTRAPPED, PdNotBootstrapped, True),
        ("anything else", pdpb.INCOMPATIBLE_VERSION, PdRefused, False),
    ],
)
async def test_header_errors_are_raised_with_pds_text(
    client: PdClient, pd: FakePd, sentence: str, error_type: int, kind: type[PdError], retryable: bool
) -> None:
    pd.refuse["PutStore"] = (error_type, "PD's own words")
    with pytest.raises(kind, match="PD's own words") as refused:
        await client.put_store(STORE)
    assert refused.value.retryable is retryable
    assert pd.calls["PutStore"] == 1, "an answer that says no is not asked for again"


async def test_a_present_ok_error_is_success(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    pd.refuse["PutStore"] = (pdpb.OK, "")
    await client.put_store(STORE)


async def test_unavailable_is_retried_until_it_works(pd: FakePd) -> None:
    client = PdClient([pd.address], PATIENT)
    await client.connect()
    pd.abort["AllocID"] = (grpc.StatusCode.UNAVAILABLE, "not leader")
    asked = asyncio.create_task(client.alloc_id())
    await eventually(lambda: pd.calls["AllocID"] >= 3)
    assert pd.calls["GetMembers"] >= 3, "the leader is looked for again"
    pd.abort.clear()
    assert await asked == 101
    await client.close()


async def test_pd_away_ends_with_an_error_that_names_it(client: PdClient, pd: FakePd) -> None:
    await pd.stop()
    with pytest.raises(PdUnavailable, match=pd.address) as unavailable:
        await client.alloc_id()
    assert unavailable.value.retryable


async def test_pd_restarted_is_found_again_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    pd = await FakePd().start()
    client = PdClient([pd.address], PATIENT)
    await client.connect()
    port = pd.port
    with caplog.at_level(logging.INFO, "flaredb.rpc.pd"):
        await pd.stop()
        with kept_port(port):
            asked = asyncio.create_task(client.alloc_id())
            await eventually(lambda: "reaching PD failed" in caplog.text)
            await pd.start(port)
        assert await asked == 101
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["reaching PD failed, trying again until it works", "reaching PD works again"]
    assert pd.address in vars(caplog.records[0])["fields"]["error"]
    await client.close()
    await pd.stop()


async def test_connect_waits_for_pd_to_start() -> None:
    pd = await FakePd().start()
    port = pd.port
    await pd.stop()
    client = PdClient([pd.address], PATIENT)
    with kept_port(port):
        connecting = asyncio.create_task(client.connect())
        await asyncio.wait([connecting], timeout=0.05)
        assert not connecting.done()
        await pd.start(port)
    await connecting
    assert client.cluster_id == 77
    await client.close()
    await pd.stop()


async def test_connect_follows_the_leaders_url() -> None:
    leader = await FakePd().start()
    follower = await FakePd().start()
    follower.advertised = [f"http://{leader.address}"]
    client = PdClient(["127.0.0.1:1", follower.address], TIMES)
    await client.connect()
    await client.alloc_id()
    assert (leader.calls["AllocID"], follower.calls["AllocID"]) == (1, 0)
    await client.close()
    await leader.stop()
    await follower.stop()


async def test_a_lone_pd_with_an_unreachable_url_is_used_where_it_answers(pd: FakePd) -> None:
    pd.advertised = ["http://127.0.0.1:1"]
    client = PdClient([pd.address], TIMES)
    await client.connect()
    assert await client.alloc_id() == 101
    await client.close()


async def test_no_leader_known(pd: FakePd) -> None:
    pd.advertised = []
    client = PdClient([pd.address], HASTY)
    with pytest.raises(PdUnavailable, match="knows no leader"):
        await client.connect()
    await client.close()


async def test_another_cluster_behind_the_same_address_is_refused(client: PdClient, pd: FakePd) -> None:
    pd.cluster_id = 78
    with pytest.raises(PdClusterMismatch, match="mismatch cluster id, need 78 but got 77"):
        await client.alloc_id()
    client.forget_leader(pd.address)
    with pytest.raises(PdClusterMismatch, match="cluster 78, this process to cluster 77"):
        await client.alloc_id()
    assert client.cluster_id == 77


async def test_an_http_server_at_pds_address_is_an_error_not_a_hang() -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(http, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = PdClient([f"127.0.0.1:{port}"], HASTY)
    async with asyncio.timeout(30):
        with pytest.raises(PdUnavailable, match=str(port)):
            await client.connect()
    await client.close()
    server.close()
    await server.wait_closed()


def test_urls() -> None:
    assert address_of_url("http://pd:2379/") == address_of_url(" pd:2379") == "pd:2379"


# ---------------------------------------------------------------- region heartbeats


async def test_heartbeats_carry_the_cluster_and_arrive(client: PdClient, pd: FakePd) -> None:
    connected: list[bool] = []
    client.heartbeats.start(lambda: connected.append(True))
    client.heartbeats.send(heartbeat(10, term=3))
    await eventually(lambda: pd.region_heartbeats)
    [received] = pd.region_heartbeats
    assert (received.header.cluster_id, received.region.id, received.leader.id, received.term) == (77, 10, 11, 3)
    assert received.approximate_size == 1
    assert connected == [True]


async def test_only_the_newest_of_a_region_is_kept(client: PdClient, pd: FakePd) -> None:
    for term in range(1, 5):
        client.heartbeats.send(heartbeat(10, term))
        client.heartbeats.send(heartbeat(20, term))
    client.heartbeats.start(lambda: None)
    await eventually(lambda: len(pd.region_heartbeats) == 2)
    assert [(received.region.id, received.term) for received in pd.region_heartbeats] == [(10, 4), (20, 4)]


def test_the_queue_is_bounded() -> None:
    stream = HeartbeatStream(PdClient(["127.0.0.1:1"]), queued_regions_max=3)
    for region_id in (1, 2, 3, 4, 4):
        stream.send(heartbeat(region_id, 1))
    assert stream.dropped == 1


async def test_the_stream_is_opened_again_after_pd_restarts() -> None:
    pd = await FakePd().start()
    client = PdClient([pd.address], PATIENT)
    await client.connect()
    connected: list[bool] = []
    client.heartbeats.start(lambda: connected.append(True))
    await eventually(lambda: pd.calls["RegionHeartbeat"] == 1)
    port = pd.port
    await pd.stop()
    await pd.start(port)
    await eventually(lambda: len(connected) == 2 and pd.calls["RegionHeartbeat"] == 2)
    client.heartbeats.send(heartbeat(10, 9))
    await eventually(lambda: [received.term for received in pd.region_heartbeats] == [9])
    await client.close()
    await pd.stop()


async def test_a_rejected_heartbeat_is_logged_once_and_the_stream_stays(
    client: PdClient, pd: FakePd, caplog: pytest.LogCaptureFixture
) -> None:
    pd.refuse["RegionHeartbeat"] = (pdpb.UNKNOWN, "region 10 is stale")
    client.heartbeats.start(lambda: None)
    for term in (1, 2, 3):
        client.heartbeats.send(heartbeat(10, term))
        await eventually(lambda rejected=term: client.heartbeats.rejected == rejected)
    assert client.heartbeats.connects == 1
    refusals = [record for record in caplog.records if record.getMessage() == "PD refuses a region heartbeat"]
    assert ["region 10 is stale" in vars(record)["fields"]["error"] for record in refusals] == [True]


async def test_stop_without_pd(client: PdClient, pd: FakePd) -> None:
    client.heartbeats.start(lambda: None)
    await pd.stop()
    async with asyncio.timeout(20):
        await client.close()


# ---------------------------------------------------------------- splits, moves, orders


async def test_a_region_is_found_by_its_id_or_is_none(client: PdClient, pd: FakePd) -> None:
    pd.regions = [region(10)]
    route = await client.get_region_by_id(RegionId(10))
    assert route is not None
    assert (route.region, route.leader) == (region(10), region(10).peers[0])
    assert await client.get_region_by_id(RegionId(11)) is None


async def test_splits_and_moves_that_are_asked_for(client: PdClient) -> None:
    assert await client.split_regions([b"g", b"m"]) == RegionsSplit(100, (RegionId(500), RegionId(501)))
    assert await client.split_regions([b"g"], scatter_group="abc") == RegionsSplit(100, (RegionId(3),), 40)
    assert await client.scatter_regions([RegionId(7), RegionId(8)]) == RegionsScattered(50, (RegionId(8),))
    assert await client.get_operator(RegionId(7)) == RegionOperator(RegionId(7), "balance-region", "running", "region")
    assert await client.get_operator(RegionId(8)) is None


async def test_orders_come_back_on_the_heartbeat_stream(
    client: PdClient, pd: FakePd, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be carried out is said once a kind, and does not hold up the rest."""
    transfer = RegionOrder(RegionId(10), INITIAL_EPOCH, region(10).peers[0], TransferLeader((region(20).peers[0],)))
    merge = pdpb.RegionHeartbeatResponse(region_id=10, merge=pdpb.Merge())
    strange = pdpb.RegionHeartbeatResponse(region_id=10, split_region=pdpb.SplitRegion(policy=9))  # type: ignore[arg-type]
    pd.orders = [pdpb.RegionHeartbeatResponse(), merge, strange, merge, order_to_pb(transfer)]
    orders: list[RegionOrder] = []
    client.heartbeats.start(lambda: None, orders.append)
    client.heartbeats.send(heartbeat(10, 1))
    await eventually(lambda: orders)
    assert orders == [transfer]
    assert client.heartbeats.orders == 4
    reasons = [vars(record)["fields"]["reason"] for record in caplog.records if "does not carry out" in record.message]
    assert reasons == ["merge", "9 is not a valid SplitPolicy"]


async def test_regions_by_key_and_below_a_key(pd: FakePd, client: PdClient) -> None:
    pd.regions = [region(3, b"", b"m"), region(5, b"m", b"")]

    async def found(key: bytes) -> tuple[int, int]:
        at, below = await client.get_region(key), await client.get_region_below(key)
        assert at is not None
        assert below is not None
        return at.region.id, below.region.id

    assert [await found(key) for key in (b"a", b"m", b"m\x00")] == [(3, 3), (5, 3), (5, 5)]
    pd.regions = pd.regions[1:]
    assert await client.get_region(b"a") is None
    assert await client.get_region_below(b"a") is None
