"""Rules of Raft taken out of the core one by one: a change of source text each, and the tests that fail with it."""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "tests/raft/test_paper.py::"
HISTORIC = "tests/raft/test_historic.py::"
SCENARIO = "tests/raft/test_interaction.py::test_scenario"
LEASE = "tests/raft/test_lease.py::"
RAW_NODE = "tests/raft/test_raw_node.py::"


@dataclass(frozen=True)
class Mutant:
    """A rule, where it stands in src/flaredb/raft, what replaces it, and the tests that notice."""

    rule: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...]
    cluster: bool = False
    """True when a few dozen runs of the random cluster find it too."""


MUTANTS = (
    Mutant(
        "vote only once per term",
        "election.py",
        "return r.vote == INVALID_ID and r.leader_id == INVALID_ID",
        "return True",
        (PAPER + "test_5_2_one_vote_per_term_first_come_first_served", SCENARIO + "[election_vote_once]"),
        cluster=True,
    ),
    Mutant(
        "log up-to-date check",
        "election.py",
        "if not log.is_up_to_date(m.index, m.log_term):",
        "if False:",
        (PAPER + "test_5_4_1_a_vote_goes_only_to_a_log_at_least_as_up_to_date",),
        cluster=True,
    ),
    Mutant(
        "commit only entries of the own term by counting",
        "raft_log.py",
        "if max_index > self.committed and self.match_term(max_index, term):",
        "if max_index > self.committed:",
        (PAPER + "test_5_4_2_only_entries_of_the_own_term_are_committed_by_counting",),
        cluster=True,
    ),
    Mutant(
        "persist before answering",
        "raw_node.py",
        "return self.raft.state is not _LEADER or self._unsynced_vote > 0",
        "return False",
        (
            HISTORIC + "test_no_vote_is_granted_before_it_is_persisted",
            HISTORIC + "test_no_append_is_acknowledged_before_it_is_persisted",
        ),
        cluster=True,
    ),
    Mutant(
        "persist before leading alone",
        "raw_node.py",
        "return self.raft.state is not _LEADER or self._unsynced_vote > 0",
        "return self.raft.state is not _LEADER",
        (HISTORIC + "test_a_single_voter_does_not_lead_a_term_it_could_forget",),
        cluster=True,
    ),
    Mutant(
        "own entries count only when persisted",
        "leader.py",
        "    log.append(entries)\n    bcast_append(r)\n",
        "    log.append(entries)\n    r.prs.progress[r.id].maybe_update(index)\n    bcast_append(r)\n",
        (RAW_NODE + "test_the_leaders_own_match_moves_only_when_persisted",),
        cluster=True,
    ),
    Mutant(
        "quorum in both halves of a joint configuration: commitment",
        "quorum.py",
        "return min(reached, committed_index(self.outgoing, acked)) if self.outgoing else reached",
        "return reached",
        (PAPER + "test_6_commitment_in_a_joint_configuration_needs_both_majorities",),
        cluster=True,
    ),
    Mutant(
        "quorum in both halves of a joint configuration: election",
        "quorum.py",
        "a, b = vote_result(self.incoming, votes), vote_result(self.outgoing, votes)",
        "a = b = vote_result(self.incoming, votes)",
        (PAPER + "test_6_elections_in_a_joint_configuration_need_both_majorities",),
        cluster=True,
    ),
    Mutant(
        "quorum in both halves of a joint configuration: reads",
        "quorum.py",
        "return _has_majority(self.incoming, ids) and _has_majority(self.outgoing, ids)",
        "return _has_majority(self.incoming, ids)",
        ("tests/raft/test_quorum_random.py::test_majorities[0]",),
    ),
    Mutant(
        "one pending change",
        "leader.py",
        "if pending > r.raft_log.applied:",
        "if False:",
        (HISTORIC + "test_a_second_change_waits_for_the_first",),
        cluster=True,
    ),
    Mutant(
        "one pending change: a new leader waits for what it inherited",
        "raft.py",
        "        self.pending_conf_index = log.tail_index\n",
        "        self.pending_conf_index = 0\n",
        (HISTORIC + "test_a_new_leader_makes_no_change_before_its_first_commit_is_applied",),
        cluster=True,
    ),
    Mutant(
        "learners are not counted: commitment",
        "tracker.py",
        "reached = [progress[v].matched for v in voters.incoming]",
        "reached = [pr.matched for pr in progress.values()]",
        (
            HISTORIC + "test_a_learner_is_not_counted_before_its_promotion_is_applied",
            "tests/raft/test_quorum_random.py::test_a_leaders_count_of_matches",
        ),
    ),
    Mutant(
        "learners are not counted: votes",
        "quorum.py",
        "yes = sum(1 for v in voters if votes.get(v) is True)",
        "yes = sum(1 for v in votes if votes.get(v) is True)",
        (PAPER + "test_6_new_members_first_catch_up_without_a_vote",),
        cluster=True,
    ),
    Mutant(
        "ReadIndex needs a commit in the own term",
        "reads.py",
        "if not r.commit_to_current_term():",
        "if False:",
        (HISTORIC + "test_reads_wait_for_the_first_commit_of_a_term", SCENARIO + "[read_index_before_own_commit]"),
        cluster=True,
    ),
    Mutant(
        "ReadIndex needs a round that a quorum answers",
        "reads.py",
        "if acks is not None and r.prs.has_quorum(acks):",
        "if acks is not None:",
        (PAPER + "test_8_a_leader_reads_only_after_a_majority_answered_its_heartbeats",),
    ),
    Mutant(
        "a lease needs CheckQuorum",
        "raft.py",
        "return self.read_only.option is ReadOnlyOption.LeaseBased and self.check_quorum",
        "return self.read_only.option is ReadOnlyOption.LeaseBased",
        (LEASE + "test_no_lease_without_check_quorum_or_when_not_asked_for",),
    ),
    Mutant(
        "a lease needs CheckQuorum: settings",
        "config.py",
        "(self.check_quorum or not lease,",
        "(True,",
        ("tests/raft/test_config.py::test_contradictions",),
    ),
    Mutant(
        "a lease needs the promise not to vote for others",
        "election.py",
        "return r.keeps_promises and r.ticks_since_leader < r.election_timeout",
        "return False",
        (LEASE + "test_the_promise_outlives_a_change_of_term", SCENARIO + "[lease_promise_outlives_restart]"),
    ),
    Mutant(
        "a lease ends with a transfer",
        "leader.py",
        "    r.lease_void = True\n",
        "",
        (HISTORIC + "test_a_lease_stays_void_after_an_aborted_transfer",),
    ),
    Mutant(
        "a snapshot never goes back",
        "follower.py",
        "if meta.index < log.committed or r.state is not StateRole.Follower:",
        "if r.state is not StateRole.Follower:",
        (HISTORIC + "test_a_snapshot_does_not_overwrite_newer_entries", SCENARIO + "[snapshot_never_back]"),
    ),
    Mutant(
        "a snapshot keeps entries that agree with it",
        "follower.py",
        "if not requested and log.match_term(meta.index, meta.term):",
        "if False:",
        (
            HISTORIC + "test_a_fast_forwarding_snapshot_keeps_uncommitted_entries",
            PAPER + "test_7_figure_13_entries_after_a_known_snapshot_position_are_kept",
        ),
    ),
    Mutant(
        "truncation on conflict only",
        "raft_log.py",
        "conflict = idx + 1 if idx == self.tail_index else self.find_conflict(entries)",
        "conflict = idx + 1",
        (
            PAPER + "test_5_3_a_conflicting_entry_goes_with_all_that_follow",
            SCENARIO + "[replicate_old_append_keeps_tail]",
        ),
        cluster=True,
    ),
    Mutant(
        "a conflict does truncate",
        "raft_log.py",
        "if not self.match_term(entry.index, entry.term):",
        "if entry.index > self.tail_index:",
        (PAPER + "test_5_3_a_conflicting_entry_goes_with_all_that_follow",),
        cluster=True,
    ),
    Mutant(
        "the entry before must match",
        "raft_log.py",
        "        if not self.match_term(idx, term):\n            return None\n",
        "        if idx > self.tail_index:\n            return None\n",
        (PAPER + "test_5_3_the_entry_before_the_new_ones_must_match",),
        cluster=True,
    ),
    Mutant(
        "a transfer stops proposals",
        "leader.py",
        "    if r.lead_transferee is not None:\n        raise ProposalDropped",
        "    if False:\n        raise ProposalDropped",
        (HISTORIC + "test_a_transfer_stops_proposals_or_it_never_ends",),
    ),
    Mutant(
        "a heartbeat commits only what its receiver acknowledged",
        "reads.py",
        "min(pr.matched, committed)",
        "committed",
        (HISTORIC + "test_a_heartbeat_never_commits_what_its_receiver_may_not_hold",),
        cluster=True,
    ),
    Mutant(
        "commit stops at the last entry of the message",
        "raft_log.py",
        "self.commit_to(min(committed, last_new))",
        "self.commit_to(min(committed, self.tail_index))",
        (PAPER + "test_5_3_figure_2_receiver_5_commit_stops_at_the_last_new_entry",),
    ),
    Mutant(
        "what is synced late does not count when it was replaced",
        "raft_log.py",
        "if self.persisted < index < limit and self.match_term(index, term):",
        "if self.persisted < index < limit:",
        ("tests/raft/test_raft_log.py::test_only_what_is_stable_and_unchanged_counts_as_persisted",),
    ),
    Mutant(
        "nobody campaigns with an unapplied change",
        "election.py",
        "    if has_unapplied_conf_changes(r, low, log.committed + 1):\n",
        "    if False:\n",
        (SCENARIO + "[election_refused_before_conf_change_applied]",),
    ),
)
