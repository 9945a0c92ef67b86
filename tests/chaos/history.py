"""What clients of a real cluster asked and were told, recorded so that a checker can judge it."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from enum import Enum

from flaredb.sim.linearizability import Kind, Operation, SearchTooLarge, Value, check_key

RATE_MIN = 50
"""Successful operations per second without which a fault proves nothing."""
UNKNOWN_SHARE_MAX = 0.30
"""Part of all operations whose outcome may stay unknown in a run that proves something."""


class Outcome(Enum):
    """What a client knows of an operation."""

    UNKNOWN = "unknown"
    DONE = "done"
    REFUSED = "refused"
    """The store said that it did not, and will not, do it. If it did all the same, a read will show."""


@dataclass(slots=True)
class Call:
    """One operation from its invocation on; unknown until somebody says otherwise. Moments number events."""

    kind: Kind
    key: bytes
    client: str
    invoked: int
    value: Value = None
    expected: Value = None
    returned: int | None = None
    outcome: Outcome = Outcome.UNKNOWN

    def as_operation(self) -> Operation:
        """The same for the checker."""
        return Operation(self.kind, self.invoked, self.returned, self.value, self.expected, self.client)


class History:
    """Calls of all clients. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.keys: set[bytes] = set()
        """Every key that somebody used."""
        self._moments = itertools.count(1)
        self._successes_s: deque[float] = deque(maxlen=RATE_MIN)

    def begin(self, kind: Kind, key: bytes, client: str, value: Value = None, expected: Value = None) -> Call:
        """Record an invocation. To be called before anything is sent."""
        call = Call(kind, key, client, next(self._moments), value, expected)
        self.calls.append(call)
        self.keys.add(key)
        return call

    def begin_scan(self, start: bytes, end: bytes, client: str) -> list[Call]:
        """Record a scan of [start, end) as what is promised of it: a read of each key, those without a row included.

        Keys that nobody has used yet count only if they turn up (``done_scan``).
        """
        known = [key for key in list(self.keys) if start <= key < end]
        return [self.begin(Kind.READ, key, client) for key in known or [start]]

    def done_scan(self, calls: list[Call], rows: dict[bytes, bytes]) -> None:
        """Every row of the range was returned."""
        first, returned = calls[0], next(self._moments)
        surprises = rows.keys() - {call.key for call in calls}
        added = [Call(Kind.READ, key, first.client, first.invoked) for key in surprises]
        for call in (*calls, *added):
            call.value, call.returned, call.outcome = rows.get(call.key), returned, Outcome.DONE
        self.calls += added
        self.keys |= surprises
        self._succeeded()

    def done_many(self, calls: list[Call], seen: dict[bytes, bytes] | None = None) -> None:
        """A batch returned; ``seen`` is what one of reads saw. It counts as one success."""
        returned = next(self._moments)
        for call in calls:
            if call.kind is Kind.READ:
                call.value = (seen or {}).get(call.key)
            call.returned, call.outcome = returned, Outcome.DONE
        self._succeeded()

    def done(self, call: Call, seen: Value = None) -> None:
        """The operation returned; ``seen`` is what a read saw."""
        if call.kind is Kind.READ:
            call.value = seen
        call.returned, call.outcome = next(self._moments), Outcome.DONE
        self._succeeded()

    def found_other(self, call: Call, found: Value) -> None:
        """A compare-and-swap returned without swapping: it was a read of what it found."""
        call.kind, call.expected = Kind.READ, None
        self.done(call, found)

    def _succeeded(self) -> None:
        self._successes_s.append(time.monotonic())

    def refused(self, call: Call) -> None:
        """The operation certainly did not and will not happen."""
        call.outcome = Outcome.REFUSED

    def is_busy(self) -> bool:
        """True if RATE_MIN operations succeeded within the last second."""
        return len(self._successes_s) == RATE_MIN and self._successes_s[0] > time.monotonic() - 1.0

    def count(self, outcome: Outcome) -> int:
        """How many writes and swaps, and reads that were answered, ended so."""
        wanted = [call for call in self.calls if call.kind is not Kind.READ or call.outcome is Outcome.DONE]
        return sum(call.outcome is outcome for call in wanted)

    def used_keys(self) -> list[bytes]:
        """Every key that somebody used."""
        return sorted(self.keys)

    def violations(self) -> list[str]:
        """One sentence for each key whose history is not linearizable. Pre: no client is at work."""
        by_key: dict[bytes, list[Operation]] = defaultdict(list)
        for call in self.calls:
            if call.outcome is not Outcome.REFUSED:
                by_key[call.key].append(call.as_operation())
        return [
            f"{key!r}: {wrong}\n{self._story(key)}"
            for key, operations in sorted(by_key.items())
            if (wrong := _check(operations))
        ]

    def _story(self, key: bytes) -> str:
        """Every call on the key, in the order of their beginnings."""
        return "\n".join(
            f"  {call.invoked}-{call.returned or '?'} {call.client} {call.kind.name} {(call.value or b'-')[:20]!r} "
            f"{call.outcome.value}"
            for call in self.calls
            if call.key == key
        )

    def summary(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{self.count(outcome):,} {outcome.value}" for outcome in Outcome)
        return f"{counts} on {len(self.used_keys())} keys"

    def check(self) -> None:
        """AssertionError if the history is not linearizable, or proves too little."""
        violations = self.violations()
        assert not violations, "not linearizable: " + "\n".join(violations[:5])
        unknown, done = self.count(Outcome.UNKNOWN), self.count(Outcome.DONE)
        assert unknown <= UNKNOWN_SHARE_MAX * (unknown + done), f"too much is unknown: {self.summary()}"


def _check(operations: list[Operation]) -> str | None:
    try:
        return check_key(operations)
    except SearchTooLarge as error:
        return f"not decided: {error}"
