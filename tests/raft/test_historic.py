"""Known bugs of Raft implementations, put back as inputs: each test is what went wrong in the field, and its guard."""

from __future__ import annotations

import random
from typing import Any

import pytest

from flaredb.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    HardState,
    MemStorage,
    Message,
    MessageType,
    ProgressState,
    ProposalDropped,
    RawNode,
    ReadOnlyOption,
    Snapshot,
    SnapshotMetadata,
    StateRole,
    StepPeerNotFound,
)

from .group import Group, config, entry, log_of, make_node, persist, sent

M = MessageType
LEASES = {"check_quorum": True, "read_only_option": ReadOnlyOption.LeaseBased, "first_start": True}


def ticks(group: Group, count: int, nodes: tuple[int, ...]) -> None:
    for _ in range(count):
        for i in nodes:
            group[i].tick()
        group.settle()


def has_leader(group: Group) -> bool:
    return any(n.raft.state is StateRole.Leader for n in group.nodes.values())


def test_pre_vote_with_check_quorum_does_not_deadlock() -> None:
    """etcd 8243, raft-rs 84: the leader dies just as a node of a much lower term returns; nobody could win."""
    ids = [1, 2, 3]
    options: dict[str, Any] = {"pre_vote": True, "check_quorum": True}
    fresh = make_node(2, ids, log_of(1, 1), HardState(5, 0, 2), applied=2, **options)
    stale = make_node(3, ids, log_of(1), HardState(1, 0, 1), applied=1, **options)
    group = Group({2: fresh, 3: stale})
    ticks(group, 100, (2, 3))
    assert fresh.raft.state is StateRole.Leader


def test_pre_vote_with_longest_log_at_a_lower_term_does_not_deadlock() -> None:
    """etcd 8334: one node has the higher term, the other the longer log; each refuses the other's pre-vote."""
    ids = [1, 2, 3]
    options: dict[str, Any] = {"pre_vote": True, "check_quorum": True}
    longer = make_node(1, ids, log_of(1, 1, 1), HardState(1, 0, 1), applied=1, **options)
    higher = make_node(2, ids, log_of(1), HardState(8, 2, 1), applied=1, **options)
    group = Group({1: longer, 2: higher})
    ticks(group, 100, (1, 2))
    assert longer.raft.state is StateRole.Leader
    assert longer.raft.term > 8


def test_a_returning_node_of_a_higher_term_does_not_stay_outside_for_ever() -> None:
    """etcd 5451: with check-quorum everybody ignores its votes, and it ignores the leader: it never came back."""
    group = Group.of(3, check_quorum=True)
    group.elect(1)
    group.isolate(3)
    for _ in range(3):
        group[3].campaign()
        group.settle()
    group.heal()
    ticks(group, 60, (1, 2, 3))
    assert has_leader(group)
    assert len({n.raft.term for n in group.nodes.values()}) == 1
    assert len({n.raft.leader_id for n in group.nodes.values()}) == 1


def test_a_removed_node_cannot_disturb_the_group() -> None:
    """Dissertation 4.2.3: a node that never learnt of its removal keeps campaigning with ever higher terms."""
    group = Group.of(4, pre_vote=True, check_quorum=True)
    group.elect(1)
    group.isolate(4)
    group[1].propose_conf_change(b"", ConfChange(ConfChangeType.RemoveNode, 4))
    group.settle()
    group.heal()
    term = group[1].raft.term
    ticks(group, 100, (1, 2, 3, 4))
    assert (group[1].raft.state, group[1].raft.term) == (StateRole.Leader, term)


def test_a_learner_is_not_counted_before_its_promotion_is_applied() -> None:
    """A learner promoted too early: its acknowledgement must not commit while it is still a learner."""
    node = make_node(1, [1, 2], learners=[3])
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 1))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=1))
    persist(node)
    node.propose_conf_change(b"", ConfChange(ConfChangeType.AddNode, 3))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 3, 1, index=2))
    assert node.raft.raft_log.committed == 1, "the promotion itself is decided by the old voters"
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=2))
    persist(node)
    assert node.raft.prs.conf.voters.ids() == (1, 2, 3)


def test_a_promoted_learner_votes_although_it_does_not_know() -> None:
    """raft-rs 57, etcd 10998: with the old leader dead, the group needs the vote of a learner that lags behind."""
    store = MemStorage.new_with_conf_state(ConfState([1, 2], [3]))
    learner = RawNode(config(3), store, random.Random(3))
    learner.step(Message(M.MsgRequestVote, 3, 2, 4, 3, 7))
    assert [m.reject for m in sent(learner, M.MsgRequestVoteResponse)] == [False]
    again = RawNode(config(3), store, random.Random(3))
    again.step(Message(M.MsgRequestVote, 3, 1, 4, 3, 7))
    assert [m.reject for m in sent(again, M.MsgRequestVoteResponse)] == [True], "tikv 8381: the vote is remembered"


def test_an_older_terms_entry_is_not_committed_by_counting() -> None:
    """Paper figure 8: counted, then overwritten by the next leader."""
    node = make_node(1, [1, 2, 3], log_of(1, 2), HardState(2, 0, 1), applied=1)
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 3))
    persist(node)
    for i in (2, 3):
        node.step(Message(M.MsgAppendResponse, 1, i, 3, index=2))
    assert node.raft.raft_log.committed == 1
    node.step(Message(M.MsgAppendResponse, 1, 2, 3, index=3))
    assert node.raft.raft_log.committed == 3


def test_a_lease_read_after_transfer_is_refused() -> None:
    """etcd 12704, openraft 1749: the old leader is cut off after TimeoutNow and still believes in its lease."""
    group = Group.of(3, **LEASES)
    group.elect(1)
    ticks(group, 2, (1,))
    assert group[1].raft.in_lease()
    group[1].transfer_leader(2)
    assert not group[1].raft.in_lease()
    group.collect()
    timeout_now = next(m for m in group.queue if m.msg_type == M.MsgTimeoutNow)
    group.queue = []
    group.isolate(1)
    group[2].step(timeout_now)
    group.settle()
    group[2].propose(b"", b"new")
    group.settle()
    assert group.data(2) == [b"new"]
    group[1].read_index(b"r")
    persist(group[1])
    assert group[1].raft.read_states == []


def test_a_lease_stays_void_after_an_aborted_transfer() -> None:
    """The same, but the transfer was given up first and TimeoutNow arrives late."""
    group = Group.of(3, **LEASES)
    group.elect(1)
    group.ignored = {M.MsgTimeoutNow}
    group[1].transfer_leader(2)
    ticks(group, 12, (1,))
    assert group[1].raft.lead_transferee is None
    assert group[1].raft.state is StateRole.Leader
    assert not group[1].raft.in_lease()
    group[1].read_index(b"r")
    group.collect()
    assert any(m.context == b"r" for m in group.queue), "a round is asked for instead"


def test_a_lease_counts_from_the_sending_of_heartbeats() -> None:
    """etcd's lease read: activity checked once per election timeout lets a lease live twice as long as its promise."""
    group = Group.of(3, **LEASES)
    group.elect(1)
    ticks(group, 5, (1,))
    group.isolate(1)
    ticks(group, 8, (1,))
    assert group[1].raft.in_lease()
    group[1].tick()
    assert group[1].raft.state is StateRole.Leader, "check-quorum has not noticed yet"
    assert not group[1].raft.in_lease()


def test_no_lease_before_any_heartbeat_was_answered() -> None:
    """A young leader whose tick count is below the election timeout has no lease by arithmetic accident."""
    group = Group.of(3, **LEASES)
    group.elect(1)
    assert not group[1].raft.in_lease()


def test_a_restarted_member_keeps_the_promise_it_forgot() -> None:
    """A member acknowledges a heartbeat, crashes, restarts at once and votes for another: two leaders serve reads."""
    group = Group.of(3, **LEASES)
    group.elect(1)
    ticks(group, 2, (1,))
    store = group[2].store()
    group.nodes[2] = RawNode(config(2, applied=1, **{**LEASES, "first_start": False}), store, random.Random(2))
    group[2].step(Message(M.MsgRequestVote, 2, 3, 2, 1, 9))
    assert (group[2].raft.vote, group[1].raft.in_lease()) == (1, True)
    group[2].campaign()
    assert group[2].raft.state is StateRole.Follower


def test_reads_wait_for_the_first_commit_of_a_term() -> None:
    """etcd 7331, tikv 9240: a new leader answered reads with a commit index older than what was acknowledged."""
    group = Group.of(3)
    group.elect(1)
    group[1].propose(b"", b"x")
    group.settle()
    group[2].campaign()
    group.collect()
    group.deliver()
    group.collect()
    group.deliver()
    assert group[2].raft.state is StateRole.Leader
    group[2].read_index(b"r")
    persist(group[2])
    assert group[2].raft.pending_read_count() == 0


def test_an_answered_read_of_an_older_leadership_does_not_count() -> None:
    """A heartbeat answer of an earlier term must not confirm a read of a later one."""
    group = Group.of(3)
    group.elect(1)
    group[1].read_index(b"r")
    group.collect()
    beat = next(m for m in group.queue if m.msg_type == M.MsgHeartbeat)
    group.queue = []
    group[beat.to].step(beat)
    (late,) = sent(group[beat.to], M.MsgHeartbeatResponse)
    group.elect(2)
    group.elect(1)
    group[1].read_index(b"r")
    persist(group[1])
    group[1].step(late)
    assert group[1].raft.read_states == []


def test_a_snapshot_does_not_overwrite_newer_entries() -> None:
    """A delayed snapshot arrives after the follower went on; installing it would take committed entries back."""
    node = make_node(2, [1, 2, 3], log_of(1, 1, 1, 1), HardState(1, 0, 4), applied=4)
    late = Snapshot(b"", SnapshotMetadata(ConfState([1, 2, 3]), 2, 1))
    node.step(Message(M.MsgSnapshot, 2, 1, 1, snapshot=late))
    assert node.raft.snap() is None
    assert (node.raft.raft_log.committed, node.raft.raft_log.last_index()) == (4, 4)
    store = node.store()
    assert isinstance(store, MemStorage)
    store.compact(4)
    node.step(Message(M.MsgSnapshot, 2, 1, 1, snapshot=late))
    assert node.raft.snap() is None, "nor where the log no longer tells whether it agrees"
    assert (node.raft.raft_log.committed, node.raft.raft_log.last_index()) == (4, 4)


def test_a_fast_forwarding_snapshot_keeps_uncommitted_entries() -> None:
    """etcd 1605: a snapshot inside the log dropped the entries after it."""
    node = make_node(2, [1, 2, 3], log_of(1, 1, 1, 1), HardState(1, 0, 1), applied=1)
    inside = Snapshot(b"", SnapshotMetadata(ConfState([1, 2, 3]), 3, 1))
    node.step(Message(M.MsgSnapshot, 2, 1, 1, snapshot=inside))
    assert (node.raft.raft_log.committed, node.raft.raft_log.last_index(), node.raft.snap()) == (3, 4, None)


def test_a_snapshot_older_than_the_requested_one_does_not_drop_acknowledged_entries() -> None:
    """While a follower waits for a snapshot it asked for, one that was sent before arrives and ends inside its log."""
    node = make_node(2, [1, 2, 3], log_of(1, 1, 1, 1), HardState(1, 0, 1), applied=1)
    node.step(Message(M.MsgHeartbeat, 2, 1, 1))
    node.request_snapshot()
    for index, last, restored in ((2, 4, False), (4, 4, True)):
        snap = Snapshot(b"", SnapshotMetadata(ConfState([1, 2, 3]), index, 1))
        node.step(Message(M.MsgSnapshot, 2, 1, 1, snapshot=snap))
        assert (node.raft.raft_log.last_index(), node.raft.snap() is not None) == (last, restored)


def test_two_snapshots_in_a_short_time() -> None:
    """etcd 18055: the second came while the first was being installed."""
    node = make_node(2, [1, 2, 3])
    for index in (10, 20):
        node.step(
            Message(M.MsgSnapshot, 2, 1, 3, snapshot=Snapshot(b"", SnapshotMetadata(ConfState([1, 2]), index, 3)))
        )
    rd = node.ready()
    assert rd.snapshot is not None
    assert rd.snapshot.metadata.index == 20
    assert [m.index for m in rd.persisted_messages] == [10, 20]


def joint_group() -> Group:
    """Four nodes; their leader 1 proposes to remove 4 through a joint configuration."""
    group = Group.of(4)
    group.elect(1)
    change = ConfChangeV2(ConfChangeTransition.Implicit, [ConfChangeSingle(ConfChangeType.RemoveNode, 4)])
    group[1].propose_conf_change(b"", change)
    return group


def test_a_joint_change_restarted_half_way_is_left() -> None:
    """Everybody crashes between entering and leaving: without the flag in the stored configuration it stays joint."""
    group = joint_group()
    while not all(n.raft.prs.conf.joint() for n in group.nodes.values()):
        group.collect()
        group.deliver()
    group.queue = []
    for i, node in group.nodes.items():
        applied = node.raft.raft_log.applied
        group.nodes[i] = RawNode(config(i, applied=applied), node.store(), random.Random(i))
    assert all(n.raft.prs.conf.joint() for n in group.nodes.values())
    group[2].campaign()
    group.settle()
    assert group[2].raft.prs.conf.voters.ids() == (1, 2, 3)
    assert not group[2].raft.prs.conf.joint()


def test_a_joint_change_is_left_by_the_next_leader() -> None:
    """The leader is gone before it applies the change: its successor must leave the joint configuration."""
    group = joint_group()
    group.collect()
    group.deliver()
    group.isolate(1)
    group.elect(2)
    assert group[2].raft.prs.conf.joint() is False
    assert group[2].raft.prs.conf.voters.ids() == (1, 2, 3)


def test_no_vote_is_granted_before_it_is_persisted() -> None:
    """The vote leaves, the node crashes and forgets it, and votes again in the same term."""
    node = make_node(1, [1, 2, 3])
    node.step(Message(M.MsgRequestVote, 1, 2, 5))
    rd = node.ready()
    assert rd.must_sync
    assert rd.messages == []
    assert rd.hs == HardState(5, 2, 0)
    assert [m.msg_type for m in rd.persisted_messages] == [M.MsgRequestVoteResponse]


def test_no_append_is_acknowledged_before_it_is_persisted() -> None:
    """tikv 994, etcd 14370: acknowledged, lost with the power, and the leader counted it."""
    node = make_node(2, [1, 2, 3])
    node.step(Message(M.MsgAppend, 2, 1, 1, entries=log_of(1, 1)))
    rd = node.ready()
    assert (rd.must_sync, rd.messages) == (True, [])
    assert [m.index for m in rd.persisted_messages] == [2]


def test_a_single_voter_does_not_lead_a_term_it_could_forget() -> None:
    """Its append to a learner must wait for its own vote: else it leads the same term twice with different entries."""
    node = make_node(1, [1], learners=[2])
    node.campaign()
    rd = node.ready()
    assert (rd.must_sync, rd.messages) == (True, [])
    assert [m.to for m in rd.persisted_messages] == [2]
    store = node.store()
    assert isinstance(store, MemStorage)
    store.append(rd.entries)
    node.advance_append_async(rd)
    node.ping()
    second = node.ready()
    assert second.messages == [], "the vote is still not persisted"
    assert [m.msg_type for m in second.persisted_messages] == [M.MsgHeartbeat]
    node.advance_append_async(second)
    node.on_persist_ready(second.number)
    node.ping()
    assert [m.to for m in node.ready().messages] == [2]


def test_a_single_voter_commits_only_what_it_persisted() -> None:
    """etcd 14370: a one-member cluster acknowledged before its disk did."""
    node = make_node(1, [1])
    node.campaign()
    node.propose(b"", b"x")
    rd = node.ready()
    node.advance_append_async(rd)
    assert (node.raft.raft_log.committed, rd.committed_entries) == (0, [])
    node.on_persist_ready(rd.number)
    assert node.raft.raft_log.committed == 2


def test_an_overwritten_tail_is_not_taken_for_persisted() -> None:
    """The sync of entries that were replaced meanwhile comes back: it is about other entries."""
    node = make_node(2, [1, 2, 3])
    node.step(Message(M.MsgAppend, 2, 1, 1, entries=log_of(1, 1, 1)))
    first = node.ready()
    store = node.store()
    assert isinstance(store, MemStorage)
    store.append(first.entries)
    node.advance_append_async(first)
    node.step(Message(M.MsgAppend, 2, 3, 2, 1, 1, [entry(2, 2)]))
    second = node.ready()
    store.append(second.entries)
    node.advance_append_async(second)
    node.on_persist_ready(first.number)
    assert node.raft.raft_log.persisted < 2
    node.on_persist_ready(second.number)
    assert node.raft.raft_log.persisted == 2


def test_a_second_change_waits_for_the_first() -> None:
    """Two changes in the log make two majorities without a common member (the single-server bug of 2015 had this)."""
    node = make_node(1, [1, 2, 3, 4])
    node.campaign()
    persist(node)
    for i in (2, 3):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1))
    persist(node)
    node.propose_conf_change(b"", ConfChange(ConfChangeType.RemoveNode, 3))
    node.propose_conf_change(b"", ConfChange(ConfChangeType.RemoveNode, 4))
    kinds = [e.entry_type.name for e in node.raft.raft_log.all_entries()]
    assert kinds == ["EntryNormal", "EntryConfChange", "EntryNormal"]


def test_a_new_leader_makes_no_change_before_its_first_commit_is_applied() -> None:
    """The single-server membership bug (raft-dev, 2015): needs an entry of the own term committed first."""
    node = make_node(1, [1, 2, 3], log_of(1, 1), HardState(1, 0, 1), applied=1)
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 2))
    persist(node)
    node.propose_conf_change(b"", ConfChange(ConfChangeType.RemoveNode, 3))
    assert node.raft.raft_log.all_entries()[-1].data == b""


def test_a_transfer_stops_proposals_or_it_never_ends() -> None:
    """Dissertation 3.10: with proposals coming in, the heir's log is never complete."""
    group = Group.of(3)
    group.elect(1)
    group.isolate(2)
    group[1].transfer_leader(2)
    with pytest.raises(ProposalDropped):
        group[1].propose(b"", b"x")
    ticks(group, 10, (1,))
    group[1].propose(b"", b"y")


def test_answers_of_strangers_are_refused() -> None:
    """etcd 7280: a removed member's late answer met a progress that was gone, and the leader panicked."""
    group = Group.of(3)
    group.elect(1)
    group[1].propose_conf_change(b"", ConfChange(ConfChangeType.RemoveNode, 3))
    group.settle()
    with pytest.raises(StepPeerNotFound):
        group[1].step(Message(M.MsgAppendResponse, 1, 3, 1, index=2))
    group[1].report_unreachable(3)
    group[1].transfer_leader(3)
    assert group[1].raft.lead_transferee is None


def test_a_late_acknowledgement_does_not_go_back() -> None:
    """An old answer after a newer one must not lower what is known of a member."""
    group = Group.of(3)
    group.elect(1)
    for data in (b"a", b"b"):
        group[1].propose(b"", data)
    group.settle()
    before = group[1].raft.prs.progress[2].matched
    group[1].step(Message(M.MsgAppendResponse, 1, 2, 1, index=1))
    group[1].step(Message(M.MsgAppendResponse, 1, 2, 1, index=1, reject=True, reject_hint=0))
    progress = group[1].raft.prs.progress[2]
    assert (progress.matched, progress.next_idx > before) == (before, True)


def test_an_answer_to_a_stale_message_does_not_end_a_probe() -> None:
    """A node answers messages of old terms, to tell its term, and acknowledges nothing by that. A leader that took it
    for the answer to its probe would stream from the first entry on, which may be compacted.
    """
    group = Group({i: make_node(i, [1, 2, 3], log_of(1, 1, 1), check_quorum=True) for i in (1, 2, 3)})
    group.isolate(2)
    group.elect(1)
    leader = group[1].raft
    probed_from = leader.prs.progress[2].next_idx
    assert probed_from == 4
    group[1].step(Message(M.MsgAppendResponse, 1, 2, leader.term, index=0))
    progress = leader.prs.progress[2]
    assert (progress.state, progress.matched, progress.next_idx) == (ProgressState.Probe, 0, probed_from)


def test_a_heartbeat_never_commits_what_its_receiver_may_not_hold() -> None:
    """The commit index of a heartbeat is bounded by what the member acknowledged: it may hold other entries there."""
    node = make_node(1, [1, 2, 3], log_of(1, 1, 1), HardState(1, 0, 3), applied=3)
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 2))
    persist(node)
    node.ping()
    assert [m.commit for m in sent(node, M.MsgHeartbeat)] == [0, 0]


def test_one_message_twice_is_not_one_entry_twice() -> None:
    """A forwarded proposal that the network duplicates becomes two entries, each with its own position."""
    group = Group.of(3)
    group.elect(1)
    group[2].propose(b"", b"x")
    (m,) = sent(group[2], M.MsgPropose)
    group[1].step(m)
    group[1].step(m)
    assert [e.index for e in group[1].raft.raft_log.all_entries()] == [1, 2, 3]
