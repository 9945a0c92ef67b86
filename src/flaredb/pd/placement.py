"""Which store should get a replica, and which should lose one: far apart first, then evenly filled.

A store that is the best place but cannot take a replica just now is waited for: taking a worse one would only be
followed by another move.
"""

from __future__ import annotations

from collections.abc import Iterable

from flaredb.model.cluster import StoreMeta
from flaredb.model.ids import StoreId
from flaredb.model.region import Peer
from flaredb.pd.cluster import StoreRecord
from flaredb.pd.filters import lasting_refusal, passing_refusal
from flaredb.pd.labels import distinct_score
from flaredb.pd.operator import Influence
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.view import NO_INFLUENCE, View


def region_score(view: View, store_id: StoreId, coming: Influence = NO_INFLUENCE) -> float:
    """How full a store is: MiB of its replicas, as reported and to come, by its weight."""
    return (view.tally(store_id).peer_mib + coming.peer_mib) / view.settings.weights(store_id)[1]


def leader_score(view: View, store_id: StoreId, coming: Influence = NO_INFLUENCE) -> float:
    """How many leaders a store has, as reported and to come, by its weight."""
    return (len(view.tally(store_id).leaders) + coming.leaders) / view.settings.weights(store_id)[0]


def store_to_add(view: View, record: RegionRecord, replaced: StoreId | None = None) -> tuple[StoreId | None, str]:
    """The best store for another replica, or for the one on ``replaced``; else None and why there is none."""
    others = _metas(view, (peer for peer in record.region.peers if peer.store_id != replaced))
    labels = view.config.location_labels
    fit: list[tuple[int, StoreRecord]] = []
    reasons: list[str] = []
    for store in view.stores:
        reason = lasting_refusal(view, record, store, None)
        if not reason:
            fit.append((distinct_score(labels, others, store.meta), store))
        elif record.region.peer_on(store.meta.id) is None:
            reasons.append(f"store {store.meta.id}: {reason}")
    best = max((score for score, _ in fit), default=0)
    influences = view.controller.influences() if len(fit) > 1 else {}
    ready: list[tuple[float, StoreId]] = []
    for score, store in fit:
        store_id = store.meta.id
        reason = passing_refusal(view, record, store)
        if reason:
            reasons.append(f"store {store_id}: {reason}")
        elif score == best:
            ready.append((region_score(view, store_id, influences.get(store_id, NO_INFLUENCE)), store_id))
        else:
            reasons.append(f"store {store_id}: another store is better apart from the other replicas")
    if ready:
        return min(ready)[1], ""
    return None, "; ".join(reasons) or "no other store is there"


def peer_to_remove(view: View, record: RegionRecord, among: Iterable[Peer]) -> Peer:
    """The replica that is missed least: down or lagging, then close to others, then on the fullest store; the leader
    last of equals. Pre: ``among`` is not empty."""
    candidates = list(among)
    labels = view.config.location_labels
    leader_id = record.leader.id if record.leader else 0

    def loss(peer: Peer) -> tuple[object, ...]:
        store = view.store(peer.store_id)
        others = _metas(view, (other for other in record.region.peers if other.id != peer.id))
        apart = distinct_score(labels, others, store.meta) if store else 0
        well = view.is_live(peer.store_id) and not record.is_down(peer.id) and not record.is_pending(peer.id)
        return well, apart, peer.id == leader_id, -region_score(view, peer.store_id), -peer.store_id

    return min(candidates, key=loss)


def better_place(view: View, record: RegionRecord) -> tuple[StoreId, StoreId] | None:
    """(from, to): a move by which the replicas end up farther apart, the worst placed one first; None if there is
    none. Pre: location labels are set."""
    labels = view.config.location_labels
    worst = peer_to_remove(view, record, record.region.peers)
    store = view.store(worst.store_id)
    target, _ = store_to_add(view, record, worst.store_id)
    if store is None or target is None:
        return None
    others = _metas(view, (peer for peer in record.region.peers if peer.id != worst.id))
    there = view.store(target)
    if there is None or distinct_score(labels, others, there.meta) <= distinct_score(labels, others, store.meta):
        return None
    return worst.store_id, target


def _metas(view: View, peers: Iterable[Peer]) -> list[StoreMeta]:
    stores = (view.store(peer.store_id) for peer in peers)
    return [store.meta for store in stores if store is not None]
