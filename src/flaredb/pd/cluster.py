"""The stores of the cluster: who may join, and who was heard when (wire facts 4.2, 4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flaredb.model.cluster import NodeState, StoreMeta, StoreState, StoreStats
from flaredb.model.ids import INVALID_ID, StoreId
from flaredb.pd.live_settings import LiveSettings
from flaredb.pd.messages import PdError, PdErrorKind
from flaredb.pd.state import PdState
from flaredb.pd.version import NO_VERSION, Version, parse_version

_ENGINES = ("tikv", "tiflash", "tiflash_compute")
_NODE_STATES = {
    StoreState.UP: NodeState.SERVING,
    StoreState.OFFLINE: NodeState.REMOVING,
    StoreState.TOMBSTONE: NodeState.REMOVED,
}


@dataclass(slots=True)
class StoreRecord:
    """A store, its last report, and when that came (core time; None: not since PD started)."""

    meta: StoreMeta
    stats: StoreStats | None = None
    heard_at_ms: int | None = None

    @property
    def is_up(self) -> bool:
        """It belongs to the cluster and is not leaving it."""
        return self.meta.state == StoreState.UP


class Stores:
    """Stores by id. Invariant: no two that are not tombstones share an address."""

    def __init__(self, state: PdState, settings: LiveSettings, disconnected_ms: int, version: Version) -> None:
        self._state = state
        self._settings = settings
        self._disconnected_ms = disconnected_ms
        self.started_at_ms: int | None = None
        """Core time of PD's first step: from then on the silence of a store that was never heard counts."""

        self._version = version
        self._records = {store.id: StoreRecord(store) for store in state.stores()}

    @property
    def version(self) -> Version:
        """The oldest version of all stores: what the whole cluster can do."""
        return self._version

    def __iter__(self) -> Iterator[StoreRecord]:
        """By id."""
        return (self._records[store_id] for store_id in sorted(self._records))

    def find(self, store_id: StoreId) -> StoreRecord | None:
        """The store of that id, removed ones included."""
        return self._records.get(store_id)

    def get(self, store_id: StoreId) -> StoreRecord:
        """The store of that id. Errors: PdError in the words that Go clients look for (wire facts 3.2)."""
        record = self._records.get(store_id)
        if record is None:
            raise PdError(PdErrorKind.UNKNOWN, f"invalid store ID {store_id}, not found")
        return record

    def up_ids(self) -> list[StoreId]:
        """Stores that can be given regions, ascending."""
        return [record.meta.id for record in self if record.is_up]

    def put(self, store: StoreMeta) -> bool:
        """Register a store or take over what it says of itself now; True if the cluster's version changed.

        Errors: PdError for what wire facts 4.2 refuse.
        """
        known = self._records.get(store.id)
        if self._settings.is_buried(store.id) or (known is not None and known.meta.state == StoreState.TOMBSTONE):
            raise PdError(
                PdErrorKind.STORE_TOMBSTONE,
                f"store {store.id} was removed from the cluster; start it on an empty data directory",
            )
        self._check_identity(store)
        self._check_version(store)
        self._check_addresses(store)
        if known is None:
            known = self._records[store.id] = StoreRecord(_as_new(store))
        else:
            known.meta = _merged(known.meta, store)
        self._state.put_store(known.meta)
        return self._refresh_version()

    def report(self, stats: StoreStats, now_ms: int, wall_ms: int) -> StoreRecord:
        """Take over a store's heartbeat. Errors: PdError for a store that is unknown or removed."""
        record = self.get(stats.store_id)
        if record.meta.state == StoreState.TOMBSTONE:
            raise PdError(PdErrorKind.STORE_TOMBSTONE, f"store {stats.store_id} was removed from the cluster")
        record.stats = stats
        record.heard_at_ms = now_ms
        record.meta = replace(record.meta, last_heartbeat_ns=wall_ms * 1_000_000)
        return record

    def silence_ms(self, record: StoreRecord, now_ms: int) -> int:
        """Since the store's last heartbeat, or since PD's start if it was not heard since."""
        since_ms = record.heard_at_ms if record.heard_at_ms is not None else self.started_at_ms
        return now_ms - since_ms if since_ms is not None else 0

    def is_down(self, record: StoreRecord, now_ms: int) -> bool:
        """Silent for longer than max-store-down-time."""
        return self.silence_ms(record, now_ms) > self._settings.schedule.max_store_down_time_ms

    def is_disconnected(self, record: StoreRecord, now_ms: int) -> bool:
        """Silent for a while, or not heard since PD's start."""
        limit_ms = min(self._disconnected_ms, self._settings.schedule.max_store_down_time_ms)
        return record.heard_at_ms is None or now_ms - record.heard_at_ms > limit_ms

    def state_name(self, record: StoreRecord, now_ms: int) -> str:
        """Up, Disconnected, Down, Offline or Tombstone, as tools show it."""
        if record.meta.state != StoreState.UP:
            return record.meta.state.name.capitalize()
        if self.is_down(record, now_ms):
            return "Down"
        return "Disconnected" if self.is_disconnected(record, now_ms) else "Up"

    def set_state(self, record: StoreRecord, state: StoreState) -> None:
        """A person, or the end of a drain, moves the store on in its life."""
        record.meta = replace(record.meta, state=state, node_state=_NODE_STATES[state])
        self._state.put_store(record.meta)

    def set_labels(self, record: StoreRecord, labels: tuple[tuple[str, str], ...], replace_all: bool) -> None:
        """A value "" deletes the label. Errors: PdError for labels that cannot be."""
        merged = labels if replace_all else _merged_labels(record.meta.labels, labels)
        store = replace(record.meta, labels=tuple((key, value) for key, value in merged if value))
        self._check_identity(store)
        record.meta = store
        self._state.put_store(store)

    def forget(self, record: StoreRecord) -> None:
        """Pre: it is a tombstone, and buried in the settings."""
        del self._records[record.meta.id]
        self._state.delete_store(record.meta.id)

    def _check_identity(self, store: StoreMeta) -> None:
        if store.id == INVALID_ID:
            raise PdError(PdErrorKind.UNKNOWN, "a store needs an id other than 0; take one by AllocID")
        if not store.address:
            raise PdError(PdErrorKind.UNKNOWN, f"store {store.id} names no address that clients can dial")
        for key, value in store.labels:
            if key.lower() == "engine" and value.lower() not in _ENGINES:
                raise PdError(
                    PdErrorKind.INVALID_VALUE,
                    f"store {store.id} has the label engine={value}; known are {', '.join(_ENGINES)}",
                )

    def _check_version(self, store: StoreMeta) -> None:
        try:
            version = parse_version(store.version)
        except ValueError as error:
            raise PdError(PdErrorKind.UNKNOWN, f"store {store.id}: {error}") from error
        if not self._version.accepts(version):
            raise PdError(
                PdErrorKind.UNKNOWN,
                f"version should compatible with version {self._version}, got {version}: "
                f"store {store.id} is too old for this cluster",
            )

    def _check_addresses(self, store: StoreMeta) -> None:
        wanted = {store.address, store.peer_address} - {""}
        for other in self._records.values():
            if other.meta.id == store.id or other.meta.state == StoreState.TOMBSTONE:
                continue
            shared = wanted & {other.meta.address, other.meta.peer_address}
            if shared:
                raise PdError(
                    PdErrorKind.UNKNOWN,
                    f"duplicated store address: store {store.id} comes at {shared.pop()}, which belongs to store "
                    f"{other.meta.id}; give it another address, or remove that store first",
                )

    def _refresh_version(self) -> bool:
        """Invariant: the cluster's version never goes below a major or minor number it had."""
        oldest = min(
            parse_version(record.meta.version)
            for record in self._records.values()
            if record.meta.state != StoreState.TOMBSTONE
        )
        changed = oldest != self._version and self._version.accepts(oldest)
        if changed:
            self._version = oldest
        return changed


def version_on_disk(text: str) -> Version:
    """The cluster's version as it was kept; none before the first store."""
    return parse_version(text) if text else NO_VERSION


def _as_new(store: StoreMeta) -> StoreMeta:
    return replace(store, state=StoreState.UP, node_state=NodeState.SERVING, last_heartbeat_ns=0)


def _merged(known: StoreMeta, said: StoreMeta) -> StoreMeta:
    """What a store may change of itself; its state is PD's."""
    return replace(
        said,
        labels=_merged_labels(known.labels, said.labels),
        state=known.state,
        node_state=known.node_state,
        last_heartbeat_ns=known.last_heartbeat_ns,
    )


def _merged_labels(
    known: tuple[tuple[str, str], ...], said: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Keys are compared without regard to case; what is said now wins."""
    labels = {key.lower(): (key, value) for key, value in (*known, *said)}
    return tuple(labels.values())
