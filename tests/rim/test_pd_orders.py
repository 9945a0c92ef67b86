"""PD's HTTP calls by which people look and give orders: what each asks of the core, and the shape of its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import SplitPolicy
from flaredb.pd import messages as pd_messages
from flaredb.pd.messages import (
    AddLearnerOp,
    AddOperator,
    AddPeerOp,
    AddScheduler,
    CancelOperator,
    CancelRemoveStore,
    ListOperators,
    ListSchedulers,
    OperatorStatus,
    PauseScheduler,
    PdError,
    PdErrorKind,
    RemovePeerOp,
    RemoveScheduler,
    RemoveStore,
    RemoveTombstones,
    ScatterRegion,
    ScatterResult,
    SetScheduleConfig,
    SetStoreLabels,
    SetStoreLimit,
    SetStoreWeight,
    SplitRegionOp,
    SplitRegions,
    TransferLeaderOp,
    TransferPeerOp,
    Why,
)
from tests.pd.helpers import WALL_MS, region
from tests.rim.order_rig import OrderRig
from tests.rim.order_rig import rig as rig
from tests.rim.scheduling_fake import operator, scheduler

ORDERS: list[tuple[str, str, str, Any, list[Any], Any]] = [
    ("a store is drained", "DELETE", "/store/2", None, [RemoveStore(StoreId(2))], "The store is set as Offline."),
    (
        "a drain is called off",
        "POST",
        "/store/2/state?state=Up",
        None,
        [CancelRemoveStore(StoreId(2))],
        "The store's state is updated.",
    ),
    (
        "a drain by state",
        "POST",
        "/store/2/state?state=offline",
        None,
        [RemoveStore(StoreId(2))],
        "The store's state is updated.",
    ),
    (
        "labels",
        "POST",
        "/store/1/label",
        {"zone": "east"},
        [SetStoreLabels(StoreId(1), (("zone", "east"),))],
        "The store's label is updated.",
    ),
    (
        "labels and no others",
        "POST",
        "/store/1/label?force=true",
        {"zone": "east"},
        [SetStoreLabels(StoreId(1), (("zone", "east"),), replace_all=True)],
        "The store's label is updated.",
    ),
    (
        "a label less",
        "DELETE",
        "/store/1/label",
        "zone",
        [SetStoreLabels(StoreId(1), (("zone", ""),))],
        "The label zone is deleted for store 1.",
    ),
    (
        "weights",
        "POST",
        "/store/1/weight",
        {"leader": 2, "region": 0.5},
        [SetStoreWeight(StoreId(1), 2.0, 0.5)],
        "The store's weight is updated.",
    ),
    (
        "a limit",
        "POST",
        "/store/1/limit",
        {"rate": 30, "type": "add-peer"},
        [SetStoreLimit(StoreId(1), 30.0, "add-peer")],
        "The store's limit is updated.",
    ),
    (
        "limits of all",
        "POST",
        "/stores/limit",
        {"rate": 30},
        [SetStoreLimit(None, 30.0)],
        "Set store limit successfully.",
    ),
    (
        "tombstones are forgotten",
        "DELETE",
        "/stores/remove-tombstone",
        None,
        [RemoveTombstones()],
        "Remove tombstone successfully.",
    ),
    (
        "an operator is stopped",
        "DELETE",
        "/operators/2",
        None,
        [CancelOperator(RegionId(2))],
        "The pending operator is canceled.",
    ),
    (
        "a scheduler is added",
        "POST",
        "/schedulers",
        {"name": "evict-leader-scheduler", "store_id": 2},
        [AddScheduler("evict-leader-scheduler", StoreId(2))],
        "The scheduler is created.",
    ),
    (
        "a scheduler for one more store",
        "POST",
        "/scheduler-config/evict-leader-scheduler/config",
        {"name": "evict-leader-scheduler", "store_id": 3},
        [AddScheduler("evict-leader-scheduler", StoreId(3))],
        "The scheduler has been applied to the store.",
    ),
    (
        "a scheduler for one store less",
        "DELETE",
        "/scheduler-config/evict-leader-scheduler/delete/3",
        None,
        [RemoveScheduler("evict-leader-scheduler-3")],
        "The store is removed from the scheduler.",
    ),
    (
        "a scheduler is removed",
        "DELETE",
        "/schedulers/balance-region-scheduler",
        None,
        [RemoveScheduler("balance-region-scheduler")],
        "The scheduler is removed.",
    ),
    (
        "all schedulers rest",
        "POST",
        "/schedulers/all",
        {"delay": 30},
        [PauseScheduler("all", 30)],
        "Pause or resume the scheduler successfully.",
    ),
    (
        "settings",
        "POST",
        "/config",
        {"max-replicas": 5, "schedule.store-limit-mode": "x"},
        [SetScheduleConfig((("max-replicas", 5), ("schedule.store-limit-mode", "x")))],
        "The config is updated.",
    ),
    (
        "borders are made",
        "POST",
        "/regions/split",
        {"split_keys": ["61", "FF"], "retry_limit": 3},
        [SplitRegions((b"a", b"\xff"), 10_000)],
        {"processed-percentage": 100, "regions-id": [7, 8]},
    ),
    (
        "a range is scattered",
        "POST",
        "/regions/scatter",
        {"start_key": "6D", "end_key": "", "group": "g"},
        [ScatterRegion((RegionId(5),), "g")],
        {"processed-percentage": 100},
    ),
    (
        "regions are scattered",
        "POST",
        "/regions/scatter",
        {"regions_id": [2, 5]},
        [ScatterRegion((RegionId(2), RegionId(5)))],
        {"processed-percentage": 100},
    ),
]


@pytest.mark.parametrize(
    ("case", "method", "path", "body", "asked", "answer"), ORDERS, ids=[row[0].replace(" ", "-") for row in ORDERS]
)
async def test_orders(
    rig: OrderRig, case: str, method: str, path: str, body: Any, asked: list[Any], answer: Any
) -> None:
    body = json.dumps(body) if isinstance(body, str) else body
    assert await rig.ask(method, path, body) == (200, answer)
    assert rig.fake.asked == asked


OPERATORS: list[tuple[dict[str, Any], Any]] = [
    ({"name": "add-peer", "region_id": 2, "store_id": 4}, AddPeerOp(RegionId(2), StoreId(4))),
    ({"name": "add-learner", "region_id": 2.0, "store_id": 4}, AddLearnerOp(RegionId(2), StoreId(4))),
    ({"name": "remove-peer", "region_id": 2, "store_id": 4}, RemovePeerOp(RegionId(2), StoreId(4))),
    ({"name": "transfer-leader", "region_id": 2, "to_store_id": 4}, TransferLeaderOp(RegionId(2), StoreId(4))),
    (
        {"name": "transfer-peer", "region_id": 2, "from_store_id": 1, "to_store_id": 4},
        TransferPeerOp(RegionId(2), StoreId(1), StoreId(4)),
    ),
    ({"name": "split-region", "region_id": 2, "policy": "scan"}, SplitRegionOp(RegionId(2))),
    (
        {"name": "split-region", "region_id": 2, "policy": "APPROXIMATE", "keys": ["61"]},
        SplitRegionOp(RegionId(2), SplitPolicy.APPROXIMATE),
    ),
    (
        {"name": "split-region", "region_id": 2, "policy": "usekey", "keys": ["61", "62"]},
        SplitRegionOp(RegionId(2), SplitPolicy.USEKEY, (b"a", b"b")),
    ),
]


async def test_operators_are_ordered(rig: OrderRig) -> None:
    for body, spec in OPERATORS:
        assert await rig.ask("POST", "/operators", body) == (200, "The operator is created."), body
        assert rig.fake.asked.pop() == AddOperator(spec)


async def test_scattering_needs_no_operator(rig: OrderRig) -> None:
    body = {"name": "scatter-region", "region_id": 2, "group": "g"}
    assert await rig.ask("POST", "/operators", body) == (200, "The operator is created.")
    assert rig.fake.asked == [ScatterRegion((RegionId(2),), "g")]
    rig.fake.answers[ScatterRegion] = ScatterResult(0, (RegionId(2),))
    status, text = await rig.ask("POST", "/operators", body)
    assert (status, text.startswith("region 2 cannot be scattered")) == (400, True)


REFUSALS: list[tuple[str, str, str, Any, int, str]] = [
    ("no JSON", "POST", "/operators", "{", 400, "the body is not JSON"),
    ("no object", "POST", "/operators", [1], 400, "not an object"),
    ("no name", "POST", "/operators", {}, 400, '"name" is missing'),
    ("an unknown operator", "POST", "/operators", {"name": "add"}, 400, "known are add-peer"),
    ("a merge", "POST", "/operators", {"name": "merge-region"}, 400, "regions do not merge yet"),
    ("no region", "POST", "/operators", {"name": "add-peer"}, 400, '"region_id" is missing: write a whole number'),
    ("a bad id", "POST", "/operators", {"name": "add-peer", "region_id": 1.5}, 400, "1.5 is no id"),
    ("an infinite id", "POST", "/operators", '{"name": "add-peer", "region_id": Infinity}', 400, "is no id"),
    (
        "a bad policy",
        "POST",
        "/operators",
        {"name": "split-region", "region_id": 2, "policy": "half"},
        400,
        "write scan, approximate or usekey",
    ),
    (
        "no keys to split at",
        "POST",
        "/operators",
        {"name": "split-region", "region_id": 2, "policy": "usekey"},
        400,
        'needs "keys"',
    ),
    ("an unknown kind", "GET", "/operators?kind=x", None, 400, "write admin, leader, region, waiting"),
    ("a store that is none", "DELETE", "/store/9", None, 404, "store 9 does not exist"),
    ("a store by force", "DELETE", "/store/2?force=true", None, 400, "force is not offered"),
    ("a state that is none", "POST", "/store/2/state?state=Down", None, 400, "state is Up or Offline"),
    ("a label that is no text", "POST", "/store/2/label", {"zone": 1}, 400, "labels are texts"),
    ("a negative weight", "POST", "/store/2/weight", {"leader": -1, "region": 1}, 400, '"leader" must be a number'),
    ("no rate", "POST", "/store/2/limit", {}, 400, '"rate" must be a number'),
    ("a rate of nothing", "POST", "/store/2/limit", {"rate": 0}, 400, "pause the schedulers"),
    ("a limit of what", "POST", "/stores/limit", {"rate": 1, "type": "x"}, 400, "add-peer or remove-peer"),
    ("stores in what state", "GET", "/stores/check?state=x", None, 400, "state is one of up"),
    ("nothing to set", "POST", "/config", {}, 400, "name what to change"),
    ("no keys", "POST", "/regions/split", {}, 400, '"split_keys" names no key'),
    ("keys that are none", "POST", "/regions/split", {"split_keys": ["x"]}, 400, "pairs of hexadecimal digits"),
    ("a check of what", "GET", "/regions/check/x", None, 400, "write one of miss-peer"),
    ("a range the wrong way round", "GET", "/regions/key?key=b&end_key=a", None, 400, "must lie behind"),
    ("a bad limit", "GET", "/regions/size?limit=0", None, 400, "from 1 to 10240"),
    ("regions of no store", "GET", "/regions/store/9", None, 404, "store 9 does not exist"),
    ("regions of what kind", "GET", "/regions/store/1?type=x", None, 400, "all, leader, learner, pending"),
    ("a scheduler that is none", "GET", "/schedulers/diagnostic/x", None, 404, "x was not added"),
    ("a method that is none", "PUT", "/store/2", None, 405, "use DELETE, GET"),
    ("a page that is none", "GET", "/hotspot/stores", None, 404, "here are: "),
    ("a huge body", "POST", "/config", '"' + "x" * 1_100_000 + '"', 413, "smaller parts"),
]


@pytest.mark.parametrize(
    ("case", "method", "path", "body", "status", "words"), REFUSALS, ids=[row[0].replace(" ", "-") for row in REFUSALS]
)
async def test_refusals_say_what_to_do(
    rig: OrderRig, case: str, method: str, path: str, body: Any, status: int, words: str
) -> None:
    got, text = await rig.ask(method, path, body)
    assert (got, words in text, "\n" in text) == (status, True, False), text
    assert [asked for asked in rig.fake.asked if asked != ListSchedulers()] == []


async def test_the_core_s_refusals_keep_their_words(rig: OrderRig) -> None:
    for kind, status in {
        PdErrorKind.INVALID_VALUE: 400,
        PdErrorKind.UNKNOWN: 400,
        PdErrorKind.REGION_NOT_FOUND: 404,
        PdErrorKind.STORE_TOMBSTONE: 410,
        PdErrorKind.NOT_BOOTSTRAPPED: 503,
    }.items():
        rig.fake.answers[RemoveStore] = PdError(kind, "three stores are needed, two would stay")
        assert await rig.ask("DELETE", "/store/2") == (status, "three stores are needed, two would stay")


async def test_operators_are_shown(rig: OrderRig) -> None:
    done = operator(
        3, kind="admin,leader", status=OperatorStatus.TIMEOUT, reason="too slow", ended_at_ms=WALL_MS + 9_010
    )
    rig.fake.answers[ListOperators] = (operator(2), done)
    line = (
        "balance-region {mv peer: store [1] to [4]} (kind:region, region:2(5, 3), "
        "createAt:2023-11-14 22:13:20.000 +0000 UTC, startAt:2023-11-14 22:13:20.010 +0000 UTC, currentStep:1, "
        "size:32, steps:[0:{add learner peer 900 on store 4}, "
        "1:{use joint consensus, promote learner peer 900 on store 4 to voter}, 2:{remove peer 201 on store 1}], "
        "timeout:[600s, 600s, 600s])"
    )
    assert (await rig.get("/operators"))[0] == line
    assert await rig.get("/operators?kind=region") == [line]
    assert len(await rig.get("/operators?kind=leader&kind=region")) == 2
    assert await rig.get("/operators?kind=waiting") == []
    shown = (await rig.get("/operators?object=true"))[1]
    assert (shown["region_id"], shown["status"], shown["reason"]) == (3, "TIMEOUT", "too slow")
    assert await rig.get("/operators/2") == f"status: RUNNING, operator: {line}"
    rig.fake.answers[pd_messages.GetOperator] = done
    assert (await rig.get("/operators/3")).endswith("timeout:[600s, 600s, 600s]), reason: too slow")
    (_, record) = await rig.get("/operators/records?from=1700000000")
    assert record.endswith("(finishAt:2023-11-14 22:13:29.010 +0000 UTC, duration:9s, TIMEOUT: too slow)")
    assert rig.fake.asked[-1] == ListOperators(ended=True, since_ms=WALL_MS)


async def test_schedulers_are_shown(rig: OrderRig) -> None:
    rig.fake.answers[ListSchedulers] = (
        scheduler("balance-leader-scheduler"),
        scheduler("evict-leader-scheduler", store_ids=(1, 4), paused_at_ms=WALL_MS, resume_at_ms=WALL_MS + 30_000),
    )
    assert await rig.get("/schedulers") == ["balance-leader-scheduler", "evict-leader-scheduler"]
    assert await rig.get("/schedulers?status=paused") == ["evict-leader-scheduler"]
    assert await rig.get("/schedulers?status=disabled") == []
    (paused,) = await rig.get("/schedulers?status=paused&timestamp=true")
    assert (paused["paused_at"], paused["resume_at"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:13:50Z")
    diagnosis = await rig.get("/schedulers/diagnostic/balance-leader-scheduler")
    assert (diagnosis["status"], diagnosis["summary"]) == ("pending", "all stores are within 5% of each other")
    stores = await rig.get("/scheduler-config/evict-leader-scheduler/list")
    assert list(stores["store-id-ranges"]) == ["1", "4"]


async def test_settings_are_shown_as_pd_writes_them(rig: OrderRig) -> None:
    schedule = {"region-schedule-limit": 2048, "enable-joint-consensus": "true", "max-store-down-time": "30m"}
    replication = {"max-replicas": 3, "location-labels": ""}
    assert await rig.get("/config") == {"schedule": schedule, "replication": replication}
    assert await rig.get("/config/schedule") == schedule
    assert await rig.get("/config/replicate") == replication
    assert await rig.get("/config/cluster-version") == "6.5.0"


async def test_stores_are_shown(rig: OrderRig) -> None:
    shown = await rig.get("/store/1")
    assert shown["status"]["capacity"] == "100GiB"
    assert (shown["status"]["leader_count"], shown["status"]["region_size"]) == (3, 288)
    assert shown["status"]["uptime"] == "1h2m3s"
    assert "state" not in shown["store"]
    rig.fake.set_state(2, StoreState.TOMBSTONE)
    assert [item["store"]["id"] for item in (await rig.get("/stores"))["stores"]] == [1]
    assert (await rig.get("/stores?state=2"))["stores"][0]["store"]["state"] == 2
    assert (await rig.get("/stores/check?state=Tombstone"))["count"] == 1
    assert await rig.get("/stores/limit") == {"1": {"add-peer": 15, "remove-peer": 15}}
    assert await rig.get("/stores/limit?type=add-peer&include_tombstone=true") == {
        "1": {"add-peer": 15},
        "2": {"add-peer": 15},
    }


async def test_regions_are_found(rig: OrderRig) -> None:
    async def ids(path: str) -> list[int]:
        answer = await rig.get(path)
        assert answer["count"] == len(answer["regions"])
        return [item["id"] for item in answer["regions"]]

    assert await ids("/regions/key") == [2, 5]
    assert await ids("/regions/key?key=%6D&limit=5") == [5]
    assert await ids("/regions/key?key=%FF%00") == [5]
    assert await ids("/regions/key?key=&end_key=a") == [2]
    assert await ids("/regions/store/2") == [5]
    assert await ids("/regions/store/2?type=leader") == []
    assert await ids("/regions/sibling/2") == [5]
    assert await ids("/regions/sibling/5") == [2]
    assert await ids("/regions/check/miss-peer") == [2, 5]
    assert await ids("/regions/check/extra-peer") == []
    assert await ids("/regions/size?limit=1") == [2]
    assert await rig.get("/regions/range-holes") == []
    assert await rig.get("/regions/count") == {"count": 2}


async def test_many_regions_are_written_in_slices(rig: OrderRig) -> None:
    count = 600
    for number in range(count):
        start, end = b"m%05d" % number, b"m%05d" % (number + 1)
        rig.pd.node.loop.core.regions.learn(region(1_000 + number, start, end, version=9))
    answer = await rig.get("/regions")
    ids = [item["id"] for item in answer["regions"]]
    assert (answer["count"], ids[-count:]) == (len(ids), list(range(1_000, 1_000 + count)))


async def test_holes_are_shown(rig: OrderRig) -> None:
    await rig.pd.report(region(5, b"p", b"q", version=3, stores=(1, 2)))
    assert await rig.get("/regions/range-holes") == [["6D", "70"], ["71", ""]]


async def test_why(rig: OrderRig) -> None:
    sentence = "it is well: three replicas, all of them caught up"
    assert await rig.get("/why/region/2") == {"region_id": 2, "why": sentence}
    assert await rig.get("/why/store/1") == {"store_id": 1, "why": sentence}
    assert await rig.get("/why/key/x%2F%FF") == {"region_id": 5, "why": sentence}
    assert rig.fake.asked == [Why(region_id=RegionId(2)), Why(store_id=StoreId(1)), Why(key=b"x/\xff")]
