"""The protocol definitions say what the protocol says, and the generated code says what the definitions say.

testdata/ holds the protocol as plain tables that were not made from proto/, so that a slip in a .proto file
(a number, a type, a oneof) shows here and not as a client that reads garbage.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto

import flaredb.wire.pb
from flaredb.wire.pb import kvrpcpb_pb2, metapb_pb2, tikvpb_pb2
from flaredb.wire.services import METHODS, PD_METHODS, SERVICES, TIKV_METHODS, Method

ROOT = Path(__file__).resolve().parents[2]
TESTDATA = Path(__file__).parent / "testdata"
GENERATED_DIR = Path(flaredb.wire.pb.__path__[0])

SCALARS = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
}

# Numbers the protocol gave up: a new field under one of them would be misread by older peers.
RESERVED = {
    "kvrpcpb.Context": [(4, 4), (26, 26)],
    "tikvpb.BatchCommandsRequest.Request": [(27, 32), (1000, 1199)],
    "tikvpb.BatchCommandsResponse.Response": [(27, 32)],
    "raft_serverpb.ExtraMessage": [(1000, 1199)],
    "raft_serverpb.SnapshotMeta": [(1000, 1199)],
    "raft_cmdpb.RaftCmdRequest": [(100, 200)],
    "raft_cmdpb.CommitMergeRequest": [(101, 200)],
    "pdpb.GetRegionResponse": [(4, 4)],
    "pdpb.StoreStats": [(1000, 1199)],
    "pdpb.RegionHeartbeatRequest": [(11, 11)],
    "replication_modepb.ReplicationStatus": [(1000, 1199)],
}


def golden_lines(name: str) -> set[str]:
    lines = (TESTDATA / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def subjects(lines: set[str]) -> set[str]:
    return {line.split()[0] for line in lines}


def assert_same_lines(actual: set[str], golden: set[str]) -> None:
    assert sorted(golden - actual) == [], "in the protocol, not in proto/"
    assert sorted(actual - golden) == [], "in proto/, not in the protocol"


def value_type(field: FieldDescriptor) -> str:
    named = field.message_type or field.enum_type
    return SCALARS[field.type] if named is None else str(named.full_name)


def field_type(field: FieldDescriptor, repeated: bool) -> str:
    if not repeated:
        return value_type(field)
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = message.fields
        return f"map<{value_type(key)},{value_type(value)}>"
    return f"repeated:{value_type(field)}"


def message_lines(message: Descriptor) -> set[str]:
    """The message in the notation of fields.txt."""
    if not message.fields:
        return {f"{message.full_name} - - -"}
    proto = proto_of(message)
    lines = set()
    for field, stated in zip(message.fields, proto.field, strict=True):
        kind = field_type(field, stated.label == stated.LABEL_REPEATED)
        oneof = f" oneof:{field.containing_oneof.name}" if field.containing_oneof else ""
        lines.add(f"{message.full_name} {field.number} {field.name} {kind}{oneof}")
    return lines


def proto_of(message: Descriptor) -> DescriptorProto:
    proto = DescriptorProto()
    message.CopyToProto(proto)
    return proto


def descriptors() -> list[FileDescriptor]:
    names = sorted(path.stem for path in GENERATED_DIR.glob("*_pb2.py"))
    return [importlib.import_module(f"flaredb.wire.pb.{name}").DESCRIPTOR for name in names]


def all_messages() -> dict[str, Descriptor]:
    found: dict[str, Descriptor] = {}
    todo = [message for file in descriptors() for message in file.message_types_by_name.values()]
    while todo:
        message = todo.pop()
        found[message.full_name] = message
        todo.extend(message.nested_types)
    return found


def all_enums() -> dict[str, EnumDescriptor]:
    enums = [enum for file in descriptors() for enum in file.enum_types_by_name.values()]
    return {enum.full_name: enum for enum in enums}


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_proto", ROOT / "scripts" / "gen_proto.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fields_of_every_listed_message_are_those_of_the_protocol() -> None:
    golden = golden_lines("fields.txt")
    messages = all_messages()
    listed = [messages[name] for name in subjects(golden) if name in messages]
    assert_same_lines({line for message in listed for line in message_lines(message)}, golden)


def test_values_of_every_listed_enum_are_those_of_the_protocol() -> None:
    golden = golden_lines("enums.txt")
    enums = all_enums()
    listed = [enums[name] for name in subjects(golden) if name in enums]
    actual = {f"{enum.full_name} {value.number} {value.name}" for enum in listed for value in enum.values}
    assert_same_lines(actual, golden)


def test_services_have_exactly_the_methods_of_the_protocol() -> None:
    def line(method: Method) -> str:
        request = "stream:" * method.client_streaming + method.request.DESCRIPTOR.full_name
        response = "stream:" * method.server_streaming + method.response.DESCRIPTOR.full_name
        return f"{method.path} {request} {response}"

    assert_same_lines({line(method) for method in METHODS.values()}, golden_lines("methods.txt"))


def test_every_service_defined_in_proto_has_a_method_table() -> None:
    defined = {service.full_name for file in descriptors() for service in file.services_by_name.values()}
    assert defined == set(SERVICES)
    for service, methods in SERVICES.items():
        assert [method.path for method in methods.values()] == [f"/{service}/{name}" for name in methods]


@pytest.mark.parametrize(("name", "ranges"), RESERVED.items(), ids=list(RESERVED))
def test_numbers_the_protocol_gave_up_are_reserved(name: str, ranges: list[tuple[int, int]]) -> None:
    proto = proto_of(all_messages()[name])
    assert sorted((r.start, r.end - 1) for r in proto.reserved_range) == ranges


def test_method_tables_hand_out_the_generated_classes_and_grpc_shapes() -> None:
    assert TIKV_METHODS["RawGet"].request is kvrpcpb_pb2.RawGetRequest
    assert TIKV_METHODS["BatchCommands"].response is tikvpb_pb2.BatchCommandsResponse
    shapes = {
        "unary_unary": TIKV_METHODS["RawGet"],
        "unary_stream": TIKV_METHODS["CoprocessorStream"],
        "stream_unary": TIKV_METHODS["Snapshot"],
        "stream_stream": PD_METHODS["RegionHeartbeat"],
    }
    assert {shape: method.arity for shape, method in shapes.items()} == {shape: shape for shape in shapes}
    assert METHODS["/tikvpb.Tikv/KVPessimisticRollback"].name == "KVPessimisticRollback"


def test_a_request_has_the_bytes_a_tikv_client_sends() -> None:
    """Written out by hand: tag = number << 3 | wire type, context is 1, region_id 1, epoch 2, key 2, cf 3."""
    epoch = metapb_pb2.RegionEpoch(conf_ver=5, version=7)
    request = kvrpcpb_pb2.RawGetRequest(
        context=kvrpcpb_pb2.Context(region_id=3, region_epoch=epoch, api_version=kvrpcpb_pb2.V2),
        key=b"k",
        cf="raw",
    )
    context = bytes.fromhex("08 03  12 04 08 05 10 07  a8 01 02")
    encoded = bytes([0x0A, len(context)]) + context + b"\x12\x01k" + b"\x1a\x03raw"
    assert request.SerializeToString(deterministic=True) == encoded
    assert kvrpcpb_pb2.RawGetRequest.FromString(encoded) == request


def test_fields_that_are_not_declared_survive_a_round_trip() -> None:
    """Transactional requests declare their context only; relaying one must not cut it."""
    sent = bytes.fromhex("0a 02 08 03  12 01 6b  18 2a")  # context, key, version
    assert kvrpcpb_pb2.GetRequest.FromString(sent).SerializeToString() == sent


def test_generated_code_matches_proto() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools, the protobuf compiler, is not installed")
    generator = load_generator()
    assert generator.differing(generator.described(), generator.committed_descriptors()) == []


def test_generator_names_what_differs() -> None:
    differing = load_generator().differing
    assert differing({"a": "1", "b": "1"}, {"b": "2", "c": "1"}) == ["a", "b", "c"]
    assert differing({"a": "1"}, {"a": "1"}) == []
