"""Clocks further apart than leases allow are noticed, and no lease is trusted then; nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from flaredb.model.ids import StoreId
from flaredb.store.clock_watch import SAMPLES_MAX, ClockWatch, Sample
from flaredb.store.messages import Beat
from tests.store.harness import CONFIG, TICK_MS
from tests.store.test_lease import (
    EARLY,
    PROMISE_MS,
    REGION,
    DriftingCluster,
    answers,
    ask,
    cut_off,
    in_lease,
    make_cluster,
    rounds,
)

BEAT_MS = CONFIG.heartbeat_ticks * TICK_MS
WINDOW_MS = (SAMPLES_MAX + 2) * BEAT_MS

# ------------------------------------------------ what beats prove


@pytest.mark.parametrize(
    ("case", "samples", "is_fast"),
    [
        ("one beat that waited as long there as here", [Sample(0, 500, 1_500, 1_001)], False),
        ("as fast as is allowed", [Sample(0, 500, 1_605, 1_000)], False),
        ("faster than that", [Sample(0, 500, 1_620, 1_000)], True),
        ("two beats a second apart, 20 % more there", [Sample(0, 0, 1, 2), Sample(1_000, 1_200, 1_201, 1_002)], True),
        ("the same, but the second took its time", [Sample(0, 0, 1, 2), Sample(1_000, 1_200, 1_201, 1_100)], False),
        (
            "the same, but the first one's cause did",
            [Sample(0, 100, 101, 102), Sample(1_000, 1_200, 1_201, 1_002)],
            False,
        ),
        ("slower there", [Sample(0, 0, 1, 2), Sample(1_000, 500, 501, 1_002)], False),
        ("a second that was sent before the first", [Sample(900, 5, 6, 901), Sample(10, 4_000, 4_001, 905)], False),
        ("heard before it was sent", [Sample(100, 500, 5_000, 90)], False),
    ],
)
def test_only_what_cannot_be_otherwise_is_called_too_fast(case: str, samples: list[Sample], is_fast: bool) -> None:
    watch = ClockWatch()
    for sample in samples:
        watch.take(sample)
    assert watch.is_fast is is_fast, case


def _beats(rng: Random, ratio: float, delay_ms_max: int, count: int) -> list[Sample]:
    """What ``count`` beats, each way every 100 ms, say of a clock that runs at ``ratio`` of one's own."""
    samples, now, theirs_at_zero = [], 0.0, rng.uniform(0, 10_000)

    def theirs(at_ms: float) -> int:
        return int(theirs_at_zero + at_ms * ratio)

    for _ in range(count):
        now += 100
        noted = now + rng.uniform(0, delay_ms_max)
        shown = noted + rng.uniform(0, 100)
        samples.append(Sample(int(now), theirs(noted), theirs(shown), int(shown + rng.uniform(0, delay_ms_max))))
    return samples


def test_a_clock_within_what_is_allowed_is_never_called_too_fast_however_messages_travel() -> None:
    for seed in range(200):
        rng = Random(seed)
        watch = ClockWatch()
        for sample in _beats(rng, rng.uniform(0.9, 105 / 95), rng.choice((0, 5, 300)), 100):
            watch.take(sample)
            assert not watch.is_fast, f"seed {seed}"


def test_a_clock_beyond_it_is_called_so_within_a_window_if_messages_are_not_slow() -> None:
    for seed in range(200):
        rng = Random(seed)
        watch = ClockWatch()
        for sample in _beats(rng, rng.uniform(1.15, 2), 20, SAMPLES_MAX):
            watch.take(sample)
        assert watch.is_fast, f"seed {seed}"


def test_the_verdict_stands_until_a_whole_window_shows_the_opposite() -> None:
    watch = ClockWatch()
    assert watch.take(Sample(0, 0, 500, 100))
    calm = [Sample(100 * at, 100 * at + 1_000, 100 * at + 1_010, 100 * at + 20) for at in range(1, SAMPLES_MAX + 1)]
    assert not any(watch.take(sample) for sample in calm[:-1])
    watch.restart()
    assert watch.is_fast, "a restart of the other store is no proof"
    changes = [watch.take(sample) for sample in calm]
    assert changes == [False] * (SAMPLES_MAX - 1) + [True]
    assert not watch.is_fast


# ------------------------------------------------ what a store does


def test_a_leader_whose_clock_is_too_slow_reads_by_rounds_and_says_so() -> None:
    cluster, leader = make_cluster()
    cluster.rates = {1: 1.0, 2: 1.3, 3: 1.3}
    cluster.run_until(lambda: not leader.store.lease_clock.is_trusted)
    effects = ask(cluster, leader)
    assert (answers(effects), rounds(effects)) == ([], 2)
    assert leader.store.lease_suspensions == 1
    last = leader.notes[-1]
    assert (last.event, last.level) == (
        "clocks differ by more than leases allow: reads by lease are suspended",
        "ERROR",
    )
    assert dict(last.fields)["faster_than_here"]
    assert cluster.get(REGION, b"a") == b"1"


def test_it_is_noticed_within_two_beats() -> None:
    cluster, leader = make_cluster()
    base_ms = cluster.now_ms
    cluster.time_of = lambda node: (  # type: ignore[method-assign]
        cluster.now_ms if node.id == 1 else int(base_ms + (cluster.now_ms - base_ms) * 1.3)
    )
    cluster.run_until(lambda: not leader.store.lease_clock.is_trusted)
    assert cluster.now_ms - base_ms <= 2 * BEAT_MS + 20


def test_no_two_leaders_read_once_it_is_noticed() -> None:
    """Without the watch, the old leader's lease outlives the election here."""
    cluster = DriftingCluster(config=EARLY)
    cluster.rates = {1: 0.6, 2: 1.2, 3: 1.2}
    leader = cluster.await_leader(1)
    assert leader.id == 1
    cluster.run_until(lambda: not leader.store.lease_clock.is_trusted)
    cluster.drop = cut_off(1)
    while cluster.leader_of(1) in (leader, None):
        cluster.round(1)
    assert not in_lease(leader)
    assert answers(ask(cluster, leader)) == []


def test_the_faster_one_keeps_its_leases() -> None:
    """They end sooner than they must."""
    cluster, leader = make_cluster()
    cluster.rates = {1: 1.3}
    cluster.run_for(WINDOW_MS)
    assert leader.store.lease_clock.is_trusted
    assert not cluster.nodes[StoreId(2)].store.lease_clock.is_trusted


def test_within_what_is_allowed_no_lease_is_suspended() -> None:
    cluster, leader = make_cluster()
    cluster.rates = {1: 0.95, 2: 1.05, 3: 1.05}
    for _ in range(2 * WINDOW_MS // 10):
        cluster.round()
        assert leader.store.lease_clock.is_trusted


def test_leases_are_back_once_clocks_agree_for_a_window() -> None:
    cluster, leader = make_cluster(replace(CONFIG, hibernate_regions=False))
    offsets_ms = {1: 0, 2: 0, 3: 0}
    cluster.time_of = lambda node: cluster.now_ms + offsets_ms[node.id]  # type: ignore[method-assign]
    cluster.run_for(WINDOW_MS)
    offsets_ms[2] = 5_000
    cluster.run_until(lambda: not leader.store.lease_clock.is_trusted)
    cluster.run_for(WINDOW_MS // 2)
    assert not leader.store.lease_clock.is_trusted, "a jump and a wrong rate cannot be told apart at once"
    cluster.run_for(WINDOW_MS)
    assert leader.store.lease_clock.is_trusted
    cluster.run_until(lambda: in_lease(leader))
    assert leader.store.lease_suspensions == 1


def test_a_store_that_fell_silent_is_waited_for_by_nobody() -> None:
    """Its promises have run out; once it speaks again, the verdict counts again."""
    cluster, leader = make_cluster()
    cluster.rates = {2: 1.3}
    cluster.run_until(lambda: not leader.store.lease_clock.is_trusted)
    cluster.drop = cut_off(2)
    cluster.run_for(2 * PROMISE_MS)
    assert leader.store.lease_clock.is_trusted
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: not leader.store.lease_clock.is_trusted)


def test_stores_that_never_read_by_lease_do_not_care() -> None:
    cluster, leader = make_cluster(replace(CONFIG, lease_reads=False))
    cluster.rates = {1: 0.5}
    cluster.run_for(WINDOW_MS)
    assert leader.store.lease_suspensions == 0


def test_where_nobody_sleeps_stores_beat_for_their_leases() -> None:
    cluster, _ = make_cluster(replace(CONFIG, hibernate_regions=False))
    cluster.run_for(3 * BEAT_MS)
    beats = [envelope for envelope in cluster.sent if isinstance(envelope, Beat) and not envelope.region_id]
    assert {(beat.from_store, beat.to_store) for beat in beats} == {
        (a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b
    }
    last = beats[-1]
    assert last.index >= last.commit > 0
    assert last.version > 0


def test_another_lifes_times_are_not_compared() -> None:
    """A beat may still name the time of a beat that this store sent before it restarted."""
    cluster, _ = make_cluster()
    cluster.run_for(3 * BEAT_MS)
    cluster.crash(1)
    restarted = cluster.restart(1)
    cluster.run_for(WINDOW_MS)
    assert restarted.store.lease_clock.is_trusted
    assert all(node.store.lease_clock.is_trusted for node in cluster.live())
