"""Splits, scatters, operators and orders at PD's address: what the core is asked, and what clients and stores get."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange, RegionOrder, TransferLeader
from flaredb.model.region import Peer, PeerRole, RegionEpoch
from flaredb.pd import messages as m
from flaredb.pd.messages import PdError, PdErrorKind
from flaredb.server import order_streams
from flaredb.server.order_streams import OrderStream, OrderStreams
from flaredb.server.pd_scheduling import WAIT_MS_MAX, WAY_BACK_MS, wait_ms_of
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.pd_orders import order_from_pb, order_to_pb
from tests.pd.helpers import region
from tests.rim.pd_rig import DEADLINE_S, PdRig, heartbeat_pb, running_pd, until

LEADER = Peer(PeerId(3), StoreId(1))


def order(region_id: int, peer_id: int = 9) -> RegionOrder:
    step = ChangePeers((PeerChange(ChangeKind.ADD_LEARNER_NODE, Peer(PeerId(peer_id), StoreId(4), PeerRole.LEARNER)),))
    return RegionOrder(RegionId(region_id), RegionEpoch(1, 1), LEADER, step)


@pytest.fixture
async def pd(tmp_path: Path) -> AsyncIterator[PdRig]:
    async with running_pd(tmp_path) as rig:
        yield rig


class FakeCore:
    """Takes the place of PdLoop.call; ``answer`` decides."""

    def __init__(self, pd: PdRig, answer: Any) -> None:
        self.calls: list[Any] = []
        self.answer = answer
        pd.node.loop.call = self.call  # type: ignore[method-assign]

    async def call(self, call: Any) -> Any:
        self.calls.append(call)
        return self.answer


# ------------------------------------------------ calls of clients


async def test_split_regions(pd: PdRig) -> None:
    core = FakeCore(pd, m.SplitResult(75, (RegionId(8), RegionId(9))))
    began_s = time.monotonic()
    response = await pd.call("SplitRegions", split_keys=[b"g", b"p"], retry_limit=3)
    assert (response.finished_percentage, list(response.regions_id)) == (75, [8, 9])
    (call,) = core.calls
    assert call.split_keys == (b"g", b"p")
    took_ms = (time.monotonic() - began_s) * 1000
    usual_ms = DEADLINE_S * 1000 - WAY_BACK_MS
    assert usual_ms - took_ms - 100 < call.wait_ms < usual_ms + 100, "the caller's deadline, less the way back"


async def test_split_and_scatter_regions(pd: PdRig) -> None:
    core = FakeCore(pd, m.SplitResult(100, (RegionId(8),), 50))
    response = await pd.call("SplitAndScatterRegions", split_keys=[b"g"], group="table 7")
    assert (response.split_finished_percentage, response.scatter_finished_percentage) == (100, 50)
    assert list(response.regions_id) == [8]
    assert (core.calls[0].split_keys, core.calls[0].group) == ((b"g",), "table 7")


async def test_scatter_takes_one_id_or_many(pd: PdRig) -> None:
    core = FakeCore(pd, m.ScatterResult(50, (RegionId(9),)))
    response = await pd.call("ScatterRegion", regions_id=[8, 9], group="t", skip_store_limit=True)
    assert (response.finished_percentage, list(response.failed_regions_id)) == (50, [9])
    refused = await pd.raw("ScatterRegion", region_id=9)
    assert refused.header.error.type == pdpb.UNKNOWN
    assert "region 9 cannot be scattered now" in refused.header.error.message
    core.answer = m.ScatterResult(100, ())
    assert (await pd.call("ScatterRegion", region_id=9)).finished_percentage == 100
    assert core.calls == [
        m.ScatterRegion((RegionId(8), RegionId(9)), "t", True),
        m.ScatterRegion((RegionId(9),)),
        m.ScatterRegion((RegionId(9),)),
    ]


async def test_get_operator(pd: PdRig) -> None:
    running = m.OperatorStatus.RUNNING
    view = m.OperatorView(
        RegionId(7), "scatter-region", "", "region,leader", running, "", RegionEpoch(1, 1), (), (), 0, 0, 0, 0, 0
    )
    core = FakeCore(pd, view)
    response = await pd.call("GetOperator", region_id=7)
    assert (response.region_id, response.desc, response.kind) == (7, b"scatter-region", b"region,leader")
    assert response.status == pdpb.RUNNING
    core.answer = PdError(PdErrorKind.REGION_NOT_FOUND, "nothing lately")
    assert (await pd.raw("GetOperator", region_id=7)).header.error.type == pdpb.REGION_NOT_FOUND


@pytest.mark.parametrize(
    ("remaining_seconds", "wait_ms"),
    [(None, WAIT_MS_MAX), (3.0, 2_500), (0.2, 0), (1e6, WAIT_MS_MAX)],
    ids=["no deadline", "usual", "hurry", "very long"],
)
def test_how_long_a_split_may_be_waited_for(remaining_seconds: float | None, wait_ms: int) -> None:
    assert wait_ms_of(remaining_seconds) == wait_ms


# ------------------------------------------------ orders on the heartbeat stream


async def test_an_order_goes_out_on_the_stream_of_its_store(pd: PdRig) -> None:
    first = await pd.bootstrap()
    stream = pd.stream("RegionHeartbeat")
    streams = pd.node.service.orders
    streams.send(StoreId(1), order(2))
    assert (streams.sent, streams.dropped) == (0, 1)
    await stream.write(heartbeat_pb(pd, first))
    await until(lambda: pd.node.loop.core.held_calls == 0 and StoreId(1) in streams.bound())
    pd.node.loop.on_order(StoreId(1), order(2))
    response = await stream.read()
    assert response.header.cluster_id == pd.cluster_id
    assert not response.header.HasField("error")
    assert order_from_pb(response) == order(2)
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    await until(lambda: streams.bound() == set())


async def test_the_newest_stream_of_a_store_gets_its_orders(pd: PdRig) -> None:
    first = await pd.bootstrap()
    old, new = pd.stream("RegionHeartbeat"), pd.stream("RegionHeartbeat")
    for stream in (old, new):
        await stream.write(heartbeat_pb(pd, first))
        await stream.write(heartbeat_pb(pd, region(2, version=0)))
        assert (await stream.read()).header.HasField("error")
    pd.node.loop.on_order(StoreId(1), order(2))
    assert order_from_pb(await new.read()) == order(2)
    await old.done_writing()
    assert await old.read() is grpc.aio.EOF
    pd.node.loop.on_order(StoreId(1), order(3))
    assert order_from_pb(await new.read()) == order(3)
    await new.done_writing()


async def test_a_quiet_stream_gets_a_sign_of_life(pd: PdRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_streams, "KEEP_ALIVE_SECONDS", 0.02)
    first = await pd.bootstrap()
    stream = pd.stream("RegionHeartbeat")
    await stream.write(heartbeat_pb(pd, first))
    alive = await stream.read()
    assert alive.header.cluster_id == pd.cluster_id
    assert order_from_pb(alive) is None
    await stream.done_writing()


async def waiting(stream: OrderStream) -> list[Any]:
    stream.end()
    return [response async for response in stream.responses()]


async def test_of_two_orders_to_a_region_the_newer_is_sent() -> None:
    stream = OrderStream()
    for item in (order(2, 9), order(3, 9), order(2, 10)):
        assert stream.put_order(item)
    assert await waiting(stream) == [order_to_pb(order(3, 9)), order_to_pb(order(2, 10))]


async def test_a_full_stream_drops_what_pd_will_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_streams, "QUEUED_MAX", 2)
    streams, stream = OrderStreams(), OrderStream()
    streams.bind(StoreId(1), stream)
    for region_id in (2, 3, 4):
        streams.send(StoreId(1), order(region_id))
    transfer = RegionOrder(RegionId(2), RegionEpoch(1, 1), LEADER, TransferLeader((LEADER,)))
    streams.send(StoreId(1), transfer)
    for number in range(3):
        stream.put_refusal(pdpb.RegionHeartbeatResponse(region_id=number))
    assert (streams.sent, streams.dropped) == (3, 1)
    sent = await waiting(stream)
    assert [response.region_id for response in sent[:2]] == [1, 2]
    assert sent[2:] == [order_to_pb(order(3)), order_to_pb(transfer)]


async def test_a_stream_that_changes_its_store_is_bound_once() -> None:
    streams, stream = OrderStreams(), OrderStream()
    streams.bind(StoreId(1), stream)
    streams.bind(StoreId(2), stream)
    assert streams.bound() == {StoreId(2)}
    streams.forget(stream)
    streams.forget(stream)
    assert streams.bound() == set()
    await asyncio.sleep(0)
