"""Spreads regions evenly over the stores: for each group, every store gets as many replicas and leaders of it.

What does not fit under the limits waits in a queue; GetOperator shows it as running meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import PeerRole
from flaredb.pd.builder import BuildError, counts_for_quorum
from flaredb.pd.filters import lasting_refusal, leader_target_refusal, passing_refusal
from flaredb.pd.labels import distinct_score
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.planning import planned
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.steps import PeerAt
from flaredb.pd.view import View, roles

DESC = "scatter-region"
GROUPS_MAX = 128
QUEUE_MAX = 10_000
LOT = 64
INTERVAL_MS = 100
WAIT_MS_MAX = 180_000


@dataclass(slots=True)
class _Group:
    """How many replicas and leaders of the group's regions each store was given."""

    peers: dict[StoreId, int] = field(default_factory=dict)
    leaders: dict[StoreId, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Waiting:
    group: str
    until_ms: int
    obey_limits: bool


class Scatterer:
    """Invariant: a region is counted in its group when its operator is admitted, or needs none."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._groups: OrderedDict[str, _Group] = OrderedDict()
        self._queue: OrderedDict[RegionId, _Waiting] = OrderedDict()
        self._next_ms = 0

    @property
    def next_due_ms(self) -> int | None:
        """When ``run`` has something to do."""
        return self._next_ms if self._queue else None

    def is_waiting(self, region_id: RegionId) -> bool:
        """The region is to be scattered, but its operator did not start yet."""
        return region_id in self._queue

    def submit(self, region_id: RegionId, group: str, *, obey_limits: bool = True) -> bool:
        """Scatter the region soon; False if it is not known, or too many wait."""
        if self._view.regions.by_id(region_id) is None or len(self._queue) >= QUEUE_MAX:
            return False
        self._queue[region_id] = _Waiting(group, self._view.now_ms + WAIT_MS_MAX, obey_limits)
        self._next_ms = self._view.now_ms
        return True

    def run(self) -> None:
        """Start what the limits allow, in turn; what takes too long is given up."""
        view = self._view
        if self._next_ms > view.now_ms:
            return
        self._next_ms = view.now_ms + INTERVAL_MS
        for region_id in list(self._queue)[:LOT]:
            waiting = self._queue.pop(region_id)
            record = view.regions.by_id(region_id)
            if record is None or view.now_ms >= waiting.until_ms:
                continue
            if not record.is_reported or view.is_busy(region_id) or not self._scatter(record, waiting):
                self._queue[region_id] = waiting

    def operator_for(self, record: RegionRecord, group: str, priority: Priority) -> Operator | None:
        """The operator that scatters a region; None if it is where it should be. Errors: BuildError."""
        return self._plan(self._view, record, group, priority)[0]

    def _scatter(self, record: RegionRecord, waiting: _Waiting) -> bool:
        """True if nothing more is to be done."""
        controller, limits = self._view.controller, waiting.obey_limits
        try:
            dry, stores, leader = self._plan(self._view.dry(), record, waiting.group, Priority.ADMIN)
            if dry is not None:
                if controller.refusal(dry, obey_limits=limits):
                    return False  # asked with a plan that took no ids, because this is tried again and again
                operator, stores, leader = self._plan(self._view, record, waiting.group, Priority.ADMIN)
                if operator is not None and controller.add(operator, obey_limits=limits):
                    return False
        except BuildError:
            return False
        self._count(waiting.group, stores, leader)
        return True

    def _plan(
        self, view: View, record: RegionRecord, name: str, priority: Priority
    ) -> tuple[Operator | None, list[StoreId], StoreId]:
        if any(peer.role != PeerRole.VOTER for peer in record.region.peers) or record.leader is None:
            raise BuildError("some of its replicas are no voters, or nobody leads it")
        stores = self._pick_stores(record, name)
        leader = self._pick_leader(record, name, stores)
        wanted = dict.fromkeys(stores, PeerRole.VOTER)
        if wanted == roles(record) and leader == record.leader.store_id:
            return None, stores, leader
        operator = planned(view, record, DESC, wanted, priority, Kind.ADMIN, leader)
        return operator, stores, leader

    def _pick_stores(self, record: RegionRecord, name: str) -> list[StoreId]:
        """As many as the region has replicas; far apart, then least used by the group, then as they are."""
        view = self._view
        group = self._groups.get(name, _Group())
        labels = view.config.location_labels
        current = [peer.store_id for peer in record.region.peers]
        candidates = [store_id for store_id in current if view.store(store_id) is not None]
        for store in view.stores:
            if not lasting_refusal(view, record, store) and not passing_refusal(view, record, store):
                candidates.append(store.meta.id)
        stuck = [
            peer.store_id
            for peer in record.region.peers
            if not counts_for_quorum(record, PeerAt(peer.id, peer.store_id), view.is_live)
        ]
        chosen = [store_id for store_id in current if store_id in stuck]
        while len(chosen) < len(current):
            metas = [store.meta for store in map(view.store, chosen) if store is not None]
            rest = [store_id for store_id in candidates if store_id not in chosen]
            chosen.append(
                min(
                    rest,
                    key=lambda store_id: (
                        -distinct_score(labels, metas, view.stores.get(store_id).meta),
                        group.peers.get(store_id, 0),
                        store_id not in current,
                        store_id,
                    ),
                )
            )
        return chosen

    def _pick_leader(self, record: RegionRecord, name: str, stores: list[StoreId]) -> StoreId:
        group = self._groups.get(name, _Group())
        assert record.leader is not None
        able = []
        for store_id in stores:
            peer = record.region.peer_on(store_id)
            lags = peer is not None and (record.is_pending(peer.id) or record.is_down(peer.id))
            if not lags and not leader_target_refusal(self._view, store_id):
                able.append(store_id)
        now = record.leader.store_id
        return min(
            able or [now if now in stores else stores[0]],
            key=lambda store_id: (group.leaders.get(store_id, 0), store_id != now, store_id),
        )

    def _count(self, name: str, stores: list[StoreId], leader: StoreId) -> None:
        group = self._groups.setdefault(name, _Group())
        self._groups.move_to_end(name)
        while len(self._groups) > GROUPS_MAX:
            self._groups.popitem(last=False)
        for store_id in stores:
            group.peers[store_id] = group.peers.get(store_id, 0) + 1
        group.leaders[leader] = group.leaders.get(leader, 0) + 1
