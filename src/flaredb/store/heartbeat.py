"""What a leader tells PD about its region."""

from __future__ import annotations

from flaredb.model.cluster import DownPeer, RegionHeartbeat
from flaredb.model.region import Peer as PeerMeta
from flaredb.store.config import StoreConfig
from flaredb.store.peer import Peer, Traffic


def pending_peers(peer: Peer) -> tuple[PeerMeta, ...]:
    """Other replicas that the log cannot bring up to date: they wait for a snapshot, or for a first word."""
    if peer.rest is not None:
        return ()
    progress = peer.node.raft.prs.progress
    truncated_index = peer.storage.apply_state.truncated_index
    return tuple(
        meta
        for meta in peer.region.peers
        if meta.id != peer.meta.id and meta.id in progress and progress[meta.id].matched < truncated_index
    )


def make_report(config: StoreConfig, peer: Peer, now_ms: int) -> RegionHeartbeat:
    """The heartbeat of a region led here; its traffic counters start again.

    Pre: the peer leads (the protocol takes reports from leaders only, wire facts 4.4).
    """
    traffic, peer.traffic = peer.traffic, Traffic(since_s=now_ms // 1000)
    others = [meta for meta in peer.region.peers if meta.id != peer.meta.id]
    down = []
    for meta in others:
        silent_ms = now_ms - peer.last_heard_ms.setdefault(meta.id, now_ms)
        if silent_ms >= config.peer_down_ms:
            down.append(DownPeer(meta, silent_ms // 1000))
    pending = pending_peers(peer)
    peer.reported_pending = pending
    peer.has_pending = bool(pending)
    peer.next_report_ms = now_ms + config.region_heartbeat_ms
    return RegionHeartbeat(
        region=peer.region,
        leader=peer.meta,
        term=peer.term,
        down_peers=down,
        pending_peers=list(pending),
        bytes_written=traffic.bytes_written,
        keys_written=traffic.keys_written,
        bytes_read=traffic.bytes_read,
        keys_read=traffic.keys_read,
        approximate_size_bytes=max(peer.approximate_size_bytes, 1),
        approximate_keys=peer.approximate_keys,
        interval_start_s=traffic.since_s,
        interval_end_s=now_ms // 1000,
    )
