"""What is wrong with a region, and what is done about it: tables of one region each."""

from __future__ import annotations

from typing import Any

import pytest

from flaredb.model.cluster import StoreState
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.region import PeerRole
from flaredb.pd.checkers import check_region
from flaredb.pd.store_limits import Direction
from tests.pd.rig import NOW_MS, L, Rig, V

IN, OUT = PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER
THREE = {1: V, 2: V, 3: V}
DOWN = {"heard_ms_ago": 31 * 60_000}
SILENT = {"heard_ms_ago": 60_000}
GONE = {"state": StoreState.OFFLINE}
SMALL = {3: {"state": StoreState.UP}, 4: GONE}

CASES: list[tuple[str, dict[int, PeerRole], dict[str, Any], dict[int, dict[str, Any]], str, str]] = [
    # sentence, replicas, what their leader says, stores, operator, reason
    ("all is well", THREE, {}, {}, "", ""),
    ("a dead store", THREE, {"down": [3]}, {3: DOWN}, "replace-down-replica: move peer: store 3 to 4", "is down"),
    ("PD does not hear it, its leader does", THREE, {}, {3: DOWN}, "", ""),
    ("its leader does not hear it, PD does", THREE, {"down": [3]}, {}, "", ""),
    ("not dead for long enough", THREE, {"down": [3]}, {3: SILENT}, "", ""),
    ("dead, and nowhere to go", THREE, {"down": [3]}, {3: DOWN, 4: SILENT}, "", "store 4: it is disconnected"),
    ("a store that leaves", THREE, {}, {3: GONE}, "replace-offline-replica: move peer: store 3 to 4", "leaves"),
    (
        "leaves, and nowhere to go",
        THREE,
        {},
        {3: GONE, 4: GONE},
        "",
        "its place: store 4: it is being removed",
    ),
    ("a missing replica", {1: V, 2: V}, {}, {4: GONE}, "make-up-replica: add peer: store 3", "it has 2 of 3"),
    ("missing, and nowhere to go", {1: V, 2: V}, {}, {3: SILENT, 4: GONE}, "", "no store can take another"),
    ("a surplus replica", {**THREE, 4: V}, {}, {}, "remove-extra-replica: remove peer: store 4", "it has 4 replicas"),
    ("of them the laggard", {**THREE, 4: V}, {"pending": [2]}, {}, "remove-extra-replica: remove peer: store 2", ""),
    ("of them the silent", {**THREE, 4: V}, {}, {3: SILENT}, "remove-extra-replica: remove peer: store 3", ""),
    (
        "surplus and dead",
        {**THREE, 4: V},
        {"down": [3]},
        {3: DOWN},
        "remove-extra-down-replica: remove peer: store 3",
        "",
    ),
    ("surplus and leaving", {**THREE, 4: V}, {}, {2: GONE}, "remove-extra-offline-replica: remove peer: store 2", ""),
    ("a learner left behind", {1: V, 2: V, 3: L}, {}, {}, "promote-learner: promote learner", "was left behind"),
    ("it does not keep up yet", {1: V, 2: V, 3: L}, {"pending": [3]}, {}, "", ""),
    ("a learner too many", {**THREE, 4: L}, {}, {}, "remove-extra-learner: remove peer: store 4", "is not needed"),
    ("dead, and a learner lags", {**THREE, 4: L}, {"down": [3], "pending": [4]}, {3: DOWN}, "remove-extra-learner", ""),
    (
        "joint, left behind",
        {1: V, 2: V, 3: OUT, 4: IN},
        {},
        {},
        "leave-joint-state: leave joint",
        "joint configuration",
    ),
    ("joint, its leader leaves", {1: OUT, 2: V, 3: V, 4: IN}, {}, {}, "leave-joint-state", "joint"),
    ("joint, and nobody can follow", {1: OUT, 2: IN}, {"pending": [2]}, {}, "", "nobody can follow"),
    ("the last living quorum", THREE, {"pending": [2], "down": [3]}, {3: DOWN}, "", "no safe way"),
]


@pytest.mark.parametrize(("sentence", "peers", "says", "stores", "operator", "reason"), CASES)
def test_findings(sentence, peers, says, stores, operator, reason) -> None:
    rig = Rig()
    for store_id, fields in stores.items():
        rig.store(store_id, **fields)
    finding = check_region(rig.view, rig.region(1, peers, **says))
    if finding is None:
        assert not operator, sentence
        assert not reason
        return
    found = f"{finding.operator.desc}: {finding.operator.brief}" if finding.operator else ""
    assert found.startswith(operator), finding
    assert bool(found) == bool(operator), finding
    assert reason in finding.reason


def test_a_leader_that_leaves_a_joint_configuration_hands_over_first() -> None:
    rig = Rig()
    finding = check_region(rig.view, rig.region(1, {1: OUT, 2: V, 3: V, 4: IN}))
    assert finding is not None
    assert finding.operator is not None
    assert [str(step).split(":")[0] for step in finding.operator.steps] == [
        "transfer leader from store 1 to store 2",
        "leave joint configuration",
    ]


def test_a_learner_that_a_person_added_stays() -> None:
    rig = Rig()
    record = rig.region(1, {**THREE, 4: L})
    rig.settings.keep_learner(PeerId(104))
    assert check_region(rig.view, record) is None
    missing = check_region(rig.view, rig.region(1, {1: V, 2: V, 4: L}, conf_ver=2))
    assert missing is not None
    assert missing.operator is not None
    assert missing.operator.desc == "make-up-replica", "it does not count as a replica"


def test_switches() -> None:
    for name, peers, fields, stores in (
        ("enable_remove_down_replica", THREE, {"down": [3]}, {3: DOWN}),
        ("enable_replace_offline_replica", THREE, {}, {3: GONE}),
        ("enable_make_up_replica", {1: V, 2: V}, {}, {}),
        ("enable_remove_extra_replica", {**THREE, 4: V}, {}, {}),
    ):
        rig = Rig(**{name: False})
        for store_id, store in stores.items():
            rig.store(store_id, **store)
        assert check_region(rig.view, rig.region(1, peers, **fields)) is None, name


def test_a_repair_waits_for_the_store_limit_without_taking_ids() -> None:
    rig = Rig(store_limit=1.0)
    rig.store(3, **GONE)
    rig.view.limits.take(StoreId(3), Direction.REMOVE, 1.0, NOW_MS)
    record = rig.region(1, THREE)
    finding = check_region(rig.view, record)
    assert finding is not None
    assert finding.operator is None
    assert "its store limit (remove-peer, 1 a minute) is used up" in finding.reason


def zoned(zones: str, **settings: Any) -> Rig:
    """Store n stands in the n-th zone."""
    rig = Rig(range(1, len(zones) + 1), location_labels=("zone",), **settings)
    for store_id, zone in enumerate(zones, 1):
        rig.store(store_id, labels={"zone": zone})
    return rig


PLACES = [
    ("a new replica goes where none is", "aabc", {1: V, 3: V}, "add peer: store 4"),
    ("two in one zone move apart", "aabc", {1: V, 2: V, 3: V}, "move peer: store 2 to 4"),
    ("no better place", "aabb", {1: V, 2: V, 3: V}, ""),
    ("apart already", "abca", {1: V, 2: V, 3: V}, ""),
    ("of four the close one goes", "aabc", {1: V, 2: V, 3: V, 4: V}, "remove peer: store 2"),
]


@pytest.mark.parametrize(("sentence", "zones", "peers", "brief"), PLACES)
def test_places(sentence, zones, peers, brief) -> None:
    rig = zoned(zones)
    finding = check_region(rig.view, rig.region(1, peers))
    assert (finding.operator.brief if finding and finding.operator else "") == brief, sentence


def test_the_best_place_is_waited_for() -> None:
    rig = zoned("aabc")
    rig.store(4, labels={"zone": "c"}, is_busy=True)
    finding = check_region(rig.view, rig.region(1, {1: V, 3: V}))
    assert finding is not None
    assert finding.operator is None
    assert "store 4: it says it is busy" in finding.reason


def test_the_emptier_of_equal_places_is_taken() -> None:
    rig = Rig((1, 2, 3, 4, 5))
    rig.region(7, [4, 1, 2])
    finding = check_region(rig.view, rig.region(1, {1: V, 2: V}))
    assert finding is not None
    assert finding.operator is not None
    assert finding.operator.brief == "add peer: store 3"
    rig.settings.set_weights(StoreId(3), 1.0, 1.0)
    rig.region(8, [3, 5, 1])
    rig.region(9, [3, 5, 1])
    rig.settings.set_weights(StoreId(5), 1.0, 9.0)
    finding = check_region(rig.view, rig.region(1, {1: V, 2: V}))
    assert finding is not None
    assert finding.operator is not None
    assert finding.operator.brief == "add peer: store 5", "60 MiB at weight 9 is less than 30 MiB at weight 1"
