"""The raw calls as one table: how each is read, how its result is encoded, how it is refused.

Whoever serves them, one by one or in frames, goes by this table; a call is stated once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flaredb.model.commands import Command
from flaredb.model.errors import RegionError
from flaredb.wire import replies, requests
from flaredb.wire.lazy_context import lazy
from flaredb.wire.pb import tikvpb_pb2
from flaredb.wire.requests import Known, RequestRules
from flaredb.wire.services import TIKV_METHODS

_MEMBERS = tikvpb_pb2.BatchCommandsResponse.Response.DESCRIPTOR.fields_by_name
_ENTRY_TAG = replies.member_tag(tikvpb_pb2.BatchCommandsResponse.DESCRIPTOR.fields_by_name["responses"].number)

_GET_TAG = replies.member_tag(_MEMBERS["RawGet"].number)

EMPTY_ENTRY = _ENTRY_TAG + b"\x00"
"""An answer in a frame with no member set: what a command gets that this server does not know."""


class RawCall:
    """One raw call: between request message, command, result and encoded response."""

    __slots__ = (
        "_encode",
        "_member_tag",
        "_none_entry",
        "name",
        "read",
        "refuse",
        "request",
        "request_name",
        "returns_rows",
    )

    def __init__(
        self,
        name: str,
        read: Callable[[Any, RequestRules], Command | Known],
        encode: Callable[[Any], bytes],
        *,
        returns_rows: bool = False,
    ) -> None:
        method = TIKV_METHODS[name]
        self.name = name
        self.request = lazy(method.request)
        self.request_name: str = method.request.DESCRIPTOR.full_name
        self.read = read
        self.refuse = replies.refusal(method.response)
        self.returns_rows = returns_rows
        self._encode = encode
        member = _MEMBERS.get(name)
        self._member_tag = replies.member_tag(member.number) if member is not None else b""
        # Most answers of a busy frame are one constant: done, or not found.
        constant = encode is replies.encode_done or encode is replies.encode_value
        self._none_entry = self.entry(encode(None)) if constant and member is not None else b""

    def answer(self, result: Any) -> bytes:
        """The encoded response to ``result``: what model.commands documents, or a RegionError."""
        if isinstance(result, RegionError):
            return replies.encode_region_error(result)
        return self._encode(result)

    def answer_in_frame(self, result: Any) -> bytes:
        """The same as an element of BatchCommandsResponse.responses."""
        if result is None and self._none_entry:
            return self._none_entry
        if type(result) is bytes and result:
            return _value_head(len(result)) + result
        return self.entry(self.answer(result))

    def entry(self, response: bytes) -> bytes:
        """An encoded response of this call as an element of BatchCommandsResponse.responses."""
        assert self._member_tag, f"{self.name} is no command of BatchCommands"
        return frame_entry(self._member_tag, response)


def frame_entry(tag: bytes, response: bytes) -> bytes:
    """An encoded response, under the tag of its member, as an element of BatchCommandsResponse.responses."""
    head = tag + replies.varint(len(response))
    return _ENTRY_TAG + replies.varint(len(head) + len(response)) + head + response


@lru_cache(maxsize=4096)
def _value_head(size_bytes: int) -> bytes:
    """What precedes a value of this size in the entry of a RawGet: the only result that is plain bytes."""
    return frame_entry(_GET_TAG, replies.encode_value(bytes(size_bytes)))[:-size_bytes]


def frame(entries: list[bytes], request_ids: list[int]) -> bytes:
    """An encoded BatchCommandsResponse; entries and ids are parallel. Encoded messages merge when joined."""
    assert len(entries) == len(request_ids)
    entries.append(tikvpb_pb2.BatchCommandsResponse(request_ids=request_ids).SerializeToString())
    return b"".join(entries)


RAW_CALLS: dict[str, RawCall] = {
    call.name: call
    for call in (
        RawCall("RawGet", requests.read_get, replies.encode_value),
        RawCall("RawBatchGet", requests.read_batch_get, replies.encode_pairs, returns_rows=True),
        RawCall("RawPut", requests.read_put, replies.encode_done),
        RawCall("RawBatchPut", requests.read_batch_put, replies.encode_done),
        RawCall("RawDelete", requests.read_delete, replies.encode_done),
        RawCall("RawBatchDelete", requests.read_batch_delete, replies.encode_done),
        RawCall("RawScan", requests.read_scan, replies.encode_rows, returns_rows=True),
        RawCall("RawBatchScan", requests.read_batch_scan, replies.encode_rows, returns_rows=True),
        RawCall("RawDeleteRange", requests.read_delete_range, replies.encode_done),
        RawCall("RawCompareAndSwap", requests.read_compare_and_swap, replies.encode_cas),
        RawCall("RawGetKeyTTL", requests.read_get_key_ttl, replies.encode_done),
        RawCall("RawChecksum", requests.read_checksum, replies.encode_checksum),
    )
}
