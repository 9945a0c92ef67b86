"""One Raft node: its state, its roles, and where each message goes.

Must-read order: this file, election.py (how leaders come to be), leader.py (replication and reads), follower.py.
Membership is in confchange.py (arithmetic) and here (`apply_conf_change`). The step functions are plain functions of a
node and a message; every role has one table of them.

Sources: Ongaro & Ousterhout, In Search of an Understandable Consensus Algorithm (extended version, 2014), "paper";
Ongaro, Consensus: Bridging Theory and Practice (2014), "dissertation". Public names follow tikv/raft-rs.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from . import confchange, election, follower, leader, reads
from .config import Config, ReadOnlyOption
from .errors import RaftInvariantError, RequestSnapshotDropped
from .raft_log import RaftLog
from .read_only import ReadOnly
from .storage import Storage
from .tracker import ProgressTracker
from .types import (
    INVALID_ID,
    INVALID_INDEX,
    NO_LIMIT,
    ConfChangeV2,
    ConfState,
    HardState,
    Message,
    MessageType,
    ReadState,
    Snapshot,
    SoftState,
    StateRole,
)

_LEADER: Final = StateRole.Leader
_FOLLOWER: Final = StateRole.Follower

_STEPS: Final = {
    StateRole.Follower: follower.STEPS,
    StateRole.Candidate: election.STEPS,
    StateRole.PreCandidate: election.STEPS,
    StateRole.Leader: leader.STEPS,
}


class Raft:
    """The state of one node and the transitions between roles.

    Invariants (checked by invariants.check_invariants): term never decreases and vote changes only with it, except
    from none; a leader's leader_id is its own; lead_transferee is set only on a leader and names a voter; configuration
    changes are proposed only while pending_conf_index <= raft_log.applied; promotable says whether this node is a
    voter of either half of the configuration.
    """

    __slots__ = (
        "_rng",
        "_steps",
        "_trace",
        "batch_append",
        "check_quorum",
        "disable_proposal_forwarding",
        "election_elapsed",
        "election_timeout",
        "heartbeat_elapsed",
        "heartbeat_timeout",
        "id",
        "inflight_bytes_counted",
        "keeps_promises",
        "lead_transferee",
        "leader_id",
        "lease_clock",
        "lease_length",
        "lease_since",
        "lease_void",
        "max_apply_unpersisted_log_limit",
        "max_committed_size_per_ready",
        "max_election_timeout",
        "max_msg_size",
        "max_pending_reads",
        "max_uncommitted_size",
        "min_election_timeout",
        "msgs",
        "pending_conf_index",
        "pending_request_snapshot",
        "pre_vote",
        "priority",
        "promotable",
        "prs",
        "raft_log",
        "randomized_election_timeout",
        "read_only",
        "read_states",
        "skip_bcast_commit",
        "state",
        "term",
        "ticks",
        "ticks_since_leader",
        "uncommitted_size",
        "uncommitted_tail_index",
        "vote",
    )

    def __init__(
        self, config: Config, storage: Storage, rng: Random, trace: Callable[[str], None] | None = None
    ) -> None:
        """Start a node from what its storage holds.

        Errors: ConfigInvalid; ConfChangeError when the stored configuration breaks a rule.
        """
        config.validate()
        self._rng = rng
        self._trace = trace
        self._steps = follower.STEPS
        self.id = config.id
        self.term = 0
        """Latest term this node has seen."""
        self.vote = INVALID_ID
        """Whom this node voted for in `term`."""
        self.state = StateRole.Follower
        self.leader_id = INVALID_ID
        """The leader of `term`, when known."""
        self.lead_transferee: int | None = None
        """Whom leadership is being handed to; proposals stop meanwhile (dissertation section 3.10)."""
        self.pending_conf_index = 0
        """No configuration change after this index is in the log; at most one is unapplied (section 4.1)."""
        self.pending_request_snapshot = INVALID_INDEX
        """This follower wants a snapshot at or after this index instead of entries."""
        self.promotable = False
        self.msgs: list[Message] = []
        """What waits to be sent; RawNode decides whether before or after the next sync."""
        self.read_states: list[ReadState] = []
        self.read_only = ReadOnly(config.read_only_option)
        self._init_limits(config)
        self._init_clock(config)
        self.raft_log = RaftLog(storage)
        self.prs = ProgressTracker(config.max_inflight_msgs, config.max_inflight_bytes)
        state = storage.initial_state()
        self.prs.apply_conf(confchange.restored(state.conf_state), max(self.raft_log.tail_index, 1))
        self._load_state(state.hard_state)
        if config.applied > 0:
            self.raft_log.applied = config.applied
        self.promotable = self.id in self.prs.conf.voters
        self.become_follower(self.term, INVALID_ID)
        # A single voter is the only one that could have been promised anything, or that could be elected.
        is_alone = self.promotable and self.prs.is_singleton()
        forgot_promises = self.keeps_promises and self.term > 0 and not config.first_start and not is_alone
        self.ticks_since_leader = 0 if forgot_promises else self.election_timeout

    def _init_limits(self, config: Config) -> None:
        self.max_msg_size = _limit(config.max_size_per_msg)
        self.max_committed_size_per_ready = _limit(config.max_committed_size_per_ready)
        self.max_uncommitted_size = _limit(config.max_uncommitted_size)
        self.max_apply_unpersisted_log_limit = config.max_apply_unpersisted_log_limit
        self.max_pending_reads = config.max_pending_reads
        self.inflight_bytes_counted = config.max_inflight_bytes < NO_LIMIT
        self.uncommitted_size = 0
        """Bytes of data proposed in this leadership and not yet handed out as committed."""
        self.uncommitted_tail_index = 0
        """Last index when this leadership began; entries up to it are not in uncommitted_size."""
        self.skip_bcast_commit = config.skip_bcast_commit
        self.batch_append = config.batch_append
        self.disable_proposal_forwarding = config.disable_proposal_forwarding
        self.priority = config.priority

    def _init_clock(self, config: Config) -> None:
        self.check_quorum = config.check_quorum
        self.pre_vote = config.pre_vote
        self.heartbeat_timeout = config.heartbeat_tick
        self.election_timeout = config.election_tick
        self.min_election_timeout = config.min_election_ticks()
        self.max_election_timeout = config.max_election_ticks()
        self.randomized_election_timeout = 0
        self.election_elapsed = 0
        """Ticks since the leader was heard, a vote was given, or (leader) the quorum was checked."""
        self.heartbeat_elapsed = 0
        self.ticks = 0
        """Ticks since this node started."""
        self.lease_clock = config.lease_clock
        self.lease_length = config.lease_length or self.election_timeout - 1
        self.keeps_promises = self.lease_based() or config.keeps_promises
        """Whether heartbeats carry the leader's time and their answers are promises."""
        self.ticks_since_leader = 0
        """Ticks since any leader was heard, in whatever term; the lease promise counts on it."""
        self.lease_void = False
        """This leadership told someone to campaign at once, so its lease proves nothing any more."""
        self.lease_since = 0
        """Only heartbeats that were sent at this time of lease_now() or later count for a lease."""

    # What others ask.

    def trace(self, line: str) -> None:
        """Report a decision, if anybody listens."""
        if self._trace is not None:
            self._trace(f"{self.id} {line}")

    def soft_state(self) -> SoftState:
        """The state that need not survive a crash."""
        return SoftState(self.leader_id, self.state)

    def hard_state(self) -> HardState:
        """The state that must survive a crash."""
        return HardState(self.term, self.vote, self.raft_log.committed)

    def store(self) -> Storage:
        """The storage given at the start."""
        return self.raft_log.store

    def snap(self) -> Snapshot | None:
        """The received snapshot that waits to be stored."""
        return self.raft_log.unstable.snapshot

    def lease_based(self) -> bool:
        """True when this node, while it leads, may read by lease."""
        return self.read_only.option is ReadOnlyOption.LeaseBased and self.check_quorum

    def lease_now(self) -> int:
        """The time that leases are counted by."""
        return self.lease_clock.now if self.lease_clock is not None else self.ticks

    def void_lease(self) -> None:
        """What was heard so far proves nothing any more: the lease must be renewed by heartbeats yet to be sent."""
        self.lease_since = self.lease_now() + 1

    def in_lease(self) -> bool:
        """True when this node leads and no other can have been elected: reads need no round.

        Holds when a quorum answered heartbeats that were sent less than lease_length ago and since the lease was last
        made void, and this leadership asked nobody to campaign at once. Source: dissertation section 6.4.1.
        """
        return reads.in_lease(self)

    def commit_to_current_term(self) -> bool:
        """True when an entry of the current term is committed: on a leader, everything committed before it is too."""
        log = self.raft_log
        return log.match_term(log.committed, self.term)

    def apply_to_current_term(self) -> bool:
        """True when an entry of the current term is applied."""
        log = self.raft_log
        return log.match_term(log.applied, self.term)

    def has_pending_conf(self) -> bool:
        """True when a configuration change may be in the log unapplied."""
        return self.pending_conf_index > self.raft_log.applied

    def should_bcast_commit(self) -> bool:
        """True when followers are told of a new commit index at once."""
        return not self.skip_bcast_commit or self.has_pending_conf()

    def pending_read_count(self) -> int:
        """Reads that wait for their round."""
        return self.read_only.pending_read_count()

    def ready_read_count(self) -> int:
        """Reads that the next Ready will hand out."""
        return len(self.read_states)

    def set_priority(self, priority: int) -> None:
        """Change this node's priority."""
        self.priority = priority

    def set_randomized_election_timeout(self, ticks: int) -> None:
        """Set the timeout of the running wait; for tests."""
        assert self.min_election_timeout <= ticks < self.max_election_timeout, "outside the configured range"
        self.randomized_election_timeout = ticks

    # Time.

    def tick(self) -> bool:
        """One tick has passed; True when there is probably something to do now.

        Ticks must come from a monotonic clock, and after a pause the missed ones before anything else: leases and
        elections are counted in them.
        """
        self.ticks += 1
        self.ticks_since_leader += 1
        self.election_elapsed += 1
        if self.state is _LEADER:
            return leader.tick_heartbeat(self)
        return self.election_elapsed >= self.randomized_election_timeout and election.tick_election(self)

    # Messages.

    def step(self, m: Message) -> None:
        """Take a message.

        Errors: ProposalDropped and ConfChangeError for proposals; nothing else.
        """
        term = m.term
        if term == self.term or term == 0 or self._adopt_term(m):
            self._steps[m.msg_type](self, m)

    def _adopt_term(self, m: Message) -> bool:
        """Settle a message of another term; True when it is to be handled (paper section 5.1)."""
        if m.term < self.term:
            self._answer_stale(m)
            return False
        kind = m.msg_type
        if kind in _VOTE_REQUESTS and election.keeps_to_leader(self, m):
            why = f"it follows {self.leader_id}" if self.leader_id else "a lease may hold"
            self.trace(f"ignores {kind.name} of {m.from_} for term {m.term}: {why}")
            return False
        if kind == MessageType.MsgRequestPreVote or (kind == MessageType.MsgRequestPreVoteResponse and not m.reject):
            # A pre-vote asks about a term that nobody has entered yet, and a granted answer repeats it: neither
            # raises the term (dissertation section 9.6).
            return True
        self.become_follower(m.term, m.from_ if kind in _FROM_LEADER else INVALID_ID)
        return True

    def _answer_stale(self, m: Message) -> None:
        """A message of an older term: usually silence, but never let its sender hang.

        With pre-vote or check-quorum nobody raises its term for a vote request, so a node that comes back with a
        higher term than its leader would be stuck: answering tells the leader of the term. Likewise a pre-candidate
        of an older term gets a refusal with the newer term.
        """
        if m.msg_type in _APPEND_OR_HEARTBEAT and (self.check_quorum or self.pre_vote):
            self.send(Message(MessageType.MsgAppendResponse, m.from_))
        elif m.msg_type == MessageType.MsgRequestPreVote:
            refusal = Message(MessageType.MsgRequestPreVoteResponse, m.from_, term=self.term, reject=True)
            self.send(refusal)

    def send(self, m: Message) -> None:
        """Queue a message; fills in sender and term. Vote messages bring their term, forwarded ones have none."""
        if m.from_ == INVALID_ID:
            m.from_ = self.id
        kind = m.msg_type
        if kind in _BRINGS_TERM:
            assert m.term > 0, f"{kind.name} without a term"
            if kind in _VOTE_REQUESTS:
                m.priority = self.priority
        elif kind not in _WITHOUT_TERM:
            m.term = self.term
        self.msgs.append(m)

    # Roles.

    def reset(self, term: int) -> None:
        """Enter a term, or restart within it, with nothing known of the others."""
        if self.term != term:
            assert term > self.term, "a term never decreases"
            self.term = term
            self.vote = INVALID_ID
        self.leader_id = INVALID_ID
        self.randomized_election_timeout = self._rng.randrange(self.min_election_timeout, self.max_election_timeout)
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.lead_transferee = None
        self.lease_void = False
        self.lease_since = 0
        self.pending_conf_index = 0
        self.pending_request_snapshot = INVALID_INDEX
        self.prs.reset_votes()
        if self.read_only.pending_read_index:
            self.read_only = ReadOnly(self.read_only.option)
        log = self.raft_log
        log.max_apply_unpersisted_log_limit = 0
        for node_id, pr in self.prs.progress.items():
            pr.reset(log.tail_index + 1)
            if node_id == self.id:
                pr.matched = log.persisted

    def _become(self, role: StateRole) -> None:
        self.state = role
        self._steps = _STEPS[role]

    def become_follower(self, term: int, leader_id: int) -> None:
        """Follow leader_id, or nobody yet, in this term."""
        requested = self.pending_request_snapshot
        self.reset(term)
        self.leader_id = leader_id
        self._become(_FOLLOWER)
        self.pending_request_snapshot = requested
        self.trace(f"became follower at term {term}")

    def become_candidate(self) -> None:
        """Stand for election in the next term, voting for itself (paper section 5.2)."""
        assert self.state is not _LEADER, "a leader does not stand for election"
        self.reset(self.term + 1)
        self.vote = self.id
        self._become(StateRole.Candidate)
        self.trace(f"became candidate at term {self.term}")

    def become_pre_candidate(self) -> None:
        """Ask whether an election could be won; term and vote stay (dissertation section 9.6)."""
        assert self.state is not _LEADER, "a leader does not stand for election"
        self._become(StateRole.PreCandidate)
        self.prs.reset_votes()
        # Whoever starts to ask has lost its leader.
        self.leader_id = INVALID_ID
        self.trace(f"became pre-candidate at term {self.term}")

    def become_leader(self) -> None:
        """Lead this term, and append the empty entry that lets earlier ones commit (paper sections 5.4.2 and 8)."""
        assert self.state is not _FOLLOWER, "a follower must win an election first"
        self.reset(self.term)
        self.leader_id = self.id
        self._become(_LEADER)
        log = self.raft_log
        self.uncommitted_size = 0
        self.uncommitted_tail_index = log.tail_index
        log.max_apply_unpersisted_log_limit = self.max_apply_unpersisted_log_limit
        own = self.prs.progress[self.id]
        own.become_replicate()
        own.recent_active = True
        # There may be a configuration change anywhere in the log: propose none until all of it is applied.
        self.pending_conf_index = log.tail_index
        leader.append_empty(self)
        self.trace(f"became leader at term {self.term}")

    def lead_again(self, index: int) -> None:
        """Lead this term as before, all of whose log up to ``index`` is committed and applied (quiet.py)."""
        self._become(_LEADER)
        self.pending_conf_index = self.uncommitted_tail_index = index
        self.raft_log.max_apply_unpersisted_log_limit = self.max_apply_unpersisted_log_limit

    # Persistence and applying, reported by RawNode.

    def on_persist_entries(self, index: int, term: int) -> None:
        """Own entries up to (index, term) survive a crash: only now do they count for a leader's quorum."""
        if self.raft_log.maybe_persist(index, term) and self.state is _LEADER:
            pr = self.prs.progress.get(self.id)
            if pr is not None and pr.maybe_update(index) and leader.maybe_commit(self):
                if self.should_bcast_commit():
                    leader.bcast_append(self)

    def on_persist_snap(self, index: int) -> None:
        """A received snapshot survives a crash."""
        self.raft_log.maybe_persist_snap(index)

    def commit_apply(self, applied: int) -> None:
        """The application has applied up to here; a joint configuration that is to be left may be left now."""
        self.raft_log.applied_to(applied)
        if self.state is _LEADER and self.prs.conf.auto_leave:
            leader.maybe_auto_leave(self)

    # Membership.

    def apply_conf_change(self, cc: ConfChangeV2) -> ConfState:
        """Switch to the configuration after a committed change.

        Errors: ConfChangeError when the change does not fit the current configuration; nothing is changed then.
        """
        conf = confchange.changed(self.prs.conf, cc)
        self.prs.apply_conf(conf, max(self.raft_log.tail_index, 1))
        return self.post_conf_change()

    def post_conf_change(self) -> ConfState:
        """React to a new configuration: step down if out, commit what the new quorum allows, reach new members."""
        conf = self.prs.conf
        self.promotable = self.id in conf.voters
        cs = conf.to_conf_state()
        if self._trace is not None:
            self.trace(f"switched to {cs}")
        if self.state is _LEADER:
            if not self.promotable:
                # Dissertation section 4.2.2: a leader that is not in the new configuration steps down once the
                # change is committed, and changes are applied only after that.
                self.become_follower(self.term, INVALID_ID)
            elif cs.voters:
                leader.on_conf_changed(self)
        return cs

    # Snapshots.

    def request_snapshot(self) -> None:
        """Ask the leader for a snapshot instead of entries, because the state machine here is damaged.

        Errors: RequestSnapshotDropped when it makes no sense now; see there.
        """
        log = self.raft_log
        if (
            self.state is _LEADER
            or self.leader_id == INVALID_ID
            or self.snap() is not None
            or self.pending_request_snapshot != INVALID_INDEX
            or log.tail_term != self.term
        ):
            raise RequestSnapshotDropped(f"{self.id} cannot ask for a snapshot at term {self.term}")
        self.pending_request_snapshot = log.tail_index
        follower.send_request_snapshot(self)

    def _load_state(self, hs: HardState) -> None:
        log = self.raft_log
        if hs == HardState():
            return
        if not log.committed <= hs.commit <= log.tail_index:
            raise RaftInvariantError(f"stored commit {hs.commit} outside [{log.committed},{log.tail_index}]")
        log.committed = hs.commit
        self.term = hs.term
        self.vote = hs.vote


_VOTE_REQUESTS: Final = frozenset({MessageType.MsgRequestVote, MessageType.MsgRequestPreVote})
_BRINGS_TERM: Final = _VOTE_REQUESTS | {
    MessageType.MsgRequestVoteResponse,
    MessageType.MsgRequestPreVoteResponse,
}
_WITHOUT_TERM: Final = frozenset({MessageType.MsgPropose, MessageType.MsgReadIndex})
_APPEND_OR_HEARTBEAT: Final = frozenset({MessageType.MsgAppend, MessageType.MsgHeartbeat})
_FROM_LEADER: Final = _APPEND_OR_HEARTBEAT | {MessageType.MsgSnapshot}


def _limit(size: int) -> int | None:
    return None if size >= NO_LIMIT else size
