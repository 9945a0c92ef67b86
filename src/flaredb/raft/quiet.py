"""When a node needs no clock for a while, and how its clock goes on afterwards.

Whether a group sleeps is its application's business (it stops ticking the nodes and sends no heartbeats); the core only
says whether one of its nodes could, and takes it back safely. Sleeping is about liveness alone: no step of the core
depends on it, and nothing here touches term, vote or log.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .progress import ProgressState
from .types import INVALID_ID, StateRole

if TYPE_CHECKING:
    from .raft import Raft

_REPLICATE: Final = ProgressState.Replicate


@dataclass(slots=True)
class Rest:
    """What a settled node knows beside its log and hard state, which its storage has: enough to make it anew."""

    term: int
    index: int
    """Of the last entry, which is committed and applied."""

    leader_id: int
    is_leader: bool
    ticks: int
    """Heartbeats carry it where leases are in use, so it goes on where it was."""

    lease_void: bool


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


def rest_of(r: Raft) -> Rest:
    """Pre: is_settled; for a leader also is_matched_by all other members: that is not kept."""
    return Rest(r.term, r.raft_log.tail_index, r.leader_id, r.state is StateRole.Leader, r.ticks, r.lease_void)


def restore(r: Raft, rest: Rest) -> None:
    """Put a node that was loaded from its storage where it was when it came to rest, as if just now it had heard its
    leader, or its members. Call ``resume`` before it goes on: what is promised and proved counts from there.
    """
    log = r.raft_log
    assert (r.term, log.tail_index, log.committed) == (rest.term, rest.index, rest.index), "not what came to rest"
    r.ticks = rest.ticks
    r.ticks_since_leader = 0
    r.leader_id = rest.leader_id
    if not rest.is_leader:
        return
    r.lead_again(rest.index)
    r.lease_void = rest.lease_void
    for pr in r.prs.progress.values():
        pr.matched = rest.index
        pr.become_replicate()
        pr.recent_active = True


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
    r.ticks += missed_ticks
    r.void_lease()
    r.election_elapsed = 0
    r.heartbeat_elapsed = r.heartbeat_timeout
    for node_id, pr in r.prs.progress.items():
        pr.was_active = node_id not in silent
        pr.recent_active = node_id == r.id
