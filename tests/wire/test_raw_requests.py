"""The client's side of raw calls against the server's: requests arrive as the command they were, answers come back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.model.commands import (
    COMPARE_AND_SWAP,
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
from flaredb.model.errors import NotLeader
from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.outcomes import Cause, Failed, Refusal
from flaredb.model.region import Peer, Region, RegionEpoch
from flaredb.wire import client_frames, lazy_context, raw_requests
from flaredb.wire.pb import kvrpcpb_pb2 as pb
from flaredb.wire.raw_calls import EMPTY_ENTRY, RAW_CALLS, frame
from flaredb.wire.raw_requests import encode_context, encode_request
from flaredb.wire.requests import RequestRules, Route, RouteReader
from flaredb.wire.services import TIKV_METHODS

PEER = Peer(PeerId(300), StoreId(5))
REGION = Region(RegionId(7), b"", b"", RegionEpoch(version=9, conf_ver=4), (PEER,))
CONTEXT = encode_context(REGION, PEER)

KEYS = st.binary(max_size=300)
VALUES = st.binary(max_size=3_000)
CFS = st.integers(0, 2)


def write_of(*operations: tuple[Any, ...]) -> Write:
    return Write(
        list(operations), sum(len(part) for operation in operations for part in operation if type(part) is bytes)
    )


COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(Get, CFS, KEYS),
    st.builds(BatchGet, CFS, st.lists(KEYS, min_size=1)),
    st.builds(lambda cf, key, value: write_of((PUT, cf, key, value)), CFS, KEYS, VALUES),
    st.builds(lambda cf, key: write_of((DELETE, cf, key)), CFS, KEYS),
    st.builds(
        lambda cf, rows: write_of(*((PUT, cf, key, value) for key, value in rows)),
        CFS,
        st.lists(st.tuples(KEYS, VALUES), min_size=2, max_size=5),
    ),
    st.builds(
        lambda cf, keys: write_of(*((DELETE, cf, key) for key in keys)), CFS, st.lists(KEYS, min_size=2, max_size=5)
    ),
    st.builds(lambda cf, key: write_of((DELETE_RANGE, cf, key, key + b"\x00")), CFS, KEYS),
    st.builds(
        lambda cf, key, old, new: write_of((COMPARE_AND_SWAP, cf, key, old, new)),
        CFS,
        KEYS,
        st.none() | VALUES,
        st.none() | VALUES,
    ),
    st.builds(
        lambda key, limit, reverse, keys_only: Scan(0, key, key + b"a", limit, reverse, keys_only),
        KEYS,
        st.integers(1, 9),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda key: Checksum([(key, key + b"a")]), KEYS),
)


@given(COMMANDS)
def test_a_command_arrives_as_it_was(command: Command) -> None:
    method, encoded = encode_request(command, CONTEXT)
    call = RAW_CALLS[method.name]
    request = call.request.FromString(encoded)
    assert call.read(request, RequestRules()) == command
    assert RouteReader(ClusterId(1)).read(request.context) == Route(
        REGION.id, REGION.epoch.version, PEER.id, PEER.store_id, 0, False
    )
    # It is also what protobuf itself would have made of it.
    message = TIKV_METHODS[method.name].request.FromString(encoded)
    assert message.context.region_epoch.conf_ver == 4  # type: ignore[attr-defined]


@given(st.lists(st.tuples(COMMANDS, st.integers(0, 2**63)), max_size=5))
def test_frames_arrive(items: list[tuple[Command, int]]) -> None:
    encoded = [(*encode_request(command, CONTEXT), number) for command, number in items]
    encoded = [item for item in encoded if item[0].in_frames]
    entries = [client_frames.entry(method.entry_head, request) for method, request, _ in encoded]
    read = lazy_context.BatchCommandsRequest.FromString(client_frames.frame(entries, [item[2] for item in encoded]))
    assert list(read.request_ids) == [item[2] for item in encoded]
    assert [member.WhichOneof("cmd") for member in read.requests] == [item[0].name for item in encoded]


RESULTS: list[tuple[raw_requests.RawMethod, list[Any]]] = [
    (raw_requests.GET, [None, b"", b"v", b"v" * 127, b"v" * 128, b"v" * 70_000]),
    (raw_requests.PUT_ONE, [None]),
    (raw_requests.DELETE_ONE, [None]),
    (raw_requests.PUT_MANY, [None]),
    (raw_requests.DELETE_MANY, [None]),
    (raw_requests.DELETE_ROWS, [None]),
    (raw_requests.GET_MANY, [[], [(b"k", b"v"), (b"l", b"")]]),
    (raw_requests.SCAN, [[], [(b"k", b"v" * 500), (b"l", b"")]]),
    (raw_requests.SWAP, [CasResult(True, None), CasResult(False, b""), CasResult(True, b"x")]),
    (raw_requests.CHECKSUM, [ChecksumResult(2**64 - 1, 3, 4)]),
]


@pytest.mark.parametrize(("method", "results"), RESULTS, ids=lambda item: getattr(item, "name", ""))
def test_answers_come_back(method: raw_requests.RawMethod, results: list[Any]) -> None:
    call = RAW_CALLS[method.name]
    error = NotLeader(REGION.id, PEER)
    for result, expected in [(item, item) for item in results] + [(error, Refusal(Cause.NOT_LEADER, str(error), PEER))]:
        assert method.decode(call.answer(result)) == expected
        if method.in_frames:
            responses, ids = client_frames.read_frame(frame([call.answer_in_frame(result)], [77]))
            assert list(ids) == [77]
            assert method.decode_entry(responses[0]) == expected
    assert method.decode(call.refuse("it cannot be")) == Failed("it cannot be")


def test_a_command_that_the_store_does_not_know() -> None:
    responses, _ = client_frames.read_frame(frame([EMPTY_ENTRY], [1]))
    outcome = raw_requests.GET.decode_entry(responses[0])
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("UNIMPLEMENTED")


def test_answers_and_ids_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="1 answers for 2 requests"):
        client_frames.read_frame(frame([EMPTY_ENTRY, EMPTY_ENTRY], [1, 2])[2:])


def test_ttl_and_for_cas_are_told() -> None:
    _, one = encode_request(write_of((PUT, 1, b"k", b"v")), CONTEXT, ttl_s=300, for_cas=True)
    put = pb.RawPutRequest.FromString(one)
    assert (put.ttl, put.for_cas, put.cf, put.key, put.value) == (300, True, "lock", b"k", b"v")
    _, many = encode_request(write_of((PUT, 0, b"k", b"v"), (PUT, 0, b"l", b"w")), CONTEXT, ttl_s=5, for_cas=True)
    batch = pb.RawBatchPutRequest.FromString(many)
    assert (list(batch.ttls), batch.for_cas, batch.cf) == ([5], True, "")
    _, swap = encode_request(write_of((COMPARE_AND_SWAP, 0, b"k", None, b"v")), CONTEXT, ttl_s=7)
    assert pb.RawCASRequest.FromString(swap).ttl == 7
