"""Balance: what is moved, what is left alone, and that moves come to an end."""

from __future__ import annotations

import pytest

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.pd.messages import PdError
from flaredb.pd.schedulers.balance_leader import BalanceLeader
from flaredb.pd.schedulers.balance_region import BalanceRegion
from flaredb.pd.schedulers.evict_leader import EvictLeader
from flaredb.pd.schedulers.registry import Schedulers
from flaredb.pd.store_limits import Direction
from tests.pd.helpers import WALL_MS
from tests.pd.rig import NOW_MS, Rig


def leaders(rig: Rig, counts: dict[int, int]) -> None:
    """Regions on all stores named, of which each store leads so many."""
    number = 0
    for store_id, count in counts.items():
        for _ in range(count):
            number += 1
            others = [other for other in counts if other != store_id]
            rig.region(number, [store_id, *others], size_mib=30)


def brief(outcome) -> str:
    return outcome.operators[0].brief if outcome.operators else ""


LEADERS = [
    ("even", {1: 5, 2: 5, 3: 5}, {}, ""),
    ("a difference that a move would only turn round", {1: 5, 2: 4, 3: 4}, {}, ""),
    ("two more than another", {1: 6, 2: 5, 3: 4}, {}, "transfer leader: store 1 to 3"),
    ("a store without any", {1: 2, 2: 2, 3: 0}, {}, "to 3"),
    ("weights count", {1: 6, 2: 6, 3: 6}, {3: {"weight": 3.0}}, "to 3"),
    ("but not to a store that stops", {1: 4, 2: 4, 3: 0}, {3: {"is_stopping": True}}, ""),
    ("nor to one that leaves", {1: 4, 2: 4, 3: 0}, {3: {"state": StoreState.OFFLINE}}, ""),
]


@pytest.mark.parametrize(("sentence", "counts", "stores", "expected"), LEADERS)
def test_balance_leader(sentence, counts, stores, expected) -> None:
    rig = Rig((1, 2, 3))
    for store_id, fields in stores.items():
        weight = fields.get("weight")
        if weight:
            rig.settings.set_weights(StoreId(store_id), weight, 1.0)
        else:
            rig.store(store_id, **fields)
    leaders(rig, counts)
    outcome = BalanceLeader().schedule(rig.view)
    assert expected in brief(outcome), sentence
    assert bool(outcome.operators) == bool(expected)
    assert bool(outcome.summary) == (not outcome.operators)


def test_leaders_on_the_way_count_and_the_limit_holds() -> None:
    rig = Rig((1, 2, 3), leader_schedule_limit=2)
    leaders(rig, {1: 12, 2: 6, 3: 0})
    for _ in range(2):
        outcome = BalanceLeader().schedule(rig.view)
        assert rig.controller.add(outcome.operators[0]) == ""
    assert BalanceLeader().schedule(rig.view).summary == "leader-schedule-limit (2) is reached"


def test_a_region_that_is_not_well_keeps_its_leader() -> None:
    rig = Rig((1, 2, 3))
    for number in range(1, 9):
        rig.region(number, [1, 2, 3], pending=[2])
    assert not BalanceLeader().schedule(rig.view).operators


def test_leaders_are_evicted_where_a_person_wants_none() -> None:
    rig = Rig((1, 2, 3))
    leaders(rig, {1: 3, 2: 1, 3: 2})
    outcome = EvictLeader({StoreId(1)}).schedule(rig.view)
    assert outcome.operators
    assert {operator.brief.split(" to ")[0] for operator in outcome.operators} == {"transfer leader: store 1"}
    rig.store(2, is_busy=True)
    rig.store(3, is_busy=True)
    outcome = EvictLeader({StoreId(1)}).schedule(rig.view)
    assert not outcome.operators
    assert outcome.summary.startswith("no other store can lead region")


SIZES = [
    ("even", {1: 4, 2: 4, 3: 4, 4: 4}, {}, ""),
    ("an empty store", {1: 4, 2: 4, 3: 4, 4: 0}, {}, "to 4"),
    ("less than one move mends", {1: 4, 2: 4, 3: 4, 4: 3}, {}, ""),
    ("an empty store that is full of other things", {1: 4, 2: 4, 3: 4, 4: 0}, {"full": True}, ""),
    ("an empty store with little weight", {1: 4, 2: 4, 3: 4, 4: 2}, {"weight": 0.4}, ""),
    ("a tolerance that a person set", {1: 4, 2: 4, 3: 4, 4: 2}, {"tolerant_size_ratio": 5.0}, ""),
]


@pytest.mark.parametrize(("sentence", "counts", "options", "expected"), SIZES)
def test_balance_region(sentence, counts, options, expected) -> None:
    tolerant = {name: value for name, value in options.items() if name == "tolerant_size_ratio"}
    rig = Rig((1, 2, 3, 4), max_replicas=1, **tolerant)
    if options.get("full"):
        rig.store(4, capacity_bytes=100, available_bytes=1)
    if options.get("weight"):
        rig.settings.set_weights(StoreId(4), 1.0, options["weight"])
    number = 0
    for store_id, count in counts.items():
        for _ in range(count):
            number += 1
            rig.region(number, [store_id])
    outcome = BalanceRegion().schedule(rig.view)
    assert expected in brief(outcome), sentence
    assert bool(outcome.operators) == bool(expected)


def test_balance_region_waits_for_the_store_limit_and_says_so() -> None:
    rig = Rig((1, 2, 3, 4), store_limit=2.0)
    for number in range(1, 7):
        rig.region(number, [1, 2, 3])
    rig.view.limits.take(StoreId(4), Direction.ADD, 1.0, NOW_MS)
    outcome = BalanceRegion().schedule(rig.view)
    assert not outcome.operators
    assert outcome.summary == (
        "store 4 could take a replica, but its store limit (add-peer, 2 a minute) is used up for now"
    )


def test_a_region_with_a_missing_replica_is_not_moved() -> None:
    rig = Rig((1, 2, 3, 4))
    for number in range(1, 7):
        rig.region(number, [1, 2])
    assert not BalanceRegion().schedule(rig.view).operators


# ---------------------------------------------------------------- people


def names(schedulers: Schedulers) -> list[tuple[str, tuple[int, ...], str]]:
    return [(view.name, view.store_ids, view.status) for view in schedulers.views(WALL_MS + NOW_MS)]


def test_schedulers_are_added_removed_and_remembered() -> None:
    rig = Rig()
    schedulers = rig.scheduling.schedulers
    assert names(schedulers) == [
        ("balance-leader-scheduler", (), "normal"),
        ("balance-region-scheduler", (), "normal"),
    ]
    schedulers.remove("balance-region-scheduler")
    schedulers.add("evict-leader-scheduler", StoreId(3))
    schedulers.add("evict-leader-scheduler", StoreId(1))
    schedulers.remove("evict-leader-scheduler-3")
    expected = [("balance-leader-scheduler", (), "normal"), ("evict-leader-scheduler", (1,), "normal")]
    assert names(schedulers) == expected
    assert names(Schedulers(rig.view)) == expected
    schedulers.remove("evict-leader-scheduler-1")
    schedulers.remove("balance-leader-scheduler")
    assert names(Schedulers(rig.view)) == []


REFUSALS = [
    ("unknown", lambda schedulers: schedulers.add("balance-leaders", None), "did you mean balance-leader-scheduler?"),
    ("twice", lambda schedulers: schedulers.add("balance-leader-scheduler", None), "is there already"),
    ("without a store", lambda schedulers: schedulers.add("evict-leader-scheduler", None), "needs a store"),
    ("unknown store", lambda schedulers: schedulers.add("evict-leader-scheduler", StoreId(9)), "store 9 is not known"),
    ("not there", lambda schedulers: schedulers.remove("evict-leader-scheduler"), "there is no scheduler"),
    ("a strange pause", lambda schedulers: schedulers.pause("all", -1, 0), "a pause is 0 to"),
]


@pytest.mark.parametrize(("sentence", "act", "words"), REFUSALS)
def test_refusals(sentence, act, words) -> None:
    with pytest.raises(PdError, match=words):
        act(Rig().scheduling.schedulers)


def test_a_pause_ends_by_itself_or_by_a_person() -> None:
    rig = Rig((1, 2, 3))
    leaders(rig, {1: 9, 2: 0, 3: 0})
    schedulers = rig.scheduling.schedulers
    wall_ms = WALL_MS + NOW_MS
    schedulers.pause("balance-leader-scheduler", 10, wall_ms)
    assert ("balance-leader-scheduler", (), "paused") in names(schedulers)
    rig.at(NOW_MS + 9_000)
    schedulers.run(wall_ms + 9_000)
    assert not len(rig.controller)
    rig.at(NOW_MS + 15_000)
    schedulers.run(wall_ms + 15_000)
    assert len(rig.controller)


def test_idle_schedulers_look_ever_more_rarely_and_wake_when_something_ends() -> None:
    rig = Rig((1, 2, 3))
    rig.region(1, [1, 2, 3])
    schedulers = rig.scheduling.schedulers
    moment_ms, pauses = NOW_MS, []
    for _ in range(9):
        rig.at(moment_ms)
        schedulers.run(WALL_MS + moment_ms)
        due_ms = schedulers.next_due_ms
        assert due_ms is not None
        pauses.append(due_ms - moment_ms)
        moment_ms = due_ms
    assert pauses == [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]
    schedulers.wake()
    assert schedulers.next_due_ms is not None
    assert schedulers.next_due_ms - rig.view.now_ms == 100
    assert rig.regions.by_id(RegionId(1)) is not None
