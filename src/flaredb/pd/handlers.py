"""What each request does to the cluster, and what answers it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

from flaredb.model.cluster import NodeState, SplitIds
from flaredb.model.ids import INVALID_ID, ClusterId, PeerId, RegionId
from flaredb.model.region import Region
from flaredb.pd import layout, lookups
from flaredb.pd.cluster import Stores, version_on_disk
from flaredb.pd.config import PdConfig
from flaredb.pd.gc import GcSafePoints
from flaredb.pd.ids import IdAllocator
from flaredb.pd.live_settings import LiveSettings
from flaredb.pd.messages import (
    AllocIds,
    AskBatchSplit,
    Bootstrap,
    Call,
    GetAllStores,
    GetClusterConfig,
    GetGcSafePoint,
    GetGcState,
    GetPrevRegion,
    GetRegion,
    GetRegionById,
    GetStore,
    IsBootstrapped,
    Note,
    PdError,
    PdErrorKind,
    PutClusterConfig,
    PutStore,
    QueryRegions,
    ReportBatchSplit,
    ReportRegion,
    ReportStore,
    ScanRegions,
    StoreOrders,
    StoreView,
    TakeTimestamps,
    UpdateGcSafePoint,
    UpdateServiceSafePoint,
)
from flaredb.pd.region_tree import RegionTree, StaleRegion, TreeChange
from flaredb.pd.schedule_calls import ScheduleCalls
from flaredb.pd.scheduling import Scheduling
from flaredb.pd.state import PdState
from flaredb.pd.tso import TimestampOracle
from flaredb.wire.pd_states import ClusterRecord, PdIdent

SPLIT_COUNT_MAX = 1_024
PEERS_MAX = 1_024


class NotYet:
    """The answer is merely not known yet; ``best`` is what to say when waiting was in vain."""

    __slots__ = ("best",)

    def __init__(self, best: Any) -> None:
        self.best = best


class Handlers:
    """The cluster and the requests about it.

    Invariants: a cluster record is on disk if and only if the tree had regions once; every leader in the tree is a
    peer of its region.

    Errors of the constructor: StateCorrupted; ConfigError for a directory that is not PD's.
    """

    def __init__(self, state: PdState, config: PdConfig, fresh_ident: PdIdent, rng: Random) -> None:
        self._config = config
        self._state = state
        self.ident = state.ident(fresh_ident)
        self._cluster = state.cluster()
        max_replicas = self._cluster.max_replicas if self._cluster else config.max_replicas
        self.settings = LiveSettings(state, config.schedule, max_replicas)
        version = version_on_disk(self._cluster.cluster_version if self._cluster else "")
        self.stores = Stores(state, self.settings, config.store_disconnected_ms, version)
        self.regions = RegionTree()
        for region in sorted(state.regions(), key=lambda region: region.epoch.version):
            self._load(region)
        self.ids = IdAllocator(state, config.id_window)
        self.scheduling = Scheduling(self.stores, self.regions, self.settings, config, rng, self.ids.take)
        """What moves regions."""

        self._schedule_calls = ScheduleCalls(self.scheduling, self._save_max_replicas)
        self.tso = TimestampOracle(state, config.tso_save_interval_ms)
        self.gc = GcSafePoints(state)
        self.notes: list[Note] = []
        """What happened since the core last took them."""

        self.regions_changed = False
        """Set when a held lookup may have an answer; the core clears it."""

        self._now_ms = 0
        self._wall_ms = 0
        self._table = self._handler_table()

    @property
    def max_replicas(self) -> int:
        """Replicas wanted per region."""
        return self.settings.schedule.max_replicas

    @property
    def bootstrapped_at_ms(self) -> int | None:
        """Unix milliseconds; None while the cluster has no regions."""
        return self._cluster.bootstrapped_at_ms if self._cluster else None

    def start_step(self, now_ms: int, wall_ms: int) -> None:
        """The time at which everything until the next call happens."""
        self._now_ms, self._wall_ms = now_ms, wall_ms
        if self.stores.started_at_ms is None:
            self.stores.started_at_ms = now_ms
        self.scheduling.start_step(now_ms, wall_ms)
        self._schedule_calls.start_step(wall_ms)

    def handle(self, call: Call) -> Any:
        """What answers the call: its documented result, a PdError (returned), NotYet, or a Job that answers later."""
        try:
            return self._table[type(call)](call)
        except PdError as error:
            return error

    def _handler_table(self) -> dict[type, Callable[[Any], Any]]:
        return {
            IsBootstrapped: lambda _: self._claimed,
            Bootstrap: self._bootstrap,
            AllocIds: lambda request: self.ids.take(request.count),
            PutStore: self._put_store,
            GetStore: self._get_store,
            GetAllStores: self._get_all_stores,
            ReportStore: self._report_store,
            ReportRegion: self._report_region,
            GetRegion: self._find_region,
            GetPrevRegion: self._find_region,
            GetRegionById: self._find_region,
            QueryRegions: self._query_regions,
            ScanRegions: self._scan_regions,
            TakeTimestamps: lambda request: self.tso.take(request.count, self._wall_ms),
            GetClusterConfig: lambda _: self.max_replicas,
            PutClusterConfig: self._put_cluster_config,
            GetGcSafePoint: lambda _: self.gc.safe_point,
            GetGcState: lambda _: self.gc.view(self._wall_ms),
            UpdateGcSafePoint: lambda request: self.gc.advance(request.safe_point),
            UpdateServiceSafePoint: lambda request: self.gc.claim(
                request.service_id, request.ttl_s, request.safe_point, self._wall_ms
            ),
            AskBatchSplit: self._ask_batch_split,
            ReportBatchSplit: self._report_batch_split,
            **{kind: self._scheduled(answer) for kind, answer in self._schedule_calls.table().items()},
        }

    def _scheduled(self, answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Nothing can be scheduled before there are regions."""

        def handle(request: Any) -> Any:
            if self._cluster is None:
                raise _not_bootstrapped()
            return answer(request)

        return handle

    def take_notes(self) -> list[Note]:
        """What happened since the last call."""
        notes = [*self.notes, *self._schedule_calls.notes]
        self.notes, self._schedule_calls.notes = [], []
        return notes

    # ------------------------------------------------------------ start of the cluster

    @property
    def _claimed(self) -> bool:
        """The cluster has regions, or PD is going to place them itself."""
        return self._cluster is not None or self._config.initial_stores > 0

    def _check_claimed(self) -> None:
        if not self._claimed:
            raise _not_bootstrapped()

    def _bootstrap(self, request: Bootstrap) -> None:
        if self._claimed:
            raise PdError(PdErrorKind.ALREADY_BOOTSTRAPPED, "the cluster is already bootstrapped; use PutStore")
        layout.check_bootstrap(request)
        self.stores.put(request.store)
        self._start_cluster([request.region])

    def _put_store(self, request: PutStore) -> None:
        self._check_claimed()
        is_new = self.stores.find(request.store.id) is None
        if self.stores.put(request.store) and self._cluster is not None:
            self._save_cluster(self._cluster.bootstrapped_at_ms)
        if is_new:
            self._note("store joined", store_id=request.store.id, address=request.store.address)
        if self._cluster is None and len(self.stores.up_ids()) >= self._config.initial_stores:
            self._place_initial_regions()

    def _place_initial_regions(self) -> None:
        regions = layout.initial_regions(
            self._config.split_keys, self.stores.up_ids(), self.max_replicas, self.ids.take
        )
        self._start_cluster(regions)

    def _start_cluster(self, regions: list[Region]) -> None:
        """The first regions and the record that they exist go to disk in one batch."""
        for region in regions:
            self.regions.learn(region)
            self._state.put_region(region)
        self._save_cluster(self._wall_ms)
        self.regions_changed = True
        self._note("cluster bootstrapped", cluster_id=ClusterId(self.ident.cluster_id), regions=len(regions))

    def _save_cluster(self, bootstrapped_at_ms: int) -> None:
        self._cluster = ClusterRecord(bootstrapped_at_ms, self.max_replicas, str(self.stores.version))
        self._state.put_cluster(self._cluster)

    def _load(self, region: Region) -> None:
        """Regions are kept without a sync, so after a power cut the disk may hold one beside its successors."""
        try:
            for removed in self.regions.learn(region).removed:
                self._state.cache_region_removed(removed)
        except StaleRegion:
            self._state.cache_region_removed(region.id)

    # ------------------------------------------------------------ stores

    def _get_store(self, request: GetStore) -> StoreView | NotYet:
        if not self._claimed:
            return NotYet(_not_bootstrapped())
        record = self.stores.get(request.store_id)
        return StoreView(record.meta, record.stats)

    def _get_all_stores(self, request: GetAllStores) -> Any:
        if not self._claimed:
            return NotYet(_not_bootstrapped())
        return tuple(
            record.meta
            for record in self.stores
            if not (request.exclude_tombstones and record.meta.node_state == NodeState.REMOVED)
        )

    def _report_store(self, request: ReportStore) -> StoreOrders:
        self._check_claimed()
        record = self.stores.report(request.stats, self._now_ms, self._wall_ms)
        return StoreOrders(str(self.stores.version), record.meta.node_state)

    # ------------------------------------------------------------ regions

    def _find_region(self, request: lookups.Lookup) -> Any:
        if self._cluster is None:
            return NotYet(None if self._claimed else _not_bootstrapped())
        route, may_improve = lookups.find(self.regions, request)
        return NotYet(route) if may_improve else route

    def _query_regions(self, request: QueryRegions) -> Any:
        found, may_improve = lookups.query(self.regions, request)
        if self._cluster is None:
            return NotYet(found if self._claimed else _not_bootstrapped())
        return NotYet(found) if may_improve else found

    def _scan_regions(self, request: ScanRegions) -> Any:
        if self._cluster is None:
            return NotYet(() if self._claimed else _not_bootstrapped())
        try:
            return lookups.scan(self.regions, request)
        except PdError as hole:
            return NotYet(hole)

    def _report_region(self, request: ReportRegion) -> None:
        self._check_claimed()
        heartbeat = request.heartbeat
        region = heartbeat.region
        self._check_region(region)
        self.stores.get(heartbeat.leader.store_id)
        if heartbeat.leader not in region.peers:
            raise PdError(
                PdErrorKind.UNKNOWN,
                f"region {region.id}: its leader, peer {heartbeat.leader.id} on store {heartbeat.leader.store_id}, "
                "is none of its peers",
            )
        if self._cluster is None:
            raise PdError(PdErrorKind.UNKNOWN, f"region {region.id}: the initial regions are not placed yet")
        try:
            self._take_over(region, self.regions.report(heartbeat))
        except StaleRegion as error:
            raise PdError(PdErrorKind.UNKNOWN, f"region is stale: {error}") from error

    def _take_over(self, region: Region, change: TreeChange) -> None:
        for removed in change.removed:
            self._state.cache_region_removed(removed)
        if change.region_changed:
            self._state.cache_region(region)
        self.regions_changed = self.regions_changed or change.region_changed or change.leader_changed
        self.scheduling.on_region(region.id, change.removed)

    def _check_region(self, region: Region) -> None:
        if region.id == INVALID_ID or not 1 <= len(region.peers) <= PEERS_MAX:
            raise PdError(PdErrorKind.UNKNOWN, f"invalid region {region.id} with {len(region.peers)} peers")
        if len({peer.store_id for peer in region.peers}) < len(region.peers):
            raise PdError(PdErrorKind.UNKNOWN, f"invalid region {region.id}: two of its peers share a store")
        if region.end_key and region.end_key <= region.start_key:
            raise PdError(PdErrorKind.UNKNOWN, f"invalid region {region.id}: its end does not lie behind its start")
        if not (region.epoch.version and region.epoch.conf_ver):
            raise PdError(PdErrorKind.UNKNOWN, f"invalid region {region.id}: its epoch is not set")

    # ------------------------------------------------------------ splits, configuration

    def _ask_batch_split(self, request: AskBatchSplit) -> tuple[SplitIds, ...]:
        self._check_claimed()
        if not 1 <= request.count <= SPLIT_COUNT_MAX:
            raise PdError(PdErrorKind.UNKNOWN, f"a split makes 1 to {SPLIT_COUNT_MAX} new regions, not {request.count}")
        region = request.region
        self._check_region(region)
        known = self.regions.by_id(region.id)
        if known is None:
            raise PdError(PdErrorKind.REGION_NOT_FOUND, f"region {region.id} is not known")
        if region.epoch.is_older_than(known.region.epoch):
            raise PdError(PdErrorKind.UNKNOWN, f"region {region.id} is stale: its epoch is {known.region.epoch}")
        return tuple(
            SplitIds(RegionId(self.ids.take()), tuple(PeerId(self.ids.take()) for _ in region.peers))
            for _ in range(request.count)
        )

    def _report_batch_split(self, request: ReportBatchSplit) -> None:
        """Know the results at once, without a hole until their leaders report; each leads where the parent led."""
        self._check_claimed()
        regions = request.regions
        if len(regions) < 2:
            raise PdError(PdErrorKind.UNKNOWN, f"a split has at least 2 results, not {len(regions)}")
        for region in regions:
            self._check_region(region)
        for left, right in itertools.pairwise(regions):
            if not left.end_key or left.end_key != right.start_key:
                raise PdError(PdErrorKind.UNKNOWN, f"regions {left.id} and {right.id} of a split do not adjoin")
        parent = self.regions.by_key(regions[0].start_key)
        leader = parent.leader if parent else None
        # From the right: the last result keeps the parent's id, so the parent shrinks and is never gone in between.
        for region in reversed(regions):
            try:
                guess = region.peer_on(leader.store_id) if leader else None
                known = self.regions.by_id(region.id)
                if known is None or known.region != region:
                    self._take_over(region, self.regions.learn(region, guess))
            except StaleRegion as error:
                self._note("split report is stale", region_id=region.id, reason=str(error))

    def _put_cluster_config(self, request: PutClusterConfig) -> None:
        if self._cluster is None:
            raise _not_bootstrapped()
        if request.max_replicas < 1:
            raise PdError(PdErrorKind.INVALID_VALUE, "max_peer_count must be at least 1")
        self.settings.set_max_replicas(request.max_replicas)
        self._save_max_replicas()
        self.scheduling.on_settings()

    def _save_max_replicas(self) -> None:
        if self._cluster is not None:
            self._save_cluster(self._cluster.bootstrapped_at_ms)

    def _note(self, event: str, **fields: Any) -> None:
        self.notes.append(Note(event, tuple(fields.items())))


def _not_bootstrapped() -> PdError:
    return PdError(
        PdErrorKind.NOT_BOOTSTRAPPED, "cluster is not bootstrapped: its first store has not created a region yet"
    )
