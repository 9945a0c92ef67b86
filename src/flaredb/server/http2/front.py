"""Sockets and clocks around the connections: the store's gRPC port, without the gRPC library.

What one read of a socket brings goes to the store as one input; what one round of the event loop answers goes into
one write for each connection.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping

from flaredb.server.call import Route
from flaredb.server.http2.calls import Dispatcher
from flaredb.server.http2.connection import Connection
from flaredb.server.http2.frames import ErrorCode
from flaredb.server.http2.limits import Limits

_BACKLOG = 1024
_ABORT_SECONDS = 5.0
"""A client that does not take the last bytes is cut off after this."""

log = logging.getLogger(__name__)


class Http2Protocol(asyncio.Protocol):
    """One socket. Whatever goes wrong ends this connection and no other."""

    def __init__(self, server: Http2Server) -> None:
        self._server = server
        self._loop = server.loop
        self._limits = server.limits
        self._is_dirty = True  # until there is a socket to write to
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf
        self._is_closing = False
        self._is_reading = True
        self._is_choked = False
        self._asked_s = 0.0
        self.connection = Connection(server.routes, server.limits, self._on_output)
        self._dispatcher = Dispatcher(self.connection, server.limits.unsent_bytes_max)

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes_max)
        self._server.protocols.add(self)
        self._handshake = self._loop.call_later(self._limits.handshake_seconds, self._on_handshake_time)
        self.flush()

    def data_received(self, data: bytes) -> None:
        connection = self.connection
        self._is_dirty = True
        try:
            connection.receive(data, self._loop.time())
            self._dispatcher.dispatch()
            self._server.submit_gathered()
        except Exception:
            self._on_error()
        self.flush()
        if connection.earliest_s < self._timer_s:
            self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._is_closing = True
        self._is_dirty = True
        self._handshake.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._server.protocols.discard(self)
        self.connection.lose()
        self._perform()
        self.connection.take_output()

    def pause_writing(self) -> None:
        self._is_choked = True
        self.connection.choke(True)

    def resume_writing(self) -> None:
        self._is_choked = False
        self.connection.choke(False)
        if not self._is_reading and not self._is_closing:
            self._is_reading = True
            self._transport.resume_reading()
        self._perform()

    # ------------------------------------------------------------ the server's side

    def flush(self) -> None:
        """Write what there is, and what the socket lets be made meanwhile."""
        self._is_dirty = True
        connection = self.connection
        while connection.has_output and not self._is_closing:
            self._transport.write(connection.take_output())
            if self._is_choked or not connection.unsent_bytes:
                break
            connection.pump()
            self._perform()
        self._is_dirty = False
        if self._is_choked and self._is_reading and not self._is_closing:
            if self._transport.get_write_buffer_size() > 2 * self._limits.write_buffer_bytes_max:
                self._is_reading = False
                self._transport.pause_reading()
        if connection.is_closed or (connection.is_leaving and not connection.streams):
            self._close()

    def leave(self) -> None:
        """Go away as soon as what is under way is answered."""
        self.connection.leave()
        self.flush()

    def abort(self) -> None:
        """Go away now."""
        self.connection.close(ErrorCode.NO_ERROR)
        self._perform()
        self.flush()

    def look(self, now_s: float) -> None:
        """Find out whether a silent client is still there."""
        if not self.connection.is_greeted:
            return
        heard_s = self.connection.heard_s
        if now_s - heard_s < self._limits.silence_seconds:
            return
        if heard_s >= self._asked_s:
            self._asked_s = now_s
            self.connection.ping()
        elif now_s - self._asked_s > self._limits.ping_seconds:
            self._transport.abort()

    # ------------------------------------------------------------ inside

    def _on_output(self) -> None:
        if not self._is_dirty:
            self._is_dirty = True
            self._server.flush_soon(self)

    def _perform(self) -> None:
        try:
            self._dispatcher.dispatch()
            self._server.submit_gathered()
        except Exception:
            self._on_error()

    def _on_error(self) -> None:
        log.exception("a connection of the gRPC port ends by an error of the server")
        self.connection.close(ErrorCode.INTERNAL_ERROR)
        self.connection.events.clear()

    def _on_handshake_time(self) -> None:
        if not self.connection.is_greeted:
            self.abort()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = self.connection.earliest_s
        delay_s = max(self._timer_s - self._loop.time(), self._limits.deadline_look_seconds)
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_s = math.inf
        self.connection.expire(self._loop.time())
        self._perform()
        if self.connection.earliest_s < math.inf and not self._is_closing:
            self._set_timer()

    def _close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._transport.close()
            self._loop.call_later(_ABORT_SECONDS, self._transport.abort)


class Http2Server:
    """All connections of a port."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        submit_gathered: Callable[[], None] = lambda: None,
        limits: Limits | None = None,
    ) -> None:
        """``routes``: by path, as in ``:path``. ``submit_gathered``: called after each batch of calls."""
        self.routes = {path.encode(): route for path, route in routes.items()}
        self.submit_gathered = submit_gathered
        self.limits = limits or Limits()
        self.loop = asyncio.get_running_loop()
        self.protocols: set[Http2Protocol] = set()
        self._dirty: list[Http2Protocol] = []
        self._is_flush_planned = False
        self._server: asyncio.Server | None = None
        self._looker: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port. Errors: OSError if the address cannot be bound."""
        self._server = await self.loop.create_server(lambda: Http2Protocol(self), host, port, backlog=_BACKLOG)
        self._look()
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, answer those under way for ``grace_s`` at most, close everything."""
        if self._server is not None:
            self._server.close()
        if self._looker is not None:
            self._looker.cancel()
        for protocol in list(self.protocols):
            protocol.leave()
        give_up_at = self.loop.time() + grace_s
        while self.protocols and self.loop.time() < give_up_at:
            await asyncio.sleep(0.01)
        for protocol in list(self.protocols):
            protocol.abort()
        for _ in range(100):
            if not self.protocols:
                return
            await asyncio.sleep(0.01)
        for protocol in list(self.protocols):
            protocol._transport.abort()

    def flush_soon(self, protocol: Http2Protocol) -> None:
        """Write after everything else of this round of the event loop, unless ``flush`` comes first."""
        self._dirty.append(protocol)
        if not self._is_flush_planned:
            self._is_flush_planned = True
            self.loop.call_soon(self._on_round_over)

    def flush(self) -> None:
        """Write what waits. For who knows that all answers of a step are there: the next round reads sockets first."""
        dirty, self._dirty = self._dirty, []
        for protocol in dirty:
            protocol.flush()

    def _on_round_over(self) -> None:
        self._is_flush_planned = False
        self.flush()

    def _look(self) -> None:
        now_s = self.loop.time()
        for protocol in list(self.protocols):
            protocol.look(now_s)
        self._looker = self.loop.call_later(self.limits.ping_seconds / 2, self._look)
