"""One run: form, break things under load, heal, and demand that everything is back and nothing was lost."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flaredb.sim.cluster import SimCluster
from flaredb.sim.convergence import Convergence
from flaredb.sim.history import Outcome
from flaredb.sim.nemesis import Nemesis
from flaredb.sim.options import SimOptions
from flaredb.sim.world import SECOND, Sink, Violation, World

FORM_SECONDS = 60
ENOUGH_SECONDS = 60


@dataclass(slots=True)
class Report:
    """How a run ended, and what it did."""

    seed: int
    failure: str = ""
    """What went wrong, in a sentence; empty: nothing."""

    where: str = ""
    """Traceback of a failure inside the cores."""

    options: str = ""
    trace_hash: str = ""
    simulated_seconds: float = 0.0
    fault_seconds: float = 0.0
    """Of virtual time from the first fault to the end, or to the healing."""

    events: int = 0
    messages: int = 0
    deaths: int = 0
    regions: int = 0
    splits: int = 0
    moves: int = 0
    operations: int = 0
    done: int = 0
    unknown: int = 0
    excused: int = 0
    """Reads that were not checked: a leader could not know yet that clocks had gone too far apart (sim/drift.py)."""

    engine_refusals: int = 0
    """Writes refused because an engine was behind."""

    strikes: dict[str, int] = field(default_factory=dict)

    def failure_at(self) -> str:
        """When it went wrong, and after how much, for people."""
        return f"fails after {self.simulated_seconds:.1f} s and {self.events} events"

    def summary(self) -> str:
        """One line for people."""
        verdict = f"FAILED: {self.failure}" if self.failure else "ok"
        return (
            f"seed {self.seed}: {verdict} ({self.simulated_seconds:.0f} s simulated, {self.done} of {self.operations} "
            f"operations answered, {self.unknown} unknown, {self.deaths} crashes, {self.splits} splits, "
            f"{self.moves} moves, trace {self.trace_hash[:12]})"
        )


def run(options: SimOptions, sink: Sink | None = None) -> Report:
    """Run a seed to its end or its first violation."""
    world = World(options.seed, options.events_max, sink)
    report = Report(options.seed, options=options.describe())
    cluster = SimCluster(world, options)
    nemesis = Nemesis(cluster)
    try:
        with _seldom_collected():
            _run_phases(cluster, nemesis)
    except Violation as violation:
        report.failure = str(violation)
    except Exception as error:
        report.failure = f"{type(error).__name__}: {error}"
        report.where = traceback.format_exc()
    if report.failure:
        world.explain("all", "violation", report.failure)
    report.trace_hash = world.trace_hash()
    report.simulated_seconds = world.now_us / SECOND
    if nemesis.began_us is not None:
        ended_us = world.now_us if nemesis.ended_us is None else nemesis.ended_us
        report.fault_seconds = (ended_us - nemesis.began_us) / SECOND
    report.events = world.events
    report.messages = cluster.network.sent
    report.deaths = sum(node.deaths for node in cluster.stores)
    report.regions = len(cluster.pd.core.regions) if cluster.pd.core is not None else 0
    report.splits, report.moves = cluster.invariants.splits, cluster.invariants.moves
    report.operations = len(cluster.history.records)
    report.done = cluster.history.count(Outcome.DONE)
    report.unknown = cluster.history.count(Outcome.UNKNOWN)
    report.excused = sum(record.is_excused for record in cluster.history.records)
    report.engine_refusals = sum(node.engine_refusals for node in cluster.stores)
    report.strikes = dict(sorted(nemesis.strikes.items()))
    return report


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """A run makes millions of objects and keeps some: looking for cycles among them all the time costs a tenth."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _run_phases(cluster: SimCluster, nemesis: Nemesis) -> None:
    world, options = cluster.world, cluster.options
    _form(cluster)
    world.trace("all", "phase", "faults")
    cluster.invariants.begin_count()
    cluster.add_clients()
    nemesis.start()
    world.run_until(world.now_us + options.seconds * SECOND)
    nemesis.stop()
    _see_enough(cluster)
    world.trace("all", "phase", "heal")
    cluster.heal()
    convergence = Convergence(cluster)
    convergence.run()
    cluster.history.check()


def _form(cluster: SimCluster) -> None:
    """In calm weather. Disks are as bad as they will be, for as long as that lasts well: where every fifth sync takes
    seconds, no leader may keep a quorum of four through an election timeout.
    """
    world = cluster.world
    world.trace("all", "phase", "form")
    weather, cluster.network.weather = cluster.network.weather, type(cluster.network.weather)()
    cluster.start()
    world.run_until(FORM_SECONDS * SECOND, cluster.is_formed)
    if not cluster.is_formed():
        disks = [cluster.pd.disk, *(node.disk for node in cluster.stores)]
        speeds = [disk.speed for disk in disks]
        for disk in disks:
            disk.mend()
        world.run_until(2 * FORM_SECONDS * SECOND, cluster.is_formed)
        for disk, speed in zip(disks, speeds, strict=True):
            disk.speed = speed
    if not cluster.is_formed():
        raise Violation(f"the cluster did not form within {FORM_SECONDS} s, nor once disks were well")
    cluster.network.weather = weather


def _see_enough(cluster: SimCluster) -> None:
    """Most bugs of this kind of store sit in splits and moves: no run without them. Clients go on meanwhile."""
    world, options, seen = cluster.world, cluster.options, cluster.invariants
    limit_us = world.now_us + ENOUGH_SECONDS * SECOND
    while seen.splits < options.splits_min or seen.moves < options.moves_min:
        if world.now_us >= limit_us:
            raise Violation(
                f"{seen.splits} splits and {seen.moves} moves are all that happened, though PD was asked for "
                f"{ENOUGH_SECONDS} s"
            )
        if seen.splits < options.splits_min:
            cluster.admin.split()
        if seen.moves < options.moves_min:
            cluster.admin.move()
        world.run_until(world.now_us + SECOND)
