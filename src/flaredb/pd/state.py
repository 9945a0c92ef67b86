"""Everything PD keeps on disk, in the column family ``meta``: keys, writing and reading back.

    10                     ident: cluster id and member id
    11                     cluster record; present once the first regions exist
    12                     upper bound of the ids handed out
    13                     upper bound of the timestamps handed out, unix milliseconds
    14                     garbage collection: safe point and claims of services
    15 store_id:u64be      store
    16 region_id:u64be     region
    17                     what people changed about scheduling

The keys share no prefix with those of a store (model/keys.py), so a directory tells whose it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from flaredb.engine.base import CF_META, Engine
from flaredb.model.cluster import StoreMeta
from flaredb.model.errors import ConfigError
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.keys import STORE_IDENT_KEY
from flaredb.model.region import Region
from flaredb.wire import pd_states
from flaredb.wire.states import decode_region, encode_region

IDENT_KEY = b"\x10"
CLUSTER_KEY = b"\x11"
ID_BOUND_KEY = b"\x12"
TSO_BOUND_KEY = b"\x13"
GC_KEY = b"\x14"
_STORE_PREFIX = b"\x15"
_REGION_PREFIX = b"\x16"
SCHEDULE_KEY = b"\x17"

_pack_id = struct.Struct(">Q").pack


def store_key(store_id: StoreId) -> bytes:
    """Key of a store's record; records sort by id."""
    return _STORE_PREFIX + _pack_id(store_id)


def region_key(region_id: RegionId) -> bytes:
    """Key of a region's record; records sort by id."""
    return _REGION_PREFIX + _pack_id(region_id)


class PdState:
    """Stages the writes of one step and writes them as a whole.

    ``put_`` methods ask for durability before the step's answers leave; ``cache_`` methods do not: what they write is
    told again by heartbeats.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batch = engine.batch()
        self._must_sync = False

    def write_staged(self) -> bool:
        """Write what was staged since the last call; True if it must be durable before anybody hears of it.

        Errors: EngineFailed.
        """
        if len(self._batch):
            self._engine.write(self._batch)
            self._batch.clear()
        must_sync, self._must_sync = self._must_sync, False
        return must_sync

    def ident(self, fresh: pd_states.PdIdent) -> pd_states.PdIdent:
        """Who this PD is; on a new directory it becomes ``fresh``.

        Errors: ConfigError if the directory holds the data of a store; StateCorrupted.
        """
        if self._engine.get(CF_META, STORE_IDENT_KEY) is not None:
            raise ConfigError(f"{self._engine.path} holds the data of a store; give PD a data-dir of its own")
        data = self._engine.get(CF_META, IDENT_KEY)
        if data is not None:
            return pd_states.decode_ident(data)
        self._put(IDENT_KEY, pd_states.encode_ident(fresh))
        return fresh

    def cluster(self) -> pd_states.ClusterRecord | None:
        """None before the cluster has regions. Errors: StateCorrupted."""
        data = self._engine.get(CF_META, CLUSTER_KEY)
        return None if data is None else pd_states.decode_cluster(data)

    def put_cluster(self, record: pd_states.ClusterRecord) -> None:
        """The cluster has regions, or its settings changed."""
        self._put(CLUSTER_KEY, pd_states.encode_cluster(record))

    def id_bound(self) -> int:
        """No id above it was handed out. Errors: StateCorrupted."""
        return self._bound(ID_BOUND_KEY)

    def put_id_bound(self, bound: int) -> None:
        """Ids up to ``bound`` may be handed out."""
        self._put(ID_BOUND_KEY, pd_states.encode_bound(bound))

    def tso_bound_ms(self) -> int:
        """Every timestamp handed out is of an earlier millisecond. Errors: StateCorrupted."""
        return self._bound(TSO_BOUND_KEY)

    def put_tso_bound_ms(self, bound_ms: int) -> None:
        """Timestamps of milliseconds before ``bound_ms`` may be handed out."""
        self._put(TSO_BOUND_KEY, pd_states.encode_bound(bound_ms))

    def gc(self) -> pd_states.GcRecord:
        """Safe point and claims. Errors: StateCorrupted."""
        data = self._engine.get(CF_META, GC_KEY)
        return pd_states.GcRecord() if data is None else pd_states.decode_gc(data)

    def put_gc(self, record: pd_states.GcRecord) -> None:
        """The safe point or a claim changed."""
        self._put(GC_KEY, pd_states.encode_gc(record))

    def schedule(self) -> pd_states.ScheduleRecord:
        """What people changed about scheduling. Errors: StateCorrupted."""
        data = self._engine.get(CF_META, SCHEDULE_KEY)
        return pd_states.ScheduleRecord() if data is None else pd_states.decode_schedule(data)

    def put_schedule(self, record: pd_states.ScheduleRecord) -> None:
        """A setting of scheduling changed."""
        self._put(SCHEDULE_KEY, pd_states.encode_schedule(record))

    def stores(self) -> Iterator[StoreMeta]:
        """By id. Errors: StateCorrupted."""
        for _, data in self._engine.scan(CF_META, _STORE_PREFIX, _REGION_PREFIX):
            yield pd_states.decode_store(data)

    def put_store(self, store: StoreMeta) -> None:
        """A store registered or changed."""
        self._put(store_key(store.id), pd_states.encode_store(store))

    def delete_store(self, store_id: StoreId) -> None:
        """A removed store is forgotten."""
        self._batch.delete(CF_META, store_key(store_id))
        self._must_sync = True

    def regions(self) -> Iterator[Region]:
        """By id. Errors: StateCorrupted."""
        for _, data in self._engine.scan(CF_META, _REGION_PREFIX, SCHEDULE_KEY):
            yield decode_region(data)

    def put_region(self, region: Region) -> None:
        """A first region, which no heartbeat tells again if it is lost."""
        self.cache_region(region)
        self._must_sync = True

    def cache_region(self, region: Region) -> None:
        """A region as its leader reports it."""
        self._batch.put(CF_META, region_key(region.id), encode_region(region))

    def cache_region_removed(self, region_id: RegionId) -> None:
        """A region gave way to a newer one."""
        self._batch.delete(CF_META, region_key(region_id))

    def _put(self, key: bytes, value: bytes) -> None:
        self._batch.put(CF_META, key, value)
        self._must_sync = True

    def _bound(self, key: bytes) -> int:
        data = self._engine.get(CF_META, key)
        return 0 if data is None else pd_states.decode_bound(data)
