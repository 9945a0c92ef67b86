"""What all schedulers are, and what several of them need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from flaredb.model.ids import StoreId
from flaredb.model.region import PeerRole
from flaredb.pd.builder import BuildError
from flaredb.pd.filters import leader_target_refusal
from flaredb.pd.operator import Operator, Priority
from flaredb.pd.placement import leader_score
from flaredb.pd.planning import planned
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.view import View, roles

TRIES = 10
"""Regions of a store that are looked at in one run."""

TOLERANCE = 0.02
"""Part of the average by which stores may differ; less than one move mends is always left alone."""


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    operators: list[Operator] = field(default_factory=list)
    summary: str = ""
    """Why there is no operator; "" if there are some."""


class Scheduler(Protocol):
    """Looks at the cluster from time to time."""

    name: str

    def schedule(self, view: View) -> Outcome:
        """A few operators at most; those that are refused are forgotten."""


def transfer_operator(
    view: View, record: RegionRecord, target: StoreId, desc: str, priority: Priority
) -> Operator | None:
    """Only the leader moves; None if that is not safe now."""
    try:
        return planned(view, record, desc, roles(record), priority, leader=target)
    except BuildError:
        return None


def best_leader_target(view: View, record: RegionRecord, scores: dict[StoreId, float]) -> StoreId | None:
    """The follower with the lowest score on a store that takes leaders."""
    assert record.leader is not None
    able = [
        peer.store_id
        for peer in record.region.peers
        if peer.role == PeerRole.VOTER
        and peer.id != record.leader.id
        and not record.is_down(peer.id)
        and not record.is_pending(peer.id)
        and not leader_target_refusal(view, peer.store_id)
    ]
    return min(able, key=lambda store_id: (scores.get(store_id, 0.0), store_id), default=None)


def leader_scores(view: View, store_ids: Iterable[StoreId]) -> dict[StoreId, float]:
    """With what is on the way."""
    coming = view.controller.influences()
    return {
        store_id: leader_score(view, store_id, coming[store_id]) if store_id in coming else leader_score(view, store_id)
        for store_id in store_ids
    }
