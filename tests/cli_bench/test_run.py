"""Running a load against a client whose time is made up; and the command's arguments."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flaredb.cli.bench.load import Load, Results
from flaredb.cli.bench.run import PAUSE_S, Runner, clean, fill
from flaredb.cli.main import main
from flaredb.client.errors import BusyError, TimeoutError
from flaredb.testing import AsyncMemoryClient


class FakeTime:
    """Passes when somebody waits or a call takes its time."""

    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> float:
        return self.s

    async def sleep(self, seconds: float) -> None:
        self.s += seconds
        await asyncio.sleep(0)


class FakeClient:
    """Answers after the times of a list, the last one for ever; keeps nothing."""

    def __init__(
        self, time: FakeTime, *took_s: float, fails: Exception | None = None, value: bytes | None = b"v"
    ) -> None:
        self.time = time
        self.took_s = list(took_s)
        self.fails = fails
        self.value = value
        self.calls = 0

    async def put(self, key: bytes, value: bytes, *, idempotent: bool) -> None:
        await self._take()

    async def get(self, key: bytes) -> bytes | None:
        await self._take()
        return self.value

    async def scan(self, start: bytes, end: bytes, *, limit: int) -> AsyncIterator[tuple[bytes, bytes]]:
        await self._take()
        for _ in range(limit):
            yield start, b"v"

    async def _take(self) -> None:
        self.calls += 1
        await self.time.sleep(self.took_s.pop(0) if len(self.took_s) > 1 else self.took_s[0])
        if self.fails:
            raise self.fails


async def ran(load: Load, *took_s: float, **more: Any) -> tuple[Results, FakeClient]:
    time = FakeTime()
    db = FakeClient(time, *took_s, **more)
    runner = Runner(db, load, lambda _number, _second: None, time.now, time.sleep)  # type: ignore[arg-type]
    await runner.run()
    return runner.results, db


async def test_closed_loop_asks_again_once_answered() -> None:
    results, db = await ran(Load("put", 1, seconds=1.0, warm_up_s=0), 0.125)
    assert db.calls == results.done == 8
    assert results.latencies["put"].percentile(50) == pytest.approx(0.125, rel=0.01)
    assert results.measured_s == 1.0


async def test_warm_up_is_not_counted() -> None:
    results, db = await ran(Load("put", 1, seconds=1.0, warm_up_s=0.5), 0.125)
    assert (db.calls, results.done) == (12, 8)


async def test_closed_loop_hides_a_stall_that_open_loop_shows() -> None:
    """One call takes half a second: that delays 50 calls that were due meanwhile."""
    stall = (0.001, 0.5, 0.001)
    closed, _ = await ran(Load("put", 1, seconds=1.0, warm_up_s=0), *stall)
    opened, _ = await ran(Load("put", 1, rate=100, seconds=1.0, warm_up_s=0), *stall)
    assert closed.latencies["put"].percentile(90) == pytest.approx(0.001, rel=0.01)
    assert opened.latencies["put"].percentile(90) > 0.3
    assert opened.done == 100
    assert opened.unsent == 0


async def test_calls_that_cannot_be_sent_in_time_are_counted() -> None:
    results, db = await ran(Load("put", 1, rate=64, seconds=1.0, warm_up_s=0), 0.125)
    assert db.calls == 8
    assert results.unsent == 56
    assert results.latencies["put"].max_s == 1.0 - 7 / 64, "the eighth was due then, and ended with the run"


async def test_failures_are_counted_by_kind_and_not_repeated_in_a_frenzy() -> None:
    results, db = await ran(Load("put", 1, seconds=1.0, warm_up_s=0), 0.0, fails=BusyError("too much"))
    assert results.errors == {"BusyError": db.calls}
    assert results.done == 0
    assert db.calls == pytest.approx(1.0 / PAUSE_S, abs=1)
    results, _ = await ran(Load("get", 1, seconds=1.0, warm_up_s=0), 0.5, fails=TimeoutError("late"))
    assert results.errors == {"TimeoutError": 2}


async def test_a_value_that_is_gone_is_a_failure() -> None:
    results, _ = await ran(Load("get", 1, seconds=1.0, warm_up_s=0), 0.25, value=None)
    assert results.errors == {"no value where one was written": 4}
    results, _ = await ran(Load("get", 1, seconds=1.0, warm_up_s=0), 0.25, value=b"")
    assert (results.errors, results.done) == ({}, 4)


async def test_scans_count_their_rows() -> None:
    results, _ = await ran(Load("scan", 1, seconds=1.0, warm_up_s=0, scan_rows=7), 0.25)
    assert (results.done, results.rows) == (4, 28)


async def test_broken_off_results_are_kept() -> None:
    time = FakeTime()
    db = FakeClient(time, 0.01)
    load = Load("put", 1, seconds=1e9, warm_up_s=0)
    runner = Runner(db, load, lambda _number, _second: None, time.now, time.sleep)  # type: ignore[arg-type]
    running = asyncio.ensure_future(runner.run())
    while db.calls < 50:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert runner.results.done >= 48
    assert runner.results.measured_s == pytest.approx(time.s)


async def test_rows_are_filled_in_and_cleaned_away() -> None:
    async with AsyncMemoryClient() as db:
        await db.put(b"flaredb-bench/other/1", b"stays")
        told: list[int] = []
        load = Load("get", keys=1_300, value_bytes=10)
        await fill(db, load, told.append)  # type: ignore[arg-type]
        assert told[-1] == 1_300
        assert await db.count(prefix=load.prefix) == 1_300
        assert await db.get(load.key(1_299)) is not None
        assert await clean(db, load.prefix) == 1_300  # type: ignore[arg-type]
        assert await clean(db, load.prefix) == 0  # type: ignore[arg-type]
        assert await db.count() == 1


# ---------------------------------------------------------------- the command


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["bench", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), err.getvalue()


WRONG = [
    ("no workload", (), "Missing argument"),
    ("an unknown one", ("write",), "is not one of"),
    ("an option of another workload", ("put", "--read-percent", "10"), "--read-percent is for mixed, not for put"),
    ("and another", ("get", "--scan-rows", "10"), "--scan-rows is for scan, not for get"),
    ("no time", ("put", "--seconds", "0"), "--seconds"),
    ("nobody", ("put", "--concurrency", "0"), "--concurrency"),
    ("a name that leaves the prefix", ("put", "--name", "../x"), "cannot be part of a key"),
]


@pytest.mark.parametrize(("case", "arguments", "words"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_use_is_refused_before_anything_is_sent(case: str, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
