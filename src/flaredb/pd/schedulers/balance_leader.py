"""Every store leads as many regions as the others, by its weight."""

from __future__ import annotations

from flaredb.model.ids import StoreId
from flaredb.pd.filters import LEADER_SOURCE, LEADER_TARGET, refusal
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.schedulers.base import (
    TOLERANCE,
    TRIES,
    Outcome,
    best_leader_target,
    leader_scores,
    transfer_operator,
)
from flaredb.pd.store_tally import RegionSet
from flaredb.pd.view import View

DESC = "balance-leader"


class BalanceLeader:
    """Moves a leader only if its old store then still leads no less than its new one: so moves come to an end."""

    name = "balance-leader-scheduler"

    def schedule(self, view: View) -> Outcome:
        """One transfer: away from a store that leads much, or else to one that leads little."""
        if view.controller.count(Kind.LEADER) >= view.config.leader_schedule_limit:
            return Outcome([], f"leader-schedule-limit ({view.config.leader_schedule_limit}) is reached")
        sources = [store.meta.id for store in view.stores if not refusal(LEADER_SOURCE, view, store)]
        run = _Run(view, leader_scores(view, sources))
        targets = [store.meta.id for store in view.stores if not refusal(LEADER_TARGET, view, store)]
        for store_id in sorted(sources, key=lambda store_id: (-run.scores[store_id], store_id)):
            operator = run.move_one(view.tally(store_id).leaders, None)
            if operator is not None:
                return Outcome([operator])
        for store_id in sorted(targets, key=lambda store_id: (run.scores[store_id], store_id)):
            operator = run.move_one(view.tally(store_id).followers, store_id)
            if operator is not None:
                return Outcome([operator])
        return Outcome([], "leaders are even, as far as the replicas allow")


class _Run:
    def __init__(self, view: View, scores: dict[StoreId, float]) -> None:
        self._view = view
        self.scores = scores
        self._margin = max(1.0, TOLERANCE * sum(scores.values()) / max(1, len(scores)))

    def move_one(self, regions: RegionSet, wanted: StoreId | None) -> Operator | None:
        """One of the regions whose leader should move, to ``wanted`` or to the best place."""
        view = self._view
        for _ in range(TRIES):
            region_id = regions.pick(view.rng)
            record = view.regions.by_id(region_id) if region_id is not None else None
            if record is None:
                return None
            if view.is_busy(record.region.id) or not record.is_healthy():
                continue
            target = wanted or best_leader_target(view, record, self.scores)
            if target is None or not self._is_better(record, target):
                continue
            operator = transfer_operator(view, record, target, DESC, Priority.BALANCE)
            if operator is not None:
                return operator
        return None

    def _is_better(self, record: RegionRecord, target: StoreId) -> bool:
        assert record.leader is not None
        weights = self._view.settings.weights
        source = record.leader.store_id
        after_source = self.scores.get(source, 0.0) - self._margin / weights(source)[0]
        after_target = self.scores.get(target, 0.0) + self._margin / weights(target)[0]
        return after_source >= after_target
