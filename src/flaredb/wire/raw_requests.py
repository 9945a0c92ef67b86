"""Commands of the model -> raw requests, and their answers back: the client's side of raw_calls.py.

Requests are put together as bytes and the usual answers are recognised as bytes, because a client does both for every
operation; protobuf's objects cost several times as much (wire facts 2.4, 3.6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flaredb.model.commands import (
    COMPARE_AND_SWAP,
    DATA_CFS,
    DELETE,
    DELETE_RANGE,
    PUT,
    BatchGet,
    CasResult,
    Checksum,
    ChecksumResult,
    Command,
    Get,
    Scan,
    Write,
)
from flaredb.model.outcomes import Failed
from flaredb.model.region import Peer, Region
from flaredb.wire.convert import epoch_to_pb, peer_to_pb
from flaredb.wire.pb import kvrpcpb_pb2 as pb
from flaredb.wire.pb import tikvpb_pb2
from flaredb.wire.refusals import refusal_from_pb
from flaredb.wire.replies import GET_NOT_FOUND, member_tag, varint
from flaredb.wire.services import TIKV_METHODS

_MEMBERS = tikvpb_pb2.BatchCommandsRequest.Request.DESCRIPTOR.fields_by_name
_CONTEXT_TAG = member_tag(1)
_KEY_TAG = member_tag(2)
_VALUE_TAG = member_tag(3)
_GET_CF = [b"", *(member_tag(3) + varint(len(name)) + name.encode() for name in DATA_CFS[1:])]
_PUT_CF = [b"", *(member_tag(4) + varint(len(name)) + name.encode() for name in DATA_CFS[1:])]
_CF_NAMES = ("", *DATA_CFS[1:])
_TTL_TAG = varint(5 << 3)
_PUT_FOR_CAS = varint(6 << 3) + b"\x01"
_VALUE_BYTE = 0x1A
_LENGTHS = [varint(size) for size in range(1024)]


class RawMethod:
    """One raw call as a client uses it."""

    __slots__ = ("decode", "entry_head", "in_frames", "name", "path")

    def __init__(self, name: str, decode: Callable[[bytes], Any]) -> None:
        self.name = name
        self.path = TIKV_METHODS[name].path
        self.decode = decode
        """An encoded response -> result, Refusal or Failed. Errors: protobuf's DecodeError, ValueError."""

        member = _MEMBERS.get(name)
        self.in_frames = member is not None
        """Whether BatchCommands has it (wire facts 3.8)."""

        self.entry_head = member_tag(member.number) if member is not None else b""
        """What precedes the length of the request, or response, in an entry of a frame."""

    def decode_entry(self, entry: bytes) -> Any:
        """The same for an encoded BatchCommandsResponse.Response."""
        head_bytes = len(self.entry_head)
        if not entry.startswith(self.entry_head):
            if not entry:
                return Failed(f"UNIMPLEMENTED: this store does not have {self.name}")
            return Failed(f"the store answered {self.name} with another command's response")
        size_bytes, start = _read_varint(entry, head_bytes)
        return self.decode(entry[start : start + size_bytes])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at`` and where it ends."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift += 7
    return number, at + 1


# ---------------------------------------------------------------- responses


def _trouble(response: Any) -> Any:
    """The Refusal or Failed that a response carries; None if it carries neither."""
    if response.HasField("region_error"):
        return refusal_from_pb(response.region_error)
    error = getattr(response, "error", "")
    return Failed(error) if error else None


def _decode_done(response_type: Any) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        return _trouble(response_type.FromString(data)) if data else None

    return decode


def _decode_get(data: bytes) -> Any:
    if data == GET_NOT_FOUND:
        return None
    if not data:
        return b""
    if data[0] == _VALUE_BYTE:
        size_bytes, start = _read_varint(data, 1)
        if start + size_bytes == len(data):
            return data[start:]
    response = pb.RawGetResponse.FromString(data)
    trouble = _trouble(response)
    if trouble is not None:
        return trouble
    return None if response.not_found else response.value


def _decode_rows(response_type: Any, field: str) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        response = response_type.FromString(data)
        trouble = _trouble(response)
        if trouble is not None:
            return trouble
        pairs = getattr(response, field)
        if pairs and pairs[0].HasField("error"):
            return Failed(pairs[0].error.abort or str(pairs[0].error))
        return [(pair.key, pair.value) for pair in pairs]

    return decode


def _decode_cas(data: bytes) -> Any:
    response = pb.RawCASResponse.FromString(data)
    trouble = _trouble(response)
    if trouble is not None:
        return trouble
    return CasResult(response.succeed, None if response.previous_not_exist else response.previous_value)


def _decode_checksum(data: bytes) -> Any:
    response = pb.RawChecksumResponse.FromString(data)
    trouble = _trouble(response)
    if trouble is not None:
        return trouble
    return ChecksumResult(response.checksum, response.total_kvs, response.total_bytes)


GET = RawMethod("RawGet", _decode_get)
PUT_ONE = RawMethod("RawPut", _decode_done(pb.RawPutResponse))
DELETE_ONE = RawMethod("RawDelete", _decode_done(pb.RawDeleteResponse))
PUT_MANY = RawMethod("RawBatchPut", _decode_done(pb.RawBatchPutResponse))
DELETE_MANY = RawMethod("RawBatchDelete", _decode_done(pb.RawBatchDeleteResponse))
GET_MANY = RawMethod("RawBatchGet", _decode_rows(pb.RawBatchGetResponse, "pairs"))
SCAN = RawMethod("RawScan", _decode_rows(pb.RawScanResponse, "kvs"))
DELETE_ROWS = RawMethod("RawDeleteRange", _decode_done(pb.RawDeleteRangeResponse))
SWAP = RawMethod("RawCompareAndSwap", _decode_cas)
CHECKSUM = RawMethod("RawChecksum", _decode_checksum)


# ---------------------------------------------------------------- requests


def encode_context(region: Region, peer: Peer) -> bytes:
    """The context of requests to a replica, as the first field of each."""
    context = pb.Context(region_id=region.id, region_epoch=epoch_to_pb(region.epoch), peer=peer_to_pb(peer))
    data = context.SerializeToString()
    return _CONTEXT_TAG + varint(len(data)) + data


def encode_request(command: Command, context: bytes, ttl_s: int = 0, for_cas: bool = False) -> tuple[RawMethod, bytes]:
    """The call that a command becomes, and its encoded request; ``context`` as of encode_context.

    Pre: the operations of a Write are all of one kind; compare-and-swap and ranges come alone.
    """
    kind = type(command)
    if kind is Get:
        key = command.key  # type: ignore[union-attr]
        return GET, b"".join((context, _KEY_TAG, _length(key), key, _GET_CF[command.cf]))  # type: ignore[union-attr]
    if kind is Write:
        operations = command.operations  # type: ignore[union-attr]
        operation = operations[0]
        if len(operations) == 1 and operation[0] == PUT:
            _, cf, key, value = operation
            parts = [context, _KEY_TAG, _length(key), key, _VALUE_TAG, _length(value), value, _PUT_CF[cf]]
            if ttl_s:
                parts += (_TTL_TAG, varint(ttl_s))
            if for_cas:
                parts.append(_PUT_FOR_CAS)
            return PUT_ONE, b"".join(parts)
        return _encode_write(operations, context, ttl_s, for_cas)
    method, request = _encode_read(command)
    return method, context + request.SerializeToString()


def _length(data: bytes) -> bytes:
    size_bytes = len(data)
    return _LENGTHS[size_bytes] if size_bytes < 1024 else varint(size_bytes)


def _encode_write(operations: list[Any], context: bytes, ttl_s: int, for_cas: bool) -> tuple[RawMethod, bytes]:
    kind, cf = operations[0][0], operations[0][1]
    name = _CF_NAMES[cf]
    request: Any
    if kind == PUT:
        method, request = PUT_MANY, pb.RawBatchPutRequest(cf=name, for_cas=for_cas)
        if ttl_s:
            request.ttls.append(ttl_s)
            request.ttl = ttl_s
        add = request.pairs.add
        for _, _, key, value in operations:
            add(key=key, value=value)
    elif kind == DELETE and len(operations) == 1:
        method, request = DELETE_ONE, pb.RawDeleteRequest(cf=name, key=operations[0][2], for_cas=for_cas)
    elif kind == DELETE:
        keys = [operation[2] for operation in operations]
        method, request = DELETE_MANY, pb.RawBatchDeleteRequest(cf=name, keys=keys, for_cas=for_cas)
    elif kind == DELETE_RANGE:
        ((_, _, start, end),) = operations
        method, request = DELETE_ROWS, pb.RawDeleteRangeRequest(cf=name, start_key=start, end_key=end)
    else:
        assert kind == COMPARE_AND_SWAP
        ((_, _, key, expected, value),) = operations
        method, request = (
            SWAP,
            pb.RawCASRequest(
                cf=name,
                key=key,
                value=value or b"",
                previous_not_exist=expected is None,
                previous_value=expected or b"",
                delete=value is None,
                ttl=ttl_s,
            ),
        )
    return method, context + request.SerializeToString()


def _encode_read(command: Command) -> tuple[RawMethod, Any]:
    if isinstance(command, BatchGet):
        return GET_MANY, pb.RawBatchGetRequest(cf=_CF_NAMES[command.cf], keys=command.keys)
    if isinstance(command, Scan):
        # On the wire the start of a reverse scan is its upper bound.
        first, last = (command.end, command.start) if command.reverse else (command.start, command.end)
        return SCAN, pb.RawScanRequest(
            start_key=first,
            end_key=last,
            limit=command.limit,
            key_only=command.keys_only,
            cf=_CF_NAMES[command.cf],
            reverse=command.reverse,
        )
    assert isinstance(command, Checksum), f"clients do not send {type(command).__name__}"
    ranges = [pb.KeyRange(start_key=start, end_key=end) for start, end in command.ranges]
    return CHECKSUM, pb.RawChecksumRequest(ranges=ranges)
