"""Transfer of leadership: not through the log, but by telling a follower that is up to date to campaign at once.

Refused, with the reason, where it could leave the region without a leader: the heir must be a voter that is alive,
needs no snapshot, is close to the end of the log, and has the membership change that is under way (traps C6).
Source: dissertation section 3.10.
"""

from __future__ import annotations

from collections.abc import Iterable

from flaredb.model.region import Peer as PeerMeta
from flaredb.model.region import PeerRole
from flaredb.raft import Progress, ProgressState
from flaredb.store.peer import Peer

LAG_ENTRIES_MAX = 1_024
"""An heir further behind would keep the region without proposals for too long."""


def refusal(peer: Peer, heir: PeerMeta) -> str | None:
    """Why leadership is not handed to ``heir`` now; None if it may be. Pre: the peer leads."""
    raft = peer.node.raft
    member = peer.region.peer(heir.id)
    progress: Progress | None = raft.prs.progress.get(heir.id)
    if member is None or progress is None:
        return f"peer {heir.id} is no member of region {peer.region.id}"
    if member.role in (PeerRole.LEARNER, PeerRole.DEMOTING_VOTER):
        return f"peer {heir.id} is a {member.role.name.lower()}, not a voter"
    if not progress.is_alive():
        return f"peer {heir.id} on store {heir.store_id} has not been heard of lately"
    if progress.state is ProgressState.Snapshot:
        return f"peer {heir.id} waits for a snapshot"
    if progress.matched < raft.pending_conf_index:
        return f"peer {heir.id} does not have the membership change under way"
    lag = raft.raft_log.last_index() - progress.matched
    if lag > LAG_ENTRIES_MAX:
        return f"peer {heir.id} is {lag} entries behind, more than {LAG_ENTRIES_MAX}"
    return None


def transfer_leader(peer: Peer, heirs: Iterable[PeerMeta]) -> str | None:
    """Hand over to the heir that is furthest. Returns why not, naming each reason; None if the transfer has begun."""
    progress = peer.node.raft.prs.progress
    reasons: list[str] = []
    best: PeerMeta | None = None
    for heir in heirs:
        if heir.id == peer.meta.id:
            return None
        reason = refusal(peer, heir)
        if reason is not None:
            reasons.append(reason)
        elif best is None or progress[heir.id].matched > progress[best.id].matched:
            best = heir
    if best is None:
        return "; ".join(reasons) or f"region {peer.region.id} has no other voter"
    peer.node.transfer_leader(best.id)
    return None


def transfer_to_anyone(peer: Peer) -> str | None:
    """Hand over to whichever other replica is furthest, because this store is about to stop."""
    return transfer_leader(peer, [meta for meta in peer.region.peers if meta.id != peer.meta.id])
