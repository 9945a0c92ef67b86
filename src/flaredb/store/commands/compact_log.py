"""Log compaction: the leader proposes how far every replica may drop its log.

Never past the slowest replica, because nothing else could bring it up to date, and on each replica never past what it
has applied durably (the applier sees to that).
"""

from __future__ import annotations

import contextlib

from flaredb.raft import ProposalDropped
from flaredb.store.peer import Peer
from flaredb.wire.entries import encode_compact_log


def compactable_index(peer: Peer) -> int:
    """The last index that this leader and every other replica hold and this one has applied."""
    progress = peer.node.raft.prs.progress
    return min(peer.synced_applied_index, *(member.matched for member in progress.values()))


def propose_compact_log(peer: Peer, threshold: int) -> None:
    """Propose to drop the log up to the slowest replica, if that is more than ``threshold`` entries."""
    if not peer.is_leader:
        return
    index = compactable_index(peer)
    if index - peer.storage.apply_state.truncated_index < threshold:
        return
    with contextlib.suppress(ProposalDropped):
        peer.node.propose(b"", encode_compact_log(index))
