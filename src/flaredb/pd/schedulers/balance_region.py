"""Every store holds as many bytes of regions as the others, by its weight."""

from __future__ import annotations

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.pd.builder import BuildError
from flaredb.pd.cluster import StoreRecord
from flaredb.pd.filters import REGION_SOURCE, lasting_refusal, limit_refusal, passing_refusal, refusal
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.placement import region_score
from flaredb.pd.planning import planned
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.schedulers.base import TOLERANCE, TRIES, Outcome
from flaredb.pd.store_limits import Direction
from flaredb.pd.view import NO_INFLUENCE, View, roles

DESC = "balance-region"


class BalanceRegion:
    """Moves a replica only if its old store then still holds no less than its new one: so moves come to an end."""

    name = "balance-region-scheduler"

    def schedule(self, view: View) -> Outcome:
        """One move, from one of the fullest stores to one of the emptiest."""
        if view.controller.count(Kind.REGION) >= view.config.region_schedule_limit:
            return Outcome([], f"region-schedule-limit ({view.config.region_schedule_limit}) is reached")
        coming = view.controller.influences()
        stores = [store for store in view.stores if _is_counted(view, store)]
        scores = {
            store.meta.id: region_score(view, store.meta.id, coming.get(store.meta.id, NO_INFLUENCE))
            for store in stores
        }
        if len(stores) <= 1:
            return Outcome([], "there is no other store")
        run = _Run(view, scores)
        stores.sort(key=lambda store: (-scores[store.meta.id], store.meta.id))
        for store in stores:
            if scores[store.meta.id] <= min(scores.values()) or refusal(REGION_SOURCE, view, store):
                continue
            operator = run.move_from(store)
            if operator is not None:
                return Outcome([operator])
        return Outcome([], run.why_not or "stores are evenly filled, as far as whole regions allow")


class _Run:
    def __init__(self, view: View, scores: dict[StoreId, float]) -> None:
        self._view = view
        self._scores = scores
        self._average_mib = sum(view.tally(store_id).peer_mib for store_id in scores) / len(scores)
        self._targets = sorted(scores, key=lambda store_id: (scores[store_id], store_id))
        self.why_not = ""
        """The last reason against a move that would have been one."""

    def move_from(self, source: StoreRecord) -> Operator | None:
        view = self._view
        tally = view.tally(source.meta.id)
        for attempt in range(TRIES):
            kinds = (tally.followers, tally.leaders) if attempt < TRIES - 2 else (tally.leaders, tally.followers)
            region_id: RegionId | None = kinds[0].pick(view.rng) or kinds[1].pick(view.rng)
            record = view.regions.by_id(region_id) if region_id is not None else None
            if record is None:
                return None
            if len(record.region.peers) != view.config.max_replicas or not record.is_healthy():
                continue
            if view.is_busy(record.region.id):
                continue
            operator = self._move(source, record)
            if operator is not None:
                return operator
        return None

    def _move(self, source: StoreRecord, record: RegionRecord) -> Operator | None:
        view = self._view
        for target_id in self._targets:
            if not self._is_better(source.meta.id, target_id, record):
                continue
            target = view.store(target_id)
            if target is None or lasting_refusal(view, record, target, source.meta.id):
                continue
            reason = passing_refusal(view, record, target)
            if reason:
                self.why_not = f"store {target_id} could take a replica, but {reason}"
                continue
            reason = limit_refusal(view, source, Direction.REMOVE, record.size_mib)
            if reason:
                self.why_not = f"store {source.meta.id} could give a replica away, but {reason}"
                return None
            return self._planned(source.meta.id, target_id, record)
        return None

    def _is_better(self, source: StoreId, target: StoreId, record: RegionRecord) -> bool:
        weights = self._view.settings.weights
        margin_mib = max(
            float(record.size_mib),
            TOLERANCE * self._average_mib / 2,
            self._view.config.tolerant_size_ratio * self._average_region_mib() / 2,
        )
        after_source = self._scores[source] - margin_mib / weights(source)[1]
        after_target = self._scores[target] + margin_mib / weights(target)[1]
        return after_source >= after_target

    def _average_region_mib(self) -> float:
        counts = sum(self._view.tally(store_id).peer_count for store_id in self._scores)
        return self._average_mib * len(self._scores) / max(1, counts)

    def _planned(self, source: StoreId, target: StoreId, record: RegionRecord) -> Operator | None:
        wanted = roles(record)
        wanted[target] = wanted.pop(source)
        try:
            return planned(self._view, record, DESC, wanted, Priority.BALANCE)
        except BuildError as error:
            self.why_not = f"region {record.region.id} cannot move: {error}"
            return None


def _is_counted(view: View, store: StoreRecord) -> bool:
    return store.meta.state == StoreState.UP and not view.stores.is_disconnected(store, view.now_ms)
