"""Log entry payloads, encoder beside decoder: MessagePack arrays whose first item names the kind.

    [WRITE, region_version, [operation, ...]]     operations as model/commands.py documents them
    [COMPACT_LOG, compact_index]                  entries up to compact_index may go
    [SPLIT, region_version, conf_ver, right_derive, [[split_key, region_id, [peer_id, ...]], ...]]
                                                  one new region per split key; peer ids in the order of the peers

Entries of Raft's own kind for membership changes carry, as the change's context:

    [version, conf_ver, [[kind, peer_id, store_id], ...]]
                                                  valid only at exactly that epoch's conf_ver

A payload of no bytes is a new leader's empty entry. The bytes are what followers store and replay, so a kind never
changes its meaning: a new form takes a new number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from flaredb.model.commands import COMPARE_AND_SWAP, DATA_CFS, DELETE, DELETE_RANGE, PUT, Operation
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange
from flaredb.model.region import Peer, RegionEpoch

WRITE = 1
COMPACT_LOG = 2
SPLIT = 3

WRITE_OVERHEAD_BYTES_MAX = 32
"""What a payload adds to a single operation's own bytes, at most; entry limits allow for it."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Cf = Annotated[int, msgspec.Meta(ge=0, lt=len(DATA_CFS))]


class _Array(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A tuple whose first item tells what it is; only ever made to see whether it can be."""


class _Put(_Array, tag=PUT):
    cf: _Cf
    key: bytes
    value: bytes


class _Delete(_Array, tag=DELETE):
    cf: _Cf
    key: bytes


class _DeleteRange(_Array, tag=DELETE_RANGE):
    cf: _Cf
    start: bytes
    end: bytes


class _CompareAndSwap(_Array, tag=COMPARE_AND_SWAP):
    cf: _Cf
    key: bytes
    expected: bytes | None
    value: bytes | None


class _Write(_Array, tag=WRITE):
    version: _Count
    operations: list[_Put | _Delete | _DeleteRange | _CompareAndSwap]


class _CompactLog(_Array, tag=COMPACT_LOG):
    index: _Count


class _Split(_Array, tag=SPLIT):
    version: _Count
    conf_ver: _Count
    right_derive: bool
    pieces: list[tuple[bytes, _Id, list[_Id]]]


_check = msgspec.msgpack.Decoder(_Write | _CompactLog | _Split).decode
_decode_change = msgspec.msgpack.Decoder(tuple[_Count, _Count, list[tuple[int, _Id, _Id]]]).decode
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class EntryCorrupted(Exception):
    """A log entry does not decode: the disk or another version wrote it; nothing may be applied after it."""


@dataclass(frozen=True, slots=True)
class SplitPiece:
    """One new region: it ends where ``split_key`` begins the next piece."""

    split_key: bytes
    region_id: RegionId
    peer_ids: tuple[PeerId, ...]
    """In the order of the parent's peers."""


@dataclass(frozen=True, slots=True)
class SplitEntry:
    """A split as the log holds it: valid only at exactly ``epoch``. The parent keeps its id and the last piece."""

    epoch: RegionEpoch
    pieces: tuple[SplitPiece, ...]


def encode_write(region_version: int, operations: list[Operation]) -> bytes:
    """Payload of the operations of one region in one step, checked against ``region_version`` again when applied."""
    return _encode((WRITE, region_version, operations))


def encode_compact_log(compact_index: int) -> bytes:
    """Payload that lets every replica drop its log up to ``compact_index``."""
    return _encode((COMPACT_LOG, compact_index))


def encode_split(entry: SplitEntry) -> bytes:
    """Payload that cuts a region; right_derive (the rightmost piece keeps the id) is written down, always true."""
    pieces = [(piece.split_key, piece.region_id, piece.peer_ids) for piece in entry.pieces]
    return _encode((SPLIT, entry.epoch.version, entry.epoch.conf_ver, True, pieces))


def decode_split(payload: list[Any]) -> SplitEntry:
    """The split in a payload of :func:`decode_entry`. Errors: EntryCorrupted."""
    try:
        _, version, conf_ver, right_derive, pieces = payload
        if right_derive is not True:
            raise ValueError("the leftmost piece keeps the id, which no version writes")
        return SplitEntry(
            RegionEpoch(version=version, conf_ver=conf_ver),
            tuple(
                SplitPiece(bytes(key), RegionId(region_id), tuple(map(PeerId, peer_ids)))
                for key, region_id, peer_ids in pieces
            ),
        )
    except (ValueError, TypeError) as error:
        raise EntryCorrupted(f"split entry does not decode: {error}") from error


def encode_change_peers(epoch: RegionEpoch, change: ChangePeers) -> bytes:
    """The context of a membership change: what Raft's own form of it does not say."""
    changes = [(int(item.kind), item.peer.id, item.peer.store_id) for item in change.changes]
    return _encode((epoch.version, epoch.conf_ver, changes))


def decode_change_peers(context: bytes) -> tuple[RegionEpoch, ChangePeers]:
    """What :func:`encode_change_peers` was given. Errors: EntryCorrupted."""
    try:
        version, conf_ver, changes = _decode_change(context)
        return RegionEpoch(version=version, conf_ver=conf_ver), ChangePeers(
            tuple(
                PeerChange(ChangeKind(kind), Peer(PeerId(peer_id), StoreId(store_id)))
                for kind, peer_id, store_id in changes
            )
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise EntryCorrupted(f"membership change does not decode: {error}") from error


def check_payload(data: bytes) -> None:
    """Raise EntryCorrupted unless the payload has the shape of one of the kinds, down to every operation.

    A tenth of a microsecond per operation, because the objects are made and dropped by compiled code.
    """
    try:
        _check(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EntryCorrupted(
            f"log entry of {len(data)} bytes does not decode: {error}; was it written by a newer version?"
        ) from error


def decode_entry(data: bytes) -> list[Any]:
    """The payload as a list whose first item is its kind. Errors: EntryCorrupted."""
    check_payload(data)
    payload: list[Any] = _decode(data)
    return payload
