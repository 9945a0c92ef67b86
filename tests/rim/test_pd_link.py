"""A store joining, serving and losing its PD: what the store core is told, and when."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from flaredb.model.cluster import RegionHeartbeat, SplitIds, StoreMeta, StoreState, StoreStats
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import RegionOrder, TransferLeader
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.rpc.pd import PdClient, PdClientTimes, PdRefused, PdStoreTombstone, PdUnavailable
from flaredb.server import pd_link as pd_link_module
from flaredb.server import store_addresses
from flaredb.server.pd_link import PdLink
from flaredb.server.store_addresses import StoreAddresses
from flaredb.store.messages import (
    HeartbeatsWanted,
    Input,
    OrderReceived,
    RegionChecked,
    RegionsListed,
    RoutesLearned,
    SplitIdsGranted,
)
from flaredb.wire.convert import store_to_pb
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.pd_orders import order_to_pb
from tests.rim.fake_pd import FakePd, eventually
from tests.rim.pd_rig import kept_port

TIMES = PdClientTimes(
    call_timeout_ms=30_000, retry_window_ms=100, connect_window_ms=30_000, retry_delay_ms_min=5, retry_delay_ms_max=20
)
STORE = StoreMeta(StoreId(1), "127.0.0.1:20160", "127.0.0.1:20170", version="6.5.0")
AnInput = TypeVar("AnInput")


def region(region_id: int, start_key: bytes, end_key: bytes, *store_ids: int) -> Region:
    peers = tuple(Peer(PeerId(region_id * 10 + store_id), StoreId(store_id)) for store_id in store_ids)
    return Region(RegionId(region_id), start_key, end_key, INITIAL_EPOCH, peers)


class Store:
    """One link and the inputs it submitted."""

    def __init__(self, client: PdClient, **options: Any) -> None:
        self.inputs: list[Input] = []
        self.stats = StoreStats(STORE.id, capacity_bytes=123)
        options = {
            "has_regions": False,
            "store_heartbeat_ms": 20,
            "routes_refresh_ms_min": 5,
            "routes_interval_ms": 20,
        } | options
        self.link = PdLink(client, STORE, lambda: self.stats, self.inputs.append, **options)

    def told(self, kind: type[AnInput]) -> list[AnInput]:
        return [item for item in self.inputs if isinstance(item, kind)]


@pytest.fixture
async def pd() -> AsyncIterator[FakePd]:
    pd = await FakePd().start()
    yield pd
    await pd.stop()


@pytest.fixture
async def client(pd: FakePd, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PdClient]:
    monkeypatch.setattr(store_addresses, "ASK_TIMEOUT_MS", TIMES.call_timeout_ms)
    client = PdClient([pd.address], TIMES)
    await client.connect()
    yield client
    await client.close()


async def test_the_first_store_of_a_cluster_makes_its_one_region(client: PdClient, pd: FakePd) -> None:
    store = Store(client)
    await store.link.start()
    await eventually(lambda: store.told(RegionsListed))
    expected = Region(RegionId(101), b"", b"", INITIAL_EPOCH, (Peer(PeerId(102), STORE.id),))
    assert store.told(RegionsListed) == [RegionsListed((expected,))]
    assert pd.regions == [expected]
    assert pd.order[1:6] == ["IsBootstrapped", "AllocID", "AllocID", "Bootstrap", "PutStore"]
    await store.link.stop()


async def test_a_store_waits_for_the_initial_layout(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    store = Store(client)
    await store.link.start()
    await eventually(lambda: pd.calls["ScanRegions"] >= 3)
    assert store.told(RegionsListed) == []
    pd.regions = [region(1, b"", b"m", 1, 2, 3), region(2, b"m", b"", 1, 2, 3)]
    await eventually(lambda: store.told(RegionsListed))
    assert store.told(RegionsListed) == [RegionsListed(tuple(pd.regions))]
    assert pd.calls["Bootstrap"] == 0
    assert pd.order.index("PutStore") < pd.order.index("ScanRegions")
    await store.link.stop()


async def test_a_store_without_a_region_in_the_layout_is_told_an_empty_list(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    pd.regions = [region(1, b"", b"", 2, 3, 4)]
    store = Store(client)
    await store.link.start()
    await eventually(lambda: store.told(RegionsListed))
    assert store.told(RegionsListed) == [RegionsListed(())]
    await store.link.stop()


async def test_losing_the_race_to_bootstrap_lists_the_winners_regions(
    client: PdClient, pd: FakePd, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner = region(1, b"", b"", 2)

    def bootstrap_elsewhere(request: Any, response: Any) -> Any:
        pd.bootstrapped, pd.regions = True, [winner]
        return pdpb.ALREADY_BOOTSTRAPPED, "cluster already bootstrapped"

    monkeypatch.setattr(pd, "Bootstrap", bootstrap_elsewhere)
    store = Store(client)
    await store.link.start()
    await eventually(lambda: store.told(RegionsListed))
    assert store.told(RegionsListed) == [RegionsListed(())]
    assert 1 in pd.stores
    await store.link.stop()


async def test_a_bootstrap_whose_answer_was_lost_is_found_again(client: PdClient, pd: FakePd) -> None:
    """The store crashed, or missed the answer, after PD made its region: the region lists this store."""
    pd.bootstrapped = True
    pd.regions = [region(1, b"", b"", 1)]
    store = Store(client)
    await store.link.start()
    await eventually(lambda: store.told(RegionsListed))
    assert store.told(RegionsListed) == [RegionsListed(tuple(pd.regions))]
    await store.link.stop()


async def test_a_store_with_regions_on_disk_asks_for_none(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    pd.regions = [region(1, b"", b"", 1)]
    store = Store(client, has_regions=True)
    await store.link.start()
    await eventually(lambda: store.told(RoutesLearned) and len(pd.store_heartbeats) >= 2)
    assert store.told(RegionsListed) == []
    assert pd.calls["IsBootstrapped"] == 0
    assert pd.store_heartbeats[0].capacity == 123
    await store.link.stop()


@pytest.mark.parametrize(
    ("sentence", "error_type", "kind"),
    [("removed", pdpb.STORE_TOMBSTONE, PdStoreTombstone), ("address taken", pdpb.UNKNOWN, PdRefused)],
)
async def test_a_store_that_pd_does_not_want_does_not_start(
    client: PdClient, pd: FakePd, sentence: str, error_type: int, kind: type[Exception]
) -> None:
    pd.bootstrapped = True
    pd.refuse["PutStore"] = (error_type, f"store 1: {sentence}")
    store = Store(client)
    with pytest.raises(kind, match=sentence):
        await store.link.start()
    assert store.inputs == []
    await store.link.stop()


async def test_registration_goes_on_in_the_background_while_pd_is_away(client: PdClient, pd: FakePd) -> None:
    port = pd.port
    await pd.stop()
    store = Store(client, has_regions=True)
    with kept_port(port):
        await store.link.start()
        assert store.inputs == []
        pd.bootstrapped = True
        await pd.start(port)
    await eventually(lambda: 1 in pd.stores and pd.store_heartbeats)
    await store.link.stop()


async def test_routes_are_learned_page_by_page(client: PdClient, pd: FakePd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd_link_module, "ROUTES_PER_REFRESH", 2)
    pd.bootstrapped = True
    pd.regions = [region(1, b"", b"g", 1), region(2, b"g", b"p", 1), region(3, b"p", b"", 1)]
    store = Store(client, has_regions=True)
    await store.link.start()
    await eventually(lambda: len(store.told(RoutesLearned)) >= 3)
    learned = [[route.region.id for route in told.routes] for told in store.told(RoutesLearned)[:3]]
    assert learned == [[1, 2], [3], [1, 2]]
    await store.link.stop()


async def test_refresh_soon_is_rate_limited(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    pd.regions = [region(1, b"", b"", 1)]
    store = Store(client, has_regions=True, store_heartbeat_ms=60_000, routes_refresh_ms_min=60_000)
    await store.link.start()
    await eventually(lambda: store.told(RoutesLearned))
    for _ in range(100):
        store.link.refresh_soon()
    await client.is_bootstrapped()
    assert pd.calls["ScanRegions"] == 1
    await store.link.stop()


async def test_an_unknown_region_refreshes_routes_before_the_next_heartbeat(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    store = Store(client, has_regions=True, store_heartbeat_ms=60_000)
    await store.link.start()
    await eventually(lambda: pd.calls["ScanRegions"] == 1)
    assert store.told(RoutesLearned) == []
    pd.regions = [region(1, b"", b"", 1)]
    store.link.refresh_soon()
    await eventually(lambda: store.told(RoutesLearned))
    await store.link.stop()


async def test_region_reports_are_sent_and_wanted_again_after_pd_restarts(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    led = region(1, b"", b"", 1)
    store = Store(client, has_regions=True)
    await store.link.start()
    await eventually(lambda: store.told(HeartbeatsWanted))
    store.link.report(RegionHeartbeat(led, led.peers[0], term=6))
    await eventually(lambda: [received.term for received in pd.region_heartbeats] == [6])
    port = pd.port
    await pd.stop()
    await pd.start(port)
    await eventually(lambda: len(store.told(HeartbeatsWanted)) >= 2 and pd.calls["RegionHeartbeat"] >= 2)
    store.link.report(RegionHeartbeat(led, led.peers[0], term=7))
    await eventually(lambda: pd.region_heartbeats[-1].term == 7)
    await store.link.stop()


async def test_pd_away_is_logged_once_and_survived(
    client: PdClient, pd: FakePd, caplog: pytest.LogCaptureFixture
) -> None:
    pd.bootstrapped = True
    store = Store(client, has_regions=True)
    await store.link.start()
    await eventually(lambda: pd.store_heartbeats)
    port, before = pd.port, len(pd.store_heartbeats)
    with caplog.at_level(logging.INFO):
        await pd.stop()
        with kept_port(port):
            await eventually(lambda: "store heartbeat to PD failed" in caplog.text)
            await pd.start(port)
        await eventually(lambda: "store heartbeat to PD works again" in caplog.text)
    assert len(pd.store_heartbeats) > before
    assert caplog.text.count("store heartbeat to PD failed") == 1
    await store.link.stop()


async def test_a_pd_that_lost_the_store_gets_it_again(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    store = Store(client, has_regions=True)
    await store.link.start()
    await eventually(lambda: pd.store_heartbeats)
    pd.stores.clear()
    pd.store_heartbeats.clear()
    await eventually(lambda: 1 in pd.stores and pd.store_heartbeats)
    await store.link.stop()


# ---------------------------------------------------------------- addresses


async def test_addresses_prefer_the_peer_address_and_outlive_pd(client: PdClient, pd: FakePd) -> None:
    addresses = StoreAddresses(client.get_store, fresh_ms=0)
    pd.stores[1] = store_to_pb(STORE)
    pd.stores[2] = store_to_pb(StoreMeta(StoreId(2), "127.0.0.1:5"))
    assert await addresses.resolve(StoreId(1)) == STORE.peer_address
    assert await addresses.resolve(StoreId(2)) == "127.0.0.1:5"
    pd.stores[2].address = "127.0.0.1:6"
    assert await addresses.resolve(StoreId(2)) == "127.0.0.1:6", "asked again"
    await pd.stop()
    assert await addresses.resolve(StoreId(2)) == "127.0.0.1:6", "remembered"
    with pytest.raises(PdUnavailable, match="store 3 is not known"):
        await addresses.resolve(StoreId(3))


async def test_addresses_ask_pd_at_a_bounded_rate(client: PdClient, pd: FakePd) -> None:
    addresses = StoreAddresses(client.get_store, fresh_ms=60_000)
    pd.stores[1] = store_to_pb(STORE)
    for _ in range(5):
        await addresses.resolve(StoreId(1))
    assert pd.calls["GetStore"] == 1


async def test_removed_and_unknown_stores_have_no_address(client: PdClient, pd: FakePd) -> None:
    addresses = StoreAddresses(client.get_store, fresh_ms=0)
    with pytest.raises(PdRefused, match="invalid store ID 9, not found"):
        await addresses.resolve(StoreId(9))
    pd.stores[1] = store_to_pb(STORE)
    await addresses.resolve(StoreId(1))
    pd.stores[1] = store_to_pb(replace(STORE, state=StoreState.TOMBSTONE))
    with pytest.raises(PdStoreTombstone, match="store 1 was removed"):
        await addresses.resolve(StoreId(1))
    await pd.stop()
    with pytest.raises(PdUnavailable):
        await addresses.resolve(StoreId(1))


async def test_ids_for_a_split_come_back_as_an_input_and_so_does_a_refusal(client: PdClient, pd: FakePd) -> None:
    store = Store(client)
    whole = region(7, b"", b"", 1, 2)
    store.link.ask_split(whole, 1)
    await eventually(lambda: store.told(SplitIdsGranted))
    granted = SplitIds(RegionId(500), (PeerId(1071), PeerId(1072)))
    assert store.told(SplitIdsGranted) == [SplitIdsGranted(RegionId(7), 1, (granted,))]
    pd.refuse["AskBatchSplit"] = (pdpb.UNKNOWN, "region 7 is stale")
    store.link.ask_split(whole, 1)
    await eventually(lambda: len(store.told(SplitIdsGranted)) == 2)
    refused = store.told(SplitIdsGranted)[1]
    assert refused.ids == ()
    assert "region 7 is stale" in refused.error
    await store.link.stop()


async def test_results_of_a_split_are_reported(client: PdClient, pd: FakePd) -> None:
    store = Store(client)
    results = (region(8, b"", b"m", 1), region(7, b"m", b"", 1))
    store.link.report_split(results)
    await eventually(lambda: pd.regions == list(results))
    pd.refuse["ReportBatchSplit"] = (pdpb.UNKNOWN, "not now")
    store.link.report_split(results)
    await eventually(lambda: pd.calls["ReportBatchSplit"] == 2)
    await store.link.stop()


async def test_a_region_that_pd_is_asked_for_comes_back_as_an_input(client: PdClient, pd: FakePd) -> None:
    """No answer at all while PD is away: the core asks again."""
    store = Store(client)
    pd.regions = [region(7, b"", b"", 1, 2)]
    for region_id in (7, 8):
        store.link.check_region(RegionId(region_id))
    await eventually(lambda: len(store.told(RegionChecked)) == 2)
    found = {checked.region_id: checked.region for checked in store.told(RegionChecked)}
    assert found == {7: pd.regions[0], 8: None}
    await pd.stop()
    store.link.check_region(RegionId(7))
    await eventually(lambda: not store.link.questions)
    assert len(store.told(RegionChecked)) == 2
    await store.link.stop()


async def test_orders_are_inputs(client: PdClient, pd: FakePd) -> None:
    whole = region(7, b"", b"", 1, 2)
    order = RegionOrder(whole.id, whole.epoch, whole.peers[0], TransferLeader((whole.peers[1],)))
    pd.bootstrapped, pd.regions, pd.orders = True, [whole], [order_to_pb(order)]
    store = Store(client)
    await store.link.start()
    store.link.report(RegionHeartbeat(whole, whole.peers[0], 6))
    await eventually(lambda: store.told(OrderReceived) == [OrderReceived(order)])
    await store.link.stop()


async def test_a_store_heartbeat_can_be_sent_before_it_is_due(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    store = Store(client, store_heartbeat_ms=60_000)
    await store.link.start()
    await eventually(lambda: pd.store_heartbeats)
    store.stats = replace(store.stats, is_stopping=True)
    store.link.beat_soon()
    await eventually(lambda: pd.store_heartbeats[-1].is_stopping)
    assert len(pd.store_heartbeats) == 2
    await store.link.stop()


async def test_a_question_under_way_ends_with_the_link(client: PdClient, pd: FakePd) -> None:
    store = Store(client)
    store.link.ask_split(region(7, b"", b"", 1), 1)
    await asyncio.wait_for(store.link.stop(), 20)
    assert store.told(SplitIdsGranted) == []


async def test_stop_ends_everything_at_once(client: PdClient, pd: FakePd) -> None:
    pd.bootstrapped = True
    store = Store(client)
    await store.link.start()
    async with asyncio.timeout(20):
        await store.link.stop()
    told = len(store.inputs)
    pd.regions = [region(1, b"", b"", 1)]
    await client.is_bootstrapped()
    assert len(store.inputs) == told
