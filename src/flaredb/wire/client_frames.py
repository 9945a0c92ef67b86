"""BatchCommands frames as a client makes and reads them (wire facts 3.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from flaredb.wire.pb import tikvpb_pb2
from flaredb.wire.replies import member_tag, varint

_ENTRY_TAG = member_tag(tikvpb_pb2.BatchCommandsRequest.DESCRIPTOR.fields_by_name["requests"].number)
_IDS_TAG = member_tag(tikvpb_pb2.BatchCommandsRequest.DESCRIPTOR.fields_by_name["request_ids"].number)


def _build() -> Any:
    """tikvpb.BatchCommandsResponse whose responses stay encoded, and nothing else of it."""
    file = FileDescriptorProto(name="flaredb/client_frame.proto", package="flaredb.client", syntax="proto3")
    message = file.message_type.add(name="BatchCommandsResponse")
    original = tikvpb_pb2.BatchCommandsResponse.DESCRIPTOR.fields_by_name
    for name, kind in (
        ("responses", FieldDescriptorProto.TYPE_BYTES),
        ("request_ids", FieldDescriptorProto.TYPE_UINT64),
    ):
        message.field.add(name=name, number=original[name].number, label=FieldDescriptorProto.LABEL_REPEATED, type=kind)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("flaredb.client.BatchCommandsResponse"))


_Response: Any = _build()


def entry(head: bytes, request: bytes) -> bytes:
    """An encoded request as an entry of a frame; ``head`` is RawMethod.entry_head."""
    size = varint(len(request))
    return b"".join((_ENTRY_TAG, varint(len(head) + len(size) + len(request)), head, size, request))


def frame(entries: list[bytes], request_ids: Sequence[int]) -> bytes:
    """An encoded BatchCommandsRequest; entries and ids are parallel."""
    ids = b"".join(map(varint, request_ids))
    return b"".join((*entries, _IDS_TAG, varint(len(ids)), ids))


def read_frame(data: bytes) -> tuple[Sequence[bytes], Sequence[int]]:
    """The encoded responses of a frame and the ids of their requests, parallel.

    Errors: protobuf's DecodeError; ValueError if there are more of one than of the other.
    """
    message = _Response.FromString(data)
    responses, ids = message.responses, message.request_ids
    if len(responses) != len(ids):
        raise ValueError(f"the store sent {len(responses)} answers for {len(ids)} requests")
    return responses, ids
