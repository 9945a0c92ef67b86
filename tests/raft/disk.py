"""A disk that forgets: what was written is readable at once, what was synced survives a crash, in the order written."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from flaredb.raft import ConfState, Entry, HardState, MemStorage, Snapshot, SnapshotMetadata


@dataclass(slots=True, frozen=True)
class Applied:
    """The state machine: how far it is, the configuration there, and a digest of all it has applied."""

    index: int = 0
    conf_state: ConfState = field(default_factory=ConfState)
    digest: int = 0


@dataclass(slots=True)
class Write:
    """One atomic write: a Ready's contents (then with its number), progress of the state machine, or a compaction."""

    number: int = 0
    hard_state: HardState | None = None
    snapshot: Snapshot | None = None
    entries: list[Entry] = field(default_factory=list)
    applied: Applied | None = None
    compact_index: int = 0


class View(MemStorage):
    """What a node reads: everything written. Its snapshots are the state machine as it is now."""

    __slots__ = ("disk",)

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.disk = disk

    def snapshot(self, request_index: int, to: int) -> Snapshot | None:
        applied = self.disk.applied
        if applied.index < request_index or self.disk.rng.random() < self.disk.snapshot_refused:
            return None
        meta = SnapshotMetadata(applied.conf_state.copy(), applied.index, self.term(applied.index))
        return Snapshot(str(applied.digest).encode(), meta)


class Disk:
    """The storage of one node.

    Invariants: `view` is `durable` plus `unsynced`, in order; `applied` likewise of `durable_applied`.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.snapshot_refused = 0.0
        """Chance that no snapshot is ready when one is asked for."""
        self.durable = MemStorage()
        self.durable_applied = Applied()
        self.unsynced: deque[Write] = deque()
        self.view = View(self)
        self.applied = self.durable_applied

    def write(self, write: Write) -> None:
        """Readable from now on; lost in a crash unless synced before."""
        _put(self.view, write)
        self.applied = write.applied or self.applied
        self.unsynced.append(write)

    def sync_oldest(self) -> Write:
        """The oldest write that was not durable is now."""
        write = self.unsynced.popleft()
        _put(self.durable, write)
        self.durable_applied = write.applied or self.durable_applied
        return write

    def crash(self) -> None:
        """Lose what was not synced."""
        self.unsynced.clear()
        self.applied = self.durable_applied
        self.view = View(self)
        kept = self.durable
        first, last = kept.first_index(), kept.last_index()
        before = SnapshotMetadata(self.applied.conf_state.copy(), first - 1, kept.term(first - 1))
        self.view.apply_snapshot(Snapshot(metadata=before))
        self.view.append(kept.entries(first, last + 1, None))
        hs = kept.hard_state()
        self.view.set_hardstate(HardState(hs.term, hs.vote, hs.commit))


def _put(store: MemStorage, write: Write) -> None:
    if write.snapshot is not None:
        store.apply_snapshot(write.snapshot)
    store.append(write.entries)
    if write.hard_state is not None:
        store.set_hardstate(write.hard_state)
    if write.compact_index:
        store.compact(write.compact_index)
