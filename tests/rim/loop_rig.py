"""A store's loop between fakes, with clocks of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from flaredb.model.cluster import RegionHeartbeat
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Region
from flaredb.server.counters import Histogram
from flaredb.server.loop import LoopSettings, StoreLoop
from flaredb.store.messages import Effect, Input, Note, SendSnapshot, StoreReached
from tests.rim.fake_pd import eventually


class FakeStore:
    """Notes what each step is given; ``answer`` decides what it asks for."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, list[Input]]] = []
        self.answer: Callable[[list[Input]], list[Effect]] = lambda inputs: []
        self.waiting_requests = 0
        self.works_left = 0
        self.promises: list[Effect] = []
        self.deadline_ms = 10**9

    def step(self, now_ms: int, inputs: list[Input]) -> list[Effect]:
        self.steps.append((now_ms, list(inputs)))
        self.works_left = max(self.works_left - 1, 0)
        return self.answer(list(inputs))

    def take_promises(self, sequence: int) -> list[Effect]:
        promises, self.promises = self.promises, []
        return promises

    def has_work(self) -> bool:
        return self.works_left > 0

    def next_deadline_ms(self) -> int:
        return self.deadline_ms

    @property
    def inputs(self) -> list[Input]:
        return [item for _, inputs in self.steps for item in inputs]


class FakeSyncer:
    """Syncs when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Callable[[int], None], Callable[[Exception], None]]] = []
        self.were_alone: list[bool] = []
        self.is_inline = False
        self.is_busy = False
        self.error: Exception | None = None

    def sync(
        self, sequence: int, done: Callable[[int], None], failed: Callable[[Exception], None], is_alone: bool
    ) -> None:
        self.asked.append((sequence, done, failed))
        self.were_alone.append(is_alone)
        if self.error is not None:
            failed(self.error)
        elif self.is_inline:
            done(sequence)


class FakeRim:
    """Everything that left, in order."""

    def __init__(self) -> None:
        self.left: list[tuple[str, Any]] = []

    def send_raft(self, to_store: StoreId, envelopes: list[Any]) -> None:
        self.left.append(("send", to_store))

    def send_snapshot(self, order: SendSnapshot) -> None:
        self.left.append(("snapshot", order.to_store))

    def check_region(self, region_id: RegionId) -> None:
        self.left.append(("check", region_id))

    def ask_split(self, region: Region, count: int) -> None:
        self.left.append(("ask split", count))

    def report_split(self, regions: tuple[Region, ...]) -> None:
        self.left.append(("report split", regions))

    def report_region(self, heartbeat: RegionHeartbeat) -> None:
        self.left.append(("report", heartbeat))

    def refresh_routes(self) -> None:
        self.left.append(("refresh", None))

    def note(self, note: Note) -> None:
        self.left.append(("note", note.event))

    def answers_given(self) -> None:
        self.left.append(("answers", None))

    def fatal(self, reason: str, exit_status: int) -> None:
        self.left.append(("fatal", (reason, exit_status)))


class FakeSink:
    """Notes answers and flushes in one list, shared by all sinks of a test."""

    def __init__(self, name: str, seen: list[tuple[Any, ...]]) -> None:
        self._name = name
        self._seen = seen

    def answer(self, slot: int, result: Any) -> None:
        self._seen.append((self._name, slot, result))

    def flush(self) -> None:
        self._seen.append((self._name, "flush"))


class FakeTimer:
    """One call that was asked for by ``call_later``."""

    def __init__(self, due_s: float, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.due_s = due_s
        self.call = (callback, *arguments)

    def cancel(self) -> None:
        self.call = (lambda: None,)


class FakeTime:
    """The event loop's face to a StoreLoop, on which time passes only when a test lets it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._timers: list[FakeTimer] = []
        self.call_soon = asyncio.get_running_loop().call_soon

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[..., object], *arguments: Any) -> FakeTimer:
        self._timers.append(FakeTimer(self.now_s + delay_s, callback, arguments))
        return self._timers[-1]

    async def passes(self, seconds: float) -> None:
        """Run what is due by then, and whatever that makes ready."""
        self.now_s += seconds
        while due := [timer for timer in self._timers if timer.due_s <= self.now_s]:
            self._timers = [timer for timer in self._timers if timer not in due]
            for timer in due:
                self.call_soon(*timer.call)
            await turn()


class Rig:
    """A loop between fakes, with clocks of its own: ``now_ms`` is the store's, ``time`` the event loop's."""

    def __init__(self, inputs_per_step: int = 100, idle_poll_s: float = 0.0) -> None:
        self.store = FakeStore()
        self.syncer = FakeSyncer()
        self.rim = FakeRim()
        self.durations = Histogram()
        self.now_ms = 0
        store: Any = self.store
        syncer: Any = self.syncer
        settings = LoopSettings(inputs_per_step, idle_poll_s=idle_poll_s)
        self.loop = StoreLoop(store, syncer, self.rim, self.durations, settings, lambda: self.now_ms)
        self.time = FakeTime()
        time: Any = self.time
        self.loop._loop = time


@asynccontextmanager
async def started_rig(idle_poll_s: float = 0.0) -> AsyncIterator[Rig]:
    """A rig whose loop has done its first step; stopped at the end."""
    made = Rig(idle_poll_s=idle_poll_s)
    made.loop.start()
    await eventually(lambda: made.store.steps)
    made.store.steps.clear()
    yield made
    made.loop.stop()


def reached(number: int) -> StoreReached:
    return StoreReached(StoreId(number))


async def turn(times: int = 5) -> None:
    """Let everything that is ready to run do so."""
    for _ in range(times):
        await asyncio.sleep(0)
