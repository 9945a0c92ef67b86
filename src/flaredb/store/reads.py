"""Linearizable reads: by the leader's lease, or by a ReadIndex round that many share (dissertation section 6.4).

By lease: while it is valid no other leader can have been elected, so all that was ever acknowledged is committed here;
a read runs as soon as that is applied, mostly within the step that took it. It waits for no message and no sync. The
lease is judged at the time of the step, which was read after the requests were taken: a pause before that makes it
invalid, and one after it makes the answer late but not wrong.

By round: at most one round of a region is under way; reads that arrive meanwhile wait for the next one, because a
round only covers what arrived before it began. A round that stays unanswered is repeated under a new name, so that a
late answer to the first can never pass for the second (etcd issue 20418).
"""

from __future__ import annotations

from flaredb.model.commands import Request
from flaredb.raft import ReadState
from flaredb.store.peer import Peer
from flaredb.store.read_queue import Round


def confirm_by_lease(peer: Peer) -> None:
    """If this peer leads and its lease is valid, the reads that wait may run once all that is committed is applied."""
    reads, raft = peer.reads, peer.node.raft
    if not reads.waiting or not raft.in_lease() or not raft.commit_to_current_term():
        return
    reads.counts.by_lease += len(reads.waiting)
    reads.confirmed.append((raft.raft_log.committed, reads.waiting))
    reads.waiting = []


def start_round(peer: Peer, now_ms: int) -> bool:
    """Begin a round for the waiting reads, if none is under way and the peer can have it answered. True if begun."""
    reads = peer.reads
    if not reads.waiting or reads.round is not None:
        return False
    raft = peer.node.raft
    if peer.is_leader:
        if not raft.commit_to_current_term():
            return False
    elif not raft.leader_id:
        return False
    reads.round = Round(peer.parts.round_names.next(), now_ms, reads.waiting)
    reads.waiting = []
    peer.node.read_index(reads.round.name)
    return True


def repeat_lost_round(peer: Peer, now_ms: int, patience_ms: int) -> bool:
    """Give up a round that stayed unanswered; its reads wait for the next one, before those that came later."""
    current = peer.reads.round
    if current is not None and now_ms - current.started_ms >= patience_ms:
        peer.reads.waiting = current.requests + peer.reads.waiting
        peer.reads.round = None
        return True
    return False


def on_read_states(peer: Peer, read_states: list[ReadState]) -> None:
    """A quorum confirmed the leader after the round began: its reads may run once the index is applied."""
    reads = peer.reads
    for state in read_states:
        if reads.round is not None and reads.round.name == state.request_ctx:
            reads.counts.by_round += len(reads.round.requests)
            # Reads by lease that came after the round began may have been confirmed before it, at a later index.
            index = max(state.index, reads.confirmed[-1][0]) if reads.confirmed else state.index
            reads.confirmed.append((index, reads.round.requests))
            reads.round = None


def take_runnable(peer: Peer) -> list[Request]:
    """The confirmed reads whose index is applied."""
    confirmed = peer.reads.confirmed
    runnable: list[Request] = []
    while confirmed and confirmed[0][0] <= peer.applied_index:
        runnable += confirmed.popleft()[1]
    return runnable


def take_unconfirmed(peer: Peer) -> list[Request]:
    """All reads not confirmed yet: leadership changed, they must pass the gate again."""
    reads = peer.reads
    requests = (reads.round.requests if reads.round else []) + reads.waiting
    reads.round = None
    reads.waiting = []
    return requests


def take_expired(peer: Peer, now_ms: int) -> list[Request]:
    """Reads whose deadline has passed."""
    reads = peer.reads
    expired = [request for request in reads.waiting if request.deadline_ms <= now_ms]
    if expired:
        reads.waiting = [request for request in reads.waiting if request.deadline_ms > now_ms]
    if reads.round is not None and reads.round.requests and reads.round.requests[0].deadline_ms <= now_ms:
        expired += [request for request in reads.round.requests if request.deadline_ms <= now_ms]
        reads.round.requests = [request for request in reads.round.requests if request.deadline_ms > now_ms]
    while reads.confirmed and reads.confirmed[0][1] and reads.confirmed[0][1][0].deadline_ms <= now_ms:
        expired += reads.confirmed.popleft()[1]
    return expired
