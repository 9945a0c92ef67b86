"""Runs a load through the asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

from flaredb.aio import Client
from flaredb.cli.bench.load import Call, Calls, Load, Results, Second, batches
from flaredb.client.errors import ClientError

FILLERS = 8
"""Batches that are written at a time before the measurement."""

FAILED_QUICKLY_S = 0.001
PAUSE_S = 0.005
"""After a call that failed at once, so that a cluster that refuses everything is not asked in a frenzy."""

Tell = Callable[[int, Second], None]
"""Told of each second that is over: its number from 1 on, and what happened in it."""


async def fill(db: Client, load: Load, told: Callable[[int], None]) -> None:
    """Write every row; ``told`` how many are. Errors: ClientError."""
    pieces = batches(load, Calls(load))
    written = 0

    async def filler() -> None:
        nonlocal written
        for piece in pieces:
            await db.put_many(piece, idempotent=True, timeout=30)
            written += len(piece)
            told(written)

    async with asyncio.TaskGroup() as group:
        for _ in range(FILLERS):
            group.create_task(filler())


async def clean(db: Client, prefix: bytes) -> int:
    """Delete all rows below a prefix; how many there were. Errors: ClientError."""
    rows = await db.count(prefix=prefix, timeout=60)
    if rows:
        await db.delete_range(prefix=prefix, idempotent=True, timeout=60)
    return rows


class Runner:
    """One run of a load. ``results`` are there at any time, also if the run is broken off."""

    def __init__(
        self,
        db: Client,
        load: Load,
        tell: Tell,
        now_s: Callable[[], float] = perf_counter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self.results = Results()
        self._db = db
        self._load = load
        self._calls = Calls(load)
        self._tell = tell
        self._now_s = now_s
        self._taken = 0
        self._began_s = 0.0
        self._ends_s = 0.0

    async def run(self) -> None:
        """Until its time is over and every call that was begun has ended."""
        load = self._load
        began_s = self._began_s = self._now_s()
        self._ends_s = began_s + load.duration_s
        worker = self._open_worker if load.rate else self._closed_worker
        workers = [asyncio.ensure_future(worker()) for _ in range(load.concurrency)]
        teller = asyncio.ensure_future(self._tell_seconds())
        try:
            await asyncio.gather(*workers)
        finally:
            for task in (*workers, teller):
                task.cancel()
            await asyncio.gather(*workers, teller, return_exceptions=True)
            measured_s = self._now_s() - began_s - load.warm_up_s
            self.results.measured_s = max(0.0, min(measured_s, load.seconds))
            if load.rate:
                due = min(load.calls_due, int(load.rate * (self._now_s() - began_s)))
                self.results.unsent = max(0, due - self._taken)

    async def _closed_worker(self) -> None:
        """Asks, waits for the answer, asks again."""
        while (begins_s := self._now_s()) < self._ends_s:
            await self._make(self._calls.next(), begins_s)

    async def _open_worker(self) -> None:
        """Takes the next moment of the schedule, waits for it, and asks. A call is as old as its moment: what it waited
        because all workers were busy counts."""
        load = self._load
        while self._now_s() < self._ends_s:
            number, self._taken = self._taken, self._taken + 1
            if number >= load.calls_due:
                self._taken -= 1
                return
            due_s = self._began_s + number / load.rate
            wait_s = due_s - self._now_s()
            if wait_s > 0:
                await self._sleep(wait_s)
            if due_s >= self._began_s + load.warm_up_s:
                self.results.late.add(max(0.0, self._now_s() - due_s))
            await self._make(self._calls.next(), due_s)

    async def _make(self, call: Call, since_s: float) -> None:
        failure = ""
        begins_s = self._now_s()
        try:
            rows = await self._ask(call)
            if call.kind == "get" and not rows:
                failure = "no value where one was written"
        except ClientError as error:
            failure = type(error).__name__
        ended_s = self._now_s()
        if failure and ended_s - begins_s < FAILED_QUICKLY_S:
            await self._sleep(PAUSE_S)
        if since_s < self._began_s + self._load.warm_up_s:
            return
        at_s = ended_s - self._began_s - self._load.warm_up_s
        if failure:
            self.results.failed_of(failure, at_s)
        else:
            self.results.succeeded(call.kind, ended_s - since_s, at_s)
            self.results.rows += rows if call.kind == "scan" else 0

    async def _ask(self, call: Call) -> int:
        """Rows that came back."""
        if call.kind == "put":
            # Nobody else writes below the prefix, and any value will do: it may be applied twice.
            await self._db.put(call.key, call.value, idempotent=True)
            return 0
        if call.kind == "get":
            return int(await self._db.get(call.key) is not None)
        rows = 0
        async for _ in self._db.scan(call.key, self._load.prefix + b"\xff", limit=self._load.scan_rows):
            rows += 1
        return rows

    async def _tell_seconds(self) -> None:
        number = 0
        while True:
            number += 1
            over_s = self._began_s + self._load.warm_up_s + number
            await asyncio.sleep(max(0.0, over_s - self._now_s()))
            seconds = self.results.seconds
            self._tell(number, seconds[number - 1] if number <= len(seconds) else Second())
