"""Random histories of one key: what a register answered, or almost."""

from __future__ import annotations

from random import Random

from flaredb.sim.linearizability import Kind, Operation, Value


def random_history(rng: Random, operations: int, clients: int, *, swaps: bool, deletes: bool) -> list[Operation]:
    """Operations of clients that take turns at a true register, then up to three answers or spans changed.

    Values are set once. Some outcomes are unknown, and some of those never happened.
    """
    state: Value = None
    now = 0
    free_at = [0] * clients
    history: list[Operation] = []
    for number in range(operations):
        client = rng.randrange(clients)
        invoked = max(now - rng.randrange(6), free_at[client] + 1)
        now = max(now, invoked) + rng.randrange(3)
        returned: int | None = now + rng.randrange(6)
        free_at[client] = returned or 0
        op, state = _one(rng, number, state, invoked, returned, swaps=swaps, deletes=deletes)
        history.append(op)
    for _ in range(rng.randrange(4)):
        _spoil(rng, history)
    return history


def _one(
    rng: Random, number: int, state: Value, invoked: int, returned: int | None, *, swaps: bool, deletes: bool
) -> tuple[Operation, Value]:
    kind = rng.choice((Kind.READ, Kind.READ, Kind.WRITE, *((Kind.SWAP,) if swaps else ())))
    value: Value = b"%d" % number
    if deletes and kind is Kind.WRITE and rng.random() < 0.4:
        value = None
    if kind is Kind.READ:
        return Operation(kind, invoked, returned, state), state
    if rng.random() < 0.25:
        happened = rng.random() < 0.5
        expected = state if happened or rng.random() < 0.3 else b"other"
        return Operation(kind, invoked, None, value, expected), value if happened else state
    return Operation(kind, invoked, returned, value, state), value


def _spoil(rng: Random, history: list[Operation]) -> None:
    """Let an operation have another span, or a read another answer."""
    at = rng.randrange(len(history))
    op = history[at]
    if op.kind is Kind.READ and rng.random() < 0.6:
        value = rng.choice(history).value
        history[at] = Operation(op.kind, op.invoked, op.returned, value)
        return
    shift = rng.randrange(-8, 9)
    returned = None if op.returned is None else op.returned + shift
    history[at] = Operation(op.kind, op.invoked + shift, returned, op.value, op.expected)
