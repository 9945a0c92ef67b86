"""A joint configuration that an operator left behind is left, so that other changes become possible again."""

from __future__ import annotations

from flaredb.model.region import PeerRole
from flaredb.pd.builder import Plan, counts_for_quorum
from flaredb.pd.checkers.finding import Finding
from flaredb.pd.operator import Kind, Priority
from flaredb.pd.planning import operator_of
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.steps import IN_JOINT, LeaveJoint, PeerAt, Step, TransferLeader
from flaredb.pd.view import View


def check(view: View, record: RegionRecord) -> Finding | None:
    """Leave; a leader that loses its vote by that hands over first."""
    between = [peer for peer in record.region.peers if peer.role in IN_JOINT]
    if not between or record.leader is None:
        return None
    promotes = tuple(PeerAt(peer.id, peer.store_id) for peer in between if peer.role == PeerRole.INCOMING_VOTER)
    demotes = tuple(PeerAt(peer.id, peer.store_id) for peer in between if peer.role == PeerRole.DEMOTING_VOTER)
    steps: list[Step] = [LeaveJoint(promotes, demotes)]
    if any(at.peer_id == record.leader.id for at in demotes):
        heir = _heir(view, record)
        if heir is None:
            return Finding(None, "it is in a joint configuration whose leader is on its way out, and nobody can follow")
        steps.insert(0, TransferLeader(record.leader.store_id, heir))
    plan = Plan(tuple(steps), Kind.REGION, "leave joint configuration")
    operator = operator_of(record, "leave-joint-state", plan, Priority.REPAIR, Kind.REPLICA)
    return Finding(operator, "it is in a joint configuration that was left behind")


def _heir(view: View, record: RegionRecord) -> PeerAt | None:
    for role in (PeerRole.VOTER, PeerRole.INCOMING_VOTER):
        for peer in record.region.peers:
            at = PeerAt(peer.id, peer.store_id)
            if peer.role == role and counts_for_quorum(record, at, view.is_live):
                return at
    return None
