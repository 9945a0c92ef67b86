"""One port for gRPC and HTTP/1.1, as PD's clients and tools expect (wire facts 3.10 and 5).

gRPC's listener cannot share its port, so it stands on a Unix socket of its own and this front relays to it what starts
like HTTP/2. What starts like HTTP/1.1 goes to an application that is loaded when it is first needed. Anything else,
and whoever says nothing, is sent away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from flaredb.model.errors import ConfigError
from flaredb.server.addresses import listen_refusal
from flaredb.server.logs import log_event

HTTP2_START = b"PRI * HTTP/2.0\r\n"
HTTP_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH")
SILENCE_SECONDS_MAX = 10.0
"""How long a connection may take to say what it is."""

CONNECTIONS_MAX = 4_096

MakeHttpProtocol = Callable[[], asyncio.Protocol]

log = logging.getLogger(__name__)


class PdFront:
    """Accepts connections, looks at their first bytes and hands them on. Used on the event loop's thread only."""

    def __init__(
        self,
        grpc_socket: str,
        load_http: Callable[[], Awaitable[MakeHttpProtocol]],
        *,
        silence_seconds_max: float = SILENCE_SECONDS_MAX,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """``grpc_socket`` is the path gRPC listens on; ``load_http`` is awaited once, by the first HTTP request."""
        self.grpc_socket = grpc_socket
        self.silence_seconds_max = silence_seconds_max
        self._load_http = load_http
        self._connections_max = connections_max
        self._transports: set[asyncio.Transport] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: asyncio.Task[MakeHttpProtocol] | None = None
        self._server: asyncio.AbstractServer | None = None
        self._where = ("", "")

    @property
    def connections(self) -> int:
        """Connections that are open now, HTTP ones excepted once they are handed on."""
        return len(self._transports)

    async def bind(self, host: str, port: int, setting: str) -> int:
        """Take the port, without accepting yet; the port really bound.

        Errors: ConfigError naming address and ``setting`` if that is not possible.
        """
        self._where = (f"{host}:{port}", setting)
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: _Newcomer(self), host.strip("[]") or None, port, start_serving=False
            )
        except OSError as error:
            raise ConfigError(listen_refusal(*self._where, error)) from error
        self._server = server
        return int(server.sockets[0].getsockname()[1])

    async def serve(self) -> None:
        """Accept from now on. Pre: bound, and gRPC listens. Errors: ConfigError as ``bind``."""
        assert self._server is not None
        try:
            await self._server.start_serving()
        except OSError as error:
            raise ConfigError(listen_refusal(*self._where, error)) from error

    def stop_accepting(self) -> None:
        """Close the port; connections go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Close the port and every connection that is still relayed."""
        self.stop_accepting()
        for transport in list(self._transports):
            transport.abort()
        for task in [*self._tasks, *([self._http] if self._http else [])]:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def admit(self, transport: asyncio.Transport) -> bool:
        """Count a connection; False if there are too many."""
        if len(self._transports) >= self._connections_max:
            return False
        self._transports.add(transport)
        return True

    def forget(self, transport: asyncio.Transport) -> None:
        """The connection is closed, or no longer this front's."""
        self._transports.discard(transport)

    def hand_on(self, start: bytes, transport: asyncio.Transport, newcomer: _Newcomer) -> None:
        """Give a connection that has said what it is to whom it is for; ``start`` is what it said so far."""
        serve = self._relay if start.startswith(HTTP2_START) else self._serve_http
        task = asyncio.get_running_loop().create_task(serve(start, transport, newcomer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, start: bytes, transport: asyncio.Transport, newcomer: _Newcomer) -> None:
        loop = asyncio.get_running_loop()
        try:
            inner, _ = await loop.create_unix_connection(lambda: _Pipe(transport), self.grpc_socket)
        except OSError:
            transport.abort()
            return
        if newcomer.is_lost:
            inner.abort()
            return
        inner.write(start + newcomer.take_rest())
        transport.set_protocol(_Pipe(inner, on_lost=lambda: self.forget(transport)))
        transport.resume_reading()

    async def _serve_http(self, start: bytes, transport: asyncio.Transport, newcomer: _Newcomer) -> None:
        if self._http is None:
            self._http = asyncio.ensure_future(self._load_http())
        try:
            make = await asyncio.shield(self._http)
        except Exception as error:
            log_event(log, logging.ERROR, "the HTTP pages cannot be loaded", error=repr(error))
            transport.abort()
            return
        if newcomer.is_lost:
            return
        self.forget(transport)
        protocol = make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(start + newcomer.take_rest())
        transport.resume_reading()


class _Newcomer(asyncio.Protocol):
    """A connection that has not said yet what it is."""

    def __init__(self, front: PdFront) -> None:
        self._front = front
        self._start = b""
        self._is_decided = False
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have asyncio's interface without its classes.
        self._transport = cast(asyncio.Transport, transport)
        if not self._front.admit(self._transport):
            self._is_decided = True
            self._transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(self._front.silence_seconds_max, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._start += data
        if self._is_decided:
            return
        speaks = speaks_http(self._start)
        if speaks is None:
            return
        self._is_decided = True
        self._patience.cancel()
        if not speaks:
            self._transport.abort()
            return
        self._transport.pause_reading()
        start, self._start = self._start, b""
        self._front.hand_on(start, self._transport, self)

    def take_rest(self) -> bytes:
        """What arrived although reading was paused."""
        rest, self._start = self._start, b""
        return rest

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True
        self._front.forget(self._transport)
        if not self._is_decided:
            self._patience.cancel()


class _Pipe(asyncio.Protocol):
    """Writes what its connection says to ``other``, and stops reading while ``other`` is behind."""

    def __init__(self, other: asyncio.Transport, on_lost: Callable[[], None] | None = None) -> None:
        self._other = other
        self._on_lost = on_lost

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        """This connection's own buffer is full: whoever fills it must wait."""
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self._other.close()
        if self._on_lost is not None:
            self._on_lost()


def speaks_http(start: bytes) -> bool | None:
    """True if a connection that begins so speaks HTTP/1.1 or HTTP/2, None if it is too early to tell."""
    if start[: len(HTTP2_START)] == HTTP2_START[: len(start)]:
        return True if len(start) >= len(HTTP2_START) else None
    for method in HTTP_METHODS:
        wanted = method + b" /"
        if start[: len(wanted)] == wanted[: len(start)]:
            return True if len(start) >= len(wanted) else None
    return False
