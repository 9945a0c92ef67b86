"""What a follower (or learner) does: append, acknowledge, forward, install snapshots.

Sources: paper sections 5.3 (AppendEntries receiver), 7 (snapshots); dissertation section 6.4 (forwarded reads).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import confchange, election
from .errors import ConfChangeError, ProposalDropped, RaftInvariantError
from .steps import step_table
from .types import INVALID_ID, INVALID_INDEX, Message, MessageType, ReadState, Snapshot, StateRole

if TYPE_CHECKING:
    from .raft import Raft

_APPEND_RESPONSE: Final = MessageType.MsgAppendResponse
_HEARTBEAT_RESPONSE: Final = MessageType.MsgHeartbeatResponse


def _heard(r: Raft, m: Message) -> None:
    r.election_elapsed = 0
    r.ticks_since_leader = 0
    r.leader_id = m.from_


def step_append(r: Raft, m: Message) -> None:
    """Entries, or the news of a commit index, of this term's leader."""
    r.election_elapsed = 0
    r.ticks_since_leader = 0
    r.leader_id = m.from_
    if r.pending_request_snapshot != INVALID_INDEX and not _defer_request(r):
        send_request_snapshot(r)
        return
    log = r.raft_log
    committed = log.committed
    if m.index < committed:
        # Everything committed matches the leader for certain: say so and save it the search.
        r.msgs.append(Message(_APPEND_RESPONSE, m.from_, r.id, r.term, 0, committed, commit=committed))
        return
    last_new = log.maybe_append(m.index, m.log_term, m.commit, m.entries)
    if last_new is None:
        _reject_append(r, m)
    else:
        r.msgs.append(Message(_APPEND_RESPONSE, m.from_, r.id, r.term, 0, last_new, commit=log.committed))


def _reject_append(r: Raft, m: Message) -> None:
    """Refuse, with the last position that can still agree: one message per term of disagreement, not per entry."""
    log = r.raft_log
    hint_index, hint_term = log.find_conflict_by_term(m.index, m.log_term)
    answer = Message(_APPEND_RESPONSE, m.from_, log_term=hint_term, index=m.index, commit=log.committed)
    answer.reject = True
    answer.reject_hint = hint_index
    r.send(answer)


def step_heartbeat(r: Raft, m: Message) -> None:
    """The leader lives; the commit index in it never exceeds what this node acknowledged."""
    _heard(r, m)
    r.raft_log.commit_to(m.commit)
    if r.pending_request_snapshot != INVALID_INDEX and not _defer_request(r):
        send_request_snapshot(r)
        return
    answer = Message(_HEARTBEAT_RESPONSE, m.from_, index=m.index, commit=r.raft_log.committed)
    answer.context = m.context
    r.send(answer)


def _defer_request(r: Raft) -> bool:
    """True when a request for a snapshot must wait, because the term changed since it was made.

    The snapshot must reach the last entry here, which may have been counted already; and an entry of an older term is
    committed only with a later one, which this node may be needed for. So it takes entries until one is of this term.
    """
    log = r.raft_log
    if log.tail_term != r.term:
        return True
    r.pending_request_snapshot = log.tail_index
    return False


def send_request_snapshot(r: Raft) -> None:
    """Tell the leader that a snapshot is wanted instead of entries."""
    log = r.raft_log
    ask = Message(_APPEND_RESPONSE, r.leader_id, log_term=log.tail_term, index=log.committed)
    ask.reject = True
    ask.reject_hint = log.tail_index
    ask.request_snapshot = r.pending_request_snapshot
    r.send(ask)


def step_snapshot(r: Raft, m: Message) -> None:
    """A snapshot of this term's leader. Whatever comes of it, tell the leader how far this log matches."""
    _heard(r, m)
    if m.snapshot is None:
        return
    log = r.raft_log
    matched = log.tail_index if restore(r, m.snapshot) else log.committed
    r.send(Message(_APPEND_RESPONSE, m.from_, index=matched, commit=log.committed))


def restore(r: Raft, snap: Snapshot) -> bool:
    """Install a snapshot: log, commit index and configuration. False when it brings nothing or must not be taken.

    It never takes anything committed back: a snapshot that ends before the commit index is ignored, and one whose last
    entry the log already holds only raises the commit index (paper section 7, figure 13, receiver rule 6).
    """
    log = r.raft_log
    meta = snap.metadata
    if meta.index < log.committed or r.state is not StateRole.Follower:
        return False
    cs = meta.conf_state
    if r.id not in cs.voters and r.id not in cs.learners and r.id not in cs.voters_outgoing:
        r.trace(f"ignores a snapshot at {meta.index} of a configuration without itself")
        return False
    # A requested snapshot replaces even what agrees, but one that ends before the log would drop entries that were
    # acknowledged: such a one was sent for another reason.
    requested = r.pending_request_snapshot != INVALID_INDEX and meta.index >= log.tail_index
    if not requested and log.match_term(meta.index, meta.term):
        log.commit_to(meta.index)
        r.trace(f"holds entry {meta.index} of a snapshot already: commits up to it")
        return False
    try:
        conf = confchange.restored(cs)
    except ConfChangeError as e:
        raise RaftInvariantError(f"snapshot at {meta.index}: {e}") from e
    log.restore(snap)
    r.prs.clear()
    r.prs.apply_conf(conf, meta.index + 1)
    r.post_conf_change()
    r.pending_request_snapshot = INVALID_INDEX
    r.trace(f"restored a snapshot at index {meta.index} term {meta.term}")
    return True


def _propose(r: Raft, m: Message) -> None:
    if r.leader_id == INVALID_ID:
        raise ProposalDropped(f"no leader at term {r.term}")
    if r.disable_proposal_forwarding:
        raise ProposalDropped(f"not forwarding to leader {r.leader_id}")
    _forward(r, m)


def _forward(r: Raft, m: Message) -> None:
    """Pass on to the leader, keeping the origin, which gets the answer."""
    if r.leader_id == INVALID_ID:
        r.trace(f"drops {m.msg_type.name}: no leader at term {r.term}")
        return
    forwarded = Message(m.msg_type, r.leader_id, m.from_, entries=m.entries)
    r.send(forwarded)


def _timeout_now(r: Raft, _m: Message) -> None:
    """The leader hands over: campaign at once, without a pre-vote (dissertation section 3.10)."""
    election.hup(r, transfer=True)


def _read_index_response(r: Raft, m: Message) -> None:
    if len(m.entries) != 1:
        return
    r.read_states.append(ReadState(m.index, m.entries[0].data))
    # The leader answers only after committing in its own term, so its commit index has its own term.
    r.raft_log.maybe_commit(m.index, m.term)


def _hup(r: Raft, _m: Message) -> None:
    election.hup(r, transfer=False)


def _vote_request(r: Raft, m: Message) -> None:
    election.handle_vote_request(r, m)


STEPS: Final = step_table(
    {
        MessageType.MsgHup: _hup,
        MessageType.MsgRequestVote: _vote_request,
        MessageType.MsgRequestPreVote: _vote_request,
        MessageType.MsgPropose: _propose,
        MessageType.MsgAppend: step_append,
        MessageType.MsgHeartbeat: step_heartbeat,
        MessageType.MsgSnapshot: step_snapshot,
        MessageType.MsgTransferLeader: _forward,
        MessageType.MsgTimeoutNow: _timeout_now,
        MessageType.MsgReadIndex: _forward,
        MessageType.MsgReadIndexResp: _read_index_response,
    }
)
