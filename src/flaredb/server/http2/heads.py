"""Request headers: from a header block to what is known of the call. Blocks that repeat are decoded once.

Clients send all headers of a method as indexes of the table that both sides keep (RFC 7541), so from the second call
on a method's block is the same few bytes, as long as the table does not change. Decoding costs 50 us to 100 us, looking
it up a tenth of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hpack import Decoder, HPACKError

from flaredb.server.call import Route, Status
from flaredb.server.http2.frames import (
    ACCEPTS_IDENTITY,
    RESPONSE_BLOCK,
    ConnectionFault,
    ErrorCode,
    http_status,
    trailers,
)

_CACHED_MAX = 256
_SIZE_UPDATE_MASK, _SIZE_UPDATE = 0xE0, 0x20
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_HOP_BY_HOP = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
_PSEUDO = {b":method", b":scheme", b":path", b":authority"}
_UPPERCASE = re.compile(rb"[A-Z\x00-\x20\x7f-\xff]")
_BAD_VALUE = re.compile(rb"[\x00\r\n]")


@dataclass(frozen=True, slots=True)
class Head:
    """What the headers of a call say. Shared by all calls with the same headers."""

    route: Route | None = None
    user_agent: str = ""
    timeout_s: float | None = None
    refusal: bytes = b""
    """The header block that is the whole answer, if the call cannot be served."""

    is_malformed: bool = False
    """The headers break the rules of HTTP/2: the stream is reset."""


MALFORMED = Head(is_malformed=True)


class HeadReader:
    """The decoder of one connection; blocks have to come in their order."""

    def __init__(self, routes: Mapping[bytes, Route], header_bytes_max: int) -> None:
        self._routes = routes
        self._decoder = Decoder(max_header_list_size=header_bytes_max)
        self._cached: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """The head of a new call. Errors: ConnectionFault if the block cannot be decoded."""
        head = self._cached.get(block)
        if head is None:
            table = self._decoder.header_table.dynamic_entries
            before = (len(table), table[0] if table else None)
            head = read_head(self.decode(block), self._routes)
            after = (len(table), table[0] if table else None)
            if before[0] != after[0] or before[1] is not after[1]:
                self._cached.clear()
            elif not block or block[0] & _SIZE_UPDATE_MASK != _SIZE_UPDATE:
                if len(self._cached) >= _CACHED_MAX:
                    self._cached.clear()
                self._cached[block] = head
        return head

    def skip(self, block: bytes) -> list[Any]:
        """Headers that begin no call; they may change the table all the same."""
        self._cached.clear()
        return self.decode(block)

    def decode(self, block: bytes) -> list[Any]:
        """Pairs of bytes."""
        try:
            return list(self._decoder.decode(block, raw=True))
        except HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {type(error).__name__}") from error
        except (IndexError, ValueError, OverflowError, MemoryError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "header block") from error


def read_head(fields: Iterable[tuple[bytes, bytes]], routes: Mapping[bytes, Route]) -> Head:
    """Judge the headers of a request (RFC 9113, 8.2 and 8.3; gRPC over HTTP/2)."""
    found: dict[bytes, bytes] = {}
    is_after_pseudo = False
    for name, value in fields:
        if name.startswith(b":"):
            if is_after_pseudo or name in found or name not in _PSEUDO:
                return MALFORMED
        else:
            is_after_pseudo = True
            if not name or _UPPERCASE.search(name) or name in _HOP_BY_HOP or (name == b"te" and value != b"trailers"):
                return MALFORMED
        if _BAD_VALUE.search(value):
            return MALFORMED
        found[name] = value
    path = found.get(b":path")
    if not path or b":method" not in found or b":scheme" not in found:
        return MALFORMED
    return _judge(found, routes.get(path))


def _judge(found: dict[bytes, bytes], route: Route | None) -> Head:
    if found[b":method"] != b"POST":
        return Head(refusal=http_status(405))
    content = found.get(b"content-type", b"")
    if not content.startswith(b"application/grpc") or content[16:17] not in (b"", b"+", b";"):
        return Head(refusal=http_status(415))
    if route is None:
        return _refused(Status.UNIMPLEMENTED, "Method not found!")
    encoding = found.get(b"grpc-encoding", b"identity")
    if encoding != b"identity":
        text = f"compression {encoding.decode(errors='replace')!r} is not supported; send messages uncompressed"
        head = _refused(Status.UNIMPLEMENTED, text)
        return Head(refusal=head.refusal + ACCEPTS_IDENTITY)
    if route.serve is None:
        return _refused(Status.UNIMPLEMENTED, route.refusal)
    timeout_s = None
    if (timeout := found.get(b"grpc-timeout")) is not None:
        match = _TIMEOUT.fullmatch(timeout)
        if match is None:
            return _refused(Status.INTERNAL, f"grpc-timeout {timeout!r} is not understood")
        timeout_s = int(match[1]) * _UNIT_SECONDS[match[2]]
    return Head(route, found.get(b"user-agent", b"").decode("ascii", "replace"), timeout_s)


def _refused(status: Status, text: str) -> Head:
    return Head(refusal=RESPONSE_BLOCK + trailers(status, text))
