"""What the KV service and the client of PD count, over real channels: each series that /metrics shows is fed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
import pytest

from flaredb.model.errors import NotLeader
from flaredb.model.ids import RegionId
from flaredb.model.limits import KEY_SIZE_BYTES_MAX
from flaredb.rpc.pd import PdClient, PdClientTimes, PdUnavailable
from flaredb.server.aio_batch import BatchStream
from flaredb.server.counters import Counters
from flaredb.server.front import Front
from flaredb.server.service_settings import KvServiceSettings
from flaredb.wire.pb import kvrpcpb_pb2
from flaredb.wire.pb import tikvpb_pb2 as pb
from tests.rim.fake_pd import FakePd
from tests.rim.kv_rig import CLUSTER_ID, DEADLINE_S, STORE_ID, ToyStore, context, each_front, serve, until  # noqa: F401

TOO_LONG = b"k" * (KEY_SIZE_BYTES_MAX + 1)


def answered(counters: Counters) -> dict[str, int]:
    """How many calls were answered, by type."""
    return {kind: found.count for kind, found in counters.calls.items() if found.count}


def frame(*names: str, key: bytes = b"k") -> bytes:
    out = pb.BatchCommandsRequest()
    for number, name in enumerate(names):
        member = getattr(out.requests.add(), name)
        member.context.CopyFrom(context())
        member.key = key
        out.request_ids.append(number)
    return out.SerializeToString()


def rigged_stream(store: ToyStore, counters: Counters) -> tuple[BatchStream, list[float]]:
    """A stream without a network, and the clock that its front reads."""
    front = Front(store.submit, CLUSTER_ID, STORE_ID, KvServiceSettings(), lambda: 1, counters)
    clock = [100.0]
    front.counts.now_s = lambda: clock[0]
    return BatchStream(front), clock


async def test_unary_calls_are_counted_by_type_with_their_time() -> None:
    counters = Counters()
    async with serve(counters=counters) as rig:
        await rig.call("RawPut", key=b"k", value=b"v")
        await rig.call("RawGet", key=b"k")
        await rig.call("RawGet", key=b"k")
        await rig.call("RawScan", limit=5)
        await rig.call("RawBatchGet", keys=[])
    assert answered(counters) == {"raw_put": 1, "raw_get": 2, "raw_scan": 1, "raw_batch_get": 1}
    assert 0 < counters.calls["raw_get"].sum_seconds < DEADLINE_S
    assert (counters.failures, counters.region_errors) == ({}, {})


async def test_unary_failures_are_counted_and_no_answers() -> None:
    counters = Counters()
    async with serve(counters=counters) as rig:
        assert (await rig.call("RawPut", key=TOO_LONG, value=b"v")).error
        wrong = kvrpcpb_pb2.Context(cluster_id=CLUSTER_ID + 1)
        assert (await rig.error("RawGet", key=b"k", context=wrong)).code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await rig.error("RawScan", limit=1, context=wrong)).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert counters.failures == {"raw_put": 1, "raw_get": 1, "raw_scan": 1}
    assert answered(counters) == {}


async def test_region_errors_are_counted_by_class_of_both_kinds_of_calls() -> None:
    counters = Counters()
    async with serve(counters=counters) as rig:
        rig.store.decide = lambda request: NotLeader(RegionId(7), None)
        assert (await rig.call("RawGet", key=b"k")).HasField("region_error")
        stream = rig.batch()
        await stream.write(pb.BatchCommandsRequest.FromString(frame("RawGet", "RawPut")))
        assert len((await asyncio.wait_for(stream.read(), DEADLINE_S)).request_ids) == 2
        stream.cancel()
    assert counters.region_errors == {"NotLeader": 3}
    assert answered(counters) == {"raw_get": 2, "raw_put": 1}


async def test_a_call_refused_by_a_full_queue_is_counted_as_such() -> None:
    counters = Counters()
    async with serve(KvServiceSettings(unary_calls_max=1), counters=counters) as rig:
        rig.store.holds = True
        waiting = asyncio.create_task(rig.call("RawGet", key=b"k"))
        await until(lambda: bool(rig.store.held), "the first call")
        refused = await rig.call("RawGet", key=b"k")
        assert refused.region_error.HasField("server_is_busy")
        rig.store.release()
        await waiting
    assert counters.channel_full == {"unary": 1}
    assert counters.region_errors == {"ServerIsBusy": 1}


@pytest.mark.parametrize("names", [("RawGet",) * 5, ("RawGet", "RawPut", "RawGet", "RawDelete", "RawGet")])
async def test_requests_of_a_frame_count_one_by_one_from_the_frame_s_arrival(names: tuple[str, ...]) -> None:
    store, counters = ToyStore(), Counters()
    store.holds = True
    stream, clock = rigged_stream(store, counters)
    stream.take(frame(*names))
    clock[0] += 0.25
    stream.take(frame("RawPut"))
    clock[0] += 0.25
    store.release()
    types = [*names, "RawPut"]
    assert answered(counters) == {
        kind: types.count(name)
        for name, kind in {"RawGet": "raw_get", "RawPut": "raw_put", "RawDelete": "raw_delete"}.items()
        if name in types
    }
    total_s = sum(found.sum_seconds for found in counters.calls.values())
    assert total_s == pytest.approx(0.5 * len(names) + 0.25)


async def test_part_of_a_frame_counts_when_it_is_answered() -> None:
    store, counters = ToyStore(), Counters()
    store.holds = True
    stream, _ = rigged_stream(store, counters)
    stream.take(frame(*("RawGet",) * 5))
    later, store.held = store.held[3:], store.held[:3]
    store.release()
    assert answered(counters) == {"raw_get": 3}
    store.held = later
    store.release()
    assert answered(counters) == {"raw_get": 5}
    assert stream.is_drained() is False, "the answers are not written yet"
    sent = [pb.BatchCommandsResponse.FromString(data).request_ids for data in stream._frames]
    assert [list(ids) for ids in sent] == [[0, 1, 2], [3, 4]]


async def test_failures_in_a_frame_and_of_a_stream_are_counted() -> None:
    store, counters = ToyStore(), Counters()
    stream, _ = rigged_stream(store, counters)
    stream.take(frame("RawPut", "RawPut", key=TOO_LONG))
    assert counters.failures == {"raw_put": 2}
    counters = Counters()
    async with serve(counters=counters) as rig:
        call = rig.batch()
        await call.write(pb.BatchCommandsRequest(request_ids=[1]))
        with contextlib.suppress(grpc.aio.AioRpcError):
            await asyncio.wait_for(call.read(), DEADLINE_S)
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert counters.failures == {"batch_commands": 1}


async def test_attempts_to_call_pd_are_counted_answered_or_not() -> None:
    counters = Counters()
    pd = await FakePd().start()
    times = PdClientTimes(call_timeout_ms=1000 * DEADLINE_S, retry_window_ms=1)
    client = PdClient([pd.address], times, on_called=counters.count_pd_call)
    try:
        await client.connect()
        await client.alloc_id()
        pd.abort["AllocID"] = (grpc.StatusCode.UNAVAILABLE, "away")
        with pytest.raises(PdUnavailable):
            await client.alloc_id()
    finally:
        await client.close()
        await pd.stop()
    found: dict[str, Any] = {kind: histogram.count for kind, histogram in counters.pd_calls.items()}
    assert found["alloc_id"] == 2
    assert found["get_members"] >= 1
