"""What a store keeps on disk besides users' data and how it is written, encoder beside decoder.

Records are MessagePack arrays behind one version byte, log entries a fixed header and their payload as it is.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec

from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.raft import Entry, EntryType, HardState
from flaredb.wire.records import StateCorrupted, dump_record, load_record

_Count = Annotated[int, msgspec.Meta(ge=0)]


class StoreIdent(msgspec.Struct, array_like=True, frozen=True):
    """Whose data this is."""

    cluster_id: _Count
    store_id: _Count


class ApplyState(msgspec.Struct, array_like=True):
    """How far the state machine is, written in the same batch as the data.

    Invariant: truncated_index <= applied_index; log entries in (truncated_index, last] are on disk.
    """

    applied_index: _Count
    truncated_index: _Count
    truncated_term: _Count


class _HardState(msgspec.Struct, array_like=True):
    term: _Count
    vote: _Count
    commit: _Count


class _Region(msgspec.Struct, array_like=True):
    id: _Count
    start_key: bytes
    end_key: bytes
    version: _Count
    conf_ver: _Count
    peers: list[tuple[_Count, _Count, int]]


class Tombstone(msgspec.Struct, array_like=True, frozen=True):
    """A replica that was removed from this store. No replica of the region with this id or a lower one comes back."""

    peer_id: _Count
    region: bytes
    """The region as it was when the replica went (encode_region); without peers if it was never told."""

    index: _Count = 0
    term: _Count = 0
    """The last entry that it knew to be committed; 0: none, or made by a version that did not keep it."""


def encode_store_ident(cluster_id: ClusterId, store_id: StoreId) -> bytes:
    return dump_record(StoreIdent(cluster_id, store_id))


def decode_store_ident(data: bytes) -> tuple[ClusterId, StoreId]:
    """Errors: StateCorrupted."""
    ident = load_record(data, StoreIdent)
    return ClusterId(ident.cluster_id), StoreId(ident.store_id)


def encode_hard_state(state: HardState) -> bytes:
    return dump_record(_HardState(state.term, state.vote, state.commit))


def decode_hard_state(data: bytes) -> HardState:
    """Errors: StateCorrupted."""
    state = load_record(data, _HardState)
    return HardState(state.term, state.vote, state.commit)


def encode_apply_state(state: ApplyState) -> bytes:
    return dump_record(state)


def decode_apply_state(data: bytes) -> ApplyState:
    """Errors: StateCorrupted."""
    return load_record(data, ApplyState)


def encode_region(region: Region) -> bytes:
    peers: list[tuple[int, int, int]] = [(peer.id, peer.store_id, int(peer.role)) for peer in region.peers]
    epoch = region.epoch
    return dump_record(_Region(region.id, region.start_key, region.end_key, epoch.version, epoch.conf_ver, peers))


def decode_region(data: bytes) -> Region:
    """Errors: StateCorrupted."""
    record = load_record(data, _Region)
    try:
        peers = tuple(Peer(PeerId(peer), StoreId(store), PeerRole(role)) for peer, store, role in record.peers)
    except ValueError as error:
        raise StateCorrupted(f"region record {record.id}: {error}") from error
    if not all(peer.id and peer.store_id for peer in peers):
        raise StateCorrupted(f"region record {record.id}: a member without an id or a store")
    epoch = RegionEpoch(version=record.version, conf_ver=record.conf_ver)
    return Region(RegionId(record.id), record.start_key, record.end_key, epoch, peers)


def encode_tombstone(peer_id: PeerId, region: Region, index: int = 0, term: int = 0) -> bytes:
    return dump_record(Tombstone(peer_id, encode_region(region), index, term))


def decode_tombstone(data: bytes) -> tuple[PeerId, Region]:
    """Errors: StateCorrupted."""
    record = load_record(data, Tombstone)
    return PeerId(record.peer_id), decode_region(record.region)


def decode_tombstone_commit(data: bytes) -> tuple[int, int]:
    """(index, term) of the last entry that the replica knew to be committed. Errors: StateCorrupted."""
    record = load_record(data, Tombstone)
    return record.index, record.term


def encode_install(snapshot_name: str) -> bytes:
    """Which received snapshot a region is being filled from."""
    return dump_record(snapshot_name)


def decode_install(data: bytes) -> str:
    """Errors: StateCorrupted."""
    return load_record(data, str)


_LOG_HEADER = struct.Struct(">QB")


def encode_log_entry(entry: Entry) -> bytes:
    """Term and type, then the payload. Pre: no context (the store uses none; asserted)."""
    assert not entry.context, "the store writes no entry context"
    return _LOG_HEADER.pack(entry.term, entry.entry_type) + entry.data


def decode_log_entry(index: int, value: bytes) -> Entry:
    """Errors: StateCorrupted."""
    if len(value) < _LOG_HEADER.size:
        raise StateCorrupted(f"log entry {index} has {len(value)} bytes, its header alone needs {_LOG_HEADER.size}")
    term, kind = _LOG_HEADER.unpack_from(value)
    try:
        return Entry(EntryType(kind), term, index, value[_LOG_HEADER.size :])
    except ValueError as error:
        raise StateCorrupted(f"log entry {index}: {error}") from error
