"""The loop around the store core: batches, timers, answers, and stopping for good."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flaredb.model.cluster import RegionHeartbeat
from flaredb.model.commands import Get, Request
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.server.loop import CROWDED_SECONDS, EXIT_INVARIANT_BROKEN, LATE_NEWS_SECONDS
from flaredb.server.pace import STEP_DISTANCE_SECONDS
from flaredb.store.messages import (
    CheckRegion,
    Effect,
    Fatal,
    HeartbeatsWanted,
    Input,
    Note,
    RefreshRoutes,
    Reply,
    ReportRegion,
    RequestsReceived,
    SendRaft,
    SendSnapshot,
    StoreReached,
    Sync,
    SyncDone,
)
from tests.rim.fake_pd import eventually
from tests.rim.loop_rig import FakeSink, Rig, reached, started_rig, turn

REGION = Region(RegionId(7), b"", b"", INITIAL_EPOCH, (Peer(PeerId(11), StoreId(1)),))
HEARTBEAT = RegionHeartbeat(REGION, REGION.peers[0], 5)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with started_rig() as made:
        yield made


async def test_inputs_of_one_turn_share_a_step_in_their_order(rig: Rig) -> None:
    for number in range(5):
        rig.loop.submit(reached(number))
    assert rig.store.steps == []
    await turn()
    assert rig.store.steps == [(0, [reached(number) for number in range(5)])]


async def test_step_takes_a_bounded_number_of_inputs() -> None:
    rig = Rig(inputs_per_step=3)
    for number in range(8):
        rig.loop.submit(reached(number))
    rig.loop.start()
    await eventually(lambda: len(rig.store.inputs) == 8)
    rig.loop.stop()
    assert [len(inputs) for _, inputs in rig.store.steps] == [3, 3, 2]
    assert rig.store.inputs == [reached(number) for number in range(8)]


async def test_the_clock_is_read_after_the_inputs_of_a_step_were_taken(rig: Rig) -> None:
    """A read by lease is as of that time: what asked for it later, while the process stood still, is another step's."""

    def read_clock() -> int:
        rig.now_ms += 1_000
        if rig.now_ms == 1_000:
            rig.loop.submit(reached(2))
        return rig.now_ms

    rig.loop._now_ms = read_clock
    rig.loop.submit(reached(1))
    await eventually(lambda: len(rig.store.steps) == 2)
    assert [inputs for _, inputs in rig.store.steps] == [[reached(1)], [reached(2)]]


async def test_others_get_a_turn_between_the_steps_of_a_long_queue() -> None:
    rig = Rig(inputs_per_step=1)
    for number in range(3):
        rig.loop.submit(reached(number))
    steps_when_run: list[int] = []
    rig.store.answer = lambda inputs: (
        asyncio.get_running_loop().call_soon(  # type: ignore[func-returns-value]
            lambda: steps_when_run.append(len(rig.store.steps))
        )
        and []
    )  # type: ignore[assignment]
    rig.loop.start()
    await eventually(lambda: len(steps_when_run) == 3)
    rig.loop.stop()
    assert steps_when_run == [1, 2, 3]


async def test_step_is_repeated_while_the_store_has_work(rig: Rig) -> None:
    rig.store.works_left = 4
    rig.loop.submit(reached(1))
    await eventually(lambda: rig.store.works_left == 0)
    await turn()
    assert [len(inputs) for _, inputs in rig.store.steps] == [1, 0, 0, 0]


async def test_step_runs_at_the_deadline_without_inputs(rig: Rig) -> None:
    rig.store.deadline_ms = 20
    rig.loop.submit(reached(1))
    await turn()
    assert len(rig.store.steps) == 1
    await rig.time.passes(0.019)
    assert len(rig.store.steps) == 1
    rig.now_ms, rig.store.deadline_ms = 20, 10**9
    await rig.time.passes(0.0011)
    assert rig.store.steps[1:] == [(20, [])]


async def test_input_before_the_deadline_moves_it(rig: Rig) -> None:
    """One timer at most: the deadline of the last step is the one that counts."""
    rig.store.deadline_ms = 30
    rig.loop.submit(reached(1))
    await turn()
    rig.store.deadline_ms = 10**9
    rig.loop.submit(reached(2))
    await turn()
    assert len(rig.store.steps) == 2
    rig.now_ms = 60
    await rig.time.passes(0.06)
    assert len(rig.store.steps) == 2


async def test_answers_of_a_step_are_delivered_and_each_sink_flushed_once(rig: Rig) -> None:
    seen: list[tuple[Any, ...]] = []
    frame, call = FakeSink("frame", seen), FakeSink("call", seen)
    rig.store.answer = lambda inputs: [Reply([((frame, 1), b"x"), ((call, 9), None), ((frame, 2), b"y")])]
    rig.loop.submit(RequestsReceived([]))
    await turn()
    assert seen == [("frame", 1, b"x"), ("call", 9, None), ("frame", 2, b"y"), ("frame", "flush"), ("call", "flush")]
    assert rig.rim.left == [("answers", None)]


@pytest.mark.parametrize("waiting", [1, 2])
async def test_answer_of_a_call_alone_leaves_before_the_next_round_of_the_event_loop(rig: Rig, waiting: int) -> None:
    """A round reads sockets first, and the answer of a put alone would wait for them."""
    rig.store.waiting_requests = waiting
    order: list[str] = []
    rig.store.answer = lambda inputs: [Reply([((FakeSink("call", []), 1), b"x")])]
    rig.rim.answers_given = lambda: order.append("answers")  # type: ignore[method-assign]
    rig.loop.submit(RequestsReceived([]))
    asyncio.get_running_loop().call_soon(order.append, "round")
    await turn()
    assert order == (["answers", "round"] if waiting == 1 else ["round"])


async def test_effects_are_performed_in_the_order_of_the_step(rig: Rig) -> None:
    rig.store.answer = lambda inputs: [
        SendRaft(StoreId(2), []),
        Sync(4),
        SendSnapshot(StoreId(2), None, None),  # type: ignore[arg-type]
        CheckRegion(RegionId(7)),
        ReportRegion(HEARTBEAT),
        RefreshRoutes(),
        Note("leader changed"),
        SendRaft(StoreId(3), []),
    ]
    rig.loop.submit(HeartbeatsWanted())
    await turn()
    assert rig.rim.left == [
        ("send", 2),
        ("snapshot", 2),
        ("check", 7),
        ("report", HEARTBEAT),
        ("refresh", None),
        ("note", "leader changed"),
        ("send", 3),
    ]
    assert [sequence for sequence, _, _ in rig.syncer.asked] == [4]


async def test_sync_that_is_done_is_told_to_the_next_step(rig: Rig) -> None:
    rig.store.answer = lambda inputs: [] if any(isinstance(item, SyncDone) for item in inputs) else [Sync(4)]
    rig.loop.submit(reached(1))
    await turn()
    sequence, done, _ = rig.syncer.asked[0]
    done(sequence)
    await turn()
    assert rig.store.inputs == [reached(1), SyncDone(4)]


def sync_once(inputs: list[Input]) -> list[Effect]:
    """A store that asks for a sync, and is content once it is done."""
    return [] if any(isinstance(item, SyncDone) for item in inputs) else [Sync(4)]


ALONE = [
    ("one input, and nobody waits", 1, 0, True),
    ("one input that somebody waits for", 1, 1, True),
    ("one input, and others wait", 1, 2, False),
    ("two inputs", 2, 0, False),
]


@pytest.mark.parametrize(("sentence", "inputs", "waiting", "is_alone"), ALONE, ids=[row[0] for row in ALONE])
async def test_sync_is_told_whether_anything_else_waits(
    rig: Rig, sentence: str, inputs: int, waiting: int, is_alone: bool
) -> None:
    rig.store.answer = sync_once
    rig.store.waiting_requests = waiting
    for number in range(inputs):
        rig.loop.submit(reached(number))
    await turn()
    assert rig.syncer.were_alone == [is_alone]


@pytest.mark.parametrize("is_alone", [True, False])
async def test_promises_leave_right_after_a_sync_that_nothing_else_waits_for(rig: Rig, is_alone: bool) -> None:
    rig.store.answer = sync_once
    rig.store.promises = [SendRaft(StoreId(3), [])]
    rig.syncer.is_inline = True
    rig.store.waiting_requests = 0 if is_alone else 7
    rig.loop.submit(reached(1))
    await turn(1)
    assert rig.rim.left == ([("send", 3)] if is_alone else [])
    await rig.time.passes(LATE_NEWS_SECONDS)
    await turn()
    assert rig.store.inputs == [reached(1), SyncDone(4)]
    assert rig.rim.left == ([("send", 3)] if is_alone else []), "in a step the store itself sends them"


async def test_after_a_crowd_nothing_counts_as_alone_for_a_while(rig: Rig) -> None:
    """Between two frames of many requests nothing may wait for a moment."""
    rig.store.answer = sync_once
    for waiting in (2, 0):
        rig.store.waiting_requests = waiting
        rig.loop.submit(reached(1))
        await turn()
    assert rig.syncer.were_alone == [False, False]
    await rig.time.passes(2 * CROWDED_SECONDS)
    rig.loop.submit(reached(1))
    await turn()
    assert rig.syncer.were_alone == [False, False, True]


async def test_news_of_a_sync_shares_the_next_step_once_its_promises_have_left(rig: Rig) -> None:
    rig.store.answer = sync_once
    rig.store.promises = [SendRaft(StoreId(3), [])]
    rig.syncer.is_inline = True
    rig.loop.submit(reached(1))
    await turn()
    assert [inputs for _, inputs in rig.store.steps] == [[reached(1)]]
    rig.loop.submit(reached(2))
    await turn()
    assert [inputs for _, inputs in rig.store.steps] == [[reached(1)], [SyncDone(4), reached(2)]]


LATE = [
    ("others waited for it, and nobody here does", True, 0, False),
    ("a request here waits", True, 1, True),
    ("it is this store's own entry", False, 0, True),
]


@pytest.mark.parametrize(("sentence", "has_promises", "waiting", "is_soon"), LATE, ids=[row[0] for row in LATE])
async def test_news_of_a_sync_is_late_only_where_nobody_waits_for_it(
    rig: Rig, sentence: str, has_promises: bool, waiting: int, is_soon: bool
) -> None:
    rig.store.answer = sync_once
    rig.store.promises = [SendRaft(StoreId(3), [])] if has_promises else []
    rig.store.waiting_requests = waiting
    rig.syncer.is_inline = True
    rig.loop.submit(reached(1))
    await turn()
    assert len(rig.store.steps) == (2 if is_soon else 1)
    await rig.time.passes(LATE_NEWS_SECONDS)
    assert rig.store.inputs == [reached(1), SyncDone(4)]


async def test_late_news_is_dropped_by_a_stop(rig: Rig) -> None:
    rig.store.answer = sync_once
    rig.store.promises = [SendRaft(StoreId(3), [])]
    rig.syncer.is_inline = True
    rig.loop.submit(reached(1))
    await turn()
    rig.loop.stop()
    await rig.time.passes(2 * LATE_NEWS_SECONDS)
    assert len(rig.store.steps) == 1


async def test_no_promise_leaves_after_a_sync_that_failed_in_line(rig: Rig) -> None:
    rig.store.answer = lambda inputs: [Sync(1)]
    rig.store.promises = [SendRaft(StoreId(3), [])]
    rig.syncer.error = OSError("input/output error")
    rig.loop.submit(reached(1))
    await turn()
    assert [kind for kind, _ in rig.rim.left] == ["fatal"]


async def test_sync_that_fails_in_line_is_followed_by_no_step(rig: Rig) -> None:
    rig.store.answer = lambda inputs: [Sync(1)]
    rig.syncer.error = OSError("input/output error")
    rig.loop.submit(reached(1))
    await turn()
    assert rig.syncer.were_alone == [True]
    assert len(rig.store.steps) == 1


async def test_every_step_is_measured(rig: Rig) -> None:
    before = rig.durations.count
    rig.loop.submit(reached(1))
    await turn()
    assert rig.durations.count == before + 1


# ------------------------------------------------ stopping


async def test_nothing_leaves_after_a_fatal_effect(rig: Rig) -> None:
    seen: list[tuple[Any, ...]] = []
    rig.store.answer = lambda inputs: [
        Fatal("the disk is full", 74),
        SendRaft(StoreId(2), []),
        Reply([((FakeSink("call", seen), 1), b"promise")]),
    ]
    rig.loop.submit(reached(1))
    rig.loop.submit(reached(2))
    await turn()
    rig.loop.submit(reached(3))
    await turn()
    assert rig.rim.left == [("fatal", ("the disk is full", 74))]
    assert seen == []
    assert len(rig.store.steps) == 1


async def test_nothing_leaves_after_a_sync_that_failed_in_line(rig: Rig) -> None:
    rig.syncer.error = OSError("input/output error")
    rig.store.answer = lambda inputs: [SendRaft(StoreId(2), []), Sync(1), SendRaft(StoreId(3), [])]
    rig.loop.submit(reached(1))
    await turn()
    assert rig.rim.left == [
        ("send", 2),
        ("fatal", ("the storage engine failed to sync: input/output error", 74)),
    ]


async def test_sync_that_fails_later_stops_the_process(rig: Rig) -> None:
    rig.store.answer = lambda inputs: [Sync(1)]
    rig.loop.submit(reached(1))
    await turn()
    rig.syncer.asked[0][2](OSError("input/output error"))
    rig.loop.submit(reached(2))
    await turn()
    assert [kind for kind, _ in rig.rim.left] == ["fatal"]
    assert len(rig.store.steps) == 1


async def test_broken_invariant_stops_the_process(rig: Rig) -> None:
    """A store that has lost its way must not answer anybody; the trace goes to the event loop's handler."""
    traces: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: traces.append(context["exception"]))

    def break_down(inputs: list[Input]) -> list[Effect]:
        raise AssertionError("applied index went back")

    rig.store.answer = break_down
    rig.loop.submit(reached(1))
    await turn()
    rig.loop.submit(reached(2))
    await turn()
    reason = "an invariant is broken: AssertionError: applied index went back"
    assert rig.rim.left == [("fatal", (reason, EXIT_INVARIANT_BROKEN))]
    assert [str(error) for error in traces] == ["applied index went back"]
    assert len(rig.store.steps) == 1


async def test_stopped_loop_takes_no_step_and_keeps_nothing(rig: Rig) -> None:
    rig.store.deadline_ms = 1
    rig.loop.submit(reached(1))
    await turn()
    steps = len(rig.store.steps)
    rig.loop.submit(reached(2))
    rig.loop.stop()
    sink = FakeSink("call", [])
    kept = weakref.ref(sink)
    rig.loop.submit(RequestsReceived([Request((sink, 1), Get(0, b"k"), RegionId(7), 1, PeerId(11), StoreId(1))]))
    del sink
    rig.now_ms = 5
    await rig.time.passes(0.02)
    assert len(rig.store.steps) == steps
    assert kept() is None


# ------------------------------------------------ unary calls under load


async def test_calls_in_a_crowd_share_a_step(rig: Rig) -> None:
    """With others waiting, a step keeps a distance, so that calls which arrive one per turn are taken together."""
    rig.store.waiting_requests = 50
    for count in range(200):
        request = Request((None, count), Get(0, b"k"), RegionId(7), 1, PeerId(11), StoreId(1))
        rig.loop.submit(RequestsReceived([request]))
        await rig.time.passes(0.0001)
        await turn(1)
    await rig.time.passes(STEP_DISTANCE_SECONDS)
    assert len(rig.store.inputs) == 200
    assert len(rig.store.steps) < 20


async def test_lone_call_does_not_wait(rig: Rig) -> None:
    request = Request((None, 1), Get(0, b"k"), RegionId(7), 1, PeerId(11), StoreId(1))
    rig.loop.submit(RequestsReceived([request]))
    await turn(2)
    assert len(rig.store.steps) == 1


async def test_what_comes_before_the_start_waits_for_it() -> None:
    """The peer port is open before the rest of the process is there to perform what a step asks for."""
    rig = Rig()
    rig.loop.submit(StoreReached(StoreId(2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rig.store.steps == []
    rig.loop.start()
    await eventually(lambda: rig.store.inputs == [StoreReached(StoreId(2))])
