"""The server on real sockets: who says nothing, who reads nothing, ends, errors of our own, time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from flaredb.server.call import Route
from flaredb.server.health import HealthService
from flaredb.server.http2 import frames as f
from flaredb.server.http2.front import Http2Server
from flaredb.server.http2.limits import Limits
from tests.rim.http2.peer import HOLD, Peer
from tests.rim.kv_rig import DEADLINE_S, open_channel, until


class Rig:
    """A server whose handlers are held, fail, or answer many bytes."""

    def __init__(self, limits: Limits | None) -> None:
        self.held: list[Any] = []
        self.health = HealthService("x.Y")
        routes = {
            "/s/Hold": Route("unary", lambda data, stream: self.held.append(stream)),
            "/s/Bug": Route("unary", lambda data, stream: {}["bug"]),
            "/s/Large": Route("unary", lambda data, stream: stream.answer(bytes(1 << 20))),
        }
        self.server = Http2Server({**routes, **self.health.routes()}, limits=limits)
        self.port = 0


@contextlib.asynccontextmanager
async def serve(**limits: Any) -> AsyncIterator[Rig]:
    rig = Rig(Limits(**limits))
    rig.port = await rig.server.start("127.0.0.1", 0)
    try:
        yield rig
    finally:
        await rig.server.stop(0)
        assert not rig.server.protocols


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), DEADLINE_S)
    return b""


@contextlib.asynccontextmanager
async def connect(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("said", [b"", b"PRI * HT", f.PREFACE], ids=["nothing", "half a preface", "no settings"])
async def test_a_connection_without_a_greeting_is_closed(said: bytes) -> None:
    async with serve(handshake_seconds=0.05) as rig, connect(rig.port) as (reader, writer):
        writer.write(said)
        await until_closed(reader)


async def test_a_silent_client_is_asked_and_then_left() -> None:
    async with serve(silence_seconds=0.05, ping_seconds=0.1) as rig, connect(rig.port) as (reader, writer):
        writer.write(f.PREFACE + f.settings({}))
        assert b"are you?" in await until_closed(reader)


class SetClock:
    """The event loop to a connection, with a time that a test sets."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now_s = self._loop.time()

    def time(self) -> float:
        return self.now_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


async def test_a_client_that_answers_pings_stays() -> None:
    async with serve() as rig, open_channel(rig.port) as channel:
        call = channel.unary_unary("/s/Hold")(b"", timeout=DEADLINE_S)
        await until(lambda: bool(rig.held), "the call")
        (protocol,) = rig.server.protocols
        clock = SetClock()
        protocol._loop = clock  # type: ignore[assignment]
        for _ in range(5):
            clock.now_s += 1000  # had it not answered the last one, that would end it
            protocol.look(clock.now_s)
            await until(lambda: protocol.connection.heard_s == clock.now_s, "the answer to a ping")
        rig.held[0].answer(b"still here")
        assert await call == b"still here"


async def test_a_call_ends_at_its_deadline_on_the_server_too() -> None:
    """A client of its own: gRPC's sends nothing at all if its time is over by then, and resets the stream otherwise."""
    async with serve() as rig, connect(rig.port) as (reader, writer):
        writer.write(f.PREFACE + f.settings({}) + Peer().call(1, b"x", HOLD, grpc_timeout="100m"))
        await until(lambda: bool(rig.held), "the call")
        await until(lambda: rig.held[0].is_over, "the server's end of the call")
        await asyncio.wait_for(reader.readuntil(b"Deadline Exceeded"), DEADLINE_S)


async def test_an_error_of_a_handler_ends_one_call(caplog: pytest.LogCaptureFixture) -> None:
    async with serve() as rig, open_channel(rig.port) as channel:
        waiting = channel.unary_unary("/s/Hold")(b"", timeout=DEADLINE_S)
        await until(lambda: bool(rig.held), "the call")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/s/Bug")(b"", timeout=DEADLINE_S)
        assert caught.value.code() == grpc.StatusCode.UNKNOWN
        assert "a call fails by an error of the server" in caplog.text
        rig.held[0].answer(b"fine")
        assert await waiting == b"fine"


async def test_an_error_of_the_server_ends_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with serve() as rig, open_channel(rig.port) as other, connect(rig.port) as (reader, writer):
        waiting = other.unary_unary("/s/Hold")(b"", timeout=DEADLINE_S)
        await until(lambda: bool(rig.held), "the call")
        writer.write(f.PREFACE + f.settings({}))
        await until(lambda: len(rig.server.protocols) == 2, "the connection")
        (protocol,) = [one for one in rig.server.protocols if not one.connection.streams]
        protocol.connection.receive = None  # type: ignore[assignment, method-assign]
        writer.write(f.frame(f.PING, 0, 0, bytes(8)))
        await until_closed(reader)
        assert "ends by an error of the server" in caplog.text
        rig.held[0].answer(b"fine")
        assert await waiting == b"fine"


async def test_stopping_answers_what_is_under_way() -> None:
    async with serve() as rig, open_channel(rig.port) as channel:
        call = channel.unary_unary("/s/Hold")(b"", timeout=DEADLINE_S)
        await until(lambda: bool(rig.held), "the call")
        stopping = asyncio.create_task(rig.server.stop(DEADLINE_S))
        await asyncio.sleep(0)
        rig.held[0].answer(b"done")
        assert await call == b"done"
        await stopping
        assert not rig.server.protocols


async def test_stopping_does_not_wait_for_ever() -> None:
    async with serve() as rig, open_channel(rig.port) as channel:
        call = channel.unary_unary("/s/Hold")(b"", timeout=DEADLINE_S)
        await until(lambda: bool(rig.held), "the call")
        await rig.server.stop(0.05)
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def test_a_client_that_reads_nothing_is_not_read_from() -> None:
    """Its windows are wide open, so only its socket holds the answers back."""
    async with serve(unsent_bytes_max=1 << 20) as rig, connect(rig.port) as (reader, writer):
        peer = Peer()
        wide = f.settings({f.INITIAL_WINDOW_SIZE: 2**31 - 1}) + f.window_update(0, 2**31 - 1 - 65_535)
        writer.write(f.PREFACE + wide)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(200):
            writer.write(peer.call(1 + 2 * number, b"x", b"/s/Large"))
        await until(lambda: bool(rig.server.protocols), "the connection")
        (protocol,) = rig.server.protocols
        await until(lambda: protocol._is_choked, "a full socket")
        await asyncio.sleep(0.1)
        connection = protocol.connection
        assert protocol._transport.get_write_buffer_size() < 4 << 20
        assert connection.unsent_bytes < 4 << 20
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = 0
        while received < 200 << 20:
            received += len(await asyncio.wait_for(reader.read(1 << 20), DEADLINE_S))
        await until(lambda: not connection.streams, "all answers")


async def test_watching_health() -> None:
    async with serve() as rig, open_channel(rig.port) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=DEADLINE_S)
        assert await watch.read() == b"\x08\x01"
        unknown = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\x0a\x01z", timeout=DEADLINE_S)
        assert await unknown.read() == b"\x08\x03"
        rig.health.stop_serving()
        assert await watch.read() == b"\x08\x02"
        watch.cancel()
        unknown.cancel()
        await until(lambda: not next(iter(rig.server.protocols)).connection.streams, "the end of both")


async def test_answers_of_one_round_leave_in_one_write() -> None:
    async with serve() as rig, connect(rig.port) as (_, writer):
        peer = Peer()
        writer.write(f.PREFACE + f.settings({}) + b"".join(peer.call(1 + 2 * n, b"x", HOLD) for n in range(50)))
        await until(lambda: len(rig.held) == 50, "the calls")
        (protocol,) = rig.server.protocols
        writes: list[bytes] = []

        class Counted:
            def __getattr__(self, name: str) -> Any:
                return writes.append if name == "write" else getattr(transport, name)

        transport, protocol._transport = protocol._transport, Counted()  # type: ignore[assignment]
        for stream in rig.held:
            stream.answer(b"y")
        assert not writes
        await asyncio.sleep(0)
        assert len(writes) == 1
        protocol._transport = transport
