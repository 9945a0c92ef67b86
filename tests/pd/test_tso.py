"""Timestamps only grow, over restarts, power cuts and clocks that jump."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.pd.config import PdConfig
from flaredb.pd.messages import PdError, Sync, SyncDone, TakeTimestamps, Timestamps
from flaredb.pd.tso import TIMESTAMPS_PER_MS
from tests.pd.helpers import WALL_MS, Driver


def test_a_batch_is_answered_by_its_last_timestamp() -> None:
    driver = Driver()
    assert driver.ask(TakeTimestamps(10)) == Timestamps(WALL_MS, 9, 10)
    assert driver.ask(TakeTimestamps(1)) == Timestamps(WALL_MS, 10, 1)
    driver.wall_ms += 1
    assert driver.ask(TakeTimestamps(1)) == Timestamps(WALL_MS + 1, 0, 1)


def test_a_full_millisecond_is_followed_by_the_next_one() -> None:
    driver = Driver()
    driver.ask(TakeTimestamps(TIMESTAMPS_PER_MS - 1))
    assert driver.ask(TakeTimestamps(2)) == Timestamps(WALL_MS + 1, 1, 2)


def test_a_clock_set_back_does_not_show() -> None:
    driver = Driver()
    driver.ask(TakeTimestamps(1))
    driver.wall_ms -= 3_600_000
    assert driver.ask(TakeTimestamps(1)) == Timestamps(WALL_MS, 1, 1)


def test_only_a_new_bound_costs_a_sync() -> None:
    driver = Driver(PdConfig(tso_save_interval_ms=100))
    driver.ask(TakeTimestamps(1))
    syncs = 0
    for _ in range(1_000):
        driver.wall_ms += 1
        [effect] = driver.step(TakeTimestamps(1))
        if isinstance(effect, Sync):
            syncs += 1
            driver.engine.sync()
            driver.step(SyncDone(effect.sequence))
    assert syncs == 10


def test_counts_that_fit_no_millisecond_are_refused() -> None:
    driver = Driver()
    for count in (0, TIMESTAMPS_PER_MS + 1):
        assert isinstance(driver.ask(TakeTimestamps(count)), PdError)


EVENTS = st.one_of(
    st.tuples(st.just("take"), st.sampled_from([1, 2, 1_000, TIMESTAMPS_PER_MS // 2, TIMESTAMPS_PER_MS])),
    st.tuples(st.just("clock"), st.integers(-5_000, 5_000)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("power cut"), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_every_timestamp_is_above_all_before(events: list[tuple[str, int]]) -> None:
    driver = Driver(PdConfig(tso_save_interval_ms=50))
    newest = -1
    for event, number in events:
        if event == "clock":
            driver.wall_ms += number
        elif event != "take":
            driver = driver.restart(PdConfig(tso_save_interval_ms=50), power_cut=event == "power cut")
        else:
            stamps = driver.ask(TakeTimestamps(number))
            first = (stamps.physical_ms << 18) + stamps.logical - number + 1
            assert stamps.count == number
            assert stamps.logical - number + 1 >= 0
            assert stamps.logical < TIMESTAMPS_PER_MS
            assert first > newest
            newest = (stamps.physical_ms << 18) + stamps.logical
