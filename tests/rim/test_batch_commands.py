"""BatchCommands: frames in, frames out, every id answered once, memory bounded by what the client reads."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from flaredb.model.errors import NotLeader
from flaredb.model.ids import RegionId
from flaredb.server.aio_batch import BatchStream
from flaredb.server.batch_commands import BatchRequests
from flaredb.server.front import Front
from flaredb.server.not_built import not_built_text
from flaredb.server.service_settings import KvServiceSettings
from flaredb.wire.pb import tikvpb_pb2 as pb
from flaredb.wire.services import TIKV_METHODS
from tests.rim.kv_rig import CLUSTER_ID, DEADLINE_S, STORE_ID, ToyStore, context, each_front, serve, until  # noqa: F401

Frame = pb.BatchCommandsRequest
ALL_COMMANDS = Frame.Request.DESCRIPTOR.oneofs_by_name["cmd"].fields
RAW = [field.name for field in ALL_COMMANDS if field.name.startswith("Raw") and field.name != "RawCoprocessor"]


def frame(*commands: tuple[str, dict[str, Any]], first_id: int = 1) -> pb.BatchCommandsRequest:
    """Commands as (member, fields), with consecutive ids; ("", {}) is a request without a member."""
    out = pb.BatchCommandsRequest()
    for number, (name, fields) in enumerate(commands):
        request = out.requests.add()
        if name:
            member = getattr(request, name)
            member.SetInParent()
            if "context" in member.DESCRIPTOR.fields_by_name:
                fields = {"context": context(), **fields}
            member.MergeFrom(type(member)(**fields))
        out.request_ids.append(first_id + number)
    return out


def puts(count: int, first_id: int = 1, value: bytes = b"v") -> pb.BatchCommandsRequest:
    return frame(*(("RawPut", {"key": b"%05d" % n, "value": value}) for n in range(count)), first_id=first_id)


def gets(count: int, first_id: int = 1) -> pb.BatchCommandsRequest:
    return frame(*(("RawGet", {"key": b"k"}) for _ in range(count)), first_id=first_id)


async def answers(stream: Any, count: int) -> dict[int, Any]:
    """The next ``count`` answers by id; no id may come twice."""
    found: dict[int, Any] = {}
    while len(found) < count:
        response = await asyncio.wait_for(stream.read(), DEADLINE_S)
        assert response is not grpc.aio.EOF, f"the stream ended after {len(found)} answers"
        assert len(response.responses) == len(response.request_ids)
        for request_id, answer in zip(response.request_ids, response.responses, strict=True):
            assert request_id not in found
            found[request_id] = answer
    return found


async def test_a_frame_is_one_input_and_one_frame_back() -> None:
    async with serve() as rig:
        stream = rig.batch()
        await stream.write(puts(64))
        response = await asyncio.wait_for(stream.read(), DEADLINE_S)
        assert sorted(response.request_ids) == list(range(1, 65))
        assert {answer.WhichOneof("cmd") for answer in response.responses} == {"RawPut"}
        assert [len(given.requests) for given in rig.store.inputs] == [64]
        stream.cancel()


async def test_all_raw_commands_in_one_frame() -> None:
    async with serve() as rig:
        stream = rig.batch()
        rig.store.data[0].update({b"a": b"1", b"b": b"2", b"c": b"3", b"e": b""})
        await stream.write(
            frame(
                ("RawGet", {"key": b"a"}),
                ("RawGet", {"key": b"x"}),
                ("RawGet", {"key": b"e"}),
                ("RawBatchGet", {"keys": [b"b", b"x"]}),
                ("RawScan", {"start_key": b"a", "end_key": b"c", "limit": 9}),
                ("RawBatchScan", {"ranges": [{"start_key": b"b"}], "each_limit": 1}),
                ("RawPut", {"key": b"p", "value": b"q"}),
                ("RawBatchPut", {"pairs": [{"key": b"r", "value": b"s"}]}),
                ("RawDelete", {"key": b"p"}),
                ("RawBatchDelete", {"keys": [b"r"]}),
                ("RawDeleteRange", {"start_key": b"a", "end_key": b"b"}),
            )
        )
        found = await answers(stream, 11)
        assert found[1].RawGet.value == b"1"
        assert found[2].RawGet.not_found
        assert (found[3].WhichOneof("cmd"), found[3].RawGet.not_found) == ("RawGet", False)
        assert [pair.key for pair in found[4].RawBatchGet.pairs] == [b"b"]
        assert [pair.key for pair in found[5].RawScan.kvs] == [b"a", b"b"]
        assert [pair.key for pair in found[6].RawBatchScan.kvs] == [b"b"]
        members = ["RawPut", "RawBatchPut", "RawDelete", "RawBatchDelete", "RawDeleteRange"]
        assert [found[number].WhichOneof("cmd") for number in range(7, 12)] == members
        assert sorted(rig.store.data[0]) == [b"b", b"c", b"e"]
        stream.cancel()


async def test_answers_of_several_frames_may_share_a_frame() -> None:
    async with serve() as rig:
        rig.store.holds = True
        stream = rig.batch()
        await stream.write(gets(3, first_id=10))
        await stream.write(gets(3, first_id=20))
        await until(lambda: len(rig.store.inputs) == 2, "both frames")
        rig.store.release()
        response = await asyncio.wait_for(stream.read(), DEADLINE_S)
        assert sorted(response.request_ids) == [10, 11, 12, 20, 21, 22]
        stream.cancel()


async def test_errors_stay_with_their_request() -> None:
    async with serve() as rig:
        rig.store.decide = lambda r: NotLeader(RegionId(7), None) if r.command.operations[0][2] == b"n" else None
        stream = rig.batch()
        await stream.write(
            frame(
                ("RawPut", {"key": b"k"}),
                ("RawPut", {"key": b"n"}),
                ("RawPut", {"key": b"k" * 8193}),
                ("RawPut", {"key": b"k", "cf": "nope"}),
                ("RawScan", {"cf": "nope", "limit": 1}),
                ("RawPut", {"key": b"k", "context": context(api_version=2)}),
                ("RawPut", {"key": b""}),
            )
        )
        found = await answers(stream, 7)
        assert not found[1].RawPut.ListFields()
        assert found[2].RawPut.region_error.not_leader.region_id == 7
        assert "8193 bytes" in found[3].RawPut.error
        assert "'nope' does not exist" in found[4].RawPut.error
        assert "'nope' does not exist" in found[5].RawScan.kvs[0].error.abort
        assert "ApiVersionNotMatched" in found[6].RawPut.error
        assert not found[7].RawPut.ListFields()
        assert len(rig.store.requests) == 3
        stream.cancel()


async def test_unknown_commands_are_answered_with_no_member() -> None:
    async with serve() as rig:
        data = bytearray(frame(("", {}), ("RawGet", {"key": b"k"})).SerializeToString())
        # A command of a later protocol: member 200, an empty message, with id 9.
        newer = b"\x0a\x03\xc2\x0c\x00" + b"\x10\x09"
        method = TIKV_METHODS["BatchCommands"]
        stream = rig.channel.stream_stream(method.path, response_deserializer=method.response.FromString)(timeout=60)
        await stream.write(bytes(data) + newer)
        found = await answers(stream, 3)
        assert [found[number].WhichOneof("cmd") for number in (1, 2, 9)] == [None, "RawGet", None]
        stream.cancel()


async def test_commands_that_are_not_built_say_so_inside_their_answer() -> None:
    refused = [field.name for field in ALL_COMMANDS if field.name not in {*RAW, "Empty", "GetHealthFeedback"}]
    async with serve() as rig:
        stream = rig.batch()
        await stream.write(frame(*((name, {}) for name in refused)))
        found = await answers(stream, len(refused))
        for request_id, name in enumerate(refused, 1):
            answer = found[request_id]
            assert answer.WhichOneof("cmd") == name
            if name != "BroadcastTxnStatus":  # its answer has no room for an error
                assert b"is not built" in answer.SerializeToString(), name
        assert found[1].Get.error.abort == not_built_text("KvGet")
        assert found[1 + refused.index("Prewrite")].Prewrite.errors[0].abort == not_built_text("KvPrewrite")
        assert found[1 + refused.index("Coprocessor")].Coprocessor.other_error == not_built_text("Coprocessor")
        assert not rig.store.inputs
        stream.cancel()


async def test_empty_is_echoed_after_its_delay_and_health_is_told() -> None:
    async with serve(KvServiceSettings(empty_delay_ms_max=30)) as rig:
        stream = rig.batch()
        await stream.write(
            frame(
                ("Empty", {"test_id": 5, "delay_time": 10_000_000}),
                ("Empty", {"test_id": 6}),
                ("GetHealthFeedback", {}),
            )
        )
        found = await answers(stream, 3)
        assert list(found) == [2, 3, 1], "in the order of the answers"
        assert (found[1].Empty.test_id, found[2].Empty.test_id) == (5, 6)
        assert found[3].GetHealthFeedback.health_feedback.store_id == STORE_ID
        stream.cancel()


# ---------------------------------------------------------------- ends of a stream


@pytest.mark.parametrize("member", ["RawPut", "Get", "GetHealthFeedback"])
async def test_another_cluster_ends_the_stream_and_nothing_of_the_frame_is_done(member: str) -> None:
    async with serve() as rig:
        stream = rig.batch()
        await stream.write(frame(("RawPut", {"key": b"a"}), (member, {"context": context(cluster_id=6)})))
        assert await asyncio.wait_for(stream.code(), DEADLINE_S) == grpc.StatusCode.INVALID_ARGUMENT
        assert "cluster 6" in await stream.details()
        assert not rig.store.inputs


BAD_FRAMES = [
    ("noise", b"\xff" * 20, "no valid tikvpb.BatchCommandsRequest"),
    ("a context of noise", b"\x0a\x07\x7a\x05\x0a\x03\xff\xff\xff\x10\x01", "no valid tikvpb.BatchCommandsRequest"),
    ("more requests than ids", puts(3).SerializeToString() + b"\x0a\x00", "4 requests but 3 request ids"),
]


@pytest.mark.parametrize(("data", "text"), [case[1:] for case in BAD_FRAMES], ids=[case[0] for case in BAD_FRAMES])
async def test_a_bad_frame_ends_the_stream(data: bytes, text: str) -> None:
    async with serve() as rig:
        stream = rig.channel.stream_stream(TIKV_METHODS["BatchCommands"].path)(timeout=60)
        await stream.write(data)
        assert await asyncio.wait_for(stream.code(), DEADLINE_S) == grpc.StatusCode.INVALID_ARGUMENT
        assert text in await stream.details()
        assert not rig.store.inputs
        assert (await rig.call("RawGet", key=b"k")).not_found


async def test_a_client_that_sends_no_more_gets_its_answers_and_a_clean_end() -> None:
    async with serve() as rig:
        rig.store.holds = True
        stream = rig.batch()
        await stream.write(gets(5))
        await stream.write(frame(("Empty", {"test_id": 5, "delay_time": 20}), first_id=6))
        await stream.done_writing()
        await until(lambda: len(rig.store.held) == 5, "the frame")
        rig.store.release()
        assert len(await answers(stream, 6)) == 6
        assert await asyncio.wait_for(stream.read(), DEADLINE_S) is grpc.aio.EOF
        assert await stream.code() == grpc.StatusCode.OK


async def test_a_stream_cut_midway_drops_its_answers() -> None:
    async with serve() as rig:
        rig.store.holds = True
        stream = rig.batch()
        await stream.write(puts(8))
        await until(lambda: len(rig.store.held) == 8, "the frame")
        sink: BatchRequests = rig.store.held[0].token[0]
        stream.cancel()
        await until(lambda: sink._closed, "the stream to end")
        rig.store.holds = False
        rig.store.release()
        assert (sink._entries, sink._unanswered, sink.unwritten_bytes) == ([], 0, 0)
        other = rig.batch()
        await other.write(gets(2))
        assert len(await answers(other, 2)) == 2
        other.cancel()


# ---------------------------------------------------------------- bounds


class ScriptedContext:
    """The server's side of a stream whose client sends for ever and reads only when allowed to."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.frames_read = 0
        self.reads = asyncio.Semaphore(0)
        self.written: list[bytes] = []
        self.blocked = False

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        self.frames_read += 1
        return self.data

    async def write(self, data: bytes) -> None:
        self.blocked = True
        await self.reads.acquire()
        self.blocked = False
        self.written.append(data)


async def settle(scripted: ScriptedContext) -> int:
    """Run the loop until no more frames are read; how many were. A reader without bounds is stopped at 1,000."""
    idle = 0
    while idle < 20 and scripted.frames_read < 1000:
        before = scripted.frames_read
        await asyncio.sleep(0)
        idle = idle + 1 if scripted.frames_read == before else 0
    return scripted.frames_read


def front(store: ToyStore, **settings: int) -> Front:
    return Front(store.submit, CLUSTER_ID, STORE_ID, KvServiceSettings(**settings), lambda: 1)


async def test_a_client_that_does_not_read_is_not_read_from() -> None:
    store = ToyStore()
    store.data[0][b"k"] = b"v" * 1000
    scripted = ScriptedContext(gets(10).SerializeToString())
    stream = BatchStream(front(store, stream_unwritten_bytes_max=50_000))
    serving = asyncio.create_task(stream.serve(scripted))
    stalled_at = await settle(scripted)
    assert scripted.blocked
    assert stalled_at <= 6
    assert stream._unwritten_bytes < 50_000 + 11_000
    for _ in range(3):
        scripted.reads.release()
        assert await settle(scripted) > stalled_at
        stalled_at = scripted.frames_read
        assert stream._unwritten_bytes < 50_000 + 11_000
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize("settings", [{"stream_requests_max": 35}, {"stream_bytes_max": 35_000}])
async def test_a_store_that_does_not_answer_stops_the_reading(settings: dict[str, int]) -> None:
    store = ToyStore()
    store.holds = True
    scripted = ScriptedContext(puts(10, value=b"v" * 960).SerializeToString())
    stream = BatchStream(front(store, **settings))
    serving = asyncio.create_task(stream.serve(scripted))
    assert await settle(scripted) == 4
    scripted.reads.release()
    store.release()
    assert stream._unanswered == 0
    assert stream._unanswered_bytes == 0
    assert await settle(scripted) == 8
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_answers_that_wait_are_joined() -> None:
    store = ToyStore()
    scripted = ScriptedContext(puts(10).SerializeToString())
    stream = BatchStream(front(store, stream_unwritten_bytes_max=300))
    serving = asyncio.create_task(stream.serve(scripted))
    stalled_at = await settle(scripted)
    assert stalled_at > 3
    scripted.reads.release()
    scripted.reads.release()
    await settle(scripted)
    written = [pb.BatchCommandsResponse.FromString(data) for data in scripted.written]
    assert [len(response.request_ids) for response in written] == [10, 10 * (stalled_at - 1)]
    assert [len(response.responses) for response in written] == [10, 10 * (stalled_at - 1)]
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_a_slow_reader_gets_every_answer_once() -> None:
    limit = 1 << 20
    async with serve(KvServiceSettings(stream_unwritten_bytes_max=limit)) as rig:
        rig.store.data[0][b"k"] = b"v" * 16_000
        peaks = []
        decide = rig.store.decide

        def watch(request: Any) -> Any:
            peaks.append(request.token[0].unwritten_bytes)
            return decide(request)

        rig.store.decide = watch
        stream = rig.batch()

        async def send() -> None:
            for number in range(40):
                await stream.write(gets(64, first_id=1 + 64 * number))
            await stream.done_writing()

        sending = asyncio.create_task(send())
        await until(lambda: max(peaks, default=0) > 0, "answers that wait for the client")
        assert len(await answers(stream, 40 * 64)) == 40 * 64
        await sending
        assert max(peaks) < limit
        assert await asyncio.wait_for(stream.read(), DEADLINE_S) is grpc.aio.EOF
