"""Makes things go wrong, as the options of the run say: what, how often, for how long.

Every fault ends by itself, and all of them when the run heals.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from flaredb.engine.base import Pressure
from flaredb.engine.memory import Keep
from flaredb.model.commands import Split
from flaredb.model.region import Region
from flaredb.sim.store_node import AIMS, Aim, StoreNode
from flaredb.sim.world import MS, SECOND
from flaredb.store.messages import SplitRequested

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster

KEEPS: tuple[Keep, ...] = ("synced", "prefix", "all")


class Nemesis:
    """Strikes from start to stop."""

    def __init__(self, cluster: SimCluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self._rng: Random = self.world.rng("nemesis")
        self._is_over = False
        self.began_us: int | None = None
        self.ended_us: int | None = None
        self._timings = self.world.rng("nemesis/timing")
        self._pressure = self.world.rng("nemesis/pressure")
        self.strikes: dict[str, int] = {}

    def start(self) -> None:
        """Begin all faults that this run has."""
        self.began_us = self.world.now_us
        faults = self.cluster.options.faults
        for name, mean_ms, strike in (
            ("crash", faults.crash_ms, self._crash),
            ("power cut", faults.power_cut_ms, self._power_cut),
            ("aim", faults.aimed_crash_ms, self._aim),
            ("pd crash", faults.pd_crash_ms, self._crash_pd),
            ("pause", faults.pause_ms, self._pause),
            ("partition", faults.partition_ms, self._partition),
            ("slow link", faults.slow_link_ms, self._slow_link),
            ("sync failure", faults.sync_failure_ms, self._fail_sync),
            ("disk full", faults.disk_full_ms, self._fill_disk),
            ("clock", faults.clock_ms, self._change_clock),
            ("split", faults.split_ms, self._split),
            ("order", faults.order_ms, self.cluster.mover.act),
            ("new store", faults.new_store_ms, self._add_store),
            ("admin", faults.admin_ms, self.cluster.admin.act),
            ("drain", faults.drain_ms, self.cluster.admin.drain),
        ):
            if mean_ms:
                self._repeat(name, mean_ms, strike, self._timings)
        if faults.pressure_ms:
            self._repeat("pressure", faults.pressure_ms, self._fall_behind, self._pressure)

    def stop(self) -> None:
        """Heal everything that can be healed at once. Pre: faults have begun."""
        self._is_over = True
        self.ended_us = self.world.now_us
        self.cluster.network.heal_all()
        for node in self.cluster.stores:
            node.aim = None
            node.pause(0)
            node.clock.set_rate(1.0)
            node.disk.mend()
        self.cluster.pd.disk.mend()
        self.cluster.pd.pause(0)
        self.world.trace("net", "heal")

    def _repeat(self, name: str, mean_ms: int, strike: Callable[[], None], timings: Random) -> None:
        def run() -> None:
            if not self._is_over:
                self.strikes[name] = self.strikes.get(name, 0) + 1
                strike()
                self._repeat(name, mean_ms, strike, timings)

        self.world.after(int(timings.expovariate(1 / mean_ms) * MS), run)

    def _later(self, delay_us: int, action: Callable[[], None]) -> None:
        def run() -> None:
            if not self._is_over:
                action()

        self.world.after(delay_us, run)

    def _victim(self) -> StoreNode:
        return self._rng.choice(self.cluster.stores)

    # ------------------------------------------------ processes

    def _crash(self) -> None:
        self._victim().die(self._rng.choice(KEEPS), "crash")

    def _power_cut(self) -> None:
        self.world.trace("all", "power cut")
        for node in self.cluster.stores:
            node.die(self._rng.choice(("synced", "prefix")), "power cut")
        self.cluster.pd.die(self._rng.choice(("synced", "prefix")), "power cut")

    def _aim(self) -> None:
        node = self._victim()
        node.aim = Aim(self._rng.choice(AIMS), self._rng.choice(KEEPS))

    def _crash_pd(self) -> None:
        self.cluster.pd.die(self._rng.choice(KEEPS), "crash")

    def _pause(self) -> None:
        duration_us = int(self._rng.choice((0.05, 0.5, 2.0, 8.0)) * self._rng.random() * SECOND)
        if self._rng.random() < 0.1:
            self.world.trace("pd", "pause", f"{duration_us}")
            self.cluster.pd.pause(duration_us)
        else:
            node = self._victim()
            self.world.trace(node.name, "pause", f"{duration_us}")
            node.pause(duration_us)

    # ------------------------------------------------ network

    def _partition(self) -> None:
        """Cut one end off, cut the ends in two halves, or cut single directions."""
        rng = self._rng
        names = [*(node.name for node in self.cluster.stores), "pd"]
        clients = [client.name for client in self.cluster.clients]
        shape = rng.choice(("one", "halves", "one way", "some"))
        rng.shuffle(names)
        if shape == "one":
            cut = [(names[0], other) for other in (*names[1:], *(clients if rng.random() < 0.5 else ()))]
        elif shape == "halves":
            middle = rng.randrange(1, len(names))
            cut = [(left, right) for left in names[:middle] for right in names[middle:]]
        elif shape == "one way":
            cut = [(names[0], other) for other in names[1:]]
        else:
            cut = [(left, right) for left in names for right in names if left < right and rng.random() < 0.4]
        if shape != "one way":
            cut += [(right, left) for left, right in cut]
        elif rng.random() < 0.5:
            cut = [(right, left) for left, right in cut]
        self.world.trace("net", "cut", " ".join(f"{left}>{right}" for left, right in cut))
        for link in cut:
            self.cluster.network.cut(*link)
        duration_us = int(rng.choice((0.3, 2.0, 10.0)) * rng.random() * SECOND)
        self._later(duration_us, lambda: self._rejoin(cut))

    def _rejoin(self, cut: list[tuple[str, str]]) -> None:
        for link in cut:
            self.cluster.network.heal(*link)
        self.world.trace("net", "rejoin", " ".join(f"{left}>{right}" for left, right in cut))

    def _slow_link(self) -> None:
        rng = self._rng
        names = [*(node.name for node in self.cluster.stores), "pd"]
        if len(names) < 2:
            return
        left, right = rng.sample(names, 2)
        delay_us = rng.choice((20, 200, 1_000)) * MS
        self.world.trace("net", "slow", f"{left}>{right} {delay_us}")
        self.cluster.network.slow_down(left, right, delay_us)
        self._later(int(rng.random() * 5 * SECOND), lambda: self.cluster.network.heal(left, right))

    # ------------------------------------------------ disks and clocks

    def _fail_sync(self) -> None:
        node = self._victim()
        if node.is_up:
            self.world.trace(node.name, "bad sync")
            node.disk.next_sync_fails = True

    def _fill_disk(self) -> None:
        node = self._victim()
        if node.is_up:
            self.world.trace(node.name, "disk full")
            node.disk.fill()
            self._later(int(self._rng.random() * 10 * SECOND), node.disk.make_room)

    def _fall_behind(self) -> None:
        """An engine owes so much that its store lets in only some of the writes, or none; for a while."""
        rng = self._pressure
        node = rng.choice(self.cluster.stores)
        limits = self.cluster.options.store.flow
        share = rng.choice((0.3, 0.7, 1.1))
        """Of the way from where refusals begin to where nothing is let in any more."""
        kind = rng.randrange(3)
        owed = Pressure(
            int(limits.memtables * (1 + share)) if kind == 0 else 0,
            int(limits.level0_files * (1 + share)) if kind == 1 else 0,
            int(limits.pending_bytes_soft + share * (limits.pending_bytes_hard - limits.pending_bytes_soft))
            if kind == 2
            else 0,
        )
        self.world.trace(node.name, "pressure", f"{owed}")
        node.disk.owe(owed)
        self._later(int(rng.random() * 6 * SECOND), lambda: node.disk.owe(Pressure()))

    def _change_clock(self) -> None:
        rng = self._rng
        if rng.random() < 0.3:
            self.cluster.pd.wall_offset_ms += rng.choice((-3_600_000, -500, 500, 3_600_000))
            return
        node = self._victim()
        if rng.random() < 0.3:
            node.clock.jump(int(rng.random() * 20_000))
        else:
            node.clock.set_rate(1 + (2 * rng.random() - 1) * self.cluster.options.clock_drift_max)

    # ------------------------------------------------ regions

    def _split(self) -> None:
        """Ask some leader to cut a region between the keys it holds."""
        leaders = [
            (node, peer.region)
            for node in self.cluster.stores
            if node.store is not None
            for peer in node.store.peers.values()
            if peer.is_leader
        ]
        if not leaders or len({region.id for _, region in leaders}) >= self.cluster.options.regions_max:
            return
        node, region = self._rng.choice(leaders)
        keys = self._split_keys(region)
        if keys:
            self.world.trace(node.name, "split", f"r{region.id} at {keys!r}")
            command = Split(keys, region.epoch.conf_ver)
            node.submit(
                SplitRequested(None, region.id, region.epoch.version, region.epoch.conf_ver, command.keys, "admin")
            )

    def _add_store(self) -> None:
        if len(self.cluster.stores) < self.cluster.options.stores_max:
            self.cluster.add_store()

    def _split_keys(self, region: Region) -> tuple[bytes, ...]:
        rng = self._rng
        found = {b"k%03d" % rng.randrange(1_000) for _ in range(rng.choice((1, 1, 2, 4)))}
        return tuple(sorted(key for key in found if region.contains(key) and key != region.start_key))
