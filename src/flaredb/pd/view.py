"""What checkers and schedulers look at, and the one way in which they make operators of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import PeerRole
from flaredb.pd.cluster import StoreRecord, Stores
from flaredb.pd.controller import OperatorController
from flaredb.pd.live_settings import LiveSettings
from flaredb.pd.operator import Influence
from flaredb.pd.region_tree import RegionRecord, RegionTree
from flaredb.pd.schedule_config import ScheduleConfig
from flaredb.pd.store_limits import StoreLimits
from flaredb.pd.store_tally import StoreTally

NO_INFLUENCE = Influence()


@dataclass(slots=True)
class View:
    """The cluster at ``now_ms``. Built once; the scheduler moves the time on."""

    stores: Stores
    regions: RegionTree
    settings: LiveSettings
    controller: OperatorController
    limits: StoreLimits
    rng: Random
    take_id: Callable[[], int]
    evicted: Callable[[], frozenset[StoreId]]
    """Stores that a person wants without leaders."""

    now_ms: int = 0

    @property
    def config(self) -> ScheduleConfig:
        """As it is now."""
        return self.settings.schedule

    def dry(self) -> View:
        """The same, but what is planned takes no ids: to find out what would be done."""
        return replace(self, take_id=lambda: 0)

    # ------------------------------------------------------------ stores

    def store(self, store_id: StoreId) -> StoreRecord | None:
        """The store, removed ones included."""
        return self.stores.find(store_id)

    def tally(self, store_id: StoreId) -> StoreTally:
        """What it holds."""
        return self.regions.tallies.of(store_id)

    def is_live(self, store_id: StoreId) -> bool:
        """It is heard of, so its replicas count for a quorum."""
        record = self.stores.find(store_id)
        return (
            record is not None
            and record.meta.state != StoreState.TOMBSTONE
            and not self.stores.is_disconnected(record, self.now_ms)
        )

    def is_down(self, store_id: StoreId) -> bool:
        """It is gone, or silent for longer than max-store-down-time."""
        record = self.stores.find(store_id)
        return record is None or self.stores.is_down(record, self.now_ms)

    def is_busy(self, region_id: RegionId) -> bool:
        """An operator runs for the region."""
        return self.controller.running(region_id) is not None


def roles(record: RegionRecord) -> dict[StoreId, PeerRole]:
    """The replicas as they are, for a plan that changes some of them."""
    return {peer.store_id: peer.role for peer in record.region.peers}
