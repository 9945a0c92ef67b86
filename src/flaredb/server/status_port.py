"""The status address of a store: bound at start, so that a port in use is told at once; served when first asked.

The HTTP application takes a fifth of a second to load. The first connection waits for it, in the listener's backlog,
while a thread loads it; a store that nobody asks never pays.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, Protocol

from flaredb.model.errors import ConfigError
from flaredb.server.addresses import listen_refusal, split_address
from flaredb.server.counters import Counters
from flaredb.server.logs import log_event

if TYPE_CHECKING:
    from aiohttp import web

STOP_SECONDS_MAX = 1.0
_BACKLOG = 128

log = logging.getLogger(__name__)


class Sources(Protocol):
    """What the status pages show. Called on the event loop's thread; each call is short."""

    @property
    def counters(self) -> Counters:
        """What the process counted so far."""
        ...

    def measure(self) -> None:
        """Bring the gauges in ``counters`` up to date; called before each scrape."""
        ...

    def region_ids(self) -> list[int]:
        """Regions with a replica here, ascending."""
        ...

    def region_status(self, region_id: int) -> dict[str, Any] | None:
        """Region, epoch, peers, leader, role, term, raft_state, apply_state; None if it has no replica here."""
        ...

    def config(self) -> dict[str, Any]:
        """The settings in force, as tables of a configuration file."""
        ...

    def ready(self) -> dict[str, bool]:
        """Every condition of being able to serve, in words, and whether it holds."""
        ...


class StatusPort:
    """Serves GET /metrics, /status, /ready, /config, /regions, /region/{id}, /engine_type and PUT /log-level."""

    def __init__(self, address: str, sources: Sources, setting: str = "server.status-addr") -> None:
        """``address`` is host:port to bind, port 0 any free one; ``setting`` names it in errors."""
        self._address = address
        self._sources = sources
        self._setting = setting
        self._socket: socket.socket | None = None
        self._loading: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; the port really bound. Errors: ConfigError naming address and setting if that is not possible."""
        host, port = split_address(self._address, self._setting)
        self._socket = await _listen(host, port, self._address, self._setting)
        asyncio.get_running_loop().add_reader(self._socket, self._on_first_connection)
        return int(self._socket.getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection to it."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _on_first_connection(self) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._loading = loop.create_task(self._serve(self._socket))

    async def _serve(self, listener: socket.socket) -> None:
        try:
            runner = await asyncio.get_running_loop().run_in_executor(None, self._load)
            await runner.setup()
            self._runner = runner
            await _site(runner, listener).start()
        except Exception as error:
            log_event(log, logging.ERROR, "the status server cannot be loaded", error=repr(error))
            listener.close()
            self._socket = None

    def _load(self) -> web.AppRunner:
        from aiohttp import web

        from flaredb.server.status import make_app

        return web.AppRunner(
            make_app(self._sources), access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS_MAX
        )


def _site(runner: web.AppRunner, listener: socket.socket) -> web.SockSite:
    from aiohttp import web

    # The site closes what it serves; a copy keeps the port ours until stop() gives it back.
    return web.SockSite(runner, listener.dup(), backlog=_BACKLOG)


async def _listen(host: str, port: int, address: str, setting: str) -> socket.socket:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind(where)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(listen_refusal(address, setting, error)) from error
    return listener
