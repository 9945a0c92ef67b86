"""The faults, each a function that hurts one running cluster and mends it again, also when something breaks inside."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flaredb.cli.probe import ProbeFailed, applied_index, status_json
from flaredb.cli.waiting import pause, wait_until
from tests.chaos import clocks, disks, links, loss, net_faults, syncs
from tests.chaos.arena import Arena
from tests.chaos.net_faults import partitioned

STOP_THREADS_DEADLINE_S = 30.0
ENDS_BY_ITSELF_DEADLINE_S = 30.0
GROWTHS_SEEN = 2
DOWN_S = (0.1, 0.3, 1.5)
"""How long a killed store stays away."""
KILLS_IN_A_LOOP = 5
STARTING_S_MAX = 3.0
HOUR_S = 3600
ALL_STORES_SHARE = 0.2
"""Of the kills and power cuts hit every store at once."""
FULL_VALUE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and what it needs of the machine and the arena."""

    name: str
    play: Callable[[Arena], None]
    needs: Sequence[str] = ()
    on_disks: bool = False
    on_links: bool = False
    on_clocks: bool = False
    in_smoke: bool = True
    """Part of the short tests, too."""


def kill(arena: Arena) -> None:
    """SIGKILL; now and then all stores at once."""
    numbers = _victims(arena)
    for number in numbers:
        arena.cluster.store(number).child.send(signal.SIGKILL)
    for number in numbers:
        arena.cluster.kill(number)
    arena.counts["kill"] += 1
    arena.notes["SIGKILL of a store"] += len(numbers)
    pause(arena.chance.choice(DOWN_S))
    arena.restart(numbers)


def kill_in_a_loop(arena: Arena) -> None:
    """A store is killed again and again while it starts; in the end it may."""
    number = arena.pick()
    child = arena.cluster.store(number).child
    for _ in range(KILLS_IN_A_LOOP):
        child.kill()
        arena.counts["kill"] += 1
        arena.notes["SIGKILL of a store"] += 1
        child.start()
        wait_until(child.ready_path.exists, arena.chance.uniform(0, STARTING_S_MAX))
    child.kill()
    arena.restart([number])


def kill_pd(arena: Arena) -> None:
    """SIGKILL of PD: reads and writes go on without it."""
    arena.cluster.kill_pd()
    try:
        arena.wait_busy()
    finally:
        arena.cluster.restart_pd()
    arena.counts["kill PD"] += 1


def stop_and_continue(arena: Arena) -> None:
    """SIGSTOP, later SIGCONT: a leader that does not know that time has passed."""
    with paused(arena, [arena.pick()]):
        arena.rest()
    arena.counts["pause"] += 1


def cut_power(arena: Arena) -> None:
    """Power is gone for one store; in one of five cuts for all at the same time."""
    numbers = _victims(arena)
    for number in numbers:
        arena.cluster.pause(number)
    _lose_memory(arena, numbers)
    arena.counts["power cut"] += 1
    arena.notes["power lost by a store"] += len(numbers)
    arena.restart(numbers)


def fill_disk(arena: Arena) -> None:
    """No byte free on one disk: the store may stop, with the reason in its log, and comes back once there is room."""
    number = arena.pick()
    child = arena.cluster.store(number).child
    arena.load.padding_bytes = FULL_VALUE_BYTES
    try:
        with arena.disks[number].full():
            wait_until(lambda: not child.is_running(), 3.0)
    finally:
        arena.load.padding_bytes = 0
    arena.counts["full disk"] += 1
    arena.may_have_stopped.add(number)
    goes_on = _Progress(arena, number)
    wait_until(lambda: not child.is_running() or goes_on.is_seen(), ENDS_BY_ITSELF_DEADLINE_S)
    if not child.is_running():
        arena.bring_back()


def slow_syncs(arena: Arena) -> None:
    """Syncs of one store take long; the others must get on without it."""
    with syncs.injected(arena.cluster.store(arena.pick()).child.pid, syncs.SLOW):
        arena.rest()
    arena.counts["slow syncs"] += 1


def fail_syncs(arena: Arena) -> None:
    """Syncs of one store fail: it must stop at once, and what it had not synced is lost if it stands on a disk here."""
    number = arena.pick()
    child = arena.cluster.store(number).child
    with syncs.injected(child.pid, syncs.FAILING):
        ended = wait_until(lambda: not child.is_running(), ENDS_BY_ITSELF_DEADLINE_S)
    assert ended, f"store {number} goes on although its syncs fail"
    arena.counts["failing syncs"] += 1
    if arena.disks:
        _lose_memory(arena, [number])
    arena.restart([number])


def two_at_once(arena: Arena) -> None:
    """Something else happens, to any store, while one is partitioned."""
    other = arena.chance.choice([kill, cut_power, stop_and_continue])
    arena.notes[f"{other.__name__} while partitioned"] += 1
    with partitioned(arena):
        other(arena)
    arena.counts["two at once"] += 1


def set_wall_clock(arena: Arena) -> None:
    """The wall clock of one process, PD's too, jumps by an hour, later back: nobody's promises depend on it."""
    number = arena.chance.choice([0, *arena.numbers])
    ahead_s = arena.chance.choice([HOUR_S, -HOUR_S])
    arena.notes[f"clock of {'a store' if number else 'PD'} {ahead_s:+d} s"] += 1
    try:
        arena.clocks[number].set(ahead_s)
        pause(clocks.CACHE_S)
        arena.wait_busy()
        arena.rest()
    finally:
        arena.clocks[number].set(0)
    arena.counts["wall clock"] += 1


def cut_power_of_lying_disks(arena: Arena) -> None:
    """Power is gone for all stores, and nothing that they synced since the last second is on their disks.

    No store can survive this: it shows that the other faults would be noticed if they lost something.
    """
    with contextlib.ExitStack() as tracers:
        for number in arena.numbers:
            tracers.enter_context(syncs.injected(arena.cluster.store(number).child.pid, syncs.FORGOTTEN))
        arena.wait_busy()
        pause(1.0)
        arena.load.stop()
        for number in arena.numbers:
            arena.cluster.pause(number)
        _lose_memory(arena, arena.numbers)
    arena.restart(arena.numbers)


FAULTS = [
    Fault("power cut", cut_power, disks.NEEDS, on_disks=True),
    Fault("kill", kill),
    Fault("kill in a loop", kill_in_a_loop),
    Fault("kill PD", kill_pd),
    Fault("pause", stop_and_continue),
    Fault("partition", net_faults.partition, links.NEEDS, on_links=True),
    Fault("partition from PD", net_faults.partition_from_pd, links.NEEDS, on_links=True),
    Fault("partition from clients", net_faults.partition_from_clients, links.NEEDS, on_links=True),
    Fault("slow link", net_faults.slow_link, links.NEEDS, on_links=True),
    Fault("lost packets", net_faults.lose_packets, loss.NEEDS),
    Fault("wall clock", set_wall_clock, clocks.NEEDS, on_clocks=True),
    Fault("full disk", fill_disk, disks.NEEDS, on_disks=True),
    Fault("slow syncs", slow_syncs, syncs.NEEDS),
    Fault("failing syncs", fail_syncs, (*syncs.NEEDS, *disks.NEEDS), on_disks=True),
    Fault("two at once", two_at_once, disks.NEEDS, on_disks=True, on_links=True, in_smoke=False),
]


@contextlib.contextmanager
def paused(arena: Arena, numbers: Sequence[int]) -> Iterator[None]:
    """These stores are stopped by SIGSTOP for the length of the block."""
    try:
        for number in numbers:
            arena.cluster.pause(number)
        yield
    finally:
        for number in numbers:
            arena.cluster.resume(number)


def stop_threads(pid: int) -> None:
    """Wait until every thread of a process that got SIGSTOP stands still: none is inside a sync then."""

    def all_stand_still() -> bool:
        tasks = Path(f"/proc/{pid}/task").glob("*/stat")
        try:
            return all(task.read_text().rsplit(")", 1)[1].split()[0] in "TtZX" for task in tasks)
        except OSError:  # a thread has just ended
            return False

    assert wait_until(all_stand_still, STOP_THREADS_DEADLINE_S), f"process {pid} does not stop"


def _lose_memory(arena: Arena, numbers: Sequence[int]) -> None:
    """The end of these stores, whose disks keep what was on them when they stopped. Pre: stopped or ended."""
    children = {number: arena.cluster.store(number).child for number in numbers}
    try:
        for child in children.values():
            if child.is_running():
                stop_threads(child.pid)
        for number in numbers:
            arena.disks[number].freeze()
    finally:
        for child in children.values():
            child.kill()
    for number in numbers:
        arena.disks[number].thaw()


class _Progress:
    """Whether a store still applies what clients write, which one whose disk has failed does not."""

    def __init__(self, arena: Arena, number: int) -> None:
        self._address = arena.cluster.store(number).ports.status_address
        self._applied: int | None = None
        self._growths = 0

    def is_seen(self) -> bool:
        """True once it has been seen to grow twice: what was under way when the disk failed does so once."""
        try:
            applied = sum(
                applied_index(self._address, region_id) for region_id in status_json(self._address, "/regions")
            )
        except ProbeFailed:
            return False
        self._growths += self._applied is not None and applied > self._applied
        self._applied = applied
        return self._growths >= GROWTHS_SEEN


def _victims(arena: Arena) -> list[int]:
    if arena.chance.random() >= ALL_STORES_SHARE:
        return [arena.pick()]
    arena.notes["all stores at once"] += 1
    return arena.numbers
