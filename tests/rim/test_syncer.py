"""One sync at a time, in line or in a thread; who asks meanwhile is served by the next; a failure is final."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flaredb.engine.base import EngineError
from flaredb.engine.memory import MemoryEngine
from flaredb.engine.rocks import open_rocks
from flaredb.engine.rocks_options import RocksOptions
from flaredb.server import syncer
from flaredb.server.counters import Histogram
from flaredb.server.syncer import ALONE_SYNC_SECONDS_MAX, Syncer, measure_sync_seconds
from tests.rim.fake_pd import eventually

DEADLINE_S = 30


class SlowEngine:
    """An engine whose syncs wait for the test, and fail where it says so."""

    def __init__(self) -> None:
        self.syncs = 0
        self.error: Exception | None = None
        self.threads: set[str] = set()
        self.sync_seconds = 0.0
        """How long each takes by the clock below."""

        self.now_s = 0.0
        self._may_end = threading.Semaphore(0)

    def sync(self) -> None:
        self.syncs += 1
        self.threads.add(threading.current_thread().name)
        assert self._may_end.acquire(timeout=DEADLINE_S)
        self.now_s += self.sync_seconds
        if self.error is not None:
            raise self.error

    def let_one_end(self) -> None:
        self._may_end.release()


class Rig:
    """A syncer, its engine, and what it said."""

    def __init__(self, inline: bool) -> None:
        self.engine = SlowEngine()
        self.durations = Histogram()
        self.done: list[int] = []
        self.failed: list[str] = []
        engine: Any = self.engine
        self.syncer = Syncer(engine, inline, self.durations)

    def sync(self, sequence: int, is_alone: bool = False) -> None:
        self.syncer.sync(sequence, self.done.append, lambda error: self.failed.append(str(error)), is_alone)

    async def sync_nine(self, seconds: float = 0.0) -> None:
        """As many as it takes to know the disk, each as long as this."""
        self.engine.sync_seconds = seconds
        for sequence in range(1, 10):
            self.sync(sequence)
            self.engine.let_one_end()
            await eventually(lambda wanted=sequence: self.done[-1:] == [wanted])  # type: ignore[misc]


@pytest.fixture
async def threaded(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Whose syncs take the time that the test says, not what the machine makes of it."""
    rig = Rig(inline=False)
    monkeypatch.setattr(syncer, "time", SimpleNamespace(perf_counter=lambda: rig.engine.now_s))
    yield rig
    for _ in range(10):
        rig.engine.let_one_end()
    rig.syncer.close()


@pytest.fixture
async def errors() -> AsyncIterator[list[Any]]:
    """What callbacks of the event loop raised."""
    seen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    yield seen
    assert seen == []


async def test_inline_sync_is_done_when_asked() -> None:
    rig = Rig(inline=True)
    rig.engine.let_one_end()
    rig.sync(3)
    assert rig.done == [3]
    assert rig.durations.count == 1
    assert rig.engine.threads == {threading.current_thread().name}
    rig.syncer.close()


async def test_sync_in_a_thread_does_not_hold_up_the_loop(threaded: Rig, errors: list[Any]) -> None:
    threaded.sync(1)
    await eventually(lambda: threaded.engine.syncs == 1)
    assert threaded.done == []
    threaded.engine.let_one_end()
    await eventually(lambda: threaded.done == [1])
    assert threading.current_thread().name not in threaded.engine.threads
    assert threaded.durations.count == 1


async def test_requests_during_a_sync_share_the_next(threaded: Rig, errors: list[Any]) -> None:
    threaded.sync(1)
    for sequence in (2, 3, 4):
        threaded.sync(sequence)
    threaded.engine.let_one_end()
    await eventually(lambda: threaded.done == [1])
    threaded.engine.let_one_end()
    await eventually(lambda: threaded.done == [1, 4])
    assert threaded.engine.syncs == 2


async def test_sync_under_way_does_not_count_for_what_was_written_after_it_began(
    threaded: Rig, errors: list[Any]
) -> None:
    threaded.sync(1)
    await eventually(lambda: threaded.engine.syncs == 1)
    threaded.sync(2)
    threaded.engine.let_one_end()
    await eventually(lambda: threaded.engine.syncs == 2)
    assert threaded.done == [1]


async def test_sync_alone_is_made_in_line_once_the_disk_has_been_fast(threaded: Rig, errors: list[Any]) -> None:
    """The hop to the thread and back costs more than it is worth where nothing else is to be done meanwhile."""
    await threaded.sync_nine()
    assert threading.current_thread().name not in threaded.engine.threads
    threaded.engine.let_one_end()
    threaded.sync(10, is_alone=True)
    assert threaded.done[-1] == 10
    assert threading.current_thread().name in threaded.engine.threads
    assert threaded.durations.count == 10


async def test_sync_alone_goes_to_the_thread_where_the_disk_is_slow(threaded: Rig, errors: list[Any]) -> None:
    await threaded.sync_nine(2 * ALONE_SYNC_SECONDS_MAX)
    threaded.sync(10, is_alone=True)
    assert threaded.done[-1] == 9
    threaded.engine.let_one_end()
    await eventually(lambda: threaded.done[-1] == 10)
    assert threading.current_thread().name not in threaded.engine.threads


async def test_sync_alone_waits_for_the_one_under_way(threaded: Rig, errors: list[Any]) -> None:
    await threaded.sync_nine()
    threaded.sync(10)
    threaded.sync(11, is_alone=True)
    assert threaded.done[-1] == 9
    for _ in range(2):
        threaded.engine.let_one_end()
    await eventually(lambda: threaded.done[-2:] == [10, 11])
    assert threaded.engine.syncs == 11


async def test_failure_of_a_sync_alone_is_final(threaded: Rig, errors: list[Any]) -> None:
    await threaded.sync_nine()
    threaded.engine.error = EngineError("input/output error")
    threaded.engine.let_one_end()
    threaded.sync(10, is_alone=True)
    threaded.sync(11)
    assert threaded.failed == ["input/output error"] * 2
    assert threaded.engine.syncs == 10


@pytest.mark.parametrize("inline", [True, False])
async def test_failure_is_final(inline: bool, errors: list[Any]) -> None:
    """After a failed sync the disk's state is unknown: a later one that succeeds would prove nothing."""
    rig = Rig(inline)
    rig.engine.error = EngineError("input/output error")
    rig.engine.let_one_end()
    rig.sync(1)
    await eventually(lambda: rig.failed)
    rig.engine.error = None
    rig.engine.let_one_end()
    rig.sync(2)
    rig.syncer.close()
    assert rig.engine.syncs == 1
    assert rig.done == []
    assert rig.failed == ["input/output error"] * 2


async def test_close_waits_for_the_sync_under_way_and_begins_no_other(errors: list[Any]) -> None:
    rig = Rig(inline=False)
    rig.sync(1)
    rig.sync(2)
    rig.engine.let_one_end()
    rig.syncer.close()
    assert rig.engine.syncs == 1
    for _ in range(10):
        await asyncio.sleep(0)
    assert rig.engine.syncs == 1


async def test_measured_time_is_that_of_real_syncs(tmp_path: Path) -> None:
    memory = MemoryEngine()
    assert measure_sync_seconds(memory) < 0.01
    rocks = open_rocks(str(tmp_path / "data"), RocksOptions())
    try:
        assert 0 < measure_sync_seconds(rocks) < DEADLINE_S
    finally:
        rocks.close()
