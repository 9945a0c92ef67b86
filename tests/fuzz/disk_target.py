"""A store's records on disk, damaged between two lives: told at the start or at first use, never another exception."""

from __future__ import annotations

from random import Random

from flaredb.engine.memory import MemoryEngine
from flaredb.model.commands import Get, Request
from flaredb.model.errors import ConfigError
from flaredb.model.ids import RegionId, StoreId
from flaredb.raft import RaftInvariantError
from flaredb.store.messages import Fatal, Input, RequestsReceived, Sync, SyncDone
from flaredb.store.store import Store
from flaredb.wire.entries import EntryCorrupted
from flaredb.wire.records import StateCorrupted
from tests.fuzz.mutate import Hints, Mutator
from tests.store.harness import CONFIG, Cluster, put, region
from tests.store.snapshot_files import MemorySnapshotFiles

REGIONS = (region(1, b"", b"m", (1,)), region(2, b"m", b"", (1,)))
DETECTED = (StateCorrupted, EntryCorrupted, ConfigError, RaftInvariantError)
STEPS = 40


def written_store() -> MemoryEngine:
    """The engine of a store that has written a little and stopped with entries to apply again."""
    cluster = Cluster(REGIONS, stores=1)
    for number in range(6):
        cluster.put(REGIONS[number % 2], b"%c%d" % (b"az"[number % 2], number), b"v")
    cluster.crash(1)
    return cluster.nodes[StoreId(1)].engine


class DiskTarget:
    """Each case starts from the same rows."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.mutator = Mutator(self.rng, Hints({}, (b"",)))
        engine = written_store()
        self.rows = [(cf, key, value) for cf in ("raft", "meta") for key, value in engine.scan(cf, b"", None)]
        self.data = list(engine.scan("default", b"", None))
        self.detected = 0
        self.unharmed = 0

    def one(self) -> None:
        """Damage one or two values or drop one; start; read and write for a while."""
        engine = MemoryEngine()
        rows = list(self.rows)
        for _ in range(self.rng.choice((1, 1, 2))):
            at = self.rng.randrange(len(rows))
            cf, key, value = rows[at]
            if self.rng.random() < 0.15:
                del rows[at]
            else:
                rows[at] = (cf, key, self.mutator.mutated(value))
        batch = engine.batch()
        for cf, key, value in rows:
            batch.put(cf, key, value)
        for key, value in self.data:
            batch.put("default", key, value)
        engine.write(batch)
        engine.sync()
        try:
            self._live(engine)
            self.unharmed += 1
        except DETECTED:
            self.detected += 1

    def _live(self, engine: MemoryEngine) -> None:
        store = Store(CONFIG, StoreId(1), engine, Random(1), 1_000, MemorySnapshotFiles())
        inbox: list[Input] = []
        for step in range(STEPS):
            if step == 20:
                commands = (put(b"a0", b"w"), Get(0, b"a0"))
                requests = [
                    Request(number, command, RegionId(1), REGIONS[0].epoch.version, REGIONS[0].peers[0].id, StoreId(1))
                    for number, command in enumerate(commands)
                ]
                inbox.append(RequestsReceived(requests))
            given, inbox = inbox, []
            for effect in store.step(1_000 + step * 50, given):
                if isinstance(effect, Sync):
                    engine.sync()
                    inbox.append(SyncDone(effect.sequence))
                elif isinstance(effect, Fatal):
                    assert effect.reason
                    self.detected += 1
                    self.unharmed -= 1
                    return
