"""Everything that moves regions: put together, told what changes, and run when its time has come.

Bounded work per step: a lot of regions for the patrol, one operator or a few for each scheduler, a lot of the queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.pd.cluster import Stores
from flaredb.pd.config import PdConfig
from flaredb.pd.controller import OperatorController
from flaredb.pd.hold import Hold
from flaredb.pd.live_settings import LiveSettings
from flaredb.pd.messages import Answer, Note, SendOrder
from flaredb.pd.patrol import Patrol
from flaredb.pd.region_tree import RegionTree
from flaredb.pd.scatter import Scatterer
from flaredb.pd.schedulers.registry import Schedulers
from flaredb.pd.splitter import Splitter
from flaredb.pd.store_keeper import StoreKeeper
from flaredb.pd.store_limits import StoreLimits
from flaredb.pd.view import View
from flaredb.pd.why import Explainer

HOLD_INTERVAL_MS = 500


class Scheduling:
    """The parts, and the order in which they run."""

    def __init__(
        self,
        stores: Stores,
        regions: RegionTree,
        settings: LiveSettings,
        config: PdConfig,
        rng: Random,
        take_id: Callable[[], int],
    ) -> None:
        limits = StoreLimits(settings)
        self.controller = OperatorController(regions, limits, lambda store_id: self.view.is_live(store_id))
        self.view = View(stores, regions, settings, self.controller, limits, rng, take_id, self._evicted)
        self.schedulers = Schedulers(self.view)
        self.patrol = Patrol(self.view)
        self.keeper = StoreKeeper(self.view)
        self.hold = Hold(self.view, config.schedule_hold_ms, config.schedule_hold_ratio)
        self.scatterer = Scatterer(self.view)
        self.splitter = Splitter(self.view, self._scatter_new)
        self.why = Explainer(self.view, self.hold, self.keeper, self.schedulers)
        self._wall_ms = 0

    def _evicted(self) -> frozenset[StoreId]:
        return self.schedulers.evicted

    def _scatter_new(self, region_id: RegionId, group: str) -> bool:
        return self.scatterer.submit(region_id, group)

    @property
    def next_due_ms(self) -> int | None:
        """When ``run`` must be called at the latest; None while there are no regions."""
        view = self.view
        if not len(view.regions):
            return None
        due = [self.keeper.next_due_ms, self.controller.next_due_ms, self.scatterer.next_due_ms]
        due += [self.splitter.next_due_ms, view.now_ms if self.controller.ended_regions else None]
        if not self.hold.is_over():
            due.append(view.now_ms + HOLD_INTERVAL_MS)
        elif not view.config.halt_scheduling:
            due += [self.patrol.next_due_ms, self.schedulers.next_due_ms]
        return min(moment for moment in due if moment is not None)

    def start_step(self, now_ms: int, wall_ms: int) -> None:
        """The time at which everything until the next call happens."""
        self.view.now_ms = now_ms
        self._wall_ms = wall_ms
        self.controller.start_step(now_ms, wall_ms)

    def on_region(self, region_id: RegionId, removed: Iterable[RegionId] = ()) -> None:
        """A region was reported or changed; others gave way to it."""
        for gone in removed:
            self.controller.on_report(gone)
        self.controller.on_report(region_id)
        record = self.view.regions.by_id(region_id)
        if record is not None:
            self.patrol.suspect(record)
            self.splitter.on_region(record)

    def on_settings(self) -> None:
        """Settings, stores or schedulers were changed by a person."""
        self.patrol.wake()
        self.schedulers.wake()
        self.keeper.next_due_ms = self.view.now_ms

    def run(self) -> None:
        """Do what is due."""
        view = self.view
        if not len(view.regions):
            return
        self.controller.tick()
        if self.keeper.next_due_ms <= view.now_ms and self.keeper.run():
            self._give_up_lost_targets()
            self.patrol.wake()
            self.schedulers.wake()
        self._after_ends()
        self.scatterer.run()
        self.splitter.run()
        if self.hold.is_over() and not view.config.halt_scheduling:
            if self.patrol.next_due_ms <= view.now_ms:
                self.patrol.run()
            due_ms = self.schedulers.next_due_ms
            if due_ms is not None and due_ms <= view.now_ms:
                self.schedulers.run(self._wall_ms)

    def take_effects(self) -> list[Answer | Note | SendOrder]:
        """What came out of it since the last call, in order."""
        effects: list[Answer | Note | SendOrder] = [*self.keeper.notes, *self.controller.notes]
        effects += self.splitter.answers
        effects += self.controller.sends
        self.keeper.notes, self.controller.notes = [], []
        self.splitter.answers, self.controller.sends = [], []
        return effects

    def _after_ends(self) -> None:
        ended, self.controller.ended_regions = self.controller.ended_regions, []
        for region_id in ended:
            record = self.view.regions.by_id(region_id)
            if record is not None:
                self.patrol.suspect(record)
        if ended:
            self.schedulers.wake()

    def _give_up_lost_targets(self) -> None:
        """A store that is going or gone gets no replica any more, a silent one no leader."""
        view = self.view
        for store in view.stores:
            reason = f"store {store.meta.id} is {view.stores.state_name(store, view.now_ms)}"
            if store.meta.state != StoreState.UP or view.stores.is_down(store, view.now_ms):
                self.controller.cancel_adding_to(store.meta.id, reason)
            if view.stores.is_disconnected(store, view.now_ms):
                self.controller.cancel_leading_to(store.meta.id, reason)
