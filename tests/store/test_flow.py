"""What waits in a store is bounded, and whoever is refused is told when to ask again: slow engine, disk, follower."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaredb.engine.base import Pressure
from flaredb.engine.memory import MemoryEngine
from flaredb.model.commands import Get
from flaredb.model.errors import ServerIsBusy
from flaredb.model.ids import RegionId, StoreId
from flaredb.raft import MessageType
from flaredb.store.config import FlowLimits
from flaredb.store.flow import LOOK_INTERVAL_MS, FlowControl, admitted_share
from flaredb.store.messages import SyncDone
from tests.store.harness import CONFIG, Cluster, Node, put, region

REGION = region(1)
LIMITS = FlowLimits(memtables=5, level0_files=20, pending_bytes_soft=1000, pending_bytes_hard=3000)
VALUE = b"v" * 1000

SHARES = [
    ("nothing is owed", Pressure(), 1.0, ""),
    ("all figures at their thresholds", Pressure(5, 20, 1000), 1.0, ""),
    ("memtables a fifth beyond", Pressure(6, 0, 0), 0.8, "6 memtables wait to be flushed, which is more than 5"),
    (
        "memtables at twice the threshold",
        Pressure(10, 0, 0),
        0.0,
        "10 memtables wait to be flushed, which is more than 5",
    ),
    ("files half beyond", Pressure(0, 30, 0), 0.5, "30 table files wait on level 0, which is more than 20"),
    (
        "bytes between soft and hard",
        Pressure(0, 0, 1500),
        0.75,
        "1500 bytes wait to be compacted, which is more than 1000",
    ),
    ("bytes beyond hard", Pressure(0, 0, 9000), 0.0, "9000 bytes wait to be compacted, which is more than 1000"),
    ("the worst figure counts", Pressure(6, 30, 1500), 0.5, "30 table files wait on level 0, which is more than 20"),
]


@pytest.mark.parametrize(("case", "pressure", "share", "reason"), SHARES, ids=[row[0] for row in SHARES])
def test_the_share_of_writes_let_in(case: str, pressure: Pressure, share: float, reason: str) -> None:
    assert admitted_share(LIMITS, pressure) == (share, reason)


@pytest.mark.parametrize(("memtables", "refused"), [(0, 0), (5, 0), (6, 20), (8, 60), (10, 100), (99, 100)])
def test_the_share_is_spread_evenly(memtables: int, refused: int) -> None:
    engine = MemoryEngine()
    engine.owed = Pressure(memtables)
    flow = FlowControl(LIMITS, engine, 0)
    outcomes = [flow.refuses(0) for _ in range(100)]
    assert abs(sum(outcomes) - refused) <= 1
    if refused == 60:
        assert all(2 <= sum(outcomes[at : at + 5]) <= 4 for at in range(0, 100, 5)), "no long run of either"


def test_the_engine_is_asked_now_and_then_and_only_for_writes() -> None:
    engine = MemoryEngine()
    flow = FlowControl(LIMITS, engine, 0)
    assert not flow.refuses(0)
    engine.owed = Pressure(10)
    assert not flow.refuses(LOOK_INTERVAL_MS - 1)
    assert flow.refuses(LOOK_INTERVAL_MS)
    assert (flow.share, flow.backoff_ms) == (0.0, 1_000)
    engine.owed = Pressure()
    assert not flow.refuses(2 * LOOK_INTERVAL_MS)
    assert (flow.share, flow.backoff_ms) == (1.0, 100)


# ------------------------------------------------ in a store


def make_cluster(**settings: Any) -> tuple[Cluster, Node]:
    cluster = Cluster([REGION], config=replace(CONFIG, **settings))
    assert cluster.put(REGION, b"a", b"1") is None
    return cluster, cluster.await_leader(1)


def test_an_engine_that_is_behind_gets_no_writes_and_serves_reads() -> None:
    cluster, leader = make_cluster()
    leader.engine.owed = Pressure(unflushed_memtables=10)
    cluster.run_for(LOOK_INTERVAL_MS)
    answer = cluster.put(REGION, b"a", b"2")
    assert isinstance(answer, ServerIsBusy)
    assert answer.backoff_ms == 1_000
    assert "10 memtables wait to be flushed" in str(answer)
    assert leader.store.busy_counts == {"engine": 1}
    assert leader.store.is_busy, "PD is told"
    assert cluster.get(REGION, b"a") == b"1"
    leader.engine.owed = Pressure()
    cluster.run_for(LOOK_INTERVAL_MS)
    assert cluster.put(REGION, b"a", b"2") is None


def test_a_follower_whose_engine_is_behind_still_replicates() -> None:
    """Only its leader may refuse: what is in the log must be taken."""
    cluster, _ = make_cluster()
    cluster.nodes[StoreId(2)].engine.owed = Pressure(unflushed_memtables=10)
    cluster.nodes[StoreId(3)].engine.owed = Pressure(unflushed_memtables=10)
    assert cluster.put(REGION, b"a", b"2") is None


def push(cluster: Cluster, node: Node, rounds: int) -> list[Any]:
    """Writes of about 1 KB, one a round, for which nobody waits: what was answered at once, as refusals are."""
    tokens = []
    for number in range(rounds):
        tokens.append(cluster.send(node, REGION, put(b"k%d" % number, VALUE)))
        cluster.round()
    return [node.answers.get(token) for token in tokens]


def busy(answers: list[Any]) -> int:
    return sum(isinstance(answer, ServerIsBusy) for answer in answers)


def test_what_waits_for_a_quorum_is_bounded_for_each_region() -> None:
    """Followers that never answer: the log grows, and nothing of it can be applied."""
    cluster, leader = make_cluster(
        region_write_bytes_max=20_000, entry_size_bytes_max=20_000, batch_entry_size_bytes=100
    )
    cluster.drop = lambda envelope: envelope.to_store == 1
    peer = leader.store.peers[RegionId(1)]
    answers = push(cluster, leader, 60)
    assert peer.is_leader, "check-quorum has not noticed yet"
    assert busy(answers) == 60 - 19
    assert peer.proposed_bytes <= 20_000
    assert leader.store.busy_counts == {"region": 41}
    refusal = next(answer for answer in answers if answer is not None)
    assert refusal.backoff_ms == 100
    assert "raftstore.region-max-waiting-writes-size = 20000" in str(refusal)


def test_entries_that_wait_to_be_applied_are_counted() -> None:
    cluster, leader = make_cluster(region_entries_max=10)
    cluster.drop = lambda envelope: envelope.to_store == 1
    answers = push(cluster, leader, 30)
    assert busy(answers) == 20
    peer = leader.store.peers[RegionId(1)]
    assert peer.node.raft.raft_log.last_index() - peer.applied_index == 10
    assert "raftstore.region-max-unapplied-entries" in str(answers[-1])
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: cluster.put(REGION, b"a", b"2") is None)
    peer = cluster.await_leader(1).store.peers[RegionId(1)]
    assert (peer.proposed_bytes, peer.collected_bytes) == (0, 0)


def test_a_write_whose_answer_was_given_up_still_counts() -> None:
    """Its entry takes memory until its fate is decided."""
    cluster, leader = make_cluster(write_timeout_ms=50)
    leader.sync_at_once = False
    for node in cluster.nodes.values():
        node.sync_at_once = False
    answers = push(cluster, leader, 5)
    cluster.run_for(200)
    assert leader.store.waiting_write_bytes == 0
    assert answers == [None] * 5
    assert leader.store.peers[RegionId(1)].proposed_bytes > 5_000


def test_a_disk_that_never_syncs_bounds_what_its_leader_takes() -> None:
    cluster, leader = make_cluster(unsynced_bytes_max=10_000)
    leader.sync_at_once = False
    answers = push(cluster, leader, 60)
    assert busy(answers) > 40
    assert leader.store.unsynced_bytes < 10_000 + 2 * len(VALUE) + 1_000
    assert "raftstore.max-unsynced-size = 10000" in str(answers[-1])
    assert leader.store.busy_counts.keys() == {"disk"}


def test_a_disk_that_never_syncs_bounds_what_a_follower_takes() -> None:
    cluster, leader = make_cluster(unsynced_bytes_max=10_000)
    slow = next(node for node in cluster.nodes.values() if node is not leader)
    slow.sync_at_once = False
    for number in range(60):
        assert cluster.put(REGION, b"k%d" % number, VALUE) is None, "the other two go on"
    assert slow.store.unsynced_bytes < 10_000 + 2 * len(VALUE) + 1_000
    assert slow.store.appends_dropped > 0
    waits = slow.store.peers[RegionId(1)].unsynced
    cluster.run_for(3_000)
    assert len(waits) < 30, "heartbeats make no further ones"
    slow.sync_at_once = True
    slow.engine.sync()
    slow.inbox.append(SyncDone(slow.store._sequence))
    cluster.run_until(
        lambda: slow.store.peers[RegionId(1)].applied_index == leader.store.peers[RegionId(1)].applied_index
    )
    assert slow.store.unsynced_bytes == 0


def test_a_follower_that_never_answers_is_sent_a_bounded_number_of_bytes() -> None:
    cluster, leader = make_cluster(inflight_bytes_max=10_000, message_size_bytes_max=2_000)
    deaf = next(node for node in cluster.nodes.values() if node is not leader)
    cluster.drop = lambda envelope: envelope.from_store == deaf.id
    cluster.sent.clear()
    for number in range(60):
        assert cluster.put(REGION, b"k%d" % number, VALUE) is None
    sent = {
        entry.index: len(entry.data)
        for envelope in cluster.sent
        if envelope.to_store == deaf.id and envelope.message.msg_type is MessageType.MsgAppend
        for entry in envelope.message.entries
    }
    assert sum(sent.values()) < 10_000 + 2_000 + len(VALUE)


def test_cached_log_entries_of_all_regions_share_a_bound() -> None:
    left, right = region(1, b"", b"m"), region(2, b"m", b"")
    cluster = Cluster([left, right], config=replace(CONFIG, log_caches_bytes_max=8_000, log_gc_threshold=1_000))
    for number in range(20):
        assert cluster.put(left, b"a%d" % number, VALUE) is None
        assert cluster.put(right, b"n%d" % number, VALUE) is None
    cluster.run_for(CONFIG.log_gc_interval_ms + 50)
    for node in cluster.nodes.values():
        assert sum(peer.storage.cached_bytes for peer in node.store.peers.values()) <= 8_000
    assert cluster.call(cluster.await_leader(1), left, Get(0, b"a1")) == VALUE
