"""Results of commands -> encoded kvrpcpb responses.

An answer is either a result, a region error, or the refusal of an invalid request; never two of them, since clients
ignore the rest once a region error is set (wire facts 3.6). Encoders return bytes, because frames are assembled from
encoded members without parsing them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import Message

from flaredb.model.commands import CasResult, ChecksumResult
from flaredb.model.errors import RegionError
from flaredb.wire.errors import region_error_to_pb
from flaredb.wire.pb import kvrpcpb_pb2 as pb

Rows = Iterable[tuple[bytes, bytes]]

# Tags of the one-field messages that are written by hand: field number << 3 | wire type.
_LENGTH_DELIMITED = 2
_REGION_ERROR_TAG = b"\x0a"
_GET_VALUE_TAG = b"\x1a"

EMPTY = b""
"""The response of a write that succeeded: no field set."""

GET_NOT_FOUND = pb.RawGetResponse(not_found=True).SerializeToString()


def varint(number: int) -> bytes:
    """Protobuf's encoding of an unsigned integer: seven bits a byte, lowest first."""
    if number < 0x80:
        return _ONE_BYTE[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_ONE_BYTE = [bytes([number]) for number in range(0x80)]


def member_tag(field_number: int) -> bytes:
    """What precedes the length of an embedded message."""
    return varint(field_number << 3 | _LENGTH_DELIMITED)


def encode_done(_result: None) -> bytes:
    """A write was applied."""
    return EMPTY


def encode_value(value: bytes | None) -> bytes:
    """RawGetResponse; None is an absent key, b"" a value."""
    if value is None:
        return GET_NOT_FOUND
    return _GET_VALUE_TAG + varint(len(value)) + value if value else EMPTY


def encode_pairs(rows: Rows) -> bytes:
    """RawBatchGetResponse."""
    response = pb.RawBatchGetResponse()
    add = response.pairs.add
    for key, value in rows:
        add(key=key, value=value)
    return response.SerializeToString()


def encode_rows(rows: Rows) -> bytes:
    """RawScanResponse and RawBatchScanResponse, which have the same fields."""
    response = pb.RawScanResponse()
    add = response.kvs.add
    for key, value in rows:
        add(key=key, value=value)
    return response.SerializeToString()


def encode_cas(result: CasResult) -> bytes:
    """RawCASResponse: the state before is told whether or not the swap happened."""
    return pb.RawCASResponse(
        succeed=result.succeeded,
        previous_not_exist=result.previous is None,
        previous_value=result.previous or b"",
    ).SerializeToString()


def encode_checksum(result: ChecksumResult) -> bytes:
    """RawChecksumResponse."""
    return pb.RawChecksumResponse(
        checksum=result.checksum, total_kvs=result.total_kvs, total_bytes=result.total_bytes
    ).SerializeToString()


def encode_region_error(error: RegionError) -> bytes:
    """Any response with its region error alone: field 1 of all raw responses."""
    body = region_error_to_pb(error).SerializeToString()
    return _REGION_ERROR_TAG + varint(len(body)) + body


def refusal(response: type[Message]) -> Callable[[str], bytes]:
    """How a response of this type says that the request cannot be served: the encoder of such a text.

    A text field if it has one, else a KeyError's ``abort``, on its own or in a single pair (wire facts 3.6). A
    response without any room for an error stays empty.
    """
    fields = response.DESCRIPTOR.fields_by_name

    def encode(text: str) -> bytes:
        return response(**_refused(fields, text)).SerializeToString()

    return encode


def _refused(fields: Any, text: str) -> dict[str, Any]:
    if "other_error" in fields:
        return {"other_error": text}
    if "error" in fields:
        plain = fields["error"].message_type is None
        return {"error": text if plain else pb.KeyError(abort=text)}
    if "errors" in fields:
        return {"errors": [pb.KeyError(abort=text)]}
    for name in ("pairs", "kvs"):
        if name in fields:
            return {name: [pb.KvPair(error=pb.KeyError(abort=text))]}
    return {}
