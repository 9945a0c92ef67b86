"""The network between stores, PD and clients: what is lost, late, doubled, out of order or cut off.

Ends are named ``s1``, ``pd``, ``c3``. What is sent is bytes, or something that nobody changes any more; ``arrive`` is
called when it gets there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from flaredb.sim.world import MS, Action, World


@dataclass(slots=True)
class Weather:
    """How well messages travel between stores. Chances are per message."""

    delay_us_min: int = 100
    delay_us_max: int = 1_000
    loss: float = 0.0
    doubling: float = 0.0
    reordering: float = 0.0
    """Chance that a message does not wait for those sent before it."""

    stragglers: float = 0.0
    """Chance of a delay of up to ``straggler_us_max``."""

    straggler_us_max: int = 200 * MS


class Network:
    """Decides the fate of every message. Cuts are by direction, so that a link may work one way only."""

    def __init__(self, world: World, weather: Weather) -> None:
        self._world = world
        self._rng: Random = world.rng("network")
        self.weather = weather
        self._cut: set[tuple[str, str]] = set()
        self._slow: dict[tuple[str, str], int] = {}
        self._last_arrival_us: dict[tuple[str, str], int] = {}
        self.sent = 0
        self.lost = 0

    def is_cut(self, source: str, target: str) -> bool:
        """True if nothing gets through in this direction."""
        return (source, target) in self._cut

    def cut(self, source: str, target: str) -> None:
        """Let nothing through in this direction."""
        self._cut.add((source, target))

    def slow_down(self, source: str, target: str, delay_us: int) -> None:
        """Add a delay in this direction."""
        self._slow[(source, target)] = delay_us

    def heal(self, source: str, target: str) -> None:
        """Undo cut and slow_down for this direction."""
        self._cut.discard((source, target))
        self._slow.pop((source, target), None)

    def heal_all(self) -> None:
        """Every link works and no message is lost; delays are small."""
        self._cut.clear()
        self._slow.clear()
        self.weather = Weather()

    def send_raft(self, source: str, target: str, arrive: Action) -> bool:
        """A message between stores: may be lost, late, doubled, out of order. False: it is known to be lost."""
        self.sent += 1
        weather, rng = self.weather, self._rng
        if (source, target) in self._cut:
            self.lost += 1
            return False
        if weather.loss and rng.random() < weather.loss:
            self.lost += 1
            return True
        self._carry(source, target, arrive)
        if weather.doubling and rng.random() < weather.doubling:
            self._carry(source, target, arrive)
        return True

    def send_call(self, source: str, target: str, arrive: Action) -> None:
        """A request or an answer on a connection: lost if it breaks, never doubled."""
        self.sent += 1
        weather, rng = self.weather, self._rng
        if (source, target) in self._cut or (weather.loss and rng.random() < weather.loss / 4):
            self.lost += 1
            return
        self._world.after(self._delay_us(source, target), arrive)

    def _carry(self, source: str, target: str, arrive: Action) -> None:
        when_us = self._world.now_us + self._delay_us(source, target)
        weather = self.weather
        if not (weather.reordering and self._rng.random() < weather.reordering):
            link = (source, target)
            when_us = max(when_us, self._last_arrival_us.get(link, 0))
            self._last_arrival_us[link] = when_us
        self._world.at(when_us, arrive)

    def _delay_us(self, source: str, target: str) -> int:
        weather, rng = self.weather, self._rng
        delay_us = weather.delay_us_min + int(rng.random() * (weather.delay_us_max - weather.delay_us_min))
        if weather.stragglers and rng.random() < weather.stragglers:
            delay_us += int(rng.random() * weather.straggler_us_max)
        return delay_us + self._slow.get((source, target), 0)


Arrive = Callable[[bytes], None]
