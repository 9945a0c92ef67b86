"""The table of causes, and the waits that it gives."""

from __future__ import annotations

from flaredb.client.backoff import RULES, wait_ms
from flaredb.model.outcomes import Cause


def test_every_cause_has_a_row() -> None:
    assert set(RULES) == set(Cause)


def test_only_two_causes_leave_a_writes_fate_open() -> None:
    assert {cause for cause, rule in RULES.items() if rule.unknown} == {Cause.UNDETERMINED_RESULT, Cause.ANSWER_LOST}


def test_waits_double_up_to_the_most() -> None:
    rule = RULES[Cause.KEY_NOT_IN_REGION]
    assert [wait_ms(rule, tries, 1.0) for tries in range(11)] == [2, 4, 8, 16, 32, 64, 128, 256, 500, 500, 500]
    assert wait_ms(rule, 10_000, 1.0) == 500


def test_waits_are_spread_over_their_upper_half() -> None:
    rule = RULES[Cause.SERVER_IS_BUSY]
    assert [wait_ms(rule, 1, chance) for chance in (0.0, 0.5, 0.99)] == [50, 75, 99]


def test_the_first_try_after_a_lesson_is_free() -> None:
    rule = RULES[Cause.EPOCH_NOT_MATCH]
    assert [wait_ms(rule, tries, 1.0) for tries in range(4)] == [0, 2, 4, 8]


def test_what_the_server_asks_for_is_bounded() -> None:
    rule = RULES[Cause.SERVER_IS_BUSY]
    assert [wait_ms(rule, 0, 0.0, asked) for asked in (7, 60_000)] == [7, 1_000]
