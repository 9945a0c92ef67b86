"""A view of a cluster, made by hand: for tests of filters, checkers, schedulers and the controller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from flaredb.engine.memory import MemoryEngine
from flaredb.model.cluster import DownPeer, RegionHeartbeat, StoreState, StoreStats
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.pd.cluster import Stores
from flaredb.pd.config import PdConfig
from flaredb.pd.live_settings import LiveSettings
from flaredb.pd.region_tree import RegionRecord, RegionTree
from flaredb.pd.schedule_config import ScheduleConfig
from flaredb.pd.scheduling import Scheduling
from flaredb.pd.state import PdState
from flaredb.pd.version import NO_VERSION
from tests.pd.helpers import WALL_MS, store

V, L = PeerRole.VOTER, PeerRole.LEARNER
MIB = 1024 * 1024
NOW_MS = 1_000_000


class Rig:
    """The parts of PD's scheduling, at NOW_MS, with the stores named heard just now. Peer ids: 100 * region + store."""

    def __init__(self, stores: Iterable[int] = (1, 2, 3, 4), **settings: Any) -> None:
        state = PdState(MemoryEngine())
        settings.setdefault("store_limit", 100_000_000.0)
        config = PdConfig(schedule=ScheduleConfig(**settings))
        self.settings = LiveSettings(state, config.schedule, settings.get("max_replicas", 3))
        self.stores = Stores(state, self.settings, 20_000, NO_VERSION)
        self.stores.started_at_ms = 0
        self.regions = RegionTree()
        self._last_id = 9_000
        self.scheduling = Scheduling(self.stores, self.regions, self.settings, config, Random(1), self._take_id)
        self.view = self.scheduling.view
        self.controller = self.scheduling.controller
        for store_id in stores:
            self.store(store_id)
        self.at(NOW_MS)

    def _take_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def at(self, now_ms: int) -> None:
        """It is this time now."""
        self.scheduling.start_step(now_ms, WALL_MS + now_ms)

    def store(
        self,
        store_id: int,
        *,
        state: StoreState = StoreState.UP,
        heard_ms_ago: int | None = 0,
        labels: Mapping[str, str] | None = None,
        **stats: Any,
    ) -> Any:
        """Register the store, or change it."""
        if self.stores.find(StoreId(store_id)) is None:
            self.stores.put(store(store_id))
        record = self.stores.get(StoreId(store_id))
        self.stores.set_labels(record, tuple((labels or {}).items()), replace_all=True)
        self.stores.set_state(record, state)
        record.stats = StoreStats(StoreId(store_id), **stats)
        record.heard_at_ms = None if heard_ms_ago is None else NOW_MS - heard_ms_ago
        return record

    def region(
        self,
        region_id: int,
        peers: Mapping[int, PeerRole] | Sequence[int],
        leader: int = 0,
        *,
        size_mib: int = 30,
        conf_ver: int = 1,
        version: int = 1,
        pending: Sequence[int] = (),
        down: Sequence[int] = (),
        ids: Mapping[int, int] | None = None,
    ) -> RegionRecord:
        """Report a region [id, id + 1); ``leader`` is a store, the first by default; ``ids``: peer id by store."""
        roles = peers if isinstance(peers, Mapping) else dict.fromkeys(peers, V)
        ids = ids or {}
        made = {
            store_id: Peer(PeerId(ids.get(store_id, 100 * region_id + store_id)), StoreId(store_id), role)
            for store_id, role in roles.items()
        }
        start, end = b"%06d" % region_id, b"%06d" % (region_id + 1)
        region = Region(RegionId(region_id), start, end, RegionEpoch(version, conf_ver), tuple(made.values()))
        beat = RegionHeartbeat(
            region,
            made[leader or next(iter(made))],
            6,
            [DownPeer(made[store_id], 60) for store_id in down],
            [made[store_id] for store_id in pending],
            approximate_size_bytes=size_mib * MIB,
        )
        self.regions.report(beat)
        record = self.regions.by_id(RegionId(region_id))
        assert record is not None
        return record
