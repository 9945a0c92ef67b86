"""As many replicas as wanted, on stores that stay, as far apart as can be."""

from __future__ import annotations

from flaredb.model.cluster import StoreState
from flaredb.model.ids import StoreId
from flaredb.model.region import Peer, PeerRole
from flaredb.pd.builder import BuildError
from flaredb.pd.checkers.finding import Finding
from flaredb.pd.filters import limit_refusal
from flaredb.pd.operator import Kind, Priority
from flaredb.pd.placement import better_place, peer_to_remove, store_to_add
from flaredb.pd.planning import planned
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.store_limits import Direction
from flaredb.pd.view import View, roles


def check(view: View, record: RegionRecord) -> Finding | None:
    """The most urgent first: a replica that is down, one on a store that leaves, a missing one, a surplus one."""
    config = view.config
    if config.enable_remove_down_replica:
        for peer in record.region.peers:
            if _is_lost(view, record, peer):
                return _fix(view, record, peer, "down", f"store {peer.store_id}, which holds a replica, is down")
    if config.enable_replace_offline_replica:
        for peer in record.region.peers:
            store = view.store(peer.store_id)
            if store is not None and store.meta.state != StoreState.UP:
                return _fix(view, record, peer, "offline", f"store {peer.store_id}, which holds a replica, leaves")
    wanted = [peer for peer in record.region.peers if not _is_kept(view, peer)]
    if config.enable_make_up_replica and len(wanted) < config.max_replicas:
        return _make_up(view, record, len(wanted))
    voters = [peer for peer in wanted if peer.role == PeerRole.VOTER]
    if config.enable_remove_extra_replica and len(voters) > config.max_replicas:
        return _remove_extra(view, record, voters)
    if config.enable_location_replacement and config.location_labels and not record.pending_peers:
        return _improve(view, record)
    return None


def _is_kept(view: View, peer: Peer) -> bool:
    return peer.role == PeerRole.LEARNER and view.settings.is_kept_learner(peer.id)


def _is_lost(view: View, record: RegionRecord, peer: Peer) -> bool:
    """Both PD and the region's leader have not heard it: a store that only PD cannot reach keeps its replicas."""
    return view.is_down(peer.store_id) and record.is_down(peer.id)


def _fix(view: View, record: RegionRecord, peer: Peer, word: str, reason: str) -> Finding:
    """Replace the replica, or only remove it if there are more than enough."""
    voters = [other for other in record.region.peers if not _is_kept(view, other)]
    wanted = roles(record)
    del wanted[peer.store_id]
    limit = _remove_limit(view, record, peer.store_id)
    if limit:
        return Finding(None, f"{reason}, but {limit}")
    if len(voters) > view.config.max_replicas or _is_kept(view, peer):
        return _found(view, record, f"remove-extra-{word}-replica", wanted, reason)
    target, why_not = store_to_add(view, record, peer.store_id)
    if target is None:
        return Finding(None, f"{reason}, but no store can take its place: {why_not}")
    wanted[target] = PeerRole.VOTER
    return _found(view, record, f"replace-{word}-replica", wanted, reason)


def _make_up(view: View, record: RegionRecord, have: int) -> Finding:
    reason = f"it has {have} of {view.config.max_replicas} replicas"
    target, why_not = store_to_add(view, record)
    if target is None:
        return Finding(None, f"{reason}, and no store can take another: {why_not}")
    return _found(view, record, "make-up-replica", {**roles(record), target: PeerRole.VOTER}, reason)


def _remove_extra(view: View, record: RegionRecord, voters: list[Peer]) -> Finding:
    wanted = roles(record)
    store_id = peer_to_remove(view, record, voters).store_id
    del wanted[store_id]
    reason = f"it has {len(voters)} replicas where {view.config.max_replicas} are wanted"
    limit = _remove_limit(view, record, store_id)
    if limit:
        return Finding(None, f"{reason}, but {limit}")
    return _found(view, record, "remove-extra-replica", wanted, reason)


def _improve(view: View, record: RegionRecord) -> Finding | None:
    place = better_place(view, record)
    if place is None:
        return None
    wanted = roles(record)
    wanted[place[1]] = wanted.pop(place[0])
    return _found(
        view, record, "move-to-better-location", wanted, f"its replica on store {place[0]} is close to others"
    )


def _remove_limit(view: View, record: RegionRecord, store_id: StoreId) -> str:
    """Asked before a plan is made, because a plan takes ids."""
    store = view.store(store_id)
    reason = limit_refusal(view, store, Direction.REMOVE, record.size_mib) if store is not None else ""
    return f"store {store_id} has to wait: {reason}" if reason else ""


def _found(view: View, record: RegionRecord, desc: str, wanted: dict[StoreId, PeerRole], reason: str) -> Finding:
    try:
        operator = planned(view, record, desc, wanted, Priority.REPAIR, Kind.REPLICA)
    except BuildError as error:
        return Finding(None, f"{reason}, but there is no safe way: {error}")
    return Finding(operator, reason)
