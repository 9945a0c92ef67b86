"""Splits: a region becomes several, at keys that its log fixes for every replica.

ask (gate passed; one at a time per region) -> PD grants ids -> propose, the gate passed again -> replicate ->
apply on every replica: each region's metadata and the newcomers' first Raft and apply state in the one batch that also
holds the apply state -> on_split_applied, in the same step once that batch is written: the region map is replaced, the
newcomers' peers are registered, the one whose parent leads campaigns at once, PD hears of all of them.

The epoch decides every race, both parts of it: when ids are asked, when proposed, and again when applied. What was
proposed before a split and comes after it in the log is refused by its version, on every replica alike.

The version grows by the number of new regions and all results carry it; the rightmost piece keeps the id, the others
take the ids that PD granted, in key order; peers and roles are copied in order (wire facts 4.6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from flaredb.engine.base import WriteBatch
from flaredb.model.cluster import SplitIds
from flaredb.model.commands import Request, Split
from flaredb.model.errors import (
    InvalidSplitKeys,
    KeyNotInRegion,
    RaftEntryTooLarge,
    RegionError,
    ServerIsBusy,
    StaleCommand,
)
from flaredb.model.ids import INVALID_ID, PeerId, RegionId
from flaredb.model.keys import format_key
from flaredb.model.region import Region, RegionEpoch
from flaredb.raft import ProposalDropped
from flaredb.store.bootstrap import write_region
from flaredb.store.config import BUSY_BACKOFF_MS, StoreConfig
from flaredb.store.messages import AskSplit
from flaredb.store.peer import Peer, Proposal, SplitUnderWay
from flaredb.store.raft_storage import write_initial_state
from flaredb.store.region_map import RegionMap
from flaredb.store.rows import wipe_range
from flaredb.wire.entries import SplitEntry, SplitPiece, decode_split, encode_split

NEW_REGIONS_MAX = 1024
"""New regions of one split; PD grants no more ids at once."""


@dataclass(frozen=True, slots=True)
class SplitApplied:
    """A split that is staged: what on_split_applied has to make true in memory."""

    parent: Peer
    before: Region
    """The parent's region as the region map still has it."""

    results: tuple[Region, ...]
    """In key order; the last one is the parent's."""

    unborn: frozenset[RegionId]
    """New regions whose replica here comes by a snapshot, or was removed before the split came (traps C2, C5)."""

    request: Request | None
    """Whoever asked for the split, if it was proposed here and somebody still waits."""


def check_split_keys(region: Region, keys: Sequence[bytes]) -> None:
    """Raise InvalidSplitKeys or KeyNotInRegion unless the keys cut the region into non-empty ranges, in order."""
    if not 1 <= len(keys) <= NEW_REGIONS_MAX:
        raise InvalidSplitKeys(region.id, f"1 to {NEW_REGIONS_MAX} keys can be named at once, not {len(keys)}")
    for key in keys:
        if not key:
            raise InvalidSplitKeys(region.id, "a split key is empty")
        if not region.contains(key):
            raise KeyNotInRegion(key, region)
        if key == region.start_key:
            raise InvalidSplitKeys(region.id, f"it begins at the key {format_key(key)} already")
    for left, right in pairwise(keys):
        if left >= right:
            raise InvalidSplitKeys(region.id, f"split keys must ascend, but {format_key(right)} follows a key not less")


# ------------------------------------------------ ask, propose


def ask_split(config: StoreConfig, peer: Peer, request: Request, now_ms: int) -> AskSplit:
    """Begin a split that has passed the gate. Errors: ServerIsBusy while another one of the region is under way."""
    under_way = peer.split
    if under_way is not None and now_ms - under_way.asked_ms < config.write_timeout_ms:
        raise ServerIsBusy(f"region {peer.region.id} is being split", BUSY_BACKOFF_MS)
    command = request.command
    assert isinstance(command, Split)
    peer.split = SplitUnderWay(request, now_ms)
    return AskSplit(peer.region, len(command.keys))


def propose_split(config: StoreConfig, peer: Peer, ids: Sequence[SplitIds], now_ms: int) -> None:
    """Propose the split under way with PD's ids.

    Pre:    its request has passed the gate again in this step.
    Errors: ServerIsBusy for ids that do not fit the region; RaftEntryTooLarge; StaleCommand if Raft drops it.
    """
    assert peer.split is not None
    request = peer.split.request
    command = request.command
    assert isinstance(command, Split)
    region = peer.region
    if not _ids_fit(region, command.keys, ids):
        raise ServerIsBusy(f"PD granted ids that do not fit a split of region {region.id}", BUSY_BACKOFF_MS)
    pieces = tuple(SplitPiece(key, new.region_id, new.peer_ids) for key, new in zip(command.keys, ids, strict=True))
    payload = encode_split(SplitEntry(region.epoch, pieces))
    if len(payload) > config.entry_size_bytes_max:
        raise RaftEntryTooLarge(region.id, len(payload), config.entry_size_bytes_max)
    try:
        peer.node.propose(b"", payload)
    except ProposalDropped as error:
        raise StaleCommand() from error
    index = peer.node.raft.raft_log.last_index()
    proposal = Proposal(index, peer.term, region.epoch.version, now_ms, [], [request])
    peer.proposals.setdefault(index, []).append(proposal)
    peer.split.is_proposed = True


def _ids_fit(region: Region, keys: Sequence[bytes], ids: Sequence[SplitIds]) -> bool:
    """One region per key, one peer per peer, none of them zero, none given twice."""
    new_regions = {new.region_id for new in ids}
    new_peers = [peer_id for new in ids for peer_id in new.peer_ids]
    return (
        len(ids) == len(keys) == len(new_regions)
        and all(len(new.peer_ids) == len(region.peers) for new in ids)
        and len(set(new_peers)) == len(new_peers)
        and region.id not in new_regions
        and INVALID_ID not in new_regions
        and INVALID_ID not in new_peers
    )


# ------------------------------------------------ apply


def split_region(region: Region, entry: SplitEntry) -> tuple[Region, ...]:
    """The results in key order; the last one keeps the id. Pre: the keys cut the region (check_split_keys)."""
    epoch = RegionEpoch(version=region.epoch.version + len(entry.pieces), conf_ver=region.epoch.conf_ver)
    results = []
    start_key = region.start_key
    for piece in entry.pieces:
        peers = tuple(
            replace(peer, id=PeerId(peer_id)) for peer, peer_id in zip(region.peers, piece.peer_ids, strict=True)
        )
        results.append(Region(piece.region_id, start_key, piece.split_key, epoch, peers))
        start_key = piece.split_key
    return (*results, replace(region, start_key=start_key, epoch=epoch))


def apply_split(
    peer: Peer,
    payload: list[Any],
    batch: WriteBatch,
    request: Request | None,
    may_be_born: Callable[[RegionId], bool],
) -> SplitApplied | None:
    """Stage the results, on every replica alike. None: the region is no longer what the split was made for.

    A new region that this store knows already, from a message or as removed, is not made here; its rows go.

    Post: the peer's region is the last result, so that entries behind this one are checked against its epoch.
    """
    entry = decode_split(payload)
    before = peer.region
    if entry.epoch != before.epoch:
        return None
    try:
        check_split_keys(before, [piece.split_key for piece in entry.pieces])
    except RegionError:
        # Whoever proposes checks this; an entry that was never checked counts nowhere, on every replica alike.
        return None
    ids = [before.id, *(piece.region_id for piece in entry.pieces)]
    if len(set(ids)) < len(ids) or any(len(piece.peer_ids) != len(before.peers) for piece in entry.pieces):
        return None
    results = split_region(before, entry)
    unborn = frozenset(region.id for region in results[:-1] if not may_be_born(region.id))
    for region in results[:-1]:
        if region.id in unborn:
            wipe_range(region.start_key, region.end_key, batch)
        else:
            write_region(region, batch)
            write_initial_state(region, batch)
    write_region(results[-1], batch)
    peer.region = peer.storage.region = results[-1]
    return SplitApplied(peer, before, results, unborn, request)


# ------------------------------------------------ applied


def on_split_applied(
    applied: SplitApplied, regions: RegionMap, config: StoreConfig, add_peer: Callable[[Region, bool], Peer]
) -> None:
    """Replace the parent in the region map and register the newcomers; ``add_peer(region, campaigns)`` makes a peer.

    Pre: the batch that apply_split staged is written.
    """
    parent, results = applied.parent, applied.results
    sizes = _sizes_of_results(parent, len(results))
    regions.remove(applied.before)
    regions.insert(results[-1])
    parent.split = None
    for region, (size_bytes, keys) in zip(results, sizes, strict=True):
        if region.id in applied.unborn:
            continue
        peer = parent if region.id == parent.region.id else add_peer(region, parent.is_leader)
        peer.approximate_size_bytes, peer.approximate_keys = size_bytes, keys
        peer.grown_bytes = config.region_split_size_bytes
    # The ranges of the parent's replicas differ until all have applied the split.
    parent.node.raft.void_lease()
    # Followers would hear of the commit with the next write or heartbeat only; the newcomers need them to apply it now.
    parent.node.ping()


def _sizes_of_results(parent: Peer, count: int) -> list[tuple[int, int]]:
    """(bytes, keys) of each result: as counted by the check that wanted the split, and what was written since shared
    out evenly; without a check, everything evenly.
    """
    counted = parent.split.pieces if parent.split is not None else ()
    if len(counted) == count:
        return [(size_bytes + parent.grown_bytes // count, keys) for size_bytes, keys in counted]
    return [(parent.approximate_size_bytes // count, parent.approximate_keys // count)] * count
