"""Writes: the requests of one region in one step become one log entry.

collect (gate passed, this step) -> propose (end of the step, one entry per batch) -> replicate -> applier, in log order
on every replica -> the answer leaves with the step that applied it.
"""

from __future__ import annotations

from flaredb.model.commands import Operation, Request, Write
from flaredb.model.errors import RaftEntryTooLarge, ServerIsBusy
from flaredb.raft import ProposalDropped
from flaredb.store.config import BUSY_BACKOFF_MS, StoreConfig
from flaredb.store.peer import Peer, Proposal
from flaredb.wire.entries import WRITE_OVERHEAD_BYTES_MAX, encode_write

OPERATION_OVERHEAD_BYTES = 16
"""What an operation's framing adds to its keys and values in an entry, at most."""


def entry_size_bytes(command: Write) -> int:
    """Size of the log entry that holds just this write, rounded up."""
    return command.size_bytes + len(command.operations) * OPERATION_OVERHEAD_BYTES + WRITE_OVERHEAD_BYTES_MAX


def collect_write(config: StoreConfig, peer: Peer, request: Request) -> None:
    """Queue a write that has passed the gate, until the end of the step.

    Errors: RaftEntryTooLarge; ServerIsBusy while too much of the region waits to be applied.
    """
    command = request.command
    assert isinstance(command, Write)
    size_bytes = entry_size_bytes(command)
    if size_bytes > config.entry_size_bytes_max:
        raise RaftEntryTooLarge(peer.region.id, size_bytes, config.entry_size_bytes_max)
    waiting_bytes = peer.collected_bytes + peer.proposed_bytes
    if waiting_bytes and waiting_bytes + size_bytes > config.region_write_bytes_max:
        raise ServerIsBusy(
            f"{waiting_bytes} bytes of writes of region {peer.region.id} wait to be applied; with {size_bytes} more "
            f"they exceed raftstore.region-max-waiting-writes-size = {config.region_write_bytes_max}",
            BUSY_BACKOFF_MS,
        )
    unapplied = peer.node.raft.raft_log.tail_index - peer.applied_index
    if unapplied >= config.region_entries_max:
        raise ServerIsBusy(
            f"{unapplied} entries of region {peer.region.id} wait to be applied, which is all that "
            "raftstore.region-max-unapplied-entries allows",
            BUSY_BACKOFF_MS,
        )
    peer.collected_bytes += size_bytes
    peer.writes.append(request)


def propose_writes(config: StoreConfig, peer: Peer, now_ms: int) -> list[Request]:
    """Propose the step's writes. Returns those that Raft dropped; they may be tried again when a leader is known."""
    requests = peer.take_writes()
    batch: list[Request] = []
    size_bytes = 0
    for at, request in enumerate(requests):
        assert isinstance(request.command, Write)
        more_bytes = entry_size_bytes(request.command)
        if batch and size_bytes + more_bytes > config.batch_entry_size_bytes:
            if not _propose(peer, batch, size_bytes, now_ms):
                return batch + requests[at:]
            batch, size_bytes = [], 0
        batch.append(request)
        size_bytes += more_bytes
    if batch and not _propose(peer, batch, size_bytes, now_ms):
        return batch
    return []


def _propose(peer: Peer, requests: list[Request], size_bytes: int, now_ms: int) -> bool:
    operations: list[Operation] = []
    for request in requests:
        operations += request.command.operations  # type: ignore[union-attr]
    version = peer.region.epoch.version
    try:
        peer.node.propose(b"", encode_write(version, operations))
    except ProposalDropped:
        return False
    index = peer.node.raft.raft_log.last_index()
    proposal = Proposal(index, peer.term, version, now_ms, operations, requests, size_bytes)
    peer.proposals.setdefault(index, []).append(proposal)
    peer.proposed_bytes += size_bytes
    return True
