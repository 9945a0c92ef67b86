"""The gRPC methods of every service, as tables read from the descriptors in `wire.pb`.

Servers register generic handlers from these tables and clients build their calls from them; there is no
generated service code. Paths, message types and streaming are therefore stated once, in proto/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from flaredb.wire.pb import etcdserverpb_pb2, keyspacepb_pb2, pdpb_pb2, tikvpb_pb2

Arity = Literal["unary_unary", "unary_stream", "stream_unary", "stream_stream"]


@dataclass(frozen=True, slots=True)
class Method:
    """One remote procedure: where it is called and what goes each way."""

    path: str  # "/package.Service/Name", as sent in the HTTP/2 :path header
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool

    @property
    def name(self) -> str:
        """The last part of the path: "RawGet" of "/tikvpb.Tikv/RawGet"."""
        return self.path.rpartition("/")[2]

    @property
    def arity(self) -> Arity:
        """grpc's word for this shape: a method of Channel, and the prefix of a `..._rpc_method_handler`."""
        if self.client_streaming:
            return "stream_stream" if self.server_streaming else "stream_unary"
        return "unary_stream" if self.server_streaming else "unary_unary"


def _method(method: MethodDescriptor) -> Method:
    return Method(
        path=f"/{method.containing_service.full_name}/{method.name}",
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
    )


def _methods(file: FileDescriptor, service_name: str) -> dict[str, Method]:
    return {method.name: _method(method) for method in file.services_by_name[service_name].methods}


# Each table is keyed by the bare method name, in the order of the .proto file.
TIKV_METHODS = _methods(tikvpb_pb2.DESCRIPTOR, "Tikv")
PD_METHODS = _methods(pdpb_pb2.DESCRIPTOR, "PD")
KEYSPACE_METHODS = _methods(keyspacepb_pb2.DESCRIPTOR, "Keyspace")
ETCD_KV_METHODS = _methods(etcdserverpb_pb2.DESCRIPTOR, "KV")
ETCD_CLUSTER_METHODS = _methods(etcdserverpb_pb2.DESCRIPTOR, "Cluster")

# The tables by full service name, for grpc.method_handlers_generic_handler.
SERVICES: dict[str, dict[str, Method]] = {
    "tikvpb.Tikv": TIKV_METHODS,
    "pdpb.PD": PD_METHODS,
    "keyspacepb.Keyspace": KEYSPACE_METHODS,
    "etcdserverpb.KV": ETCD_KV_METHODS,
    "etcdserverpb.Cluster": ETCD_CLUSTER_METHODS,
}

# Every method by its path.
METHODS: dict[str, Method] = {method.path: method for methods in SERVICES.values() for method in methods.values()}
