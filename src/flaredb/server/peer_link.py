"""The sending end of Raft traffic: one stream to every store that there are messages for.

``PeerLinks.send`` never blocks and never waits: Raft repeats what is lost, so a message that cannot leave now is
dropped and reported. Connections are made in the background. The receiving end is ``peer_server``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from flaredb.model.ids import ClusterId, StoreId
from flaredb.server.addresses import split_address
from flaredb.server.peer_counters import PeerCounters, tune_socket
from flaredb.server.peer_server import PeerServer
from flaredb.store.messages import RaftEnvelope
from flaredb.wire.frames import FrameError, encode_envelopes_after
from flaredb.wire.peer_stream import (
    ENVELOPES_HEAD,
    FRAME_SIZE_BYTES_MAX,
    FrameKind,
    FrameReader,
    Hello,
    set_frame_length,
)

__all__ = ["PeerCounters", "PeerLinkLimits", "PeerLinks", "PeerServer"]

Resolve = Callable[[StoreId], Awaitable[str]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeerLinkLimits:
    """Bounds and delays of outgoing streams."""

    write_buffer_bytes_max: int = 32 * 1024 * 1024
    """Messages are dropped while the connection holds this much unsent; it may pass it by one frame."""

    frame_size_bytes_max: int = FRAME_SIZE_BYTES_MAX
    pending_envelopes_max: int = 64
    pending_bytes_max: int = 1024 * 1024
    """Kept for one attempt to connect, so that the first votes are not lost."""

    redial_delay_ms_min: int = 50
    redial_delay_ms_max: int = 500
    dial_timeout_ms: int = 3_000
    """For resolving, connecting and the welcome together."""

    unreached_interval_ms: int = 100
    stop_flush_ms: int = 500


class PeerLinks:
    """Outgoing streams of this store, by destination."""

    def __init__(
        self,
        cluster_id: ClusterId,
        store_id: StoreId,
        resolve: Resolve,
        on_unreached: Callable[[StoreId], None],
        on_reached: Callable[[StoreId], None],
        *,
        counters: PeerCounters | None = None,
        limits: PeerLinkLimits | None = None,
    ) -> None:
        self.cluster_id = cluster_id
        self.store_id = store_id
        self.resolve = resolve
        self.on_unreached = on_unreached
        self.on_reached = on_reached
        self.counters = counters or PeerCounters()
        self.limits = limits or PeerLinkLimits()
        self._links: dict[StoreId, _Link] = {}
        self._stopped = False

    def send(self, to_store: StoreId, envelopes: list[RaftEnvelope]) -> None:
        """Send in order, without waiting. What cannot leave is dropped, and ``on_unreached`` is told."""
        if self._stopped:
            self.counters.messages_dropped += len(envelopes)
            return
        link = self._links.get(to_store)
        if link is None:
            link = self._links[to_store] = _Link(self, to_store)
        link.send(envelopes)

    def connected(self) -> list[StoreId]:
        """The stores that can be sent to right now, ascending."""
        return sorted(store_id for store_id, link in self._links.items() if link.is_connected)

    async def stop(self) -> None:
        """Send what is buffered for a moment, then close every stream. Later sends are dropped."""
        self._stopped = True
        await asyncio.gather(*(link.stop() for link in self._links.values()))


class _Link:
    """The stream to one store: connected, being dialled, or idle until the next send."""

    def __init__(self, links: PeerLinks, to_store: StoreId) -> None:
        self._links = links
        self._limits = links.limits
        self._counters = links.counters
        self._to_store = to_store
        self._stream: _Outbound | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._pending: list[RaftEnvelope] = []
        self._pending_bytes = 0
        self._failures = 0
        """Failed attempts and broken streams since the last welcome; decides the delay before the next attempt."""

        self._was_wanted = False
        """Something was to be sent since the last attempt began: worth another one."""

        self._was_connected = False
        self._last_trouble = ""
        self._unreached_at_s = float("-inf")

    @property
    def is_connected(self) -> bool:
        return self._stream is not None

    def send(self, envelopes: list[RaftEnvelope]) -> None:
        if self._stream is not None:
            self._write(self._stream.transport, envelopes)
            return
        self._was_wanted = True
        self._keep_first(envelopes)
        if self._dialling is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial_until_connected())

    async def stop(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait([self._dialling])
        if self._stream is not None:
            await self._stream.close(self._limits.stop_flush_ms)

    def _write(self, transport: asyncio.Transport, envelopes: list[RaftEnvelope]) -> None:
        if transport.get_write_buffer_size() >= self._limits.write_buffer_bytes_max:
            self._drop(len(envelopes))
            return
        frame = encode_envelopes_after(ENVELOPES_HEAD, envelopes)
        if len(frame) > self._limits.frame_size_bytes_max:
            self._write_halves(transport, envelopes, len(frame))
            return
        set_frame_length(frame)
        transport.write(frame)
        self._counters.messages_sent += len(envelopes)
        self._counters.bytes_sent += len(frame)

    def _write_halves(self, transport: asyncio.Transport, envelopes: list[RaftEnvelope], size_bytes: int) -> None:
        if len(envelopes) == 1:
            region_id = envelopes[0].region_id
            log.error("a Raft message of %d bytes for region %d is too large to send", size_bytes, region_id)
            self._drop(1)
            return
        middle = len(envelopes) // 2
        self._write(transport, envelopes[:middle])
        self._write(transport, envelopes[middle:])

    def _keep_first(self, envelopes: list[RaftEnvelope]) -> None:
        for kept, envelope in enumerate(envelopes):
            size_bytes = _payload_bytes(envelope)
            is_full = len(self._pending) >= self._limits.pending_envelopes_max
            if is_full or self._pending_bytes + size_bytes > self._limits.pending_bytes_max:
                self._drop(len(envelopes) - kept)
                return
            self._pending.append(envelope)
            self._pending_bytes += size_bytes

    def _take_pending(self) -> list[RaftEnvelope]:
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        return pending

    def _drop(self, message_count: int) -> None:
        self._counters.messages_dropped += message_count
        self._report_unreached()

    def _report_unreached(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._unreached_at_s >= self._limits.unreached_interval_ms / 1000:
            self._unreached_at_s = now_s
            self._links.on_unreached(self._to_store)

    async def _dial_until_connected(self) -> None:
        try:
            while self._was_wanted:
                if self._failures:
                    await asyncio.sleep(self._redial_delay_s())
                self._was_wanted = False
                if await self._dial_once():
                    return
        finally:
            self._dialling = None

    def _redial_delay_s(self) -> float:
        doubled = self._limits.redial_delay_ms_min << min(self._failures - 1, 16)
        return min(doubled, self._limits.redial_delay_ms_max) / 1000

    async def _dial_once(self) -> bool:
        address = "unknown address"
        stream = _Outbound()
        try:
            async with asyncio.timeout(self._limits.dial_timeout_ms / 1000):
                address = await self._links.resolve(self._to_store)
                await self._connect(stream, address)
        except Exception as error:
            # Whatever went wrong (no such name, refused, wrong cluster, PD away), the cure is the same: try again.
            stream.abort()
            self._failed(f"{address}: {_describe(error)}")
            return False
        except BaseException:
            stream.abort()
            raise
        self._connected(stream, address)
        return True

    async def _connect(self, stream: _Outbound, address: str) -> None:
        host, port = split_address(address, f"peer address of store {self._to_store}")
        await asyncio.get_running_loop().create_connection(lambda: stream, host.strip("[]"), port)
        hello = Hello(self._links.cluster_id, self._links.store_id, self._to_store)
        stream.transport.write(hello.encode())
        await stream.welcomed

    def _connected(self, stream: _Outbound, address: str) -> None:
        self._stream = stream
        stream.on_lost = self._lost
        self._counters.connects += 1
        self._counters.reconnects += self._was_connected
        self._was_connected = True
        self._failures = 0
        self._last_trouble = ""
        log.info("connected to store %d at %s", self._to_store, address)
        pending = self._take_pending()
        if pending:
            self._write(stream.transport, pending)
        self._links.on_reached(self._to_store)

    def _lost(self, reason: str) -> None:
        self._stream = None
        self._failed(f"connection lost: {reason}")

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if reason != self._last_trouble:
            self._last_trouble = reason
            log.warning("store %d is not reachable: %s", self._to_store, reason)
        self._drop(len(self._take_pending()))


class _Outbound(asyncio.Protocol):
    """One outgoing connection: waits for the welcome, then only notices its end."""

    def __init__(self) -> None:
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_lost: Callable[[str], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._closed = asyncio.Event()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None, "used before the connection was made"
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports do not inherit asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        tune_socket(transport)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, body in self._reader.feed(data):
                self._take(kind, bytes(body))
        except FrameError as error:
            self._fail(f"the other end is not a store: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._settle_welcome(f"closed before its welcome{f' ({exc})' if exc else ''}")
        if self.on_lost is not None:
            self.on_lost(_describe(exc) if exc else "closed by the other store")

    def abort(self) -> None:
        """Give up this connection without a report. The welcome is not awaited any more."""
        self.on_lost = None
        self.welcomed.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def close(self, flush_ms: int) -> None:
        """Close after sending what is buffered, or after ``flush_ms``."""
        self.on_lost = None
        self.transport.close()
        try:
            async with asyncio.timeout(flush_ms / 1000):
                await self._closed.wait()
        except TimeoutError:
            self.transport.abort()
            await self._closed.wait()

    def _take(self, kind: int, body: bytes) -> None:
        if kind == FrameKind.WELCOME and not self.welcomed.done():
            self.welcomed.set_result(None)
        elif kind == FrameKind.REFUSAL:
            self._fail(f"refused: {body.decode(errors='replace')}")
        else:
            raise FrameError(f"a frame of kind {kind} that nobody asked for")

    def _fail(self, reason: str) -> None:
        self._settle_welcome(reason)
        self.transport.abort()

    def _settle_welcome(self, reason: str) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(FrameError(reason))


def _payload_bytes(envelope: RaftEnvelope) -> int:
    message = envelope.message
    snapshot_bytes = len(message.snapshot.data) if message.snapshot is not None else 0
    return len(message.context) + snapshot_bytes + sum(len(entry.data) for entry in message.entries)


def _describe(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error) or type(error).__name__
