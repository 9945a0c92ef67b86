"""What a call does after each kind of trouble, as a table; and the errors that end it."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from flaredb.client.errors import (
    ConnectionError,
    NotSupportedError,
    RequestRefusedError,
    TimeoutError,
    TtlNotEnabledError,
    UndeterminedError,
    ValueTooLargeError,
)
from flaredb.model.commands import PUT, Get, Write
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.outcomes import Cause, Failed, Lost, NotSent, Refusal
from flaredb.model.region import Peer
from tests.client.driving import AskPd, AskStore, Script, Wait, region, route, store_of

R7 = region(7, b"", b"m", version=3)
R8 = region(8, b"m", b"", version=3)
READ = Get(0, b"k")
WRITE = Write([(PUT, 0, b"k", b"v")], 2)


def read(script: Script, deadline_ms: int = 6_000) -> Any:
    return script.start(script.core.pursue(b"k", lambda _region: READ, deadline_ms))


def write(script: Script, deadline_ms: int = 6_000, **more: Any) -> Any:
    return script.start(script.core.pursue(b"k", lambda _region: WRITE, deadline_ms, **more))


def refusal(cause: Cause, **more: Any) -> Refusal:
    return Refusal(cause, f"{cause} it is", **more)


def after(step: Any) -> str:
    """A step as the table writes it."""
    if isinstance(step, Wait):
        return "wait"
    if isinstance(step, AskPd):
        return "PD"
    return f"store {store_of(step)}"


SPLIT = (region(7, b"", b"f", version=4), region(9, b"f", b"m", version=4))
MOVED = Peer(PeerId(99), StoreId(5))

REDIRECTIONS = [
    ("another leader is named: it is asked at once", refusal(Cause.NOT_LEADER, leader=R7.peers[1]), ["store 2"]),
    ("no leader is named: the next peer after a wait", refusal(Cause.NOT_LEADER), ["wait", "store 2"]),
    ("a leader is named that is no known peer: PD at once", refusal(Cause.NOT_LEADER, leader=MOVED), ["PD"]),
    ("the region has split: the right half at once", refusal(Cause.EPOCH_NOT_MATCH, regions=SPLIT), ["store 1"]),
    ("the epoch is wrong and nothing more is said: PD", refusal(Cause.EPOCH_NOT_MATCH), ["PD"]),
    ("the region is not there: PD", refusal(Cause.REGION_NOT_FOUND), ["PD"]),
    ("the key is not in the region: PD after a wait", refusal(Cause.KEY_NOT_IN_REGION), ["wait", "PD"]),
    ("another store answers at the address: PD", refusal(Cause.STORE_NOT_MATCH), ["wait", "PD"]),
    ("the replica has another id: PD", refusal(Cause.MISMATCH_PEER_ID), ["wait", "PD"]),
    ("overtaken by a change of leader: once more at once", refusal(Cause.STALE_COMMAND), ["store 1"]),
    ("busy: the same store after a wait", refusal(Cause.SERVER_IS_BUSY), ["wait", "store 1"]),
    ("no consistent read now: the same store", refusal(Cause.READ_INDEX_NOT_READY), ["wait", "store 1"]),
    ("merging: the same store", refusal(Cause.PROPOSAL_IN_MERGING_MODE), ["wait", "store 1"]),
    ("the replica is empty: the next one", refusal(Cause.REGION_NOT_INITIALIZED), ["wait", "store 2"]),
    ("a witness: the next one", refusal(Cause.IS_WITNESS), ["wait", "store 2"]),
    ("closing, or anything else: the next one", refusal(Cause.OTHER_REGION_ERROR), ["wait", "store 2"]),
    ("the connection was refused: the next one", NotSent("refused"), ["wait", "store 2"]),
    ("the store is slow: the same one", NotSent("slow", Cause.STORE_SLOW), ["wait", "store 1"]),
]


@pytest.mark.parametrize(("what", "outcome", "expected"), REDIRECTIONS, ids=[row[0] for row in REDIRECTIONS])
@pytest.mark.parametrize("start", [read, write])
def test_a_request_that_had_no_effect_is_tried_again(start: Any, what: str, outcome: Any, expected: list[str]) -> None:
    script = Script(route(R7), route(R8))
    assert after(start(script)) == "store 1"
    step = script.say(outcome)
    steps = [after(step)]
    while isinstance(step, Wait):
        script.now_ms += step.duration_ms
        step = script.say(None)
        steps.append(after(step))
    assert steps == expected


def test_a_region_that_split_is_asked_with_what_is_true_now() -> None:
    script = Script(route(R7, 2))
    read(script)
    step = script.say(refusal(Cause.EPOCH_NOT_MATCH, regions=SPLIT))
    # The key is in the right half, whose leader is taken to be where the left one's was.
    assert (step.route.region, store_of(step)) == (SPLIT[1], 2)
    assert script.say(b"value") == ("done", b"value")
    assert script.core.cache.find(b"a", script.now_ms).region == SPLIT[0]


def test_a_read_whose_answer_is_lost_goes_to_the_next_replica() -> None:
    script = Script(route(R7))
    step = read(script)
    assert step.due_ms == script.now_ms + script.core.options.read_try_ms
    step = script.skip_waits(script.say(Lost("broken")))
    assert store_of(step) == 2


def test_a_write_waits_for_its_answer_as_long_as_the_call_may_take() -> None:
    script = Script(route(R7))
    assert write(script, 6_000).due_ms == 6_000


@pytest.mark.parametrize(
    "outcome", [Lost("broken"), refusal(Cause.UNDETERMINED_RESULT)], ids=["answer lost", "the store does not know"]
)
def test_a_write_of_unknown_fate_is_never_repeated(outcome: Any) -> None:
    script = Script(route(R7))
    write(script)
    with pytest.raises(UndeterminedError) as caught:
        script.say(outcome)
    error = caught.value
    assert (error.undetermined, error.retryable, error.key, error.region_id) == (True, False, b"k", 7)
    assert "idempotent=True" in str(error)


def test_a_write_that_may_be_applied_twice_is_repeated() -> None:
    script = Script(route(R7))
    write(script, idempotent=True)
    step = script.skip_waits(script.say(Lost("broken")))
    assert store_of(step) == 2
    assert script.say(None) == ("done", None)


def test_the_errors_of_the_server_end_the_call() -> None:
    cases: list[tuple[Any, dict[str, Any], type[Exception]]] = [
        (Failed("no such thing"), {}, RequestRefusedError),
        (Failed("UNIMPLEMENTED: RawPut"), {}, NotSupportedError),
        (Failed("TTL is not enabled"), {"ttl_s": 3}, TtlNotEnabledError),
        (refusal(Cause.FLASHBACK_IN_PROGRESS), {}, RequestRefusedError),
        (refusal(Cause.RAFT_ENTRY_TOO_LARGE, size_bytes=9_000_000), {}, ValueTooLargeError),
    ]
    for outcome, more, kind in cases:
        script = Script(route(R7))
        write(script, **more)
        with pytest.raises(kind) as caught:
            script.say(outcome)
        assert not caught.value.retryable  # type: ignore[attr-defined]


def test_useless_hints_are_followed_only_so_often_without_a_wait() -> None:
    script = Script(route(R7))
    step = read(script)
    waits = 0
    for _ in range(12):
        other = R7.peers[store_of(step) % 3]
        step = script.say(refusal(Cause.NOT_LEADER, leader=other))
        waits += isinstance(step, Wait)
        step = script.skip_waits(step)
    assert waits == 9


def test_without_any_hint_pd_is_asked_after_one_round() -> None:
    script = Script(route(R7))
    step = read(script)
    asked = []
    while isinstance(step, AskStore):
        asked.append(store_of(step))
        step = script.skip_waits(script.say(refusal(Cause.NOT_LEADER)))
    assert asked == [1, 2, 3, 1]
    assert isinstance(step, AskPd)


def test_an_unknown_region_is_asked_of_pd_until_it_is_known() -> None:
    script = Script()
    step = read(script)
    assert step == AskPd(b"k", 6_000, 1, False)
    step = script.skip_waits(script.say(NotSent("PD is down", Cause.PD_UNREACHABLE)))
    assert isinstance(step, AskPd)
    step = script.skip_waits(script.say(None))
    assert isinstance(step, AskPd)
    script.core.learn([route(R7, 3)])
    assert store_of(script.say(None)) == 3


def test_the_deadline_ends_it_with_what_was_tried() -> None:
    script = Script(route(R7))
    step = read(script, deadline_ms=3_000)

    def go_on(step: Any) -> None:
        while True:
            script.now_ms += 100
            step = script.skip_waits(script.say(refusal(Cause.NOT_LEADER) if isinstance(step, AskStore) else None))

    with pytest.raises(TimeoutError) as caught:
        go_on(step)
    error = caught.value
    assert isinstance(error, builtins.TimeoutError)
    assert not isinstance(error, ConnectionError)
    assert error.retryable
    assert not error.undetermined
    assert "x NotLeader" in error.history
    assert error.history in str(error)


def test_who_reaches_nobody_is_told_so() -> None:
    script = Script()
    step = read(script, deadline_ms=2_000)

    def go_on(step: Any) -> None:
        while isinstance(step, AskPd):
            script.now_ms += 10
            step = script.skip_waits(script.say(NotSent("refused", Cause.PD_UNREACHABLE)))

    with pytest.raises(ConnectionError, match="cannot be reached"):
        go_on(step)


def test_the_last_try_comes_before_the_deadline() -> None:
    script = Script(route(R7))
    read(script, deadline_ms=1_100)
    step = script.say(refusal(Cause.SERVER_IS_BUSY, backoff_ms=900))
    assert step == Wait(50)


def test_a_server_that_says_how_long_is_believed() -> None:
    script = Script(route(R7))
    read(script)
    assert script.say(refusal(Cause.SERVER_IS_BUSY, backoff_ms=300)) == Wait(300)


def test_a_store_in_doubt_is_resolved_again() -> None:
    script = Script(route(R7))
    read(script)
    script.say(refusal(Cause.STORE_NOT_MATCH))
    assert script.dropped == [1]
