"""The asyncio client."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from flaredb.client.errors import WrongLoopError
from flaredb.client.limits import ClientOptions
from flaredb.client.operations import Operations
from flaredb.client.steps import Plan
from flaredb.faces.aio_calls import AsyncCalls
from flaredb.faces.driver import Driver, closed_error, make_core
from flaredb.faces.forks import fork_error, note_use
from flaredb.faces.options import client_options
from flaredb.faces.pending import AsyncPending, FuturePending


class Client(AsyncCalls):
    """A client of one cluster, FlareDB or TiKV, for one asyncio event loop. Share it among all of the loop's tasks.

        async with flaredb.aio.connect("127.0.0.1:2379") as db:
            await db.put(b"k", b"v")

    Making one does no I/O; the first call connects. Calls made at the same time share frames on one connection per
    store, so run many at once (asyncio.gather, TaskGroup) for throughput.
    """

    def __init__(
        self,
        addresses: str | Iterable[str] | None = None,
        *,
        timeout: float | None = None,
        cf: str | None = None,
        idempotent: bool | None = None,
        options: ClientOptions | None = None,
    ) -> None:
        """``addresses``: of PD's members: "flaredb://h1:2379,h2:2379/?timeout=2s", "h1:2379,h2:2379" or a list; None:
        the environment's FLAREDB_URL, else 127.0.0.1:2379. ``timeout``: seconds that a call may take, by default 5.
        ``cf``: column family of calls that name none. ``idempotent``: all writes may be applied twice (see put).
        ``options``: everything else; arguments and the URL go before it.

        Errors: ConfigError for addresses or options that cannot work.
        """
        self.options = client_options(addresses, timeout, cf, idempotent, options)
        self._core = make_core(self.options)
        self._operations = Operations(self._core)
        self._driver: Driver | None = None
        self._pid = 0
        self._closed = False

    async def close(self) -> None:
        """Close all connections. Calls under way fail, as do all later ones; closing again does nothing."""
        self._closed = True
        driver, self._driver = self._driver, None
        if driver is not None and self._pid == os.getpid() and driver.loop is asyncio.get_running_loop():
            await driver.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"flaredb.aio.Client({','.join(self.options.endpoints)!r}{', closed' if self._closed else ''})"

    def __del__(self) -> None:
        if getattr(self, "_driver", None) is not None:
            warnings.warn(f"{self!r} was not closed; use async with, or await close()", ResourceWarning, 2, source=self)

    async def _run(self, plan: Plan) -> Any:
        driver = self._driver
        if driver is None or driver.loop is not asyncio.get_running_loop() or self._pid != os.getpid():
            driver = self._connected()
        future = driver.loop.create_future()
        driver.start(plan, future)
        return await future

    def _begin(self, plan: Plan) -> AsyncPending:
        driver = self._connected()
        future = driver.loop.create_future()
        driver.start(plan, future)
        return FuturePending(future)

    def _connected(self) -> Driver:
        if self._closed:
            raise closed_error()
        driver = self._driver
        if driver is None:
            note_use()
            driver = self._driver = Driver(self._core)
            self._pid = os.getpid()
        elif self._pid != os.getpid():
            raise fork_error()
        elif driver.loop is not asyncio.get_running_loop():
            raise WrongLoopError(
                "this client has its connections on another event loop; make one client per loop (per asyncio.run), "
                "or use flaredb.Client, which works anywhere"
            )
        return driver


def connect(
    addresses: str | Iterable[str] | None = None,
    *,
    timeout: float | None = None,
    cf: str | None = None,
    idempotent: bool | None = None,
    options: ClientOptions | None = None,
) -> Client:
    """A Client; arguments as Client's. Does no I/O: use it as ``async with flaredb.aio.connect(...) as db``."""
    return Client(addresses, timeout=timeout, cf=cf, idempotent=idempotent, options=options)
