"""The byte stream between two stores: length-prefixed frames, and what the two sides say before Raft messages flow.

A frame is a 4-byte big-endian length, one byte of kind, and a body; the length counts kind and body. The dialling store
sends Hello; the accepting store answers Welcome or Refusal. After Welcome only the dialler sends: batches of envelopes
(wire/frames.py). A connection that begins with SnapshotHello carries one snapshot instead (wire/snapshot_stream.py).
Pure bytes, no I/O.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from flaredb.model.ids import ClusterId, StoreId
from flaredb.wire.frames import FrameError

PROTOCOL_VERSION = 1
MAGIC = b"FlareDBpeer\n"
"""Makes a store's hello unmistakable for any other protocol's first bytes."""

FRAME_SIZE_BYTES_MAX = 64 * 1024 * 1024
"""Longest kind + body once both sides know each other."""

GREETING_SIZE_BYTES_MAX = 1024
"""Longest kind + body before that: a stranger cannot make a store hold more."""

_LENGTH = struct.Struct(">I")
_FRAME_HEAD = struct.Struct(">IB")
_HELLO = struct.Struct(">HQQQ")


class FrameKind(IntEnum):
    """First byte of a frame."""

    HELLO = 1
    WELCOME = 2
    REFUSAL = 3
    ENVELOPES = 4
    SNAPSHOT_HELLO = 5
    """As HELLO, on a connection that will carry one snapshot; the kinds below appear there only."""

    SNAPSHOT_HEAD = 6
    SNAPSHOT_CHUNK = 7
    SNAPSHOT_END = 8
    SNAPSHOT_GO_AHEAD = 9
    SNAPSHOT_DONE = 10


@dataclass(frozen=True, slots=True)
class Hello:
    """Who dials, and whom it believes to reach."""

    cluster_id: ClusterId
    from_store: StoreId
    to_store: StoreId
    protocol_version: int = PROTOCOL_VERSION

    def encode(self, kind: FrameKind = FrameKind.HELLO) -> bytes:
        """The hello frame, header included. ``kind``: HELLO or SNAPSHOT_HELLO."""
        fields = _HELLO.pack(self.protocol_version, self.cluster_id, self.from_store, self.to_store)
        return encode_frame(kind, MAGIC + fields)

    @staticmethod
    def decode(body: bytes) -> Hello:
        """Read a hello's body. Errors: FrameError if it is not one."""
        if not body.startswith(MAGIC):
            raise FrameError(f"not a store of FlareDB: its hello begins with {body[:16]!r}")
        if len(body) != len(MAGIC) + _HELLO.size:
            raise FrameError(f"a hello of {len(body)} bytes, {len(MAGIC) + _HELLO.size} expected")
        version, cluster_id, from_store, to_store = _HELLO.unpack_from(body, len(MAGIC))
        return Hello(ClusterId(cluster_id), StoreId(from_store), StoreId(to_store), version)

    def refusal(self, cluster_id: ClusterId, store_id: StoreId) -> str | None:
        """Why a store of this cluster and id must not accept, with the cure; None if it may."""
        if self.protocol_version != PROTOCOL_VERSION:
            return (
                f"store {self.from_store} speaks version {self.protocol_version} of the peer protocol, "
                f"store {store_id} speaks {PROTOCOL_VERSION}; run the same FlareDB version on all stores"
            )
        if self.cluster_id != cluster_id:
            return (
                f"store {self.from_store} belongs to cluster {self.cluster_id}, store {store_id} to cluster "
                f"{cluster_id}; check the PD endpoints and the data directories of both"
            )
        if self.to_store != store_id:
            return (
                f"this is store {store_id}, the connection is for store {self.to_store}; its address has changed hands"
            )
        if self.from_store == store_id:
            return f"the dialling store also calls itself store {store_id}; two processes share one store id"
        return None


def encode_frame(kind: FrameKind, body: bytes = b"") -> bytes:
    """One whole frame."""
    return _FRAME_HEAD.pack(len(body) + 1, kind) + body


def encode_frame_head(kind: FrameKind, body_bytes: int) -> bytes:
    """The header of a frame whose body, of this many bytes, is sent behind it without being copied."""
    return _FRAME_HEAD.pack(body_bytes + 1, kind)


ENVELOPES_HEAD = _FRAME_HEAD.pack(0, FrameKind.ENVELOPES)
"""Room for the header of an envelopes frame; ``set_frame_length`` completes it once the body is there."""


def set_frame_length(frame: bytearray) -> None:
    """Write the length of a frame that was built behind ``ENVELOPES_HEAD``."""
    _LENGTH.pack_into(frame, 0, len(frame) - _LENGTH.size)


class FrameReader:
    """Cuts a byte stream into frames, however the network chunked it.

    Invariant: holds at most one unfinished frame, of at most ``size_bytes_max`` bytes, plus one chunk.
    """

    __slots__ = ("_chunks", "_have_bytes", "_need_bytes", "size_bytes_max")

    def __init__(self, size_bytes_max: int = GREETING_SIZE_BYTES_MAX) -> None:
        self.size_bytes_max = size_bytes_max
        self._chunks: list[bytes] = []
        self._have_bytes = 0
        self._need_bytes = _FRAME_HEAD.size

    def feed(self, data: bytes) -> list[tuple[int, memoryview]]:
        """The frames that ``data`` completes, as (kind, body); bodies borrow the received bytes.

        Errors: FrameError for a frame longer than allowed or of length 0; the stream is useless afterwards.
        """
        if self._have_bytes + len(data) < self._need_bytes:
            self._keep(data)
            return []
        if self._chunks:
            self._chunks.append(data)
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._have_bytes = 0
        return self._cut(data)

    def _cut(self, data: bytes) -> list[tuple[int, memoryview]]:
        frames = []
        view = memoryview(data)
        offset = 0
        while True:
            left_bytes = len(data) - offset
            self._need_bytes = _FRAME_HEAD.size
            if left_bytes < _FRAME_HEAD.size:
                break
            length, kind = _FRAME_HEAD.unpack_from(data, offset)
            _check_length(length, self.size_bytes_max, data, offset)
            self._need_bytes = _LENGTH.size + length
            if left_bytes < self._need_bytes:
                break
            frames.append((kind, view[offset + _FRAME_HEAD.size : offset + self._need_bytes]))
            offset += self._need_bytes
        self._keep(data[offset:])
        return frames

    def _keep(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)
            self._have_bytes += len(data)


def frame_end(data: bytes | bytearray, offset: int, filled: int, size_bytes_max: int) -> int:
    """Where the frame that begins at ``offset`` ends, of which data[offset:filled] is there; 0: not known yet.

    Its body begins ``FRAME_HEAD_BYTES`` behind ``offset``. Errors: FrameError as of FrameReader.feed.
    """
    if filled - offset < FRAME_HEAD_BYTES:
        return 0
    (length,) = _LENGTH.unpack_from(data, offset)
    _check_length(length, size_bytes_max, data, offset)
    return offset + _LENGTH.size + int(length)


FRAME_HEAD_BYTES = _FRAME_HEAD.size


def _check_length(length: int, size_bytes_max: int, data: bytes | bytearray, offset: int) -> None:
    if not 1 <= length <= size_bytes_max:
        raise FrameError(
            f"not a frame of the peer protocol, or one of {length} bytes where at most {size_bytes_max} are "
            f"allowed; it begins with {bytes(data[offset : offset + 16])!r}"
        )
