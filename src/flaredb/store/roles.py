"""From a region's peers and roles to the Raft configuration that they stand for."""

from __future__ import annotations

from flaredb.model.region import PeerRole, Region
from flaredb.raft import ConfState

_VOTER = PeerRole.VOTER


def conf_state_of(region: Region) -> ConfState:
    """The Raft configuration that a region's peers and roles stand for."""
    if all(peer.role is _VOTER for peer in region.peers):
        return ConfState([peer.id for peer in region.peers])
    state = ConfState()
    for peer in region.peers:
        if peer.role in (PeerRole.VOTER, PeerRole.INCOMING_VOTER):
            state.voters.append(peer.id)
        if peer.role is PeerRole.LEARNER:
            state.learners.append(peer.id)
        if peer.role is PeerRole.DEMOTING_VOTER:
            state.learners_next.append(peer.id)
    if any(peer.role in (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER) for peer in region.peers):
        old = (PeerRole.VOTER, PeerRole.DEMOTING_VOTER)
        state.voters_outgoing.extend(peer.id for peer in region.peers if peer.role in old)
    return state
