"""When a node needs no clock for a while, and how its clock goes on afterwards.

Whether a group sleeps is its application's business (it stops ticking the nodes and sends no heartbeats); the core only
says whether one of its nodes could, and takes it back safely. Sleeping is about liveness alone: no step of the core
depends on it, and nothing here touches term, vote or log.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Final

from .progress import ProgressState
from .types import INVALID_ID, StateRole

if TYPE_CHECKING:
    from .raft import Raft

_REPLICATE: Final = ProgressState.Replicate


def is_settled(r: Raft) -> bool:
    """True for a leader, or a follower that knows one, with nothing on its way: all of its log is persisted, committed
    and applied, no read or message waits, leadership and membership stay as they are.
    """
    log = r.raft_log
    tail = log.tail_index
    return (
        log.committed == tail == log.applied
        and log.persisted == tail
        and log.tail_term == r.term
        and r.leader_id != INVALID_ID
        and (r.state is StateRole.Leader or r.state is StateRole.Follower)
        and not r.msgs
        and not r.read_states
        and not r.read_only.pending_read_index
        and not r.pending_request_snapshot
        and log.unstable.snapshot is None
        and r.lead_transferee is None
        and not r.prs.conf.voters.outgoing
        and not r.has_pending_conf()
    )


def is_matched_by(r: Raft, members: Iterable[int]) -> bool:
    """True when all these members hold the whole log of this leader, and make a quorum together with it."""
    tail = r.raft_log.tail_index
    progress = r.prs.progress
    matched = {r.id}
    for member in members:
        pr = progress.get(member)
        if pr is None or pr.state is not _REPLICATE or pr.matched != tail or pr.ins.count():
            return False
        if pr.pending_request_snapshot:
            return False
        matched.add(member)
    return r.prs.has_quorum(matched)


def resume(r: Raft, missed_ticks: int, silent: Container[int] = ()) -> None:
    """Go on after a sleep, of which ``missed_ticks`` count: never more than have really passed since this node heard
    its leader.

    A leader's lease from before is over, its next tick sends heartbeats, and it must hear a quorum within an election
    timeout from now; members in ``silent`` do not count as alive until they speak.
    """
    if r.state is not StateRole.Leader:
        r.ticks += missed_ticks
        r.election_elapsed = missed_ticks
        r.ticks_since_leader += missed_ticks
        return
    r.ticks += max(missed_ticks, r.election_timeout)
    r.election_elapsed = 0
    r.heartbeat_elapsed = r.heartbeat_timeout
    for node_id, pr in r.prs.progress.items():
        pr.was_active = node_id not in silent
        pr.recent_active = node_id == r.id
