"""Clients that put, get, delete, swap and scan, and write down what they see.

Every value is written once: it names its client and a count, so that a read tells which write it saw.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from flaredb.model.cluster import RegionRoute
from flaredb.model.commands import COMPARE_AND_SWAP, DELETE, PUT, CasResult, Command, Get, Scan, Write
from flaredb.model.ids import StoreId
from flaredb.model.region import Region
from flaredb.pd.messages import GetRegion
from flaredb.sim.client import (
    TRY_TIMEOUT_MS,
    AskPd,
    AskStore,
    Client,
    Plan,
    Refused,
    Unknown,
    Wait,
    clipped_scan,
)
from flaredb.sim.history import Outcome, Record
from flaredb.sim.linearizability import Kind, Value
from flaredb.sim.world import MS

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster

KEYS_END = b"l"
SCAN_LIMIT = 20


def key(number: int, count: int) -> bytes:
    """Key ``number`` of ``count`` that are spread evenly over the key space of split_keys."""
    return b"k%03d.%d" % (1_000 * number // count, number)


class SimClient:
    """A client's life: think, ask, write down, again."""

    def __init__(self, cluster: SimCluster, name: str, only_store: StoreId | None, replica_read: bool) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.name = name
        self.is_pinned = only_store is not None
        self.client = Client(lambda: self.world.now_us // MS, only_store, replica_read)
        self._rng: Random = self.world.rng(name)
        self._count = 0
        self._seen: dict[bytes, Value] = {}
        """The last value seen of each key; what a swap expects."""
        self.is_stopped = False

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
        if self.is_pinned or dice < workload.reads:
            self.read(target, self._think)
        elif dice < workload.reads + workload.scans:
            self._scan(target)
        elif dice < workload.reads + workload.scans + workload.swaps:
            self.swap(target, self._seen.get(target), self._value(), self._think)
        elif dice < workload.reads + workload.scans + workload.swaps + workload.deletes:
            self.write(target, None, self._think)
        else:
            self.write(target, self._value(), self._think)

    def _think(self) -> None:
        mean_us = self.cluster.options.workload.think_ms * MS
        self.world.after(int(self._rng.expovariate(1 / mean_us)), self._next)

    def _key(self) -> bytes:
        workload, rng = self.cluster.options.workload, self._rng
        if rng.random() < workload.hot_share:
            return key(rng.randrange(workload.hot_keys), workload.hot_keys)
        return b"%b+" % key(rng.randrange(workload.cold_keys), workload.cold_keys)

    def _value(self) -> bytes:
        self._count += 1
        head = b"%b.%d" % (self.name.encode(), self._count)
        return head + b"_" * self._rng.randrange(self.cluster.options.workload.value_bytes_max)

    # ------------------------------------------------ operations

    def read(self, target: bytes, then: Callable[[], None]) -> None:
        """Get one key."""
        record = self.cluster.history.begin(self.name, Kind.READ, target)

        def finish(result: Any) -> None:
            if isinstance(result, Refused | Unknown):
                self._end(record, Outcome.REFUSED, result)
            else:
                record.found = self._seen[target] = result
                self._end(record, Outcome.DONE, result)
            then()

        self._pursue(target, lambda _: Get(0, target), finish)

    def write(self, target: bytes, value: Value, then: Callable[[], None]) -> None:
        """Put one key, or delete it."""
        record = self.cluster.history.begin(self.name, Kind.WRITE, target, value)
        operation = (DELETE, 0, target) if value is None else (PUT, 0, target, value)

        def finish(result: Any) -> None:
            if result is None:
                self._seen[target] = value
            self._end(record, _outcome(result), result)
            then()

        self._pursue(target, lambda _: Write([operation], len(target) + len(value or b"")), finish)

    def swap(self, target: bytes, expected: Value, value: bytes, then: Callable[[], None]) -> None:
        """Compare and swap one key."""
        record = self.cluster.history.begin(self.name, Kind.SWAP, target, value, expected)
        operation = (COMPARE_AND_SWAP, 0, target, expected, value)

        def finish(result: Any) -> None:
            if isinstance(result, CasResult):
                record.failed_swap = not result.succeeded
                record.found = result.previous
                self._seen[target] = value if result.succeeded else result.previous
            self._end(record, _outcome(result), result)
            then()

        self._pursue(target, lambda _: Write([operation], len(target) + len(value)), finish)

    def _scan(self, start: bytes) -> None:
        """Scan from a key on, within its region."""
        invoked = self.world.moment()
        asked: list[Scan] = []
        make = clipped_scan(start, KEYS_END, SCAN_LIMIT)

        def command(region: Region) -> Command:
            asked.append(make(region))
            return asked[-1]

        def finish(result: Any) -> None:
            if isinstance(result, list):
                whole = len(result) < SCAN_LIMIT
                end = asked[-1].end if whole else result[-1][0] + b"\x00"
                self.cluster.history.end_scan(self.name, start, end, result, invoked)
                self.world.trace(self.name, "scan", f"{start!r} {len(result)}")
            self._think()

        self._pursue(start, command, finish)

    def _end(self, record: Record, outcome: Outcome, result: Any) -> None:
        self.cluster.history.end(record, outcome)
        why = result.why if isinstance(result, Refused) else ""
        shown = record.found if record.kind is Kind.READ else record.value
        self.world.trace(
            self.name,
            record.kind.name.lower(),
            f"{record.key!r} {outcome.value} {record.invoked}-{record.returned} {shown!r} {why}",
        )

    # ------------------------------------------------ pursuing a plan

    def _pursue(self, target: bytes, command: Callable[[Region], Command], finish: Callable[[Any], None]) -> None:
        deadline_ms = self.world.now_us // MS + self.cluster.options.workload.operation_ms
        self._advance(self.client.plan(target, command, deadline_ms), None, finish)

    def _advance(self, plan: Plan, outcome: Any, finish: Callable[[Any], None]) -> None:
        try:
            step = plan.send(outcome)
        except StopIteration as done:
            finish(done.value)
            return

        def go_on(result: Any) -> None:
            self._advance(plan, result, finish)

        if isinstance(step, Wait):
            self.world.after(step.duration_ms * MS, lambda: go_on(None))
        elif isinstance(step, AskPd):
            self.cluster.pd.call(self.name, GetRegion(step.key), lambda found: go_on(_route(found)), TRY_TIMEOUT_MS)
        else:
            assert isinstance(step, AskStore)
            self.cluster.call_store(self.name, step.request, go_on, TRY_TIMEOUT_MS)


def _route(found: Any) -> RegionRoute | None:
    return found if isinstance(found, RegionRoute) else None


def _outcome(result: Any) -> Outcome:
    if isinstance(result, Refused):
        return Outcome.REFUSED
    return Outcome.UNKNOWN if isinstance(result, Unknown) else Outcome.DONE
