"""When a loop stays awake: after work for a single caller whose next word comes soon, on a core that nobody wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from flaredb.model.ids import StoreId
from flaredb.server.idle_poll import (
    GIVEN_SECONDS_MAX,
    REST_SECONDS_MAX,
    REST_SECONDS_MIN,
    SCORE_ENOUGH,
    SCORE_MAX,
    IdlePoll,
)
from flaredb.store.messages import Effect, Reply, SendRaft, Sync
from tests.rim.loop_rig import Rig, reached, started_rig, turn

WINDOW = 0.002
LOOK_SECONDS = 0.00001


class Clockwork:
    """A loop with a clock of its own; each look takes a hundredth of a millisecond, or what ``given_s`` says."""

    def __init__(self, window_s: float = WINDOW) -> None:
        self.now_s = 50.0
        self.given_s = LOOK_SECONDS
        self.looks = 0
        self._soon: list[Callable[[], None]] = []
        self.poll = IdlePoll(self._soon.append, window_s, lambda: self.now_s, self._give_way)

    def _give_way(self) -> None:
        self.looks += 1
        self.now_s += self.given_s

    @property
    def is_awake(self) -> bool:
        assert len(self._soon) <= 1
        return bool(self._soon)

    def sleeps_after(self, seconds: float) -> bool:
        """Let time pass, and the loop run while it is awake. True if it fell asleep before that time was over."""
        until_s = self.now_s + seconds
        while self._soon and self.now_s < until_s:
            self._soon.pop()()
        fell_asleep = not self._soon
        self.now_s = max(self.now_s, until_s)
        return fell_asleep

    def work(self, after_s: float, is_owed: bool = False) -> None:
        """Something comes that late, and is dealt with in a tenth of a millisecond."""
        self.sleeps_after(after_s)
        began_s = self.now_s
        self.now_s += 0.0001
        self.poll.expect(began_s, is_owed)

    def caller(self, calls: int, pause_s: float) -> None:
        """Requests that are answered half a millisecond later, then a pause before the next one."""
        for _ in range(calls):
            self.work(pause_s, is_owed=True)
            self.work(0.0005)


def test_a_caller_whose_next_request_comes_soon_finds_the_loop_awake() -> None:
    rig = Clockwork()
    rig.caller(SCORE_ENOUGH + 1, 0.0004)
    looks = rig.looks
    assert not rig.sleeps_after(WINDOW - 0.0002)
    assert rig.looks - looks > 100
    assert rig.sleeps_after(0.001)


def test_the_first_calls_let_it_sleep() -> None:
    rig = Clockwork()
    rig.caller(SCORE_ENOUGH - 1, 0.0004)
    assert not rig.is_awake
    assert rig.looks == 0
    assert rig.poll.polled_s == 0.0


def test_a_slow_caller_lets_it_sleep_between_requests_and_keeps_it_awake_for_the_answer() -> None:
    rig = Clockwork()
    rig.caller(3 * SCORE_MAX, 0.05)
    assert rig.sleeps_after(2 * LOOK_SECONDS), "after an answer"
    rig.work(0.05, is_owed=True)
    assert rig.is_awake, "while the followers are asked"


def test_it_stops_where_waits_become_long() -> None:
    rig = Clockwork()
    rig.caller(100, 0.0004)
    polled_s = rig.poll.polled_s
    for _ in range(3 * SCORE_MAX):
        rig.work(0.05)
    assert not rig.is_awake
    assert rig.poll.polled_s - polled_s <= SCORE_MAX * WINDOW


def test_the_time_is_told() -> None:
    """A wait that ends counts as long as it was, one in vain the window."""
    rig = Clockwork()
    rig.caller(SCORE_MAX, 0.0004)
    before_s = rig.poll.polled_s
    rig.work(0.0005)
    assert abs(rig.poll.polled_s - before_s - 0.0005) < 2 * LOOK_SECONDS
    rig.work(1.0)
    assert abs(rig.poll.polled_s - before_s - 0.0005 - WINDOW) < 2 * LOOK_SECONDS


def test_a_core_that_others_keep_is_theirs_for_a_while_and_twice_as_long_each_time() -> None:
    rig = Clockwork()
    rig.caller(SCORE_MAX, 0.0004)
    rest_s = REST_SECONDS_MIN
    for _ in range(10):
        rig.given_s = 2 * GIVEN_SECONDS_MAX
        assert rig.is_awake
        rig.sleeps_after(GIVEN_SECONDS_MAX)
        assert not rig.is_awake
        rested_s, rig.given_s = 0.0, LOOK_SECONDS
        while not rig.is_awake:
            began_s = rig.now_s
            rig.work(0.001)
            rested_s += rig.now_s - began_s
        assert rest_s <= rested_s < rest_s + 0.003
        rest_s = min(2 * rest_s, REST_SECONDS_MAX)


def test_waits_that_end_in_time_shorten_the_next_rest() -> None:
    rig = Clockwork()
    rig.caller(SCORE_MAX, 0.0004)
    for _ in range(8):
        rig.given_s = 2 * GIVEN_SECONDS_MAX
        rig.sleeps_after(GIVEN_SECONDS_MAX)
        rig.given_s = LOOK_SECONDS
        while not rig.is_awake:
            rig.work(0.001)
    rig.caller(10, 0.0004)
    rig.given_s = 2 * GIVEN_SECONDS_MAX
    rig.sleeps_after(GIVEN_SECONDS_MAX)
    rig.given_s = LOOK_SECONDS
    began_s = rig.now_s
    while not rig.is_awake:
        rig.work(0.001)
    assert rig.now_s - began_s < REST_SECONDS_MIN + 0.003


def test_what_many_bring_is_not_learnt_from() -> None:
    rig = Clockwork()
    for _ in range(3 * SCORE_MAX):
        rig.work(0.0001)
        rig.poll.forget()
    assert not rig.is_awake
    rig.caller(SCORE_MAX, 0.0004)
    assert rig.is_awake
    rig.poll.forget()
    rig.sleeps_after(LOOK_SECONDS)
    assert not rig.is_awake


def test_no_window_no_polling() -> None:
    rig = Clockwork(window_s=0.0)
    rig.caller(100, 0.0)
    assert not rig.is_awake
    assert rig.looks == 0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with started_rig(idle_poll_s=0.5) as made:
        yield made


async def do_useful_steps(rig: Rig, effects: list[Effect], times: int = 20) -> None:
    """As many steps with these effects, close to each other, for one input each."""
    rig.store.answer = lambda inputs: list(effects)
    for _ in range(times):
        rig.loop.submit(reached(1))
        await turn()


async def kept_awake(rig: Rig) -> float:
    """How long the loop was kept awake, by the next useful step."""
    await do_useful_steps(rig, [Reply([])], times=1)
    return rig.loop.idle_poll.polled_s


@pytest.mark.parametrize("effect", [Reply([]), Sync(1)], ids=["an answer", "a sync"])
async def test_the_loop_stays_awake_after_work_for_a_single_caller(rig: Rig, effect: Effect) -> None:
    await do_useful_steps(rig, [effect])
    assert rig.loop.idle_poll.polled_s > 0


async def test_the_loop_stays_awake_for_what_an_answer_waits_for(rig: Rig) -> None:
    rig.store.waiting_requests = 1
    await do_useful_steps(rig, [])
    assert rig.loop.idle_poll.polled_s > 0


async def test_bookkeeping_does_not_keep_the_loop_awake(rig: Rig) -> None:
    await do_useful_steps(rig, [SendRaft(StoreId(2), [])])
    assert await kept_awake(rig) == 0.0


async def test_many_requests_do_not_keep_the_loop_awake(rig: Rig) -> None:
    rig.store.waiting_requests = 2
    await do_useful_steps(rig, [Reply([])])
    assert await kept_awake(rig) == 0.0


async def test_the_loop_does_not_stay_awake_while_the_thread_syncs(rig: Rig) -> None:
    """It would keep the interpreter from the thread that has to say that the sync is done."""
    rig.syncer.is_busy = True
    await do_useful_steps(rig, [Sync(1)])
    assert rig.loop.idle_poll.polled_s == 0.0
    assert not rig.loop.idle_poll._is_looking


async def test_a_loop_that_was_stopped_does_not_stay_awake(rig: Rig) -> None:
    await do_useful_steps(rig, [Reply([])])
    assert rig.loop.idle_poll._is_looking
    rig.loop.stop()
    await turn()
    assert not rig.loop.idle_poll._is_looking
