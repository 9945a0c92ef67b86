"""Everything a run does differently from another, drawn from its seed.

Parameters are swarmed: each seed has a few faults at high rates and others not at all, some seeds have none, because
faults that always come together hide what one of them alone would show (Groce and others, Swarm Testing, 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from flaredb.model.limits import CLOCK_RATE_PERCENT
from flaredb.pd.config import PdConfig
from flaredb.pd.schedule_config import ScheduleConfig
from flaredb.sim.disk import DiskSpeed
from flaredb.sim.network import Weather
from flaredb.sim.world import MS
from flaredb.store.config import StoreConfig

MOVES_ONLY = 3
"""A seed without faults still has splits, orders and admin calls."""

CLOCK_DRIFT_MAX = CLOCK_RATE_PERCENT / 100
"""What leases allow for."""


@dataclass(slots=True)
class Faults:
    """How often each fault strikes, as the mean time in milliseconds between two; 0: never."""

    crash_ms: int = 0
    """One store loses its power or its process."""

    power_cut_ms: int = 0
    """All stores and PD lose power at once."""

    aimed_crash_ms: int = 0
    """One store dies just after it sent a vote, an acknowledgement, an answer, or half of its messages."""

    pd_crash_ms: int = 0
    pause_ms: int = 0
    """A process stands still, for up to several elections."""

    partition_ms: int = 0
    slow_link_ms: int = 0
    sync_failure_ms: int = 0
    disk_full_ms: int = 0
    clock_ms: int = 0
    """A clock jumps ahead or changes its rate."""

    split_ms: int = 0
    """Somebody asks for a split."""

    order_ms: int = 0
    """A leader is ordered to add, promote, demote or remove a replica, to hand over, or to split."""

    new_store_ms: int = 0
    """A store joins."""

    admin_ms: int = 0
    """Somebody asks PD to move a leader or a replica, to split, to scatter."""

    drain_ms: int = 0
    """Somebody asks PD to empty a store, or to leave it after all. One that is empty leaves."""

    pressure_ms: int = 0
    """A store's engine falls behind for a while, so that it refuses some writes, or all (store/flow.py)."""

    restart_ms_max: int = 3_000
    """How long what died stays down."""

    def names(self) -> list[str]:
        """The faults that strike in this run."""
        return [name[:-3] for name in self.__slots__ if name.endswith("_ms") and getattr(self, name)]


@dataclass(slots=True)
class Workload:
    """What clients do."""

    writers: int = 6
    """Clients that read and write, by the real client core."""

    once: int = 1
    """Clients that read and write, and try everything once."""

    pinned: int = 2
    """Per store: clients that only read, and only from that store."""

    think_ms: int = 60
    """Mean pause between two operations of a client."""

    hot_keys: int = 12
    cold_keys: int = 150
    hot_share: float = 0.7
    """Of the operations that are on hot keys."""

    value_bytes_max: int = 60
    reads: float = 0.5
    deletes: float = 0.05
    swaps: float = 0.1
    scans: float = 0.05
    range_deletes: float = 0.0
    """Shares of the operations; the rest are puts."""

    batches: float = 0.0
    """Share of the reads, puts and deletes that are of several keys at once."""

    operation_ms: int = 4_000
    """How long a client tries."""

    read_try_ms: int = 1_500
    batch_keys_max: int = 512
    batches_at_once: int = 16
    """Options of the client core (client/limits.py)."""


@dataclass(slots=True)
class SimOptions:
    """One run."""

    seed: int
    stores: int = 3
    replicas: int = 3
    regions: int = 4
    """In the beginning."""

    seconds: int = 60
    """Of faults, in virtual time."""

    heal_seconds: int = 40
    """In which everything must come back once faults end."""

    check_every: int = 32
    """Whole-store invariants are checked at every so many-th step; those of what a step touched, at each."""

    store: StoreConfig = field(default_factory=StoreConfig)
    pd: PdConfig = field(default_factory=PdConfig)
    store_heartbeat_ms: int = 1_000
    splits_min: int = 2
    moves_min: int = 2
    """Before faults are over for good, so many regions are born by splits, and so many replicas join and vote."""

    regions_max: int = 12
    """Nobody asks for a split beyond these; splits by size may go further."""

    stores_max: int = 6
    """None joins beyond these."""

    snapshot_chunk_us: int = 5 * MS
    """What each chunk of a snapshot may take to travel."""

    clock_drift_max: float = CLOCK_DRIFT_MAX
    """How far rates of clocks may be from the true one: what leases allow, or more: then a read by lease may be old
    until the leader has noticed (sim/drift.py)."""

    promises_early: bool = False
    """Acknowledgements leave with their sync where nothing else is to be done, before the step that hears of it."""

    events_max: int = 20_000_000
    step_delay_us: int = 50
    """From an input's arrival to the step that takes it."""

    weather: Weather = field(default_factory=Weather)
    disk: DiskSpeed = field(default_factory=DiskSpeed)
    faults: Faults = field(default_factory=Faults)
    workload: Workload = field(default_factory=Workload)

    def describe(self) -> str:
        """One line for people."""
        config = self.store
        reads = "lease" if config.lease_reads else "read-index"
        return (
            f"{self.stores} stores, {self.regions} regions, reads by {reads}, tick {config.tick_ms} ms, election "
            f"{config.election_ticks}-{config.election_ticks_max} ticks, split at {config.region_max_size_bytes} "
            f"bytes, faults: {', '.join(self.faults.names()) or 'none'}"
        )


def split_keys(count: int) -> tuple[bytes, ...]:
    """Borders of ``count`` regions over the keys of a workload (workload.key)."""
    return tuple(b"k%03d" % (1_000 * number // count) for number in range(1, count))


def draw(seed: int, seconds: int = 60) -> SimOptions:
    """The options of a seed."""
    rng = Random(f"{seed}/options")
    stores = rng.choice((1, 3, 3, 3, 3, 3, 4, 5))
    regions = rng.choice((1, 2, 4, 4, 8))
    replicas = min(stores, rng.choice((3, 3, 3, 5)))
    store = _store(rng, seed)
    drifts = (CLOCK_DRIFT_MAX, 0.01) if store.lease_reads else (CLOCK_DRIFT_MAX, 0.3)
    options = SimOptions(
        seed=seed,
        stores=stores,
        replicas=replicas,
        regions=regions,
        seconds=seconds,
        store=store,
        pd=PdConfig(
            max_replicas=replicas,
            split_keys=split_keys(regions),
            initial_stores=stores,
            hold_ms=rng.choice((100, 1_000)),
            id_window=rng.choice((5, 1_000)),
            store_disconnected_ms=2_000,
            schedule_hold_ms=rng.choice((500, 5_000)),
            schedule=ScheduleConfig(
                max_store_down_time_ms=rng.choice((3_000, 10_000, 60_000)),
                store_limit=rng.choice((60.0, 100_000_000.0)),
                patrol_region_interval_ms=rng.choice((20, 200)),
                enable_joint_consensus=rng.random() < 0.7,
            ),
        ),
        store_heartbeat_ms=rng.choice((500, 2_000)),
        step_delay_us=rng.choice((0, 50, 2_000)),
        snapshot_chunk_us=rng.choice((100, 5_000, 300_000)),
        weather=_weather(rng),
        disk=_disk(rng),
        faults=_faults(rng),
        workload=_workload(rng),
        clock_drift_max=rng.choice(drifts),
    )
    _spread_load(Random(f"{seed}/load"), options.workload)
    _fall_behind(Random(f"{seed}/pressure"), options.faults)
    _drift_beyond(Random(f"{seed}/clocks"), options)
    _gather(Random(f"{seed}/gather"), options)
    options.promises_early = Random(f"{seed}/promises").random() < 0.5
    return options


# What came later is drawn from streams of its own, so that seeds stay what they were in everything else.


def _spread_load(rng: Random, workload: Workload) -> None:
    """Many clients that think long, rather than few that think briefly: where some of them wait for a region that is
    down, the others go on.
    """
    wanted_per_s = min(max(1_000 * workload.writers / workload.think_ms, 60), 120)
    drawn, workload.writers = workload.writers, rng.choice((24, 32, 40))
    # As many clients on a key as before: the search for an order of all operations is exponential in them.
    workload.hot_keys = workload.hot_keys * workload.writers // drawn
    workload.think_ms = int(1_000 * workload.writers / wanted_per_s)


def _fall_behind(rng: Random, faults: Faults) -> None:
    """In a third of the seeds that have faults, engines fall behind."""
    if rng.random() < 1 / 3 and len(faults.names()) > MOVES_ONLY:
        faults.pressure_ms = rng.choice((2_000, 6_000))


def _drift_beyond(rng: Random, options: SimOptions) -> None:
    """In a sixth of the seeds that read by lease, clocks drift further than leases allow."""
    if options.store.lease_reads and len(options.faults.names()) > MOVES_ONLY and rng.random() < 1 / 6:
        options.clock_drift_max = rng.choice((0.2, 0.5))
        options.faults.clock_ms = rng.choice((2_000, 8_000))


def _gather(rng: Random, options: SimOptions) -> None:
    """In most seeds writes wait for each other in smaller crowds than a simulated cluster's, in some for long."""
    crowd, wait_ms = rng.choice((1, 1, 4, 16)), rng.choice((5, 5, 50, 500))
    options.store = replace(options.store, gather_crowd=crowd, gather_ms=wait_ms)


def _store(rng: Random, seed: int) -> StoreConfig:
    election_ticks = rng.choice((5, 10, 10))
    split_bytes = rng.choice((0, 600, 1_500, 4_000))
    return StoreConfig(
        tick_ms=rng.choice((50, 100, 100, 200)),
        heartbeat_ticks=rng.choice((1, 2, 2)),
        election_ticks=election_ticks,
        election_ticks_max=election_ticks + rng.choice((2, election_ticks, 2 * election_ticks)),
        batch_entry_size_bytes=rng.choice((40, 1 << 20)),
        message_size_bytes_max=rng.choice((100, 1 << 20)),
        inflight_messages_max=rng.choice((1, 4, 256)),
        apply_size_bytes_max=rng.choice((100, 4 << 20)),
        hold_ms=rng.choice((100, 1_000)),
        read_timeout_ms=rng.choice((500, 2_000)),
        write_timeout_ms=rng.choice((1_000, 10_000)),
        scan_slice_rows=rng.choice((3, 1_024)),
        log_gc_interval_ms=rng.choice((200, 3_000)),
        log_gc_threshold=rng.choice((5, 50, 1_024)),
        log_count_max=rng.choice((8, 40, 1_000)),
        leader_missing_ms=rng.choice((2_000, 10_000)),
        snapshots_sending_max=rng.choice((1, 3)),
        snapshot_retry_ms=rng.choice((10, 200, 1_000)),
        fill_slice_bytes=rng.choice((1, 200, 1 << 20)),
        lease_reads=seed % 4 > 0,
        region_entries_max=(4_096, 4_096, 20)[seed // 2 % 3],
        unsynced_bytes_max=(64 << 20, 64 << 20, 3_000)[seed // 3 % 3],
        bulk_load_bytes_min=(0, 300, 1 << 20)[seed % 3],
        log_cache_bytes_max=rng.choice((200, 8 << 20)),
        region_heartbeat_ms=rng.choice((500, 3_000)),
        peer_down_ms=rng.choice((2_000, 10_000)),
        region_split_size_bytes=split_bytes,
        region_max_size_bytes=split_bytes * 3 // 2,
        region_split_keys=1_000,
        region_max_keys=1_500,
        batch_split_limit=rng.choice((1, 10)),
        split_region_check_tick_interval_ms=500,
        hibernate_regions=seed % 5 != 0,
        idle_elections=(3, 0, 1)[seed // 5 % 3],
    )


def _weather(rng: Random) -> Weather:
    return Weather(
        delay_us_min=rng.choice((50, 500)),
        delay_us_max=rng.choice((600, 3_000, 20_000)),
        loss=rng.choice((0.0, 0.0, 0.01, 0.1, 0.3)),
        doubling=rng.choice((0.0, 0.0, 0.02, 0.2)),
        reordering=rng.choice((0.0, 0.0, 0.05, 0.5)),
        stragglers=rng.choice((0.0, 0.0, 0.01, 0.05)),
        straggler_us_max=rng.choice((100, 1_000, 5_000)) * MS,
    )


def _disk(rng: Random) -> DiskSpeed:
    return DiskSpeed(
        sync_us_min=rng.choice((0, 100, 1_000)),
        sync_us_max=rng.choice((1_000, 5_000, 20_000)),
        slow=rng.choice((0.0, 0.0, 0.02, 0.2)),
        slow_us_max=rng.choice((50, 500, 5_000)) * MS,
    )


def _faults(rng: Random) -> Faults:
    def sometimes(*mean_ms: int) -> int:
        return rng.choice((0, *mean_ms))

    faults = Faults(
        crash_ms=sometimes(2_000, 8_000),
        power_cut_ms=sometimes(15_000, 0),
        aimed_crash_ms=sometimes(2_000, 6_000),
        pd_crash_ms=sometimes(10_000),
        pause_ms=sometimes(3_000, 10_000),
        partition_ms=sometimes(2_000, 8_000),
        slow_link_ms=sometimes(5_000),
        sync_failure_ms=sometimes(0, 10_000),
        disk_full_ms=sometimes(0, 20_000),
        clock_ms=sometimes(3_000),
        split_ms=rng.choice((5_000, 15_000)),
        order_ms=rng.choice((300, 1_000, 4_000)),
        new_store_ms=sometimes(0, 15_000),
        admin_ms=rng.choice((1_000, 5_000)),
        drain_ms=sometimes(0, 8_000),
        restart_ms_max=rng.choice((300, 3_000, 10_000)),
    )
    moves = Faults(split_ms=faults.split_ms, order_ms=faults.order_ms, admin_ms=faults.admin_ms)
    return faults if rng.random() < 0.95 else moves


def _workload(rng: Random) -> Workload:
    return Workload(
        writers=rng.choice((4, 8, 12)),
        think_ms=rng.choice((30, 80, 200)),
        hot_keys=rng.choice((3, 12, 30)),
        cold_keys=rng.choice((30, 150)),
        hot_share=rng.choice((0.3, 0.8)),
        value_bytes_max=rng.choice((20, 60, 300)),
        reads=rng.choice((0.3, 0.6)),
        deletes=rng.choice((0.0, 0.0, 0.05)),
        swaps=rng.choice((0.0, 0.1, 0.3)),
        scans=rng.choice((0.0, 0.05)),
        once=rng.choice((0, 1, 2)),
        range_deletes=rng.choice((0.0, 0.0, 0.01)),
        batches=rng.choice((0.0, 0.1, 0.3)),
        read_try_ms=rng.choice((300, 1_500)),
        batch_keys_max=rng.choice((2, 512)),
        batches_at_once=rng.choice((1, 16)),
    )


def without_faults(options: SimOptions) -> SimOptions:
    """The same cluster and clients in fair weather, for measurements."""
    return replace(options, weather=Weather(), disk=DiskSpeed(), faults=Faults())
