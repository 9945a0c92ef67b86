"""A learner that an operator left behind becomes a voter if one is missing, and goes if not.

Learners that a person added stay what they are.
"""

from __future__ import annotations

from flaredb.model.ids import StoreId
from flaredb.model.region import PeerRole
from flaredb.pd.builder import BuildError
from flaredb.pd.checkers.finding import Finding
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.planning import planned
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.view import View, roles


def check(view: View, record: RegionRecord) -> Finding | None:
    """Learners whose store is down are the replica checker's; those that do not keep up yet are waited for."""
    voters = sum(peer.role == PeerRole.VOTER for peer in record.region.peers)
    for peer in record.region.peers:
        if peer.role != PeerRole.LEARNER or view.settings.is_kept_learner(peer.id) or view.is_down(peer.store_id):
            continue
        wanted = roles(record)
        try:
            if voters >= view.config.max_replicas:
                del wanted[peer.store_id]
                operator = _operator(view, record, "remove-extra-learner", wanted)
                return Finding(operator, f"the learner on store {peer.store_id} is not needed")
            if record.is_pending(peer.id):
                continue
            wanted[peer.store_id] = PeerRole.VOTER
            operator = _operator(view, record, "promote-learner", wanted)
            return Finding(operator, f"the learner on store {peer.store_id} was left behind")
        except BuildError as error:
            return Finding(None, f"the learner on store {peer.store_id} was left behind: {error}")
    return None


def _operator(view: View, record: RegionRecord, desc: str, wanted: dict[StoreId, PeerRole]) -> Operator:
    return planned(view, record, desc, wanted, Priority.REPAIR, Kind.REPLICA)
