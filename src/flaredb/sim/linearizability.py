"""Is the history of one key what a single register could have answered, each operation at one moment of its span?

Keys are independent of each other, so each is checked alone. ``check_key`` chooses:

- puts and gets of values that are written once: zones, O(n log n) (Gibbons and Korach, Testing Shared Memories, 1997);
- with deletes or compare-and-swap: a search with memory (Wing and Gong 1993; Lowe, Testing for Linearizability, 2017).

What became of a write may be unknown (its answer was lost). ``tighten`` makes most of them known: a value that nobody
ever saw need not have been written, and one that was seen was written before the first answer that showed it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from operator import attrgetter

Value = bytes | None
"""None: the key is absent."""

STATES_MAX = 2_000_000
"""A search gives up after so many."""

NEVER = 1 << 62
"""Later than every moment of a history: when an unknown operation returns."""


class Kind(IntEnum):
    """What an operation does to the register."""

    READ = 0
    """Saw ``value``. A compare-and-swap that failed is a read of what it found instead."""

    WRITE = 1
    """Set ``value``; None deletes."""

    SWAP = 2
    """Found ``expected`` and set ``value``. Of unknown outcome: did so, or found something else and did nothing."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one key. Moments are any integers; one that returned at 5 does not precede one invoked at 5."""

    kind: Kind
    invoked: int
    returned: int | None
    """None: its outcome is unknown; it may have happened at any moment from ``invoked`` on, or never."""

    value: Value
    expected: Value = None
    client: str = ""
    """Who asked, for people."""


def check_key(history: Sequence[Operation], initial: Value = None) -> str | None:
    """None if the history of one key is linearizable, else one sentence that says what is wrong.

    Pre: no two writes or swaps set the same value, deletes excepted.
    """
    known = tighten(history)
    if all(op.kind is Kind.READ or (op.kind is Kind.WRITE and op.value is not None) for op in known):
        return _check_zones(known, initial)
    return _check_search(known, initial, STATES_MAX)


def tighten(history: Iterable[Operation]) -> list[Operation]:
    """The same question with fewer unknowns: unknown reads go; so do unknown writes and swaps of a value that nobody
    saw; one of a value that was seen returned when the first answer with it did. Unknown deletes stay.

    Pre: as check_key.
    """
    first_seen: dict[Value, int] = {}
    for op in history:
        if op.kind is not Kind.WRITE and op.returned is not None:
            seen = op.value if op.kind is Kind.READ else op.expected
            first_seen[seen] = min(first_seen.get(seen, NEVER), op.returned)
    # A swap of unknown outcome that somebody saw did happen: what it expected was seen, too, at that time.
    unknown_swaps = [op for op in history if op.kind is Kind.SWAP and op.returned is None and op.value is not None]
    for _ in unknown_swaps:
        changed = False
        for op in unknown_swaps:
            if first_seen.get(op.value, NEVER) < first_seen.get(op.expected, NEVER):
                first_seen[op.expected] = first_seen[op.value]
                changed = True
        if not changed:
            break
    kept = []
    for op in history:
        if op.returned is not None or (op.kind is not Kind.READ and op.value is None and None in first_seen):
            kept.append(op)
        elif op.kind is not Kind.READ and op.value is not None and op.value in first_seen:
            kept.append(replace(op, returned=max(first_seen[op.value], op.invoked)))
    return kept


# ---------------------------------------------------------------- zones


@dataclass(slots=True)
class _Cluster:
    """A write and the reads that saw it. Its zone lies between the first return and the last invocation."""

    value: Value
    written_from: int
    first_returned: int
    last_invoked: int


def check_zones(history: Iterable[Operation], initial: Value = None) -> str | None:
    """As check_key, for reads and writes of values that are set once.

    Between the first return and the last invocation of a value's operations the register must hold it (a forward
    zone): two such zones may not overlap, and no value may live only inside another's.
    """
    return _check_zones(tighten(history), initial)


def _check_zones(operations: list[Operation], initial: Value) -> str | None:
    clusters: dict[Value, _Cluster] = {initial: _Cluster(initial, -NEVER, -NEVER, -NEVER)}
    for op in operations:
        if op.kind is Kind.WRITE:
            assert op.value not in clusters, f"{op.value!r} is set twice: zones need values that are set once"
            clusters[op.value] = _Cluster(op.value, op.invoked, _end(op), op.invoked)
    for op in operations:
        if op.kind is Kind.READ:
            cluster = clusters.get(op.value)
            if cluster is None:
                return f"{_show(op)}, which nobody wrote"
            if _end(op) < cluster.written_from:
                return f"{_show(op)} before it was asked to be written, at {cluster.written_from}"
            cluster.first_returned = min(cluster.first_returned, _end(op))
            cluster.last_invoked = max(cluster.last_invoked, op.invoked)
    return _compare_zones(list(clusters.values()))


def _compare_zones(clusters: list[_Cluster]) -> str | None:
    forward = sorted((c for c in clusters if c.first_returned < c.last_invoked), key=attrgetter("first_returned"))
    for left, right in pairwise(forward):
        if right.first_returned < left.last_invoked:
            return (
                f"{left.value!r} was still seen by an operation begun at {left.last_invoked}, but {right.value!r} was "
                f"there by {right.first_returned} already, and was also seen later, at {right.last_invoked}"
            )
    starts = [cluster.first_returned for cluster in forward]
    for cluster in clusters:
        if cluster.first_returned >= cluster.last_invoked:
            at = bisect_left(starts, cluster.last_invoked) - 1
            if at >= 0 and cluster.first_returned < forward[at].last_invoked:
                return (
                    f"{cluster.value!r} was there between {cluster.last_invoked} and {cluster.first_returned}, while "
                    f"{forward[at].value!r} was seen from {forward[at].first_returned} to {forward[at].last_invoked}"
                )
    return None


# ---------------------------------------------------------------- search


class _Node:
    """The call or the return of an operation, in a list ordered by time from which calls can be lifted and put back."""

    __slots__ = ("bit", "is_call", "needs", "next", "op", "previous", "twin")

    def __init__(self, op: Operation | None, bit: int, is_call: bool) -> None:
        self.op = op
        self.bit = bit
        self.is_call = is_call
        self.needs = 0
        """Bit of the operation that must come first."""
        self.twin: _Node | None = None
        """The return of this call."""
        self.previous: _Node | None = None
        self.next: _Node | None = None


def check_search(history: Iterable[Operation], initial: Value = None, states_max: int = STATES_MAX) -> str | None:
    """As check_key, for every kind of operation. Errors: SearchTooLarge beyond ``states_max`` states.

    Two things keep it short. Of reads that could come next any may come first, and nothing else needs to be tried: they
    change nothing. And a value is not left while somebody has yet to find it: nobody sets it again.
    """
    return _check_search(tighten(history), initial, states_max)


def _check_search(known: list[Operation], initial: Value, states_max: int) -> str | None:
    operations = sorted(known, key=attrgetter("invoked"))
    head = _linked(operations)
    to_find: Counter[Value] = Counter(map(_found, operations))
    waiting = sum(op.returned is not None for op in operations)
    state, done = initial, 0
    seen: set[_Seen] = set()
    stack: list[tuple[_Node, Value]] = []
    furthest, stuck_at = 0, None
    node = head.next
    while waiting:
        if node is not None and node.is_call:
            if not _can_come_next(node, state, done, to_find):
                node = node.next
                continue
            op = node.op
            assert op is not None
            after, done_after = op.value, done | node.bit
            key = _seen_key(done_after, after)
            if key in seen:
                node = node.next
                continue
            stack.append((node, state))
            to_find[_found(op)] -= 1
            state, done = after, done_after
            seen.add(key)
            if len(seen) > states_max:
                raise SearchTooLarge(f"more than {states_max} states in a history of {len(operations)} operations")
            waiting -= node.twin is not None
            _lift(node)
            node = head.next
            continue
        if len(stack) >= furthest:
            furthest, stuck_at = len(stack), node
        if not stack:
            assert stuck_at is not None
            assert stuck_at.op is not None
            return f"{_show(stuck_at.op)}, and no order of the operations around it explains that"
        undone, state = stack.pop()
        assert undone.op is not None
        to_find[_found(undone.op)] += 1
        done &= ~undone.bit
        waiting += undone.twin is not None
        _put_back(undone)
        node = None if undone.op.kind is Kind.READ else undone.next
    return None


class SearchTooLarge(Exception):
    """The search gave up: too many operations of this key ran at a time."""


_Seen = tuple[int, int, Value]


def _seen_key(done: int, state: Value) -> _Seen:
    """What is done and the state, short: how many operations are done without a gap, and the bits from there on."""
    gapless = (~done & (done + 1)).bit_length() - 1
    return gapless, done >> gapless, state


def _found(op: Operation) -> Value:
    """The value that the operation surely found; None if that was nothing, or is not known."""
    if op.returned is None or op.kind is Kind.WRITE:
        return None
    return op.value if op.kind is Kind.READ else op.expected


def _can_come_next(node: _Node, state: Value, done: int, to_find: Counter[Value]) -> bool:
    op = node.op
    assert op is not None
    if op.kind is Kind.READ:
        return op.value == state
    if op.kind is Kind.SWAP and op.expected != state:
        return False
    if state is not None and to_find[state] > (_found(op) == state):
        return False
    return op.kind is Kind.SWAP or op.returned is not None or (op.value != state and node.needs & done == node.needs)


def _linked(operations: list[Operation]) -> _Node:
    """Calls and returns in order of time, calls first where they meet. Unknown deletes are alike: each needs the one
    before, so that only one of their orders is tried.
    """
    last_delete = 0
    events: list[tuple[int, int, int, _Node]] = []
    for number, op in enumerate(operations):
        call = _Node(op, 1 << number, True)
        events.append((op.invoked, 0, number, call))
        if op.returned is not None:
            call.twin = _Node(op, 0, False)
            events.append((op.returned, 1, number, call.twin))
        elif op.kind is Kind.WRITE:
            call.needs, last_delete = last_delete, call.bit
    events.sort(key=lambda event: event[:3])
    head = last = _Node(None, 0, False)
    for *_, node in events:
        last.next, node.previous = node, last
        last = node
    return head


def _lift(node: _Node) -> None:
    for item in (node, node.twin):
        if item is not None:
            assert item.previous is not None
            item.previous.next = item.next
            if item.next is not None:
                item.next.previous = item.previous


def _put_back(node: _Node) -> None:
    for item in (node.twin, node):
        if item is not None:
            assert item.previous is not None
            item.previous.next = item
            if item.next is not None:
                item.next.previous = item


# ---------------------------------------------------------------- brute force


def check_every_order(history: Sequence[Operation], initial: Value = None) -> bool:
    """True if linearizable. Tries every order: for histories of a few operations, as the judge of the others."""
    known = {number for number, op in enumerate(history) if op.returned is not None}

    def explains(state: Value, left: frozenset[int]) -> bool:
        if not left & known:
            return True
        end = min(_end(history[number]) for number in left)
        for number in left:
            op = history[number]
            if op.invoked > end:
                continue
            if op.kind is Kind.WRITE or (op.kind is Kind.SWAP and op.expected == state):
                after = op.value
            elif op.kind is Kind.READ and op.value == state:
                after = state
            else:
                continue
            if explains(after, left - {number}):
                return True
        return False

    return explains(initial, frozenset(range(len(history))))


def _end(op: Operation) -> int:
    return NEVER if op.returned is None else op.returned


def _show(op: Operation) -> str:
    who = f"{op.client}: " if op.client else ""
    span = f"from {op.invoked} to {'?' if op.returned is None else op.returned}"
    if op.kind is Kind.READ:
        return f"{who}a read {span} saw {op.value!r}"
    if op.kind is Kind.WRITE:
        return f"{who}a write {span} set {op.value!r}"
    return f"{who}a swap {span} found {op.expected!r} and set {op.value!r}"
