"""The faults, each a function that hurts one running cluster and mends it again, also when something breaks inside."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flaredb.cli.waiting import pause, wait_until
from tests.chaos import disks, links, syncs
from tests.chaos.arena import Arena

STOP_THREADS_DEADLINE_S = 10.0
ENDS_BY_ITSELF_DEADLINE_S = 30.0
PAUSES_S = (0.3, 1.0, 3.0)
"""Shorter than an election, about as long, and much longer (elections: 0.5 to 0.8 s)."""
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
    in_smoke: bool = True
    """Part of the short tests, too."""


def kill(arena: Arena) -> None:
    """SIGKILL; now and then all stores at once."""
    numbers = _victims(arena)
    for number in numbers:
        arena.cluster.store(number).child.send(signal.SIGKILL)
    for number in numbers:
        arena.cluster.kill(number)
    _rest(arena)
    arena.restart(numbers)


def kill_pd(arena: Arena) -> None:
    """SIGKILL of PD: reads and writes go on without it."""
    arena.cluster.kill_pd()
    try:
        arena.wait_busy()
    finally:
        arena.cluster.restart_pd()


def stop_and_continue(arena: Arena) -> None:
    """SIGSTOP, later SIGCONT: a leader that does not know that time has passed."""
    with paused(arena, [arena.pick()]):
        _rest(arena)


def cut_power(arena: Arena) -> None:
    """Power is gone for one store; in one of five cuts for all at the same time."""
    numbers = _victims(arena)
    for number in numbers:
        arena.cluster.pause(number)
    _lose_memory(arena, numbers)
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
    if wait_until(lambda: not child.is_running(), 1.0):
        assert "No space left" in child.log_tail(), child.describe_end()
        arena.notes["a store stopped for lack of room"] += 1
        arena.restart([number])


def slow_syncs(arena: Arena) -> None:
    """Syncs of one store take long; the others must get on without it."""
    with syncs.injected(arena.cluster.store(arena.pick()).child.pid, syncs.SLOW):
        _rest(arena)


def fail_syncs(arena: Arena) -> None:
    """Syncs of one store fail: it must stop at once, and what it had not synced is lost if it stands on a disk here."""
    number = arena.pick()
    child = arena.cluster.store(number).child
    with syncs.injected(child.pid, syncs.FAILING):
        ended = wait_until(lambda: not child.is_running(), ENDS_BY_ITSELF_DEADLINE_S)
    assert ended, f"store {number} goes on although its syncs fail"
    if arena.disks:
        _lose_memory(arena, [number])
    arena.restart([number])


def partition(arena: Arena) -> None:
    """One store hears nobody, is heard by nobody, or both. Clients reach all of them."""
    with _partitioned(arena):
        _rest(arena)


def two_at_once(arena: Arena) -> None:
    """Something else happens, to any store, while one is partitioned."""
    other = arena.chance.choice([kill, cut_power, stop_and_continue])
    arena.notes[f"{other.__name__} while partitioned"] += 1
    with _partitioned(arena):
        other(arena)


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
    Fault("kill PD", kill_pd),
    Fault("pause", stop_and_continue),
    Fault("partition", partition, links.NEEDS, on_links=True),
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


@contextlib.contextmanager
def _partitioned(arena: Arena) -> Iterator[None]:
    """A store hears nobody, is heard by nobody, or both, for the length of the block."""
    assert arena.links is not None
    towards, away = arena.links.around(arena.pick())
    chosen = arena.chance.choice([towards + away, towards + away, towards, away])
    arena.notes["both ways" if len(chosen) > len(away) else "one way"] += 1
    with arena.links.cut(chosen):
        yield


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


def _victims(arena: Arena) -> list[int]:
    if arena.chance.random() >= ALL_STORES_SHARE:
        return [arena.pick()]
    arena.notes["all stores at once"] += 1
    return arena.numbers


def _rest(arena: Arena) -> None:
    """Let the fault last for a time drawn from the seed."""
    pause(arena.chance.choice(PAUSES_S))
