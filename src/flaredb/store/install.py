"""Installing a received snapshot, so that a crash at any point leaves what can be finished (traps C7).

    1  one batch, synced before Raft is told: the region's metadata, Raft states and log as of the snapshot, the old and
       the new range wiped, and a mark that names the received file
    2  the file's rows, a slice per step; the replica follows its log meanwhile but applies and serves nothing. Few are
       written in batches; many become table files, which the engine takes in as a whole after the last slice
    3  one batch that takes the mark away, and once that is synced the file
    4  what was committed meanwhile is applied

A store that starts with a mark on disk wipes the range and begins again at 2: the file is there until 3 is synced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from flaredb.engine.base import CF_META, BulkLoad, Engine, WriteBatch
from flaredb.model.commands import DATA_CFS
from flaredb.model.ids import RegionId
from flaredb.model.keys import INSTALLS_END, INSTALLS_START, install_key
from flaredb.model.region import Region
from flaredb.raft import Snapshot
from flaredb.store.bootstrap import write_region
from flaredb.store.config import StoreConfig
from flaredb.store.messages import ReceivedSnapshot, SnapshotFiles
from flaredb.store.peer import Fill, Peer
from flaredb.store.rows import wipe_range
from flaredb.wire.records import StateCorrupted
from flaredb.wire.snapshots import decode_chunk
from flaredb.wire.states import decode_install, decode_region, encode_install


@dataclass(frozen=True, slots=True)
class InstallBegun:
    """A snapshot whose first batch is staged: what has to be made true in memory."""

    peer: Peer
    before: Region
    """The region as the region map has it; without peers if it is not there."""

    after: Region


def begin_install(peer: Peer, snapshot: Snapshot, batch: WriteBatch) -> InstallBegun:
    """Stage step 1.

    Pre: no other region of this store overlaps the snapshot's (asserted when the region map takes it).
    """
    file = peer.incoming
    assert file is not None, f"region {peer.region.id}: Raft hands out a snapshot whose rows are not here"
    before, after = peer.region, decode_region(snapshot.data)
    peer.storage.install(snapshot.metadata.index, snapshot.metadata.term, batch)
    if before.peers:
        wipe_range(before.start_key, before.end_key, batch)
    wipe_range(after.start_key, after.end_key, batch)
    write_region(after, batch)
    batch.put(CF_META, install_key(after.id), encode_install(file.name))
    peer.region = peer.storage.region = after
    peer.applied_index = snapshot.metadata.index
    peer.held_to = 0
    return InstallBegun(peer, before, after)


class Fills:
    """Replicas being filled from their files, one at a time and a slice per step.

    ``finished`` are names of files to be discarded once the next sync is done.
    """

    __slots__ = ("_chunks", "_config", "_engine", "_load", "_queue", "finished")

    def __init__(self, config: StoreConfig, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._queue: deque[Peer] = deque()
        self._chunks: Iterator[bytes] | None = None
        """Of the first in the queue."""
        self._load: BulkLoad | None = None
        """Of the first in the queue, if it is large."""
        self.finished: list[str] = []

    def __len__(self) -> int:
        return len(self._queue)

    def start(self, peer: Peer, file: ReceivedSnapshot) -> None:
        """Fill a replica when its turn comes; an earlier file of the same replica is not needed any more."""
        self.drop(peer)
        peer.fill = Fill(file)
        self._queue.append(peer)

    def drop(self, peer: Peer) -> None:
        """Stop filling a replica, if it is being filled; its file goes after the next sync."""
        if peer.fill is None:
            return
        if self._queue[0] is peer:
            self._let_go()
        self._queue.remove(peer)
        self.finished.append(peer.fill.file.name)
        peer.fill = None

    def run_slice(self) -> Peer | None:
        """Write one slice; the replica, if it is whole now. Errors: StateCorrupted for a damaged file."""
        if not self._queue:
            return None
        peer = self._queue[0]
        fill = peer.fill
        assert fill is not None, "a replica in the queue is being filled"
        if self._chunks is None:
            self._chunks = fill.file.chunks()
            if fill.file.size_bytes >= self._config.bulk_load_bytes_min:
                self._load = self._engine.bulk_load()
        batch = self._engine.batch()
        done = self._write_slice(fill, self._chunks, batch)
        if done:
            if self._load is not None:
                self._load.finish()
            batch.delete(CF_META, install_key(peer.region.id))
        self._engine.write(batch)
        if not done:
            return None
        peer.approximate_size_bytes = peer.grown_bytes = fill.size_bytes
        peer.approximate_keys = fill.keys
        self.drop(peer)
        return peer

    def _write_slice(self, fill: Fill, chunks: Iterator[bytes], batch: WriteBatch) -> bool:
        """True when the file has no more."""
        left_bytes = self._config.fill_slice_bytes
        while left_bytes > 0:
            chunk = next(chunks, None)
            if chunk is None:
                return True
            cf, rows = decode_chunk(chunk)
            if self._load is not None:
                self._load.add(DATA_CFS[cf], rows)
            else:
                for key, value in rows:
                    batch.put(DATA_CFS[cf], key, value)
            size_bytes = sum(len(key) + len(value) for key, value in rows)
            fill.size_bytes += size_bytes
            fill.keys += len(rows)
            left_bytes -= size_bytes
        return False

    def close(self) -> None:
        """Forget all; the marks on disk remain."""
        self._queue.clear()
        self._let_go()

    def _let_go(self) -> None:
        self._chunks = None
        if self._load is not None:
            self._load.abandon()
            self._load = None


def unfinished_installs(engine: Engine) -> dict[RegionId, str]:
    """Regions whose rows are not whole, with the name of the file that they are filled from. Errors: StateCorrupted."""
    rows = engine.scan(CF_META, INSTALLS_START, INSTALLS_END)
    return {RegionId(int.from_bytes(key[1:], "big")): decode_install(value) for key, value in rows}


def resume_install(peer: Peer, name: str, engine: Engine, files: SnapshotFiles) -> ReceivedSnapshot:
    """Wipe a replica that a crash left half filled; the file to fill it from again. Errors: StateCorrupted."""
    file = files.open(name)
    region = peer.region
    if file is None:
        raise StateCorrupted(f"region {region.id} was being filled from the snapshot {name}, which is gone")
    batch = engine.batch()
    wipe_range(region.start_key, region.end_key, batch)
    engine.write(batch)
    return file
