"""Unary calls of the KV service over a real gRPC channel: semantics, refusals, errors, old clients, bad input."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any

import grpc
import pytest

from flaredb.model.commands import Scan
from flaredb.model.errors import ConfigError, EpochNotMatch, NotLeader
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, Region, RegionEpoch
from flaredb.server.client_kind import scan_loses_rows
from flaredb.server.grpc_server import make_server
from flaredb.server.service_settings import KvServiceSettings
from flaredb.wire.pb import kvrpcpb_pb2 as pb
from flaredb.wire.services import TIKV_METHODS
from tests.rim.kv_rig import DEADLINE_S, STORE_ID, Rig, context, each_front, open_channel, serve, until  # noqa: F401

OLD_CLIENT = "tonic/0.10.2"
R = pb.KeyRange


async def fill(rig: Rig, *keys: bytes) -> None:
    await rig.call("RawBatchPut", pairs=[pb.KvPair(key=key, value=b"v" + key) for key in keys])


def keys_of(pairs: Any) -> list[bytes]:
    return [pair.key for pair in pairs]


# ---------------------------------------------------------------- semantics


async def test_put_get_delete() -> None:
    async with serve() as rig:
        assert (await rig.call("RawGet", key=b"k")).not_found
        assert (await rig.call("RawPut", key=b"k", value=b"v")) == pb.RawPutResponse()
        assert (await rig.call("RawGet", key=b"k")).value == b"v"
        assert (await rig.call("RawGet", key=b"k", cf="default")).value == b"v"
        assert (await rig.call("RawGet", key=b"k", cf="write")).not_found
        assert (await rig.call("RawDelete", key=b"k")) == pb.RawDeleteResponse()
        assert (await rig.call("RawGet", key=b"k")).not_found


async def test_an_empty_value_and_the_empty_key_are_stored() -> None:
    async with serve() as rig:
        await rig.call("RawPut", key=b"", value=b"")
        answer = await rig.call("RawGet", key=b"")
        assert (answer.value, answer.not_found) == (b"", False)
        await rig.call("RawDelete", key=b"")
        assert (await rig.call("RawGet", key=b"")).not_found


async def test_batches() -> None:
    async with serve() as rig:
        await fill(rig, b"a", b"b", b"c")
        answer = await rig.call("RawBatchGet", keys=[b"c", b"x", b"a"])
        assert [(pair.key, pair.value) for pair in answer.pairs] == [(b"c", b"vc"), (b"a", b"va")]
        await rig.call("RawBatchDelete", keys=[b"a", b"b"])
        assert keys_of((await rig.call("RawBatchGet", keys=[b"a", b"b", b"c"])).pairs) == [b"c"]


async def test_scans() -> None:
    async with serve() as rig:
        await fill(rig, b"a", b"b", b"c", b"d")
        assert keys_of((await rig.call("RawScan", start_key=b"b", limit=2)).kvs) == [b"b", b"c"]
        assert keys_of((await rig.call("RawScan", start_key=b"b", end_key=b"c", limit=9)).kvs) == [b"b"]
        reverse = await rig.call("RawScan", start_key=b"d", end_key=b"b", limit=9, reverse=True, key_only=True)
        assert [(pair.key, pair.value) for pair in reverse.kvs] == [(b"c", b""), (b"b", b"")]
        several = await rig.call("RawBatchScan", ranges=[R(start_key=b"c"), R(start_key=b"a")], each_limit=1)
        assert several.kvs[0].error.abort  # the first range would run from c to a
        several = await rig.call("RawBatchScan", ranges=[R(start_key=b"a"), R(start_key=b"c")], each_limit=1)
        assert keys_of(several.kvs) == [b"a", b"c"]


async def test_scans_that_cannot_find_a_row_do_not_ask_the_store() -> None:
    async with serve() as rig:
        await fill(rig, b"a")
        asked = len(rig.store.inputs)
        assert (await rig.call("RawScan", start_key=b"", limit=5, reverse=True)) == pb.RawScanResponse()
        assert (await rig.call("RawScan", start_key=b"", limit=0)) == pb.RawScanResponse()
        assert len(rig.store.inputs) == asked


async def test_delete_range() -> None:
    async with serve() as rig:
        await fill(rig, b"a", b"b", b"c")
        assert (await rig.call("RawDeleteRange", start_key=b"a", end_key=b"c")).error == ""
        assert list(rig.store.data[0]) == [b"c"]
        assert "must be below" in (await rig.call("RawDeleteRange", start_key=b"c", end_key=b"c")).error
        await rig.call("RawDeleteRange", start_key=b"a")
        assert not rig.store.data[0]


async def test_compare_and_swap() -> None:
    async with serve() as rig:
        cas = rig.call
        answer = await cas("RawCompareAndSwap", key=b"k", value=b"1", previous_not_exist=True)
        assert (answer.succeed, answer.previous_not_exist) == (True, True)
        answer = await cas("RawCompareAndSwap", key=b"k", value=b"2", previous_not_exist=True)
        assert (answer.succeed, answer.previous_not_exist, answer.previous_value) == (False, False, b"1")
        answer = await cas("RawCompareAndSwap", key=b"k", value=b"2", previous_value=b"1")
        assert (answer.succeed, answer.previous_value) == (True, b"1")
        answer = await cas("RawCompareAndSwap", key=b"k", previous_value=b"2", delete=True)
        assert answer.succeed
        assert b"k" not in rig.store.data[0]


async def test_checksum() -> None:
    async with serve() as rig:
        await fill(rig, b"a", b"b")
        assert (await rig.call("RawChecksum", ranges=[R()])).total_kvs == 2


async def test_routing_context_reaches_the_store() -> None:
    async with serve() as rig:
        await rig.call("RawGet", key=b"k", context=context(term=4, replica_read=True))
        (request,) = rig.store.requests
        assert (request.region_id, request.version, request.peer_id, request.store_id) == (7, 3, 11, STORE_ID)
        assert (request.term, request.replica_read) == (4, True)


async def test_a_batch_put_of_five_mebibytes_is_one_message() -> None:
    async with serve() as rig:
        pairs = [pb.KvPair(key=b"%05d" % number, value=b"v" * 5 * 1024) for number in range(1024)]
        assert (await rig.call("RawBatchPut", pairs=pairs)).error == ""
        (request,) = rig.store.requests
        assert request.command.size_bytes == 1024 * (5 + 5 * 1024)
        rows = await rig.call("RawScan", limit=10_240)
        assert len(rows.kvs) == 1024


async def test_a_very_long_answer_is_encoded_beside_the_loop() -> None:
    async with serve() as rig:
        rig.store.decide = lambda _: [(b"%06d" % number, b"") for number in range(25_000)]
        rows = await rig.call("RawScan", limit=25_000)
        assert (len(rows.kvs), rows.kvs[-1].key) == (25_000, b"024999")


# ---------------------------------------------------------------- refusals

TEXTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("a long key", "RawPut", {"key": b"k" * 8193}, "storage.max-key-size"),
    ("an unknown family", "RawPut", {"key": b"k", "cf": "nope"}, "'nope' does not exist; use one of default"),
    ("a ttl", "RawPut", {"key": b"k", "ttl": 5}, "TTL is not enabled"),
    ("a ttl asked for", "RawGetKeyTTL", {"key": b"k"}, "TTL is not enabled"),
    ("API V2", "RawGet", {"key": b"k", "context": context(api_version=2)}, "ApiVersionNotMatched"),
]


@pytest.mark.parametrize(("name", "fields", "text"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS])
async def test_invalid_requests_get_a_text_and_do_not_reach_the_store(
    name: str, fields: dict[str, Any], text: str
) -> None:
    async with serve() as rig:
        answer = await rig.call(name, **fields)
        assert text in answer.error
        assert not answer.HasField("region_error")
        assert not rig.store.inputs


@pytest.mark.parametrize("name", ["RawScan", "RawBatchGet", "RawBatchScan"])
async def test_reads_of_many_rows_tell_errors_in_a_single_pair(name: str) -> None:
    async with serve() as rig:
        answer = await rig.call(name, cf="nope")
        (pair,) = answer.pairs if name == "RawBatchGet" else answer.kvs
        assert "'nope' does not exist" in pair.error.abort


async def test_another_cluster_is_a_status() -> None:
    async with serve() as rig:
        for name in ("RawGet", "RawScan", "RawPut", "GetHealthFeedback"):
            error = await rig.error(name, context=context(cluster_id=6))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "cluster 6" in (error.details() or "")
        assert (await rig.call("RawGet", key=b"k", context=context(cluster_id=5))).not_found
        assert len(rig.store.inputs) == 1


SERVED = {"BatchCommands", "GetHealthFeedback", "GetStoreSafeTS", "CheckLeader", "SplitRegion"}
NOT_BUILT = [
    name
    for name, method in TIKV_METHODS.items()
    if method.arity == "unary_unary" and name not in SERVED and (not name.startswith("Raw") or name == "RawCoprocessor")
]


async def test_what_is_not_built_says_so() -> None:
    async with serve() as rig:
        for name in NOT_BUILT:
            error = await rig.error(name)
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED, name
            assert (error.details() or "").startswith(f"{name} is not built"), name
    assert {"KvGet", "KVPessimisticRollback", "Coprocessor", "UnsafeDestroyRange"} <= set(NOT_BUILT)


async def test_streams_that_are_not_built_say_so() -> None:
    async with serve() as rig:
        for name in ("Raft", "BatchRaft", "Snapshot", "TabletSnapshot", "CoprocessorStream", "BatchCoprocessor"):
            method = TIKV_METHODS[name]
            stub = getattr(rig.channel, method.arity)(method.path)
            call = stub(b"") if method.arity == "unary_stream" else stub()
            assert await asyncio.wait_for(call.code(), DEADLINE_S) == grpc.StatusCode.UNIMPLEMENTED, name
            assert name in await call.details()


async def test_answers_that_need_no_store() -> None:
    async with serve(now_ms=lambda: 77_000) as rig:
        first = await rig.call("GetHealthFeedback")
        second = await rig.call("GetHealthFeedback")
        assert first.health_feedback.store_id == STORE_ID
        assert first.health_feedback.feedback_seq_no == 77_000
        assert second.health_feedback.feedback_seq_no > first.health_feedback.feedback_seq_no
        assert (await rig.call("GetStoreSafeTS")).safe_ts == 0
        checked = await rig.call("CheckLeader", regions=[pb.LeaderInfo(region_id=7)], ts=9)
        assert (list(checked.regions), checked.ts) == ([], 9)


# ---------------------------------------------------------------- region errors and old clients

REGION = Region(RegionId(7), b"", b"m", RegionEpoch(4, 1), (Peer(PeerId(11), StoreId(2)),))


async def test_region_errors_are_in_the_response() -> None:
    async with serve() as rig:
        rig.store.decide = lambda _: EpochNotMatch(RegionId(7), 3, [REGION])
        for name in ("RawGet", "RawPut", "RawScan", "RawBatchScan", "RawCompareAndSwap"):
            fields = {"limit": 5} if name == "RawScan" else {}
            if name == "RawBatchScan":
                fields = {"ranges": [R()], "each_limit": 1}
            answer = await rig.call(name, **fields)
            assert answer.region_error.epoch_not_match.current_regions[0].end_key == b"m", name
            assert [field.name for field, _ in answer.ListFields()] == ["region_error"]


USER_AGENTS = [
    ("tonic/0.10.2", True),
    ("tonic/0.4.3", True),
    ("my-app tonic/0.10.0", True),
    ("tonic/0.11.0", False),
    ("tonic/0.12.3", False),
    ("tonic/1.0.0", False),
    ("grpc-go/1.63.2", False),
    ("tidb grpc-go/1.63.2", False),
    ("grpc-java-netty/1.60.0", False),
    ("grpc-python-asyncio/1.66.2 grpc-c/43.0.0 (linux; chttp2)", False),
    ("grpc-python/1.66.2", False),
    ("grpc-c++/1.50.0 grpc-c/28.0.0 (linux; chttp2)", False),
    ("grpc-c/7.0.0 (linux; chttp2)", True),
    ("curl/8", True),
    ("", True),
]


@pytest.mark.parametrize(("user_agent", "loses"), USER_AGENTS)
def test_clients_that_lose_rows_are_known_by_their_user_agent(user_agent: str, loses: bool) -> None:
    assert scan_loses_rows(user_agent) is loses


SCANS = [
    ("an old client hears a status", "auto", OLD_CLIENT, True),
    ("a new client reads the response", "auto", "tonic/0.12.0", False),
    ("all clients hear a status", "status", "", True),
    ("no client hears a status", "region-error", OLD_CLIENT, False),
]


@pytest.mark.parametrize(
    ("setting", "user_agent", "loud"), [case[1:] for case in SCANS], ids=[case[0] for case in SCANS]
)
async def test_a_scan_never_loses_rows_silently(setting: Any, user_agent: str, loud: bool) -> None:
    async with (
        serve(KvServiceSettings(raw_scan_region_error=setting)) as rig,
        open_channel(rig.port, user_agent) as client,
    ):
        await fill(rig, b"a", b"b")
        assert keys_of((await rig.call("RawScan", client, limit=5)).kvs) == [b"a", b"b"]
        assert rig.store.requests[-1].replica_read is loud
        assert isinstance(rig.store.requests[-1].command, Scan)
        rig.store.decide = lambda _: NotLeader(RegionId(7), REGION.peers[0])
        if loud:
            error = await rig.error("RawScan", client, limit=5)
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            assert "region 7 is not led here" in (error.details() or "")
            error = await rig.error("RawScan", client, limit=5, cf="nope")
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        else:
            assert (await rig.call("RawScan", client, limit=5)).region_error.not_leader.leader.id == 11
        # Everything else retries region errors, so it must see them.
        assert (await rig.call("RawGet", client, key=b"a")).region_error.HasField("not_leader")


# ---------------------------------------------------------------- load


async def test_a_caller_that_gave_up_is_dropped() -> None:
    async with serve() as rig:
        rig.store.holds = True
        method = TIKV_METHODS["RawGet"]
        stub = rig.channel.unary_unary(method.path, request_serializer=method.request.SerializeToString)
        call = stub(pb.RawGetRequest(context=context(), key=b"k"))
        await until(lambda: len(rig.store.held) == 1, "the request")
        sink, (_, reply, _, _) = rig.store.held[0].token
        call.cancel()
        await until(lambda: reply.is_over, "the cancellation to reach the server")
        rig.store.holds = False
        rig.store.release()
        assert sink._waiting == 0
        assert (await rig.call("RawGet", key=b"k")).not_found


async def test_waiting_calls_are_bounded() -> None:
    async with serve(KvServiceSettings(unary_calls_max=3)) as rig:
        rig.store.holds = True
        waiting = [asyncio.create_task(rig.call("RawGet", key=b"k")) for _ in range(3)]
        await until(lambda: len(rig.store.held) == 3, "three requests")
        busy = (await rig.call("RawGet", key=b"k")).region_error
        assert busy.server_is_busy.backoff_ms > 0
        rig.store.release()
        assert all(answer.not_found for answer in await asyncio.gather(*waiting))
        rig.store.holds = False
        assert (await rig.call("RawGet", key=b"k")).not_found


async def test_waiting_bytes_are_bounded_and_a_single_large_call_is_served() -> None:
    async with serve(KvServiceSettings(unary_bytes_max=1000)) as rig:
        assert (await rig.call("RawPut", key=b"k", value=b"v" * 5000)) == pb.RawPutResponse()
        rig.store.holds = True
        waiting = asyncio.create_task(rig.call("RawGet", key=b"k"))
        await until(lambda: len(rig.store.held) == 1, "the request")
        busy = await rig.call("RawPut", key=b"k", value=b"v" * 5000)
        assert busy.region_error.HasField("server_is_busy")
        rig.store.release()
        assert len((await waiting).value) == 5000


# ---------------------------------------------------------------- health


async def health(rig: Rig, service: str = "") -> bytes:
    request = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
    answer: bytes = await rig.channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=DEADLINE_S)
    return answer


async def test_health_answers_while_the_store_does_not() -> None:
    async with serve() as rig:
        rig.store.holds = True
        waiting = [asyncio.create_task(rig.call("RawGet", key=b"k")) for _ in range(200)]
        assert await health(rig) == b"\x08\x01"
        assert await health(rig, "tikvpb.Tikv") == b"\x08\x01"
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await health(rig, "other.Service")
        await until(lambda: len(rig.store.held) == 200, "all requests")
        rig.store.release()
        await asyncio.gather(*waiting)
        rig.health.stop_serving()
        assert await health(rig) == b"\x08\x02"


# ---------------------------------------------------------------- bad input on the port

NOISE = [
    ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("random bytes", os.urandom(4096)),
    ("zeros", bytes(4096)),
    ("a preface and noise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(1024)),
]


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize("data", [case[1] for case in NOISE], ids=[case[0] for case in NOISE])
async def test_noise_on_the_port_harms_nobody(data: bytes) -> None:
    async with serve() as rig:
        await fill(rig, b"a")
        _, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(data)
        await writer.drain()
        assert (await rig.call("RawGet", key=b"a")).value == b"va"
        await close(writer)
        assert (await rig.call("RawGet", key=b"a")).value == b"va"


async def test_a_connection_that_says_nothing_is_closed() -> None:
    server, port = make_server([], "127.0.0.1:0", [("grpc.server_handshake_timeout_ms", 100)])
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) is not None  # returns at the end of the connection
        await close(writer)
    finally:
        await server.stop(None)


async def test_an_invalid_message_is_a_status() -> None:
    async with serve() as rig:
        for path in ("/tikvpb.Tikv/RawPut", "/tikvpb.Tikv/RawScan", "/tikvpb.Tikv/GetHealthFeedback"):
            # The second is a valid request around a context of noise.
            for noise in (b"\xff" * 9, b"\x0a\x03\xff\xff\xff"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await rig.channel.unary_unary(path)(noise, timeout=DEADLINE_S)
                assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert (await rig.call("RawGet", key=b"a")).not_found


async def test_a_port_in_use_is_refused_with_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"cannot listen on {address}.*in use"):
            make_server([], address)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="unary_calls_max must be at least 1"):
        KvServiceSettings(unary_calls_max=0)
    with pytest.raises(ConfigError, match="raw_scan_region_error"):
        KvServiceSettings(raw_scan_region_error="maybe")  # type: ignore[arg-type]
