"""The network: every address that others dial leads through a proxy here that can hold back bytes, or slow them down.

Bytes that are held arrive when the link is open again, as TCP would deliver them. Who dials is found out by
/proc, so processes need not know anything about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

NEEDS = ("linux",)
HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
PD = 0
CLIENTS = -1
"""Whoever dials and is no store."""

Link = tuple[int, int]
"""From one place to another: the number of a store, PD, or CLIENTS."""

Gate = tuple[str, int]
"""What is dialled: "peer" and "client" addresses of a store, or PD's ("client", PD)."""


class Links:
    """Proxies for ``real_ports``, by gate; as a context manager it closes them."""

    def __init__(self, real_ports: dict[Gate, int], pid_of: Callable[[int], int]) -> None:
        """``pid_of``: the process of a store."""
        self.ports: dict[Gate, int] = {}
        """Where the proxies listen."""
        self._real_ports = real_ports
        self._stores = [number for name, number in real_ports if name == "peer"]
        self._pid_of = pid_of
        self._open: dict[Link, asyncio.Event] = {}
        self._delays_s: defaultdict[Link, float] = defaultdict(float)
        self._pumps: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links")

    def __enter__(self) -> Links:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @contextlib.contextmanager
    def cut(self, links: Iterable[Link]) -> Iterator[None]:
        """Nothing passes these links until the end of the block."""
        chosen = list(links)
        try:
            self._switch(chosen, is_open=False)
            yield
        finally:
            self._switch(chosen, is_open=True)

    @contextlib.contextmanager
    def slowed(self, links: Iterable[Link], delay_s: float) -> Iterator[None]:
        """Every piece of at most CHUNK_BYTES takes this long on these links, one after the other, in this block."""
        chosen = list(links)
        try:
            self._delays_s.update(dict.fromkeys(chosen, delay_s))
            yield
        finally:
            self._delays_s.update(dict.fromkeys(chosen, 0.0))

    def around(self, number: int) -> tuple[list[Link], list[Link]]:
        """The links that lead from other stores to this one, and those that lead back."""
        others = [other for other in self._stores if other != number]
        return [(other, number) for other in others], [(number, other) for other in others]

    def _switch(self, links: list[Link], is_open: bool) -> None:
        def switch() -> None:
            for link in links:
                event = self._event(link)
                (event.set if is_open else event.clear)()

        self._loop.call_soon_threadsafe(switch)

    def _event(self, link: Link) -> asyncio.Event:
        if link not in self._open:
            self._open[link] = asyncio.Event()
            self._open[link].set()
        return self._open[link]

    async def _listen(self) -> None:
        self._servers = []
        for gate in self._real_ports:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: Gate = gate) -> None:
                self._spawn(self._serve(gate, reader, writer))

            server = await asyncio.start_server(accept, HOST, 0)
            self._servers.append(server)
            self.ports[gate] = server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._pumps):
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        return task

    async def _serve(self, gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection through a gate until either end closes."""
        kind, target = gate
        source = self._who_dialled(writer.get_extra_info("peername")[1])
        further: asyncio.StreamWriter | None = None
        try:
            if kind == "peer" and source == CLIENTS:  # a store that is gone already
                return
            await self._event((source, target)).wait()
            answers, further = await asyncio.open_connection(HOST, self._real_ports[gate])
            there = self._spawn(self._pump((source, target), reader, further))
            back = self._spawn(self._pump((target, source), answers, writer))
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
            back.cancel()
        except OSError:
            pass
        finally:
            writer.close()
            if further is not None:
                further.close()

    async def _pump(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        event = self._event(link)
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if delay_s := self._delays_s[link]:
                    await asyncio.sleep(delay_s)
                await event.wait()
                writer.write(data)
                await writer.drain()

    def _who_dialled(self, port: int) -> int:
        """Number of the store whose connection comes from this port; CLIENTS if it is none."""
        inode = _socket_inode(port)
        return next((number for number in self._stores if _owns_socket(self._pid_of(number), inode)), CLIENTS)


def _socket_inode(port: int) -> str:
    """The inode of the established IPv4 socket with this local port; empty if there is none."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == "01" and int(fields[1].rsplit(":", 1)[1], 16) == port:
            return fields[9]
    return ""


def _owns_socket(pid: int, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}") == wanted:
                    return True
    return False
