"""Regions of real stores split: by request and by size, under load, over restarts and while their leader is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from flaredb.cli.official_client import connected
from flaredb.cli.probe import ProbeFailed, RegionView, status_json
from flaredb.cli.waiting import wait_until
from flaredb.model.keys import encode_memcomparable
from flaredb.server.toml_text import merge
from tests.integration.calls import Calls, context_for
from tests.integration.cluster import CALM, Cluster
from tests.integration.moves import settled

pytestmark = pytest.mark.process
SETTLE_DEADLINE_S = 60.0
SPLIT_DEADLINE_S = 10.0
SMALL = {
    "coprocessor": {"region-split-size": "64KiB", "region-max-size": "96KiB"},
    "raftstore": {"split-region-check-tick-interval": "100ms"},
}
VALUE = b"v" * 1000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Regions that split only when asked to, whose leaders PD leaves where they are."""
    with Cluster(tmp_path_factory.mktemp("split"), split_keys=("L",)) as running:
        yield settled(running)


@pytest.fixture
def cluster(shared: Cluster) -> Cluster:
    shared.start()
    return shared


@pytest.fixture
def calls(cluster: Cluster) -> Iterator[Calls]:
    with Calls(cluster.pd_address) as open_calls:
        yield open_calls


Bounds = list[tuple[int, bytes, bytes]]
RETRIABLE = (
    "not_leader",
    "epoch_not_match",
    "server_is_busy",
    "stale_command",
    "region_not_found",
    "read_index_not_ready",
    "region_not_initialized",
    "undetermined_result",
)
"""Errors of a leader that changes: the call is made again."""


def bounds_in_pd(calls: Calls) -> Bounds:
    return [(region.id, region.meta.start_key, region.meta.end_key) for region in calls.regions()]


def bounds_on_store(cluster: Cluster, number: int, region_ids: list[int]) -> list[tuple[int, str, str, dict[str, int]]]:
    """What a store says of the regions; keys as its status page shows them."""
    address = cluster.store(number).ports.status_address
    facts = [status_json(address, f"/region/{region_id}") for region_id in region_ids]
    return [
        (found["region_id"], found["start_key"], found["end_key"], found["epoch"]) if found else (0, "", "", {})
        for found in facts
    ]


def regions_on_store(cluster: Cluster, number: int) -> list[int]:
    """The ids of all regions that a store has, ascending."""
    return sorted(status_json(cluster.store(number).ports.status_address, "/regions"))


def assert_tiled(bounds: Bounds) -> None:
    assert bounds[0][1] == b""
    assert bounds[-1][2] == b""
    assert all(left[2] == right[1] for left, right in pairwise(bounds))
    assert len({region_id for region_id, _, _ in bounds}) == len(bounds)


def await_tiled_everywhere(cluster: Cluster, calls: Calls) -> Bounds:
    """Wait until every store has exactly the regions that PD has, at the same epochs; they tile the key space."""

    def stores_agree_with_pd() -> bool:
        ids = [region.id for region in calls.regions()]
        try:
            if any(regions_on_store(cluster, store.number) != sorted(ids) for store in cluster.stores):
                return False
            views = [bounds_on_store(cluster, store.number, ids) for store in cluster.stores]
        except ProbeFailed:
            return False
        return all(view == views[0] for view in views) and epochs_in_pd(calls) == [view[3] for view in views[0]]

    cluster.wait_for(stores_agree_with_pd, SETTLE_DEADLINE_S)
    bounds = bounds_in_pd(calls)
    assert_tiled(bounds)
    return bounds


def epochs_in_pd(calls: Calls) -> list[dict[str, int]]:
    epochs = [region.meta.region_epoch for region in calls.regions()]
    return [{"conf_ver": epoch.conf_ver, "version": epoch.version} for epoch in epochs]


def split(cluster: Cluster, calls: Calls, *keys: bytes, is_raw: bool = True) -> Any:
    """Split the region of the first key by RPC, as often as it takes to find its leader; the response."""
    answers: list[Any] = []

    def is_done() -> bool:
        try:
            region = calls.region_of(keys[0] if is_raw else encode_memcomparable(keys[0]))
            if not region.leader_store_id:
                return False
            address = address_of(cluster, region.leader_store_id)
            fields = {"context": context_for(region), "split_keys": list(keys), "is_raw_kv": is_raw}
            answer = calls.store(address, "SplitRegion", SPLIT_DEADLINE_S, **fields)
        except (grpc.RpcError, ProbeFailed):
            return False
        answers[:] = [answer]
        error = answer.region_error
        return not any(error.HasField(name) for name in RETRIABLE)

    cluster.wait_for(is_done, SETTLE_DEADLINE_S)
    return answers[0]


def address_of(cluster: Cluster, store_id: int) -> str:
    return next(store.ports.address for store in cluster.stores if store.store_id == store_id)


def rows_of_regions(cluster: Cluster, calls: Calls) -> list[tuple[RegionView, Any]]:
    """Every region with the rows that its leader says it holds, once none of them has moved or is unknown to PD."""
    found: list[tuple[RegionView, Any]] = []

    def all_are_read() -> bool:
        found.clear()
        for region in calls.regions():
            if not region.leader_store_id:
                return False
            address, start = address_of(cluster, region.leader_store_id), region.meta.start_key
            try:
                rows = calls.store(address, "RawScan", context=context_for(region), start_key=start, limit=10_000)
            except grpc.RpcError:
                return False
            if rows.HasField("region_error"):
                return False
            found.append((region, rows))
        return True

    cluster.wait_for(all_are_read, SETTLE_DEADLINE_S)
    return found


class Load:
    """A thread that puts new keys through the official client and notes what was acknowledged."""

    def __init__(self, pd_address: str, prefix: bytes) -> None:
        self.acknowledged: dict[bytes, bytes] = {}
        self.failures: list[str] = []
        self.longest_gap_s = 0.0
        self._pd_address = pd_address
        self._prefix = prefix
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        rng = Random(1)
        with connected(self._pd_address) as client:
            last_s = time.monotonic()
            count = 0
            while not self._stop.is_set():
                count += 1
                key = self._prefix + b"%05d/%06d" % (rng.randrange(100_000), count)
                try:
                    client.put(key, VALUE + key)
                except Exception as error:
                    self.failures.append(f"{key!r}: {error}")
                    continue
                self.acknowledged[key] = VALUE + key
                now_s = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now_s - last_s)
                last_s = now_s

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def assert_all_present(cluster: Cluster, prefix: bytes, expected: dict[bytes, bytes]) -> None:
    """A full scan across all borders gives every acknowledged write, each once, in order."""
    found: list[tuple[bytes, bytes]] = []
    with connected(cluster.pd_address) as client:
        start = prefix
        while rows := client.scan(start, prefix + b"\xff", 1000):
            found += rows
            start = rows[-1][0] + b"\x00"
    keys = [key for key, _ in found]
    assert keys == sorted(set(keys))
    rows_found = dict(found)
    missing = [key for key, value in expected.items() if rows_found.get(key) != value]
    assert not missing, f"{len(missing)} of {len(expected)} acknowledged writes are gone, such as {missing[:3]}"


# ------------------------------------------------ by request


def test_split_by_request_moves_no_row_and_is_known_everywhere(cluster: Cluster, calls: Calls) -> None:
    keys = [b"a/%d" % number for number in range(10)]
    with connected(cluster.pd_address) as client:
        client.batch_put({key: b"v" + key for key in keys})
        parent = calls.region_of(b"a")
        answer = split(cluster, calls, b"a/5")
        assert [(r.start_key, r.end_key) for r in answer.regions] == [(b"L", b"a/5"), (b"a/5", parent.meta.end_key)]
        assert (answer.left, answer.right) == tuple(answer.regions)
        assert answer.right.id == parent.id
        assert {r.region_epoch.version for r in answer.regions} == {parent.meta.region_epoch.version + 1}
        # The same client, whose regions are out of date, goes on without an error.
        assert client.batch_get(keys) == [(key, b"v" + key) for key in keys]
        client.put(b"a/4", b"left")
        client.put(b"a/6", b"right")
        assert client.scan(b"a", b"b", 100) == [
            (key, {b"a/4": b"left", b"a/6": b"right"}.get(key, b"v" + key)) for key in keys
        ]
    await_tiled_everywhere(cluster, calls)
    for region, rows in rows_of_regions(cluster, calls):
        assert all(region.contains(pair.key) for pair in rows.kvs), "a key is where its range is"


def test_split_into_several_and_at_encoded_keys(cluster: Cluster, calls: Calls) -> None:
    answer = split(cluster, calls, b"m3", b"m1", b"m2", b"m2")
    assert [r.start_key for r in answer.regions][1:] == [b"m1", b"m2", b"m3"]
    assert not answer.HasField("left")
    encoded = split(cluster, calls, b"q", is_raw=False)
    assert [r.start_key for r in encoded.regions][1:] == [encode_memcomparable(b"q")]
    await_tiled_everywhere(cluster, calls)


def test_keys_that_do_not_fit_are_refused_with_a_reason(cluster: Cluster, calls: Calls) -> None:
    border = split(cluster, calls, b"L")
    assert "begins at the key b'L' already" in border.region_error.message
    outside = split(cluster, calls, b"M", b"A")
    assert outside.region_error.HasField("key_not_in_region") or "A" in outside.region_error.message


def test_restart_after_splits_brings_back_the_same_regions(cluster: Cluster, calls: Calls) -> None:
    with connected(cluster.pd_address) as client:
        client.put(b"u/1", b"1")
        client.put(b"u/9", b"9")
    split(cluster, calls, b"u/5")
    before = await_tiled_everywhere(cluster, calls)
    for store in cluster.stores:
        cluster.kill(store.number)
    cluster.stop()
    cluster.start()
    assert await_tiled_everywhere(cluster, calls) == before
    with connected(cluster.pd_address) as client:
        assert client.batch_get([b"u/1", b"u/9"]) == [(b"u/1", b"1"), (b"u/9", b"9")]


def test_split_by_pd(cluster: Cluster, calls: Calls) -> None:
    """PD cuts several regions at once, at the keys that are no borders yet."""

    def is_cut() -> bool:
        return bool(calls.pd("SplitRegions", split_keys=[b"C", b"R", b"S", b"L"]).finished_percentage == 100)

    cluster.wait_for(is_cut, SETTLE_DEADLINE_S)
    starts = {start for _, start, _ in await_tiled_everywhere(cluster, calls)}
    assert {b"C", b"L", b"R", b"S"} <= starts


def test_all_stores_killed_during_a_split(cluster: Cluster, calls: Calls) -> None:
    """The split happens whole or not at all; asked again after the restart, it happens."""
    rng = Random(11)
    for number in range(3):
        key = b"w/%d" % number
        with connected(cluster.pd_address) as client:
            client.batch_put({b"w/%d/%d" % (number, row): b"v" for row in range(10)})
        splitter = threading.Thread(target=split, args=(cluster, calls, key))
        splitter.start()
        splitter.join(rng.random() * 0.02)
        for store in cluster.stores:
            cluster.kill(store.number)
        cluster.start()
        splitter.join()
    starts = [start for _, start, _ in await_tiled_everywhere(cluster, calls)]
    assert {b"w/0", b"w/1", b"w/2"} <= set(starts)
    with connected(cluster.pd_address) as client:
        assert len(client.scan(b"w/", b"w0", 100)) == 30


def kill_leaders_during_splits(cluster: Cluster, calls: Calls, count: int, prefix: bytes) -> None:
    """Split ``count`` times under load, and kill the leader at a random moment of each; then look at everything."""
    rng = Random(count)
    with Load(cluster.pd_address, prefix) as load:
        for number in range(count):
            before = len(load.acknowledged)
            assert wait_until(lambda: len(load.acknowledged) > before + 10, SETTLE_DEADLINE_S)  # noqa: B023
            key = prefix + b"%05d" % (100_000 * (number + 1) // (count + 1))
            leader = cluster.leader_number(key) or 1
            splitter = threading.Thread(target=split, args=(cluster, calls, key))
            splitter.start()
            # A split takes some milliseconds; the kill falls before, into or after it.
            splitter.join(rng.random() * 0.03)
            cluster.kill(leader)
            splitter.join()
            cluster.restart(leader)
    bounds = await_tiled_everywhere(cluster, calls)
    assert len([start for _, start, _ in bounds if start.startswith(prefix)]) == count
    assert_all_present(cluster, prefix, load.acknowledged)


@pytest.mark.timeout(240)
def test_leader_killed_at_random_moments_of_splits(cluster: Cluster, calls: Calls) -> None:
    """No acknowledged write is lost and the ranges tile, whenever the leader goes."""
    kill_leaders_during_splits(cluster, calls, 12, b"x/")


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_leader_killed_at_random_moments_of_50_splits(tmp_path: Path) -> None:
    with Cluster(tmp_path, split_keys=("L",)) as fresh, Calls(fresh.pd_address) as calls:
        kill_leaders_during_splits(fresh, calls, 50, b"y/")


# ------------------------------------------------ by size


def test_regions_split_by_themselves_under_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], record_property: Any
) -> None:
    with Cluster(tmp_path, split_keys=(), config=merge(SMALL, CALM)) as growing, Calls(growing.pd_address) as calls:
        assert len(calls.regions()) == 1
        with Load(growing.pd_address, b"k/") as load:
            assert wait_until(lambda: len(calls.regions()) >= 8, 60), load.failures
        bounds = await_tiled_everywhere(growing, calls)
        assert not load.failures
        assert_all_present(growing, b"k/", load.acknowledged)
        # Sizes are estimates between two checks, so the maximum is not exact.
        assert wait_until(lambda: max(sizes(growing, calls)) <= 128 * 1024, SETTLE_DEADLINE_S), sizes(growing, calls)
    record_property("longest_gap_of_writes_s", round(load.longest_gap_s, 3))
    with capsys.disabled():
        print(
            f"\n  1 region became {len(bounds)} under {len(load.acknowledged)} puts; "
            f"longest gap between two acknowledged: {load.longest_gap_s * 1000:.0f} ms"
        )


def sizes(cluster: Cluster, calls: Calls) -> list[int]:
    """Bytes of keys and values that each region holds."""
    return [sum(len(pair.key) + len(pair.value) for pair in rows.kvs) for _, rows in rows_of_regions(cluster, calls)]
