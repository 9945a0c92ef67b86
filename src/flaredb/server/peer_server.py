"""The receiving end of Raft traffic: accepts streams of other stores on the peer address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from flaredb.model.ids import ClusterId, StoreId
from flaredb.server.frame_stream import FrameStream
from flaredb.server.peer_counters import PeerCounters, tune_socket
from flaredb.store.messages import RaftEnvelope
from flaredb.wire.frames import FrameError, decode_envelopes
from flaredb.wire.peer_stream import FRAME_SIZE_BYTES_MAX, FrameKind, FrameReader, Hello, encode_frame

HELLO_TIMEOUT_MS = 5_000
CONNECTIONS_MAX = 1_024
STOP_TIMEOUT_MS = 1_000

OnEnvelopes = Callable[[StoreId, list[RaftEnvelope]], None]
OnSnapshot = Callable[[StoreId, FrameStream], None]

log = logging.getLogger(__name__)


class PeerServer:
    """Listens for other stores; hands over their envelopes in the order of each stream.

    A store has one stream of envelopes to us: a new one replaces the old, which is a leftover of a restart or a broken
    network. Besides, it may have connections that carry one snapshot each.
    """

    def __init__(
        self,
        listen_host: str,
        port: int,
        cluster_id: ClusterId,
        store_id: StoreId,
        on_envelopes: OnEnvelopes,
        *,
        on_snapshot: OnSnapshot | None = None,
        counters: PeerCounters | None = None,
        connections_max: int = CONNECTIONS_MAX,
        hello_timeout_ms: int = HELLO_TIMEOUT_MS,
    ) -> None:
        """``on_snapshot`` takes connections that carry one snapshot, once greeted; None: they are refused."""
        self.cluster_id = cluster_id
        self.store_id = store_id
        self.on_envelopes = on_envelopes
        self.on_snapshot = on_snapshot
        self.counters = counters or PeerCounters()
        self.connections_max = connections_max
        self.hello_timeout_ms = hello_timeout_ms
        self._host = listen_host
        self._port = port
        self._server: asyncio.AbstractServer | None = None
        self._connections: set[_Inbound] = set()
        self._streams: dict[StoreId, _Inbound] = {}
        self._full_was_logged = False
        self._emptied = asyncio.Event()

    @property
    def port(self) -> int:
        """The port listened on; differs from the one asked for when that was 0. Pre: started."""
        assert self._server is not None, "start() first"
        return int(self._server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]

    async def start(self) -> None:
        """Listen. Errors: OSError if the address is in use or not ours."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Inbound(self), self._host, self._port)

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is None:
            return
        self._server.close()
        self._emptied.clear()
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            await asyncio.wait_for(self._emptied.wait(), STOP_TIMEOUT_MS / 1000)
        await self._server.wait_closed()

    def admit(self, connection: _Inbound) -> bool:
        """Count a new connection; False if there are too many."""
        self._connections.add(connection)
        if len(self._connections) <= self.connections_max:
            self._full_was_logged = False
            return True
        if not self._full_was_logged:
            self._full_was_logged = True
            log.warning("peer port: more than %d connections, new ones are closed", self.connections_max)
        return False

    def settle(self, connection: _Inbound, from_store: StoreId) -> None:
        """This connection is now the stream of ``from_store``."""
        previous = self._streams.get(from_store)
        self._streams[from_store] = connection
        if previous is not None:
            previous.abort()

    def forget(self, connection: _Inbound) -> None:
        """The connection is closed."""
        self._connections.discard(connection)
        store_id = connection.from_store
        if store_id is not None and self._streams.get(store_id) is connection:
            del self._streams[store_id]
        if not self._connections:
            self._emptied.set()


class _Inbound(asyncio.Protocol):
    """One accepted connection: silent until a valid hello, then a stream of envelopes."""

    def __init__(self, server: PeerServer) -> None:
        self.from_store: StoreId | None = None
        self._server = server
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self._remote = "?"
        self._has_snapshot = False
        """Handed over: this protocol gets nothing more of it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports do not inherit asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._remote = _format_remote(transport.get_extra_info("peername"))
        if not self._server.admit(self):
            self._server.counters.refused_inbound += 1
            self.abort()
            return
        tune_socket(transport)
        timeout_s = self._server.hello_timeout_ms / 1000
        self._hello_timer = asyncio.get_running_loop().call_later(timeout_s, self._on_silence)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._stop_timer()
        self._transport = None
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._server.counters.bytes_received += len(data)
        try:
            self._take(self._reader.feed(data))
        except FrameError as error:
            self._close_with_line(str(error))

    def abort(self) -> None:
        """Close at once; what was received but not handed over is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, frames: list[tuple[int, memoryview]]) -> None:
        envelopes: list[RaftEnvelope] = []
        for kind, body in frames:
            if self._has_snapshot:
                raise FrameError(f"a frame of kind {kind} before the welcome")
            if self.from_store is None:
                self._greet(kind, bytes(body))
            elif kind == FrameKind.ENVELOPES:
                envelopes += decode_envelopes(body)
            else:
                raise FrameError(f"a frame of kind {kind} where only Raft messages may follow")
        if envelopes and self.from_store is not None:
            self._server.counters.messages_received += len(envelopes)
            self._server.on_envelopes(self.from_store, envelopes)

    def _greet(self, kind: int, body: bytes) -> None:
        takes_snapshots = self._server.on_snapshot is not None
        if kind != FrameKind.HELLO and not (kind == FrameKind.SNAPSHOT_HELLO and takes_snapshots):
            raise FrameError(f"a frame of kind {kind} where a hello must come first")
        hello = Hello.decode(body)
        refusal = hello.refusal(self._server.cluster_id, self._server.store_id)
        if refusal is not None:
            self._write(encode_frame(FrameKind.REFUSAL, refusal.encode()))
            raise FrameError(refusal)
        self._stop_timer()
        if kind == FrameKind.SNAPSHOT_HELLO:
            self._hand_over(hello.from_store)
            return
        self.from_store = hello.from_store
        self._reader.size_bytes_max = FRAME_SIZE_BYTES_MAX
        self._server.settle(self, hello.from_store)
        self._write(encode_frame(FrameKind.WELCOME))

    def _hand_over(self, from_store: StoreId) -> None:
        """From now on the connection is read by whoever takes the snapshot; it still counts, and ends at our stop."""
        assert self._transport is not None
        assert self._server.on_snapshot is not None
        self._has_snapshot = True
        stream = FrameStream(lambda: self._server.forget(self), self._count_bytes)
        # uvloop looks at how a protocol wants its bytes only when reading begins.
        self._transport.pause_reading()
        self._transport.set_protocol(stream)
        self._transport.resume_reading()
        stream.connection_made(self._transport)
        self._write(encode_frame(FrameKind.WELCOME))
        self._server.on_snapshot(from_store, stream)

    def _count_bytes(self, size_bytes: int) -> None:
        self._server.counters.bytes_received += size_bytes

    def _on_silence(self) -> None:
        self._close_with_line(f"no hello within {self._server.hello_timeout_ms} ms")

    def _close_with_line(self, reason: str) -> None:
        self._server.counters.refused_inbound += 1
        log.warning("peer port: connection from %s closed: %s", self._remote, reason)
        if self._transport is not None:
            self._transport.close()

    def _write(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)

    def _stop_timer(self) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None


def _format_remote(peername: object) -> str:
    if isinstance(peername, tuple) and len(peername) >= 2:
        return f"{peername[0]}:{peername[1]}"
    return "?"
