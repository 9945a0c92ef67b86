"""Leases: a leader serves reads by lease only while no quorum may elect another (dissertation section 6.4.1)."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from flaredb.raft import (
    ConfState,
    MemStorage,
    Message,
    MessageType,
    RawNode,
    ReadOnlyOption,
    StateRole,
)

from .group import Group, config, persist

M = MessageType
LEASES: dict[str, Any] = {"check_quorum": True, "read_only_option": ReadOnlyOption.LeaseBased, "first_start": True}


def group_with_lease() -> Group:
    group = Group.of(3, **LEASES)
    group.elect(1)
    group[1].tick()
    group.settle()
    assert group[1].raft.in_lease()
    return group


def may_elect(group: Group, voter: int, candidate: int) -> bool:
    """True when a voter would at least consider the candidate."""
    probe = group[voter]
    last = probe.raft.raft_log
    ask = Message(M.MsgRequestVote, voter, candidate, probe.raft.term + 1, last.last_term(), last.last_index())
    spare = RawNode(config(voter, applied=last.applied, **LEASES), probe.store(), random.Random(0))
    spare.raft.term, spare.raft.vote, spare.raft.leader_id = probe.raft.term, probe.raft.vote, probe.raft.leader_id
    spare.raft.election_elapsed = probe.raft.election_elapsed
    spare.raft.ticks_since_leader = probe.raft.ticks_since_leader
    spare.step(ask)
    return spare.raft.vote == candidate


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_a_lease_ends_before_any_quorum_may_elect_another(order: tuple[int, ...]) -> None:
    """Whichever node's tick comes first: the heartbeat was sent just after the leader's tick."""
    group = group_with_lease()
    group.isolate(1)
    held = 0
    for _ in range(15):
        for i in order:
            group[i].raft.tick() if i == 1 else _tick_without_campaign(group[i])
            if group[1].raft.in_lease():
                assert not may_elect(group, 2, 3)
                assert not may_elect(group, 3, 2)
        held += group[1].raft.in_lease()
    assert held == 8, "election timeout 10: the lease holds for 8 whole ticks after its last renewal"


def _tick_without_campaign(node: RawNode) -> None:
    node.raft.set_randomized_election_timeout(19)
    node.tick()


def test_a_lease_needs_a_quorum_of_answers() -> None:
    group = Group.of(5, **LEASES)
    group.elect(1)
    for i in (3, 4, 5):
        group.isolate(i)
    group[1].tick()
    group.settle()
    assert not group[1].raft.in_lease(), "1 and 2 of five"
    group.heal()
    for i in (4, 5):
        group.isolate(i)
    group[1].tick()
    group.settle()
    assert group[1].raft.in_lease()


def test_a_joint_configuration_needs_answers_of_both_halves() -> None:
    store = MemStorage.new_with_conf_state(ConfState([1, 4, 5], voters_outgoing=[1, 2, 3]))
    node = RawNode(config(1, **LEASES), store, random.Random(1))
    node.campaign()
    persist(node)
    for i in (2, 4):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1))
    persist(node)
    node.tick()
    persist(node)
    for i in (4, 5):
        node.step(Message(M.MsgHeartbeatResponse, 1, i, 1, index=node.raft.ticks))
    assert not node.raft.in_lease()
    node.step(Message(M.MsgHeartbeatResponse, 1, 2, 1, index=node.raft.ticks))
    assert node.raft.in_lease()


def test_a_delayed_answer_renews_only_from_its_heartbeat() -> None:
    group = group_with_lease()
    node = group[1]
    sent_at = node.raft.ticks
    for _ in range(8):
        node.raft.tick()
    node.step(Message(M.MsgHeartbeatResponse, 1, 2, 1, index=sent_at))
    assert node.raft.in_lease()
    node.raft.tick()
    node.step(Message(M.MsgHeartbeatResponse, 1, 2, 1, index=sent_at))
    assert not node.raft.in_lease()


def test_an_answer_from_the_future_is_ignored() -> None:
    group = group_with_lease()
    node = group[1]
    node.step(Message(M.MsgHeartbeatResponse, 1, 2, 1, index=10**9))
    for _ in range(9):
        node.raft.tick()
    assert not node.raft.in_lease()


@pytest.mark.parametrize(
    "options",
    [{"check_quorum": False}, {"read_only_option": ReadOnlyOption.Safe}],
)
def test_no_lease_without_check_quorum_or_when_not_asked_for(options: dict[str, Any]) -> None:
    group = Group.of(3, check_quorum=True, read_only_option=ReadOnlyOption.Safe)
    group.elect(1)
    if "check_quorum" in options:
        group = group_with_lease()
        group[1].raft.check_quorum = False
    group[1].tick()
    group.settle()
    assert not group[1].raft.in_lease()
    group[1].read_index(b"r")
    messages, _ = persist(group[1])
    assert [m.context for m in messages if m.msg_type == M.MsgHeartbeat] == [b"r", b"r"]


def test_the_promise_outlives_a_change_of_term() -> None:
    group = group_with_lease()
    follower = group[2]
    follower.step(Message(M.MsgAppendResponse, 2, 3, 5))
    assert (follower.raft.term, follower.raft.leader_id) == (5, 0)
    follower.step(Message(M.MsgRequestVote, 2, 3, 5, 9, 9))
    assert follower.raft.vote == 0


def test_a_first_start_made_no_promise() -> None:
    for first, role in ((True, StateRole.Candidate), (False, StateRole.Follower)):
        store = MemStorage.new_with_conf_state(ConfState([1, 2]))
        store.hard_state().term = 5
        node = RawNode(config(1, **{**LEASES, "first_start": first}), store, random.Random(1))
        node.campaign()
        assert node.raft.state is role


def test_followers_get_lease_reads_too() -> None:
    group = group_with_lease()
    group[3].read_index(b"r")
    group.collect()
    group.deliver()
    group.collect()
    assert [m.msg_type for m in group.queue] == [M.MsgReadIndexResp], "no round was needed"
