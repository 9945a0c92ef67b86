"""Few writes among many requests wait for each other (store/proposing.py): when, how long, and what becomes of them
when the region or its leader changes meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from flaredb.model.commands import Command, Split
from flaredb.model.errors import EpochNotMatch, NotLeader, RegionNotFound
from flaredb.model.ids import RegionId
from flaredb.model.region import RegionEpoch
from flaredb.raft import MessageType
from flaredb.store.config import StoreConfig
from flaredb.store.messages import RegionChecked, SyncDone
from tests.store.harness import CONFIG, Cluster, Node, put, region

WHOLE = region(1)
LONG_MS = 2_000
CROWDED = replace(CONFIG, gather_crowd=1, gather_ms=LONG_MS)
"""One request is a crowd."""


def busy_leader(config: StoreConfig = CROWDED) -> tuple[Cluster, Node]:
    """A leader with an entry under way that is not committed, because no acknowledgement arrives."""
    cluster = Cluster([WHOLE], config=config)
    leader = cluster.await_leader(1)
    cluster.run_for(20)
    cluster.drop = lambda envelope: (
        envelope.message is not None and envelope.message.msg_type is MessageType.MsgAppendResponse
    )
    cluster.send(leader, WHOLE, put(b"first", b"1"))
    cluster.round()
    assert entries_under_way(leader) == 1
    return cluster, leader


def kept_back_for_a_sync(first: Command, keys: tuple[bytes, ...]) -> tuple[Cluster, Node, list[int]]:
    """A leader whose first entry has one acknowledgement and is synced, but not known to be: SyncDone commits it.
    Meanwhile puts of the keys are kept back.
    """
    cluster = Cluster([WHOLE], config=CROWDED)
    leader = cluster.await_leader(1)
    cluster.run_for(50)
    silent = next(node.id for node in cluster.nodes.values() if node is not leader)
    cluster.drop = lambda envelope: envelope.from_store == silent
    leader.sync_at_once = False
    cluster.send(leader, WHOLE, first)
    cluster.run_until(lambda: entries_under_way(leader) == 1)
    tokens = [cluster.send(leader, WHOLE, put(key, b"2")) for key in keys]
    cluster.run_for(20)
    assert (kept_back(leader), entries_under_way(leader)) == (len(keys), 1), "one acknowledgement, and no sync yet"
    leader.engine.sync()
    leader.sync_at_once = True
    return cluster, leader, tokens


def entries_under_way(node: Node) -> int:
    log = node.store.peers[RegionId(1)].node.raft.raft_log
    return log.last_index() - log.committed


def kept_back(node: Node) -> int:
    return len(node.store.peers[RegionId(1)].writes)


def heal(cluster: Cluster) -> None:
    cluster.drop = lambda envelope: False


def test_writes_wait_for_the_entry_before_them_and_share_the_next() -> None:
    cluster, leader = busy_leader()
    tokens = []
    for number in range(3):
        tokens.append(cluster.send(leader, WHOLE, put(b"%d" % number, b"2")))
        cluster.round()
        assert (kept_back(leader), entries_under_way(leader)) == (number + 1, 1)
    last = leader.store.peers[RegionId(1)].node.raft.raft_log.last_index()
    heal(cluster)
    cluster.run_until(lambda: all(token in leader.answers for token in tokens))
    assert [leader.answers[token] for token in tokens] == [None, None, None]
    assert leader.store.peers[RegionId(1)].applied_index == last + 1, "one entry holds all three"
    assert not leader.store.gathering


def test_a_step_follows_at_once_when_the_entry_before_them_is_committed() -> None:
    """By the leader's own sync here, which comes last: no message brings the next step."""
    cluster, leader, tokens = kept_back_for_a_sync(put(b"first", b"1"), (b"a",))
    assert not leader.store.has_work()
    cluster.step_node(leader, [SyncDone(leader.store._sequence)])
    assert (kept_back(leader), entries_under_way(leader)) == (1, 0)
    assert leader.store.has_work()
    cluster.step_node(leader, [])
    assert (kept_back(leader), entries_under_way(leader)) == (0, 1)
    cluster.run_until(lambda: all(token in leader.answers for token in tokens), limit_ms=100)


def test_they_wait_no_longer_than_the_time_set() -> None:
    cluster, leader = busy_leader(replace(CROWDED, gather_ms=20))
    cluster.send(leader, WHOLE, put(b"a", b"2"))
    cluster.round(advance_ms=1)
    asked_ms = cluster.now_ms
    assert kept_back(leader) == 1
    assert leader.store.next_deadline_ms() <= asked_ms + 20, "the store asks to be stepped then"
    while cluster.now_ms < asked_ms + 19:
        cluster.round(advance_ms=1)
        assert (kept_back(leader), entries_under_way(leader)) == (1, 1)
    cluster.round(advance_ms=1)
    assert (kept_back(leader), entries_under_way(leader)) == (0, 2)
    assert not leader.store.gathering


@pytest.mark.parametrize(
    ("why", "change", "writes"),
    [
        ("few others wait", {"gather_crowd": 16}, 1),
        ("it is switched off", {"gather_ms": 0}, 1),
        ("they are many enough", {"gather_writes": 3}, 3),
        ("they are large enough", {"gather_bytes": 8}, 1),
    ],
)
def test_nobody_waits_where(why: str, change: dict[str, int], writes: int) -> None:
    cluster, leader = busy_leader(replace(CROWDED, **change))
    for number in range(writes):
        cluster.send(leader, WHOLE, put(b"%d" % number, b"2"))
    cluster.round()
    assert (kept_back(leader), entries_under_way(leader)) == (0, 2), why
    assert not leader.store.gathering


def test_a_write_kept_back_over_a_split_goes_through_the_gate_again() -> None:
    """It was let in for the whole region. In the smaller one's log it would change a key of somebody else."""
    cluster, leader, tokens = kept_back_for_a_sync(Split((b"m",), 1), (b"a", b"z"))
    cluster.step_node(leader, [SyncDone(leader.store._sequence)])
    assert kept_back(leader) == 2
    assert leader.store.peers[RegionId(1)].region.epoch.version > WHOLE.epoch.version, "this step has split it"
    cluster.run_until(lambda: all(token in leader.answers for token in tokens), limit_ms=50)
    for token in tokens:
        answer = leader.answers[token]
        assert isinstance(answer, EpochNotMatch)
        assert len(answer.current_regions) == 2, "the client hears of both halves"
    cluster.run_for(200)
    for node in cluster.nodes.values():
        assert node.engine.get("default", b"a") is None
        assert node.engine.get("default", b"z") is None


def test_a_write_kept_back_by_a_leader_that_is_none_any_more_goes_to_its_successor() -> None:
    cluster, old = busy_leader(replace(CROWDED, gather_ms=100_000))
    token = cluster.send(old, WHOLE, put(b"a", b"2"))
    cluster.drop = lambda envelope: old.id in (envelope.to_store, envelope.from_store)
    cluster.run_until(lambda: (now := cluster.leader_of(1)) is not None and now is not old)
    heal(cluster)
    answer = cluster.run_until(lambda: old.answers.get(token))
    assert isinstance(answer, NotLeader)
    cluster.run_for(200)
    assert all(node.engine.get("default", b"a") is None for node in cluster.nodes.values())
    assert not old.store.gathering


def test_a_write_kept_back_by_a_replica_that_is_removed_has_had_no_effect() -> None:
    cluster, leader = busy_leader()
    token = cluster.send(leader, WHOLE, put(b"a", b"2"))
    cluster.round()
    assert kept_back(leader) == 1
    without = replace(
        WHOLE,
        peers=tuple(peer for peer in WHOLE.peers if peer.store_id != leader.id),
        epoch=RegionEpoch(version=WHOLE.epoch.version, conf_ver=WHOLE.epoch.conf_ver + 1),
    )
    leader.inbox.append(RegionChecked(WHOLE.id, without))
    cluster.run_until(lambda: token in leader.answers)
    assert isinstance(leader.answers[token], RegionNotFound)
    assert not leader.store.gathering
