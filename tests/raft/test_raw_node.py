"""RawNode: Readys, persistence in order, what may leave before a sync, errors, restart."""

from __future__ import annotations

import random

import pytest

from flaredb.raft import (
    ConfChange,
    ConfChangeError,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    MemStorage,
    Message,
    MessageType,
    ProposalDropped,
    RaftInvariantError,
    RawNode,
    Ready,
    RequestSnapshotDropped,
    Snapshot,
    SnapshotMetadata,
    SoftState,
    StateRole,
    StepLocalMsg,
    StepPeerNotFound,
    check_invariants,
    is_local_msg,
)

from .group import Group, config, log_of, make_node, persist, sent

M = MessageType


def write(node: RawNode, rd: Ready) -> None:
    """Make a Ready readable in the storage, without any sync."""
    store = node.store()
    assert isinstance(store, MemStorage)
    if rd.snapshot is not None:
        store.apply_snapshot(rd.snapshot)
    store.append(rd.entries)
    if rd.hs is not None:
        store.set_hardstate(rd.hs)
    node.advance_append_async(rd)


def leader() -> RawNode:
    """Leader 1 of three, all of whom hold and have applied its first entry."""
    node = make_node(1, [1, 2, 3])
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 1))
    persist(node)
    for i in (2, 3):
        node.step(Message(M.MsgAppendResponse, 1, i, 1, index=1))
    persist(node)
    return node


# What a Ready says.


def test_a_new_node_has_nothing_to_do() -> None:
    node = make_node(1, [1, 2, 3], log_of(1), HardState(1, 2, 1), applied=1)
    assert not node.has_ready()


def test_a_restarted_node_hands_out_what_was_committed_and_not_applied() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1, 1), HardState(1, 0, 3), applied=1)
    rd = node.ready()
    assert ([e.index for e in rd.committed_entries], rd.must_sync, rd.hs, rd.ss) == ([2, 3], False, None, None)


@pytest.mark.parametrize(
    ("message", "must_sync"),
    [
        (Message(M.MsgRequestVote, 1, 2, 1), True),
        (Message(M.MsgHeartbeat, 1, 2, 1), True),
        (Message(M.MsgAppend, 1, 2, 1, entries=log_of(1)), True),
    ],
)
def test_term_vote_and_entries_must_be_synced(message: Message, must_sync: bool) -> None:
    node = make_node(1, [1, 2, 3])
    node.step(message)
    assert node.ready().must_sync is must_sync


def test_a_commit_index_alone_needs_no_sync() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1), HardState(1, 0, 1), applied=1)
    node.step(Message(M.MsgAppend, 1, 2, 1, 1, 2, commit=2))
    rd = node.ready()
    assert (rd.hs, rd.must_sync, len(rd.persisted_messages)) == (HardState(1, 0, 2), False, 1)


def test_soft_state_is_told_when_leader_or_role_change() -> None:
    node = make_node(1, [1, 2, 3])
    node.step(Message(M.MsgHeartbeat, 1, 2, 1))
    rd = node.ready()
    assert rd.ss == SoftState(2, StateRole.Follower)
    node.advance(rd)
    node.step(Message(M.MsgHeartbeat, 1, 2, 1))
    assert node.ready().ss is None


def test_readys_are_numbered_from_one() -> None:
    node = leader()
    first = node.ready()
    node.advance(first)
    assert node.ready().number == first.number + 1
    assert make_node(1, [1]).ready().number == 1


# Before and after the sync.


def test_a_leaders_messages_leave_at_once_and_a_followers_after_the_sync() -> None:
    node = leader()
    node.propose(b"", b"x")
    rd = node.ready()
    assert ([m.to for m in rd.messages], rd.persisted_messages, rd.must_sync) == ([2, 3], [], True)
    follower = make_node(2, [1, 2, 3])
    follower.step(rd.messages[0])
    rd = follower.ready()
    assert (rd.messages, [m.to for m in rd.persisted_messages]) == ([], [1])


def test_a_candidates_requests_leave_after_its_vote_is_stored() -> None:
    node = make_node(1, [1, 2, 3])
    node.campaign()
    rd = node.ready()
    assert (rd.hs, rd.must_sync, rd.messages, len(rd.persisted_messages)) == (HardState(1, 1, 0), True, [], 2)


def test_heartbeats_and_their_answers_need_no_ready() -> None:
    node = leader()
    node.ping()
    assert [m.msg_type for m in node.take_messages() or ()] == [M.MsgHeartbeat, M.MsgHeartbeat]
    assert not node.has_ready()
    follower = make_node(2, [1, 2, 3], log_of(1), HardState(1, 1, 1), applied=1)
    follower.step(Message(M.MsgHeartbeat, 2, 1, 1, commit=1))
    assert follower.take_messages() is None, "that there is a leader is news first"
    persist(follower)
    follower.step(Message(M.MsgHeartbeat, 2, 1, 1, commit=1))
    assert [m.msg_type for m in follower.take_messages() or ()] == [M.MsgHeartbeatResponse]
    assert not follower.has_ready()
    assert follower.take_messages() == []


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("an entry is to be stored", Message(M.MsgAppend, 2, 1, 1, 1, 2, [Entry(term=1, index=3)])),
        ("the commit index moves", Message(M.MsgHeartbeat, 2, 1, 1, commit=2)),
        ("a vote is given", Message(M.MsgRequestVote, 2, 3, 2, 1, 2, context=b"CampaignTransfer")),
        ("the term grows", Message(M.MsgHeartbeat, 2, 3, 2)),
    ],
)
def test_messages_that_come_with_anything_else_wait_for_the_ready(why: str, message: Message) -> None:
    follower = make_node(2, [1, 2, 3], log_of(1, 1), HardState(1, 1, 1), applied=1)
    follower.step(Message(M.MsgHeartbeat, 2, 1, 1, commit=1))
    persist(follower)
    follower.step(message)
    assert follower.take_messages() is None, why
    assert follower.ready().persisted_messages, why


def test_messages_wait_while_an_earlier_ready_is_not_persisted() -> None:
    """An answer to a heartbeat after an unsynced entry: it may not overtake what the entry's answer waits for."""
    follower = make_node(2, [1, 2, 3])
    follower.step(Message(M.MsgHeartbeat, 2, 1, 1))
    persist(follower)
    follower.step(Message(M.MsgAppend, 2, 1, 1, 0, 0, [Entry(term=1, index=1)]))
    rd = follower.ready()
    write(follower, rd)
    follower.step(Message(M.MsgHeartbeat, 2, 1, 1))
    assert follower.take_messages() is None
    follower.on_persist_ready(rd.number)
    assert [m.msg_type for m in follower.take_messages() or ()] == [M.MsgHeartbeatResponse]


def quiet_follower() -> RawNode:
    """Follower 2 of leader 1 in term 1, with two entries of which one is committed; it has waited three ticks."""
    node = make_node(2, [1, 2, 3], log_of(1, 1), HardState(1, 1, 1), applied=1)
    node.step(Message(M.MsgHeartbeat, 2, 1, 1, commit=1))
    persist(node)
    for _ in range(3):
        node.tick()
    return node


def test_a_heartbeat_that_changes_nothing_is_heard_without_a_step() -> None:
    node = quiet_follower()
    assert node.hear_leader(1, 1, 1) == 1
    assert (node.raft.election_elapsed, node.raft.ticks_since_leader) == (0, 0)
    assert not node.has_ready()


@pytest.mark.parametrize(
    ("why", "heartbeat"),
    [
        ("another leader", (3, 1, 1)),
        ("an older term", (1, 0, 1)),
        ("a newer term", (1, 2, 1)),
        ("the commit index moves", (1, 1, 2)),
    ],
)
def test_a_heartbeat_that_says_more_is_to_be_stepped(why: str, heartbeat: tuple[int, int, int]) -> None:
    node = quiet_follower()
    assert node.hear_leader(*heartbeat) is None, why
    assert node.raft.election_elapsed == 3, why


def test_heartbeats_are_not_answered_before_what_came_first_is_persisted() -> None:
    node = quiet_follower()
    node.step(Message(M.MsgAppend, 2, 1, 1, 1, 2, [Entry(term=1, index=3)]))
    rd = node.ready()
    write(node, rd)
    assert node.hear_leader(1, 1, 1) is None
    node.on_persist_ready(rd.number)
    assert node.hear_leader(1, 1, 1) == 1
    newer = quiet_follower()
    newer.step(Message(M.MsgHeartbeat, 2, 3, 2))
    assert newer.hear_leader(3, 2, 0) is None, "the new term is not in a Ready yet"
    assert leader().hear_leader(1, 1, 1) is None, "no follower"


def test_an_answer_of_a_member_that_lacks_nothing_is_heard_without_a_step() -> None:
    node = leader()
    node.raft.prs.quorum_recently_active(1)
    assert node.hear_follower(2, 1, 0)
    assert node.raft.prs.progress[2].recent_active
    assert not node.raft.prs.progress[3].recent_active
    assert not node.has_ready()


def test_answers_that_make_the_leader_do_something_are_to_be_stepped() -> None:
    node = leader()
    assert not node.hear_follower(9, 1, 0), "no member"
    assert not node.hear_follower(2, 2, 0), "a newer term"
    node.propose(b"", b"x")
    assert not node.hear_follower(2, 1, 0), "it lacks an entry"
    assert not quiet_follower().hear_follower(3, 1, 0), "no leader"


def test_the_leaders_own_match_moves_only_when_persisted() -> None:
    node = leader()
    node.propose(b"", b"x")
    rd = node.ready()
    write(node, rd)
    own = node.raft.prs.progress[1]
    assert (own.matched, node.raft.raft_log.persisted) == (1, 1)
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=2))
    assert node.raft.raft_log.committed == 1, "2 alone is no quorum"
    node.on_persist_ready(rd.number)
    assert (own.matched, node.raft.raft_log.committed) == (2, 2)


def test_a_quorum_of_followers_commits_before_the_leaders_disk_but_the_leader_applies_after_it() -> None:
    node = leader()
    node.propose(b"", b"x")
    rd = node.ready()
    write(node, rd)
    for i in (2, 3):
        node.step(Message(M.MsgAppendResponse, 1, i, 1, index=2))
    second = node.ready()
    assert (second.hs, second.committed_entries) == (HardState(1, 1, 2), [])
    write(node, second)
    node.on_persist_ready(rd.number)
    assert [e.data for e in node.ready().committed_entries] == [b"x"]


def test_several_readys_may_be_unpersisted_and_one_report_covers_the_earlier_ones() -> None:
    node = leader()
    numbers = []
    for data in (b"a", b"b", b"c"):
        node.propose(b"", data)
        rd = node.ready()
        assert [e.data for e in rd.entries] == [data], "only what no earlier Ready held"
        write(node, rd)
        numbers.append(rd.number)
    node.on_persist_ready(numbers[1])
    assert node.raft.raft_log.persisted == 3
    node.on_persist_ready(numbers[0])
    assert node.raft.raft_log.persisted == 3
    node.on_persist_ready(numbers[2])
    assert node.raft.raft_log.persisted == 4


def test_a_followers_second_acknowledgement_waits_with_the_first() -> None:
    follower = make_node(2, [1, 2, 3])
    m = Message(M.MsgAppend, 2, 1, 1, entries=log_of(1))
    follower.step(m)
    write(follower, follower.ready())
    follower.step(m)
    rd = follower.ready()
    assert (rd.must_sync, rd.messages, len(rd.persisted_messages)) == (False, [], 1)


def test_advance_reports_what_the_sync_made_possible() -> None:
    node = make_node(1, [1])
    node.campaign()
    node.propose(b"", b"x")
    rd = node.ready()
    store = node.store()
    assert isinstance(store, MemStorage)
    store.append(rd.entries)
    light = node.advance(rd)
    assert (light.commit_index, [e.data for e in light.committed_entries]) == (2, [b"", b"x"])
    assert node.raft.raft_log.applied == 0
    node.advance_apply()
    assert node.raft.raft_log.applied == 2
    assert not node.has_ready()


def test_applying_may_lag_behind_what_was_handed_out() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1, 1), HardState(1, 0, 3))
    rd = node.ready()
    node.advance_append(rd)
    node.advance_apply_to(2)
    assert node.raft.raft_log.applied == 2
    assert not node.has_ready(), "what was handed out does not come again"
    with pytest.raises(RaftInvariantError):
        node.advance_apply_to(1)


def test_committed_entries_come_in_portions() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1, 1), HardState(1, 0, 3), max_committed_size_per_ready=24)
    rd = node.ready()
    assert [e.index for e in rd.committed_entries] == [1, 2]
    assert [e.index for e in node.advance_append(rd).committed_entries] == [3]


def test_a_leader_may_apply_ahead_of_its_disk_when_allowed() -> None:
    node = make_node(1, [1, 2, 3], max_apply_unpersisted_log_limit=10)
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 1))
    write(node, node.ready())
    for i in (2, 3):
        node.step(Message(M.MsgAppendResponse, 1, i, 1, index=1))
    assert [e.index for e in node.ready().committed_entries] == [1]
    node.raft.become_follower(2, 0)
    assert node.raft.raft_log.max_apply_unpersisted_log_limit == 0


def test_readys_are_given_back_in_order_and_persisted_after_that() -> None:
    node = leader()
    node.propose(b"", b"x")
    rd = node.ready()
    with pytest.raises(RaftInvariantError):
        node.on_persist_ready(rd.number)
    write(node, rd)
    node.propose(b"", b"y")
    node.ready()
    with pytest.raises(RaftInvariantError):
        node.advance_append_async(rd)


def test_messages_of_a_leader_that_steps_down_while_applying_wait_for_the_next_ready() -> None:
    group = Group.of(2)
    group.elect(1)
    node = group[1]
    node.propose_conf_change(b"", ConfChange(ConfChangeType.RemoveNode, 1))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=2))
    rd = node.ready()
    assert len(rd.committed_entries) == 1
    node.ping()
    node.apply_conf_change(ConfChange(ConfChangeType.RemoveNode, 1))
    light = node.advance_append(rd)
    assert (node.raft.state, light.messages) == (StateRole.Follower, [])
    assert [m.msg_type for m in node.ready().persisted_messages] == [M.MsgHeartbeat]


# Inputs and errors.


def test_local_messages_are_refused_from_outside() -> None:
    node = leader()
    local = {M.MsgHup, M.MsgBeat, M.MsgUnreachable, M.MsgSnapStatus, M.MsgCheckQuorum}
    assert {kind for kind in M if is_local_msg(kind)} == local
    for kind in local:
        with pytest.raises(StepLocalMsg):
            node.step(Message(kind, 1, 2))


def test_responses_of_unknown_nodes_are_refused_and_their_requests_answered() -> None:
    node = leader()
    for kind in (M.MsgAppendResponse, M.MsgHeartbeatResponse, M.MsgRequestVoteResponse, M.MsgRequestPreVoteResponse):
        with pytest.raises(StepPeerNotFound):
            node.step(Message(kind, 1, 9, 1))
    node.step(Message(M.MsgRequestVote, 1, 9, 5, 9, 9))
    assert [(m.to, m.reject) for m in sent(node)] == [(9, False)]


def test_a_batch_is_one_proposal_of_many_entries() -> None:
    node = leader()
    node.propose_batch([b"a", b"b"], b"ctx")
    rd = node.ready()
    assert [(e.index, e.data, e.context) for e in rd.entries] == [(2, b"a", b"ctx"), (3, b"b", b"ctx")]
    assert [len(m.entries) for m in rd.messages] == [2, 2]
    with pytest.raises(ProposalDropped):
        node.propose_batch([])


def test_a_stepped_proposal_leaves_the_senders_entries_alone() -> None:
    node = leader()
    mine = Entry(data=b"x")
    node.step(Message(M.MsgPropose, 1, 2, entries=[mine]))
    assert (mine.index, mine.term) == (0, 0)
    assert node.raft.raft_log.last_index() == 2


def test_an_undecodable_change_is_dropped_and_a_wrong_one_named() -> None:
    node = leader()
    bad = Entry(EntryType.EntryConfChange, data=b"\xff")
    with pytest.raises(ProposalDropped):
        node.step(Message(M.MsgPropose, 1, 2, entries=[Entry(data=b"x"), bad]))
    single = make_node(1, [1])
    single.campaign()
    persist(single)
    with pytest.raises(ConfChangeError):
        single.propose_conf_change(b"", ConfChange(ConfChangeType.RemoveNode, 1))
    assert node.raft.raft_log.last_index() == 1, "all or nothing"


def test_applying_a_change_that_does_not_fit_changes_nothing() -> None:
    node = make_node(1, [1])
    before = node.raft.prs.conf
    with pytest.raises(ConfChangeError):
        node.apply_conf_change(ConfChange(ConfChangeType.RemoveNode, 1))
    assert node.raft.prs.conf is before


def test_a_snapshot_is_requested_only_when_it_makes_sense() -> None:
    with pytest.raises(RequestSnapshotDropped):
        leader().request_snapshot()
    lonely = make_node(2, [1, 2, 3], log_of(1))
    with pytest.raises(RequestSnapshotDropped):
        lonely.request_snapshot()
    lonely.step(Message(M.MsgHeartbeat, 2, 1, 2))
    with pytest.raises(RequestSnapshotDropped):
        lonely.request_snapshot()


def test_only_leaders_ping_and_a_ping_reaches_learners_too() -> None:
    node = make_node(1, [1], learners=[2])
    node.ping()
    assert sent(node) == []
    node.campaign()
    persist(node)
    node.ping()
    assert [m.to for m in sent(node, M.MsgHeartbeat)] == [2]


def test_status_shows_progress_of_leaders_only() -> None:
    node = leader()
    status = node.status()
    assert (status.id, status.applied, status.ss) == (1, 1, SoftState(1, StateRole.Leader))
    assert status.hs == HardState(1, 1, 1)
    assert status.progress is node.raft.prs
    assert make_node(1, [1]).status().progress is None


def test_decisions_are_traced() -> None:
    lines: list[str] = []
    store = MemStorage.new_with_conf_state(ConfState([1]))
    node = RawNode(config(1), store, random.Random(1), lines.append)
    node.campaign()
    assert lines == ["1 became follower at term 0", "1 became candidate at term 1", "1 became leader at term 1"]


def test_the_same_chance_gives_the_same_run() -> None:
    def run() -> list[int]:
        node = RawNode(config(1), MemStorage.new_with_conf_state(ConfState([1, 2])), random.Random(5))
        return [node.raft.term for _ in range(200) if node.tick()]

    assert run() == run()


def test_a_stored_commit_index_beyond_the_log_stops_the_start() -> None:
    with pytest.raises(RaftInvariantError):
        make_node(1, [1], log_of(1), HardState(1, 0, 2))


def test_pending_reads_are_bounded_and_forgotten_with_the_leadership() -> None:
    node = make_node(1, [1, 2, 3], max_pending_reads=2)
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 1))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=1))
    for name in (b"a", b"b", b"c"):
        node.read_index(name)
    assert list(node.raft.read_only.pending_read_index) == [b"a", b"b"]
    node.raft.become_follower(2, 0)
    assert node.raft.pending_read_count() == 0


def test_a_single_voter_that_campaigns_with_an_unpersisted_tail_does_not_count_it() -> None:
    node = make_node(1, [1])
    node.step(Message(M.MsgAppend, 1, 9, 1, entries=log_of(1, 1)))
    tail = node.ready()
    write(node, tail)
    node.campaign()
    assert (node.raft.state, node.raft.prs.progress[1].matched) == (StateRole.Leader, 0)
    won = node.ready()
    write(node, won)
    node.on_persist_ready(tail.number)
    assert (node.raft.prs.progress[1].matched, node.raft.raft_log.committed) == (2, 0)
    node.on_persist_ready(won.number)
    assert node.raft.raft_log.committed == 3


def test_a_joint_configuration_is_left_after_a_transfer_was_given_up() -> None:
    group = Group.of(3)
    group.elect(1)
    node = group[1]
    change = ConfChangeV2(ConfChangeTransition.Implicit, [ConfChangeSingle(ConfChangeType.AddLearnerNode, 4)])
    node.propose_conf_change(b"", change)
    group.isolate(2)
    node.transfer_leader(2)
    group.settle()
    assert node.raft.prs.conf.joint(), "leaving it would be a proposal"
    for _ in range(10):
        node.tick()
    assert node.raft.lead_transferee is None
    assert node.raft.has_pending_conf(), "proposed at once, without waiting for anything to be applied"
    group.settle()
    assert str(node.raft.prs.conf.to_conf_state()) == "voters=(1 2 3) learners=(4)"


def test_a_campaign_while_a_snapshot_is_written_and_not_yet_applied() -> None:
    """The log begins after the snapshot already, the applied index is before it: nothing is left to look at."""
    node = make_node(2, [1, 2, 3])
    snapshot = Snapshot(metadata=SnapshotMetadata(ConfState([1, 2, 3]), 7, 1))
    node.step(Message(M.MsgSnapshot, 2, 1, 1, snapshot=snapshot))
    rd = node.ready()
    write(node, rd)
    assert (node.raft.raft_log.applied, node.raft.raft_log.first_index()) == (0, 8)
    node.campaign()
    assert node.raft.state is StateRole.Candidate
    node.on_persist_ready(rd.number)
    node.advance_apply_to(7)
    check_invariants(node)


def test_a_ready_that_was_kept_does_not_change() -> None:
    """It may wait for its sync while the node goes on; what comes later belongs to later Readys."""
    node = leader()
    node.ping()
    first = node.ready()
    assert (first.entries, first.persisted_messages, first.read_states) == ([], [], [])
    write(node, first)
    node.raft.become_follower(2, 2)
    second = node.ready()
    assert (second.entries, second.messages, second.persisted_messages, second.read_states) == ([], [], [], [])
    write(node, second)
    node.step(Message(M.MsgAppend, 1, 2, 2, 1, 1, [Entry(term=2, index=2)]))
    node.step(Message(M.MsgReadIndexResp, 1, 2, 2, index=1, entries=[Entry(data=b"r")]))
    assert (len(node.raft.msgs), len(node.raft.read_states)) == (1, 1)
    for kept in (first, second):
        assert (kept.entries, kept.persisted_messages, kept.read_states) == ([], [], [])
    assert (len(first.messages), second.messages) == (2, [])
