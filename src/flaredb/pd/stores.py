"""The stores of the cluster and the rules for registering one (wire facts 4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from flaredb.model.cluster import StoreMeta, StoreState, StoreStats
from flaredb.model.ids import StoreId
from flaredb.pd.messages import PdError, PdErrorKind

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)([-+].*)?")


def parse_version(text: str) -> tuple[int, int, int] | None:
    """major, minor, patch of a semantic version; an empty one counts as 1.0.0; None if it is none."""
    match = _VERSION.fullmatch(text or "1.0.0")
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


class Stores:
    """All stores ever registered; removed ones stay as tombstones, so that an id never comes back."""

    def __init__(self, stores: Iterable[StoreMeta]) -> None:
        self._metas = {store.id: store for store in stores}
        self._stats: dict[StoreId, StoreStats] = {}

    def __len__(self) -> int:
        return len(self._metas)

    def get(self, store_id: StoreId) -> StoreMeta | None:
        return self._metas.get(store_id)

    def stats(self, store_id: StoreId) -> StoreStats | None:
        """The last heartbeat's, if there was one since PD started."""
        return self._stats.get(store_id)

    def all(self, *, exclude_tombstone: bool = False) -> list[StoreMeta]:
        """In id order."""
        metas = [self._metas[store_id] for store_id in sorted(self._metas)]
        return [meta for meta in metas if not (exclude_tombstone and meta.state is StoreState.TOMBSTONE)]

    def cluster_version(self) -> str:
        """The lowest version of all stores that are not removed; 0.0.0 without any."""
        versions = [version for meta in self.all(exclude_tombstone=True) if (version := parse_version(meta.version))]
        return ".".join(map(str, min(versions))) if versions else "0.0.0"

    def put(self, store: StoreMeta) -> StoreMeta | PdError:
        """Register or update; what a store may change about itself is taken over, the rest stays."""
        problem = self._check(store)
        if problem is not None:
            return problem
        known = self._metas.get(store.id)
        if known is not None:
            labels = {**dict(known.labels), **dict(store.labels)}
            store = replace(
                store,
                labels=tuple(sorted(labels.items())),
                state=known.state,
                node_state=known.node_state,
                last_heartbeat_ns=known.last_heartbeat_ns,
            )
        self._metas[store.id] = store
        return store

    def _check(self, store: StoreMeta) -> PdError | None:
        if store.id == 0:
            return PdError(PdErrorKind.UNKNOWN, "invalid put store: the store id is 0")
        known = self._metas.get(store.id)
        if known is not None and known.state is StoreState.TOMBSTONE:
            return PdError(PdErrorKind.STORE_TOMBSTONE, f"store {store.id} was removed; use an empty data dir")
        version = parse_version(store.version)
        if version is None:
            return PdError(PdErrorKind.UNKNOWN, f"store {store.id}: {store.version!r} is not a semantic version")
        cluster = parse_version(self.cluster_version())
        if cluster is not None and version[:2] != cluster[:2] and version < cluster:
            text = f"store {store.id} has version {store.version}, the cluster is at {self.cluster_version()}"
            return PdError(PdErrorKind.INCOMPATIBLE_VERSION, text)
        mine = {address for address in (store.address, store.peer_address) if address}
        for other in self.all(exclude_tombstone=True):
            if other.id != store.id and mine & {other.address, other.peer_address}:
                return PdError(
                    PdErrorKind.UNKNOWN,
                    f"store {store.id} has the address {sorted(mine & {other.address, other.peer_address})[0]}, "
                    f"which belongs to store {other.id}",
                )
        return None

    def heartbeat(self, stats: StoreStats, wall_ms: int) -> bool:
        """Take over a store's report. False if the store is not registered."""
        known = self._metas.get(stats.store_id)
        if known is None:
            return False
        self._stats[stats.store_id] = stats
        self._metas[stats.store_id] = replace(known, last_heartbeat_ns=wall_ms * 1_000_000)
        return True
