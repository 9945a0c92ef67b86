"""What stores and PD have in common as processes: lives that end at once, and pauses in which nothing runs."""

from __future__ import annotations

from flaredb.sim.world import SECOND, Action, World


class Process:
    """One process. Invariant: nothing that a life has planned runs in another life, or during a pause."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.life = 0
        self._paused_until_us = 0
        self._held: list[tuple[Action, int]] = []
        """What came due during a pause."""

    def begin_life(self) -> None:
        """The process starts, or ends: whatever was planned is void."""
        self.life += 1
        self._held.clear()
        self._paused_until_us = 0

    @property
    def is_paused(self) -> bool:
        """True while the process stands still."""
        return self.world.now_us < self._paused_until_us

    @property
    def last_paused_us(self) -> int:
        """When it stood still last, or will have; long ago: never."""
        return self._paused_until_us or -SECOND * 1_000

    def pause(self, duration_us: int) -> None:
        """Stand still: messages wait, time passes. A pause of 0 ends the one under way."""
        self._paused_until_us = self.world.now_us + duration_us
        self.world.at(self._paused_until_us, self._resume)

    def later(self, delay_us: int, action: Action) -> None:
        """Run ``action`` unless this life is over by then; after the pause, if there is one."""
        self.world.after(delay_us, action, self, self.life)

    def hold(self, action: Action, life: int) -> bool:
        """Implements world.Owner."""
        if self.world.now_us >= self._paused_until_us:
            return False
        self._held.append((action, life))
        return True

    def _resume(self) -> None:
        if not self.is_paused:
            held, self._held = self._held, []
            for action, life in held:
                self.world.after(0, action, self, life)
