"""The loop of a store process: collects inputs, steps the core, performs its effects.

All regions share one loop, so one step takes what every socket delivered since the last and one sync covers all of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from flaredb.model.cluster import RegionHeartbeat
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Region
from flaredb.server.counters import Histogram
from flaredb.server.idle_poll import IdlePoll
from flaredb.server.pace import Pace
from flaredb.server.syncer import Syncer
from flaredb.store.messages import (
    AskSplit,
    CheckRegion,
    Effect,
    Fatal,
    Input,
    Note,
    RaftEnvelope,
    RefreshRoutes,
    Reply,
    ReportRegion,
    ReportSplit,
    RequestsReceived,
    SendRaft,
    SendSnapshot,
    Sync,
    SyncDone,
)
from flaredb.store.store import Store

EXIT_INVARIANT_BROKEN = 70
CROWDED_SECONDS = 0.02
"""So long several requests are believed to wait, or to come at once, after several did."""

LATE_NEWS_SECONDS = 0.01
"""So long the news of a sync waits for a step to share, where nobody waits for it any more."""


class Sink(Protocol):
    """Whoever a request came from; its token is ``(sink, slot)``."""

    def answer(self, slot: int, result: Any) -> None: ...

    def flush(self) -> None:
        """Called once per step, after the last answer of that step to this sink."""
        ...


class Rim(Protocol):
    """What the loop needs around it; narrow, so that tests can stand in."""

    def send_raft(self, to_store: StoreId, envelopes: list[RaftEnvelope]) -> None: ...
    def send_snapshot(self, order: SendSnapshot) -> None: ...
    def check_region(self, region_id: RegionId) -> None: ...
    def report_region(self, heartbeat: RegionHeartbeat) -> None: ...
    def ask_split(self, region: Region, count: int) -> None: ...
    def report_split(self, regions: tuple[Region, ...]) -> None: ...
    def refresh_routes(self) -> None: ...
    def note(self, note: Note) -> None: ...

    def answers_given(self) -> None:
        """The sinks have all answers of a step that nothing else waits for: what they made of them can leave."""
        ...

    def fatal(self, reason: str, exit_status: int) -> None:
        """Stop the process. Nothing may leave it any more."""
        ...


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Where there is one, a clock that counts the time for which the machine was suspended: leases end meanwhile."""


def monotonic_ms() -> int:
    """Milliseconds of a clock that never goes back."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How a loop paces its steps."""

    inputs_per_step: int
    keeps_pace: bool = True
    """Steps may wait for more unary calls (see pace)."""

    idle_poll_s: float = 0.0
    """How long the loop stays awake at most after work for a single caller (see idle_poll)."""


class StoreLoop:
    """Owns the store core. ``submit`` never waits; use it on the event loop's thread only."""

    def __init__(
        self,
        store: Store,
        syncer: Syncer,
        rim: Rim,
        steps: Histogram,
        settings: LoopSettings,
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.store = store
        self._steps = steps
        self._syncer = syncer
        self._rim = rim
        self._inputs_per_step = settings.inputs_per_step
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self.idle_poll = IdlePoll(self._loop.call_soon, settings.idle_poll_s)
        self._inbox: list[Input] = []
        self._pace = Pace()
        self._keeps_pace = settings.keeps_pace
        self._is_started = False
        self._is_scheduled = False
        self._is_alone = False
        """A step is under way, and there is nothing else to do: it may wait for the disk, and need not wait for others.
        """
        self._crowded_until_s = 0.0
        self._late_news: list[Input] = []
        """For the next step, whenever that is, or for one of its own when the timer ends."""
        self._late_timer: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        """When the timer ends; never after ``_deadline_ms``."""
        self._deadline_ms = 0
        self._is_stopped = False

    def start(self) -> None:
        """Begin stepping. What was submitted before waits until now: whoever performs effects may not be there yet."""
        self._is_started = True
        self._schedule()

    def submit(self, item: Input) -> None:
        """Hand an input to the next step. What follows a stop is dropped."""
        if self._is_stopped:
            return
        self._inbox.append(item)
        if self._keeps_pace and isinstance(item, RequestsReceived) and len(item.requests) == 1:
            self._pace.on_call(self._loop.time(), self.store.waiting_requests)
        if not self._is_scheduled:
            self._schedule()

    def stop(self) -> None:
        """No further step, and no further effect of this one. Syncs under way finish; their news is dropped."""
        self._is_stopped = True
        self.idle_poll.forget()
        self._inbox.clear()
        self._late_news.clear()
        for timer in (self._timer, self._late_timer):
            if timer is not None:
                timer.cancel()

    def _schedule(self) -> None:
        if self._is_stopped or not self._is_started:
            return
        self._is_scheduled = True
        delay_seconds = self._pace.delay(self._loop.time())
        if delay_seconds:
            self._loop.call_later(delay_seconds, self._run)
        else:
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        if self._is_stopped:
            return
        self._is_scheduled = False
        now_s, waiting = self._loop.time(), self.store.waiting_requests
        if waiting > 1:
            self._crowded_until_s = now_s + CROWDED_SECONDS
        self._is_alone = len(self._inbox) <= 1 and now_s >= self._crowded_until_s
        self._pace.on_step(now_s, waiting)
        inputs = self._inbox[: self._inputs_per_step]
        del self._inbox[: self._inputs_per_step]
        if self._late_news:
            inputs, self._late_news = self._late_news + inputs, []
        started = time.perf_counter()
        try:
            # The clock is read after the inputs were taken: a read by lease is as of that time.
            effects = self.store.step(self._now_ms(), inputs)
            for effect in effects:
                self._perform(effect)
                if self._is_stopped:
                    return
        except Exception as error:
            self.stop()
            self._rim.fatal(f"an invariant is broken: {type(error).__name__}: {error}", EXIT_INVARIANT_BROKEN)
            raise
        self._steps.observe(time.perf_counter() - started)
        self._stay_awake(started, effects)
        self._is_alone = False
        self._plan_next()

    def _stay_awake(self, began_s: float, effects: list[Effect]) -> None:
        """After work for a single caller; not after ticks, heartbeats and other bookkeeping, and not while the thread
        syncs, which needs the interpreter to say so."""
        if not self._is_alone or self._syncer.is_busy:
            self.idle_poll.forget()
            return
        is_owed = self.store.waiting_requests > 0
        if is_owed or any(isinstance(effect, Sync | Reply) for effect in effects):
            self.idle_poll.expect(began_s, is_owed)

    def _plan_next(self) -> None:
        if self._is_stopped or self._is_scheduled:
            return
        if self._inbox or self.store.has_work():
            self._schedule()
            return
        self._deadline_ms = self.store.next_deadline_ms()
        if self._timer is None:
            self._set_timer()
        elif self._deadline_ms < self._timer_ms:
            self._timer.cancel()
            self._set_timer()

    def _set_timer(self) -> None:
        """A timer that is set is left to run, because most steps move the deadline to later, or not at all."""
        delay_ms = max(self._deadline_ms - self._now_ms(), 0)
        self._timer_ms = self._deadline_ms
        self._timer = self._loop.call_later(delay_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._is_scheduled:
            return
        if self._deadline_ms > self._now_ms():
            self._set_timer()
        else:
            self._schedule()

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, SendRaft):
            self._rim.send_raft(effect.to_store, effect.envelopes)
        elif isinstance(effect, Reply):
            _deliver(effect.answers)
            if self._is_alone:
                # Among many others answers leave a little later, so that what they bring on comes in larger pieces.
                self._rim.answers_given()
        elif isinstance(effect, Sync):
            self._syncer.sync(effect.sequence, self._on_synced, self._on_sync_failed, self._is_alone)
        elif isinstance(effect, ReportRegion):
            self._rim.report_region(effect.heartbeat)
        elif isinstance(effect, SendSnapshot):
            self._rim.send_snapshot(effect)
        elif isinstance(effect, CheckRegion):
            self._rim.check_region(effect.region_id)
        elif isinstance(effect, AskSplit):
            self._rim.ask_split(effect.region, effect.count)
        elif isinstance(effect, ReportSplit):
            self._rim.report_split(effect.regions)
        elif isinstance(effect, RefreshRoutes):
            self._rim.refresh_routes()
        elif isinstance(effect, Note):
            self._rim.note(effect)
        else:
            assert isinstance(effect, Fatal), f"unknown effect {effect!r}"
            self.stop()
            self._rim.fatal(effect.reason, effect.exit_status)

    def _on_synced(self, sequence: int) -> None:
        promises = self.store.take_promises(sequence) if self._is_alone else []
        for effect in promises:
            self._perform(effect)
        if not promises or self.store.waiting_requests:
            self.submit(SyncDone(sequence))
            return
        # Others waited for it, and need wait no longer: the rest is bookkeeping, which costs a step of its own.
        self._late_news.append(SyncDone(sequence))
        if self._late_timer is None:
            self._late_timer = self._loop.call_later(LATE_NEWS_SECONDS, self._on_late_news)

    def _on_late_news(self) -> None:
        self._late_timer = None
        if self._late_news and not self._is_scheduled:
            self._schedule()

    def _on_sync_failed(self, error: Exception) -> None:
        """Never retried: what the disk holds is unknown now (docs/adr, engine errors)."""
        self.stop()
        self._rim.fatal(f"the storage engine failed to sync: {error}", 74)


def _deliver(answers: list[tuple[Any, Any]]) -> None:
    touched: dict[Sink, None] = {}
    for (sink, slot), result in answers:
        sink.answer(slot, result)
        touched[sink] = None
    for sink in touched:
        sink.flush()
