"""How a replica comes to this store without a split, and how it goes.

It comes when a leader or candidate of its region addresses it: an empty replica is made, which knows neither range nor
members and waits for a snapshot. Only a message that carries its sender's range may do that, only while no other region
of this store holds a key of that range, and never for a replica that was here before (traps C2, C5).

It goes when it applies its own removal, when a member or PD says that it was removed, or when a later replica of its
region is addressed here, which can only be after that. Its data, log and states are deleted in one batch that leaves a
tombstone: no replica of the region with its id or a lower one comes back.
"""

from __future__ import annotations

from flaredb.engine.base import CF_META, CF_RAFT, Engine, WriteBatch
from flaredb.model.errors import RegionNotFound
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import hard_state_key, install_key, raft_range, region_state_key, tombstone_key
from flaredb.model.region import Peer as PeerMeta
from flaredb.model.region import PeerRole, Region, RegionEpoch
from flaredb.raft import StorageError
from flaredb.store.peer import Peer
from flaredb.store.rows import wipe_range
from flaredb.store.state import StoreState
from flaredb.wire.states import decode_tombstone, decode_tombstone_commit, encode_tombstone

NO_EPOCH = RegionEpoch(version=0, conf_ver=0)


def empty_region(region_id: RegionId) -> Region:
    """What an empty replica knows of its region: nothing but the id."""
    return Region(region_id, b"", b"", NO_EPOCH, ())


def empty_replica(peer_id: PeerId, store_id: StoreId) -> PeerMeta:
    """Its own role it learns with the snapshot."""
    return PeerMeta(peer_id, store_id, PeerRole.LEARNER)


def read_tombstone(engine: Engine, region_id: RegionId) -> tuple[PeerId, Region] | None:
    """The last replica of the region that was removed from this store, and the region as it knew it."""
    data = engine.get(CF_META, tombstone_key(region_id))
    return decode_tombstone(data) if data is not None else None


def last_commit(engine: Engine, region_id: RegionId) -> tuple[int, int]:
    """(index, term) of the last entry that the removed replica knew to be committed; zeros if it knew of none."""
    data = engine.get(CF_META, tombstone_key(region_id))
    return decode_tombstone_commit(data) if data is not None else (0, 0)


def may_be_born_by_split(store: StoreState, region_id: RegionId) -> bool:
    """False if this store knows the region already: then its replica here comes by a snapshot, or was removed.

    An empty replica may have voted, and the initial state that a split writes would take that vote back.
    """
    return (
        region_id not in store.peers
        and store.engine.get(CF_META, tombstone_key(region_id)) is None
        and store.engine.get(CF_RAFT, hard_state_key(region_id)) is None
    )


# ------------------------------------------------ destruction


def stage_destruction(peer: Peer, batch: WriteBatch) -> None:
    """Delete all there is of a replica but its tombstone.

    Post: ``finish_destruction`` must follow once the batch is written.
    """
    region = peer.region
    committed = _committed(peer)
    if region.peers:
        wipe_range(region.start_key, region.end_key, batch)
    start, end = raft_range(region.id)
    batch.delete_range(CF_RAFT, start, end)
    batch.delete(CF_META, region_state_key(region.id))
    batch.delete(CF_META, install_key(region.id))
    batch.put(CF_META, tombstone_key(region.id), encode_tombstone(peer.meta.id, region, *committed))
    peer.is_destroyed = True


def _committed(peer: Peer) -> tuple[int, int]:
    """(index, term) of the last entry that the replica knows to be committed; zeros if it has no log to tell by."""
    log = peer.node.raft.raft_log
    try:
        return log.committed, log.term(log.committed)
    except StorageError:
        return 0, 0


def finish_destruction(store: StoreState, peer: Peer, before: Region, reason: str) -> None:
    """Forget a replica whose destruction is written. ``before`` is its region as the region map has it."""
    region_id = peer.region.id
    del store.peers[region_id]
    store.awake.pop(region_id, None)
    store.contacts.is_stale = True
    if before.peers:
        store.region_map.remove(before)
    store.touched.discard(region_id)
    store.awaiting_sync.discard(region_id)
    store.unsaved_changes.pop(region_id, None)
    store.gathering.pop(region_id, None)
    store.fills.drop(peer)
    if peer.incoming is not None:
        # Raft took it in this very step: no mark on disk names the file yet.
        store.files.discard(peer.incoming.name)
    store.desk.forget(region_id)
    store.must_sync = True
    for request in peer.take_waiting():
        store.answer(request, RegionNotFound(region_id, store.store_id))
    store.answer_undetermined(peer, peer.take_proposed())
    store.note("replica destroyed", region_id=region_id, peer_id=peer.meta.id, reason=reason)


def destroy(store: StoreState, peer: Peer, reason: str) -> None:
    """Destroy a replica at once, outside of the log."""
    batch = store.engine.batch()
    stage_destruction(peer, batch)
    store.engine.write(batch)
    finish_destruction(store, peer, peer.region, reason)
