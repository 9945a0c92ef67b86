"""``flaredb ctl`` against the placement core itself, over a model cluster that obeys its orders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from flaredb.model.ids import StoreId
from flaredb.pd.messages import Call, Called, SetScheduleConfig
from flaredb.server.order_streams import OrderStreams
from flaredb.server.pd_api import PdApi
from flaredb.server.pd_pages import make_runner
from tests.ctl.ctl_rig import Ran, run
from tests.pd.fake_cluster import FakeCluster, cluster_with

TICK_S = 0.001
"""For 100 ms of the model's time."""


class Served:
    """A model cluster whose time goes by, behind PD's pages."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.port = 0
        self.answered: list[str] = []
        """Methods and paths of the requests."""

    async def note(self, request: web.BaseRequest, _response: web.StreamResponse) -> None:
        self.answered.append(f"{request.method} {request.path}")

    async def call(self, request: Call) -> Any:
        """As PdLoop.call; what the core holds is answered by a later tick."""
        token = object()
        self.cluster.step(Called(token, request))
        while True:
            for known, result in self.cluster.answers:
                if known is token:
                    return result
            await asyncio.sleep(TICK_S)

    async def live(self) -> None:
        while True:
            self.cluster.tick()
            await asyncio.sleep(TICK_S)

    async def run(self, line: str) -> Ran:
        return await asyncio.to_thread(run, "-u", f"127.0.0.1:{self.port}", *line.split())

    async def done(self, line: str) -> Ran:
        ran = await self.run(line)
        assert ran.code == 0, ran
        return ran


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Four stores, six regions of 8 MiB with three replicas."""
    rig = Served(cluster_with(4, [8] * 6))
    cluster = rig.cluster
    api = PdApi(
        cluster.core,
        OrderStreams(),
        name="pd",
        client_url="http://pd",
        version="6.5.0",
        now_ms=lambda: cluster.now_ms,
        started_at_s=0,
    )
    runner = make_runner(api, rig.call)
    runner.app.on_response_prepare.append(rig.note)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    rig.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    ticker = asyncio.create_task(rig.live())
    try:
        yield rig
    finally:
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker
        await runner.cleanup()


async def quiet(served: Served) -> None:
    """The holding after PD's start is over, and nothing moves by itself."""
    await served.done("scheduler pause all 3600")
    async with asyncio.timeout(60):
        while not served.cluster.is_quiet() or "more regions" in (await served.done("why store 1")).out:
            await asyncio.sleep(0.01)


async def stores_of(served: Served, region_id: int) -> list[str]:
    rows = (await served.done("region")).rows
    (found,) = [row for row in rows if row[0] == str(region_id)]
    return found[4].split()


async def test_a_store_is_drained_to_a_tombstone(served: Served) -> None:
    # A drain takes a few milliseconds here: it begins when the command has seen what there is to move.
    await served.done("config set replica-schedule-limit 0")
    draining = asyncio.create_task(served.done("store delete 4 --wait"))
    async with asyncio.timeout(30):
        while served.answered[-1] != "GET /pd/api/v1/store/4":
            await asyncio.sleep(TICK_S)
    await served.call(SetScheduleConfig((("replica-schedule-limit", 64),)))
    ran = await draining
    assert ran.out == "store 4 is a tombstone: it holds nothing any more and may be stopped\n"
    assert "regions left" in ran.err
    assert not served.cluster.peers_on(4)
    assert (await served.done("store check tombstone")).rows[1][:3] == ["4", "127.0.0.1:20004", "Tombstone"]
    assert "removed" in (await served.done("why store 4")).out
    await served.done("store remove-tombstone")
    assert (await served.run("store 4")).err == "flaredb: store 4 does not exist\n"


async def test_a_drain_that_would_leave_too_few_stores_is_refused(served: Served) -> None:
    await served.done("store delete 4 --wait")
    ran = await served.run("store delete 3 --wait")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "3" in ran.err


async def test_a_drain_is_called_off(served: Served) -> None:
    await served.done("config set replica-schedule-limit 0")
    await served.done("store delete 4")
    assert (await served.done("store 4")).rows[2] == ["state", "Offline"]
    assert "4" in (await served.done("why store 4")).out
    await served.done("store cancel-delete 4")
    assert (await served.done("store 4")).rows[2] == ["state", "Up"]


async def test_a_replica_moves_by_hand(served: Served) -> None:
    await quiet(served)
    fake = served.cluster.peers_on(1)[0]
    region = fake.region.id
    free = next(store for store in (2, 3, 4) if not fake.region.peer_on(StoreId(store)))
    ran = await served.done(f"operator add transfer-peer {region} 1 {free} --wait")
    assert ran.out == f"region {region}: transfer-peer is done\n"
    assert str(free) in await stores_of(served, region)
    ran = await served.run(f"operator add transfer-peer {region} 1 {free}")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert ["status", "success"] in (await served.done(f"operator check {region}")).rows
    assert (await served.done("operator history")).rows[-1][0] == str(region)


async def test_a_region_is_split_by_hand(served: Served) -> None:
    await quiet(served)
    last = max(served.cluster.regions.values(), key=lambda fake: fake.region.start_key).region
    await served.done(rf"region split {last.id} --keys=9,b'99\x00'")
    async with asyncio.timeout(60):
        while len(rows := (await served.done("region scan")).rows) < 9:
            await asyncio.sleep(0.01)
    assert [row[1:3] for row in rows[-3:]] == [
        ["b'0005'", "b'9'"],
        ["b'9'", r"b'99\x00'"],
        [r"b'99\x00'", "+inf"],
    ]
    ran = await served.run(f"region split {last.id} --keys=0")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


async def test_a_split_by_hand_is_waited_for(served: Served) -> None:
    await quiet(served)
    last = max(served.cluster.regions.values(), key=lambda fake: fake.region.start_key).region
    ran = await served.done(f"region split {last.id} --keys=9 --wait")
    assert ran.out == f"region {last.id}: split-region is done\n"


async def test_a_region_is_scattered_by_hand(served: Served) -> None:
    await quiet(served)
    for fake in list(served.cluster.regions.values()):
        await served.done(f"operator add scatter-region {fake.region.id} --wait")


async def test_settings_and_schedulers(served: Served) -> None:
    await served.done("config set region-schedule-limit 8")
    assert ["schedule", "region-schedule-limit", "8"] in (await served.done("config")).rows
    ran = await served.run("config set region-schedule-limits 8")
    assert (ran.code, "region-schedule-limit" in ran.err, ran.err.count("\n")) == (1, True, 1)
    assert len((await served.done("scheduler")).rows) > 2
    await served.done("scheduler add evict-leader-scheduler 1")
    assert any(row[0] == "evict-leader-scheduler" for row in (await served.done("scheduler")).rows)
    await served.done("scheduler remove evict-leader-scheduler-1")
    await served.done("store label 2 zone=east")
    assert ["labels", "zone=east"] in (await served.done("store 2")).rows
    assert (await served.run("why region 999")).code == 1
    assert (await served.done("why key hex:3030")).out.startswith("Region ")
