"""What is asked of the cluster: kinds, keys, values, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from flaredb.cli.bench.latency import Latencies

NAMESPACE = b"flaredb-bench/"
"""Everything that the benchmark writes is below it, and it deletes nothing else."""

WORKLOADS = ("put", "get", "mixed", "scan")
VALUE_POOL_BYTES = 1 << 20
CLOSED_CONCURRENCY = 64
OPEN_CONCURRENCY = 1024


@dataclass(frozen=True, slots=True)
class Load:
    """A benchmark, as ordered."""

    workload: str
    concurrency: int = CLOSED_CONCURRENCY
    """Closed loop: callers, each of whom asks again once answered. Open loop: the most calls under way."""

    rate: float = 0.0
    """Calls a second, whatever the answers take (open loop); 0: as fast as answers come (closed loop)."""

    keys: int = 10_000
    value_bytes: int = 128
    seconds: float = 10.0
    warm_up_s: float = 2.0
    read_percent: float = 50.0
    """Of mixed."""

    scan_rows: int = 100
    name: str = "default"
    seed: int = 1

    @property
    def prefix(self) -> bytes:
        """Of this load's keys."""
        return NAMESPACE + self.name.encode() + b"/"

    @property
    def needs_rows(self) -> bool:
        """It reads, so all keys are written before."""
        return self.workload != "put"

    @property
    def duration_s(self) -> float:
        """With the warm-up."""
        return self.warm_up_s + self.seconds

    @property
    def calls_due(self) -> int:
        """Of an open loop: how many calls its rate makes, warm-up included."""
        return int(self.rate * self.duration_s)

    def key(self, index: int) -> bytes:
        """The key of a row; they ascend as their numbers do."""
        return self.prefix + b"%012d" % index


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``value`` for put, a first key for scan."""

    kind: str
    key: bytes
    value: bytes = b""


class Calls:
    """The calls of a load, one after the other: the same seed makes the same ones."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rng = Random(load.seed)
        # Random bytes do not compress; slices of one pool cost nothing to make.
        self._pool = self._rng.randbytes(max(VALUE_POOL_BYTES, load.value_bytes * 2))

    def next(self) -> Call:
        """The next one; keys are drawn evenly from all."""
        load, rng = self._load, self._rng
        kind = load.workload
        if kind == "mixed":
            kind = "get" if rng.random() * 100 < load.read_percent else "put"
        key = load.key(rng.randrange(load.keys))
        return Call(kind, key, self.value() if kind == "put" else b"")

    def value(self) -> bytes:
        """Bytes for a row."""
        size = self._load.value_bytes
        start = self._rng.randrange(len(self._pool) - size + 1)
        return self._pool[start : start + size]


class Results:
    """What came of the calls. Those of the warm-up are not counted."""

    def __init__(self) -> None:
        self.latencies: dict[str, Latencies] = {}
        """Of calls that succeeded, by kind."""

        self.errors: dict[str, int] = {}
        """Failed calls, by what they failed of."""

        self.seconds: list[Second] = []
        self.late = Latencies()
        """Open loop: how long after its time a call was begun."""

        self.unsent = 0
        """Open loop: calls that were due and never begun."""

        self.rows = 0
        """Read by scans."""

        self.measured_s = 0.0

    @property
    def done(self) -> int:
        """Calls that succeeded."""
        return sum(item.count for item in self.latencies.values())

    @property
    def failed(self) -> int:
        """Calls that failed."""
        return sum(self.errors.values())

    def succeeded(self, kind: str, took_s: float, at_s: float) -> None:
        """A call has succeeded, ``at_s`` after the measurement began."""
        found = self.latencies.get(kind)
        if found is None:
            found = self.latencies[kind] = Latencies()
        found.add(took_s)
        self._second(at_s).latencies.add(took_s)

    def failed_of(self, what: str, at_s: float) -> None:
        """A call has failed, ``at_s`` after the measurement began."""
        self.errors[what] = self.errors.get(what, 0) + 1
        self._second(at_s).errors += 1

    def all(self) -> Latencies:
        """Of every kind together."""
        total = Latencies()
        for item in self.latencies.values():
            total.merge(item)
        return total

    def _second(self, at_s: float) -> Second:
        number = max(0, int(at_s))
        while len(self.seconds) <= number:
            self.seconds.append(Second())
        return self.seconds[number]


class Second:
    """One second of the measurement."""

    __slots__ = ("errors", "latencies")

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.errors = 0


def batches(
    load: Load, calls: Calls, rows_max: int = 512, bytes_max: int = 1 << 20
) -> Iterator[list[tuple[bytes, bytes]]]:
    """All rows of a load, in pieces to write together."""
    rows = max(1, min(rows_max, bytes_max // max(1, load.value_bytes)))
    for first in range(0, load.keys, rows):
        yield [(load.key(index), calls.value()) for index in range(first, min(first + rows, load.keys))]
