"""Why a store is not chosen: each reason by itself, and the first of several."""

from __future__ import annotations

import pytest

from flaredb.model.cluster import StoreState
from flaredb.model.ids import StoreId
from flaredb.pd.filters import (
    LEADER_SOURCE,
    LEADER_TARGET,
    REGION_SOURCE,
    REGION_TARGET,
    lasting_refusal,
    limit_refusal,
    refusal,
)
from flaredb.pd.store_limits import Direction, StoreLimits, cost
from tests.pd.rig import MIB, NOW_MS, Rig

GIB = 1024 * MIB
MINUTE_MS = 60_000

FULL = {"capacity_bytes": 100 * GIB, "available_bytes": 7 * GIB}
CASES = [
    # sentence, the store, may take a replica, give one, take a leader, give one
    ("a good store", {}, "", "", "", ""),
    ("removed", {"state": StoreState.TOMBSTONE}, *["it was removed (Tombstone)"] * 4),
    ("leaving", {"state": StoreState.OFFLINE}, "it is being removed", "", "it is being removed", ""),
    (
        "silent for long",
        {"heard_ms_ago": 31 * MINUTE_MS},
        "it is down: no heartbeat for 1860 s",
        "",
        "it is down",
        "down",
    ),
    (
        "silent",
        {"heard_ms_ago": 20_001},
        "it is disconnected: no heartbeat for 20 s",
        "",
        "disconnected",
        "disconnected",
    ),
    ("never heard", {"heard_ms_ago": None}, "not heard since PD started", "", "not heard", "not heard"),
    ("busy", {"is_busy": True}, "it says it is busy", "busy", "busy", ""),
    ("stopping", {"is_stopping": True}, "about to stop", "", "about to stop", ""),
    (
        "sends much",
        {"sending_snap_count": 65},
        "it has 65 snapshots on the way, max-snapshot-count is 64",
        "65",
        "",
        "",
    ),
    ("receives much", {"receiving_snap_count": 65}, "65 snapshots", "65 snapshots", "", ""),
    ("applies much", {"applying_snap_count": 65}, "65 snapshots", "65 snapshots", "", ""),
    ("just enough snapshots", {"applying_snap_count": 64}, "", "", "", ""),
    ("full", FULL, "its disk is 93 % full, low-space-ratio is 0.8", "", "", ""),
    ("much room on a small store", {**FULL, "available_bytes": 9 * GIB}, "", "", "", ""),
    ("capacity unknown", {"capacity_bytes": 0, "available_bytes": 0}, "", "", "", ""),
    ("rejects leaders", {"labels": {"Reject-Leader": "True"}}, "", "", "its label reject-leader", ""),
    ("columnar", {"labels": {"engine": "tiflash"}}, "its label engine", "", "its label engine", ""),
]


@pytest.mark.parametrize(("sentence", "fields", "take", "give", "take_leader", "give_leader"), CASES)
def test_reasons(sentence, fields, take, give, take_leader, give_leader) -> None:
    rig = Rig()
    record = rig.store(4, **fields)
    for filters, expected in (
        (REGION_TARGET, take),
        (REGION_SOURCE, give),
        (LEADER_TARGET, take_leader),
        (LEADER_SOURCE, give_leader),
    ):
        reason = refusal(filters, rig.view, record)
        assert bool(reason) == bool(expected), (sentence, reason)
        assert expected in reason


def test_a_full_store_of_many_regions_has_no_exemption() -> None:
    rig = Rig()
    record = rig.store(4, capacity_bytes=1_000 * GIB, available_bytes=90 * GIB)
    assert not refusal(REGION_TARGET, rig.view, record)
    for region_id in range(1, 101):
        rig.region(region_id, [4, 1, 2])
    assert "its disk is 91 % full" in refusal(REGION_TARGET, rig.view, record)


def test_a_store_of_many_laggards_gets_no_more() -> None:
    rig = Rig(max_pending_peer_count=2)
    record = rig.store(4)
    for region_id in range(1, 4):
        rig.region(region_id, [1, 2, 4], pending=[4])
    assert refusal(REGION_TARGET, rig.view, record) == "3 of its replicas lag, max-pending-peer-count is 2"


def test_a_store_that_leaders_are_evicted_from_gets_none() -> None:
    rig = Rig()
    rig.scheduling.schedulers.add("evict-leader-scheduler", StoreId(4))
    assert "evict-leader-scheduler" in refusal(LEADER_TARGET, rig.view, rig.stores.get(StoreId(4)))


def test_a_store_that_holds_a_replica_gets_no_second_one() -> None:
    rig = Rig()
    record = rig.region(1, [1, 2, 3])
    assert lasting_refusal(rig.view, record, rig.stores.get(StoreId(3))) == "it holds a replica already"
    assert not lasting_refusal(rig.view, record, rig.stores.get(StoreId(4)))


ISOLATION = [
    ("a zone of its own, as before", {1: "a", 2: "b", 3: "c", 4: "d"}, 3, ""),
    ("the same zone, as before", {1: "a", 2: "b", 3: "c", 4: "c"}, 3, ""),
    ("a zone that is taken", {1: "a", 2: "b", 3: "c", 4: "a"}, 3, "the replicas would be less far apart by zone"),
    ("a better zone", {1: "a", 2: "a", 3: "a", 4: "b"}, 3, ""),
]


@pytest.mark.parametrize(("sentence", "zones", "replaced", "expected"), ISOLATION)
def test_isolation_must_not_become_worse(sentence, zones, replaced, expected) -> None:
    rig = Rig(location_labels=("zone",))
    for store_id, zone in zones.items():
        rig.store(store_id, labels={"zone": zone})
    record = rig.region(1, [1, 2, 3])
    assert lasting_refusal(rig.view, record, rig.stores.get(StoreId(4)), StoreId(replaced)) == expected


def test_the_store_limit_lets_peers_pass_at_its_rate() -> None:
    rig = Rig(store_limit=15.0)
    limits, one = StoreLimits(rig.settings), StoreId(1)
    assert limits.allows(one, Direction.ADD, 1.0, NOW_MS)
    limits.take(one, Direction.ADD, 1.0, NOW_MS)
    assert not limits.allows(one, Direction.ADD, 1.0, NOW_MS + 3_990)
    assert limits.allows(one, Direction.ADD, 1.0, NOW_MS + 4_001)
    assert limits.allows(one, Direction.REMOVE, 1.0, NOW_MS), "the directions do not share"
    assert limits.allows(StoreId(2), Direction.ADD, 1.0, NOW_MS), "nor do the stores"
    limits.take(one, Direction.ADD, 3.0, NOW_MS)
    assert not limits.allows(one, Direction.ADD, 1.0, NOW_MS + 12_000), "a person's order goes below nothing"
    rig.settings.set_limits(one, 0.0, None)
    assert not limits.allows(one, Direction.ADD, 1.0, NOW_MS + 10**9), "a limit of 0 lets nothing pass"


def test_small_regions_cost_less() -> None:
    assert [cost(size_mib) for size_mib in (1, 2, 20, 21, 1_000)] == [0.0, 0.2, 0.2, 1.0, 1.0]


def test_a_used_up_store_limit_is_a_reason() -> None:
    rig = Rig(store_limit=6.0)
    record = rig.stores.get(StoreId(1))
    rig.view.limits.take(StoreId(1), Direction.ADD, 1.0, NOW_MS)
    assert limit_refusal(rig.view, record, Direction.ADD, 30) == (
        "its store limit (add-peer, 6 a minute) is used up for now"
    )
    assert not limit_refusal(rig.view, record, Direction.ADD, 1)
