"""Replicas of real regions move between real stores: by order, by PD itself, and while processes are killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flaredb.cli.ctl.http import PdRefused
from flaredb.cli.official_client import connected
from flaredb.cli.probe import status_json
from flaredb.server.toml_text import merge
from tests.integration.calls import Calls
from tests.integration.cluster import CALM, Cluster
from tests.integration.moves import (
    MOVE_DEADLINE_S,
    QUICK_SCHEDULE,
    SOON_DOWN,
    Orders,
    checksum,
    ctl,
    equal_checksums,
    holds,
    insist,
    wait_gone,
)

pytestmark = pytest.mark.process
LEARNER = 1
SCAN_ROWS = 2_000
"""At a time: the official client takes no answer above 4 MiB."""

QUICK_STORES = {
    "raftstore": {"raft-log-gc-threshold": 10, "abnormal-leader-missing-duration": "2s", "max-peer-down-duration": "2s"}
}
LARGE_ROWS = {b"large-%04d" % number: b"%04d" % number * 256 for number in range(6_000)}
"""Enough for table files: a smaller snapshot is written in batches."""

ROWS = {b"%04d" % number: b"value of %d " % number * 8 for number in range(2_000)}


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three stores, one region on all of them, and PD that moves nothing by itself. A test may add to the stores'
    configuration.
    """
    config = merge(QUICK_STORES, getattr(request, "param", {}))
    with Cluster(tmp_path, split_keys=(), config=config) as running:
        yield running


@pytest.fixture
def calls(cluster: Cluster) -> Iterator[Calls]:
    with Calls(cluster.pd_address) as open_calls:
        yield open_calls


@pytest.fixture
def orders(cluster: Cluster, calls: Calls) -> Orders:
    made = Orders(cluster, calls)
    made.set(**QUICK_SCHEDULE)
    made.settle_down()
    return made


def load(cluster: Cluster, rows: dict[bytes, bytes] = ROWS) -> None:
    client = cluster.client()
    items = list(rows.items())
    for at in range(0, len(items), 500):
        client.batch_put(dict(items[at : at + 500]))


def everything(cluster: Cluster) -> dict[bytes, bytes]:
    rows: dict[bytes, bytes] = {}
    with connected(cluster.pd_address) as client:
        while page := client.scan(max(rows, default=b"") + b"\x00", b"\xff", SCAN_ROWS):
            rows.update(page)
    return rows


def only_region(calls: Calls) -> int:
    (region,) = calls.regions()
    return region.id


def follower(orders: Orders, region_id: int) -> int:
    """Number of a store with a replica that does not lead."""
    region = orders.region(region_id)
    return next(
        orders.cluster.number_of(peer.store_id) for peer in region.meta.peers if peer.store_id != region.leader_store_id
    )


def test_a_replica_is_added_and_another_removed_by_order(cluster: Cluster, calls: Calls, orders: Orders) -> None:
    load(cluster)
    region_id = only_region(calls)
    before = insist(lambda: checksum(cluster, orders.region(region_id), orders.region(region_id).leader_store_id))
    orders.set(enable_remove_extra_replica=False)
    fourth = cluster.add_store()
    orders.add_when_free("add-peer", region_id, store_id=fourth.store_id)
    orders.wait_placed(region_id, {1, 2, 3, 4})
    gone = follower(orders, region_id)
    orders.add_when_free("remove-peer", region_id, store_id=cluster.store(gone).store_id)
    orders.wait_placed(region_id, {1, 2, 3, 4} - {gone})
    wait_gone(cluster, gone, region_id)
    assert equal_checksums(calls, cluster) == {region_id: before}
    assert everything(cluster) == ROWS


@pytest.mark.parametrize("cluster", [CALM], indirect=True, ids=["calm"])
def test_pd_moves_a_replica_with_a_quorum_at_each_step(cluster: Cluster, calls: Calls, orders: Orders) -> None:
    """transfer-peer while a client writes: every configuration that PD sees has a majority that is alive."""
    load(cluster)
    region_id = only_region(calls)
    fourth = cluster.add_store()
    moved = follower(orders, region_id)
    seen: list[dict[int, int]] = []
    with Writer(cluster) as writer:
        orders.add_when_free(
            "transfer-peer",
            region_id,
            from_store_id=cluster.store(moved).store_id,
            to_store_id=fourth.store_id,
        )
        wanted = dict.fromkeys({1, 2, 3, 4} - {moved}, 0)

        def is_moved() -> bool:
            seen.append(orders.stores_of(region_id))
            return seen[-1] == wanted

        cluster.wait_for(is_moved, MOVE_DEADLINE_S)
    for roles in seen:
        assert sum(role != LEARNER for role in roles.values()) >= 3, seen
    assert writer.failures == []
    rows = everything(cluster)
    assert {key: rows[key] for key in writer.acknowledged} == writer.acknowledged
    equal_checksums(calls, cluster)


def test_a_new_replica_catches_up_by_a_snapshot_once_the_log_is_gone(
    cluster: Cluster, calls: Calls, orders: Orders
) -> None:
    load(cluster)
    region_id = only_region(calls)

    def is_compacted() -> bool:
        leader = cluster.store(cluster.leader_number(b""))
        facts = insist(lambda: status_json(leader.ports.status_address, f"/region/{region_id}"))
        return bool(facts["apply_state"]["truncated_index"] > 5)

    client = cluster.client()
    for number in range(30):
        client.put(b"%04d" % number, ROWS[b"%04d" % number])
    cluster.wait_for(is_compacted, MOVE_DEADLINE_S)
    fourth = cluster.add_store()
    orders.add_when_free("add-learner", region_id, store_id=fourth.store_id)

    def is_learner() -> bool:
        return orders.stores_of(region_id).get(4) == LEARNER and region_id in holds(cluster, 4)

    cluster.wait_for(is_learner, MOVE_DEADLINE_S)
    assert len(set(equal_checksums(calls, cluster).values())) == 1
    cluster.wait_for(lambda: "snapshot is installed" in cluster.log(4))


def test_a_peer_removed_while_it_sleeps_is_destroyed_when_it_wakes(
    cluster: Cluster, calls: Calls, orders: Orders
) -> None:
    load(cluster, {b"a": b"1"})
    region_id = only_region(calls)
    orders.set(enable_remove_extra_replica=False)
    cluster.add_store()
    orders.add_when_free("add-peer", region_id, store_id=cluster.store(4).store_id)
    orders.wait_placed(region_id, {1, 2, 3, 4})
    asleep = follower(orders, region_id)
    cluster.pause(asleep)
    orders.add_when_free("remove-peer", region_id, store_id=cluster.store(asleep).store_id)
    orders.wait_placed(region_id, {1, 2, 3, 4} - {asleep})
    cluster.client().put(b"b", b"2")
    cluster.resume(asleep)
    wait_gone(cluster, asleep, region_id)
    cluster.kill(asleep)
    cluster.restart(asleep)
    assert holds(cluster, asleep) == []
    assert everything(cluster) == {b"a": b"1", b"b": b"2"}


def test_a_move_goes_on_when_its_leader_is_killed_half_way(cluster: Cluster, calls: Calls, orders: Orders) -> None:
    load(cluster)
    region_id = only_region(calls)
    fourth = cluster.add_store()
    leader = cluster.leader_number(b"")
    moved = follower(orders, region_id)
    orders.add_when_free(
        "transfer-peer", region_id, from_store_id=cluster.store(moved).store_id, to_store_id=fourth.store_id
    )

    def has_begun() -> bool:
        return 4 in orders.stores_of(region_id)

    cluster.wait_for(has_begun, MOVE_DEADLINE_S)
    cluster.kill(leader)
    cluster.restart(leader)

    def is_over() -> bool:
        roles = orders.stores_of(region_id)
        return set(roles.values()) == {0} and len(roles) == 3

    cluster.wait_for(is_over, MOVE_DEADLINE_S)
    equal_checksums(calls, cluster)
    assert everything(cluster) == ROWS


def test_a_store_is_drained_until_it_is_a_tombstone(cluster: Cluster, calls: Calls, orders: Orders) -> None:
    load(cluster)
    cluster.add_store()
    leaving = cluster.store(1)
    told = ctl(cluster, "store", "delete", str(leaving.store_id), "--wait")
    assert told.returncode == 0, told.stderr
    assert "tombstone" in told.stdout
    (region,) = calls.regions()
    assert leaving.store_id not in {peer.store_id for peer in region.meta.peers}
    assert len(region.meta.peers) == 3
    wait_gone(cluster, 1, region.id)
    assert holds(cluster, 1) == []
    assert everything(cluster) == ROWS
    equal_checksums(calls, cluster)


def test_a_store_that_is_down_is_replaced_unaided(cluster: Cluster, calls: Calls, orders: Orders) -> None:
    orders.set(**SOON_DOWN)
    load(cluster)
    region_id = only_region(calls)
    cluster.add_store()
    dead = follower(orders, region_id)
    cluster.kill(dead)
    orders.wait_placed(region_id, {1, 2, 3, 4} - {dead})
    assert everything(cluster) == ROWS


@pytest.mark.timeout(240)
def test_a_fourth_store_ends_with_its_share(cluster: Cluster, calls: Calls, orders: Orders) -> None:
    """Twelve regions on three stores: leaders and replicas spread to the newcomer, and then nothing moves any more."""
    orders.set(leader_schedule_limit=4, region_schedule_limit=64)
    load(cluster)
    keys = [b"%04d" % (number * 160) for number in range(1, 12)]
    cluster.wait_for(lambda: calls.pd("SplitRegions", split_keys=keys).finished_percentage == 100)
    cluster.add_store()

    def is_even() -> bool:
        regions = calls.regions()
        replicas = [peer.store_id for region in regions for peer in region.meta.peers]
        leaders = [region.leader_store_id for region in regions]
        ids = [store.store_id for store in cluster.stores]
        counts = [replicas.count(store_id) for store_id in ids]
        led = [leaders.count(store_id) for store_id in ids]
        return len(replicas) == 36 and max(counts) - min(counts) <= 2 and max(led) - min(led) <= 2

    cluster.wait_for(is_even, 2 * MOVE_DEADLINE_S)
    orders.wait_idle()
    assert everything(cluster) == ROWS
    equal_checksums(calls, cluster)


REFUSALS: list[tuple[str, str, dict[str, Any], str]] = [
    ("a store that holds a replica already", "add-peer", {"store_id": 1}, "already"),
    ("a store that does not exist", "add-peer", {"store_id": 99}, "99"),
    ("a replica that is not there", "remove-peer", {"store_id": 99}, "99"),
    ("leadership for a store without a replica", "transfer-leader", {"to_store_id": 99}, "99"),
]


@pytest.mark.parametrize(("what", "name", "fields", "reason"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_an_order_that_cannot_be_is_refused_with_the_reason(
    what: str, name: str, fields: dict[str, Any], reason: str, shared: Cluster
) -> None:
    with Calls(shared.pd_address) as calls:
        orders = Orders(shared, calls)
        wanted = {
            field: shared.store(value).store_id if value <= len(shared.stores) else value
            for field, value in fields.items()
        }
        with pytest.raises(PdRefused, match=reason):
            orders.add(name, only_region(calls), **wanted)


def test_too_few_stores_would_remain(shared: Cluster) -> None:
    told = ctl(shared, "store", "delete", str(shared.store(1).store_id))
    assert told.returncode == 1
    assert told.stdout == ""
    assert "3" in told.stderr, "it names how many are needed"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three stores that stay as they are."""
    with Cluster(tmp_path_factory.mktemp("refusals"), split_keys=()) as running:
        yield running


# ------------------------------------------------ kills


@pytest.mark.parametrize(
    "rounds", [pytest.param(4, marks=pytest.mark.timeout(300)), pytest.param(50, marks=pytest.mark.soak)]
)
def test_moves_survive_kills_of_sender_receiver_and_pd(
    rounds: int, cluster: Cluster, calls: Calls, orders: Orders
) -> None:
    """Each round moves a replica to the store that has none and kills a process at a random moment of it."""
    load(cluster)
    load(cluster, LARGE_ROWS)
    region_id = only_region(calls)
    cluster.add_store()
    rng = Random(rounds)
    with Writer(cluster) as writer:
        for round_number in range(rounds):
            move_under_a_kill(cluster, orders, region_id, rng, round_number % 3)
        insist(lambda: cluster.client().put(b"last", b"write"))
    rows = everything(cluster)
    assert {key: rows.get(key) for key in writer.acknowledged} == writer.acknowledged
    assert {key: rows.get(key) for key in LARGE_ROWS} == LARGE_ROWS
    equal_checksums(calls, cluster)


def move_under_a_kill(cluster: Cluster, orders: Orders, region_id: int, rng: Random, victim: int) -> None:
    """victim 0: the leader, which sends; 1: the store that receives; 2: PD."""
    here = set(orders.stores_of(region_id))
    (to,) = {1, 2, 3, 4} - here
    leader = insist(lambda: cluster.number_of(orders.region(region_id).leader_store_id))
    moved = rng.choice(sorted(here - {leader}))
    orders.add_when_free(
        "transfer-peer",
        region_id,
        from_store_id=cluster.store(moved).store_id,
        to_store_id=cluster.store(to).store_id,
    )
    threading.Event().wait(rng.random() * 0.3)
    if victim == 2:
        cluster.kill_pd()
        cluster.restart_pd()
    else:
        hurt = (leader, to)[victim]
        cluster.kill(hurt)
        cluster.restart(hurt)
    finish_move(cluster, orders, region_id, moved, to)


def finish_move(cluster: Cluster, orders: Orders, region_id: int, moved: int, to: int) -> None:
    """PD forgets its operators when it is killed: whatever it left half done is finished by order.

    A PD that has just started shows what it last saved, until the leader reports: only what the stores say too counts.
    """

    def is_settled() -> bool:
        roles = insist(lambda: orders.stores_of(region_id))
        known = insist(lambda: orders.region(region_id)).meta.region_epoch.conf_ver
        if known != newest_conf_ver(cluster, region_id) or insist(lambda: orders.pd.get("/operators")):
            return False
        if set(roles.values()) == {0} and len(roles) == 3:
            return True
        if set(roles.values()) == {0} and len(roles) == 4:
            insist(lambda: orders.add_when_free("remove-peer", region_id, store_id=cluster.store(moved).store_id))
        return False

    cluster.wait_for(is_settled, 2 * MOVE_DEADLINE_S)


def newest_conf_ver(cluster: Cluster, region_id: int) -> int:
    """Of all replicas that answer."""
    views = [
        insist(lambda: status_json(store.ports.status_address, f"/region/{region_id}"))  # noqa: B023
        for store in cluster.stores
    ]
    return max(view["epoch"]["conf_ver"] for view in views if view)


class Writer:
    """Writes on from a thread of its own, one put after the other, and remembers what was acknowledged."""

    def __init__(self, cluster: Cluster) -> None:
        self._pd_address = cluster.pd_address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: dict[bytes, bytes] = {}
        self.failures: list[str] = []

    def _run(self) -> None:
        with connected(self._pd_address) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                key, value = b"writer-%06d" % number, b"%d" % number
                try:
                    client.put(key, value)
                    self.acknowledged[key] = value
                except Exception as error:
                    self.failures.append(f"{time.monotonic():.1f}: {error}")
                self._stop.wait(0.005)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
