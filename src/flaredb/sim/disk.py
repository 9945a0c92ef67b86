"""A node's disk: an engine in memory whose syncs take time, fail, or find no room, and whose crashes lose the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from flaredb.engine.base import EngineError, Pressure
from flaredb.engine.memory import Keep, MemoryEngine
from flaredb.sim.world import MS, World


@dataclass(slots=True)
class DiskSpeed:
    """How long syncs take. Zero times mean that a sync is over before the next effect."""

    sync_us_min: int = 100
    sync_us_max: int = 1_000
    slow: float = 0.0
    """Chance of a sync of up to ``slow_us_max``."""

    slow_us_max: int = 500 * MS


class Disk:
    """At most one sync is under way; a later one covers all that were asked for meanwhile, as in a real process.

    A sync makes durable what was written before it began.
    """

    def __init__(self, world: World, rng: Random, speed: DiskSpeed, name: str) -> None:
        self._world = world
        self._rng = rng
        self.speed = speed
        self.engine = MemoryEngine(name)
        self.is_full = False
        self.next_sync_fails = False
        """The next sync that ends does so with an error, as long as this process lives."""
        self._life = 0
        self._wanted = 0
        self._is_busy = False

    def open(self) -> MemoryEngine:
        """The engine as a starting process finds it."""
        if self.is_full:
            self.engine.fail_next_write()
        return self.engine

    def fill(self) -> None:
        """No room: the next write fails, and those of the next process, too."""
        self.is_full = True
        self.engine.fail_next_write()

    def make_room(self) -> None:
        """Writes of the next process work again."""
        self.is_full = False

    def owe(self, pressure: Pressure) -> None:
        """The engine is behind by so much, until it is told otherwise or the process ends."""
        self.engine.owed = pressure

    def mend(self) -> None:
        """No fault that has not shown yet will show."""
        self.make_room()
        self.next_sync_fails = False
        self.speed = DiskSpeed()
        self.owe(Pressure())

    def crash(self, keep: Keep) -> tuple[int, int]:
        """Kill the process or take its power away. Returns (batches kept, batches lost) of those not synced."""
        old = self.engine
        unsynced = old.last_sequence - old.synced_sequence
        synced = old.synced_sequence
        self.engine = old.crash(self._rng, keep)
        self.next_sync_fails = False
        self._life += 1
        self._is_busy = False
        self._wanted = 0
        kept = self.engine.synced_sequence - synced
        return kept, unsynced - kept

    def sync(self, sequence: int, done: Callable[[int], None], failed: Callable[[EngineError], None]) -> None:
        """Make everything written so far durable, then call ``done(sequence)`` or ``failed``; neither after a crash."""
        self._wanted = sequence
        if not self._is_busy:
            self._begin(done, failed)

    def _begin(self, done: Callable[[int], None], failed: Callable[[EngineError], None]) -> None:
        self._is_busy = True
        life, sequence, written = self._life, self._wanted, self.engine.last_sequence

        def finish() -> None:
            if life != self._life:
                return
            self._is_busy = False
            if self.next_sync_fails:
                self.engine.fail_next_sync()
            try:
                self.engine.sync_through(written)
            except EngineError as error:
                failed(error)
                return
            done(sequence)
            if life == self._life and not self._is_busy and self._wanted > sequence:
                self._begin(done, failed)

        self._world.after(self._latency_us(), finish)

    def _latency_us(self) -> int:
        speed, rng = self.speed, self._rng
        if speed.slow and rng.random() < speed.slow:
            return int(rng.random() * speed.slow_us_max)
        return speed.sync_us_min + int(rng.random() * (speed.sync_us_max - speed.sync_us_min))
