"""What people may change about scheduling while PD runs, kept on disk beside the configuration's own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flaredb.model.errors import ConfigError
from flaredb.model.ids import PeerId, StoreId
from flaredb.pd.schedule_config import ScheduleConfig, changed, field_of, kebab, shown
from flaredb.pd.state import PdState
from flaredb.wire.pd_states import ScheduleRecord

KEPT_LEARNERS_MAX = 10_000


class LiveSettings:
    """Invariant: ``schedule`` is the configuration with the recorded changes made.

    max_replicas is kept in the cluster's own record; whoever changes it there tells ``set_max_replicas``.
    """

    def __init__(self, state: PdState, configured: ScheduleConfig, max_replicas: int) -> None:
        """Errors: StateCorrupted."""
        self._state = state
        record = state.schedule()
        self.schedule = replace(configured, max_replicas=max_replicas)
        self._settings = dict(record.settings)
        for name, value in record.settings.items():
            try:
                self.schedule = changed(self.schedule, [(name, value)])
            except ConfigError:  # a setting of another version of this program
                del self._settings[name]
        self.schedulers = None if record.schedulers is None else dict(record.schedulers)
        """As recorded; the schedulers keep it up to date by ``set_schedulers``."""

        self._limits = dict(record.store_limits)
        self._weights = dict(record.store_weights)
        self._kept_learners = dict.fromkeys(record.kept_learners)
        self._buried = dict.fromkeys(record.buried_stores)

    def change(self, changes: Iterable[tuple[str, Any]]) -> None:
        """All or none. Errors: ConfigError naming the nearest name, or what the value must be."""
        changes = list(changes)
        self.schedule = changed(self.schedule, changes)
        for name, _ in changes:
            field = field_of(name)
            if field != "max_replicas":
                self._settings[kebab(field)] = shown(field, getattr(self.schedule, field))
        self._save()

    def set_max_replicas(self, max_replicas: int) -> None:
        """It was changed, and written down elsewhere."""
        self.schedule = replace(self.schedule, max_replicas=max_replicas)

    def set_schedulers(self, schedulers: Mapping[str, list[int]]) -> None:
        """These are there from now on."""
        self.schedulers = dict(schedulers)
        self._save()

    def limits(self, store_id: StoreId) -> tuple[float, float]:
        """Peers a minute that may be added to the store, and removed from it."""
        default = self.schedule.store_limit
        return self._limits.get(store_id, (default, default))

    def set_limits(self, store_id: StoreId | None, add: float | None, remove: float | None) -> None:
        """None for a rate leaves it; None for the store: all of them, also later ones."""
        if store_id is None:
            if add is not None and remove is not None:
                self._limits.clear()
                self.change([("store-limit", add)])
                return
            self._limits = {store: _either(add, remove, limits) for store, limits in self._limits.items()}
        else:
            self._limits[store_id] = _either(add, remove, self.limits(store_id))
        self._save()

    def weights(self, store_id: StoreId) -> tuple[float, float]:
        """For leaders and for regions; 1 unless set."""
        return self._weights.get(store_id, (1.0, 1.0))

    def set_weights(self, store_id: StoreId, leader: float, region: float) -> None:
        """Pre: both above 0."""
        self._weights[store_id] = (leader, region)
        self._save()

    def is_kept_learner(self, peer_id: PeerId) -> bool:
        """A person wants this peer to stay a learner."""
        return peer_id in self._kept_learners

    def keep_learner(self, peer_id: PeerId) -> None:
        """The oldest is forgotten when there are too many."""
        self._kept_learners[peer_id] = None
        while len(self._kept_learners) > KEPT_LEARNERS_MAX:
            del self._kept_learners[next(iter(self._kept_learners))]
        self._save()

    def is_buried(self, store_id: StoreId) -> bool:
        """The store was removed and forgotten."""
        return store_id in self._buried

    def bury(self, store_ids: Iterable[StoreId]) -> None:
        """They are forgotten, but for their ids."""
        for store_id in store_ids:
            self._buried[store_id] = None
            self._limits.pop(store_id, None)
            self._weights.pop(store_id, None)
        self._save()

    def _save(self) -> None:
        record = ScheduleRecord(
            dict(self._settings),
            None if self.schedulers is None else dict(self.schedulers),
            dict(self._limits),
            dict(self._weights),
            list(self._kept_learners),
            list(self._buried),
        )
        self._state.put_schedule(record)


def _either(add: float | None, remove: float | None, limits: tuple[float, float]) -> tuple[float, float]:
    return (limits[0] if add is None else add, limits[1] if remove is None else remove)
