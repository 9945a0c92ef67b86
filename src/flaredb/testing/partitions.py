"""A network between the stores of a test cluster that can be cut: one relay for each store's peer address.

Stores dial the relay in place of each other and name themselves in their first frame (wire/peer_stream.py), so the
relay knows which pair a connection belongs to. On a cut pair it goes on reading and passes nothing on: silence, as on
a real network, not a closed connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from flaredb.wire.frames import FrameError
from flaredb.wire.peer_stream import FRAME_HEAD_BYTES, GREETING_SIZE_BYTES_MAX, Hello, frame_end

CALL_DEADLINE_S = 10.0
READ_BYTES = 256 * 1024

Pair = frozenset[int]


class _Relayed:
    """One connection between two stores, through here."""

    def __init__(self, pair: Pair, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.pair = pair
        self._writers = writers

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


class Partitions:
    """Relays on an event loop in a thread of their own. Stores are named by their ids, once they have them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flaredb-partitions", daemon=True)
        self._thread.start()
        self._cut: set[Pair] = set()
        self._relayed: set[_Relayed] = set()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def relay_to(self, host: str, port: int) -> str:
        """host:port that stores may dial in place of this one."""
        return str(self._do(self._listen(host, port)))

    def cut(self, first: int, second: int) -> None:
        """Nothing passes between these two stores any more, in either direction."""
        self._do(self._set(frozenset((first, second)), is_cut=True))

    def mend(self) -> None:
        """Everything passes again; connections that were cut are closed, so that stores dial anew."""
        self._do(self._mend_all())

    def close(self) -> None:
        """End all relays and the thread."""
        self._do(self._close_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_DEADLINE_S)
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_DEADLINE_S)

    # ------------------------------------------------------------ on the loop

    async def _listen(self, host: str, port: int) -> str:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await self._relay(reader, writer, host, port)
            except (OSError, FrameError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                self._tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(accept, host, 0, limit=READ_BYTES)
        self._servers.append(server)
        return f"{host}:{server.sockets[0].getsockname()[1]}"

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        hello = await _first_frame(reader)
        greeting = Hello.decode(hello[FRAME_HEAD_BYTES:])
        far_reader, far_writer = await asyncio.open_connection(host, port, limit=READ_BYTES)
        relayed = _Relayed(frozenset((greeting.from_store, greeting.to_store)), (writer, far_writer))
        self._relayed.add(relayed)
        try:
            if relayed.pair not in self._cut:
                far_writer.write(hello)
            ways = [
                asyncio.ensure_future(self._pass_on(relayed.pair, reader, far_writer)),
                asyncio.ensure_future(self._pass_on(relayed.pair, far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._relayed.discard(relayed)
            relayed.close()

    async def _pass_on(self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                if pair not in self._cut:
                    writer.write(data)
                    await writer.drain()

    async def _set(self, pair: Pair, *, is_cut: bool) -> None:
        (self._cut.add if is_cut else self._cut.discard)(pair)

    async def _mend_all(self) -> None:
        cut, self._cut = self._cut, set()
        for relayed in list(self._relayed):
            if relayed.pair in cut:
                relayed.close()

    async def _close_all(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _first_frame(reader: asyncio.StreamReader) -> bytes:
    """The hello, header included. Errors: FrameError, IncompleteReadError."""
    head = await reader.readexactly(FRAME_HEAD_BYTES)
    end = frame_end(head, 0, len(head), GREETING_SIZE_BYTES_MAX)
    return head + await reader.readexactly(end - len(head))
