"""Clients that put, get, delete, swap and scan, one key or many, and write down what they see.

Every value is written once: it names its client and a count, so that a read tells which write it saw. Of a call on many
keys each key is an operation of its own, and all of them begin when the call does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any

from flaredb.client.errors import ClientError
from flaredb.client.limits import ClientOptions
from flaredb.client.operations import Operations
from flaredb.client.plan import Core
from flaredb.client.results import SwapResult
from flaredb.client.scans import Cursor
from flaredb.client.steps import Plan
from flaredb.model.commands import DELETE, PUT, Get, Write
from flaredb.model.ids import StoreId
from flaredb.sim.client import Driver, PlainClient, Refused, Unknown
from flaredb.sim.history import Outcome, Record
from flaredb.sim.linearizability import Kind, Value
from flaredb.sim.world import MS

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster

KEYS_END = b"l"
SCAN_LIMIT = 20
BATCH_KEYS_MAX = 5
RANGE_KEYS_MAX = 4


class ClientKind(Enum):
    """Who asks."""

    CORE = "the real client core"
    PINNED = "reads from one store"
    ONCE = "tries a thing once"


def key(number: int, count: int) -> bytes:
    """Key ``number`` of ``count`` that are spread evenly over the key space of split_keys."""
    return b"k%03d.%d" % (1_000 * number // count, number)


def cold_key(number: int, count: int) -> bytes:
    """The same for keys that are seldom used."""
    return b"%b+" % key(number, count)


class SimClient:
    """A client's life: think, ask, write down, again."""

    def __init__(
        self,
        cluster: SimCluster,
        name: str,
        kind: ClientKind = ClientKind.CORE,
        only_store: StoreId | None = None,
        *,
        replica_read: bool = False,
    ) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.name = name
        self.kind = kind
        self._rng: Random = self.world.rng(name)
        self._count = 0
        self._seen: dict[bytes, Value] = {}
        """The last value seen of each key; what a swap expects."""
        self.is_stopped = False
        self._plain = PlainClient(cluster, name, only_store, replica_read)
        workload = cluster.options.workload
        options = ClientOptions(
            timeout_ms=workload.operation_ms,
            read_try_ms=workload.read_try_ms,
            batch_keys_max=workload.batch_keys_max,
            batches_at_once=workload.batches_at_once,
        )
        core = Core(options, lambda: self.world.now_us // MS, self.world.rng(f"{name}/waits"))
        self._operations = Operations(core)
        self._driver = Driver(cluster, name, core)

    def start(self) -> None:
        """Begin after a short while."""
        self.world.after(self._rng.randrange(200) * MS, self._next)

    def stop(self) -> None:
        """Ask nothing more; what is under way ends."""
        self.is_stopped = True

    def _next(self) -> None:
        if self.is_stopped:
            return
        workload = self.cluster.options.workload
        dice = self._rng.random()
        target = self._key()
        if self.kind is ClientKind.PINNED or dice < workload.reads:
            if self.kind is ClientKind.CORE and self._rng.random() < workload.batches:
                self._read_many(self._keys(), self._think)
            else:
                self.read(target, self._think)
            return
        dice -= workload.reads
        acts: tuple[tuple[float, Callable[[], None]], ...] = (
            (workload.scans, lambda: self._scan(target)),
            (workload.swaps, lambda: self._swap(target, self._seen.get(target), self._value(), self._think)),
            (workload.range_deletes, lambda: self._delete_range(self._think)),
            (workload.deletes, lambda: self._delete(target)),
        )
        for share, act in acts:
            if dice < share and self.kind is ClientKind.CORE:
                act()
                return
            dice -= share
        if self.kind is ClientKind.CORE and self._rng.random() < workload.batches:
            self._write_many({each: self._value() for each in self._keys()}, self._think)
        else:
            self.write(target, self._value(), self._think)

    def _think(self) -> None:
        mean_us = self.cluster.options.workload.think_ms * MS
        self.world.after(int(self._rng.expovariate(1 / mean_us)), self._next)

    def _key(self) -> bytes:
        workload, rng = self.cluster.options.workload, self._rng
        if rng.random() < workload.hot_share:
            return key(rng.randrange(workload.hot_keys), workload.hot_keys)
        return cold_key(rng.randrange(workload.cold_keys), workload.cold_keys)

    def _keys(self) -> list[bytes]:
        """Some keys, each once."""
        return sorted({self._key() for _ in range(self._rng.randrange(2, BATCH_KEYS_MAX + 1))})

    def _value(self) -> bytes:
        self._count += 1
        head = b"%b.%d" % (self.name.encode(), self._count)
        return head + b"_" * self._rng.randrange(self.cluster.options.workload.value_bytes_max)

    # ------------------------------------------------ one key

    def read(self, target: bytes, then: Callable[[], None]) -> None:
        """Get one key."""
        record = self.cluster.history.begin(self.name, Kind.READ, target)

        def finish(result: Any) -> None:
            self._end_read(record, result, result)
            then()

        if self.kind is ClientKind.CORE:
            self._driver.start(self._operations.get(target, None, None), finish)
        else:
            self._plain.start(target, Get(0, target), self._deadline_ms(), finish)

    def write(self, target: bytes, value: Value, then: Callable[[], None]) -> None:
        """Put one key, or delete it."""
        record = self.cluster.history.begin(self.name, Kind.WRITE, target, value)

        def finish(result: Any) -> None:
            self._end_write(record, result)
            then()

        if self.kind is not ClientKind.CORE:
            operation = (DELETE, 0, target) if value is None else (PUT, 0, target, value)
            command = Write([operation], len(target) + len(value or b""))
            self._plain.start(target, command, self._deadline_ms(), finish)
        elif value is None:
            self._driver.start(self._operations.delete(target, None, None, None), finish)
        else:
            self._driver.start(self._operations.put(target, value, None, None, None, None), finish)

    def _delete(self, target: bytes) -> None:
        if self._rng.random() < self.cluster.options.workload.batches:
            self._write_many(dict.fromkeys(self._keys()), self._think)
        else:
            self.write(target, None, self._think)

    def _swap(self, target: bytes, expected: Value, value: bytes, then: Callable[[], None]) -> None:
        """Compare and swap one key."""
        record = self.cluster.history.begin(self.name, Kind.SWAP, target, value, expected)

        def finish(result: Any) -> None:
            if isinstance(result, SwapResult):
                record.failed_swap = not result.swapped
                record.found = result.previous
                self._seen[target] = value if result.swapped else result.previous
            self._end(record, _outcome(result), result)
            then()

        self._driver.start(self._operations.compare_and_swap(target, expected, value, None, None, None), finish)

    # ------------------------------------------------ many keys

    def _read_many(self, targets: list[bytes], then: Callable[[], None]) -> None:
        """Get keys of any regions in one call."""
        records = [self.cluster.history.begin(self.name, Kind.READ, target) for target in targets]
        self._begin_together(records)

        def finish(result: Any) -> None:
            values = result if isinstance(result, list) else [None] * len(records)
            for record, value in zip(records, values, strict=True):
                self._end_read(record, value, result)
            then()

        self._driver.start(self._operations.get_many(targets, None, None), finish)

    def _write_many(self, values: dict[bytes, Value], then: Callable[[], None]) -> None:
        """Put keys of any regions in one call, or delete them: values None."""
        records = [self.cluster.history.begin(self.name, Kind.WRITE, target, values[target]) for target in values]
        if None in values.values():
            plan = self._operations.delete_many(list(values), None, None, None)
        else:
            plan = self._operations.put_many(values, None, None, None, None)
        self._write_together(records, plan, then)

    def _delete_range(self, then: Callable[[], None]) -> None:
        """Delete a few neighbouring keys, in whatever regions they are."""
        known = self.cluster.keys
        first = self._rng.randrange(len(known))
        last = min(first + self._rng.randrange(1, RANGE_KEYS_MAX + 1), len(known))
        start, end = known[first], known[last] if last < len(known) else KEYS_END
        records = [self.cluster.history.begin(self.name, Kind.WRITE, target, None) for target in known[first:last]]
        self._write_together(records, self._operations.delete_range(start, end, None, None, None, None), then)

    def _write_together(self, records: list[Record], plan: Plan, then: Callable[[], None]) -> None:
        """Of a call that failed, some parts may have been done and others not: any of its keys is of unknown fate."""
        self._begin_together(records)

        def finish(result: Any) -> None:
            outcome = Outcome.UNKNOWN if isinstance(result, ClientError) else Outcome.DONE
            for record in records:
                self._end(record, outcome, result)
                if outcome is Outcome.DONE:
                    self._seen[record.key] = record.value
            then()

        self._driver.start(plan, finish)

    def _begin_together(self, records: Iterable[Record]) -> None:
        first = None
        for record in records:
            first = record.invoked if first is None else first
            record.invoked = first

    # ------------------------------------------------ scans

    def _scan(self, start: bytes) -> None:
        """Rows from a key on, or from there down; each page comes from one region, at one moment."""
        if self._rng.random() < 0.3:
            low, high, is_reverse = b"", start, True
        else:
            low, high, is_reverse = start, KEYS_END, False
        cursor, page_ms = self._operations.cursor(low, high, None, is_reverse, False, SCAN_LIMIT, None, None)
        self._next_page(cursor, page_ms)

    def _next_page(self, cursor: Cursor, page_ms: int) -> None:
        low, high, invoked, invoked_us = cursor.low, cursor.high, self.world.moment(), self.world.now_us

        def finish(rows: Any) -> None:
            if isinstance(rows, ClientError) or self.is_stopped:
                self._think()
                return
            is_full = cursor.rows_left == 0
            if cursor.reverse:
                seen = (cursor.high if is_full or not cursor.finished else low, high)
            else:
                seen = (low, cursor.low if is_full or not cursor.finished else high)
            if not self.cluster.drift.taints(invoked_us):
                self.cluster.history.end_scan(self.name, *seen, rows, invoked)
            self.world.trace(self.name, "scan", f"{seen[0]!r} {seen[1]!r} {len(rows)}")
            if cursor.finished:
                self._think()
            else:
                self._next_page(cursor, page_ms)

        self._driver.start(self._operations.page(cursor, page_ms), finish)

    # ------------------------------------------------ answers

    def _end_read(self, record: Record, value: Any, result: Any) -> None:
        if isinstance(result, ClientError | Refused | Unknown):
            self._end(record, Outcome.REFUSED, result)
        else:
            record.found = self._seen[record.key] = value
            record.is_excused = self.cluster.drift.taints(record.invoked_us)
            self._end(record, Outcome.DONE, result)

    def _end_write(self, record: Record, result: Any) -> None:
        if result is None:
            self._seen[record.key] = record.value
        self._end(record, _outcome(result), result)

    def _end(self, record: Record, outcome: Outcome, result: Any) -> None:
        self.cluster.history.end(record, outcome)
        why = ""
        if outcome is not Outcome.DONE:
            why = result.why if isinstance(result, Refused) else type(result).__name__
            self.world.explain(self.name, "because", str(result))
        shown = record.found if record.kind is Kind.READ else record.value
        self.world.trace(
            self.name,
            record.kind.name.lower(),
            f"{record.key!r} {outcome.value} {record.invoked}-{record.returned} {shown!r} {why}",
        )

    def _deadline_ms(self) -> int:
        return self.world.now_us // MS + self.cluster.options.workload.operation_ms


def _outcome(result: Any) -> Outcome:
    if isinstance(result, ClientError):
        return Outcome.UNKNOWN if result.undetermined else Outcome.REFUSED
    if isinstance(result, Refused):
        return Outcome.REFUSED
    return Outcome.UNKNOWN if isinstance(result, Unknown) else Outcome.DONE
