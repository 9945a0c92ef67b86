"""What people ask of PD while a run goes on: what ``flaredb ctl`` and clients' admin calls come to in PD's core.

Leaders and replicas are moved by operators, regions split and scattered, stores drained and called back, weights
changed, leaders kept off a store. PD may refuse any of it. A store that PD has buried leaves the cluster for good.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId
from flaredb.model.region import Region
from flaredb.pd.messages import (
    AddOperator,
    AddPeerOp,
    AddScheduler,
    Call,
    CancelOperator,
    CancelRemoveStore,
    GetStoreStatus,
    OperatorSpec,
    PdError,
    PdErrorKind,
    RemovePeerOp,
    RemoveScheduler,
    RemoveStore,
    RemoveTombstones,
    ScatterRegion,
    SetStoreWeight,
    SplitAndScatterRegions,
    SplitRegionOp,
    SplitRegions,
    TransferLeaderOp,
    TransferPeerOp,
)
from flaredb.sim.pd_link import TIMED_OUT
from flaredb.sim.world import MS, SECOND

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster
    from flaredb.sim.store_node import StoreNode

CALL_TIMEOUT_MS = 2_000
LOOK_US = 500 * MS
EVICT = "evict-leader-scheduler"


class Admin:
    """One person, or several who do not talk to each other."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._rng: Random = cluster.world.rng("admin")
        self._evicted: dict[int, None] = {}
        self._halved: dict[RegionId, None] = {}
        """Regions that were to be cut in halves; PD keeps at it for minutes where one has but one key."""
        self.is_settling = False
        """Faults are over: what was begun is called off."""

    # ------------------------------------------------ operators

    def act(self) -> None:
        """One order, of a random kind."""
        regions = self._regions()
        if not regions:
            return
        region = self._rng.choice(regions)
        kind = self._rng.choice(("leader", "leader", "move", "move", "grow", "shrink", "split", "scatter", "store"))
        if kind == "split":
            self.split()
        elif kind == "scatter":
            self._call(ScatterRegion((region.id,), self._rng.choice(("", "group"))))
        elif kind == "store":
            self._change_store()
        else:
            spec = self._operator(kind, region)
            if spec is not None:
                self._call(AddOperator(spec))
                if self._rng.random() < 0.1:
                    self._call(CancelOperator(region.id))

    def _operator(self, kind: str, region: Region) -> OperatorSpec | None:
        rng = self._rng
        taken = [peer.store_id for peer in region.peers]
        free = [node.store_id for node in self._cluster.stores if node.store_id and node.store_id not in taken]
        if kind == "leader":
            return TransferLeaderOp(region.id, rng.choice(taken))
        if kind == "shrink":
            return RemovePeerOp(region.id, rng.choice(taken)) if len(taken) > 1 else None
        if not free:
            return None
        if kind == "grow":
            return AddPeerOp(region.id, rng.choice(free))
        return TransferPeerOp(region.id, rng.choice(taken), rng.choice(free))

    def split(self) -> None:
        """Ask for borders at one to three keys, as clients may."""
        cluster, rng = self._cluster, self._rng
        regions = self._regions()
        if not 0 < len(regions) < cluster.options.regions_max:
            return  # none: PD is down
        keys = tuple(sorted({rng.choice(cluster.keys) for _ in range(rng.choice((1, 1, 3)))}))
        dice = rng.random()
        if dice < 0.2:
            self._call(SplitAndScatterRegions(keys, "", 1_000))
        elif dice < 0.4:
            region_id = rng.choice(regions).id
            self._halved[region_id] = None
            self._call(AddOperator(SplitRegionOp(region_id)))
        else:
            self._call(SplitRegions(keys, 1_000))

    def move(self) -> None:
        """Have a replica that is not there yet become a voter: move one, or take one away that PD then replaces."""
        cluster = self._cluster
        regions = self._regions()
        if not regions:
            return
        if len(cluster.stores) < 2:
            cluster.add_store()
        region = self._rng.choice(regions)
        spec = self._operator("move", region) or self._operator("shrink", region)
        if spec is not None:
            self._call(AddOperator(spec))

    def _regions(self) -> list[Region]:
        core = self._cluster.pd.core
        return [record.region for record in core.regions] if core is not None else []

    # ------------------------------------------------ stores

    def drain(self) -> None:
        """Take a store out of service, or change one's mind."""
        draining = [node for node in self._cluster.stores if node.is_draining]
        if draining:
            if self._rng.random() < 0.3:
                self._call_back(draining[0])
            return
        node = self._rng.choice(self._cluster.stores)
        if not node.store_id:
            return
        node.is_draining = True

        def answered(answer: Any) -> None:
            if isinstance(answer, PdError) and answer.kind is not PdErrorKind.STORE_TOMBSTONE:
                node.is_draining = False
                if len(self._cluster.stores) < self._cluster.options.stores_max and not self.is_settling:
                    self._cluster.add_store()

        self._call(RemoveStore(node.store_id), answered)
        self._look(node)

    def _look(self, node: StoreNode) -> None:
        """Has PD buried it?"""

        def answered(answer: Any) -> None:
            if self._is_buried(answer):
                self._cluster.retire(node)
                self._call(RemoveTombstones())
            else:
                self._cluster.world.after(LOOK_US, lambda: self._look(node))

        if node.is_draining:
            self._call(GetStoreStatus(node.store_id), answered)

    def _is_buried(self, answer: Any) -> bool:
        if isinstance(answer, PdError):
            return answer.kind is PdErrorKind.STORE_TOMBSTONE
        return isinstance(answer, tuple) and bool(answer) and answer[0].meta.state is StoreState.TOMBSTONE

    def _call_back(self, node: StoreNode) -> None:
        def answered(answer: Any) -> None:
            if self._is_buried(answer):
                self._cluster.retire(node)
            elif isinstance(answer, PdError) or hasattr(answer, "state"):
                node.is_draining = False
            elif self.is_settling:
                self._cluster.world.after(LOOK_US, lambda: self._call_back(node))

        self._call(CancelRemoveStore(node.store_id), answered)

    def _change_store(self) -> None:
        node = self._rng.choice(self._cluster.stores)
        store_id = node.store_id
        if not store_id:
            return
        if self._rng.random() < 0.5:
            self._call(SetStoreWeight(store_id, self._rng.choice((0.5, 1.0, 3.0)), self._rng.choice((0.5, 1.0, 3.0))))
        elif store_id in self._evicted:
            self._evicted.pop(store_id)
            self._call(RemoveScheduler(f"{EVICT}-{store_id}"))
        else:
            self._evicted[store_id] = None
            self._call(AddScheduler(EVICT, store_id))

    def settle(self) -> None:
        """Faults are over: stores that are being drained are called back, leaders may go everywhere again."""
        self.is_settling = True
        for node in self._cluster.stores:
            if node.is_draining:
                self._call_back(node)
        for store_id in self._evicted:
            self._let_lead(store_id)
        for region_id in self._halved:
            self._call_off(region_id)

    def _call_off(self, region_id: RegionId) -> None:
        def answered(answer: Any) -> None:
            if answer == TIMED_OUT:
                self._cluster.world.after(SECOND, lambda: self._call_off(region_id))

        self._call(CancelOperator(region_id), answered)

    def _let_lead(self, store_id: int) -> None:
        def answered(answer: Any) -> None:
            if answer is not None and not isinstance(answer, PdError):
                self._cluster.world.after(SECOND, lambda: self._let_lead(store_id))

        self._call(RemoveScheduler(f"{EVICT}-{store_id}"), answered)

    def _call(self, call: Call, done: Callable[[Any], None] = lambda _answer: None) -> None:
        self._cluster.world.trace("pd", "admin", type(call).__name__)
        self._cluster.pd.call("admin", call, done, CALL_TIMEOUT_MS)
