"""Requests become commands; what is wrong in a request itself is refused with a text that helps."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message

from flaredb.model.commands import (
    COMPARE_AND_SWAP,
    DELETE,
    DELETE_RANGE,
    PUT,
    BatchGet,
    BatchScan,
    Checksum,
    ChecksumResult,
    Get,
    Scan,
    Write,
)
from flaredb.model.errors import InvalidRequest
from flaredb.wire import requests
from flaredb.wire.lazy_context import lazy
from flaredb.wire.pb import kvrpcpb_pb2 as pb
from flaredb.wire.pb import metapb_pb2
from flaredb.wire.raw_calls import RAW_CALLS
from flaredb.wire.requests import Known, RequestRules, Route, RouteReader, WrongCluster
from flaredb.wire.services import TIKV_METHODS

RULES = RequestRules()
R = pb.KeyRange


def read(request: Message) -> Any:
    """What the table's reader makes of a request that travelled."""
    names = {call.request_name: call for call in RAW_CALLS.values()}
    call = names[request.DESCRIPTOR.full_name]
    return call.read(call.request.FromString(request.SerializeToString()), RULES)


COMMANDS: list[tuple[str, Message, Any]] = [
    ("get", pb.RawGetRequest(key=b"k"), Get(0, b"k")),
    ("get from a named family", pb.RawGetRequest(key=b"k", cf="lock"), Get(1, b"k")),
    ("get of the empty key", pb.RawGetRequest(), Get(0, b"")),
    ("get of a long key", pb.RawGetRequest(key=b"k" * 9000), Get(0, b"k" * 9000)),
    (
        "batch get keeps order and repeats",
        pb.RawBatchGetRequest(keys=[b"b", b"a", b"b"]),
        BatchGet(0, [b"b", b"a", b"b"]),
    ),
    ("batch get of nothing", pb.RawBatchGetRequest(), Known([])),
    ("put", pb.RawPutRequest(key=b"k", value=b"vv", cf="default"), Write([(PUT, 0, b"k", b"vv")], 3)),
    ("put of an empty value", pb.RawPutRequest(key=b"k", cf="write"), Write([(PUT, 2, b"k", b"")], 1)),
    ("put of the empty key", pb.RawPutRequest(value=b"v", for_cas=True), Write([(PUT, 0, b"", b"v")], 1)),
    ("put of the longest key", pb.RawPutRequest(key=b"k" * 8192), Write([(PUT, 0, b"k" * 8192, b"")], 8192)),
    (
        "batch put",
        pb.RawBatchPutRequest(pairs=[pb.KvPair(key=b"b", value=b"1"), pb.KvPair(key=b"a", value=b"22")]),
        Write([(PUT, 0, b"b", b"1"), (PUT, 0, b"a", b"22")], 5),
    ),
    (
        "batch put with zero ttls",
        pb.RawBatchPutRequest(pairs=[pb.KvPair(key=b"a")], ttls=[0]),
        Write([(PUT, 0, b"a", b"")], 1),
    ),
    ("batch put of nothing", pb.RawBatchPutRequest(), Known(None)),
    ("delete", pb.RawDeleteRequest(key=b"k"), Write([(DELETE, 0, b"k")], 1)),
    ("batch delete", pb.RawBatchDeleteRequest(keys=[b"a", b"b"]), Write([(DELETE, 0, b"a"), (DELETE, 0, b"b")], 2)),
    ("batch delete of nothing", pb.RawBatchDeleteRequest(), Known(None)),
    ("delete range", pb.RawDeleteRangeRequest(start_key=b"a", end_key=b"c"), Write([(DELETE_RANGE, 0, b"a", b"c")], 2)),
    ("delete range to the end", pb.RawDeleteRangeRequest(start_key=b"a"), Write([(DELETE_RANGE, 0, b"a", b"")], 1)),
    (
        "swap",
        pb.RawCASRequest(key=b"k", value=b"new", previous_value=b"old"),
        Write([(COMPARE_AND_SWAP, 0, b"k", b"old", b"new")], 7),
    ),
    ("swap of an empty value", pb.RawCASRequest(key=b"k"), Write([(COMPARE_AND_SWAP, 0, b"k", b"", b"")], 1)),
    (
        "swap that expects absence ignores the previous value",
        pb.RawCASRequest(key=b"k", value=b"v", previous_not_exist=True, previous_value=b"x"),
        Write([(COMPARE_AND_SWAP, 0, b"k", None, b"v")], 2),
    ),
    (
        "swap that deletes",
        pb.RawCASRequest(key=b"k", value=b"v", previous_value=b"x", delete=True),
        Write([(COMPARE_AND_SWAP, 0, b"k", b"x", None)], 2),
    ),
    ("scan", pb.RawScanRequest(start_key=b"a", end_key=b"c", limit=5), Scan(0, b"a", b"c", 5)),
    ("scan of all", pb.RawScanRequest(limit=5, key_only=True), Scan(0, b"", b"", 5, keys_only=True)),
    ("scan of no rows", pb.RawScanRequest(start_key=b"a"), Known([])),
    ("scan of an inverted range", pb.RawScanRequest(start_key=b"c", end_key=b"a", limit=5), Known([])),
    (
        "reverse scan: start is the upper bound",
        pb.RawScanRequest(start_key=b"c", end_key=b"a", limit=5, reverse=True),
        Scan(0, b"a", b"c", 5, reverse=True),
    ),
    (
        "reverse scan down to the first key",
        pb.RawScanRequest(start_key=b"c", limit=5, reverse=True),
        Scan(0, b"", b"c", 5, True),
    ),
    ("reverse scan below the lowest key", pb.RawScanRequest(end_key=b"a", limit=5, reverse=True), Known([])),
    (
        "batch scan: an empty end is the next start",
        pb.RawBatchScanRequest(ranges=[R(start_key=b"a"), R(start_key=b"m")], each_limit=2),
        BatchScan([Scan(0, b"a", b"m", 2), Scan(0, b"m", b"", 2)]),
    ),
    (
        "reverse batch scan",
        pb.RawBatchScanRequest(ranges=[R(start_key=b"c", end_key=b"a")], each_limit=2, reverse=True, key_only=True),
        BatchScan([Scan(0, b"a", b"c", 2, True, True)]),
    ),
    ("batch scan of no rows", pb.RawBatchScanRequest(ranges=[R(start_key=b"a")]), Known([])),
    ("batch scan of nothing", pb.RawBatchScanRequest(each_limit=2), Known([])),
    (
        "reverse batch scan from the lowest key",
        pb.RawBatchScanRequest(ranges=[R()], each_limit=2, reverse=True),
        Known([]),
    ),
    ("checksum", pb.RawChecksumRequest(ranges=[R(start_key=b"a", end_key=b"b")]), Checksum([(b"a", b"b")])),
    ("checksum of nothing", pb.RawChecksumRequest(), Known(ChecksumResult(0, 0, 0))),
]


@pytest.mark.parametrize(
    ("request_pb", "expected"), [case[1:] for case in COMMANDS], ids=[case[0] for case in COMMANDS]
)
def test_request_is_read(request_pb: Message, expected: Any) -> None:
    assert read(request_pb) == expected


LONG = b"k" * 8193
REFUSED: list[tuple[str, Message, str]] = [
    ("a long key", pb.RawPutRequest(key=LONG), "8193 bytes.*8192.*storage.max-key-size"),
    ("a long key in a batch", pb.RawBatchPutRequest(pairs=[pb.KvPair(key=b"a"), pb.KvPair(key=LONG)]), "8193"),
    ("a long key to delete", pb.RawDeleteRequest(key=LONG), "8193"),
    ("a long key to delete in a batch", pb.RawBatchDeleteRequest(keys=[b"a", LONG]), "8193"),
    ("a long key to swap", pb.RawCASRequest(key=LONG), "8193"),
    ("a long bound", pb.RawDeleteRangeRequest(start_key=b"a", end_key=LONG), "8193"),
    ("a family that does not exist", pb.RawGetRequest(cf="raft"), "'raft' does not exist.*default, lock, write"),
    ("the same in a scan", pb.RawScanRequest(cf="Default", limit=1), "'Default' does not exist"),
    ("the same in a scan of no rows", pb.RawScanRequest(cf="x"), "does not exist"),
    ("the same in an empty batch", pb.RawBatchPutRequest(cf="x"), "does not exist"),
    ("a ttl", pb.RawPutRequest(key=b"k", ttl=1), "TTL is not enabled.*ttl 0"),
    ("a ttl in a batch", pb.RawBatchPutRequest(pairs=[pb.KvPair(), pb.KvPair()], ttls=[0, 9]), "TTL is not enabled"),
    ("the old ttl in a batch", pb.RawBatchPutRequest(pairs=[pb.KvPair()], ttl=9), "TTL is not enabled"),
    ("ttls that do not fit", pb.RawBatchPutRequest(pairs=[pb.KvPair()] * 3, ttls=[0, 0]), "2 ttls do not fit 3 pairs"),
    ("a ttl in a swap", pb.RawCASRequest(key=b"k", ttl=1), "TTL is not enabled"),
    ("a question for a ttl", pb.RawGetKeyTTLRequest(key=b"k"), "TTL is not enabled"),
    ("an empty range to delete", pb.RawDeleteRangeRequest(start_key=b"a", end_key=b"a"), r"\[b'a', b'a'\) is empty"),
    ("an inverted range to delete", pb.RawDeleteRangeRequest(start_key=b"b", end_key=b"a"), "start must be below"),
    ("an inverted range to scan", pb.RawBatchScanRequest(ranges=[R(start_key=b"b", end_key=b"a")]), "range 0.*below"),
    (
        "an inverted range in reverse",
        pb.RawBatchScanRequest(ranges=[R(start_key=b"c"), R(start_key=b"d")], reverse=True),
        "range 0.*above its end in a reverse scan",
    ),
    ("an empty range to sum", pb.RawChecksumRequest(ranges=[R(start_key=b"a", end_key=b"a")]), "range 0"),
    ("another checksum", pb.RawChecksumRequest(algorithm=3, ranges=[R()]), "algorithm 3.*Crc64_Xor"),
]


@pytest.mark.parametrize(("request_pb", "text"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_request_is_refused(request_pb: Message, text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        read(request_pb)


def test_the_key_limit_is_a_setting() -> None:
    with pytest.raises(InvalidRequest, match=r"5 bytes.*4"):
        requests.read_put(pb.RawPutRequest(key=b"12345"), RequestRules(key_size_bytes_max=4))


# ---------------------------------------------------------------- context


def context(**fields: Any) -> bytes:
    base = pb.Context(
        region_id=7,
        region_epoch=metapb_pb2.RegionEpoch(version=3, conf_ver=9),
        peer=metapb_pb2.Peer(id=11, store_id=2),
        term=6,
        **fields,
    )
    return base.SerializeToString()


def test_the_route_is_read() -> None:
    assert RouteReader(cluster_id=5).read(context()) == Route(7, 3, 11, 2, 6, False)


@pytest.mark.parametrize("flag", ["replica_read", "stale_read"])
def test_a_follower_may_serve_such_reads(flag: str) -> None:
    assert RouteReader(cluster_id=5).read(context(**{flag: True})).replica_read is True


def test_an_unset_context_names_no_region() -> None:
    assert RouteReader(cluster_id=5).read(b"") == Route(0, 0, 0, 0, 0, False)


def test_own_cluster_and_no_cluster_are_accepted() -> None:
    reader = RouteReader(cluster_id=5)
    assert reader.read(context(cluster_id=5)) == reader.read(context())


def test_the_cluster_is_checked_before_the_request() -> None:
    with pytest.raises(WrongCluster, match="for cluster 6, this store belongs to cluster 5"):
        RouteReader(cluster_id=5).read(context(cluster_id=6, api_version=2))


@pytest.mark.parametrize(("version", "name"), [(1, "V1TTL"), (2, "V2"), (3, "V3"), (9, "9")])
def test_other_api_versions_are_refused_every_time(version: int, name: str) -> None:
    reader = RouteReader(cluster_id=5)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=f"ApiVersionNotMatched.*{name}.*serves V1"):
            reader.read(context(api_version=version))


def test_remembered_contexts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RouteReader, "ROUTES_MAX", 10)
    reader = RouteReader(cluster_id=5)
    for task in range(100):
        assert reader.read(context(task_id=task)).region_id == 7
    assert reader.read(context(resource_group_tag=b"x" * 10_000)).region_id == 7
    assert len(reader._routes) <= 10
    assert max(map(len, reader._routes)) <= RouteReader.CONTEXT_SIZE_BYTES_MAX


def test_a_context_of_noise_is_no_context() -> None:
    with pytest.raises(DecodeError):
        RouteReader(cluster_id=5).read(b"\xff\xff\xff")


@pytest.mark.parametrize("name", sorted(RAW_CALLS))
def test_the_lazy_message_reads_the_same_bytes(name: str) -> None:
    """All fields but the context have the same number and type, and the context comes out as it went in."""
    original: Any = TIKV_METHODS[name].request
    fields = {field.name: (field.number, field.type) for field in original.DESCRIPTOR.fields}
    read_lazily = lazy(original)
    changed = {field.name: (field.number, field.type) for field in read_lazily.DESCRIPTOR.fields}
    assert {key for key in fields if fields[key] != changed[key]} == {"context"}
    sent = original(context=pb.Context.FromString(context()))
    assert read_lazily.FromString(sent.SerializeToString()).context == context()
