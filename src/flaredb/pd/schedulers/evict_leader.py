"""Stores that a person wants without leaders: theirs move away, and none comes."""

from __future__ import annotations

from flaredb.model.ids import StoreId
from flaredb.pd.operator import Kind, Priority
from flaredb.pd.schedulers.base import TRIES, Outcome, best_leader_target, leader_scores, transfer_operator
from flaredb.pd.view import View

DESC = "evict-leader"
BATCH = 4


class EvictLeader:
    """Invariant: stores is not empty while the scheduler is there."""

    name = "evict-leader-scheduler"

    def __init__(self, stores: set[StoreId]) -> None:
        self.stores = stores

    def schedule(self, view: View) -> Outcome:
        """Up to BATCH transfers a store."""
        outcome = Outcome()
        stuck = ""
        for store_id in sorted(self.stores):
            leaders = view.tally(store_id).leaders
            seen: set[int] = set()
            for _ in range(min(TRIES, len(leaders))):
                limit = view.config.leader_schedule_limit
                if view.controller.count(Kind.LEADER) + len(outcome.operators) >= limit:
                    outcome.summary = f"leader-schedule-limit ({limit}) is reached"
                    return outcome
                region_id = leaders.pick(view.rng)
                if region_id is None or region_id in seen or view.is_busy(region_id):
                    continue
                seen.add(region_id)
                record = view.regions.by_id(region_id)
                if record is None or not record.is_reported:
                    continue
                scores = leader_scores(view, [peer.store_id for peer in record.region.peers])
                target = best_leader_target(view, record, scores)
                if target is None:
                    stuck = f"no other store can lead region {region_id}"
                    continue
                operator = transfer_operator(view, record, target, DESC, Priority.REPAIR)
                if operator is not None:
                    outcome.operators.append(operator)
                if len(outcome.operators) >= BATCH:
                    return outcome
        if not outcome.operators:
            outcome.summary = stuck or "the stores lead nothing"
        return outcome
