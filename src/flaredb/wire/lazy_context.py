"""Raw requests whose context stays encoded.

The context is two thirds of the work of reading a small request, and the requests of one client to one region carry
the same one. These message types are the protocol's own with one change: ``context`` is bytes. An embedded message is
encoded just as bytes are, so they read the same wire format, and the context is decoded only when it is a new one.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from flaredb.wire.pb import tikvpb_pb2
from flaredb.wire.services import TIKV_METHODS

_PACKAGE = "flaredb.lazy"
_RAW_REQUESTS = [
    method.request for name, method in TIKV_METHODS.items() if name.startswith("Raw") and name != "RawCoprocessor"
]


def _build() -> dict[str, type[Message]]:
    """The changed messages by their bare names."""
    renamed = {f".{cls.DESCRIPTOR.full_name}": f".{_PACKAGE}.{cls.DESCRIPTOR.name}" for cls in _RAW_REQUESTS}
    file = FileDescriptorProto(name="flaredb/lazy.proto", package=_PACKAGE, syntax="proto3")
    # Its other members are messages of tikvpb.proto and of what that imports.
    file.dependency.extend([tikvpb_pb2.DESCRIPTOR.name, *(used.name for used in tikvpb_pb2.DESCRIPTOR.dependencies)])
    for cls in _RAW_REQUESTS:
        message = _copy(cls, file.message_type.add())
        context = next(field for field in message.field if field.name == "context")
        context.type = FieldDescriptorProto.TYPE_BYTES
        context.ClearField("type_name")
    frame = _copy(tikvpb_pb2.BatchCommandsRequest, file.message_type.add())
    (entry,) = frame.nested_type
    requests = next(field for field in frame.field if field.name == "requests")
    requests.type_name = f".{_PACKAGE}.{frame.name}.{entry.name}"
    for member in entry.field:
        member.type_name = renamed.get(member.type_name, member.type_name)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    built = pool.FindFileByName(file.name)
    return {name: GetMessageClass(descriptor) for name, descriptor in built.message_types_by_name.items()}


def _copy(cls: type[Message], into: DescriptorProto) -> DescriptorProto:
    cls.DESCRIPTOR.CopyToProto(into)
    return into


_MESSAGES = _build()

BatchCommandsRequest: Any = _MESSAGES["BatchCommandsRequest"]
"""tikvpb.BatchCommandsRequest with encoded contexts in its raw requests; other members are the protocol's own."""


def lazy(request: type[Message]) -> Any:
    """The message type that reads ``request``, a raw request, and leaves its context encoded."""
    return _MESSAGES[request.DESCRIPTOR.name]
