"""Bytes of Raft envelopes between stores: one version byte, then msgpack arrays.

Every field is carried, in the order of its dataclass. What most messages leave at its default (snapshot, rejection,
context and the like) sits together in one optional tail that costs a single byte when absent; what only concerns the
replica's birth and death (the sender's range, the tombstone mark) likewise in another. Beats, which are most of what
thousands of quiet regions say, stand in a list of their own, read and written by compiled code alone.
Arrays instead of maps and msgpack instead of protobuf because these bytes are made and read for every write
(ARCHITECTURE.md, speed).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from flaredb.model.errors import FlareDBError
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.raft.types import ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata
from flaredb.store.messages import NUMBER_MAX, Beat, RaftEnvelope

ENVELOPES_VERSION = 3
"""First byte of an envelope batch; a store refuses what it does not know."""

_VERSION_BYTE = bytes([ENVELOPES_VERSION])

_COUNT = msgspec.Meta(ge=0, le=NUMBER_MAX)
_Count = Annotated[int, _COUNT]
_Ids = list[_Count]
_EntryTuple = tuple[EntryType, _Count, _Count, bytes, bytes]
_ConfStateTuple = tuple[_Ids, _Ids, _Ids, _Ids, bool]
_SnapshotTuple = tuple[bytes, _ConfStateTuple, _Count, _Count]
_TailTuple = tuple[_SnapshotTuple | None, bool, _Count, bytes, _Count, int]
_LifeTuple = tuple[tuple[bytes, bytes] | None, bool]
_RegionId = Annotated[RegionId, _COUNT]
_PeerId = Annotated[PeerId, _COUNT]
_StoreId = Annotated[StoreId, _COUNT]
_EnvelopeTuple = tuple[
    _RegionId,  # region_id
    _PeerId,  # from_peer
    _StoreId,  # from_store
    _PeerId,  # to_peer
    _StoreId,  # to_store
    _Count,  # conf_ver
    _Count,  # version
    MessageType,
    _Count,  # to
    _Count,  # from_
    _Count,  # term
    _Count,  # log_term
    _Count,  # index
    list[_EntryTuple],
    _Count,  # commit
    _TailTuple | None,
    _LifeTuple | None,
]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[list[_EnvelopeTuple], list[Beat]])


class FrameError(FlareDBError):
    """Bytes from another store that this version cannot read."""


def encode_envelopes(envelopes: list[RaftEnvelope]) -> bytes:
    """The bytes of a batch. Senders use ``encode_envelopes_after``, which copies entries' data only once."""
    return bytes(encode_envelopes_after(b"", envelopes))


def encode_envelopes_after(head: bytes, envelopes: list[RaftEnvelope]) -> bytearray:
    """``head`` followed by the bytes of a batch, in one buffer, so that a frame header costs no further copy."""
    buffer = bytearray(head + _VERSION_BYTE)
    beats = [envelope for envelope in envelopes if type(envelope) is Beat]
    full = [_envelope_tuple(envelope) for envelope in envelopes if type(envelope) is not Beat]
    _encoder.encode_into((full, beats), buffer, len(buffer))
    return buffer


def decode_envelopes(data: bytes | bytearray | memoryview) -> list[RaftEnvelope]:
    """The batch that ``encode_envelopes`` made, in the same order, but beats last.

    Errors: FrameError for an unknown version, truncated or foreign bytes; nothing is returned then.
    """
    if not len(data) or data[0] != ENVELOPES_VERSION:
        raise FrameError(_unknown_version_text(data))
    try:
        decoded = _decoder.decode(memoryview(data)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameError(f"a batch of Raft messages of {len(data)} bytes cannot be read: {error}") from error
    full, beats = decoded
    return [*map(_envelope, full), *beats]


def _unknown_version_text(data: bytes | bytearray | memoryview) -> str:
    if not len(data):
        return "a batch of Raft messages is empty: not even a version byte"
    return (
        f"a batch of Raft messages has version {data[0]}, this store reads version {ENVELOPES_VERSION}; "
        "run the same FlareDB version on all stores"
    )


def _envelope_tuple(envelope: RaftEnvelope) -> tuple[Any, ...]:
    message = envelope.message
    entries = [(entry.entry_type, entry.term, entry.index, entry.data, entry.context) for entry in message.entries]
    return (
        envelope.region_id,
        envelope.from_peer,
        envelope.from_store,
        envelope.to_peer,
        envelope.to_store,
        envelope.conf_ver,
        envelope.version,
        message.msg_type,
        message.to,
        message.from_,
        message.term,
        message.log_term,
        message.index,
        entries,
        message.commit,
        _tail_tuple(message),
        _life_tuple(envelope),
    )


def _life_tuple(envelope: RaftEnvelope) -> tuple[Any, ...] | None:
    if envelope.sender_range is None and not envelope.is_tombstone:
        return None
    return (envelope.sender_range, envelope.is_tombstone)


def _tail_tuple(message: Message) -> tuple[Any, ...] | None:
    if not (
        message.context
        or message.reject
        or message.reject_hint
        or message.priority
        or message.request_snapshot
        or message.snapshot is not None
    ):
        return None
    snapshot = None if message.snapshot is None else _snapshot_tuple(message.snapshot)
    return (
        snapshot,
        message.reject,
        message.reject_hint,
        message.context,
        message.request_snapshot,
        message.priority,
    )


def _snapshot_tuple(snapshot: Snapshot) -> tuple[Any, ...]:
    metadata = snapshot.metadata
    conf = metadata.conf_state
    conf_tuple = (conf.voters, conf.learners, conf.voters_outgoing, conf.learners_next, conf.auto_leave)
    return (snapshot.data, conf_tuple, metadata.index, metadata.term)


def _envelope(fields: _EnvelopeTuple) -> RaftEnvelope:
    region_id, from_peer, from_store, to_peer, to_store, conf_ver, version = fields[:7]
    kind, to, from_, term, log_term, index, entry_tuples, commit, tail, life = fields[7:]
    entries = [Entry(*entry) for entry in entry_tuples] if entry_tuples else []
    message = Message(kind, to, from_, term, log_term, index, entries, commit)
    if tail is not None:
        _add_tail(message, tail)
    envelope = RaftEnvelope(region_id, from_peer, from_store, to_peer, to_store, conf_ver, version, message)
    if life is not None:
        envelope.sender_range, envelope.is_tombstone = life
    return envelope


def _add_tail(message: Message, tail: _TailTuple) -> None:
    snapshot, message.reject, message.reject_hint, message.context, message.request_snapshot, message.priority = tail
    if snapshot is not None:
        message.snapshot = _snapshot(snapshot)


def _snapshot(fields: _SnapshotTuple) -> Snapshot:
    data, conf_fields, index, term = fields
    return Snapshot(data, SnapshotMetadata(ConfState(*conf_fields), index, term))
