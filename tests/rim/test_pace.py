"""When steps wait: a lone caller and frames never, a crowd of unary calls so that steps keep their distance."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

import pytest

from flaredb.model.commands import Get, Request
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.server.counters import Histogram
from flaredb.server.loop import LoopSettings, StoreLoop
from flaredb.server.pace import (
    CROWDED_CALLS,
    CROWDED_SECONDS,
    PROBE_INTERVAL_SECONDS,
    STEP_DISTANCE_SECONDS,
    Pace,
)
from flaredb.store.messages import RequestsReceived


def crowded_pace(now: float) -> Pace:
    """A pace that has just begun a step with a crowd."""
    pace = Pace()
    for waiting in range(CROWDED_CALLS):
        pace.on_call(now, waiting)
    pace.on_step(now, 0)
    return pace


def test_a_lone_caller_never_waits() -> None:
    pace, now, rng = Pace(), 100.0, random.Random(7)
    for _ in range(2_000):
        pace.on_call(now, waiting=0)
        assert pace.delay(now) == 0.0
        pace.on_step(now, waiting=0)
        now += rng.choice((0.0, 0.0001, 0.0009, 0.005, 0.03))


def test_a_call_that_finds_another_waiting_is_a_probe_and_the_next_probe_comes_later() -> None:
    pace, now = Pace(), 100.0
    pace.on_call(now, waiting=1)
    assert pace.delay(now) == STEP_DISTANCE_SECONDS
    pace.on_step(now + STEP_DISTANCE_SECONDS, waiting=1)
    now += PROBE_INTERVAL_SECONDS / 2
    pace.on_call(now, waiting=1)
    assert pace.delay(now) == 0.0, "two callers are no crowd, and the last probe was not long ago"
    pace.on_step(now, waiting=1)
    now += PROBE_INTERVAL_SECONDS
    pace.on_call(now, waiting=1)
    assert pace.delay(now) == STEP_DISTANCE_SECONDS


def test_a_probe_finds_a_crowd_and_from_then_on_steps_keep_their_distance() -> None:
    pace, now = Pace(), 100.0
    for waiting in range(1, CROWDED_CALLS + 1):
        pace.on_call(now, waiting)
    now += pace.delay(now)
    pace.on_step(now, waiting=0)
    for _ in range(50):
        last_step = now
        now += 0.0002
        pace.on_call(now, waiting=CROWDED_CALLS)
        now += pace.delay(now)
        assert abs(now - last_step - STEP_DISTANCE_SECONDS) < 1e-9
        pace.on_step(now, waiting=CROWDED_CALLS)


def test_within_a_crowd_a_step_that_is_late_anyway_does_not_wait_longer() -> None:
    pace = crowded_pace(100.0)
    assert pace.delay(100.0 + 2 * STEP_DISTANCE_SECONDS) == 0.0


def test_the_crowd_is_forgotten_when_no_call_comes() -> None:
    pace = crowded_pace(100.0)
    assert pace.delay(100.0) > 0
    later = 100.0 + CROWDED_SECONDS
    pace.on_step(later - 0.0001, waiting=100)
    assert pace.delay(later) == 0.0, "steps without calls are no sign of a crowd"


class SteppedStore:
    """Stands in for the store core; tells what each step took."""

    waiting_requests = CROWDED_CALLS

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, now_ms: int, inputs: list[Any]) -> list[Any]:
        self.steps.append(len(inputs))
        return []

    def has_work(self) -> bool:
        return False

    def next_deadline_ms(self) -> int:
        return 1 << 60


def requests(count: int) -> RequestsReceived:
    route = (RegionId(1), 1, PeerId(1), StoreId(1))
    return RequestsReceived([Request(None, Get(0, b"k"), *route) for _ in range(count)])


async def steps_at_once(*frames: int) -> list[int]:
    """What was stepped without any wait, after frames of these sizes came together: the time stands still."""
    store = SteppedStore()
    with pytest.MonkeyPatch.context() as patch:
        running = asyncio.get_running_loop()
        now = running.time()
        patch.setattr(running, "time", lambda: now)
        loop = StoreLoop(cast(Any, store), cast(Any, None), cast(Any, None), Histogram(), LoopSettings(100), lambda: 0)
        for count in frames:
            loop.submit(requests(count))
        loop.start()
        for _ in range(3):
            await asyncio.sleep(0)
        stepped = list(store.steps)
        loop.stop()
    return stepped


async def test_frames_never_wait_though_many_requests_do() -> None:
    assert await steps_at_once(2, 64, 64) == [3]


async def test_a_unary_call_among_many_waits() -> None:
    assert await steps_at_once(1) == []
