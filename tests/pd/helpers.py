"""A placement core on an engine in memory, driven by hand."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from flaredb.engine.memory import MemoryEngine
from flaredb.model.cluster import RegionHeartbeat, StoreMeta
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, Region, RegionEpoch
from flaredb.pd.config import PdConfig
from flaredb.pd.core import PdCore
from flaredb.pd.messages import Answer, Call, Called, Effect, Note, PutStore, Sync, SyncDone

WALL_MS = 1_700_000_000_000


def store(store_id: int, version: str = "6.5.0", **fields: Any) -> StoreMeta:
    fields.setdefault("address", f"127.0.0.1:{20_000 + store_id}")
    return StoreMeta(StoreId(store_id), version=version, **fields)


def region(
    region_id: int,
    start: bytes = b"",
    end: bytes = b"",
    *,
    version: int = 1,
    conf_ver: int = 1,
    stores: Iterable[int] = (1,),
) -> Region:
    """Peers have the id 100 * region + store."""
    peers = tuple(Peer(PeerId(100 * region_id + store_id), StoreId(store_id)) for store_id in stores)
    return Region(RegionId(region_id), start, end, RegionEpoch(version, conf_ver), peers)


def heartbeat(of: Region, leader: int = 0, term: int = 6, **fields: Any) -> RegionHeartbeat:
    """``leader`` indexes the peers."""
    return RegionHeartbeat(of, of.peers[leader], term, **fields)


class Driver:
    """Calls a core and plays the disk. ``now_ms`` and ``wall_ms`` only move when a test moves them."""

    def __init__(self, config: PdConfig | None = None, engine: MemoryEngine | None = None) -> None:
        self.engine = engine or MemoryEngine()
        self.core = PdCore(config or PdConfig(), self.engine, Random(1))
        self.now_ms = 0
        self.wall_ms = WALL_MS

    def step(self, *inputs: Call | SyncDone | Called) -> list[Effect]:
        """One step; a bare call is its own token. Notes are left out."""
        wrapped = [item if isinstance(item, SyncDone | Called) else Called(item, item) for item in inputs]
        effects = self.core.step(self.now_ms, self.wall_ms, wrapped)
        return [effect for effect in effects if not isinstance(effect, Note)]

    def settle(self, *inputs: Call | Called) -> list[tuple[Any, Any]]:
        """Step and sync until nothing is left to do; the answers as (token, result)."""
        effects = self.step(*inputs)
        answers = []
        while effects:
            syncs = [effect for effect in effects if isinstance(effect, Sync)]
            answers += [(effect.token, effect.result) for effect in effects if isinstance(effect, Answer)]
            if not syncs:
                break
            self.engine.sync()
            effects = self.step(*(SyncDone(sync.sequence) for sync in syncs))
        return answers

    def ask(self, call: Call) -> Any:
        """The result of a call that is answered without waiting."""
        answers = self.settle(call)
        assert [token for token, _ in answers] == [call], f"not answered, or more than that: {answers}"
        return answers[0][1]

    def restart(self, config: PdConfig | None = None, *, power_cut: bool = False) -> Driver:
        """The same disk under a new core."""
        twin = Driver(config, self.engine.crash(Random(1), keep="synced" if power_cut else "all"))
        twin.now_ms, twin.wall_ms = self.now_ms, self.wall_ms
        return twin


def cluster_of(stores: int, split_keys: tuple[bytes, ...] = (), **config: Any) -> Driver:
    """A driver whose initial layout is placed."""
    driver = Driver(PdConfig(initial_stores=stores, split_keys=split_keys, max_replicas=min(3, stores), **config))
    for store_id in range(1, stores + 1):
        assert driver.ask(PutStore(store(store_id))) is None
    return driver
