"""Results become responses; what is encoded by hand must read back as what protobuf would have written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.model.commands import CasResult, ChecksumResult
from flaredb.model.errors import NotLeader, ServerIsBusy
from flaredb.model.ids import RegionId
from flaredb.wire.pb import kvrpcpb_pb2 as pb
from flaredb.wire.pb import tikvpb_pb2
from flaredb.wire.raw_calls import EMPTY_ENTRY, RAW_CALLS, frame
from flaredb.wire.replies import varint
from flaredb.wire.services import TIKV_METHODS

ROWS = [(b"a", b"1"), (b"b", b""), (b"\x00\xff", b"x" * 300)]
PAIRS = [pb.KvPair(key=key, value=value) for key, value in ROWS]

RESULTS: list[tuple[str, str, Any, Any]] = [
    ("a value", "RawGet", b"v", pb.RawGetResponse(value=b"v")),
    ("an empty value is a value", "RawGet", b"", pb.RawGetResponse(value=b"", not_found=False)),
    ("a value of many bytes", "RawGet", b"v" * 100_000, pb.RawGetResponse(value=b"v" * 100_000)),
    ("an absent key", "RawGet", None, pb.RawGetResponse(not_found=True)),
    ("pairs", "RawBatchGet", ROWS, pb.RawBatchGetResponse(pairs=PAIRS)),
    ("no pairs", "RawBatchGet", [], pb.RawBatchGetResponse()),
    ("rows", "RawScan", ROWS, pb.RawScanResponse(kvs=PAIRS)),
    ("rows of several scans", "RawBatchScan", ROWS, pb.RawBatchScanResponse(kvs=PAIRS)),
    ("put", "RawPut", None, pb.RawPutResponse()),
    ("batch put", "RawBatchPut", None, pb.RawBatchPutResponse()),
    ("delete", "RawDelete", None, pb.RawDeleteResponse()),
    ("batch delete", "RawBatchDelete", None, pb.RawBatchDeleteResponse()),
    ("delete range", "RawDeleteRange", None, pb.RawDeleteRangeResponse()),
    ("swapped", "RawCompareAndSwap", CasResult(True, b"old"), pb.RawCASResponse(succeed=True, previous_value=b"old")),
    (
        "swapped in",
        "RawCompareAndSwap",
        CasResult(True, None),
        pb.RawCASResponse(succeed=True, previous_not_exist=True),
    ),
    ("not swapped", "RawCompareAndSwap", CasResult(False, b""), pb.RawCASResponse(succeed=False)),
    (
        "checksum",
        "RawChecksum",
        ChecksumResult(9, 2, 30),
        pb.RawChecksumResponse(checksum=9, total_kvs=2, total_bytes=30),
    ),
]


@pytest.mark.parametrize(
    ("name", "result", "expected"), [case[1:] for case in RESULTS], ids=[case[0] for case in RESULTS]
)
def test_result_is_encoded(name: str, result: Any, expected: Any) -> None:
    call = RAW_CALLS[name]
    assert type(expected).FromString(call.answer(result)) == expected
    if name in tikvpb_pb2.BatchCommandsResponse.Response.DESCRIPTOR.fields_by_name:
        batch = tikvpb_pb2.BatchCommandsResponse.FromString(frame([call.answer_in_frame(result)], [1 << 40]))
        (entry,) = batch.responses
        assert entry.WhichOneof("cmd") == name
        assert getattr(entry, name) == expected
        assert list(batch.request_ids) == [1 << 40]


@pytest.mark.parametrize("name", sorted(RAW_CALLS))
def test_a_region_error_stands_alone(name: str) -> None:
    response: Any = TIKV_METHODS[name].response.FromString(RAW_CALLS[name].answer(NotLeader(RegionId(7), None)))
    assert [field.name for field, _ in response.ListFields()] == ["region_error"]
    assert response.region_error.not_leader.region_id == 7


@pytest.mark.parametrize("name", sorted(RAW_CALLS))
def test_a_refusal_stands_where_clients_look(name: str) -> None:
    response: Any = TIKV_METHODS[name].response.FromString(RAW_CALLS[name].refuse("no such thing"))
    pairs = getattr(response, "kvs", None) or getattr(response, "pairs", None)
    if pairs:
        assert [pair.error.abort for pair in pairs] == ["no such thing"]
    else:
        assert response.error == "no such thing"
    assert len(response.ListFields()) == 1


@given(st.integers(0, 2**64 - 1))
def test_varint_is_protobufs(number: int) -> None:
    assert varint(number) == pb.GetRequest(context=pb.Context(region_id=number)).context.SerializeToString()[1:] or (
        number == 0 and varint(number) == b"\x00"
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**64 - 1),
            st.one_of(st.none(), st.binary(max_size=300), st.just(ServerIsBusy("full", 10))),
        ),
        max_size=20,
    )
)
def test_a_frame_of_gets_reads_back(answers: list[tuple[int, Any]]) -> None:
    call = RAW_CALLS["RawGet"]
    data = frame([call.answer_in_frame(result) for _, result in answers], [request_id for request_id, _ in answers])
    batch = tikvpb_pb2.BatchCommandsResponse.FromString(data)
    assert list(batch.request_ids) == [request_id for request_id, _ in answers]
    for entry, (_, result) in zip(batch.responses, answers, strict=True):
        if isinstance(result, ServerIsBusy):
            assert entry.RawGet.region_error.server_is_busy.backoff_ms == 10
        else:
            assert (entry.RawGet.value, entry.RawGet.not_found) == (result or b"", result is None)


def test_frames_joined_are_one_frame() -> None:
    put, get = RAW_CALLS["RawPut"], RAW_CALLS["RawGet"]
    joined = frame([put.answer_in_frame(None), EMPTY_ENTRY], [3, 1]) + frame([get.answer_in_frame(b"v")], [2])
    batch = tikvpb_pb2.BatchCommandsResponse.FromString(joined)
    assert [entry.WhichOneof("cmd") for entry in batch.responses] == ["RawPut", None, "RawGet"]
    assert list(batch.request_ids) == [3, 1, 2]
