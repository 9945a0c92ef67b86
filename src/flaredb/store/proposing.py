"""The end of a step's inputs: what was collected becomes log entries and read rounds, one of each per region.

Few writes among many requests wait for each other. Most of what an entry costs it costs once: messages, steps and syncs
on three stores. Of 95 % reads a frame brings two writes of a region, which would pay for all of that alone. So while
many requests are under way and an entry of the region is not committed yet, fewer than ``gather_writes`` writes are
kept back until it is, or for ``gather_ms``, as Nagle's algorithm does (RFC 896). A writer among few never waits.

A write that is kept back has passed the gate for a leadership and a region that may be others by the time it is
proposed. Then it goes through the gate again: it has had no effect.
"""

from __future__ import annotations

from flaredb.model.errors import StaleCommand
from flaredb.store import reads
from flaredb.store.admission import admit, hold
from flaredb.store.commands.write import propose_writes
from flaredb.store.peer import Peer
from flaredb.store.state import Gathering, StoreState


def propose(store: StoreState) -> None:
    """Propose the writes and start the read rounds of the touched regions, and the writes kept back long enough."""
    gathering, touched = store.gathering, store.touched
    if gathering:
        touched.update([region_id for region_id, held in gathering.items() if held.until_ms <= store.now_ms])
    for region_id in touched:
        peer = store.peers.get(region_id)
        if peer is None:
            continue
        if peer.writes and not _keeps_back(store, peer):
            _propose_writes(store, peer)
        if peer.reads.waiting:
            reads.confirm_by_lease(peer)
            reads.start_round(peer, store.now_ms)


def heed_commits(store: StoreState) -> None:
    """Entries were committed by this step: what was kept back for them is proposed by the next, at once."""
    for region_id in store.gathering:
        if not _is_entry_under_way(store.peers[region_id]):
            store.touched.add(region_id)


def _keeps_back(store: StoreState, peer: Peer) -> bool:
    """True if the region's writes wait for more of them."""
    config = store.config
    if (
        store.waiting_requests < config.gather_crowd
        or len(peer.writes) >= config.gather_writes
        or peer.collected_bytes >= config.gather_bytes
        or not peer.is_leader
        or not _is_entry_under_way(peer)
    ):
        return False
    held = store.gathering.get(peer.region.id)
    if held is None:
        held = Gathering(store.now_ms + config.gather_ms, peer.term, peer.region.epoch.version)
        store.gathering[peer.region.id] = held
    return store.now_ms < held.until_ms


def _is_entry_under_way(peer: Peer) -> bool:
    log = peer.node.raft.raft_log
    return log.committed < log.tail_index


def _propose_writes(store: StoreState, peer: Peer) -> None:
    held = store.gathering.pop(peer.region.id, None)
    if held is not None and not (peer.is_leader and held.passed_for(peer.term, peer.region.epoch.version)):
        for request in peer.take_writes():
            admit(store, request)
    for request in propose_writes(store.config, peer, store.now_ms):
        hold(store, peer.parked, request, StaleCommand())
