"""Calls about scheduling as the core answers them: settings, stores, orders by people, reasons."""

from __future__ import annotations

from typing import Any

import pytest

from flaredb.model.cluster import DownPeer, StoreState, StoreStats
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import SplitOrder, SplitPolicy
from flaredb.pd.messages import (
    AddLearnerOp,
    AddOperator,
    AddPeerOp,
    AddScheduler,
    Answer,
    CancelOperator,
    CancelRemoveStore,
    GetClusterConfig,
    GetOperator,
    GetScheduleConfig,
    GetStoreStatus,
    ListOperators,
    ListSchedulers,
    OperatorStatus,
    PauseScheduler,
    PdError,
    PdErrorKind,
    PutClusterConfig,
    RemovePeerOp,
    RemoveScheduler,
    RemoveStore,
    RemoveTombstones,
    ReportRegion,
    ReportStore,
    ScatterRegion,
    ScatterRegionOp,
    ScatterResult,
    SendOrder,
    SetScheduleConfig,
    SetStoreLabels,
    SetStoreLimit,
    SetStoreWeight,
    SplitRegionOp,
    SplitRegions,
    Sync,
    SyncDone,
    TransferLeaderOp,
    TransferPeerOp,
    Why,
)
from tests.pd.helpers import Driver, cluster_of, heartbeat

ONE, TWO = RegionId(1), RegionId(5)


def settled(stores: int = 4, split_keys: tuple[bytes, ...] = (b"m",)) -> Driver:
    """A cluster whose stores and regions have reported. Region 1 is on stores 1, 2, 3, region 5 on 2, 3, 4."""
    driver = cluster_of(stores, split_keys)
    for store_id in range(1, stores + 1):
        driver.ask(ReportStore(StoreStats(StoreId(store_id), region_count=1)))
    for record in list(driver.core.regions):
        driver.ask(ReportRegion(heartbeat(record.region, approximate_size_bytes=20_000_000)))
    return driver


def refusal(driver: Driver, call: Any) -> str:
    result = driver.ask(call)
    assert isinstance(result, PdError), result
    return result.message


def added(driver: Driver, spec: Any) -> list[Any]:
    """The effects of the order, sync left out."""
    effects = driver.step(AddOperator(spec))
    if isinstance(effects[0], Sync):
        effects = driver.step(SyncDone(effects[0].sequence))
    return effects


# ---------------------------------------------------------------- settings


def test_settings_are_shown_changed_and_kept_over_a_power_cut() -> None:
    driver = settled()
    shown = driver.ask(GetScheduleConfig())
    assert shown["replication"] == {"max-replicas": 3, "location-labels": ""}
    assert shown["schedule"]["max-store-down-time"] == "30m"
    assert shown["schedule"]["store-limit"] == 15.0
    changes = (
        ("max-store-down-time", "10s"),
        ("schedule.store-limit", "600"),
        ("enable-joint-consensus", "false"),
        ("location-labels", "zone,host"),
        ("replication.max-replicas", 2),
        ("leader-schedule-limit", 8.0),
    )
    assert driver.ask(SetScheduleConfig(changes)) is None
    assert driver.ask(GetClusterConfig()) == 2
    driver = driver.restart(power_cut=True)
    shown = driver.ask(GetScheduleConfig())
    assert shown["replication"] == {"max-replicas": 2, "location-labels": "zone,host"}
    assert shown["schedule"]["max-store-down-time"] == "10s"
    assert shown["schedule"]["store-limit"] == 600.0
    assert shown["schedule"]["enable-joint-consensus"] is False
    assert shown["schedule"]["leader-schedule-limit"] == 8
    assert driver.ask(PutClusterConfig(3)) is None
    assert driver.ask(GetScheduleConfig())["replication"]["max-replicas"] == 3


BAD_SETTINGS = [
    ("max-store-downtime", "1m", "there is no setting max-store-downtime; did you mean max-store-down-time?"),
    ("qqq", 1, "there is no setting qqq; known are enable-"),
    ("max-store-down-time", "soon", "must be a duration"),
    ("max-store-down-time", 30, "must be a duration"),
    ("max-store-down-time", None, "must be a duration"),
    ("leader-schedule-limit", 2**70, "must be at most"),
    ("store-limit", float("inf"), "must be a number"),
    ("location-labels", [1], "must be names separated by commas"),
    ("leader-schedule-limit", "many", "must be a whole number"),
    ("leader-schedule-limit", 1.5, "must be a whole number"),
    ("leader-schedule-limit", True, "must be a whole number"),
    ("leader-schedule-limit", -1, "must not be negative"),
    ("low-space-ratio", "nan", "must be a number"),
    ("low-space-ratio", 1.5, "must be above 0 and at most 1"),
    ("enable-joint-consensus", "perhaps", "must be true or false"),
    ("location-labels", "zone,zone", "must be names separated by commas"),
    ("max-replicas", 0, "max-replicas = 0 must be 1 to"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD_SETTINGS)
def test_bad_settings_change_nothing(name: str, value: Any, words: str) -> None:
    driver = settled()
    before = driver.ask(GetScheduleConfig())
    assert words in refusal(driver, SetScheduleConfig((("region-schedule-limit", 1), (name, value))))
    assert driver.ask(GetScheduleConfig()) == before


def test_nothing_is_scheduled_before_there_are_regions() -> None:
    driver = Driver()
    for call in (GetScheduleConfig(), ListOperators(), Why(region_id=ONE), SplitRegions((b"k",))):
        result = driver.ask(call)
        assert isinstance(result, PdError)
        assert result.kind == PdErrorKind.NOT_BOOTSTRAPPED
    assert driver.core.next_deadline_ms() is None


# ---------------------------------------------------------------- stores


def test_limits_weights_and_labels_of_stores_are_kept() -> None:
    driver = settled()
    assert driver.ask(SetStoreLimit(StoreId(2), 30.0, "add-peer")) is None
    assert driver.ask(SetStoreWeight(StoreId(2), 2.0, 0.5)) is None
    meta = driver.ask(SetStoreLabels(StoreId(2), (("zone", "a"), ("host", "h2"))))
    assert meta.labels == (("zone", "a"), ("host", "h2"))
    driver.ask(SetStoreLabels(StoreId(2), (("Zone", ""),)))
    driver = driver.restart(power_cut=True)
    (status,) = driver.ask(GetStoreStatus(StoreId(2)))
    assert status.meta.labels == (("host", "h2"),)
    assert (status.add_peer_limit, status.remove_peer_limit) == (30.0, 15.0)
    assert (status.leader_weight, status.region_weight) == (2.0, 0.5)
    assert driver.ask(SetStoreLimit(None, 60.0)) is None
    assert {status.add_peer_limit for status in driver.ask(GetStoreStatus())} == {60.0}
    assert driver.ask(GetScheduleConfig())["schedule"]["store-limit"] == 60.0


def test_the_status_of_a_store_counts_what_it_holds() -> None:
    driver = settled()
    driver.now_ms = 3_000
    (status,) = driver.ask(GetStoreStatus(StoreId(2)))
    assert (status.state_name, status.silence_ms) == ("Up", 3_000)
    assert (status.leader_count, status.region_count, status.learner_count) == (1, 2, 0)
    assert status.region_size_bytes == 2 * 20 * 1024 * 1024
    assert (status.leader_score, status.region_score) == (1.0, 40.0)
    assert [status.meta.id for status in driver.ask(GetStoreStatus())] == [1, 2, 3, 4]


def test_removal_of_stores() -> None:
    driver = settled()
    assert driver.ask(RemoveStore(StoreId(4))).state == StoreState.OFFLINE
    assert driver.ask(RemoveStore(StoreId(4))).state == StoreState.OFFLINE, "asked twice"
    assert refusal(driver, RemoveStore(StoreId(1))) == (
        "store 1 cannot be removed: 2 stores would stay up, and max-replicas is 3; add a store first, or lower "
        "max-replicas"
    )
    assert refusal(driver, CancelRemoveStore(StoreId(1))) == "store 1 is not being removed"
    assert "not found" in refusal(driver, RemoveStore(StoreId(9)))
    assert driver.ask(CancelRemoveStore(StoreId(4))).state == StoreState.UP
    assert driver.ask(RemoveTombstones()) == ()
    assert driver.ask(ReportStore(StoreStats(StoreId(4)))).node_state.name == "SERVING"


def test_a_store_that_is_down_does_not_count_as_one_that_stays() -> None:
    driver = settled()
    driver.now_ms = 31 * 60_000
    for store_id in (1, 2, 3):
        driver.ask(ReportStore(StoreStats(StoreId(store_id))))
    assert "2 stores would stay up" in refusal(driver, RemoveStore(StoreId(1)))


# ---------------------------------------------------------------- orders by people


def test_an_order_leaves_with_its_answer() -> None:
    driver = settled()
    answer, sent = added(driver, TransferLeaderOp(ONE, StoreId(2)))
    assert isinstance(answer, Answer)
    assert (answer.result.desc, answer.result.brief) == ("admin-transfer-leader", "transfer leader: store 1 to 2")
    assert isinstance(sent, SendOrder)
    assert (sent.store_id, sent.order.region_id, sent.order.target.store_id) == (1, ONE, 1)
    assert [view.region_id for view in driver.ask(ListOperators())] == [ONE]
    assert driver.ask(GetOperator(ONE)).status == OperatorStatus.RUNNING
    assert driver.ask(CancelOperator(ONE)).status == OperatorStatus.CANCEL
    assert driver.ask(GetOperator(ONE)).reason == "a person cancelled it"
    (ended,) = driver.ask(ListOperators(ended=True))
    assert ended.status == OperatorStatus.CANCEL
    assert driver.ask(ListOperators(ended=True, since_ms=driver.wall_ms + 1)) == ()
    assert isinstance(driver.ask(CancelOperator(ONE)), PdError)


STEPS = [
    (AddPeerOp(ONE, StoreId(4)), ["add learner", "promote learner"]),
    (AddLearnerOp(ONE, StoreId(4)), ["add learner"]),
    (RemovePeerOp(ONE, StoreId(1)), ["transfer leader", "remove peer"]),
    (RemovePeerOp(ONE, StoreId(3)), ["remove peer"]),
    (TransferPeerOp(ONE, StoreId(3), StoreId(4)), ["add learner", "enter joint", "leave joint", "remove peer"]),
    (SplitRegionOp(ONE), ["split region"]),
    (SplitRegionOp(ONE, SplitPolicy.USEKEY, (b"c", b"b")), ["split region"]),
]


@pytest.mark.parametrize(("spec", "steps"), STEPS)
def test_steps_of_orders(spec: Any, steps: list[str]) -> None:
    view = settled().ask(AddOperator(spec))
    assert [text[: len(word)] for text, word in zip(view.steps, steps, strict=True)] == steps
    assert "admin" in view.kind


def test_a_split_order_carries_its_keys_in_order() -> None:
    effects = added(settled(), SplitRegionOp(ONE, SplitPolicy.USEKEY, (b"c", b"b")))
    assert effects[-1].order.step == SplitOrder(SplitPolicy.USEKEY, (b"b", b"c"))


REFUSED = [
    (AddPeerOp(RegionId(99), StoreId(4)), "region 99 is not known"),
    (AddPeerOp(ONE, StoreId(1)), "region 1: store 1 holds a replica already"),
    (AddPeerOp(ONE, StoreId(9)), "region 1: store 9 is not known"),
    (RemovePeerOp(ONE, StoreId(4)), "region 1: store 4 holds no replica of it"),
    (TransferLeaderOp(ONE, StoreId(4)), "region 1: store 4 holds no replica of it"),
    (TransferLeaderOp(ONE, StoreId(1)), "region 1: the region is so already"),
    (TransferPeerOp(ONE, StoreId(4), StoreId(1)), "region 1: store 4 holds no replica of it"),
    (SplitRegionOp(ONE, SplitPolicy.USEKEY), "keys go with the policy usekey"),
    (SplitRegionOp(ONE, SplitPolicy.SCAN, (b"b",)), "keys go with the policy usekey"),
    (SplitRegionOp(ONE, SplitPolicy.USEKEY, (b"z",)), "the key b'z' does not lie inside it"),
]


@pytest.mark.parametrize(("spec", "words"), REFUSED)
def test_orders_that_are_refused(spec: Any, words: str) -> None:
    assert words in refusal(settled(), AddOperator(spec))


def test_orders_need_stores_that_are_heard() -> None:
    driver = settled()
    driver.now_ms = 60_000
    for store_id in (1, 3):
        driver.ask(ReportStore(StoreStats(StoreId(store_id))))
    assert "store 4, which should get a replica, is not heard of" in refusal(
        driver, AddOperator(AddPeerOp(ONE, StoreId(4)))
    )
    assert "would leave 1 of 2 voters alive" in refusal(driver, AddOperator(RemovePeerOp(ONE, StoreId(3))))


def test_scattering_answers_at_once_and_names_what_it_does_not_know() -> None:
    driver = settled()
    assert driver.ask(ScatterRegion((ONE, TWO, RegionId(77)), "g")) == ScatterResult(66, (RegionId(77),))
    assert driver.ask(ScatterRegion(())) == ScatterResult(100, ())
    result = driver.ask(AddOperator(ScatterRegionOp(ONE)))
    assert isinstance(result, PdError) or result.desc == "scatter-region"


BAD_SPLITS = [((), "a split needs keys"), ((b"",), "none of them empty"), ((b"k" * 20_000,), "has at most")]


@pytest.mark.parametrize(("keys", "words"), BAD_SPLITS)
def test_split_keys_are_checked(keys: tuple[bytes, ...], words: str) -> None:
    assert words in refusal(settled(), SplitRegions(keys))


# ---------------------------------------------------------------- schedulers, reasons


def test_schedulers_by_call() -> None:
    driver = settled()
    assert driver.ask(AddScheduler("evict-leader-scheduler", StoreId(2))) is None
    assert driver.ask(PauseScheduler("balance-region-scheduler", 60)) is None
    views = {view.name: view for view in driver.ask(ListSchedulers())}
    assert views["evict-leader-scheduler"].store_ids == (2,)
    assert views["balance-region-scheduler"].status == "paused"
    assert views["balance-region-scheduler"].resume_at_ms == driver.wall_ms + 60_000
    assert driver.ask(RemoveScheduler("evict-leader-scheduler-2")) is None
    assert "there is no scheduler" in refusal(driver, RemoveScheduler("evict-leader-scheduler"))
    driver = driver.restart()
    assert [view.name for view in driver.ask(ListSchedulers())] == [
        "balance-leader-scheduler",
        "balance-region-scheduler",
    ]


def test_why() -> None:
    driver = settled()
    assert driver.ask(Why(region_id=ONE)) == ("Region 1 is as it should be: replicas on stores 1, 2, 3, store 1 leads.")
    assert driver.ask(Why(key=b"z")).startswith("Region 5 is as it should be")
    assert driver.ask(Why(store_id=StoreId(1))).startswith("Store 1 is up, with 1 replicas and 1 leaders.")
    added(driver, AddPeerOp(ONE, StoreId(4)))
    assert driver.ask(Why(region_id=ONE)).startswith(
        "Region 1 is being changed by admin-add-peer (add peer: store 4): step 1 of 2, add learner peer"
    )
    assert "1 more is on the way to it" in driver.ask(Why(store_id=StoreId(4)))
    driver.ask(RemoveStore(StoreId(4)))
    assert driver.ask(Why(store_id=StoreId(4))).startswith("Store 4 is being removed: 1 replicas are left on it")
    assert refusal(driver, Why()) == "ask why about one region, one store or one key"
    assert "not known" in refusal(driver, Why(region_id=RegionId(99)))


def test_why_a_region_waits_for_a_silent_store() -> None:
    driver = settled()
    driver.now_ms = 60_000
    for store_id in (1, 2, 4):
        driver.ask(ReportStore(StoreStats(StoreId(store_id))))
    record = driver.core.regions.by_id(ONE)
    assert record is not None
    driver.ask(ReportRegion(heartbeat(record.region, down_peers=[DownPeer(record.region.peers[2], 60)])))
    assert driver.ask(Why(region_id=ONE)) == (
        "Region 1 waits: its replica on store 3 is not heard; it is replaced once the store has been silent for 1800 s."
    )
    assert "it is disconnected: no heartbeat for 60 s" in driver.ask(Why(store_id=StoreId(3)))


def test_why_a_region_keeps_its_replica_on_a_dead_store_until_its_leader_tells() -> None:
    driver = settled()
    driver.now_ms = 1_801_000
    for store_id in (1, 2, 4):
        driver.ask(ReportStore(StoreStats(StoreId(store_id))))
    expected = (
        "Region 1 waits: store 3 is down, and its replica there is replaced as soon as the region's leader on store 1 "
        "reports it as down, which takes max-peer-down-duration."
    )
    assert driver.ask(Why(region_id=ONE)) == expected
    assert driver.ask(Why(store_id=StoreId(3))).endswith(expected)
