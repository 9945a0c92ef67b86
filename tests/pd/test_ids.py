"""No id is handed out twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.pd.config import PdConfig
from flaredb.pd.ids import IDS_PER_CALL_MAX
from flaredb.pd.messages import AllocIds, PdError
from tests.pd.helpers import Driver

CONFIG = PdConfig(id_window=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 12), st.sampled_from(["restart", "power cut"])), max_size=30))
def test_ids_only_grow_whatever_happens_between(events: list[int | str]) -> None:
    driver = Driver(CONFIG)
    newest = 0
    for event in events:
        if isinstance(event, str):
            driver = driver.restart(CONFIG, power_cut=event == "power cut")
            continue
        last = driver.ask(AllocIds(event))
        assert last - event + 1 > newest
        newest = last


def test_ids_of_an_answer_that_never_left_may_be_lost_but_not_repeated() -> None:
    driver = Driver(CONFIG)
    assert driver.ask(AllocIds(5)) == 5
    driver.step(AllocIds(20))
    twin = driver.restart(CONFIG, power_cut=True)
    assert twin.ask(AllocIds()) > 5


def test_counts_out_of_bounds_are_refused() -> None:
    driver = Driver()
    for count in (0, IDS_PER_CALL_MAX + 1):
        assert isinstance(driver.ask(AllocIds(count)), PdError)
