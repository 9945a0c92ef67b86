"""Clocks beyond what leases allow are soon noticed, and no read is old after that; engines that fall behind refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flaredb.sim.cluster import SimCluster
from flaredb.sim.network import Weather
from flaredb.sim.options import CLOCK_DRIFT_MAX, Faults, SimOptions, draw
from flaredb.sim.run import run
from flaredb.sim.world import SECOND, World

BEATS_MAX = 8


def _calm(seed: int) -> SimOptions:
    options = draw(seed, 20)
    stores = max(options.stores, 3)
    return replace(
        options,
        stores=stores,
        replicas=3,
        pd=replace(options.pd, initial_stores=stores, max_replicas=3),
        store=replace(options.store, lease_reads=True),
        weather=Weather(),
        faults=Faults(),
        clock_drift_max=0.5,
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_store_whose_clock_is_slow_trusts_no_lease_after_a_few_beats(seed: int) -> None:
    options = _calm(seed)
    world = World(seed)
    cluster = SimCluster(world, options)
    cluster.start()
    world.run_until(60 * SECOND, cluster.is_formed)
    slow = cluster.stores[seed % 3]
    slow.clock.set_rate(0.7)
    world.run_until(world.now_us + BEATS_MAX * options.store.heartbeat_ticks * options.store.tick_ms * 1_000)
    assert slow.store is not None
    assert not slow.store.lease_clock.is_trusted
    assert all(node.store.lease_clock.is_trusted for node in cluster.stores if node.store and node is not slow)
    world.run_until(world.now_us + 10 * SECOND)
    assert not cluster.drift.taints(world.now_us), "the last lease that was not noticed has ended"


def test_a_sixth_of_the_seeds_with_leases_has_such_clocks_and_most_reads_are_checked() -> None:
    drawn = [options for options in map(draw, range(400)) if options.store.lease_reads]
    beyond = [options for options in drawn if options.clock_drift_max > CLOCK_DRIFT_MAX]
    assert 0.1 < len(beyond) / len(drawn) < 0.25
    reports = [run(replace(options, seconds=10)) for options in beyond[:3]]
    for report in reports:
        assert not report.failure, report.summary()
    assert sum(report.excused for report in reports) < 0.3 * sum(report.done for report in reports)


def test_engines_that_fall_behind_refuse_writes_and_nothing_is_lost() -> None:
    options = draw(1, 10)
    options.faults.pressure_ms = 1_000
    report = run(options)
    assert not report.failure, report.summary()
    assert report.engine_refusals > 0
    assert report.strikes["pressure"] > 0
