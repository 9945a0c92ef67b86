"""What a leader does: proposals, replication, commitment, transfer of leadership.

Sources: paper sections 5.3 and 5.4.2; dissertation sections 3.10 (transfer), 10.2.1 (sending before the own sync).
Reads are in reads.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import confchange, election, reads
from .confchange_codec import decode_entry
from .errors import (
    CodecError,
    ConfChangeError,
    ProposalDropped,
    RaftInvariantError,
    SnapshotTemporarilyUnavailable,
    StorageError,
)
from .progress import Progress, ProgressState
from .steps import step_table
from .types import (
    INVALID_ID,
    INVALID_INDEX,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    StateRole,
    entry_size_bytes,
)

if TYPE_CHECKING:
    from .raft import Raft

_LEADER: Final = StateRole.Leader
_APPEND: Final = MessageType.MsgAppend
_REPLICATE: Final = ProgressState.Replicate
_PROBE: Final = ProgressState.Probe
_NORMAL: Final = EntryType.EntryNormal


# Time.


def tick_heartbeat(r: Raft) -> bool:
    """One tick as leader; True when messages or a change of role may have come of it."""
    r.heartbeat_elapsed += 1
    busy = False
    if r.election_elapsed >= r.election_timeout:
        r.election_elapsed = 0
        if r.check_quorum:
            busy = True
            _check_quorum(r)
        if r.state is _LEADER and r.lead_transferee is not None:
            abort_leader_transfer(r)
            busy = True
    if r.state is _LEADER and r.heartbeat_elapsed >= r.heartbeat_timeout:
        r.heartbeat_elapsed = 0
        busy = True
        reads.bcast_heartbeat(r)
    return busy


def _check_quorum(r: Raft) -> None:
    """Step down when no quorum was heard for an election timeout (dissertation section 6.2)."""
    if not r.prs.quorum_recently_active(r.id):
        r.trace("steps down: no quorum is active")
        r.become_follower(r.term, INVALID_ID)


# Proposals.


def append_empty(r: Raft) -> None:
    """The first entry of a leadership."""
    r.raft_log.append([Entry(_NORMAL, r.term, r.raft_log.tail_index + 1)])


def _step_propose(r: Raft, m: Message) -> None:
    # The sender keeps its entries: a message may arrive twice, and one object cannot be two entries.
    copies = [Entry(e.entry_type, 0, 0, e.data, e.context) for e in m.entries]
    propose(r, copies, local=m.from_ in (INVALID_ID, r.id))


def propose(r: Raft, entries: list[Entry], local: bool) -> None:
    """Append entries, which become the leader's, and send them out.

    Errors: ProposalDropped; ConfChangeError for a local configuration change that breaks a rule. Nothing is appended
    then.
    """
    if not entries:
        raise ProposalDropped("empty proposal")
    if r.id not in r.prs.progress:
        raise ProposalDropped("no longer a member")
    if r.lead_transferee is not None:
        raise ProposalDropped(f"leadership is being transferred to {r.lead_transferee}")
    log = r.raft_log
    limit = r.max_uncommitted_size
    size_bytes = 0 if limit is None else sum([len(e.data) for e in entries])
    # An empty entry always passes, and anything does while nothing is uncommitted: no proposal is too large for good.
    if limit is not None and size_bytes and r.uncommitted_size and r.uncommitted_size + size_bytes > limit:
        raise ProposalDropped(f"{r.uncommitted_size} bytes are uncommitted, limit {limit}")
    index = log.tail_index
    term = r.term
    pending = r.pending_conf_index
    for entry in entries:
        index += 1
        if entry.entry_type != _NORMAL and _admit_conf_change(r, entry, local, pending):
            pending = index
        entry.term = term
        entry.index = index
    r.pending_conf_index = pending
    r.uncommitted_size += size_bytes
    log.append(entries)
    bcast_append(r)


def _admit_conf_change(r: Raft, entry: Entry, local: bool, pending: int) -> bool:
    """True when a configuration change may enter the log; else it is replaced by an empty entry.

    One at a time: the previous one must be applied (dissertation section 4.1), or two majorities that share no member
    could decide. While joint, only leaving is possible.
    """
    try:
        change = decode_entry(entry)
    except CodecError as e:
        raise ProposalDropped(str(e)) from e
    if pending > r.raft_log.applied:
        reason = f"one may be pending up to {pending}, applied is {r.raft_log.applied}"
    elif r.prs.conf.joint() and not change.leave_joint():
        reason = "the joint configuration must be left first"
    elif not r.prs.conf.joint() and change.leave_joint():
        reason = "the configuration is not joint"
    else:
        try:
            confchange.changed(r.prs.conf, change)
            return True
        except ConfChangeError as e:
            if local:
                raise
            reason = str(e)
    r.trace(f"refuses a configuration change: {reason}")
    entry.entry_type = _NORMAL
    entry.data = entry.context = b""
    return False


def maybe_auto_leave(r: Raft) -> None:
    """Leave a joint configuration once the change that entered it is applied.

    Any leader does so, not only the one that entered it: whoever restarts or is elected half-way finds auto_leave in
    its configuration. Waits for a running transfer, which proposals would delay.
    """
    if r.prs.conf.auto_leave and r.lead_transferee is None and r.pending_conf_index <= r.raft_log.applied:
        index = r.raft_log.tail_index + 1
        r.raft_log.append([Entry(EntryType.EntryConfChangeV2, r.term, index)])
        r.pending_conf_index = index
        r.trace("leaves the joint configuration")
        bcast_append(r)


def reduce_uncommitted_size(r: Raft, entries: list[Entry]) -> None:
    """Entries were handed out as committed."""
    if r.max_uncommitted_size is not None and r.state is _LEADER:
        size = sum([len(e.data) for e in entries if e.index > r.uncommitted_tail_index])
        r.uncommitted_size = max(0, r.uncommitted_size - size)


# Replication.


_Page = tuple[int, list[Entry], int]


def load_page(r: Raft, next_idx: int) -> _Page | None:
    """What an append from next_idx on carries: the term of the entry before it, entries up to the size limit, and how
    many bytes they count for in a window that has such a limit.

    None when the log does not reach back that far: only a snapshot helps.
    """
    log = r.raft_log
    tail = log.tail_index
    if next_idx > tail:
        return (log.tail_term, [], 0) if next_idx == tail + 1 else (0, [], 0)
    try:
        log_term, entries = log.term(next_idx - 1), log.slice(next_idx, tail + 1, r.max_msg_size)
    except StorageError:
        return None
    return log_term, entries, sum([entry_size_bytes(e) for e in entries]) if r.inflight_bytes_counted else 0


def bcast_append(r: Raft, with_snapshots: bool = True) -> None:
    """Send everybody what they lack, and the commit index. Followers that are equally far share one page."""
    me = r.id
    page_from = -1
    page: _Page | None = None
    for to, pr in r.prs.progress.items():
        if to == me or pr.is_paused():
            continue
        if pr.next_idx != page_from:
            page_from = pr.next_idx
            page = load_page(r, page_from)
        if page is not None and pr.pending_request_snapshot == INVALID_INDEX:
            _send_page(r, to, pr, page)
        elif with_snapshots:
            _send_snapshot(r, to, pr)


def send_append(r: Raft, to: int, pr: Progress) -> None:
    """Send one append, even without entries, unless paused."""
    maybe_send_append(r, to, pr, allow_empty=True)


def maybe_send_append(r: Raft, to: int, pr: Progress, allow_empty: bool) -> bool:
    """Send one append or a snapshot; True when something was sent.

    Without allow_empty only entries are sent: neither an append that carries just the commit index nor, when the log
    is gone, a snapshot.
    """
    if pr.is_paused():
        return False
    if pr.pending_request_snapshot != INVALID_INDEX:
        return allow_empty and _send_snapshot(r, to, pr)
    if not allow_empty and pr.next_idx > r.raft_log.tail_index:
        return False
    page = load_page(r, pr.next_idx)
    if page is None:
        return allow_empty and _send_snapshot(r, to, pr)
    _send_page(r, to, pr, page)
    return True


def _send_page(r: Raft, to: int, pr: Progress, page: _Page) -> None:
    log_term, entries, size_bytes = page
    if r.batch_append and r.msgs and _added_to_queued(r, to, pr, entries, size_bytes):
        return
    r.msgs.append(Message(_APPEND, to, r.id, r.term, log_term, pr.next_idx - 1, entries, r.raft_log.committed))
    if entries:
        pr.sent_entries(entries[-1].index, size_bytes)


def _added_to_queued(r: Raft, to: int, pr: Progress, entries: list[Entry], size_bytes: int) -> bool:
    """Extend an append to the same follower that is still queued."""
    for m in r.msgs:
        if m.msg_type == _APPEND and m.to == to:
            if entries:
                if m.index + len(m.entries) + 1 != entries[0].index:
                    return False
                m.entries = m.entries + entries
                pr.sent_entries(entries[-1].index, size_bytes)
            m.commit = r.raft_log.committed
            return True
    return False


def _send_snapshot(r: Raft, to: int, pr: Progress) -> bool:
    """Send a snapshot if the member is alive and one is ready; otherwise a later heartbeat answer tries again."""
    if not pr.recent_active:
        return False
    snap = _take_snapshot(r, to, pr)
    if snap is None:
        r.trace(f"has no snapshot for {to} yet")
        return False
    if snap.is_empty():
        raise RaftInvariantError("the storage gave an empty snapshot")
    pr.become_snapshot(snap.metadata.index)
    r.send(Message(MessageType.MsgSnapshot, to, snapshot=snap))
    return True


def _take_snapshot(r: Raft, to: int, pr: Progress) -> Snapshot | None:
    waiting = r.raft_log.unstable.snapshot
    if waiting is not None and waiting.metadata.index >= pr.pending_request_snapshot:
        return waiting
    try:
        return r.raft_log.store.snapshot(pr.pending_request_snapshot, to)
    except SnapshotTemporarilyUnavailable:
        return None


def maybe_commit(r: Raft) -> bool:
    """Commit what a quorum has persisted; True when the commit index moved.

    Only an entry of the own term is committed by counting; older ones follow with it (paper section 5.4.2, figure 8).
    """
    return r.raft_log.maybe_commit(r.prs.maximal_committed_index(), r.term)


def on_conf_changed(r: Raft) -> None:
    """A new configuration: its quorum may be smaller, its members new, the heir gone.

    No snapshot is sent here: the application is in the middle of applying the change, so its storage may not show the
    new configuration yet. Whoever needs one gets it with its next answer.
    """
    if maybe_commit(r):
        bcast_append(r, with_snapshots=False)
    else:
        for to, pr in r.prs.progress.items():
            if to != r.id:
                maybe_send_append(r, to, pr, allow_empty=False)
    reads.recheck_last_round(r)
    if r.lead_transferee is not None and r.lead_transferee not in r.prs.conf.voters.incoming:
        abort_leader_transfer(r)


def _step_append_response(r: Raft, m: Message) -> None:
    pr = r.prs.progress.get(m.from_)
    if pr is None:
        return
    pr.recent_active = True
    if m.reject:
        _on_append_rejected(r, m, pr)
        return
    old_paused = pr.is_paused()
    state = pr.state
    # An old acknowledgement says nothing new, unless it ends a probe or is the answer to a snapshot. What ends a probe
    # reaches at least to where it probed: a member that only tells its term to an old message "acknowledges" 0.
    if not pr.maybe_update(m.index) and (
        state is _REPLICATE or m.index < pr.matched or (state is _PROBE and m.index + 1 < pr.next_idx)
    ):
        return
    if state is _REPLICATE:
        pr.ins.free_to(m.index)
    elif state is _PROBE:
        pr.become_replicate()
    elif pr.is_snapshot_caught_up():
        if pr.pending_snapshot >= pr.pending_request_snapshot:
            pr.pending_request_snapshot = INVALID_INDEX
        pr.become_probe()
    if maybe_commit(r):
        if r.should_bcast_commit():
            bcast_append(r)
    elif old_paused:
        send_append(r, m.from_, pr)
    # The window has opened: fill it.
    while pr.next_idx <= r.raft_log.tail_index and maybe_send_append(r, m.from_, pr, allow_empty=False):
        pass
    if r.lead_transferee == m.from_ and pr.matched == r.raft_log.tail_index:
        _send_timeout_now(r, m.from_)


def _on_append_rejected(r: Raft, m: Message, pr: Progress) -> None:
    """Go back to where the logs may agree: the follower's hint, or further, by the terms of the own log."""
    hint = m.reject_hint
    if m.request_snapshot != INVALID_INDEX:
        _credit_log_of(r, m, pr)
    elif m.log_term > 0:
        hint, _ = r.raft_log.find_conflict_by_term(hint, m.log_term)
    if pr.maybe_decr_to(m.index, hint, m.request_snapshot):
        if pr.state is _REPLICATE:
            pr.become_probe()
        send_append(r, m.from_, pr)


def _credit_log_of(r: Raft, m: Message, pr: Progress) -> None:
    """A member that asks for a snapshot takes no entries until it has one, but its log is sound up to its last entry.

    That entry may be what the quorum lacks, and the snapshot must reach it: without counting it neither would come.
    """
    if r.raft_log.match_term(m.reject_hint, m.log_term) and pr.maybe_update(m.reject_hint) and maybe_commit(r):
        if r.should_bcast_commit():
            bcast_append(r)


def hear(r: Raft, pr: Progress, tick: int) -> None:
    """A member has answered the heartbeat that was sent at the leader's time ``tick`` (0 without promises)."""
    pr.recent_active = True
    pr.paused = False
    if pr.lease_tick < tick <= r.lease_now():
        pr.lease_tick = tick


def _step_heartbeat_response(r: Raft, m: Message) -> None:
    pr = r.prs.progress.get(m.from_)
    if pr is None:
        return
    hear(r, pr, m.index)
    # A full window may be full of lost messages: let one more out.
    if pr.state is _REPLICATE and pr.ins.full():
        pr.ins.free_first_one()
    if pr.matched < r.raft_log.tail_index or pr.pending_request_snapshot != INVALID_INDEX:
        send_append(r, m.from_, pr)
    if m.context:
        reads.on_round_answered(r, m.from_, m.context)


def _step_snap_status(r: Raft, m: Message) -> None:
    """The application tells what became of a snapshot it sent (report_snapshot)."""
    pr = r.prs.progress.get(m.from_)
    if pr is None or pr.state is not ProgressState.Snapshot:
        return
    if m.reject:
        pr.snapshot_failure()
    pr.become_probe()
    # Sent: wait for the member's own answer. Failed: wait for a heartbeat before trying again.
    pr.pause()
    pr.pending_request_snapshot = INVALID_INDEX


def _step_unreachable(r: Raft, m: Message) -> None:
    """A message was probably lost: stop streaming until an append is accepted again (report_unreachable)."""
    pr = r.prs.progress.get(m.from_)
    if pr is not None and pr.state is _REPLICATE:
        pr.become_probe()


# Transfer of leadership (dissertation section 3.10).


def _step_transfer_leader(r: Raft, m: Message) -> None:
    """Hand over to m.from_: bring its log up to date, tell it to campaign, and take no proposals meanwhile."""
    to = m.from_
    pr = r.prs.progress.get(to)
    if pr is None or to not in r.prs.conf.voters.incoming:
        r.trace(f"refuses to transfer leadership to {to}: not a voter")
        return
    if r.lead_transferee == to:
        return
    if r.lead_transferee is not None:
        abort_leader_transfer(r)
    if to == r.id:
        return
    # It must be done within an election timeout.
    r.election_elapsed = 0
    r.lead_transferee = to
    r.trace(f"transfers leadership to {to}")
    if pr.matched == r.raft_log.tail_index:
        _send_timeout_now(r, to)
    else:
        send_append(r, to, pr)


def _send_timeout_now(r: Raft, to: int) -> None:
    # The request may arrive at any time from now on, and whoever gets it wins votes in spite of all promises: no lease
    # of this leadership proves anything any more, even if the transfer is given up.
    r.lease_void = True
    r.send(Message(MessageType.MsgTimeoutNow, to))


def abort_leader_transfer(r: Raft) -> None:
    """Give the transfer up and take proposals again. A lease must be renewed first, if it can be at all."""
    r.lead_transferee = None
    r.void_lease()
    maybe_auto_leave(r)


def _step_beat(r: Raft, _m: Message) -> None:
    reads.bcast_heartbeat(r)


def _step_check_quorum(r: Raft, _m: Message) -> None:
    _check_quorum(r)


def _vote_request(r: Raft, m: Message) -> None:
    election.handle_vote_request(r, m)


STEPS: Final = step_table(
    {
        MessageType.MsgBeat: _step_beat,
        MessageType.MsgCheckQuorum: _step_check_quorum,
        MessageType.MsgPropose: _step_propose,
        MessageType.MsgReadIndex: reads.step_read_index,
        MessageType.MsgRequestVote: _vote_request,
        MessageType.MsgRequestPreVote: _vote_request,
        MessageType.MsgAppendResponse: _step_append_response,
        MessageType.MsgHeartbeatResponse: _step_heartbeat_response,
        MessageType.MsgSnapStatus: _step_snap_status,
        MessageType.MsgUnreachable: _step_unreachable,
        MessageType.MsgTransferLeader: _step_transfer_leader,
    }
)
