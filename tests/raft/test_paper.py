"""The Raft paper (Ongaro & Ousterhout, extended version 2014), sections 5 to 8, rule by rule.

Each test names the section and the rule. Where the paper's own words are a table (figures 2, 7, 8), the test is one.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from flaredb.raft import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Config,
    ConfigInvalid,
    ConfState,
    HardState,
    MemStorage,
    Message,
    MessageType,
    ProposalDropped,
    RawNode,
    ReadState,
    Snapshot,
    SnapshotMetadata,
    StateRole,
)

from .group import Group, config, entry, log_of, make_node, persist, sent

M = MessageType


def leader_of_three(**options: Any) -> RawNode:
    """Node 1 of three, elected, with its first entry acknowledged by all."""
    node = make_node(1, [1, 2, 3], **options)
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, node.raft.term))
    persist(node)
    for i in (2, 3):
        node.step(Message(M.MsgAppendResponse, 1, i, node.raft.term, index=1))
    persist(node)
    assert node.raft.state is StateRole.Leader
    return node


def terms_of(node: RawNode) -> list[int]:
    return [e.term for e in node.raft.raft_log.all_entries()]


# Section 5.1: terms.


@pytest.mark.parametrize("role", [StateRole.Follower, StateRole.Candidate, StateRole.Leader])
def test_5_1_a_larger_term_is_adopted_and_its_finder_follows(role: StateRole) -> None:
    node = make_node(1, [1, 2, 3])
    if role is StateRole.Candidate:
        node.campaign()
    elif role is StateRole.Leader:
        node = leader_of_three()
    node.step(Message(M.MsgAppend, 1, 2, term=9))
    assert (node.raft.term, node.raft.state, node.raft.leader_id) == (9, StateRole.Follower, 2)


def test_5_1_a_request_of_a_stale_term_is_rejected() -> None:
    node = make_node(1, [1, 2, 3], hard_state=HardState(term=5))
    node.step(Message(M.MsgAppend, 1, 2, term=4, entries=[entry(4, 1)]))
    node.step(Message(M.MsgRequestVote, 1, 3, term=4, index=9, log_term=4))
    persist(node)
    assert (node.raft.raft_log.last_index(), node.raft.vote, node.raft.term) == (0, 0, 5)


def test_5_1_terms_only_increase() -> None:
    node = make_node(1, [1, 2, 3], hard_state=HardState(term=5))
    for term in (9, 3, 9, 1):
        node.step(Message(M.MsgAppend, 1, 2, term=term))
    assert node.raft.term == 9


# Section 5.2: leader election.


def test_5_2_nodes_start_as_followers() -> None:
    assert make_node(1, [1, 2, 3]).raft.state is StateRole.Follower
    assert make_node(1, [1]).raft.state is StateRole.Follower


def test_5_2_a_follower_stays_one_while_it_hears_a_leader() -> None:
    node = make_node(1, [1, 2, 3])
    for _ in range(10):
        for _ in range(9):
            node.tick()
        node.step(Message(M.MsgHeartbeat, 1, 2, term=1))
    assert node.raft.state is StateRole.Follower


def test_5_2_a_leader_sends_heartbeats_to_all_periodically() -> None:
    node = leader_of_three()
    node.tick()
    beats = sent(node, M.MsgHeartbeat)
    assert [(m.to, m.entries) for m in beats] == [(2, []), (3, [])]


def test_5_2_an_election_raises_the_term_votes_for_itself_and_asks_all() -> None:
    node = make_node(1, [1, 2, 3])
    for _ in range(20):
        node.tick()
        if node.raft.state is StateRole.Candidate:
            break
    assert (node.raft.term, node.raft.vote) == (1, 1)
    assert [(m.to, m.term) for m in sent(node, M.MsgRequestVote)] == [(2, 1), (3, 1)]


@pytest.mark.parametrize(
    ("size", "granted", "refused", "role"),
    [
        (1, 0, 0, StateRole.Leader),
        (3, 2, 0, StateRole.Leader),
        (3, 1, 0, StateRole.Leader),
        (5, 4, 0, StateRole.Leader),
        (5, 2, 0, StateRole.Leader),
        (3, 0, 2, StateRole.Follower),
        (5, 0, 4, StateRole.Follower),
        (5, 1, 3, StateRole.Follower),
        (3, 0, 0, StateRole.Candidate),
        (5, 1, 0, StateRole.Candidate),
        (5, 1, 2, StateRole.Candidate),
    ],
)
def test_5_2_a_majority_of_votes_wins(size: int, granted: int, refused: int, role: StateRole) -> None:
    node = make_node(1, list(range(1, size + 1)))
    node.campaign()
    persist(node)
    for i in range(2, 2 + granted + refused):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1, reject=i >= 2 + granted))
    assert node.raft.state is role


@pytest.mark.parametrize(
    ("vote", "candidate", "granted"),
    [(0, 2, True), (0, 3, True), (2, 2, True), (3, 3, True), (2, 3, False), (3, 2, False)],
)
def test_5_2_one_vote_per_term_first_come_first_served(vote: int, candidate: int, granted: bool) -> None:
    node = make_node(1, [1, 2, 3], hard_state=HardState(1, vote, 0))
    node.step(Message(M.MsgRequestVote, 1, candidate, 1, 1, 1))
    (answer,) = sent(node, M.MsgRequestVoteResponse)
    assert answer.reject is not granted


def test_5_2_a_winner_tells_everybody_at_once() -> None:
    node = make_node(1, [1, 2, 3])
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 1))
    assert [m.to for m in sent(node, M.MsgAppend)] == [2, 3]


@pytest.mark.parametrize("term", [1, 2])
def test_5_2_a_candidate_that_hears_a_legitimate_leader_follows_it(term: int) -> None:
    node = make_node(1, [1, 2, 3])
    node.campaign()
    persist(node)
    node.step(Message(M.MsgAppend, 1, 2, term))
    assert (node.raft.state, node.raft.term, node.raft.leader_id) == (StateRole.Follower, term, 2)


def test_5_2_a_candidate_ignores_a_leader_of_an_older_term() -> None:
    node = make_node(1, [1, 2, 3], hard_state=HardState(term=4))
    node.campaign()
    persist(node)
    node.step(Message(M.MsgAppend, 1, 2, 4))
    assert (node.raft.state, node.raft.term) == (StateRole.Candidate, 5)


def test_5_2_a_split_vote_times_out_into_a_new_election() -> None:
    node = make_node(1, [1, 2, 3])
    node.campaign()
    for _ in range(20):
        node.tick()
        if node.raft.term == 2:
            break
    assert (node.raft.term, node.raft.state) == (2, StateRole.Candidate)


def test_5_2_election_timeouts_are_spread_over_the_interval() -> None:
    node = make_node(1, [1, 2, 3])
    drawn = set()
    for term in range(1, 1000):
        node.raft.become_follower(term, 2)
        drawn.add(node.raft.randomized_election_timeout)
    assert drawn == set(range(10, 20))


def test_5_2_simultaneous_timeouts_are_rare() -> None:
    rng = random.Random(7)
    stores = [MemStorage.new_with_conf_state(ConfState([1, 2, 3, 4, 5])) for _ in range(5)]
    nodes = [RawNode(Config(id=i + 1, election_tick=10), s, rng) for i, s in enumerate(stores)]
    conflicts = 0
    for term in range(1, 1001):
        for node in nodes:
            node.raft.become_follower(term, 1)
        timeouts = sorted(n.raft.randomized_election_timeout for n in nodes)
        conflicts += timeouts[0] == timeouts[1]
    assert conflicts < 350


# Section 5.3: log replication.


def test_5_3_a_proposal_is_appended_and_sent_to_all_in_parallel() -> None:
    node = leader_of_three()
    node.propose(b"", b"x")
    appends = sent(node, M.MsgAppend)
    assert [(m.to, m.index, m.log_term, [e.data for e in m.entries]) for m in appends] == [
        (2, 1, 1, [b"x"]),
        (3, 1, 1, [b"x"]),
    ]
    assert node.raft.raft_log.last_index() == 2


@pytest.mark.parametrize(
    ("size", "acks", "committed"), [(1, 0, True), (3, 0, False), (3, 1, True), (5, 1, False), (5, 2, True)]
)
def test_5_3_an_entry_is_committed_once_a_majority_has_it(size: int, acks: int, committed: bool) -> None:
    node = make_node(1, list(range(1, size + 1)))
    node.campaign()
    persist(node)
    for i in range(2, size + 1):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1))
    persist(node)
    for i in range(2, 2 + acks):
        node.step(Message(M.MsgAppendResponse, 1, i, 1, index=1))
    assert (node.raft.raft_log.committed == 1) is committed


def test_5_3_committing_an_entry_commits_all_before_it() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 2, 2))
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 3))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 3, index=4))
    _, applied = persist(node)
    assert [(e.index, e.term) for e in applied] == [(1, 1), (2, 2), (3, 2), (4, 3)]


def test_5_3_appends_and_heartbeats_carry_the_commit_index_and_followers_apply_in_order() -> None:
    follower = make_node(2, [1, 2, 3])
    follower.step(Message(M.MsgAppend, 2, 1, 1, entries=log_of(1, 1, 1)))
    assert persist(follower)[1] == []
    follower.step(Message(M.MsgAppend, 2, 1, 1, 1, 3, commit=2))
    assert [e.index for e in persist(follower)[1]] == [1, 2]
    follower.step(Message(M.MsgHeartbeat, 2, 1, 1, commit=3))
    assert [e.index for e in persist(follower)[1]] == [3]


@pytest.mark.parametrize(
    ("commit", "carried", "expected"), [(1, [], 1), (1, [2], 1), (2, [2], 2), (9, [2], 2), (3, [], 1)]
)
def test_5_3_figure_2_receiver_5_commit_stops_at_the_last_new_entry(
    commit: int, carried: list[int], expected: int
) -> None:
    follower = make_node(2, [1, 2, 3], log_of(1, 1, 1))
    entries = [entry(1, i) for i in carried]
    follower.step(Message(M.MsgAppend, 2, 1, 1, 1, 1, entries, commit))
    assert follower.raft.raft_log.committed == expected


@pytest.mark.parametrize(
    ("prev_term", "prev_index", "accepted"),
    [(0, 0, True), (1, 1, True), (2, 2, True), (1, 2, False), (2, 3, False), (3, 2, False)],
)
def test_5_3_the_entry_before_the_new_ones_must_match(prev_term: int, prev_index: int, accepted: bool) -> None:
    follower = make_node(2, [1, 2, 3], log_of(1, 2))
    follower.step(Message(M.MsgAppend, 2, 1, 3, prev_term, prev_index))
    (answer,) = sent(follower, M.MsgAppendResponse)
    assert answer.reject is not accepted


@pytest.mark.parametrize(
    ("prev", "carried", "result"),
    [
        ((2, 2), [3], [1, 2, 3]),
        ((1, 1), [3, 4], [1, 3, 4]),
        ((0, 0), [1], [1, 2]),
        ((0, 0), [3], [3]),
    ],
)
def test_5_3_a_conflicting_entry_goes_with_all_that_follow(
    prev: tuple[int, int], carried: list[int], result: list[int]
) -> None:
    follower = make_node(2, [1, 2, 3], log_of(1, 2))
    entries = [entry(t, prev[1] + 1 + i) for i, t in enumerate(carried)]
    follower.step(Message(M.MsgAppend, 2, 1, 4, prev[0], prev[1], entries))
    persist(follower)
    assert terms_of(follower) == result


@pytest.mark.parametrize(
    "terms",
    [
        [1, 1, 1, 4, 4, 5, 5, 6, 6],
        [1, 1, 1, 4],
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        [1, 1, 1, 4, 4, 4, 4],
        [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ],
    ids=list("abcdef"),
)
def test_5_3_figure_7_any_follower_is_brought_into_line(terms: list[int]) -> None:
    lead = make_node(1, [1, 2, 3], log_of(1, 1, 1, 4, 4, 5, 5, 6, 6, 6), HardState(7, 0, 0))
    follower = make_node(2, [1, 2, 3], log_of(*terms), HardState(7, 0, 0))
    other = make_node(3, [1, 2, 3], log_of(1, 1, 1, 4, 4, 5, 5, 6, 6, 6), HardState(7, 0, 0))
    group = Group({1: lead, 2: follower, 3: other})
    group.elect(1)
    group[1].propose(b"", b"x")
    group.settle()
    assert terms_of(follower) == terms_of(lead) == [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8, 8]


def test_5_3_next_index_starts_just_after_the_leaders_last_entry() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1, 1))
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 2))
    assert [(m.index, len(m.entries)) for m in sent(node, M.MsgAppend)] == [(3, 1), (3, 1)]


def test_5_3_a_refused_append_is_retried_further_back() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1, 1))
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 2))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 2, 1, 3, reject=True, reject_hint=1))
    (retry,) = sent(node, M.MsgAppend)
    assert (retry.index, [e.index for e in retry.entries]) == (1, [2, 3, 4])


def test_5_3_lost_appends_are_repeated_until_stored() -> None:
    group = Group.of(3)
    group.elect(1)
    group.ignored = {M.MsgAppend}
    group[1].propose(b"", b"x")
    group.settle()
    group.heal()
    for _ in range(3):
        group[1].tick()
        group.settle()
    assert [group.data(i) for i in (1, 2, 3)] == [[b"x"]] * 3


def test_5_3_a_leader_never_changes_its_own_entries() -> None:
    node = leader_of_three()
    node.propose(b"", b"x")
    persist(node)
    before = list(node.raft.raft_log.all_entries())
    node.step(Message(M.MsgAppend, 1, 2, 1, entries=[entry(1, 1, b"other")]))
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=2, reject=True, reject_hint=0))
    persist(node)
    assert node.raft.raft_log.all_entries()[: len(before)] == before


def test_5_3_one_refusal_per_term_of_disagreement() -> None:
    lead = make_node(1, [1, 2], log_of(1, *([3] * 50)), HardState(9, 0, 0))
    follower = make_node(2, [1, 2], log_of(1, *([2] * 40)), HardState(9, 0, 0))
    lead.campaign()
    persist(lead)
    lead.step(Message(M.MsgRequestVoteResponse, 1, 2, 10))
    refusals = 0
    for _ in range(10):
        for m in sent(lead, M.MsgAppend):
            follower.step(m)
        for m in sent(follower, M.MsgAppendResponse):
            refusals += m.reject
            lead.step(m)
    assert refusals == 1
    assert terms_of(follower) == terms_of(lead)


# Section 5.4: safety.


@pytest.mark.parametrize(
    ("own", "last_term", "last_index", "granted"),
    [
        ([1], 1, 1, True),
        ([1], 1, 2, True),
        ([1, 1], 1, 1, False),
        ([1], 2, 1, True),
        ([1], 2, 2, True),
        ([1, 1], 2, 1, True),
        ([2], 1, 1, False),
        ([2], 1, 2, False),
        ([2, 2], 1, 1, False),
        ([1, 2], 1, 9, False),
    ],
)
def test_5_4_1_a_vote_goes_only_to_a_log_at_least_as_up_to_date(
    own: list[int], last_term: int, last_index: int, granted: bool
) -> None:
    node = make_node(1, [1, 2], log_of(*own))
    node.step(Message(M.MsgRequestVote, 1, 2, 3, last_term, last_index))
    (answer,) = sent(node, M.MsgRequestVoteResponse)
    assert answer.reject is not granted


def test_5_4_1_a_request_for_votes_carries_the_last_entry() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1, 2))
    node.campaign()
    assert [(m.index, m.log_term) for m in sent(node, M.MsgRequestVote)] == [(3, 2), (3, 2)]


@pytest.mark.parametrize(("acked", "committed"), [(1, 0), (2, 0), (3, 3)])
def test_5_4_2_only_entries_of_the_own_term_are_committed_by_counting(acked: int, committed: int) -> None:
    node = make_node(1, [1, 2], log_of(1, 2))
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 3))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 3, index=acked))
    assert node.raft.raft_log.committed == committed


def test_5_4_2_figure_8_an_old_entry_on_a_majority_may_still_be_overwritten() -> None:
    # S1 at term 4 has copied entry 2 of term 2 to S3; S5 with term 3 is elected at term 5 and may replace it.
    s1 = make_node(1, [1, 2, 3, 4, 5], log_of(1, 2), HardState(4, 1, 1))
    s5 = make_node(5, [1, 2, 3, 4, 5], log_of(1, 3), HardState(3, 5, 1))
    group = Group({1: s1, 5: s5})
    for i in (2, 3):
        group.nodes[i] = make_node(i, [1, 2, 3, 4, 5], log_of(1, 2), HardState(4, 1, 1))
    group.nodes[4] = make_node(4, [1, 2, 3, 4, 5], log_of(1), HardState(1, 0, 1))
    group.applied = {i: [] for i in group.nodes}
    s5.raft.become_follower(4, 0)
    group.isolate(1)
    group.elect(5)
    assert terms_of(group[2]) == [1, 3, 5]
    assert all(e.term != 2 for e in group.applied[2])


def test_5_4_3_whoever_is_elected_holds_everything_committed() -> None:
    group = Group.of(5)
    group.elect(1)
    for lost in (4, 5):
        group.isolate(lost)
    group[1].propose(b"", b"x")
    group.settle()
    group.heal()
    for i in (4, 5):
        group[i].campaign()
        group.settle()
        assert group[i].raft.state is not StateRole.Leader
    group[2].campaign()
    group.settle()
    assert group[2].raft.state is StateRole.Leader
    assert group.data(2) == [b"x"]


# Sections 5.5 and 5.6: crashes and timing.


def test_5_5_repeated_requests_change_nothing() -> None:
    follower = make_node(2, [1, 2, 3])
    m = Message(M.MsgAppend, 2, 1, 1, entries=log_of(1, 1))
    vote = Message(M.MsgRequestVote, 2, 3, 2, 1, 2)
    for _ in range(2):
        follower.step(m)
    first = persist(follower)[0]
    assert [a.index for a in first] == [2, 2]
    follower.step(vote)
    follower.step(vote)
    assert [a.reject for a in sent(follower)] == [False, False]


def test_5_5_a_restarted_node_continues_from_what_it_stored() -> None:
    group = Group.of(3)
    group.elect(1)
    group[1].propose(b"", b"x")
    group.settle()
    store = group[2].store()
    again = RawNode(config(2, applied=group[2].raft.raft_log.applied), store, random.Random(0))
    assert (again.raft.term, again.raft.vote, again.raft.state) == (1, 1, StateRole.Follower)
    group.nodes[2] = again
    group[1].propose(b"", b"y")
    group.settle()
    assert group.data(2) == [b"x", b"y"]


def test_5_6_the_election_timeout_must_exceed_the_heartbeat_interval() -> None:
    with pytest.raises(ConfigInvalid, match="election_tick"):
        Config(id=1, election_tick=3, heartbeat_tick=3).validate()


# Section 6: cluster membership changes.


def joint_node(incoming: list[int], outgoing: list[int]) -> RawNode:
    store = MemStorage.new_with_conf_state(ConfState(incoming, voters_outgoing=outgoing))
    return RawNode(config(1), store, random.Random(1))


@pytest.mark.parametrize(
    ("granted", "wins"), [({4, 5}, False), ({2}, False), ({2, 4}, True), ({3, 5}, True), ({4, 5, 2}, True)]
)
def test_6_elections_in_a_joint_configuration_need_both_majorities(granted: set[int], wins: bool) -> None:
    node = joint_node([1, 4, 5], [1, 2, 3])
    node.campaign()
    persist(node)
    for i in sorted(granted):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1))
    assert (node.raft.state is StateRole.Leader) is wins


@pytest.mark.parametrize(("acks", "committed"), [({4, 5}, False), ({2, 3}, False), ({2, 4}, True)])
def test_6_commitment_in_a_joint_configuration_needs_both_majorities(acks: set[int], committed: bool) -> None:
    node = joint_node([1, 4, 5], [1, 2, 3])
    node.campaign()
    persist(node)
    for i in (2, 4):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1))
    persist(node)
    for i in sorted(acks):
        node.step(Message(M.MsgAppendResponse, 1, i, 1, index=1))
    assert (node.raft.raft_log.committed == 1) is committed


def test_6_log_entries_go_to_all_members_of_both_configurations() -> None:
    node = joint_node([1, 4, 5], [1, 2, 3])
    node.campaign()
    persist(node)
    for i in (2, 4):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1))
    assert sorted(m.to for m in sent(node, M.MsgAppend)) == [2, 3, 4, 5]


def test_6_new_members_first_catch_up_without_a_vote() -> None:
    node = make_node(1, [1, 2], learners=[3])
    node.campaign()
    assert [m.to for m in sent(node, M.MsgRequestVote)] == [2]
    node.step(Message(M.MsgRequestVoteResponse, 1, 3, 1))
    assert node.raft.state is StateRole.Candidate
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 1))
    assert [m.to for m in sent(node, M.MsgAppend)] == [2, 3]
    node.step(Message(M.MsgAppendResponse, 1, 3, 1, index=1))
    assert node.raft.raft_log.committed == 0


def test_6_a_leader_outside_the_new_configuration_steps_down_when_it_is_committed() -> None:
    group = Group.of(3)
    group.elect(1)
    leave = [ConfChangeSingle(ConfChangeType.RemoveNode, 1), ConfChangeSingle(ConfChangeType.AddLearnerNode, 4)]
    group[1].propose_conf_change(b"", ConfChangeV2(ConfChangeTransition.Explicit, leave))
    group.settle()
    assert group[1].raft.state == StateRole.Leader, "it leads through the joint configuration"
    group[1].propose_conf_change(b"", ConfChangeV2())
    group.settle()
    assert group[1].raft.state == StateRole.Follower
    assert group[2].raft.prs.conf.voters.ids() == (2, 3)


def test_6_a_leader_leaving_does_not_count_itself_in_the_new_majority() -> None:
    node = joint_node([2, 3, 4], [1, 2, 3])
    node.campaign()
    persist(node)
    for i in (2, 3):
        node.step(Message(M.MsgRequestVoteResponse, 1, i, 1))
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=1))
    assert node.raft.raft_log.committed == 0, "1 and 2 are a majority of the old half only"
    node.step(Message(M.MsgAppendResponse, 1, 4, 1, index=1))
    assert node.raft.raft_log.committed == 1, "2 and 4 of the new half, 1 and 2 of the old"


def test_6_vote_requests_are_disregarded_while_a_leader_is_believed_to_exist() -> None:
    node = make_node(1, [1, 2, 3], check_quorum=True)
    node.step(Message(M.MsgHeartbeat, 1, 2, 1))
    persist(node)
    node.step(Message(M.MsgRequestVote, 1, 3, 7, 1, 9))
    assert (node.raft.term, sent(node)) == (1, [])
    for _ in range(10):
        node.raft.election_elapsed += 1
    node.step(Message(M.MsgRequestVote, 1, 3, 7, 1, 9))
    assert [m.reject for m in sent(node)] == [False]


# Section 7: log compaction.


def snapshot(index: int, term: int, voters: list[int]) -> Snapshot:
    return Snapshot(b"state", SnapshotMetadata(ConfState(voters), index, term))


def test_7_a_leader_sends_a_snapshot_when_it_has_discarded_the_next_entry() -> None:
    node = leader_of_three()
    for _ in range(3):
        node.propose(b"", b"x")
    persist(node)
    node.step(Message(M.MsgAppendResponse, 1, 2, 1, index=4))
    persist(node)
    store = node.store()
    assert isinstance(store, MemStorage)
    store.compact(4)
    node.report_unreachable(3)
    node.step(Message(M.MsgHeartbeatResponse, 1, 3, 1))
    (m,) = sent(node, M.MsgSnapshot)
    assert m.snapshot is not None
    assert (m.to, m.snapshot.metadata.index, m.snapshot.metadata.term) == (3, 4, 1)
    assert m.snapshot.metadata.conf_state.voters == [1, 2, 3]


def test_7_figure_13_a_snapshot_of_a_stale_term_is_ignored() -> None:
    node = make_node(2, [1, 2, 3], hard_state=HardState(term=5))
    node.step(Message(M.MsgSnapshot, 2, 1, 4, snapshot=snapshot(9, 3, [1, 2, 3])))
    persist(node)
    assert node.raft.raft_log.last_index() == 0


def test_7_figure_13_entries_after_a_known_snapshot_position_are_kept() -> None:
    node = make_node(2, [1, 2, 3], log_of(1, 1, 1))
    node.step(Message(M.MsgSnapshot, 2, 1, 1, snapshot=snapshot(2, 1, [1, 2, 3])))
    persist(node)
    assert (terms_of(node), node.raft.raft_log.committed) == ([1, 1, 1], 2)


def test_7_figure_13_otherwise_the_whole_log_and_configuration_are_replaced() -> None:
    node = make_node(2, [1, 2, 3], log_of(1, 1, 1))
    node.step(Message(M.MsgSnapshot, 2, 1, 3, snapshot=snapshot(2, 2, [1, 2, 4])))
    persist(node)
    log = node.raft.raft_log
    assert (log.first_index(), log.last_index(), log.committed, log.applied) == (3, 2, 2, 2)
    assert node.raft.prs.conf.voters.ids() == (1, 2, 4)


def test_7_a_follower_that_is_further_than_the_snapshot_keeps_its_state() -> None:
    node = make_node(2, [1, 2, 3], log_of(1, 1, 1), HardState(1, 0, 3))
    node.step(Message(M.MsgSnapshot, 2, 1, 1, snapshot=snapshot(2, 1, [1, 2, 3])))
    (answer,) = sent(node, M.MsgAppendResponse)
    assert (answer.index, node.raft.raft_log.first_index()) == (3, 1)


# Section 8: client interaction.


def test_8_a_new_leader_appends_an_empty_entry_of_its_term() -> None:
    node = make_node(1, [1, 2, 3], log_of(1, 1))
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 2))
    last = node.raft.raft_log.all_entries()[-1]
    assert (last.term, last.index, last.data) == (2, 3, b"")


def test_8_followers_pass_requests_on_to_the_leader_and_refuse_without_one() -> None:
    node = make_node(2, [1, 2, 3])
    with pytest.raises(ProposalDropped):
        node.propose(b"", b"x")
    node.step(Message(M.MsgHeartbeat, 2, 1, 1))
    persist(node)
    node.propose(b"", b"x")
    assert [(m.to, m.entries[0].data) for m in sent(node, M.MsgPropose)] == [(1, b"x")]


def test_8_a_leader_reads_only_after_committing_in_its_own_term() -> None:
    node = make_node(1, [1, 2, 3], log_of(1), HardState(1, 0, 1), applied=1)
    node.campaign()
    persist(node)
    node.step(Message(M.MsgRequestVoteResponse, 1, 2, 2))
    persist(node)
    node.read_index(b"early")
    assert sent(node, M.MsgHeartbeat) == []
    node.step(Message(M.MsgAppendResponse, 1, 2, 2, index=2))
    persist(node)
    node.read_index(b"later")
    assert len(sent(node, M.MsgHeartbeat)) == 2


def test_8_a_leader_reads_only_after_a_majority_answered_its_heartbeats() -> None:
    group = Group.of(5)
    group.elect(1)
    group[1].read_index(b"r")
    group.collect()
    beats = [m for m in group.queue if m.msg_type == M.MsgHeartbeat]
    group.queue = []
    for m in beats[:1]:
        group[m.to].step(m)
    for m in sent(group[beats[0].to]):
        group[1].step(m)
    assert group[1].raft.read_states == [], "two of five are no majority"
    group[beats[1].to].step(beats[1])
    for m in sent(group[beats[1].to]):
        group[1].step(m)
    assert group[1].raft.read_states == [ReadState(1, b"r")]
