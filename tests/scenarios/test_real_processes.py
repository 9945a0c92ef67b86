"""R5, R7 and R12 on real processes. R2 and R3 are in tests/chaos: power cuts, full disks, syncs that fail or lie."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

import flaredb
from flaredb.cli.probe import RegionView
from flaredb.cli.waiting import pause, wait_until
from tests.chaos import clocks, needs
from tests.chaos.faults import stop_threads
from tests.integration.calls import Calls, context_for
from tests.integration.cluster import Cluster
from tests.scenarios.promises import promise
from tests.scenarios.reply_proxy import ReplyProxy

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

KEY = b"k"
CALL_DEADLINE_S = 10.0


def ask(calls: Calls, cluster: Cluster, region: RegionView, number: int, name: str, **fields: Any) -> Any:
    """One call to a store about KEY: the answer, or None if it refused or could not be asked."""
    store = cluster.store(number)
    context = context_for(region, store.store_id, replica_read=fields.pop("replica_read", False))
    try:
        answer = calls.store(store.ports.address, name, CALL_DEADLINE_S, context=context, key=KEY, **fields)
    except grpc.RpcError:
        return None
    return None if answer.HasField("region_error") else answer


# ------------------------------------------------ R5

READERS = 8
PAUSES = 2


def test_r05_a_leader_stopped_inside_reads_serves_no_old_value(tmp_path: Path) -> None:
    """SIGSTOP of the leader while clients read there; another one leads and a write is acknowledged; reads sent to the
    stopped process after that wait in its sockets, beside the answers to its rounds; then it goes on.
    """
    with Cluster(tmp_path, 3, split_keys=()) as cluster, Calls(cluster.pd_address) as calls:
        rig = StoppedLeader(cluster, calls)
        answered = sum(rig.play(turn) for turn in range(PAUSES))
    print(f"\n  of {READERS * PAUSES} reads of a store that had stood still, {answered} answered, the others refused")


class StoppedLeader:
    """A cluster of one region whose leader is stopped, again and again."""

    def __init__(self, cluster: Cluster, calls: Calls) -> None:
        self.cluster = cluster
        self.calls = calls
        self.region = calls.region_of(KEY)

    def ask(self, number: int, name: str, **fields: Any) -> Any:
        return ask(self.calls, self.cluster, self.region, number, name, **fields)

    def write(self, value: bytes, numbers: Sequence[int]) -> int:
        """Have one of these stores take a write; the number of the one that did, and so leads."""
        taken: list[int] = []

        def is_taken() -> bool:
            for number in numbers:
                if self.ask(number, "RawPut", value=value) is not None:
                    taken.append(number)
                    return True
            return False

        self.cluster.wait_for(is_taken)
        return taken[0]

    def play(self, turn: int) -> int:
        """How many of the late reads were answered. Errors: PromiseBroken if one read what was overwritten before."""
        old, new = b"old %d" % turn, b"new %d" % turn
        leader = self.write(old, (1, 2, 3))
        stop = threading.Event()
        with ThreadPoolExecutor(2 * READERS) as pool:
            busy = [pool.submit(self.read_until, stop, leader) for _ in range(READERS)]
            pause(0.2)
            try:
                self.cluster.pause(leader)
                stop.set()
                stop_threads(self.cluster.store(leader).child.pid)
                self.write(new, [number for number in (1, 2, 3) if number != leader])
                late = [
                    pool.submit(self.ask, leader, "RawGet", replica_read=number % 2 == 1) for number in range(READERS)
                ]
                pause(0.3)
            finally:
                self.cluster.resume(leader)
            values = [answer.value for answer in (read.result() for read in late) if answer is not None]
            assert all(read.result() for read in busy), "every reader came to its end"
        promise(set(values) <= {new}, f"store {leader} read {set(values)} after {new!r} was acknowledged")
        return len(values)

    def read_until(self, stop: threading.Event, number: int) -> bool:
        while not stop.is_set():
            self.ask(number, "RawGet")
        return True


# ------------------------------------------------ R7

HOUR_S = 3600
START_DEADLINE_S = 60.0


def test_r07_wall_clocks_that_jump_by_an_hour_change_nothing(tmp_path: Path) -> None:
    """The wall clock of PD and all stores jumps forward and back; the monotonic one goes on."""
    needs.skip_without(*clocks.NEEDS)
    clock = clocks.WallClock(tmp_path / "clock")
    cluster = Cluster(tmp_path, 3, split_keys=())
    for child in (cluster.pd, *(store.child for store in cluster.stores)):
        child.environment |= clock.environment
    with contextlib.closing(cluster):
        cluster.start(START_DEADLINE_S)
        with Calls(cluster.pd_address) as calls, flaredb.connect(cluster.pd_address, timeout=30) as client:
            newest = calls.timestamp()
            hour_later = newest + (HOUR_S * 1000 << 18)
            for turn, offset_s in enumerate((HOUR_S, -HOUR_S, HOUR_S)):
                clock.set(offset_s)
                pause(clocks.CACHE_S + 0.2)
                if not turn:
                    assert wait_until(lambda: calls.timestamp() > hour_later, 20), "the clocks did not jump"
                for step in range(3):
                    value = b"%d %d" % (turn, step)
                    client.put(KEY, value)
                    promise(client.get(KEY) == value, f"a clock at {offset_s:+} s hides an acknowledged write")
                    stamp = calls.timestamp()
                    promise(stamp > newest, f"timestamps went back with the clock at {offset_s:+} s")
                    newest = stamp
            assert all(store.child.is_running() for store in cluster.stores)


# ------------------------------------------------ R12


def test_r12_a_lost_reply_is_told_and_the_write_of_another_survives(tmp_path: Path) -> None:
    """A proxy loses the reply to a put, which is applied; another client's put is acknowledged; then the connection of
    the first breaks. It must be told that nobody knows, and its put must not be made again.
    """
    with ReplyProxy() as proxy:
        cluster = Cluster(tmp_path, 1, split_keys=(), config={"server": {"advertise-addr": proxy.address}})
        proxy.target_port = cluster.store(1).ports.grpc
        with contextlib.closing(cluster):
            cluster.start()
            with Calls(cluster.pd_address) as calls, flaredb.connect(cluster.pd_address, timeout=20) as client:
                region = calls.region_of(KEY)

                def stored() -> bytes:
                    return bytes(ask(calls, cluster, region, 1, "RawGet").value)

                client.put(KEY, b"before")
                proxy.loses_replies.set()
                with ThreadPoolExecutor(1) as pool:
                    first = pool.submit(client.put, KEY, b"first")
                    cluster.wait_for(lambda: stored() == b"first")
                    assert ask(calls, cluster, region, 1, "RawPut", value=b"second") is not None
                    assert not first.done(), "its reply is lost, and nothing else has happened to it"
                    proxy.break_connections()
                    told = first.exception()
                promise(isinstance(told, flaredb.UndeterminedError), f"the first client is told: {told!r}")
                assert proxy.lost_bytes
                wait_until(lambda: stored() != b"second", 1.0)
                promise(stored() == b"second", f"an acknowledged write was taken back: {stored()!r}")
                promise(client.get(KEY) == b"second", "the first client reads something else")
