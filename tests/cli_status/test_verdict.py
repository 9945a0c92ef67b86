"""The verdict: facts in, sentences out."""

from __future__ import annotations

import pytest

from flaredb.cli.status.facts import ClusterFacts, Reach
from flaredb.cli.status.verdict import Level, judge, spare, unreachable, work_left
from flaredb.cli.status.words import about, ago, count, named
from tests.cli_status.cluster_facts import MOVE, cluster, region, store

GONE = Reach.GONE
FOUR = (store(1), store(2), store(3), store(4))
WELL = "Healthy: 3 stores, 2 regions with 3 replicas each."

SENTENCES: list[tuple[str, ClusterFacts, Level, str]] = [
    ("all is well", cluster(), Level.HEALTHY, WELL),
    (
        "one region, one store, one replica is what was asked for",
        cluster((store(1),), (region(1, 1),), replicas_wanted=1),
        Level.HEALTHY,
        "Healthy: 1 store, 1 region with 1 replica each.",
    ),
    (
        "a store that cannot be asked from here is believed to be as PD says",
        cluster((store(1), store(2), store(3, reach=Reach.UNKNOWN))),
        Level.HEALTHY,
        WELL,
    ),
    (
        "a killed store that PD has not missed yet",
        cluster((store(1), store(2), store(3, reach=GONE))),
        Level.DEGRADED,
        "Degraded: store 3 does not answer, and 2 of 2 regions have fewer than 3 replicas that work; "
        "every region serves.",
    ),
    (
        "a store that PD misses",
        cluster((store(1), store(2), store(3, "Disconnected", silent_s=25))),
        Level.DEGRADED,
        "Degraded: store 3 has been silent for 25 s, and 2 of 2 regions have fewer than 3 replicas that work; "
        "every region serves.",
    ),
    (
        "a store that was given up, and whose replicas are elsewhere",
        cluster((*FOUR[:3], store(4, "Down", silent_s=2400, regions=0))),
        Level.DEGRADED,
        "Degraded: store 4 is down, silent for 40 min; every region serves.",
    ),
    (
        "the leader was on the store that is gone: nobody has reported a new one",
        cluster((store(1, reach=GONE), store(2), store(3))),
        Level.DEGRADED,
        "Degraded: store 1 does not answer, 1 region has no leader that PD knows, and 2 of 2 regions have fewer "
        "than 3 replicas that work.",
    ),
    (
        "most replicas are gone",
        cluster((store(1), store(2, reach=GONE), store(3, "Disconnected", silent_s=30))),
        Level.UNAVAILABLE,
        "Unavailable for 2 of 2 regions: stores 2 and 3 do not answer, and with that the majority of their replicas.",
    ),
    (
        "only the regions that lost their majority are counted",
        cluster(
            (store(1), store(2), store(3), store(4, "Down", silent_s=9999), store(5, "Down", silent_s=9999)),
            (region(1, 1, 4, 5), region(2, 1, 2, 3)),
        ),
        Level.UNAVAILABLE,
        "Unavailable for 1 of 2 regions: stores 4 and 5 are down, and with that the majority of their replicas.",
    ),
    (
        "leaders do not hear most of their replicas, though all stores live",
        cluster(regions=(region(1, 1, 2, 3, down=frozenset({2, 3})),)),
        Level.UNAVAILABLE,
        "Unavailable for 1 of 1 region: the majority of their replicas is not heard.",
    ),
    (
        "a replica lags",
        cluster(regions=(region(1, 1, 2, 3, pending=frozenset({3})), region(2, 1, 2, 3))),
        Level.DEGRADED,
        "Degraded: a replica of 1 region lags; every region serves.",
    ),
    (
        "more replicas are wanted than there are stores for",
        cluster((store(1), store(2)), (region(1, 1, 2),)),
        Level.DEGRADED,
        "Degraded: 1 of 1 region has fewer than 3 replicas that work (2 stores for 3 replicas, so add 1 store); "
        "every region serves.",
    ),
    (
        "a drain that runs is no fault",
        cluster((*FOUR[:3], store(4, "Offline", regions=1)), (region(1, 1, 2, 4), region(2, 1, 2, 3))),
        Level.HEALTHY,
        "Healthy: 4 stores, 2 regions with 3 replicas each.",
    ),
    (
        "a drained store that died on the way",
        cluster((*FOUR[:3], store(4, "Offline", silent_s=50)), (region(1, 1, 2, 4), region(2, 1, 2, 3))),
        Level.DEGRADED,
        "Degraded: store 4 has been silent for 50 s, and 1 of 2 regions has fewer than 3 replicas that work; "
        "every region serves.",
    ),
    (
        "a drained store that died once it was empty",
        cluster((*FOUR[:3], store(4, "Offline", silent_s=50, regions=0))),
        Level.HEALTHY,
        "Healthy: 4 stores, 2 regions with 3 replicas each.",
    ),
    (
        "no store has joined",
        cluster((), (), has_regions=False),
        Level.UNAVAILABLE,
        "Unavailable: the cluster has no regions yet; it waits for its first stores.",
    ),
    (
        "every store was removed",
        cluster(()),
        Level.UNAVAILABLE,
        "Unavailable: no store is left in the cluster.",
    ),
    (
        "some stores have joined, more are waited for",
        cluster((store(1),), (), has_regions=False),
        Level.UNAVAILABLE,
        "Unavailable: the cluster has no regions yet; it waits for its first stores.",
    ),
]


@pytest.mark.parametrize(("case", "facts", "level", "sentence"), SENTENCES, ids=[row[0] for row in SENTENCES])
def test_sentence(case: str, facts: ClusterFacts, level: Level, sentence: str) -> None:
    verdict = judge(facts)
    assert (verdict.level, verdict.sentence) == (level, sentence)


SURVIVAL: list[tuple[str, ClusterFacts, int, str]] = [
    (
        "three replicas survive one",
        cluster(),
        1,
        "Survives the failure of any 1 store: every region has 3 replicas in order, of which 2 are needed.",
    ),
    (
        "five replicas survive two",
        cluster(tuple(map(store, range(1, 6))), (region(1, 1, 2, 3, 4, 5),), replicas_wanted=5),
        2,
        "Survives the failure of any 2 stores: every region has 5 replicas in order, of which 3 are needed.",
    ),
    (
        "the weakest region decides, and is named",
        cluster(FOUR, (region(1, 1, 2, 3), region(7, 1, 2, 4, down=frozenset({4})))),
        0,
        "Survives no store failure: region 7 has only 2 of 3 replicas in order, and 2 are needed.",
    ),
    (
        "a replica that lags cannot be counted upon",
        cluster(regions=(region(1, 1, 2, 3, pending=frozenset({3})), region(2, 1, 2, 3))),
        0,
        "Survives no store failure: region 1 has only 2 of 3 replicas in order, and 2 are needed.",
    ),
    (
        "a store that is gone counts wherever it has a replica",
        cluster((store(1), store(2), store(3, reach=GONE))),
        0,
        "Survives no store failure: every region has only 2 of 3 replicas in order, and 2 are needed.",
    ),
    (
        "one replica",
        cluster((store(1),), (region(1, 1),), replicas_wanted=1),
        0,
        "Survives no store failure: every region has a single replica; set max-replicas to 3 to survive one.",
    ),
    (
        "two replicas",
        cluster((store(1), store(2)), (region(1, 1, 2),), replicas_wanted=2),
        0,
        "Survives no store failure: every region has 2 replicas and needs all of them; 3 would survive one.",
    ),
    (
        "a replica is still to be made",
        cluster(regions=(region(1, 1, 2), region(2, 1, 2, 3))),
        0,
        "Survives no store failure: region 1 has 2 replicas of 3 so far.",
    ),
    (
        "while members change jointly, both majorities count",
        cluster(FOUR, (region(1, 1, 2, 4, voters_before=(1, 2, 3)),)),
        1,
        "Survives the failure of any 1 store: every region has members that change right now, and 1 replica to spare.",
    ),
    (
        "what serves not even now survives nothing",
        cluster((store(1), store(2, "Down", silent_s=9999), store(3, "Down", silent_s=9999))),
        0,
        "Survives no further store failure: some regions have no majority already.",
    ),
]


@pytest.mark.parametrize(("case", "facts", "survives", "why"), SURVIVAL, ids=[row[0] for row in SURVIVAL])
def test_survival(case: str, facts: ClusterFacts, survives: int, why: str) -> None:
    verdict = judge(facts)
    assert (verdict.survives, verdict.survives_sentence) == (survives, why)


DRAINED = (*FOUR[:3], store(4, "Offline", regions=3))
DRAINING = (region(1, 1, 2, 4), region(2, 1, 2, 4), region(3, 1, 2, 4))

MOVING: list[tuple[str, ClusterFacts, str, float | None]] = [
    ("nothing moves", cluster(), "", None),
    (
        "a move for balance, the first one",
        cluster(moves=(MOVE,)),
        "Moving: 1 region changes right now; too early to say for how long.",
        None,
    ),
    (
        "a drain with a pace: 2 in 10 s, 3 to go",
        cluster(DRAINED, DRAINING, moves=(MOVE,), ended_s_ago=(4.0, 10.0)),
        "Moving: store 4 is being drained, 3 regions left on it; 1 region changes right now; about 15 s to go.",
        15.0,
    ),
    (
        "a drain between two moves",
        cluster(DRAINED, DRAINING, ended_s_ago=(4.0, 10.0)),
        "Moving: store 4 is being drained, 3 regions left on it; about 15 s to go.",
        15.0,
    ),
    (
        "a drain that has stopped",
        cluster(DRAINED, DRAINING, ended_s_ago=(20.0, 30.0)),
        "Moving: store 4 is being drained, 3 regions left on it; no region changes right now.",
        None,
    ),
    (
        "what ended long ago tells nothing of the pace",
        cluster(DRAINED, DRAINING, moves=(MOVE,), ended_s_ago=(4.0, 100.0)),
        "Moving: store 4 is being drained, 3 regions left on it; 1 region changes right now; too early to say for how "
        "long.",
        None,
    ),
    (
        "a drain that is stuck",
        cluster(DRAINED, DRAINING),
        "Moving: store 4 is being drained, 3 regions left on it; no region changes right now.",
        None,
    ),
    (
        "a drain while nothing may move",
        cluster(DRAINED, DRAINING, halted=True),
        "Moving: store 4 is being drained, 3 regions left on it; no region changes right now: halt-scheduling is on.",
        None,
    ),
    (
        "a store was given up, and there is none for its replicas",
        cluster((store(1), store(2), store(4, "Down", silent_s=1900)), DRAINING),
        "Moving: the 3 replicas of store 4 cannot be made anew: 2 stores for 3 replicas, so add 1 store; no region "
        "changes right now.",
        None,
    ),
    (
        "a drain that cannot end, since another store went down after it began",
        cluster((store(1), store(2), store(3, "Disconnected", silent_s=60), DRAINED[3]), DRAINING),
        "Moving: store 4 is being drained, 3 regions left on it, which have nowhere to go: 2 stores for 3 replicas, so "
        "add 1 store; no region changes right now; nothing yet, as store 3 may come back; after 30 min of silence, in "
        "about 29 min, replicas are made anew elsewhere.",
        None,
    ),
    (
        "a drain is over",
        cluster((*FOUR[:3], store(4, "Offline", regions=0))),
        "Moving: store 4 is drained, and about to be a tombstone.",
        None,
    ),
    (
        "a store was given up",
        cluster((*FOUR[:3], store(4, "Down", silent_s=1900)), DRAINING, moves=(MOVE,), ended_s_ago=(1.0, 3.0)),
        "Moving: the 3 replicas of store 4 are made anew elsewhere; 1 region changes right now; about 4 s to go.",
        4.5,
    ),
    (
        "a store that may come back is waited for",
        cluster((store(1), store(2), store(3, "Disconnected", silent_s=600))),
        "Moving: nothing yet, as store 3 may come back; after 30 min of silence, in about 20 min, replicas are made "
        "anew elsewhere.",
        None,
    ),
]


@pytest.mark.parametrize(("case", "facts", "sentence", "remaining_s"), MOVING, ids=[row[0] for row in MOVING])
def test_what_moves(case: str, facts: ClusterFacts, sentence: str, remaining_s: float | None) -> None:
    verdict = judge(facts)
    assert (verdict.moving_sentence, verdict.remaining_s) == (sentence, remaining_s)


NOTES: list[tuple[str, ClusterFacts, tuple[str, ...]]] = [
    ("nothing to say", cluster(), ()),
    (
        "a disk runs full",
        cluster((store(1, capacity_bytes=100, available_bytes=4), store(2), store(3))),
        ("The disk of store 1 has 4 % left: make room there, or drain the store.",),
    ),
    (
        "a store that was given up holds nothing any more",
        cluster((*FOUR[:3], store(4, "Down", silent_s=2400, regions=0))),
        (
            "All replicas of store 4 are elsewhere by now: start it again to use it, or let it go by flaredb ctl store "
            "delete 4.",
        ),
    ),
    (
        "a busy store, and two versions",
        cluster((store(1, is_busy=True, version="6.5.0"), store(2, version="6.6.0"), store(3))),
        ("Store 1 asks clients to slow down.", "Stores run different versions: 6.5.0, 6.6.0."),
    ),
]


@pytest.mark.parametrize(("case", "facts", "notes"), NOTES, ids=[row[0] for row in NOTES])
def test_notes(case: str, facts: ClusterFacts, notes: tuple[str, ...]) -> None:
    assert judge(facts).notes == notes


def test_level_is_the_exit_status() -> None:
    assert [int(level) for level in Level] == [0, 1, 2]
    silent = unreachable("PD does not answer at 127.0.0.1:2379 (Connection refused)")
    assert silent.level == Level.UNAVAILABLE
    assert silent.sentence == "Unknown: PD does not answer at 127.0.0.1:2379 (Connection refused)."


def test_work_left_counts_every_replica_once() -> None:
    facts = cluster(DRAINED, (*DRAINING, region(4, 1, 2)), moves=(MOVE,))
    assert work_left(facts) == 4, "three on the store that leaves, one that is missing; the move is one of these"


def test_spare_of_a_region_that_nobody_knows_anything_of() -> None:
    assert spare(region(1, leader=0), ()) == -1


WORDS = [
    ("none", count(0, "region"), "no region"),
    ("one", count(1, "region"), "1 region"),
    ("many", count(12_345, "region"), "12,345 regions"),
    ("one id", named("store", [3]), "store 3"),
    ("three ids", named("store", [3, 1, 2]), "stores 1, 2 and 3"),
    ("too many ids", named("store", range(1, 9)), "8 stores (1, 2, 3 ...)"),
    ("a moment", about(0.2), "1 s"),
    ("rounded, since it is a guess", about(43), "45 s"),
    ("minutes", about(200), "3 min"),
    ("hours", about(9000), "2.5 h"),
    ("what is known is exact", ago(43.9), "43 s"),
    ("days", ago(3 * 86_400), "3 days"),
]


@pytest.mark.parametrize(("case", "text", "expected"), WORDS, ids=[row[0] for row in WORDS])
def test_words(case: str, text: str, expected: str) -> None:
    assert text == expected
