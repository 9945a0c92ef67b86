"""PD over a real channel: headers, cluster id, streams, held calls, refusals, and a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from flaredb.engine.base import CF_META
from flaredb.engine.rocks import open_rocks
from flaredb.model.errors import ConfigError
from flaredb.model.ids import ClusterId, StoreId
from flaredb.model.keys import STORE_IDENT_KEY
from flaredb.server.grpc_server import SERVER_OPTIONS
from flaredb.wire.convert import region_to_pb, store_to_pb
from flaredb.wire.pb import etcdserverpb_pb2 as etcd
from flaredb.wire.pb import metapb_pb2 as metapb
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.services import ETCD_CLUSTER_METHODS, ETCD_KV_METHODS, KEYSPACE_METHODS, PD_METHODS
from flaredb.wire.states import encode_store_ident
from tests.pd.helpers import region, store
from tests.rim.pd_rig import DEADLINE_S, PdRig, heartbeat_pb, hold_long, pd_node, running_pd, until

ANY_CLUSTER = ("GetMembers", "GetClusterInfo", "IsSnapshotRecovering")
STREAMS = ("Tso", "QueryRegion", "RegionHeartbeat")


@pytest.fixture
async def pd(tmp_path: Path) -> AsyncIterator[PdRig]:
    async with running_pd(tmp_path) as rig:
        yield rig


async def test_members_name_a_leader_with_an_id_and_a_full_url(pd: PdRig) -> None:
    method = PD_METHODS["GetMembers"]
    call = pd.channel.unary_unary(method.path, None, method.response.FromString)
    response = await call(b"", timeout=DEADLINE_S)
    assert response.header.cluster_id == pd.cluster_id != 0
    assert not response.header.HasField("error")
    assert response.leader.member_id != 0
    assert list(response.leader.client_urls) == [f"http://{pd.node.address}"]
    assert list(response.members) == [response.leader]


async def test_the_mode_is_pd(pd: PdRig) -> None:
    response = await pd.call("GetClusterInfo", header=pdpb.ResponseHeader())
    assert list(response.serviceModes) == [pdpb.PD_SVC_MODE]


async def test_a_wrong_cluster_id_is_refused_by_every_unary_method_but_three(pd: PdRig) -> None:
    right, pd.cluster_id = pd.cluster_id, 7
    for name, method in PD_METHODS.items():
        if method.arity != "unary_unary" or "header" not in method.request.DESCRIPTOR.fields_by_name:
            continue
        if name in ANY_CLUSTER:
            continue
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await pd.raw(name)
        if refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED:
            assert name in (refusal.value.details() or ""), name
            continue
        assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION, name
        assert refusal.value.details() == f"mismatch cluster id, need {right} but got 7", name


async def test_a_wrong_cluster_id_ends_every_stream(pd: PdRig) -> None:
    pd.cluster_id = 7
    for name in STREAMS:
        stream = pd.stream(name)
        await stream.write(PD_METHODS[name].request(header=pd.header()))
        with pytest.raises(grpc.aio.AioRpcError, match="mismatch cluster id") as refusal:
            await anext(aiter(stream))
        assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_keyspaces_are_refused_with_the_way_round_them(pd: PdRig) -> None:
    """Of any method and any bytes: the request is not even read (wire facts 1.2b)."""
    for name, method in KEYSPACE_METHODS.items():
        for body in (b"", method.request(name="k").SerializeToString() if name == "LoadKeyspace" else b"", b"\xff" * 9):
            refusal: grpc.aio.AioRpcError | None = None
            try:
                if method.server_streaming:
                    async for _ in pd.channel.unary_stream(method.path)(body, timeout=DEADLINE_S):
                        pass
                else:
                    await pd.channel.unary_unary(method.path)(body, timeout=DEADLINE_S)
            except grpc.aio.AioRpcError as error:
                refusal = error
            assert refusal is not None, name
            assert refusal.code() is grpc.StatusCode.UNIMPLEMENTED, name
            text = refusal.details() or ""
            assert name in text
            assert "without a keyspace and without API V2" in text


async def test_bytes_that_are_no_request(pd: PdRig) -> None:
    """Told, in unary calls, streams and etcd's; found by sending them to a real port."""
    noise = b"\xff" * 9
    for method in (PD_METHODS["ScanRegions"], PD_METHODS["AllocID"], ETCD_KV_METHODS["Range"]):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await pd.channel.unary_unary(method.path)(noise, timeout=DEADLINE_S)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"the request is no {method.request.DESCRIPTOR.full_name}" in (refusal.value.details() or "")
    for name in STREAMS:
        stream = pd.channel.stream_stream(PD_METHODS[name].path)(timeout=DEADLINE_S)
        await stream.write(noise)
        assert await stream.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "the request is no" in (await stream.details() or "")


async def test_what_is_not_built_says_so_by_name(pd: PdRig) -> None:
    for name in ("AskSplit", "SetExternalTimestamp"):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await pd.raw(name)
        assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert name in (refusal.value.details() or "")


async def test_a_forwarded_call_is_served_here(pd: PdRig) -> None:
    metadata = (("pd-forwarded-host", f"http://{pd.node.address}"),)
    assert (await pd.raw("AllocID", metadata=metadata)).id == 1


async def test_a_new_cluster_step_by_step(pd: PdRig) -> None:
    assert not (await pd.call("IsBootstrapped")).bootstrapped
    assert (await pd.call("AllocID")).id == 1
    batch = await pd.call("AllocID", count=3)
    assert (batch.id, batch.count) == (4, 3)
    first = await pd.bootstrap()
    assert (await pd.call("IsBootstrapped")).bootstrapped
    again = await pd.raw("Bootstrap", store=store_to_pb(store(1)), region=region_to_pb(first))
    assert again.header.error.type == pdpb.ALREADY_BOOTSTRAPPED
    await pd.call("PutStore", store=store_to_pb(store(3)))
    stats = pdpb.StoreStats(store_id=3, capacity=100, available=60)
    beat = await pd.call("StoreHeartbeat", stats=stats)
    assert (beat.cluster_version, beat.state) == ("6.5.0", metapb.Serving)
    found = await pd.call("GetStore", store_id=3)
    assert (found.store.address, found.stats.capacity) == (store(3).address, 100)
    assert [item.id for item in (await pd.call("GetAllStores")).stores] == [1, 3]
    unknown = await pd.raw("GetStore", store_id=9)
    assert "invalid store ID" in unknown.header.error.message
    assert "not found" in unknown.header.error.message
    assert not (await pd.call("IsSnapshotRecovering")).marked


async def test_before_bootstrap_stores_are_listed_as_an_error_not_as_a_crash(pd: PdRig) -> None:
    response = await pd.raw("GetAllStores")
    assert response.header.error.type == pdpb.NOT_BOOTSTRAPPED


async def test_lookups(pd: PdRig) -> None:
    await pd.bootstrap()
    left, right = region(2, b"", b"m", version=2), region(5, b"m", b"", version=2)
    await pd.report(right)
    await pd.report(left)
    got = await pd.call("GetRegion", region_key=b"x")
    assert (got.region.id, got.leader) == (5, got.region.peers[0])
    assert (await pd.call("GetPrevRegion", region_key=b"x")).region.id == 2
    assert (await pd.call("GetRegionByID", region_id=5)).region.start_key == b"m"
    assert not (await pd.call("GetRegionByID", region_id=99)).HasField("region")
    scan = await pd.call("ScanRegions", start_key=b"", limit=10)
    assert [item.id for item in scan.region_metas] == [item.region.id for item in scan.regions] == [2, 5]
    assert list(scan.leaders) == [item.leader for item in scan.regions]
    batch = await pd.call("BatchScanRegions", ranges=[pdpb.KeyRange(start_key=b"a", end_key=b"b")])
    assert [item.region.id for item in batch.regions] == [2]


async def test_a_lookup_waits_for_the_leader(pd: PdRig) -> None:
    first = await pd.bootstrap()
    hold_long(pd)
    lookup = asyncio.ensure_future(pd.call("GetRegion", region_key=b"x"))
    await until(lambda: pd.node.loop.core.held_calls == 1)
    await pd.report(first)
    response = await lookup
    assert response.leader.id == first.peers[0].id
    assert pd.node.loop.core.held_calls == 0


async def test_query_region_answers_each_request_in_order(pd: PdRig) -> None:
    await pd.bootstrap()
    await pd.report(region(5, b"m", b"", version=2))
    await pd.report(region(2, b"", b"m", version=2))
    stream = pd.stream("QueryRegion")
    for keys, ids in (([b"a", b"z"], []), ([], [5, 77])):
        await stream.write(pdpb.QueryRegionRequest(header=pd.header(), keys=keys, ids=ids, prev_keys=keys))
    first, second = await stream.read(), await stream.read()
    assert list(first.key_id_map) == [2, 5]
    assert list(first.prev_key_id_map) == [0, 2]
    assert set(first.regions_by_id) == {2, 5}
    assert list(second.key_id_map) == []
    assert set(second.regions_by_id) == {5}
    assert not second.header.HasField("error")
    await stream.done_writing()


async def test_timestamps_come_in_order_and_only_grow(pd: PdRig) -> None:
    stream = pd.stream("Tso")
    newest = 0
    for count in (1, 64, 1, 10_000):
        await stream.write(pdpb.TsoRequest(header=pd.header(), count=count))
        response = await stream.read()
        assert response.count == count
        last = (response.timestamp.physical << 18) + response.timestamp.logical
        assert last - count + 1 > newest
        newest = last
    await stream.write(pdpb.TsoRequest(header=pd.header(), count=0))
    with pytest.raises(grpc.aio.AioRpcError, match="0 timestamps"):
        await stream.read()
    lowest = (await pd.call("GetMinTS")).timestamp
    assert (lowest.physical << 18) + lowest.logical > newest


async def test_a_stale_report_is_refused_on_the_stream_which_stays(pd: PdRig) -> None:
    await pd.bootstrap()
    stream = pd.stream("RegionHeartbeat")
    newer, older = region(2, version=3), region(2, version=2)
    for report in (newer, older, newer):
        await stream.write(heartbeat_pb(pd, report))
    await stream.write(heartbeat_pb(pd, newer, term=5))
    for _ in range(2):
        refusal = await stream.read()
        assert refusal.header.error.type == pdpb.UNKNOWN
        assert refusal.target_peer.id == newer.peers[0].id
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


async def test_safe_points(pd: PdRig) -> None:
    assert (await pd.call("GetGCSafePoint")).safe_point == 0
    assert (await pd.call("UpdateGCSafePoint", safe_point=9)).new_safe_point == 9
    claim = await pd.call("UpdateServiceGCSafePoint", service_id=b"backup", TTL=60, safe_point=12)
    assert (claim.service_id, claim.min_safe_point) == (b"gc_worker", 0)
    refused = await pd.raw("UpdateServiceGCSafePoint", service_id=b"", TTL=60, safe_point=12)
    assert refused.header.error.type == pdpb.INVALID_VALUE
    state = (await pd.call("GetGCState", keyspace_scope=pdpb.KeyspaceScope(keyspace_id=0xFFFFFFFF))).gc_state
    assert (state.txn_safe_point, state.gc_safe_point) == (9, 9)
    assert [(barrier.barrier_id, barrier.barrier_ts) for barrier in state.gc_barriers] == [("backup", 12)]


async def test_splits_are_known_as_soon_as_they_are_reported(pd: PdRig) -> None:
    first = await pd.bootstrap()
    await pd.report(first)
    ids = (await pd.call("AskBatchSplit", region=region_to_pb(first), split_count=2)).ids
    assert len({split.new_region_id for split in ids}) == 2
    assert [len(split.new_peer_ids) for split in ids] == [1, 1]
    results = [region(9, b"", b"m", version=2), region(2, b"m", b"", version=2)]
    await pd.call("ReportBatchSplit", regions=[region_to_pb(result) for result in results])
    assert (await pd.call("GetRegion", region_key=b"a")).region.id == 9


async def test_the_number_of_replicas(pd: PdRig) -> None:
    await pd.bootstrap()
    await pd.call("PutClusterConfig", cluster=metapb.Cluster(max_peer_count=5))
    cluster = (await pd.call("GetClusterConfig")).cluster
    assert (cluster.id, cluster.max_peer_count) == (pd.cluster_id, 5)


async def test_an_unknown_enum_number_is_refused_with_a_status(pd: PdRig) -> None:
    odd = store_to_pb(store(1))
    odd.state = 9  # type: ignore[assignment]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await pd.raw("Bootstrap", store=odd, region=region_to_pb(region(2)))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_etcd_answers_that_transactional_clients_ask_for(pd: PdRig) -> None:
    listing = ETCD_CLUSTER_METHODS["MemberList"]
    call = pd.channel.unary_unary(listing.path, listing.request.SerializeToString, listing.response.FromString)
    [member] = (await call(etcd.MemberListRequest(), timeout=DEADLINE_S)).members
    assert list(member.clientURLs) == [f"http://{pd.node.address}"]
    reading = ETCD_KV_METHODS["Range"]
    call = pd.channel.unary_unary(reading.path, reading.request.SerializeToString, reading.response.FromString)
    await pd.call("UpdateGCSafePoint", safe_point=9)
    known = await call(etcd.RangeRequest(key=b"/tidb/store/gcworker/saved_safe_point"), timeout=DEADLINE_S)
    assert [pair.value for pair in known.kvs] == [b"9"]
    unknown = await call(etcd.RangeRequest(key=b"/elsewhere"), timeout=DEADLINE_S)
    assert (unknown.count, len(unknown.kvs)) == (0, 0)
    assert unknown.header.cluster_id == pd.cluster_id


async def test_health_is_served_on_the_same_port(pd: PdRig) -> None:
    check = pd.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert await check(b"", timeout=DEADLINE_S) == b"\x08\x01"


async def test_an_initial_layout_reaches_the_stores_that_poll_for_it(tmp_path: Path) -> None:
    layout = {"split-keys": ["g", "p"], "stores": 3}
    async with running_pd(tmp_path, bootstrap=layout) as pd:
        assert (await pd.call("IsBootstrapped")).bootstrapped
        hold_long(pd)
        poll = asyncio.ensure_future(pd.call("ScanRegions"))
        await until(lambda: pd.node.loop.core.held_calls == 1)
        for store_id in (1, 2, 3):
            await pd.call("PutStore", store=store_to_pb(store(store_id)))
        regions = (await poll).region_metas
    assert [item.start_key for item in regions] == [b"", b"g", b"p"]
    assert [item.peers[0].store_id for item in regions] == [1, 2, 3]


async def test_a_restart_keeps_the_cluster(tmp_path: Path) -> None:
    async with running_pd(tmp_path) as pd:
        before, _ = pd.cluster_id, await pd.bootstrap()
        taken = (await pd.call("AllocID", count=10)).id
    async with running_pd(tmp_path) as pd:
        assert pd.cluster_id == before
        assert (await pd.call("AllocID")).id > taken
        assert [item.id for item in (await pd.call("ScanRegions")).region_metas] == [2]


async def test_a_second_pd_on_the_same_directory_or_port_is_told_what_to_change(pd: PdRig, tmp_path: Path) -> None:
    same_directory = pd_node(tmp_path)
    with pytest.raises(ConfigError, match=r"(?s)/pd.*data-dir"):
        await same_directory.start()
    await same_directory.stop()
    same_port = pd_node(tmp_path / "other", pd.node.address)
    with pytest.raises(ConfigError, match=f"port in use.*{pd.node.address}.*client-urls"):
        await same_port.start()
    await same_port.stop()
    assert (await pd.call("AllocID")).id


async def test_the_directory_of_a_store_is_refused(tmp_path: Path) -> None:
    engine = open_rocks(tmp_path / "pd")
    batch = engine.batch()
    batch.put(CF_META, STORE_IDENT_KEY, encode_store_ident(ClusterId(1), StoreId(1)))
    engine.write(batch)
    engine.sync()
    engine.close()
    node = pd_node(tmp_path)
    with pytest.raises(ConfigError, match="data of a store"):
        await node.start()
    await node.stop()


def test_clients_that_ping_often_are_tolerated() -> None:
    options = dict(SERVER_OPTIONS)
    assert options["grpc.http2.max_ping_strikes"] == 0
    assert options["grpc.max_receive_message_length"] == 256 * 1024 * 1024
    assert options["grpc.max_send_message_length"] == -1
    assert options["grpc.so_reuseport"] == 0
