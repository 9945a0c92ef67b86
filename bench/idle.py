"""Figures of regions at rest: ``python -m bench idle [--regions 10000] [--only one,three,restart,processes]``.

one:       one store with so many regions, each its only replica: memory of Python objects, CPU at rest, time to wake
three:     three stores that hold a replica of every region each, in one process: the same, per store
restart:   a store with 500,000 log entries that are not compacted: time until it answers
processes: three store processes of a `flaredb demo` with so many regions: CPU at rest and memory, per process

The first three run store cores on RocksDB without sockets: what a step costs, reports to PD encoded but not sent. Rest
is measured in virtual time: the stores are stepped whenever they want to be, as fast as it goes, and the CPU time is
divided by the time that passed for them.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import random
import shutil
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.demo import Demo, hold_still, pause
from bench.kv_load import cpu_seconds
from bench.split import Cluster

from flaredb.cli.ctl.http import Pd
from flaredb.engine.base import Engine
from flaredb.engine.rocks import open_rocks
from flaredb.model.commands import PUT, Request, Write
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.store.config import StoreConfig
from flaredb.store.messages import (
    Input,
    RaftReceived,
    RegionsListed,
    Reply,
    ReportRegion,
    RequestsReceived,
    SendRaft,
    Sync,
    SyncDone,
)
from flaredb.store.store import Store
from flaredb.wire.entries import encode_write
from flaredb.wire.frames import decode_envelopes, encode_envelopes
from flaredb.wire.pd_convert import heartbeat_to_pb

FIGURES = ("one", "three", "restart", "processes")
DEFAULTS = StoreConfig()
DEMO = replace(DEFAULTS, tick_ms=50, election_ticks_max=16, region_heartbeat_ms=5_000)
REST_SECONDS = 120
WAKES = 40
RESTART_ENTRIES = 500_000
MIB = 1024 * 1024


class NoFiles:
    """Implements messages.SnapshotFiles: nobody sends snapshots here."""

    def open(self, name: str) -> None:
        """Nothing is kept."""

    def discard(self, name: str) -> None:
        """Nothing is kept."""


class Stores:
    """Store cores on RocksDB, joined by encoded frames that take no time; time is what ``now_ms`` says."""

    def __init__(self, directory: Path, count: int, config: StoreConfig) -> None:
        self.now_ms = 1_000
        self.config = config
        self.engines: dict[StoreId, Engine] = {
            StoreId(number): open_rocks(directory / f"{number}-{config.tick_ms}") for number in range(1, count + 1)
        }
        self.stores = {store_id: self._open(store_id) for store_id in self.engines}
        self.inboxes: dict[StoreId, list[Input]] = {store_id: [] for store_id in self.engines}
        self.answers: list[object] = []
        self.reports = 0
        self.cpu_seconds = 0.0

    def _open(self, store_id: StoreId) -> Store:
        return Store(self.config, store_id, self.engines[store_id], random.Random(store_id), self.now_ms, NoFiles())

    def step(self) -> bool:
        """One step of every store that wants one. False: nobody did."""
        began = time.process_time()
        active = False
        for store_id, store in self.stores.items():
            inbox = self.inboxes[store_id]
            if inbox or store.next_deadline_ms() <= self.now_ms:
                active = True
                self.inboxes[store_id] = []
                self._step_one(store_id, store, inbox)
        self.cpu_seconds += time.process_time() - began
        return active

    def _step_one(self, store_id: StoreId, store: Store, inbox: list[Input]) -> None:
        for effect in store.step(self.now_ms, inbox):
            if isinstance(effect, SendRaft):
                frame = bytes(encode_envelopes(effect.envelopes))
                self.inboxes[effect.to_store].append(RaftReceived(decode_envelopes(frame)))
            elif isinstance(effect, Sync):
                self.engines[store_id].sync()
                self.inboxes[store_id].append(SyncDone(effect.sequence))
            elif isinstance(effect, Reply):
                self.answers += effect.answers
            elif isinstance(effect, ReportRegion):
                heartbeat_to_pb(effect.heartbeat).SerializeToString()
                self.reports += 1

    def settle(self) -> None:
        """Step until nobody wants to, without letting time pass."""
        while self.step():
            pass

    def rest(self, seconds: float) -> None:
        """Let virtual time pass."""
        end_ms = self.now_ms + int(seconds * 1000)
        while self.now_ms < end_ms:
            self.settle()
            self.now_ms = max(self.now_ms + 1, min(store.next_deadline_ms() for store in self.stores.values()))

    def create(self, count: int) -> None:
        """Make regions and wait until each has a leader and all sleep."""
        for inbox in self.inboxes.values():
            inbox.append(RegionsListed(make_regions(count, len(self.stores))))
        for _ in range(200):
            self.rest(self.config.election_ticks * self.config.tick_ms / 1000)
            if not any(store.awake for store in self.stores.values()):
                return
        raise SystemExit("the regions did not fall asleep")

    def leader(self, region_id: RegionId) -> tuple[StoreId, Store]:
        """Who leads the region."""
        return next(item for item in self.stores.items() if item[1].peers[region_id].is_leader)

    def put(self, region: Region) -> float:
        """Seconds from the arrival of a write to its answer, every step and sync on the way."""
        store_id, store = self.leader(region.id)
        key = region.start_key + b"/k"
        command = Write([(PUT, 0, key, b"v" * 128)], len(key) + 128)
        meta = store.peers[region.id].meta
        request = Request(1, command, region.id, region.epoch.version, meta.id, store_id)
        self.answers.clear()
        began = time.perf_counter()
        self.inboxes[store_id].append(RequestsReceived([request]))
        while not self.answers:
            if not self.step():
                raise SystemExit("a write to a sleeping region was not answered")
        return time.perf_counter() - began

    def close(self) -> None:
        """Let go of everything."""
        for store in self.stores.values():
            store.close()
        for engine in self.engines.values():
            engine.close()


def make_regions(count: int, stores: int) -> tuple[Region, ...]:
    """Regions that part the keys evenly; leaders are spread, because the first peer campaigns."""
    borders = [b"", *(b"%08d" % number for number in range(1, count)), b""]
    regions = []
    for number in range(count):
        at = [StoreId((number + turn) % stores + 1) for turn in range(stores)]
        peers = tuple(Peer(PeerId((number + 1) * 10 + store_id), store_id) for store_id in at)
        regions.append(Region(RegionId(number + 1), borders[number], borders[number + 1], INITIAL_EPOCH, peers))
    return tuple(regions)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory for a while."""
    directory = Path(tempfile.mkdtemp(prefix="flaredb-idle-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def at_rest(name: str, stores: int, count: int, seconds: float = REST_SECONDS) -> None:
    """The figures one and three."""
    with scratch() as directory:
        for config, what in ((DEFAULTS, "default settings, ticks of 1 s"), (DEMO, "the demo's, ticks of 50 ms")):
            made = Stores(directory, stores, config)
            made.create(count)
            made.cpu_seconds, made.reports = 0.0, 0
            made.rest(seconds)
            cores = made.cpu_seconds / seconds / stores
            reports = made.reports / seconds / stores
            print(f"{name}, {what}: {100 * cores:.2f} % of a core per store, {reports:.0f} reports to PD per second")
            regions = make_regions(count, stores)
            wakes = sorted(made.put(regions[number * len(regions) // WAKES]) for number in range(min(WAKES, count)))
            median, worst = 1000 * statistics.median(wakes), 1000 * wakes[-1]
            print(f"{name}, {what}: first write to a sleeping region {median:.2f} ms, at most {worst:.2f} ms")
            made.close()
    print(f"{name}: {object_bytes(stores, count) / MIB:.1f} MiB of Python objects per store")


def object_bytes(stores: int, count: int) -> float:
    """Bytes of Python objects per store, once its regions sleep; what RocksDB takes is not among them."""
    with scratch() as directory:
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        made = Stores(directory, stores, DEFAULTS)
        made.create(count)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        made.close()
    return (after - before) / stores


def restart(entries: int = RESTART_ENTRIES) -> None:
    """See the module."""
    config = replace(DEFAULTS, log_gc_threshold=10 * entries, log_count_max=10 * entries, log_size_bytes_max=1 << 40)
    with scratch() as directory:
        made = Stores(directory, 1, config)
        [region] = make_regions(1, 1)
        made.inboxes[StoreId(1)].append(RegionsListed((region,)))
        made.settle()
        node = made.stores[StoreId(1)].peers[region.id].node
        payload = encode_write(region.epoch.version, [(PUT, 0, b"k", b"v" * 128)])
        for _ in range(entries // 1000):
            node.propose_batch([payload] * 1000)
            made.stores[StoreId(1)].touched.add(region.id)
            made.settle()
        # As a killed process leaves it: nothing is flushed, everything is in the log of the engine.
        copy = directory / "copy"
        shutil.copytree(directory / f"1-{config.tick_ms}", copy)
        made.close()
        began = time.perf_counter()
        engine = open_rocks(copy)
        opened = time.perf_counter()
        made.engines = {StoreId(1): engine}
        made.stores = {StoreId(1): made._open(StoreId(1))}
        loaded = time.perf_counter()
        made.settle()
        made.put(region)
        ended = time.perf_counter()
        made.close()
    print(
        f"restart with {entries:,} log entries: {ended - began:.2f} s until the first write is answered "
        f"(RocksDB {opened - began:.2f} s, the store's state {loaded - opened:.2f} s)"
    )


def processes(count: int, seconds: float) -> None:
    """See the module."""
    with Demo("i,j", config=PROCESS_CONFIG) as demo:
        cluster = Cluster(demo)
        # All leaders will be where the first region's is: PD would move one after the other, and wake them.
        hold_still(Pd(cluster.pd_address))
        for first in range(0, count - 3, 1_000):
            cluster.split([b"i/%06d" % number for number in range(first, min(first + 1_000, count - 3))])
            cluster.await_regions(min(first + 1_003, count))
        pause(3 * seconds)
        before = [cpu_seconds([pid]) for pid in demo.pids]
        pause(seconds)
        shares = [100 * (cpu_seconds([pid]) - used) / seconds for pid, used in zip(demo.pids, before, strict=True)]
        size = cluster.uss_bytes() / 3 / MIB
    print(
        f"processes, {count:,} regions on each of three stores: {max(shares):.2f} % of a core where all are led, "
        f"{min(shares):.2f} % where none is, {sum(shares) / 3:.2f} % on average; {size:.0f} MiB each"
    )


PROCESS_CONFIG = """\
[raftstore]
raft-base-tick-interval = "1s"
pd-heartbeat-tick-interval = "60s"
abnormal-leader-missing-duration = "2m"
"""


def main(argv: list[str] | None = None) -> None:
    """Print the figures asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(FIGURES), help="with commas between")
    parser.add_argument("--regions", type=int, default=10_000)
    parser.add_argument("--entries", type=int, default=RESTART_ENTRIES)
    parser.add_argument("--seconds", type=float, default=REST_SECONDS, help="of rest, virtual or real")
    arguments = parser.parse_args(argv)
    figures = arguments.only.split(",")
    if not set(figures) <= set(FIGURES):
        parser.error(f"--only takes some of {','.join(FIGURES)}")
    if "one" in figures:
        at_rest("one store", 1, arguments.regions, arguments.seconds)
    if "three" in figures:
        at_rest("three stores", 3, arguments.regions, arguments.seconds)
    if "restart" in figures:
        restart(arguments.entries)
    if "processes" in figures:
        processes(arguments.regions, min(arguments.seconds, 60))


if __name__ == "__main__":
    main()
