"""A store's life with PD in virtual time: who it is, its first regions, heartbeats, ids for splits, routes.

What server/pd_link.py and server/registration.py do over gRPC. Every call may be lost or time out; then it is tried
again, or told to the core as a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flaredb.engine.base import Engine, EngineError
from flaredb.model.cluster import RegionHeartbeat, StoreMeta, StoreStats
from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.pd.messages import (
    AllocIds,
    AskBatchSplit,
    Bootstrap,
    Call,
    GetRegionById,
    IsBootstrapped,
    KeyRange,
    PdError,
    PutStore,
    ReportBatchSplit,
    ReportStore,
    ScanRegions,
)
from flaredb.pd.messages import ReportRegion as PdReportRegion
from flaredb.sim.world import MS
from flaredb.store.bootstrap import is_bootstrapped, read_store_ident, write_store_ident
from flaredb.store.messages import (
    HeartbeatsWanted,
    RegionChecked,
    RegionsListed,
    RoutesLearned,
    SplitIdsGranted,
)

if TYPE_CHECKING:
    from flaredb.sim.store_node import StoreNode

CALL_TIMEOUT_MS = 2_000
RETRY_MS = 200
ROUTES_MS_MIN = 200
STORE_VERSION = "6.5.0"

TIMED_OUT = "timed out"


class PdLink:
    """Joins one store node with PD."""

    def __init__(self, node: StoreNode) -> None:
        self._node = node
        self._engine: Engine | None = None
        self._is_registered = False
        self._is_lost = False
        """The last call failed: heartbeats are wanted once PD answers again."""
        self._routes_wanted = False
        self._routes_after_us = 0

    def start(self, engine: Engine) -> None:
        """The process starts: find out who it is, then register. Errors: EngineError."""
        self._engine = engine
        self._is_registered = False
        self._is_lost = True
        self._routes_wanted = False
        ident = read_store_ident(engine)
        if ident is None:
            self._call(AllocIds(), self._on_id)
        else:
            self._open(ident[1])

    def stop(self) -> None:
        """The process is gone."""
        self._engine = None

    # ------------------------------------------------ joining

    def _on_id(self, answer: Any) -> None:
        if not isinstance(answer, int):
            self._node.later(RETRY_MS * MS, lambda: self._call(AllocIds(), self._on_id))
            return
        assert self._engine is not None
        try:
            write_store_ident(self._engine, ClusterId(1), StoreId(answer))
        except EngineError as error:
            self._node.die("synced", str(error))
        else:
            self._open(StoreId(answer))

    def _open(self, store_id: StoreId) -> None:
        self._node.open_store(store_id)
        if self._node.is_up:
            self._register()

    def _register(self) -> None:
        assert self._engine is not None
        if is_bootstrapped(self._engine):
            self._call(PutStore(self._meta()), self._on_put)
        else:
            self._call(IsBootstrapped(), self._on_is_bootstrapped)

    def _on_is_bootstrapped(self, answer: Any) -> None:
        if answer is True:
            self._call(PutStore(self._meta()), self._on_put)
        elif answer is False:
            self._call(AllocIds(2), self._on_bootstrap_ids)
        else:
            self._again(self._register)

    def _on_bootstrap_ids(self, last: Any) -> None:
        if not isinstance(last, int):
            self._again(self._register)
            return
        peer = Peer(PeerId(last), self._node.store_id)
        region = Region(RegionId(last - 1), b"", b"", INITIAL_EPOCH, (peer,))
        self._call(Bootstrap(self._meta(), region), lambda _: self._register())

    def _on_put(self, answer: Any) -> None:
        if answer is not None:
            self._again(self._register)
            return
        if not self._is_registered:
            self._is_registered = True
            self._beat()
        assert self._engine is not None
        if not is_bootstrapped(self._engine):
            self._ask_first_regions()

    def _ask_first_regions(self) -> None:
        self._call(ScanRegions((KeyRange(b"", b""),)), self._on_first_regions)

    def _on_first_regions(self, answer: Any) -> None:
        if not isinstance(answer, tuple) or not answer:
            self._again(self._ask_first_regions)
            return
        regions = tuple(route.region for route in answer)
        mine = any(region.peer_on(self._node.store_id) for region in regions)
        self._node.submit(RegionsListed(regions if mine else ()))

    def _meta(self) -> StoreMeta:
        name = self._node.name
        return StoreMeta(self._node.store_id, f"{name}:20160", f"{name}:20170", version=STORE_VERSION)

    # ------------------------------------------------ what goes on

    def _beat(self) -> None:
        node = self._node
        if node.store is not None:
            stats = StoreStats(
                node.store_id,
                capacity_bytes=1 << 30,
                available_bytes=(1 << 30) - sum(p.approximate_size_bytes for p in node.store.peers.values()),
                region_count=len(node.store.peers),
            )
            self._call(ReportStore(stats), self._on_beat)
        node.later(node.cluster.options.store_heartbeat_ms * MS, self._beat)

    def _on_beat(self, answer: Any) -> None:
        if isinstance(answer, PdError):
            self._call(PutStore(self._meta()), lambda _: None)
        elif answer is not TIMED_OUT:
            self.refresh_routes()

    def report_region(self, heartbeat: RegionHeartbeat) -> None:
        """A leader's heartbeat; lost if PD is away."""
        if self._is_registered:
            self._call(PdReportRegion(heartbeat), lambda _: None)

    def ask_split(self, region: Region, count: int) -> None:
        """Ids for new regions; the core is told either way."""

        def tell(answer: Any) -> None:
            ids, error = (answer, "") if isinstance(answer, tuple) else ((), str(answer) or TIMED_OUT)
            self._node.submit(SplitIdsGranted(region.id, region.epoch.version, ids, error))

        self._call(AskBatchSplit(region, count), tell)

    def report_split(self, regions: tuple[Region, ...]) -> None:
        """The results of a split; lost if PD is away."""
        self._call(ReportBatchSplit(regions), lambda _: None)

    def check_region(self, region_id: RegionId) -> None:
        """What PD knows of a region; the core is told nothing if PD is away."""

        def tell(answer: Any) -> None:
            if answer is None:
                self._node.submit(RegionChecked(region_id, None))
            elif not isinstance(answer, PdError) and answer is not TIMED_OUT:
                self._node.submit(RegionChecked(region_id, answer.region))

        self._call(GetRegionById(region_id), tell)

    def refresh_routes(self) -> None:
        """Ask for routes, not too often."""
        if self._routes_wanted:
            return
        self._routes_wanted = True
        node = self._node
        wait_us = max(self._routes_after_us - node.world.now_us, 0)
        self._routes_after_us = node.world.now_us + wait_us + ROUTES_MS_MIN * MS
        node.later(wait_us, self._ask_routes)

    def _ask_routes(self) -> None:
        self._routes_wanted = False

        def tell(answer: Any) -> None:
            if isinstance(answer, tuple) and answer:
                self._node.submit(RoutesLearned(answer))

        self._call(ScanRegions((KeyRange(b"", b""),), limit=1_024), tell)

    # ------------------------------------------------ calls

    def _again(self, action: Callable[[], None]) -> None:
        self._node.later(RETRY_MS * MS, action)

    def _call(self, call: Call, done: Callable[[Any], None]) -> None:
        node = self._node
        life = node.life

        def finish(answer: Any) -> None:
            if node.life == life and node.is_up:
                self._note_reach(answer)
                done(answer)

        node.cluster.pd.call(node.name, call, finish, CALL_TIMEOUT_MS)

    def _note_reach(self, answer: Any) -> None:
        if answer is TIMED_OUT:
            self._is_lost = True
        elif self._is_lost and self._is_registered:
            self._is_lost = False
            self._node.submit(HeartbeatsWanted())
