"""Named reasons to say no to a store: as the target of a replica or a leader, or as the source of one.

Each filter is a function from the view and a store to a reason in words, "" if it has none. The reasons are what `why`
shows. Numbers: wire facts 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flaredb.model.cluster import StoreState
from flaredb.model.ids import StoreId
from flaredb.pd.cluster import StoreRecord
from flaredb.pd.labels import distinct_score
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.store_limits import Direction, cost
from flaredb.pd.view import View

Filter = Callable[[View, StoreRecord], str]

LOW_SPACE_EXEMPT_REGIONS = 100
LOW_SPACE_EXEMPT_BYTES = 8 * 1024**3
REJECT_LEADER_LABEL = "reject-leader"


def is_tombstone(_view: View, store: StoreRecord) -> str:
    """It was removed."""
    return "it was removed (Tombstone)" if store.meta.state == StoreState.TOMBSTONE else ""


def is_offline(_view: View, store: StoreRecord) -> str:
    """It is being removed."""
    return "it is being removed (Offline)" if store.meta.state == StoreState.OFFLINE else ""


def is_down(view: View, store: StoreRecord) -> str:
    """It is silent for longer than max-store-down-time."""
    if not view.stores.is_down(store, view.now_ms):
        return ""
    return f"it is down: no heartbeat for {view.stores.silence_ms(store, view.now_ms) // 1000} s"


def is_disconnected(view: View, store: StoreRecord) -> str:
    """It is silent."""
    if not view.stores.is_disconnected(store, view.now_ms):
        return ""
    if store.heard_at_ms is None:
        return "it was not heard since PD started"
    return f"it is disconnected: no heartbeat for {(view.now_ms - store.heard_at_ms) // 1000} s"


def is_busy(_view: View, store: StoreRecord) -> str:
    """It says so itself."""
    return "it says it is busy" if store.stats is not None and store.stats.is_busy else ""


def is_stopping(_view: View, store: StoreRecord) -> str:
    """It says so itself."""
    return "its process is about to stop" if store.stats is not None and store.stats.is_stopping else ""


def too_many_snapshots(view: View, store: StoreRecord) -> str:
    """max-snapshot-count is passed, of one kind."""
    stats = store.stats
    if stats is None:
        return ""
    most = max(stats.sending_snap_count, stats.receiving_snap_count, stats.applying_snap_count)
    limit = view.config.max_snapshot_count
    return f"it has {most} snapshots on the way, max-snapshot-count is {limit}" if most > limit else ""


def too_many_pending(view: View, store: StoreRecord) -> str:
    """max-pending-peer-count is passed."""
    pending = len(view.tally(store.meta.id).pending)
    limit = view.config.max_pending_peer_count
    return f"{pending} of its replicas lag, max-pending-peer-count is {limit}" if pending > limit else ""


def low_space(view: View, store: StoreRecord) -> str:
    """It is fuller than low-space-ratio, and is no small store with much room."""
    stats = store.stats
    if stats is None or not stats.capacity_bytes:
        return ""
    regions = view.tally(store.meta.id).peer_count
    if regions < LOW_SPACE_EXEMPT_REGIONS and stats.available_bytes > LOW_SPACE_EXEMPT_BYTES:
        return ""
    free = stats.available_bytes / stats.capacity_bytes
    if free >= 1 - view.config.low_space_ratio:
        return ""
    return f"its disk is {100 - round(free * 100)} % full, low-space-ratio is {view.config.low_space_ratio}"


def rejects_leaders(view: View, store: StoreRecord) -> str:
    """Its label says so, or the evict-leader-scheduler."""
    if store.meta.id in view.evicted():
        return "evict-leader-scheduler keeps leaders off it"
    labels = {key.lower(): value.lower() for key, value in store.meta.labels}
    return "its label reject-leader keeps leaders off it" if labels.get(REJECT_LEADER_LABEL) == "true" else ""


def is_special(_view: View, store: StoreRecord) -> str:
    """It is a columnar store."""
    special = any(key.lower() == "engine" and value.lower() != "tikv" for key, value in store.meta.labels)
    return "its label engine says that it holds no ordinary replicas" if special else ""


LASTING: tuple[Filter, ...] = (is_tombstone, is_offline, is_down, is_special, low_space)
"""Reasons against a replica that will not pass by themselves soon."""

PASSING: tuple[Filter, ...] = (is_disconnected, is_busy, is_stopping, too_many_snapshots, too_many_pending)
"""Reasons to wait for a store rather than to take a worse one."""

REGION_TARGET: tuple[Filter, ...] = LASTING + PASSING
REGION_SOURCE: tuple[Filter, ...] = (is_tombstone, is_busy, too_many_snapshots)
LEADER_TARGET: tuple[Filter, ...] = (
    is_tombstone,
    is_offline,
    is_down,
    is_disconnected,
    is_busy,
    is_stopping,
    is_special,
    rejects_leaders,
)
LEADER_SOURCE: tuple[Filter, ...] = (is_tombstone, is_down, is_disconnected)


def refusal(filters: Iterable[Filter], view: View, store: StoreRecord) -> str:
    """The first reason; "" if there is none."""
    for reason_of in filters:
        reason = reason_of(view, store)
        if reason:
            return reason
    return ""


def leader_target_refusal(view: View, store_id: StoreId) -> str:
    """Why the store must not get leaders."""
    store = view.store(store_id)
    return refusal(LEADER_TARGET, view, store) if store is not None else "it is not known"


def limit_refusal(view: View, store: StoreRecord, direction: Direction, size_mib: int) -> str:
    """The store limit is used up for now."""
    if view.limits.allows(store.meta.id, direction, cost(size_mib), view.now_ms):
        return ""
    rate = view.settings.limits(store.meta.id)[direction]
    return f"its store limit ({direction.name.lower()}-peer, {rate:g} a minute) is used up for now"


def passing_refusal(view: View, record: RegionRecord, store: StoreRecord) -> str:
    """Why a store, fit else, must not get a replica of the region just now."""
    return refusal(PASSING, view, store) or limit_refusal(view, store, Direction.ADD, record.size_mib)


def lasting_refusal(view: View, record: RegionRecord, store: StoreRecord, replaced: StoreId | None = None) -> str:
    """Why a store is not fit for a replica of the region.

    ``replaced``: the store whose replica it would take over; then the replicas must not be worse apart than they are.
    """
    if record.region.peer_on(store.meta.id) is not None:
        return "it holds a replica already"
    reason = refusal(LASTING, view, store)
    if not reason and replaced is not None and view.config.location_labels:
        reason = _isolation_refusal(view, record, store, replaced)
    return reason


def _isolation_refusal(view: View, record: RegionRecord, store: StoreRecord, replaced: StoreId) -> str:
    source = view.store(replaced)
    if source is None:
        return ""
    others = [view.store(peer.store_id) for peer in record.region.peers if peer.store_id != replaced]
    known = [other.meta for other in others if other is not None]
    labels = view.config.location_labels
    if distinct_score(labels, known, store.meta) >= distinct_score(labels, known, source.meta):
        return ""
    return f"the replicas would be less far apart by {', '.join(labels)}"
