"""The checkers agree with each other and with a trial of every order, and are fast enough for long histories."""

from __future__ import annotations

import time
from random import Random

import pytest

from flaredb.sim import linearizability
from flaredb.sim.linearizability import (
    Kind,
    Operation,
    SearchTooLarge,
    check_every_order,
    check_key,
    check_search,
    check_zones,
    tighten,
)
from tests.sim.histories import random_history

READ, WRITE, SWAP = Kind.READ, Kind.WRITE, Kind.SWAP
SLICES = [pytest.param(0)] + [pytest.param(number, marks=pytest.mark.soak) for number in range(1, 10)]
HISTORIES_PER_SLICE = 3_000

TABLE = (
    ("nothing happened", [], True),
    ("a read of what was written before", [Operation(WRITE, 0, 1, b"a"), Operation(READ, 2, 3, b"a")], True),
    ("a read of nothing after a write", [Operation(WRITE, 0, 1, b"a"), Operation(READ, 2, 3, None)], False),
    ("a read beside the write sees either", [Operation(WRITE, 0, 9, b"a"), Operation(READ, 2, 3, None)], True),
    (
        "new, then old again",
        [
            Operation(WRITE, 0, 1, b"a"),
            Operation(WRITE, 2, 9, b"b"),
            Operation(READ, 3, 4, b"b"),
            Operation(READ, 5, 6, b"a"),
        ],
        False,
    ),
    ("a value from nowhere", [Operation(READ, 0, 1, b"x")], False),
    ("a value from the future", [Operation(READ, 0, 1, b"a"), Operation(WRITE, 2, 3, b"a")], False),
    ("a lost write of unknown outcome", [Operation(WRITE, 0, None, b"a"), Operation(READ, 9, 10, None)], True),
    (
        "an unknown write that comes late",
        [
            Operation(WRITE, 0, None, b"a"),
            Operation(WRITE, 1, 2, b"b"),
            Operation(READ, 3, 4, b"b"),
            Operation(READ, 5, 6, b"a"),
        ],
        True,
    ),
    (
        "an unknown write that comes and goes and comes",
        [
            Operation(WRITE, 0, None, b"a"),
            Operation(READ, 1, 2, b"a"),
            Operation(WRITE, 3, 4, b"b"),
            Operation(READ, 5, 6, b"a"),
        ],
        False,
    ),
    (
        "two swaps from the same value",
        [Operation(SWAP, 0, 9, b"a", None), Operation(SWAP, 0, 9, b"b", None)],
        False,
    ),
    ("two swaps in a row", [Operation(SWAP, 0, 9, b"b", b"a"), Operation(SWAP, 0, 9, b"a", None)], True),
    (
        "a delete of unknown outcome explains one absence",
        [Operation(WRITE, 0, 1, b"a"), Operation(WRITE, 2, None, None), Operation(READ, 8, 9, None)],
        True,
    ),
    (
        "but not that of a later value",
        [
            Operation(WRITE, 0, 1, b"a"),
            Operation(WRITE, 2, None, None),
            Operation(READ, 8, 9, None),
            Operation(WRITE, 10, 11, b"b"),
            Operation(READ, 12, 13, None),
        ],
        False,
    ),
)


@pytest.mark.parametrize(("why", "history", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_small_histories(why: str, history: list[Operation], expected: bool) -> None:
    assert check_every_order(history) is expected
    assert (check_search(history) is None) is expected
    assert (check_key(history) is None) is expected


@pytest.mark.parametrize("slice_number", SLICES)
def test_all_checkers_agree(slice_number: int) -> None:
    rng = Random(f"histories {slice_number}")
    verdicts = {True: 0, False: 0}
    for number in range(HISTORIES_PER_SLICE):
        swaps, deletes = number % 3 == 1, number % 3 == 2
        history = random_history(rng, rng.randrange(3, 9), rng.randrange(2, 5), swaps=swaps, deletes=deletes)
        truth = check_every_order(history)
        verdicts[truth] += 1
        assert check_every_order(tighten(history)) is truth, history
        assert (check_search(history) is None) is truth, history
        if not swaps and not deletes:
            assert (check_zones(history) is None) is truth, history
    assert min(verdicts.values()) > HISTORIES_PER_SLICE // 10, verdicts


def _busy_history(operations: int, clients: int) -> list[Operation]:
    """A hot key: ``clients`` operations at a time, every one answered from a true register."""
    rng = Random("busy")
    state: bytes | None = None
    history = []
    for moment in range(operations):
        invoked, returned = moment * 10 - rng.randrange(5 * clients), moment * 10 + rng.randrange(5 * clients)
        if rng.random() < 0.3:
            state = b"%d" % moment
            history.append(Operation(WRITE, invoked, returned, state))
        else:
            history.append(Operation(READ, invoked, returned, state))
    return history


def test_a_hundred_thousand_operations_on_one_hot_key() -> None:
    history = _busy_history(100_000, 50)
    started = time.process_time()
    assert check_key(history) is None
    assert time.process_time() - started < 2.0
    late = history[-1].invoked + 1_000
    stale = next(op.value for op in history if op.kind is WRITE)
    assert check_key([*history, Operation(READ, late, late + 1, stale)]) is not None


def test_the_search_takes_long_histories_of_few_clients() -> None:
    history = [*_busy_history(4_000, 4), Operation(WRITE, 50_000, 50_001, None)]
    started = time.process_time()
    assert check_key(history) is None
    assert time.process_time() - started < 2.0


def crowd(writers: int) -> list[Operation]:
    """Writes that all run at the same time, two reads beside them of each, and one later that saw the first asked."""
    writes = [Operation(WRITE, at, 1_000 + at, b"%d" % at) for at in range(writers)]
    reads = [Operation(READ, 500 + at, 1_500 + at, b"%d" % (at // 2)) for at in range(2 * writers)]
    return [*writes, *reads, Operation(READ, 3_000, 3_001, b"0")]


def test_what_many_clients_do_at_a_time_is_searched_in_few_states() -> None:
    """Seed 9005282: eleven writes at a time took more states than a search may have."""
    history = crowd(14)
    assert check_search(history, states_max=3 * len(history)) is None
    history[-1] = Operation(READ, 3_000, 3_001, b"nobody's")
    assert check_search(history) is not None


def test_swaps_that_nobody_saw_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearizability, "STATES_MAX", 0)
    history = [*crowd(14), Operation(SWAP, 2_000, None, b"unseen", b"3"), Operation(SWAP, 2_000, None, b"unseen", None)]
    assert check_key(history) is None
    history += [Operation(READ, -2, -1, None), Operation(WRITE, 2_000, None, None)]
    with pytest.raises(SearchTooLarge):
        check_key(history)
