"""Both faces at work while regions split, replicas move and a leader dies: no error reaches the user."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flaredb
from flaredb import aio
from flaredb.errors import ClientError, UndeterminedError
from flaredb.rpc.pd import PdClient
from flaredb.testing import Cluster
from tests.client.leaders import leader_of
from tests.integration.calls import Calls
from tests.integration.moves import Orders

pytestmark = pytest.mark.process
VALUE = b"v" * 100
MARGIN = 150
"""Writes of each face that must succeed after each event before the next one."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(stores=4, split_keys=("L",)) as cluster:
        yield cluster


class Writers:
    """A thread and some coroutines that write new keys, read them back and scan, until told to stop."""

    def __init__(self, address: str, options: flaredb.ClientOptions) -> None:
        self.acknowledged: dict[str, list[bytes]] = {"sync": [], "aio": []}
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._address = address
        self._options = options
        self._threads = [threading.Thread(target=self._sync), threading.Thread(target=self._aio)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def progress(self) -> dict[str, int]:
        return {name: len(keys) for name, keys in self.acknowledged.items()}

    def wait_for_progress(self) -> None:
        """Until both faces have written MARGIN keys more, or an error came up."""
        before = self.progress()

        def has_moved() -> bool:
            return bool(self.errors) or all(now >= before[name] + MARGIN for name, now in self.progress().items())

        from flaredb.cli.waiting import wait_until

        assert wait_until(has_moved, 60), f"no progress: {before} to {self.progress()}"

    def _sync(self) -> None:
        with flaredb.Client(self._address, options=self._options) as db:
            for number in range(1_000_000):
                if self._stop.is_set():
                    return
                key = b"%c/sync/%06d" % (b"AZ"[number % 2], number)
                try:
                    db.put(key, VALUE)
                    self._check(db.get(key))
                    if number % 50 == 0:
                        self._check_rows("sync", [key for key, _ in db.scan(b"A/sync/", b"A/sync0")], b"A/")
                        db.get_many([key, b"none"])
                except Exception as error:
                    self.errors.append(error)
                    return
                self.acknowledged["sync"].append(key)

    def _aio(self) -> None:
        asyncio.run(self._aio_all())

    async def _aio_all(self) -> None:
        async with aio.Client(self._address, options=self._options) as db:
            await asyncio.gather(*(self._aio_one(db, worker) for worker in range(8)))

    async def _aio_one(self, db: aio.Client, worker: int) -> None:
        for number in range(1_000_000):
            if self._stop.is_set() or self.errors:
                return
            key = b"%c/aio/%d/%06d" % (b"AZ"[number % 2], worker, number)
            try:
                await db.put(key, VALUE)
                self._check(await db.get(key))
            except Exception as error:
                self.errors.append(error)
                return
            self.acknowledged["aio"].append(key)

    def _check(self, value: bytes | None) -> None:
        if value != VALUE:
            raise AssertionError(f"read {value!r} after an acknowledged write")

    def _check_rows(self, face: str, found: list[bytes], prefix: bytes) -> None:
        expected = sorted(key for key in self.acknowledged[face] if key.startswith(prefix))
        missing = set(expected) - set(found)
        if missing or found != sorted(set(found)):
            raise AssertionError(f"the scan lost {sorted(missing)[:3]}, or is out of order")


def check_all_there(cluster: Cluster, writers: Writers) -> None:
    with cluster.connect() as db:
        keys = [key for written in writers.acknowledged.values() for key in written]
        assert all(value == VALUE for value in db.get_many(keys, timeout=30))
        rows = set(db.scan(keys_only=True, timeout=30))
        assert set(keys) <= rows
        assert db.count(timeout=30) == len(rows)


async def split(address: str, *keys: bytes) -> None:
    pd = PdClient([address])
    await pd.connect()
    result = await pd.split_regions(list(keys))
    assert result.finished_percentage == 100
    await pd.close()


class Numbers:
    """Names stores by number for Orders, which tests of whole clusters share."""

    def __init__(self, cluster: Cluster) -> None:
        self.pd_address = cluster.address
        self._numbers = {cluster.store_id(number): number for number in cluster.stores}

    def number_of(self, store_id: int) -> int:
        return self._numbers[store_id]

    @staticmethod
    def wait_for(predicate: Any, deadline_s: float = 30.0) -> None:
        from tests.integration.cluster import Cluster as Shared

        Shared.wait_for(predicate, deadline_s)


def test_a_split_a_move_a_stop_and_the_death_of_a_leader(cluster: Cluster) -> None:
    options = flaredb.ClientOptions(endpoints=(cluster.address,), idempotent=True, timeout_ms=15_000)
    with Calls(cluster.address) as calls:
        orders = Orders(Numbers(cluster), calls)  # type: ignore[arg-type]
        orders.settle_down()
        with Writers(cluster.address, options) as writers:
            writers.wait_for_progress()

            asyncio.run(split(cluster.address, b"A/sync/000100", b"Z/aio", b"A/aio/3"))
            writers.wait_for_progress()

            region = calls.region_of(b"A/aio/5")
            held = orders.stores_of(region.id)
            (free,) = set(cluster.stores) - set(held)
            gone = leader_of(cluster, b"A/aio/5")
            orders.add_when_free(
                "transfer-peer",
                region.id,
                from_store_id=cluster.store_id(gone),
                to_store_id=cluster.store_id(free),
            )
            orders.wait_placed(region.id, set(held) - {gone} | {free})
            writers.wait_for_progress()

            stopped = leader_of(cluster, b"Z/sync/1")
            cluster.stop(stopped)
            writers.wait_for_progress()
            cluster.restart(stopped)

            killed = leader_of(cluster, b"A/aio/5")
            cluster.kill(killed)
            writers.wait_for_progress()
            cluster.restart(killed)
            writers.wait_for_progress()
    assert not writers.errors
    check_all_there(cluster, writers)


def test_by_default_a_write_of_unknown_fate_is_told_and_all_else_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    with Writers(cluster.address, flaredb.ClientOptions(endpoints=(cluster.address,), timeout_ms=15_000)) as writers:
        writers.wait_for_progress()
        cluster.kill(leader_of(cluster, b"Z"))
        with cluster.connect() as db:
            # A client that had nothing under way notices nothing.
            db.put(b"Z/after", VALUE, timeout=15)
            assert db.get(b"Z/after") == VALUE
    assert all(isinstance(error, UndeterminedError) for error in writers.errors), writers.errors
    assert all(error.undetermined and error.key for error in writers.errors if isinstance(error, ClientError))
    check_all_there(cluster, writers)


def test_a_rolling_restart_shows_nothing_even_to_cautious_writers(cluster: Cluster) -> None:
    options = flaredb.ClientOptions(endpoints=(cluster.address,), timeout_ms=15_000)
    with Writers(cluster.address, options) as writers:
        for number in cluster.stores:
            writers.wait_for_progress()
            cluster.restart(number)
        writers.wait_for_progress()
    assert not writers.errors
    check_all_there(cluster, writers)


@pytest.fixture
def of_three() -> Iterator[Cluster]:
    """Replicas stay where they are."""
    with Cluster(stores=3, split_keys=("L",)) as cluster:
        yield cluster


def test_a_frozen_store_costs_reads_a_moment(of_three: Cluster) -> None:
    with of_three.connect() as db:
        db.put(b"Z", VALUE, timeout=20)
        of_three.pause(leader_of(of_three, b"Z"))
        assert db.get(b"Z", timeout=20) == VALUE
        db.put(b"Z", VALUE, timeout=20)
        of_three.heal()
        assert db.get(b"Z", timeout=20) == VALUE


def test_pd_may_restart(of_three: Cluster) -> None:
    with of_three.connect() as db:
        db.put(b"A", VALUE, timeout=20)
        of_three.kill_pd()
        db.put(b"A", b"known regions need no PD", timeout=20)
        with pytest.raises(flaredb.ConnectionError, match="PD"):
            db.get(b"Z", timeout=0.5)
        of_three.restart_pd()
        db.get(b"Z", timeout=30)
