"""What the seeds that look for a known bug have in common: more of the fault that shows it (mutants.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flaredb.sim.disk import DiskSpeed
from flaredb.sim.network import Weather
from flaredb.sim.options import Faults, SimOptions, Workload
from flaredb.sim.world import MS

Shape = Callable[[SimOptions], SimOptions]


def with_faults(**changes: int) -> Shape:
    def shape(options: SimOptions) -> SimOptions:
        stores = max(options.stores, 3)
        pd = replace(options.pd, initial_stores=stores, max_replicas=3)
        faults = Faults(order_ms=options.faults.order_ms, split_ms=options.faults.split_ms, restart_ms_max=1_000)
        for name, value in changes.items():
            setattr(faults, name, value)
        return replace(options, stores=stores, replicas=3, pd=pd, faults=faults)

    return shape


CRASHES = with_faults(crash_ms=1_500, aimed_crash_ms=1_500)
EVERYTHING = with_faults(
    crash_ms=3_000, aimed_crash_ms=3_000, partition_ms=3_000, pause_ms=5_000, power_cut_ms=15_000, order_ms=400
)


def busy(faults: Shape, **workload: Any) -> Shape:
    """The faults, with clients that meet on a few keys."""

    def shape(options: SimOptions) -> SimOptions:
        load = Workload(writers=6, pinned=4, think_ms=30, hot_keys=3, cold_keys=20, deletes=0.0, swaps=0.0, scans=0.0)
        return replace(faults(options), workload=replace(load, **workload))

    return shape


def on_slow_disks(faults: Shape) -> Shape:
    return lambda options: replace(faults(options), disk=DiskSpeed(sync_us_max=20 * MS, slow=0.1, slow_us_max=500 * MS))


def with_late_syncs(faults: Shape) -> Shape:
    """Most of what a power cut meets is written and not durable, splits among it."""

    def shape(options: SimOptions) -> SimOptions:
        late = DiskSpeed(sync_us_min=20 * MS, sync_us_max=80 * MS)
        return replace(faults(options), disk=late, regions_max=100)

    return shape


def with_snapshots(faults: Shape) -> Shape:
    """Logs are so short that whoever was away needs a snapshot, and snapshots are installed row by row."""

    def shape(options: SimOptions) -> SimOptions:
        store = replace(
            options.store, log_count_max=8, log_gc_interval_ms=200, snapshot_retry_ms=10, fill_slice_bytes=1
        )
        return replace(faults(options), store=store, snapshot_chunk_us=100, step_delay_us=2_000)

    return shape


def gathering(faults: Shape) -> Shape:
    """The faults, with writes that always wait for the entry before them."""

    def shape(options: SimOptions) -> SimOptions:
        shaped = faults(options)
        return replace(shaped, store=replace(shaped.store, gather_crowd=1, gather_ms=500), regions_max=40)

    return shape


STALE_LEADERS = busy(with_faults(partition_ms=800, pause_ms=800))
SLOW_FOLLOWERS = busy(on_slow_disks(with_faults(partition_ms=3_000)))
SPLITS = busy(on_slow_disks(with_faults(split_ms=150, order_ms=3_000)), writers=12, think_ms=10, hot_keys=30, reads=0.4)
SPLITS_CUT_SHORT = with_late_syncs(with_faults(split_ms=60, order_ms=5_000, power_cut_ms=600))
GATHERED_SPLITS = gathering(
    busy(
        on_slow_disks(with_faults(split_ms=100, order_ms=3_000, partition_ms=500)),
        writers=24,
        think_ms=10,
        hot_keys=60,
        reads=0.3,
    )
)
MOVES = with_faults(order_ms=100, admin_ms=300, crash_ms=4_000, partition_ms=4_000)
LATE_ORDERS = with_faults(order_ms=100, admin_ms=200, slow_link_ms=300)
LONG_DEATHS = with_faults(order_ms=200, admin_ms=500, crash_ms=5_000, new_store_ms=5_000, restart_ms_max=20_000)
SNAPSHOTS = busy(with_snapshots(EVERYTHING), deletes=0.2, hot_keys=10)
INSTALLS = busy(
    with_snapshots(with_faults(crash_ms=700, aimed_crash_ms=700, order_ms=300)), cold_keys=100, hot_share=0.2
)


def with_leases(faults: Shape, weather: Weather) -> Shape:
    """Leaders read by lease, and followers stand for election as soon as they may."""

    def shape(options: SimOptions) -> SimOptions:
        store = replace(options.store, lease_reads=True, tick_ms=100, election_ticks=10, election_ticks_max=12)
        return replace(faults(options), store=store, weather=weather)

    return shape


LATE_ANSWERS = with_leases(
    busy(with_faults(partition_ms=800, slow_link_ms=400)),
    Weather(delay_us_min=500, delay_us_max=3_000, stragglers=0.1, straggler_us_max=2_000 * MS),
)
STALE_LEASES = with_leases(STALE_LEADERS, Weather(delay_us_min=500, delay_us_max=3_000))


def with_slow_clocks(faults: Shape) -> Shape:
    return lambda options: replace(faults(options), clock_drift_max=0.8)


SLOW_CLOCKS = with_slow_clocks(
    with_leases(
        busy(with_faults(partition_ms=800, clock_ms=1_500)),
        Weather(delay_us_min=500, delay_us_max=3_000),
    )
)
TRANSFERS = with_leases(
    busy(with_faults(order_ms=100, admin_ms=200, partition_ms=600, slow_link_ms=1_000)),
    Weather(delay_us_min=500, delay_us_max=3_000),
)
