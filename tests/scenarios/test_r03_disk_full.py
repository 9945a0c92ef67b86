"""R3. A disk was full, the error of the sync was swallowed on its way up, and acknowledged writes were lost at the next
restart (cockroach 32631).

Two guards, either of which is enough: whoever syncs hands the error up, and the process stops; and an engine that has
failed once fails for good, so nothing can be answered behind a failure that somebody missed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from random import Random
from typing import Any
from unittest.mock import patch

from flaredb.engine.base import EngineError, EngineFailed
from flaredb.engine.memory import MemoryEngine
from flaredb.model.commands import Request
from flaredb.model.ids import StoreId
from flaredb.server.counters import Histogram
from flaredb.server.loop import LoopSettings, StoreLoop
from flaredb.server.syncer import Syncer
from flaredb.store.messages import RegionsListed, RequestsReceived
from flaredb.store.store import Store
from tests.rim.fake_pd import eventually
from tests.rim.loop_rig import FakeRim, FakeSink
from tests.scenarios.promises import breaks, promise
from tests.store.harness import CONFIG, put, region
from tests.store.snapshot_files import MemorySnapshotFiles

FOUND = region(1, stores=(1,))
ENGINE_FAILED = 74


@contextlib.contextmanager
def swallowed_error() -> Iterator[None]:
    """A failed sync is reported as done."""
    whole = Syncer._timed_sync

    def timed_sync(self: Syncer) -> None:
        with contextlib.suppress(EngineError):
            whole(self)

    with patch.object(Syncer, "_timed_sync", timed_sync):
        yield


@contextlib.contextmanager
def forgiving_engine() -> Iterator[None]:
    """An engine that goes on after a failed sync, whose data it did not keep."""

    def fail(self: MemoryEngine, reason: str) -> None:
        self._failing = ""
        raise EngineFailed(reason)

    with patch.object(MemoryEngine, "_fail", fail):
        yield


@contextlib.contextmanager
def neither_guard() -> Iterator[None]:
    with swallowed_error(), forgiving_engine():
        yield


class Process:
    """The core of a store and the loop and syncer of its process, on a disk in memory; a region of its own."""

    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine
        self.rim = FakeRim()
        self.seen: list[tuple[Any, ...]] = []
        self.sink = FakeSink("client", self.seen)
        store = Store(CONFIG, StoreId(1), self.engine, Random(1), 0, MemorySnapshotFiles())
        syncer = Syncer(self.engine, inline=True, durations=Histogram())
        self.loop = StoreLoop(store, syncer, self.rim, Histogram(), LoopSettings(100))
        self.loop.submit(RegionsListed([FOUND]))
        self.loop.start()

    def put(self, number: int) -> None:
        command = put(b"key-%d" % number, b"value")
        peer = FOUND.peers[0]
        request = Request((self.sink, number), command, FOUND.id, FOUND.epoch.version, peer.id, peer.store_id)
        self.loop.submit(RequestsReceived([request]))

    def acknowledged(self) -> list[int]:
        return [seen[1] for seen in self.seen if len(seen) == 3 and seen[2] is None]

    def ends(self) -> list[tuple[str, int]]:
        """Why the process was told to end."""
        return [what for kind, what in self.rim.left if kind == "fatal"]


async def full_disk() -> None:
    process = Process(MemoryEngine())
    process.put(0)
    await eventually(lambda: process.acknowledged() == [0])
    process.engine.fail_next_sync()
    process.put(1)
    await eventually(lambda: process.ends() or 1 in process.acknowledged())
    process.loop.stop()
    acknowledged, ends = process.acknowledged(), process.ends()
    again = Process(process.engine.crash(Random(1), "synced"))
    again.put(9)
    await eventually(lambda: again.acknowledged() == [9])
    again.loop.stop()
    lost = [number for number in acknowledged if again.engine.get("default", b"key-%d" % number) is None]
    promise(not lost, f"acknowledged writes are lost after the restart: {lost}")
    promise([status for _, status in ends] == [ENGINE_FAILED], f"the process goes on with a failed disk: {ends}")


async def test_r03_a_full_disk_ends_the_process_and_loses_nothing() -> None:
    await full_disk()


async def test_r03_a_swallowed_error_is_caught_by_the_engine_that_stays_failed() -> None:
    with swallowed_error():
        await full_disk()


def test_r03_without_both_guards_acknowledged_writes_are_lost() -> None:
    breaks(lambda: asyncio.run(full_disk()), neither_guard, r"acknowledged writes are lost after the restart: \[1")
