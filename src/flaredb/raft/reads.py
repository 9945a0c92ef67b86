"""Linearizable reads without log entries: rounds of heartbeats, and leases.

Source: dissertation sections 6.4 (ReadIndex) and 6.4.1 (leases). Neither works before the leader has committed an
entry of its own term: until then its commit index may lag behind what an earlier leader acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .types import INVALID_ID, Message, MessageType, ReadState, StateRole

if TYPE_CHECKING:
    from .raft import Raft


_HEARTBEAT: Final = MessageType.MsgHeartbeat
_LEADER: Final = StateRole.Leader


def bcast_heartbeat(r: Raft) -> None:
    """Tell everybody that this node leads; carries the youngest waiting read, so a lost round is repeated."""
    _bcast_heartbeat(r, r.read_only.last_pending_request_ctx())


def _bcast_heartbeat(r: Raft, ctx: bytes) -> None:
    committed = r.raft_log.committed
    tick = r.lease_now() if r.keeps_promises else 0
    for to, pr in r.prs.progress.items():
        if to != r.id:
            # Never beyond what the member acknowledged: it may hold other entries there.
            beat = Message(_HEARTBEAT, to, r.id, r.term, 0, tick, [], min(pr.matched, committed))
            beat.context = ctx
            r.msgs.append(beat)


def step_read_index(r: Raft, m: Message) -> None:
    """A read request, local or forwarded. Dropped before this leadership's first commit, or when too many wait."""
    if len(m.entries) != 1:
        return
    if not r.commit_to_current_term():
        r.trace("drops a read: nothing of its own term is committed yet")
        return
    if r.prs.is_singleton() or in_lease(r):
        _answer(r, m, r.raft_log.committed)
        return
    if r.read_only.pending_read_count() >= r.max_pending_reads:
        r.trace(f"drops a read: {r.max_pending_reads} wait")
        return
    r.read_only.add_request(r.raft_log.committed, m, r.id)
    _bcast_heartbeat(r, m.entries[0].data)


def on_round_answered(r: Raft, node_id: int, ctx: bytes) -> None:
    """A member has answered the heartbeats of a read: with a quorum, it and all older reads may go."""
    acks = r.read_only.recv_ack(node_id, ctx)
    if acks is not None and r.prs.has_quorum(acks):
        for status in r.read_only.advance(ctx):
            _answer(r, status.req, status.index)


def recheck_last_round(r: Raft) -> None:
    """The configuration changed: a smaller quorum may have answered already."""
    ctx = r.read_only.last_pending_request_ctx()
    for name in (ctx, *r.read_only.pending_read_index) if ctx else ():
        on_round_answered(r, r.id, name)


def _answer(r: Raft, req: Message, index: int) -> None:
    if req.from_ in (INVALID_ID, r.id):
        r.read_states.append(ReadState(index, req.entries[0].data))
    else:
        r.send(Message(MessageType.MsgReadIndexResp, req.from_, index=index, entries=req.entries))


def in_lease(r: Raft) -> bool:
    """See Raft.in_lease.

    A member that answers a heartbeat elects nobody else for election_timeout of its ticks. The leader counts from the
    sending, not the answer, and stops at least one tick early: a tick may come right after the heartbeat arrived.
    """
    if r.state is not _LEADER or not r.lease_based() or r.lease_void or r.lead_transferee is not None:
        return False
    if r.lease_clock is not None and not r.lease_clock.is_trusted:
        return False
    now = r.lease_now()
    own = r.prs.progress.get(r.id)
    if own is not None:
        own.lease_tick = now
    start = r.prs.lease_start()
    return start >= r.lease_since and now - start < r.lease_length
