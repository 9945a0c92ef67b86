"""Several regions on three real stores: isolated from each other, routed by key, durable through every restart."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from flaredb.cli.local_cluster import StoreProcess
from flaredb.cli.official_client import connected
from flaredb.cli.ports import HOST
from flaredb.cli.probe import ProbeFailed, RegionView, applied_index, status_json
from flaredb.cli.processes import Processes
from flaredb.cli.waiting import wait_until
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, Region, RegionEpoch
from flaredb.wire.convert import peer_to_pb, region_to_pb
from tests.integration.calls import Calls, context_for
from tests.integration.cluster import CALM, Cluster
from tests.integration.moves import insist, settled
from tests.rim.fake_pd import FakePd

pytestmark = pytest.mark.process
SPLIT_KEYS = ("g", "n", "t")
REGION_KEYS = (b"a", b"g", b"n", b"t")
"""The smallest interesting key of each region."""
PAUSE_S_MAX = 10.0
PROGRESS_DEADLINE_S = 40.0
CATCH_UP_DEADLINE_S = 40.0
SILENCE_S = 2.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("multi-region"), split_keys=SPLIT_KEYS) as running:
        yield settled(running)


@pytest.fixture
def calm_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of its own, whose leaders stay where they are."""
    with Cluster(tmp_path, split_keys=SPLIT_KEYS, config=CALM) as running:
        yield settled(running)


@pytest.fixture
def cluster(shared: Cluster) -> Cluster:
    """The module's cluster with every process up and every region taking writes, whatever the last test did."""
    for store in shared.stores:
        shared.resume(store.number)
    shared.start()
    return shared


@pytest.fixture
def calls(cluster: Cluster) -> Iterator[Calls]:
    with Calls(cluster.pd_address) as open_calls:
        yield open_calls


def region_facts(cluster: Cluster, region_id: int) -> list[dict[str, Any]]:
    """What every store says of its replica, by store number."""
    path = f"/region/{region_id}"
    return [insist(lambda: status_json(store.ports.status_address, path)) for store in cluster.stores]  # noqa: B023


def last_indexes(cluster: Cluster, region_id: int) -> list[int]:
    return [facts["raft_state"]["last_index"] for facts in region_facts(cluster, region_id)]


def applied_indexes(cluster: Cluster, region_id: int) -> list[int]:
    return [applied_index(store.ports.status_address, region_id) for store in cluster.stores]


def await_caught_up(cluster: Cluster, region_ids: list[int]) -> None:
    """Wait until all replicas of each region have applied the same index."""

    def replicas_agree() -> bool:
        try:
            return all(len(set(applied_indexes(cluster, region_id))) == 1 for region_id in region_ids)
        except ProbeFailed:
            return False

    cluster.wait_for(replicas_agree, CATCH_UP_DEADLINE_S)


def put(calls: Calls, cluster: Cluster, key: bytes, value: bytes) -> None:
    """Put through whichever store leads, asking them in turn; AssertionError if none takes it in time."""
    region = calls.region_of(key)

    def is_taken() -> bool:
        for store in cluster.stores:
            context = context_for(region, store.store_id)
            try:
                answer = calls.store(store.ports.address, "RawPut", 0.5, context=context, key=key, value=value)
            except grpc.RpcError:
                continue
            if not answer.HasField("region_error") and not answer.error:
                return True
        return False

    cluster.wait_for(is_taken)


# ------------------------------------------------ start, isolation, routing


def test_regions_of_the_initial_layout_elect_leaders_and_take_writes(cluster: Cluster, calls: Calls) -> None:
    regions = calls.regions()
    bounds = [(region.meta.start_key, region.meta.end_key) for region in regions]
    assert bounds == [(b"", b"g"), (b"g", b"n"), (b"n", b"t"), (b"t", b"")]
    store_ids = {store.store_id for store in cluster.stores}
    for region in regions:
        assert {peer.store_id for peer in region.meta.peers} == store_ids
        assert region.leader_store_id in store_ids
    with connected(cluster.pd_address) as client:
        for key in REGION_KEYS:
            client.put(key, b"first " + key)
        assert [client.get(key) for key in REGION_KEYS] == [b"first " + key for key in REGION_KEYS]


def test_messages_of_regions_do_not_mix(calm_cluster: Cluster) -> None:
    """Writes of one region, one after the other, add exactly as many entries to its log and none to any other."""
    with Calls(calm_cluster.pd_address) as calls:
        write_to_each_region(calm_cluster, calls)


def write_to_each_region(cluster: Cluster, calls: Calls) -> None:
    by_key = {key: calls.region_of(key).id for key in REGION_KEYS}
    await_caught_up(cluster, list(by_key.values()))
    before = {region_id: region_facts(cluster, region_id) for region_id in by_key.values()}
    writes = {b"a": 7, b"g": 0, b"n": 23, b"t": 1}

    def write(key: bytes) -> None:
        region = calls.region_of(key)
        address = cluster_address(cluster, region.leader_store_id)
        for number in range(writes[key]):
            named = key + b"/mix/%d" % number
            answer = calls.store(address, "RawPut", context=context_for(region), key=named, value=named)
            assert not answer.HasField("region_error"), answer

    with ThreadPoolExecutor(len(writes)) as threads:
        list(threads.map(write, writes))
    await_caught_up(cluster, list(by_key.values()))
    for key, region_id in by_key.items():
        for old, new in zip(before[region_id], region_facts(cluster, region_id), strict=True):
            assert new["term"] == old["term"]
            assert new["raft_state"]["last_index"] == old["raft_state"]["last_index"] + writes[key]


def test_keys_go_to_the_region_that_holds_them(cluster: Cluster, calls: Calls) -> None:
    keys = sorted(letter + tail for letter in (b"f", b"g", b"m", b"n", b"s", b"t", b"u") for tail in (b"", b"\xff\xff"))
    prefix_of = {key: calls.region_of(key).id for key in keys}
    with connected(cluster.pd_address) as client:
        client.batch_put({key: b"v" + key for key in keys})
        assert client.batch_get(keys) == [(key, b"v" + key) for key in keys]
        rows = [row for row in client.scan(b"f", None, 1000) if row[0] in prefix_of]
        assert rows == [(key, b"v" + key) for key in keys]
        client.delete_range(b"g", b"n\xff")
        left = [key for key in keys if not b"g" <= key < b"n\xff"]
        assert [key for key, _ in client.scan(b"f", None, 1000) if key in prefix_of] == left
    for region in calls.regions():
        here = [key for key in keys_in_region(cluster, calls, region.meta.start_key) if key in prefix_of]
        assert here == [key for key in left if prefix_of[key] == region.id]


def keys_in_region(cluster: Cluster, calls: Calls, start: bytes) -> list[bytes]:
    """The keys that the leader of the region which begins here says it holds, whoever that is."""
    found: list[bytes] = []

    def is_told() -> bool:
        region = calls.region_of(start)
        if not region.leader_store_id:
            return False
        address = cluster_address(cluster, region.leader_store_id)
        answer = calls.store(address, "RawScan", context=context_for(region), start_key=start, limit=1000)
        found[:] = [pair.key for pair in answer.kvs]
        return not answer.HasField("region_error")

    cluster.wait_for(is_told)
    return found


def cluster_address(cluster: Cluster, store_id: int) -> str:
    """Where clients reach the store of this id."""
    return next(store.ports.address for store in cluster.stores if store.store_id == store_id)


# ------------------------------------------------ restarts


def test_restarted_store_catches_up_with_what_it_missed(cluster: Cluster, calls: Calls) -> None:
    region_ids = [region.id for region in calls.regions()]
    with connected(cluster.pd_address) as client:
        client.batch_put({key + b"/before": b"1" for key in REGION_KEYS})
        number = cluster.leader_number(b"a")
        cluster.stop_store(number)
        client.batch_put({key + b"/during": b"2" for key in REGION_KEYS})
        cluster.restart(number)
        await_caught_up(cluster, region_ids)
        client.batch_put({key + b"/after": b"3" for key in REGION_KEYS})
        wanted = [key + tail for key in REGION_KEYS for tail in (b"/after", b"/before", b"/during")]
        assert [key for key, _ in client.batch_get(wanted)] == wanted
    assert "Traceback" not in cluster.log(number)


def name_other_split_keys(cluster: Cluster) -> None:
    """Change the layout in PD's file: it is for a new cluster, and this one exists."""
    config = cluster.store(1).child.log_path.with_name("pd.toml")
    text = config.read_text()
    assert '"g"' in text
    config.write_text(text.replace('"g"', '"c"'))


def test_whole_cluster_restarts_with_all_its_data_and_stores_may_come_first(cluster: Cluster, calls: Calls) -> None:
    before = calls.regions()
    with connected(cluster.pd_address) as client:
        client.batch_put({key + b"/whole": b"kept" for key in REGION_KEYS})
    timestamp, allocated = calls.timestamp(), calls.pd("AllocID", count=1).id
    cluster.stop()
    name_other_split_keys(cluster)
    for store in cluster.stores:
        store.child.start()
    cluster.start()
    assert [region.meta for region in calls.regions()] == [region.meta for region in before]
    assert calls.timestamp() > timestamp
    assert calls.pd("AllocID", count=1).id > allocated
    with connected(cluster.pd_address) as client:
        assert all(client.get(key + b"/whole") == b"kept" for key in REGION_KEYS)
        client.batch_put({key + b"/whole": b"and written again" for key in REGION_KEYS})


def test_all_stores_killed_at_once_keep_what_they_acknowledged(cluster: Cluster, calls: Calls) -> None:
    with connected(cluster.pd_address) as client:
        for number in range(40):
            client.put(REGION_KEYS[number % 4] + b"/all/%d" % number, b"%d" % number)
    for store in cluster.stores:
        cluster.kill(store.number)
    cluster.start()
    with connected(cluster.pd_address) as client:
        for number in range(40):
            assert client.get(REGION_KEYS[number % 4] + b"/all/%d" % number) == b"%d" % number


def test_writes_go_on_without_pd_and_its_ids_and_timestamps_go_on_after_it(cluster: Cluster, calls: Calls) -> None:
    before = calls.regions()
    cluster_id, timestamp = calls.cluster_id(), calls.timestamp()
    allocated = calls.pd("AllocID", count=1).id
    with connected(cluster.pd_address) as client:
        for key in REGION_KEYS:
            assert client.get(key + b"/pd") is None
        cluster.kill_pd()
        for key in REGION_KEYS:
            client.put(key + b"/pd", b"written without PD")
        cluster.restart_pd()
        assert [client.get(key + b"/pd") for key in REGION_KEYS] == [b"written without PD"] * 4
    assert calls.cluster_id() == cluster_id
    assert calls.timestamp() > timestamp
    assert calls.pd("AllocID", count=1).id > allocated
    assert [region.meta for region in calls.regions()] == [region.meta for region in before]

    def every_leader_is_known() -> bool:
        return all(region.leader_store_id for region in calls.regions())

    cluster.wait_for(every_leader_is_known)
    with connected(cluster.pd_address) as client:
        assert client.get(b"a/pd") == b"written without PD"


def test_store_started_without_pd_waits_for_it(cluster: Cluster, calls: Calls) -> None:
    cluster.stop_store(1)
    cluster.kill_pd()
    cluster.store(1).child.start()
    assert cluster.store(1).child.is_running()
    cluster.restart_pd()
    cluster.store(1).child.wait_ready(60)
    await_caught_up(cluster, [region.id for region in calls.regions()])


def one_store_region(region_id: int, start: bytes, end: bytes, version: int) -> Region:
    """A region whose only replica is on the first store that FakePd knows."""
    peer = Peer(PeerId(region_id + 1), StoreId(101))
    return Region(RegionId(region_id), start, end, RegionEpoch(1, version), (peer,))


async def test_disk_wins_over_pd_on_restart(tmp_path: Path) -> None:
    """PD lists two regions; when the store comes back it lists another layout, which changes nothing."""
    pd = await FakePd().start()
    pd.bootstrapped = True
    listed = [one_store_region(10, b"", b"m", 1), one_store_region(20, b"m", b"", 1)]
    flags = f"--addr {HOST}:0 --peer-addr {HOST}:0 --status-addr {HOST}:0 --pd-endpoints {pd.address}".split()
    try:
        with Processes(tmp_path) as processes, Calls(pd.address) as calls:
            store = processes.add_flaredb("store", ["server", *flags, "--data-dir", str(tmp_path / "data")])

            def ask(name: str, at: Region, **fields: Any) -> Any:
                context = context_for(RegionView(region_to_pb(at), peer_to_pb(at.peers[0])), 101)
                return calls.store(store.wait_ready(60)["address"], name, context=context, **fields)

            pd.regions = listed
            store.start()
            for at, key in zip(listed, (b"a", b"z"), strict=True):
                answer = await asyncio.to_thread(ask, "RawPut", at, key=key, value=b"of " + key)
                assert not answer.HasField("region_error"), answer
            await asyncio.to_thread(processes.stop, [store])
            pd.regions = [one_store_region(30, b"", b"", 9)]
            store.start()
            for at, key in zip(listed, (b"a", b"z"), strict=True):
                assert (await asyncio.to_thread(ask, "RawGet", at, key=key)).value == b"of " + key
            refused = await asyncio.to_thread(ask, "RawGet", pd.regions[0], key=b"a")
            assert refused.region_error.region_not_found.region_id == 30
    finally:
        await pd.stop()


# ------------------------------------------------ a leader dies, or sleeps


class Load:
    """Threads that put new keys into every region through the official client and note what was acknowledged."""

    def __init__(self, pd_address: str, threads: int = 3) -> None:
        self.acknowledged: dict[bytes, bytes] = {}
        self.acknowledged_at: dict[bytes, list[tuple[float, float]]] = defaultdict(list)
        """Region key -> (begin, end) of each acknowledged put, in seconds of the monotonic clock."""

        self.failures: list[str] = []
        self._pd_address = pd_address
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    def _run(self, thread: int) -> None:
        with connected(self._pd_address) as client:
            count = 0
            while not self._stop.is_set():
                count += 1
                region_key = REGION_KEYS[count % len(REGION_KEYS)]
                key = region_key + b"/load/%d/%06d" % (thread, count)
                begin_s = time.monotonic()
                try:
                    client.put(key, b"value of " + key)
                except Exception as error:
                    self.failures.append(str(error))
                    continue
                self.acknowledged[key] = b"value of " + key
                self.acknowledged_at[region_key].append((begin_s, time.monotonic()))

    def acknowledged_since(self, since_s: float) -> dict[bytes, float]:
        """Region key -> when the first put that began after ``since_s`` was acknowledged, for regions with one."""
        return {
            key: min(ends)
            for key, puts in list(self.acknowledged_at.items())
            if (ends := [end_s for begin_s, end_s in list(puts) if begin_s >= since_s])
        }

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_killed_leader_loses_no_acknowledged_write(
    cluster: Cluster, calls: Calls, capsys: pytest.CaptureFixture[str], record_property: Any
) -> None:
    regions = calls.regions()
    number = cluster.leader_number(b"n")
    led = [key for key in REGION_KEYS if calls.region_of(key).leader_store_id == cluster.store(number).store_id]
    with Load(cluster.pd_address) as load:
        begun_s = time.monotonic()
        assert wait_until(
            lambda: len(load.acknowledged_since(begun_s)) == 4 and len(load.acknowledged) > 100, PROGRESS_DEADLINE_S
        ), load.failures
        killed_s = time.monotonic()
        cluster.kill(number)
        assert wait_until(lambda: len(load.acknowledged_since(killed_s)) == 4, PROGRESS_DEADLINE_S), load.failures
        cluster.restart(number)
        restarted_s = time.monotonic()
        assert wait_until(lambda: len(load.acknowledged_since(restarted_s)) == 4, PROGRESS_DEADLINE_S), load.failures
    first = load.acknowledged_since(killed_s)
    pause_s = max(first[key] for key in led) - killed_s
    with capsys.disabled():
        print(
            f"\n  SIGKILL of the leader of {len(led)} of {len(regions)} regions under load: its writes paused for "
            f"{pause_s:.2f} s; {len(load.acknowledged)} acknowledged, {len(load.failures)} failed"
        )
    record_property("pause_of_writes_s", round(pause_s, 3))
    assert pause_s < PAUSE_S_MAX
    await_caught_up(cluster, [region.id for region in regions])
    with connected(cluster.pd_address) as client:
        keys = sorted(load.acknowledged)
        found: dict[bytes, bytes] = {}
        for at in range(0, len(keys), 1000):
            found |= dict(client.batch_get(keys[at : at + 1000]))
    missing = {key for key in keys if found.get(key) != load.acknowledged[key]}
    assert not missing


def test_paused_leader_never_answers_with_an_old_value(cluster: Cluster, calls: Calls) -> None:
    """A leader sleeps while another takes over; whatever it is asked, it never shows the past when it wakes.

    It hears of its successor almost as soon as of the reads; the core's tests cut a leader off and hold the race open.
    """
    key = b"g/stale"
    region = calls.region_of(key)
    put(calls, cluster, key, b"0")

    def read_from(store: StoreProcess) -> Any:
        return calls.store(store.ports.address, "RawGet", context=context_for(region, store.store_id), key=key)

    serving: list[StoreProcess] = []

    def somebody_leads() -> bool:
        serving[:] = [store for store in cluster.stores if read_from(store).value == b"0"]
        return bool(serving)

    cluster.wait_for(somebody_leads)
    old_leader = serving[-1]
    number = old_leader.number

    def read_from_old_leader(_: int) -> Any:
        return read_from(old_leader)

    cluster.pause(number)
    paused_s = time.monotonic()
    writes = 0
    while time.monotonic() - paused_s < SILENCE_S or writes == 0:
        writes += 1
        put(calls, cluster, key, b"%d" % writes)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(read_from_old_leader, count) for count in range(8)]
        cluster.resume(number)
        answers = [read.result() for read in waiting]
    answers += [read_from_old_leader(count) for count in range(20)]
    for answer in answers:
        assert answer.HasField("region_error") or answer.value == b"%d" % writes
    with connected(cluster.pd_address) as client:
        assert client.get(key) == b"%d" % writes
    await_caught_up(cluster, [region.id])
