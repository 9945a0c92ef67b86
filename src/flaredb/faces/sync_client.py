"""The synchronous client: for scripts, threads, notebooks and handlers alike."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from flaredb.client.limits import Buffer, ClientOptions
from flaredb.client.operations import Operations
from flaredb.client.results import Row
from flaredb.client.steps import Plan
from flaredb.faces.driver import Driver, closed_error, make_core
from flaredb.faces.forks import fork_error, note_use
from flaredb.faces.loop_thread import LoopThread, loop_thread
from flaredb.faces.options import client_options
from flaredb.faces.pending import SyncPending, ThreadAnswer
from flaredb.faces.sync_calls import SyncCalls

CLOSE_DEADLINE_S = 10.0


class MappingSugar(SyncCalls):
    """What makes a client feel like a dict: ``db[b"k"]``, ``b"k" in db``, ``del db[b"k"]``, keys and items."""

    def __getitem__(self, key: Buffer) -> bytes:
        """The value. Errors: KeyError if there is none; as get."""
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Buffer, value: Buffer) -> None:
        self.put(key, value)

    def __delitem__(self, key: Buffer) -> None:
        """Remove a key; unlike a dict's, absent or not."""
        self.delete(key)

    def __contains__(self, key: Buffer) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        """All keys, lazily and in order."""
        return self.scan(keys_only=True)

    def keys(self, prefix: Buffer = b"") -> Iterator[bytes]:
        """The keys with a prefix, lazily and in order."""
        return self.scan(prefix=prefix, keys_only=True)

    def items(self, prefix: Buffer = b"") -> Iterator[Row]:
        """(key, value) of the keys with a prefix, lazily and in order."""
        return self.scan(prefix=prefix)


class Client(MappingSugar):
    """A client of one cluster, FlareDB or TiKV, for any number of threads.

        with flaredb.connect("127.0.0.1:2379") as db:
            db.put(b"k", b"v")

    Making one does no I/O; the first call connects. The connections live on an event loop in a thread of their own,
    so it works where a loop runs already. Calls of several threads share frames.
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
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._driver: Driver | None = None
        self._closed = False

    def close(self) -> None:
        """Close all connections. Calls under way fail, as do all later ones; closing again does nothing."""
        with self._lock:
            self._closed = True
            thread, driver = self._thread, self._driver
            self._thread = self._driver = None
        if thread is not None and driver is not None and thread.pid == os.getpid():
            thread.run(driver.close(), CLOSE_DEADLINE_S)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"flaredb.Client({','.join(self.options.endpoints)!r}{', closed' if self._closed else ''})"

    def __del__(self) -> None:
        if getattr(self, "_driver", None) is not None:
            warnings.warn(f"{self!r} was not closed; use with, or close()", ResourceWarning, 2, source=self)

    def _run(self, plan: Plan) -> Any:
        return self._begin(plan).result()

    def _begin(self, plan: Plan) -> SyncPending:
        thread, driver = self._thread, self._driver
        if thread is None or driver is None or thread.pid != os.getpid():
            thread, driver = self._connected()
        answer = ThreadAnswer()
        thread.do(lambda: driver.start(plan, answer))
        return answer

    def _connected(self) -> tuple[LoopThread, Driver]:
        with self._lock:
            if self._closed:
                raise closed_error()
            if self._thread is None or self._driver is None:
                note_use()
                thread = loop_thread()
                self._driver = thread.run(_make_driver(self), CLOSE_DEADLINE_S)
                self._thread = thread
            elif self._thread.pid != os.getpid():
                raise fork_error()
            return self._thread, self._driver


async def _make_driver(client: Client) -> Driver:
    return Driver(client._core)


def connect(
    addresses: str | Iterable[str] | None = None,
    *,
    timeout: float | None = None,
    cf: str | None = None,
    idempotent: bool | None = None,
    options: ClientOptions | None = None,
) -> Client:
    """A Client; arguments as Client's. Does no I/O: use it as ``with flaredb.connect(...) as db``, or close it."""
    return Client(addresses, timeout=timeout, cf=cf, idempotent=idempotent, options=options)
