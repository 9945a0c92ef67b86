"""The two faces: same names, same signatures; where they work, and what ends them."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import flaredb
from flaredb import aio
from flaredb.errors import BusyError, ClosedError, ConnectionError, TimeoutError, WrongLoopError
from flaredb.faces.aio_calls import AsyncCalls
from flaredb.faces.sync_calls import SyncCalls
from flaredb.testing import AsyncMemoryClient, Cluster, MemoryClient
from tests.tidy.sources import ROOT

NOBODY = "127.0.0.1:1"


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind, callable) if not name.startswith("_")}


def parameters(call: Any) -> list[tuple[str, Any, Any]]:
    return [(item.name, item.kind, item.default) for item in inspect.signature(call).parameters.values()]


def test_the_faces_have_the_same_calls_with_the_same_signatures() -> None:
    sync, asynchronous = public(SyncCalls), public(AsyncCalls)
    assert sync.keys() == asynchronous.keys()
    assert len(sync) >= 12
    for name, call in sync.items():
        other = asynchronous[name]
        assert parameters(call) == parameters(other), name
        hints, other_hints = inspect.get_annotations(call), inspect.get_annotations(other)
        assert {key: hint.replace("AsyncIterator", "Iterator") for key, hint in other_hints.items()} == hints, name
        assert inspect.getdoc(call) == inspect.getdoc(other), name
        assert name == "scan" or inspect.iscoroutinefunction(other)
        assert not inspect.iscoroutinefunction(call)


def test_clients_are_made_alike() -> None:
    assert parameters(flaredb.Client.__init__) == parameters(aio.Client.__init__)
    assert parameters(flaredb.connect) == parameters(aio.connect)
    assert public(flaredb.Client).keys() - public(aio.Client).keys() == {"keys", "items"}
    for real, double in ((flaredb.Client, MemoryClient), (aio.Client, AsyncMemoryClient)):
        assert public(real).keys() == public(double).keys()


def test_the_synchronous_calls_are_generated_from_the_others() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "gen_sync_calls.py"), "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_call_is_documented() -> None:
    for face in (flaredb.Client, aio.Client):
        assert not [name for name, call in public(face).items() if not inspect.getdoc(call)]


def test_importing_the_package_loads_next_to_nothing() -> None:
    script = "import flaredb, sys; print(*sorted(m for m in sys.modules if m.partition('.')[0] in "
    script += "('flaredb', 'grpc', 'google', 'asyncio', 'uvloop')))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ["flaredb"]


def test_names_of_the_package() -> None:
    assert set(flaredb._HOMES) <= set(dir(flaredb))
    for name in (*flaredb._HOMES, "aio", "errors", "testing"):
        assert getattr(flaredb, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        _ = flaredb.Clint  # type: ignore[attr-defined]


def test_making_a_client_does_no_io() -> None:
    before = set(threading.enumerate())
    with flaredb.connect(NOBODY) as db:
        assert repr(db) == "flaredb.Client('127.0.0.1:1')"
        # A thread of an earlier test may end meanwhile.
        assert set(threading.enumerate()) <= before
    assert repr(db) == "flaredb.Client('127.0.0.1:1', closed)"


def test_the_environment_names_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAREDB_URL", "flaredb://a:1,b/?timeout=1s")
    assert flaredb.connect().options.endpoints == ("a:1", "b:2379")
    assert flaredb.connect().options.timeout_ms == 1_000
    assert aio.connect("c").options.endpoints == ("c:2379",)
    assert flaredb.connect("c/?timeout=1s", timeout=3).options.timeout_ms == 3_000


def test_nobody_there() -> None:
    with flaredb.connect(NOBODY, timeout=0.3) as db:
        with pytest.raises(ConnectionError, match="the cluster cannot be reached") as caught:
            db.get(b"k")
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.retryable
        assert "PD unreachable" in caught.value.history
        with pytest.raises(ConnectionError):
            list(db.scan())


def test_use_after_close() -> None:
    for db in (flaredb.connect(NOBODY), MemoryClient()):
        db.close()
        db.close()
        with pytest.raises(ClosedError):
            db.get(b"k")
        with pytest.raises(ClosedError):
            next(db.scan())


async def test_use_after_close_aio() -> None:
    for db in (aio.connect(NOBODY), AsyncMemoryClient()):
        await db.close()
        await db.close()
        with pytest.raises(ClosedError):
            await db.get(b"k")
        with pytest.raises(ClosedError):
            await anext(db.scan())


def test_a_client_that_is_not_closed_says_so() -> None:
    db = flaredb.connect(NOBODY, timeout=0.05)
    with pytest.raises(ConnectionError):
        db.get(b"k")
    driver, thread = db._driver, db._thread
    with pytest.warns(ResourceWarning, match="was not closed"):
        db.__del__()
    assert driver is not None
    assert thread is not None
    db.close()


def test_one_loop_per_asyncio_client() -> None:
    db = aio.connect(NOBODY, timeout=0.05)

    async def call() -> None:
        with pytest.raises(ConnectionError):
            await db.get(b"k")

    async def call_elsewhere() -> None:
        with pytest.raises(WrongLoopError, match="one client per loop"):
            await db.get(b"k")

    async def end() -> None:
        await call()
        await db.close()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(call())
    asyncio.run(call_elsewhere())
    loop.run_until_complete(end())
    loop.close()


async def test_too_many_calls_are_refused() -> None:
    options = flaredb.ClientOptions(endpoints=(NOBODY,), calls_max=2, timeout_ms=100)
    async with aio.Client(options=options) as db:
        outcomes = await asyncio.gather(*(db.get(b"k") for _ in range(5)), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["BusyError"] * 3 + ["ConnectionError"] * 2
        assert all(outcome.retryable for outcome in outcomes if isinstance(outcome, BusyError))
        with pytest.raises(ConnectionError):
            await db.get(b"k")


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    async with aio.connect(NOBODY, timeout=0.3) as db:
        call = asyncio.create_task(db.get(b"k"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(ConnectionError):
            await db.get(b"k")
        assert db._driver is not None
        assert db._driver._under_way == 0


async def test_closing_at_once_ends_calls_that_look_for_pd() -> None:
    db = aio.connect(NOBODY, timeout=120)
    calls = [asyncio.create_task(db.get(b"%d" % number)) for number in range(9)]
    await asyncio.sleep(0)
    await db.close()
    outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
    assert {type(outcome) for outcome in outcomes} == {ClosedError}


async def test_a_deadline_of_the_callers_own() -> None:
    async with aio.connect(NOBODY, timeout=60) as db:
        with pytest.raises(builtins.TimeoutError):
            async with asyncio.timeout(0.05):
                await db.get(b"k")


@pytest.fixture
def filled(shared_cluster: Cluster) -> str:
    with shared_cluster.connect() as db:
        db.delete_range(b"", timeout=30)
        db.put_many({b"%03d" % number: b"v%d" % number for number in range(100)}, timeout=30)
    return shared_cluster.address


@pytest.mark.process
async def test_the_synchronous_client_works_inside_a_running_loop(filled: str) -> None:
    with flaredb.connect(filled) as db:
        assert db.get(b"007") == b"v7"
        assert len(list(db.scan())) == 100
        assert await asyncio.to_thread(db.get, b"008") == b"v8"


@pytest.mark.process
async def test_both_faces_side_by_side_are_quiet(filled: str, caplog: pytest.LogCaptureFixture) -> None:
    async with aio.connect(filled) as db:
        with flaredb.connect(filled) as other, ThreadPoolExecutor(2) as pool:
            loop = asyncio.get_running_loop()
            for _ in range(100):
                pairs = await asyncio.gather(db.get(b"001"), loop.run_in_executor(pool, other.get, b"002"))
                assert pairs == [b"v1", b"v2"]
    assert not caplog.records


@pytest.mark.process
def test_threads_share_a_client(filled: str) -> None:
    def work(number: int) -> int:
        for turn in range(20):
            db.put(b"t%d-%d" % (number, turn), b"%d" % number)
        return sum(db.get(b"t%d-%d" % (number, turn)) == b"%d" % number for turn in range(20))

    with flaredb.connect(filled) as db, ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == [20] * 16


@pytest.mark.process
async def test_many_calls_at_once(filled: str) -> None:
    async with aio.connect(filled) as db:
        values = await asyncio.gather(*(db.get(b"%03d" % (number % 100)) for number in range(2_000)))
        assert values == [b"v%d" % (number % 100) for number in range(2_000)]
        rows = [row async for row in db.scan(reverse=True, limit=3)]
        assert [key for key, _ in rows] == [b"099", b"098", b"097"]


@pytest.mark.process
async def test_closing_ends_the_calls_under_way(filled: str) -> None:
    db = aio.connect(filled)
    await db.get(b"001")
    calls = [asyncio.create_task(db.get(b"%03d" % number)) for number in range(50)]
    await asyncio.sleep(0)
    await db.close()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, bytes | ClosedError) for outcome in outcomes)


FORK = """
import os, sys, flaredb
from flaredb.errors import ForkError

def in_child(work):
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException as error:
            print("child:", type(error).__name__, error, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def reads():
    assert db.get(b"001") == b"v1"
    db.close()

def is_refused():
    for used in (db, flaredb.connect(sys.argv[1])):
        try:
            used.get(b"001")
        except ForkError as error:
            assert "after the fork" in str(error)
        else:
            raise AssertionError("not refused")
    db.close()

db = flaredb.connect(sys.argv[1])
in_child(reads)
assert db.get(b"001") == b"v1"
in_child(is_refused)
assert db.get(b"001") == b"v1"
db.close()
"""


@pytest.mark.process
def test_fork_before_the_first_call_works_and_after_it_is_refused(filled: str) -> None:
    ran = subprocess.run([sys.executable, "-c", FORK, filled], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_a_process_that_ends_leaves_no_task_to_complain_of() -> None:
    """gRPC ends a call in a task of its own, which may outlive the last client by a moment."""
    code = """
import asyncio
from flaredb.faces.loop_thread import loop_thread

async def lingers():
    try:
        await asyncio.sleep(60)
    finally:
        print("was told to end")

async def start():
    global task
    task = asyncio.ensure_future(lingers())
    await asyncio.sleep(0)

loop_thread().run(start(), 5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "was told to end\n", "")
