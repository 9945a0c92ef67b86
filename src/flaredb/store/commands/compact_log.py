"""Log compaction: the leader proposes how far every replica may drop its log.

Normally up to the slowest replica, because the log brings it up to date most cheaply. Once the log is longer or larger
than its limits it is dropped further: whoever lacks it then gets a snapshot. Never past what is applied here durably,
and on each replica never past what that one has applied durably (the applier sees to that); nor past a snapshot that is
on its way, whose receiver needs what follows it.
"""

from __future__ import annotations

import contextlib

from flaredb.raft import ProgressState, ProposalDropped
from flaredb.store.config import StoreConfig
from flaredb.store.peer import Peer
from flaredb.wire.entries import encode_compact_log


def compactable_index(config: StoreConfig, peer: Peer) -> int:
    """How far the log may go: what every replica holds, or by force all but what a snapshot on its way needs."""
    progress = peer.node.raft.prs.progress
    applied = peer.synced_applied_index
    if _is_too_long(config, peer):
        waited_for = [pr.pending_snapshot for pr in progress.values() if pr.state is ProgressState.Snapshot]
        return min([applied, *waited_for])
    return min(applied, *(member.matched for member in progress.values()))


def is_compactable(config: StoreConfig, peer: Peer) -> bool:
    """True if more of the log may go than the threshold's number of entries."""
    return compactable_index(config, peer) - peer.storage.apply_state.truncated_index >= config.log_gc_threshold


def _is_too_long(config: StoreConfig, peer: Peer) -> bool:
    storage = peer.storage
    count = storage.last - storage.apply_state.truncated_index
    return count > config.log_count_max or storage.log_size_bytes > config.log_size_bytes_max


def propose_compact_log(config: StoreConfig, peer: Peer) -> bool:
    """Propose to drop what may go, if that is more than the threshold's number of entries. True if proposed."""
    if not peer.is_leader or not is_compactable(config, peer):
        return False
    with contextlib.suppress(ProposalDropped):
        peer.node.propose(b"", encode_compact_log(compactable_index(config, peer)))
        return True
    return False
