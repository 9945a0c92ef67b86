"""HTTP/2 frames and header blocks, as bytes (RFC 9113, 4.1 and 6; RFC 7541; gRPC over HTTP/2)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
HEAD = Struct(">HBBBI")
"""Length (upper 16 and lower 8 bits), kind, flags, stream; the highest bit of the stream is to be ignored."""

STREAM_MASK = 0x7FFF_FFFF
WINDOW_MAX = 0x7FFF_FFFF
DEFAULT_WINDOW_BYTES = 65_535
DEFAULT_FRAME_BYTES_MAX = 16_384
MESSAGE_HEAD_BYTES = 5
"""Of a gRPC message: a byte that is 1 if it is compressed, four with its length."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 2, 3, 4, 5, 6


class ErrorCode(IntEnum):
    """RFC 9113, 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(Exception):
    """What the client sent ends the connection: GOAWAY with this code and text."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def frame(kind: int, flags: int, stream_id: int, body: bytes = b"") -> bytes:
    """One frame."""
    size = len(body)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream_id) + body


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    body = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values.items())
    return frame(SETTINGS, 0, 0, body)


SETTINGS_ACK = frame(SETTINGS, ACK, 0)


def window_update(stream_id: int, increment: int) -> bytes:
    """So many bytes more may be sent on the stream; 0: on the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def reset(stream_id: int, code: ErrorCode) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def goaway(last_stream_id: int, code: ErrorCode, text: str = "") -> bytes:
    """GOAWAY: streams above ``last_stream_id`` have not been looked at."""
    return frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + text.encode()[:200])


# ---------------------------------------------------------------- header blocks: no table entries, no Huffman codes


def _length(size: int) -> bytes:
    """An integer with a prefix of 7 bits (RFC 7541, 5.1)."""
    if size < 127:
        return bytes((size,))
    out = bytearray((127,))
    size -= 127
    while size >= 128:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out)


def literal(name: bytes, value: bytes) -> bytes:
    """A header field that enters no table (RFC 7541, 6.2.2)."""
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def _percent(text: str) -> bytes:
    """grpc-message: printable ASCII but for the percent sign stands as it is."""
    return b"".join(
        bytes((byte,)) if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in text.encode()
    )


_STATUS_200 = b"\x88"
_MESSAGE_TEXT_MAX = 2_000
RESPONSE_BLOCK = _STATUS_200 + literal(b"content-type", b"application/grpc")
OK_TRAILERS = literal(b"grpc-status", b"0")


def trailers(status: int, text: str) -> bytes:
    """The header block that ends a call."""
    return literal(b"grpc-status", b"%d" % status) + literal(b"grpc-message", _percent(text[:_MESSAGE_TEXT_MAX]))


def http_status(status: int) -> bytes:
    """The header block of an answer without gRPC."""
    return literal(b":status", b"%d" % status)


ACCEPTS_IDENTITY = literal(b"grpc-accept-encoding", b"identity")

_PREFIX = Struct(f">5sI{len(RESPONSE_BLOCK)}sHBHIBI")
_SUFFIX = Struct(f">5sI{len(OK_TRAILERS)}s")
_PREFIX_HEAD = frame(HEADERS, END_HEADERS, 0, RESPONSE_BLOCK)[:5]
_SUFFIX_HEAD = frame(HEADERS, END_HEADERS | END_STREAM, 0, OK_TRAILERS)[:5]


def unary_prefix(stream_id: int, size: int) -> bytes:
    """Everything of a unary answer before a message of ``size`` bytes that goes in one DATA frame."""
    framed = size + MESSAGE_HEAD_BYTES
    return _PREFIX.pack(
        _PREFIX_HEAD, stream_id, RESPONSE_BLOCK, framed >> 8, framed & 0xFF, DATA << 8, stream_id, 0, size
    )


def unary_suffix(stream_id: int) -> bytes:
    """What follows the message: the trailers of success."""
    return _SUFFIX.pack(_SUFFIX_HEAD, stream_id, OK_TRAILERS)
