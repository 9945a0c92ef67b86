"""The connection of a shell: a client on an event loop in a thread of its own, which goes on while the shell waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from flaredb.cli.kv import calls
from flaredb.cli.kv.caller import Work
from flaredb.faces.loop_thread import end_other_tasks

if TYPE_CHECKING:
    from flaredb.rpc.pd import PdClient

STOP_DEADLINE_S = 5.0
CANCEL_DEADLINE_S = 2.0


class ShellCaller:
    """Carries out command after command. As a context manager it closes its connections.

    Ctrl-C in the thread that waits ends the command, not the connection.
    """

    def __init__(self, addresses: str) -> None:
        self.addresses = addresses
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flaredb-shell", daemon=True)
        self._db: Any = None
        self._pd: Any = None

    def run(self, work: Work, is_bulk: bool) -> Any:
        """The result of ``work``. Errors: its own."""
        del is_bulk

        async def working() -> Any:
            if self._db is None:
                self._db = calls.open_client(self.addresses)
            return await work(self._db)

        return self._wait(working())

    def ask_pd(self, question: Callable[[PdClient], Coroutine[Any, Any, Any]]) -> Any:
        """The answer of PD. Errors: PdError."""

        async def asking() -> Any:
            if self._pd is None:
                self._pd = open_pd(self.addresses)
            return await question(self._pd)

        return self._wait(asking())

    def __enter__(self) -> ShellCaller:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        async def close() -> None:
            for connection in (self._db, self._pd):
                if connection is not None:
                    await connection.close()
            await end_other_tasks(STOP_DEADLINE_S / 2)

        try:
            asyncio.run_coroutine_threadsafe(close(), self._loop).result(STOP_DEADLINE_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_DEADLINE_S)
            if not self._thread.is_alive():
                self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        ended = threading.Event()

        async def working() -> Any:
            try:
                return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(working(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            # What it still prints belongs before the next prompt.
            ended.wait(CANCEL_DEADLINE_S)
            raise


def open_pd(addresses: str) -> PdClient:
    """A connection to PD, not connected yet."""
    from flaredb.client.address import read_addresses
    from flaredb.client.limits import ClientOptions
    from flaredb.rpc.pd import PdClient, PdClientTimes

    times = PdClientTimes(call_timeout_ms=2_000, retry_window_ms=3_000, connect_window_ms=3_000)
    return PdClient(read_addresses(addresses, ClientOptions()).endpoints, times)
