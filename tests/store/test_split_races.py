"""Races around a split: what was sent, asked or begun before it and arrives, applies or ends after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaredb.model.commands import DELETE_RANGE, Scan, Split, Write
from flaredb.model.errors import EpochNotMatch, KeyNotInRegion
from flaredb.model.region import Region
from flaredb.raft import MessageType
from flaredb.store.messages import AskSplit, RaftReceived, RequestsReceived
from tests.store.harness import CONFIG, Cluster, Node, put, region

WHOLE = region(1)


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster([WHOLE])
    cluster.await_leader(1)
    cluster.run_for(20)
    return cluster


def same_everywhere(cluster: Cluster, count: int) -> list[Region]:
    """The regions, once every store has the same ``count``."""
    lists = [node.store.region_map.regions for node in cluster.nodes.values()]
    cluster.run_until(lambda: len(lists[0]()) == count and all(found() == lists[0]() for found in lists))
    return lists[0]()


def propose_behind_split(cluster: Cluster, *commands: Any) -> tuple[Node, list[Any]]:
    """Have a split at m proposed, and right behind it, for the region as it still is, these commands."""
    leader = cluster.await_leader(1)
    cluster.grants_ids = False
    cluster.step_node(leader, [RequestsReceived([cluster.request(leader, WHOLE, Split((b"m",), 1))])])
    behind = [cluster.request(leader, WHOLE, command) for command in commands]
    cluster.step_node(leader, [cluster.grant(AskSplit(WHOLE, 1)), RequestsReceived(behind)])
    assert leader.store.peers[WHOLE.id].region == WHOLE, "they are proposed before the split is applied"
    cluster.grants_ids = True
    return leader, [request.token for request in behind]


def test_a_range_delete_before_the_split_in_the_log_counts_and_one_behind_it_does_not(cluster: Cluster) -> None:
    for key in (b"a", b"k", b"p", b"z"):
        cluster.put(WHOLE, key, b"1")
    leader = cluster.await_leader(1)
    before = cluster.request(leader, WHOLE, Write([(DELETE_RANGE, 0, b"k", b"q")], 2))
    cluster.step_node(leader, [RequestsReceived([before])])
    leader, [behind] = propose_behind_split(cluster, Write([(DELETE_RANGE, 0, b"a", b"zz")], 3))
    cluster.run_until(lambda: behind in leader.answers)
    left, right = same_everywhere(cluster, 2)
    assert leader.answers[before.token] is None
    assert isinstance(leader.answers[behind], EpochNotMatch)
    for node in cluster.nodes.values():
        cluster.run_until(lambda node=node: node.engine.get("default", b"k") is None)
        assert [key for key, _ in node.engine.scan("default", b"", None)] == [b"a", b"z"]
    refused = cluster.call(cluster.await_leader(left.id), left, Write([(DELETE_RANGE, 0, b"a", b"zz")], 3))
    assert isinstance(refused, KeyNotInRegion)
    assert cluster.scan(right, b"m") == [(b"z", b"1")]


def test_a_scan_that_runs_in_slices_over_a_split_ends_with_the_rows_of_its_snapshot() -> None:
    """It was admitted for the whole region and reads a snapshot of before: nothing is cut short, nothing is newer."""
    cluster = Cluster([WHOLE], config=replace(CONFIG, scan_slice_rows=1))
    rows = [(b"%03d" % number, b"old") for number in range(100)]
    for key, value in rows:
        cluster.put(WHOLE, key, value)
    leader = cluster.await_leader(1)
    token = cluster.send(leader, WHOLE, Scan(0, b"", b"", 1000))
    cluster.run_until(lambda: leader.store._executor.has_work())
    left, right = cluster.split(WHOLE, b"050")
    assert token not in leader.answers, "the scan is still running"
    cluster.put(left, b"010", b"new")
    cluster.put(right, b"090", b"new")
    cluster.run_until(lambda: token in leader.answers)
    assert leader.answers[token] == rows


def test_appends_that_come_before_the_split_are_kept_and_taken(cluster: Cluster) -> None:
    """The newborn is led, and written to, before one replica has applied the split."""
    leader = cluster.await_leader(1)
    slow = next(node for node in cluster.nodes.values() if node is not leader)
    cluster.drop = lambda envelope: envelope.to_store == slow.id and envelope.region_id == WHOLE.id
    left, _ = cluster.split(WHOLE, b"m")
    assert cluster.put(left, b"a", b"1") is None
    assert cluster.regions_of(slow.id) == [WHOLE]
    assert left.id not in slow.store.peers, "no peer is made from a message"
    assert len(slow.store.early) > 0
    cluster.drop = lambda envelope: False
    same_everywhere(cluster, 2)
    cluster.run_until(lambda: slow.engine.get("default", b"a") == b"1")
    assert len(slow.store.early) == 0


def test_leadership_that_moves_while_the_split_is_committed_leaves_no_region_without_a_leader(cluster: Cluster) -> None:
    """The old leader is cut off from the answers to its split; whoever leads when it applies it has the newborn
    campaign, and the old one applies it as a follower.
    """
    old = cluster.await_leader(1)
    cluster.drop = lambda envelope: (
        envelope.to_store == old.id
        and envelope.message.msg_type in (MessageType.MsgAppendResponse, MessageType.MsgHeartbeatResponse)
    )
    cluster.send(old, WHOLE, Split((b"m",), 1))
    cluster.run_until(lambda: (now := cluster.leader_of(1)) is not None and now is not old)
    cluster.drop = lambda envelope: False
    left, right = same_everywhere(cluster, 2)
    for piece, key in ((left, b"a"), (right, b"z")):
        assert cluster.put(piece, key, b"1") is None


def test_messages_of_before_a_split_that_arrive_after_it_change_nothing(cluster: Cluster) -> None:
    """Votes, appends and heartbeats of the whole region, and of a newborn, again and in any order."""
    cluster.put(WHOLE, b"a", b"1")
    left, right = cluster.split(WHOLE, b"m")
    cluster.put(left, b"b", b"2")
    pieces = same_everywhere(cluster, 2)
    old = [envelope for envelope in cluster.sent if envelope.region_id]
    assert {envelope.version for envelope in old} == {WHOLE.epoch.version, left.epoch.version}
    cluster.put(right, b"y", b"3")
    further = cluster.split(left, b"f")
    same_everywhere(cluster, 3)
    cluster.run_for(200)
    for order in (old, old[::-1]):
        for envelope in order:
            cluster.nodes[envelope.to_store].inbox.append(RaftReceived([envelope]))
        cluster.run_for(300)
    assert same_everywhere(cluster, 3) == [*further, pieces[-1]]
    assert cluster.put(further[0], b"c", b"4") is None
    found = [row for piece in (*further, right) for row in cluster.scan(piece, piece.start_key)]
    assert found == [(b"a", b"1"), (b"b", b"2"), (b"c", b"4"), (b"y", b"3")]


def test_a_write_for_keys_that_split_away_is_told_where_they_are(cluster: Cluster) -> None:
    """By its epoch if it is old, by its key if only the epoch was learned."""
    left, right = cluster.split(WHOLE, b"m")
    leader = cluster.await_leader(1)
    stale = cluster.call(leader, WHOLE, put(b"a", b"1"))
    assert isinstance(stale, EpochNotMatch)
    assert set(stale.current_regions) == {left, right}
    assert isinstance(cluster.call(leader, right, put(b"a", b"1")), KeyNotInRegion)
