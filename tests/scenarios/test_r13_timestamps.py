"""R13. Timestamps went back when PD's leader changed (pd 4885, pd 8836), or a deposed leader went on to save (pd
9171).

Here one process is PD, and whoever takes its place starts from its disk: what was handed out must be below what the
disk says, before anybody has it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from flaredb.engine.base import EngineError
from flaredb.engine.rocks import open_rocks
from flaredb.pd.config import PdConfig
from flaredb.pd.messages import Answer, Effect, Fatal, TakeTimestamps, Timestamps
from flaredb.pd.state import PdState
from flaredb.pd.tso import TimestampOracle
from tests.pd.helpers import Driver
from tests.scenarios.promises import breaks, promise

HOUR_MS = 3_600_000
CONFIG = PdConfig(tso_save_interval_ms=50)


def bound_not_read() -> AbstractContextManager[Any]:
    """A PD that starts goes by its clock alone."""
    return patch.object(PdState, "tso_bound_ms", lambda self: 0)


def answers_before_the_sync() -> AbstractContextManager[Any]:
    """A new bound is written, and nobody waits until it is durable."""
    whole = PdState.write_staged

    def write_staged(self: PdState) -> bool:
        whole(self)
        return False

    return patch.object(PdState, "write_staged", write_staged)


def clock_followed_back() -> AbstractContextManager[Any]:
    """A clock that was set back takes the timestamps along."""
    whole = TimestampOracle.take

    def take(self: TimestampOracle, count: int, wall_ms: int) -> Timestamps:
        if wall_ms < self._physical_ms:
            self._physical_ms, self._next_logical = wall_ms, 0
        return whole(self, count, wall_ms)

    return patch.object(TimestampOracle, "take", take)


class Clients:
    """Everybody who gets timestamps, in the order in which they get them."""

    def __init__(self) -> None:
        self.newest = -1

    def hear(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Answer):
                self.take(effect.result)

    def take(self, stamps: Timestamps) -> None:
        last = (stamps.physical_ms << 18) + stamps.logical
        first = last - stamps.count + 1
        promise(first > self.newest, f"timestamps went back by {(self.newest - first) >> 18} ms or less than one")
        self.newest = last


def pd_changes() -> None:
    """PD hands out timestamps, is asked for more as its bound has passed, and its power goes before the sync ends. The
    next one starts on a clock that is an hour behind, and its clock is set back while it serves.
    """
    clients, driver = Clients(), Driver(CONFIG)
    clients.take(driver.ask(TakeTimestamps(10)))
    driver.wall_ms += 1_000
    clients.hear(driver.step(TakeTimestamps(10)))
    old = driver
    driver = driver.restart(CONFIG, power_cut=True)
    driver.wall_ms -= HOUR_MS
    clients.take(driver.ask(TakeTimestamps(1)))
    driver.wall_ms += 2 * HOUR_MS
    clients.take(driver.ask(TakeTimestamps(1)))
    driver.wall_ms -= 2 * HOUR_MS
    clients.take(driver.ask(TakeTimestamps(1)))
    old.wall_ms += 3 * HOUR_MS
    effects = old.step(TakeTimestamps(1))
    promise([type(effect) for effect in effects] == [Fatal], f"the old PD goes on: {effects}")


def test_r13_timestamps_only_grow_when_pd_changes_and_clocks_jump() -> None:
    pd_changes()


@pytest.mark.parametrize("removed", [bound_not_read, answers_before_the_sync, clock_followed_back])
def test_r13_without_any_of_its_guards_timestamps_go_back(removed: Any) -> None:
    breaks(pd_changes, removed, r"timestamps went back by \d+ ms")


def test_r13_a_second_pd_cannot_open_the_disk_of_the_first(tmp_path: Path) -> None:
    """So no deposed one can save: the lock is RocksDB's, and a process that is gone has none."""
    first = open_rocks(tmp_path)
    with pytest.raises(EngineError, match="in use by another process"):
        open_rocks(tmp_path)
    first.close()
    open_rocks(tmp_path).close()
