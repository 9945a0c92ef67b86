"""The life of stores: who may be removed, who is buried, and when somebody's state changed."""

from __future__ import annotations

from flaredb.model.cluster import StoreMeta, StoreState
from flaredb.model.ids import StoreId
from flaredb.pd.cluster import StoreRecord
from flaredb.pd.messages import Note, PdError, PdErrorKind
from flaredb.pd.view import View

INTERVAL_MS = 1_000


class StoreKeeper:
    """Looks at the stores once a second."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._names: dict[StoreId, str] = {}
        self.next_due_ms = 0
        self.notes: list[Note] = []
        """What happened since the core last took it."""

    def run(self) -> bool:
        """Bury drained stores; True if some store's state is another than the last time."""
        view = self._view
        self.next_due_ms = view.now_ms + INTERVAL_MS
        for store in view.stores:
            if store.meta.state == StoreState.OFFLINE and self._is_drained(store):
                view.stores.set_state(store, StoreState.TOMBSTONE)
                self._note("store buried", store.meta)
        names = {store.meta.id: view.stores.state_name(store, view.now_ms) for store in view.stores}
        changed = names != self._names
        for store in view.stores:
            before, now = self._names.get(store.meta.id), names[store.meta.id]
            if before not in (None, now) and now in ("Down", "Disconnected", "Up"):
                self._note(f"store is {now}", store.meta, "INFO" if now == "Up" else "WARNING")
        self._names = names
        return changed

    def remove(self, store_id: StoreId) -> StoreMeta:
        """Begin to drain. Errors: PdError with the numbers if too few stores would stay."""
        view = self._view
        store = self._living(store_id)
        if store.meta.state == StoreState.OFFLINE:
            return store.meta
        staying = sum(
            other.meta.state == StoreState.UP and not view.stores.is_down(other, view.now_ms)
            for other in view.stores
            if other.meta.id != store_id
        )
        wanted = view.config.max_replicas
        if staying < wanted:
            raise PdError(
                PdErrorKind.UNKNOWN,
                f"store {store_id} cannot be removed: {staying} stores would stay up, and max-replicas is {wanted}; "
                "add a store first, or lower max-replicas",
            )
        view.stores.set_state(store, StoreState.OFFLINE)
        self._note("store is being removed", store.meta)
        self.next_due_ms = view.now_ms
        return store.meta

    def cancel_removal(self, store_id: StoreId) -> StoreMeta:
        """Errors: PdError if it is not being removed."""
        store = self._living(store_id)
        if store.meta.state != StoreState.OFFLINE:
            raise PdError(PdErrorKind.UNKNOWN, f"store {store_id} is not being removed")
        self._view.stores.set_state(store, StoreState.UP)
        self._note("removal of a store was cancelled", store.meta)
        self.next_due_ms = self._view.now_ms
        return store.meta

    def forget_tombstones(self) -> tuple[StoreId, ...]:
        """Those that hold nothing any more; their ids stay refused."""
        view = self._view
        gone = [
            store
            for store in view.stores
            if store.meta.state == StoreState.TOMBSTONE and not view.tally(store.meta.id).peer_count
        ]
        if gone:
            view.settings.bury(store.meta.id for store in gone)
        for store in gone:
            view.stores.forget(store)
            self._note("store forgotten", store.meta)
        return tuple(store.meta.id for store in gone)

    def left_on(self, store: StoreRecord) -> int:
        """Replicas that must go before the store is buried, as PD knows, or as a living store says."""
        view = self._view
        known = view.tally(store.meta.id).peer_count
        said = store.stats.region_count if store.stats is not None else 0
        return known if view.stores.is_down(store, view.now_ms) else max(known, said)

    def _is_drained(self, store: StoreRecord) -> bool:
        """A store that lives must have said so itself since PD started."""
        heard = store.stats is not None or self._view.stores.is_down(store, self._view.now_ms)
        return heard and self.left_on(store) == 0

    def _living(self, store_id: StoreId) -> StoreRecord:
        store = self._view.stores.get(store_id)
        if store.meta.state == StoreState.TOMBSTONE:
            raise PdError(PdErrorKind.STORE_TOMBSTONE, f"store {store_id} was removed from the cluster already")
        return store

    def _note(self, event: str, store: StoreMeta, level: str = "INFO") -> None:
        self.notes.append(Note(event, (("store_id", store.id), ("address", store.address)), level))
