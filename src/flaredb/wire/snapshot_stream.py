"""What a connection that carries one snapshot says after its greeting. Pure bytes, no I/O.

The sender's head names the snapshot; after the receiver's go-ahead come the chunks (wire/snapshots.py), each with its
CRC-32, and an end that counts them. The receiver answers done once all of it is durable, or a refusal at any time.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from flaredb.raft import MessageType
from flaredb.store.messages import RaftEnvelope
from flaredb.wire.frames import FrameError, decode_envelopes, encode_envelopes
from flaredb.wire.peer_stream import FrameKind, encode_frame, encode_frame_head
from flaredb.wire.snapshots import CHUNK_BYTES_MAX

SNAPSHOT_FRAME_BYTES_MAX = CHUNK_BYTES_MAX + 1024
"""Longest kind + body on a snapshot's connection after the greeting."""

_SIZE = struct.Struct(">Q")
_CRC = struct.Struct(">I")
_TOTALS = struct.Struct(">QQI")


@dataclass(slots=True)
class SnapshotTotals:
    """What both ends count while chunks pass; equal at the end, or the snapshot is not whole."""

    chunks: int = 0
    size_bytes: int = 0
    checksum: int = 0
    """CRC-32 over the chunks' CRC-32s in order, big-endian: it covers every byte and the order of the chunks."""

    def add(self, chunk_bytes: int, chunk_crc: int) -> None:
        """One more chunk."""
        self.chunks += 1
        self.size_bytes += chunk_bytes
        self.checksum = zlib.crc32(_CRC.pack(chunk_crc), self.checksum)

    def encode(self) -> bytes:
        """Their bytes, as in the end frame and at the end of a file."""
        return _TOTALS.pack(self.chunks, self.size_bytes, self.checksum)

    @staticmethod
    def decode(body: bytes | memoryview) -> SnapshotTotals:
        """What :meth:`encode` made. Errors: FrameError for another length."""
        if len(body) != _TOTALS.size:
            raise FrameError(f"the end of a snapshot has {len(body)} bytes, {_TOTALS.size} expected")
        return SnapshotTotals(*_TOTALS.unpack(body))


TOTALS_BYTES = _TOTALS.size


@dataclass(slots=True)
class SnapshotHead:
    """Which snapshot is about to come."""

    envelope: RaftEnvelope
    """Its MsgSnapshot."""

    size_bytes: int
    """About how many bytes of rows; for the receiver's free space and for timeouts."""

    def encode(self) -> bytes:
        """The head frame, header included."""
        return encode_frame(FrameKind.SNAPSHOT_HEAD, _SIZE.pack(self.size_bytes) + encode_envelopes([self.envelope]))

    @staticmethod
    def decode(body: bytes | memoryview) -> SnapshotHead:
        """Read a head's body. Errors: FrameError if it is not one."""
        if len(body) < _SIZE.size:
            raise FrameError(f"the head of a snapshot has only {len(body)} bytes")
        envelopes = decode_envelopes(memoryview(body)[_SIZE.size :])
        if len(envelopes) != 1:
            raise FrameError(f"the head of a snapshot holds {len(envelopes)} messages, one expected")
        message = envelopes[0].message
        if message.msg_type is not MessageType.MsgSnapshot or message.snapshot is None:
            raise FrameError(f"the head of a snapshot holds a {message.msg_type.name}, no MsgSnapshot")
        return SnapshotHead(envelopes[0], *_SIZE.unpack_from(body))


def encode_chunk_head(chunk: bytes, crc: int) -> bytes:
    """What goes before ``chunk`` in the stream: the frame's header and the chunk's CRC-32."""
    return encode_frame_head(FrameKind.SNAPSHOT_CHUNK, _CRC.size + len(chunk)) + _CRC.pack(crc)


def decode_chunk_frame(body: memoryview) -> tuple[memoryview, int]:
    """The chunk in a chunk frame's body, and the CRC-32 it was sent with; not compared here.

    Errors: FrameError for one without any byte, or too long.
    """
    size_bytes = len(body) - _CRC.size
    if not 1 <= size_bytes <= CHUNK_BYTES_MAX:
        raise FrameError(f"a snapshot chunk of {size_bytes} bytes, 1 to {CHUNK_BYTES_MAX} expected")
    return body[_CRC.size :], _CRC.unpack_from(body)[0]


def encode_end(totals: SnapshotTotals) -> bytes:
    """The end frame, header included."""
    return encode_frame(FrameKind.SNAPSHOT_END, totals.encode())
