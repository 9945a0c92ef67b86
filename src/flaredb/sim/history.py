"""What clients asked and were answered, and whether one register per key explains it.

An operation is recorded when it is asked, before anything is sent: what never came back may still have happened.
A write that was refused did not happen, so whoever sees its value has found a violation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flaredb.sim.linearizability import Kind, Operation, SearchTooLarge, Value, check_key
from flaredb.sim.world import Violation, World


class Outcome(Enum):
    """What is known of an operation."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"
    """It had no effect."""

    UNKNOWN = "unknown"


@dataclass(slots=True)
class Record:
    """One operation on one key."""

    client: str
    kind: Kind
    key: bytes
    value: Value
    expected: Value
    invoked: int
    returned: int = 0
    outcome: Outcome = Outcome.OPEN
    found: Value = None
    """What a read saw, or a failed swap found."""

    failed_swap: bool = False
    invoked_us: int = 0
    is_excused: bool = False
    """A read that may have seen an old value: a leader could not know yet that clocks had gone too far apart."""


@dataclass(slots=True)
class ScanRecord:
    """One scan of a part of one region: it saw all keys of [start, end) at one moment."""

    client: str
    start: bytes
    end: bytes
    rows: list[tuple[bytes, bytes]]
    invoked: int
    returned: int


class History:
    """All operations of a run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: list[Record] = []
        self.scans: list[ScanRecord] = []

    def begin(self, client: str, kind: Kind, key: bytes, value: Value = None, expected: Value = None) -> Record:
        """An operation is about to be asked."""
        record = Record(client, kind, key, value, expected, self._world.moment(), invoked_us=self._world.now_us)
        self.records.append(record)
        return record

    def end(self, record: Record, outcome: Outcome) -> None:
        """Its answer is here, or nobody waits for it any more."""
        record.outcome = outcome
        record.returned = self._world.moment()

    def end_scan(self, client: str, start: bytes, end: bytes, rows: list[tuple[bytes, bytes]], invoked: int) -> None:
        """A scan was answered."""
        self.scans.append(ScanRecord(client, start, end, rows, invoked, self._world.moment()))

    def count(self, outcome: Outcome) -> int:
        """Operations of this outcome."""
        return sum(record.outcome is outcome for record in self.records)

    def check(self) -> None:
        """Raise Violation for the first key whose operations no register explains, or scan that saw two moments."""
        by_key = self._operations()
        for key in sorted(by_key):
            try:
                wrong = check_key(by_key[key])
            except SearchTooLarge as error:
                raise Violation(f"key {key!r}: not checked, {error}; use fewer clients or more keys") from error
            if wrong is not None:
                raise Violation(f"key {key!r} is not linearizable: {wrong}")
        windows = _windows(by_key)
        for scan in self.scans:
            _check_scan(scan, windows)

    def _operations(self) -> dict[bytes, list[Operation]]:
        by_key: dict[bytes, list[Operation]] = {}
        for record in self.records:
            operation = _operation(record)
            if operation is not None:
                by_key.setdefault(record.key, []).append(operation)
        for scan in self.scans:
            found = dict(scan.rows)
            for key, operations in by_key.items():
                if scan.start <= key < scan.end:
                    operations.append(
                        Operation(Kind.READ, scan.invoked, scan.returned, found.get(key), None, scan.client)
                    )
        return by_key


def _operation(record: Record) -> Operation | None:
    """None: it says nothing about the register."""
    if record.outcome is Outcome.REFUSED or record.is_excused:
        return None
    if record.outcome is not Outcome.DONE:
        if record.kind is Kind.READ:
            return None
        return Operation(record.kind, record.invoked, None, record.value, record.expected, record.client)
    if record.kind is Kind.READ or record.failed_swap:
        return Operation(Kind.READ, record.invoked, record.returned, record.found, None, record.client)
    return Operation(record.kind, record.invoked, record.returned, record.value, record.expected, record.client)


# ---------------------------------------------------------------- scans

_Windows = dict[tuple[bytes, bytes], tuple[int, int]]


def _windows(by_key: dict[bytes, list[Operation]]) -> _Windows:
    """(key, value) -> (first, last) moment at which the key can have had the value: from its write's invocation to
    the return of the first write that came wholly after that write.
    """
    windows: _Windows = {}
    for key, operations in by_key.items():
        writes = [op for op in operations if op.kind is not Kind.READ]
        known = sorted((op.invoked, op.returned) for op in writes if op.returned is not None)
        earliest_end: list[int] = [0] * len(known)
        least = 1 << 62
        for at in range(len(known) - 1, -1, -1):
            least = earliest_end[at] = min(least, known[at][1])
        starts = [invoked for invoked, _ in known]
        for op in writes:
            if op.value is not None and op.returned is not None:
                at = _first_above(starts, op.returned)
                windows[(key, op.value)] = (op.invoked, earliest_end[at] if at < len(known) else 1 << 62)
    return windows


def _first_above(values: list[int], bound: int) -> int:
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] > bound:
            high = middle
        else:
            low = middle + 1
    return low


def _check_scan(scan: ScanRecord, windows: _Windows) -> None:
    """There is a moment at which all rows can have been there together."""
    first, last = scan.invoked, scan.returned
    first_row = last_row = b""
    for row in scan.rows:
        window = windows.get(row)
        if window is None:
            continue
        if window[0] > first:
            first, first_row = window[0], row[0]
        if window[1] < last:
            last, last_row = window[1], row[0]
    if first > last:
        raise Violation(
            f"{scan.client}: a scan from {scan.invoked} to {scan.returned} saw {last_row!r} as it was before {last} "
            f"and {first_row!r} as it was after {first}: no single moment"
        )
