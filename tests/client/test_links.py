"""Connections to stores over real gRPC, in front of a store that a test decides about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from flaredb.model.commands import COMPARE_AND_SWAP, PUT, CasResult, Get, Write
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.outcomes import Cause, Failed, Lost, NotSent, Refusal
from flaredb.model.region import Peer, Region, RegionEpoch
from flaredb.rpc.kv import KvCall, KvLink, KvLinks, KvLinkSettings
from flaredb.server.grpc_server import make_server
from flaredb.server.service import KvService
from flaredb.wire.raw_requests import encode_context, encode_request
from tests.rim.kv_rig import CLUSTER_ID, STORE_ID, ToyStore, until

PEER = Peer(PeerId(11), StoreId(STORE_ID))
CONTEXT = encode_context(Region(RegionId(7), b"", b"", RegionEpoch(3, 1), (PEER,)), PEER)


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Call(KvCall):
    """A call that notes its outcome."""

    def __init__(self, command: Any, due_in_ms: int = 30_000) -> None:
        self.method, self.request = encode_request(command, CONTEXT)
        self.due_ms = now_ms() + due_in_ms
        self.outcomes: list[Any] = []
        self.given_up = False

    def is_given_up(self) -> bool:
        return self.given_up

    def answered(self, outcome: Any) -> None:
        self.outcomes.append(outcome)

    async def outcome(self) -> Any:
        await until(lambda: bool(self.outcomes), "an outcome")
        assert len(self.outcomes) == 1
        return self.outcomes[0]


def put(key: bytes, value: bytes = b"v", **more: Any) -> Call:
    return Call(Write([(PUT, 0, key, value)], len(key) + len(value)), **more)


def get(key: bytes, **more: Any) -> Call:
    return Call(Get(0, key), **more)


class WithoutFrames(grpc.GenericRpcHandler):
    """A service that has no BatchCommands."""

    def __init__(self, inner: grpc.GenericRpcHandler) -> None:
        self._inner = inner

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return None if details.method.endswith("BatchCommands") else self._inner.service(details)


class Rig:
    """A served toy store and links to it."""

    def __init__(self, settings: KvLinkSettings, frames: bool) -> None:
        self.store = ToyStore()
        self.port = 0
        self._frames = frames
        self._server: grpc.aio.Server | None = None
        self.ahead_ms = 0
        """Moves the links' clock on."""

        self.links = KvLinks(self._address, lambda: now_ms() + self.ahead_ms, settings)
        self.resolved = 0

    async def _address(self, store_id: int) -> str:
        self.resolved += 1
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        handlers: Any = KvService(self.store.submit, CLUSTER_ID, STORE_ID, None, lambda: 1000, None).handlers()
        self._server, self.port = make_server(
            [handlers if self._frames else WithoutFrames(handlers)], f"127.0.0.1:{self.port}"
        )
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def send(self, *calls: Call) -> None:
        for call in calls:
            self.links.send(STORE_ID, call)


@asynccontextmanager
async def rig(frames: bool = True, **settings: Any) -> AsyncIterator[Rig]:
    # This process may stand still for longer than the usual patience with a store that does not take connections.
    made = Rig(KvLinkSettings(connect_timeout_ms=30_000, **settings), frames)
    await made.start()
    try:
        yield made
    finally:
        await made.links.close()
        await made.stop()


async def test_calls_made_together_share_frames() -> None:
    async with rig() as made:
        calls = [put(b"%04d" % number) for number in range(300)]
        made.send(*calls)
        assert [await call.outcome() for call in calls] == [None] * 300
        sizes = [len(given.requests) for given in made.store.inputs]
        assert sizes == [128, 128, 44]
        assert made.resolved == 1


async def test_a_frame_ends_with_the_request_that_exceeds_its_bytes() -> None:
    async with rig(frame_bytes_max=10_000) as made:
        calls = [put(b"%04d" % number, bytes(6_000)) for number in range(5)]
        made.send(*calls)
        assert [await call.outcome() for call in calls] == [None] * 5
        assert [len(given.requests) for given in made.store.inputs] == [2, 2, 1]


async def test_outcomes() -> None:
    async with rig() as made:
        made.store.data[0].update({b"a": b"1", b"empty": b"", b"large": bytes(300_000)})
        calls = [get(b"a"), get(b"empty"), get(b"large"), get(b"none"), put(b"k" * 9_000)]
        made.send(*calls)
        outcomes = [await call.outcome() for call in calls]
        assert outcomes[:4] == [b"1", b"", bytes(300_000), None]
        assert isinstance(outcomes[4], Failed)
        assert "storage.max-key-size" in outcomes[4].message


async def test_what_the_stream_does_not_have_goes_beside_it() -> None:
    async with rig() as made:
        swap = Call(Write([(COMPARE_AND_SWAP, 0, b"k", None, b"v")], 2))
        made.send(swap, get(b"a"))
        assert await swap.outcome() == CasResult(True, None)


async def test_a_store_without_frames_is_called_one_by_one() -> None:
    async with rig(frames=False, unary_max=4) as made:
        calls = [put(b"%02d" % number) for number in range(20)]
        made.send(*calls)
        assert [await call.outcome() for call in calls] == [None] * 20
        later = get(b"07")
        made.send(later)
        assert await later.outcome() == b"v"
        assert made.resolved == 1


async def test_why_frames_are_refused_is_heard_though_a_write_fails_first(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = KvLink._write_all

    async def fails_first(self: KvLink, stream: Any, channel: grpc.aio.Channel) -> None:
        if stream is None:
            return await plain(self, stream, channel)
        frame = self._next_frame()
        assert frame
        await stream.write(frame)
        raise grpc.aio.UsageError("the call has ended")

    monkeypatch.setattr(KvLink, "_write_all", fails_first)
    async with rig(frames=False) as made:
        calls = [put(b"%02d" % number) for number in range(20)]
        made.send(*calls)
        assert [await call.outcome() for call in calls] == [None] * 20


@pytest.mark.parametrize("frames", [True, False])
async def test_nobody_listens(frames: bool) -> None:
    async with rig(frames) as made:
        await made.stop()
        calls = [put(b"a"), get(b"b")]
        made.send(*calls)
        for call in calls:
            outcome = await call.outcome()
            assert isinstance(outcome, NotSent)
            assert outcome.cause is Cause.STORE_UNREACHABLE


@pytest.mark.parametrize("frames", [True, False])
async def test_what_was_sent_when_the_connection_breaks_is_lost(frames: bool) -> None:
    async with rig(frames) as made:
        first = get(b"a")
        made.send(first)
        await first.outcome()
        made.store.holds = True
        calls = [put(b"a"), put(b"b")]
        made.send(*calls)
        await until(lambda: len(made.store.held) == 2, "the store to have both")
        await made.stop()
        assert [type(await call.outcome()) for call in calls] == [Lost, Lost]


async def test_a_store_that_comes_back_is_dialled_again() -> None:
    async with rig() as made:
        first = put(b"a")
        made.send(first)
        assert await first.outcome() is None
        await made.stop()
        await made.start()
        outcome: Any = Lost("")
        while isinstance(outcome, Lost | NotSent):
            again = get(b"a")
            made.send(again)
            outcome = await again.outcome()
            await asyncio.sleep(0)
        assert outcome == b"v"
        assert made.resolved >= 2


async def test_a_silent_store_does_not_keep_calls_for_ever() -> None:
    async with rig(unanswered_max=2, sweep_ms=5, gather_ms=1) as made:
        made.store.holds = True
        sent = [put(b"a"), put(b"b")]
        made.send(*sent)
        await until(lambda: len(made.store.held) == 2, "the store to have both")
        waiting = put(b"c")
        made.send(waiting)
        made.ahead_ms = 60_000
        assert [type(await call.outcome()) for call in sent] == [Lost, Lost]
        outcome = await waiting.outcome()
        assert isinstance(outcome, NotSent)
        assert outcome.cause is Cause.STORE_SLOW
        # Their answers come too late; the place they took is free again.
        made.ahead_ms = 0
        made.store.holds = False
        made.store.release()
        later = get(b"a")
        made.send(later)
        assert await later.outcome() == b"v"
        assert len(sent[0].outcomes) == 1


async def test_one_store_does_not_wait_for_another() -> None:
    async with rig() as slow, rig() as quick:
        slow.store.holds = True
        slow.send(put(b"a"))
        call = put(b"a")
        quick.send(call)
        assert await call.outcome() is None


async def test_close_tells_everyone() -> None:
    async with rig() as made:
        made.store.holds = True
        call = put(b"a")
        made.send(call)
        await until(lambda: bool(made.store.held), "the store to have it")
        await made.links.close()
        assert isinstance(await call.outcome(), Lost)


async def test_region_errors_become_refusals() -> None:
    from flaredb.model.errors import NotLeader

    async with rig() as made:
        made.store.decide = lambda request: NotLeader(RegionId(7), PEER)
        calls = [put(b"a"), get(b"a")]
        made.send(*calls)
        for call in calls:
            outcome = await call.outcome()
            assert isinstance(outcome, Refusal)
            assert (outcome.cause, outcome.leader) == (Cause.NOT_LEADER, PEER)


async def test_what_nobody_waits_for_is_not_sent() -> None:
    async with rig() as made:
        wanted, unwanted, swap = put(b"a"), put(b"b"), Call(Write([(COMPARE_AND_SWAP, 0, b"c", None, b"v")], 2))
        unwanted.given_up = swap.given_up = True
        made.send(unwanted, wanted, swap)
        assert await wanted.outcome() is None
        assert isinstance(await unwanted.outcome(), NotSent)
        assert isinstance(await swap.outcome(), NotSent)
        assert [request.command.operations for request in made.store.requests] == [[(PUT, 0, b"a", b"v")]]  # type: ignore[union-attr]


async def test_a_link_that_is_closed_before_it_began_tells_its_calls() -> None:
    async with rig() as made:
        calls = [put(b"a"), Call(Write([(COMPARE_AND_SWAP, 0, b"c", None, b"v")], 2))]
        made.send(*calls)
        await made.links.close()
        assert [type(await call.outcome()) for call in calls] == [NotSent, NotSent]


async def test_a_call_beside_the_stream_is_told_when_the_link_closes() -> None:
    async with rig() as made:
        first = get(b"a")
        made.send(first)
        await first.outcome()
        made.store.holds = True
        swaps = [Call(Write([(COMPARE_AND_SWAP, 0, b"%d" % number, None, b"v")], 2)) for number in range(3)]
        made.send(*swaps)
        await asyncio.sleep(0)
        await made.links.close()
        assert {type(await call.outcome()) for call in swaps} <= {Lost, NotSent}
