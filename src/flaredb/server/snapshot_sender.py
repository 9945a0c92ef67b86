"""Sends snapshots to other stores, each on a connection of its own, so that no Raft message waits behind one.

Rows are read in a thread, at most two batches ahead of the network: a snapshot of any size needs a few MiB. Whatever
happens, its source is closed and the store core is told SnapshotSent, once.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress

from flaredb.model.ids import ClusterId, StoreId
from flaredb.model.limits import MIB
from flaredb.server.addresses import split_address
from flaredb.server.frame_stream import FrameStream
from flaredb.server.logs import log_event
from flaredb.server.peer_counters import SnapshotCounters
from flaredb.server.snapshot_limits import Pace, SnapshotLimits
from flaredb.store.messages import Input, SendSnapshot, SnapshotSent
from flaredb.wire.frames import FrameError
from flaredb.wire.peer_stream import FrameKind, Hello
from flaredb.wire.snapshot_stream import SnapshotHead, SnapshotTotals, encode_chunk_head, encode_end

BATCH_BYTES = MIB
"""What the thread reads at a time; the last chunk may pass it."""

CLOSE_FLUSH_MS = 200

log = logging.getLogger(__name__)


class SnapshotSender:
    """``send`` never waits. Use it on the event loop's thread only."""

    def __init__(
        self,
        cluster_id: ClusterId,
        store_id: StoreId,
        resolve: Callable[[StoreId], Awaitable[str]],
        submit: Callable[[Input], None],
        limits: SnapshotLimits,
        pace: Pace,
        counters: SnapshotCounters,
    ) -> None:
        self._cluster_id = cluster_id
        self._store_id = store_id
        self._resolve = resolve
        self._submit = submit
        self._limits = limits
        self._pace = pace
        self._counters = counters
        self._places = asyncio.Semaphore(limits.sending_max)
        self._sends: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    @property
    def count(self) -> int:
        """Snapshots being sent, or waiting for that."""
        return len(self._sends)

    def send(self, order: SendSnapshot) -> None:
        """Stream it as soon as there is a place."""
        is_full = len(self._sends) >= self._limits.sending_max + self._limits.waiting_max
        if is_full or self._is_stopped:
            order.source.close()
            self._end(order, "the store stops" if self._is_stopped else f"{len(self._sends)} others wait to be sent")
            return
        task = asyncio.get_running_loop().create_task(self._send(order))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def stop(self) -> None:
        """Break off every snapshot and close its source."""
        self._is_stopped = True
        for task in list(self._sends):
            task.cancel()
        if self._sends:
            await asyncio.wait(list(self._sends))

    async def _send(self, order: SendSnapshot) -> None:
        trouble: str | None = "the store stops"
        thread = ThreadPoolExecutor(1, "flaredb-snapshot-send")
        try:
            async with self._places:
                began_s = asyncio.get_running_loop().time()
                async with asyncio.timeout(self._limits.seconds_max(order.source.size_bytes)):
                    await self._connect_and_send(order, thread)
            trouble = None
            self._counters.send_seconds.observe(asyncio.get_running_loop().time() - began_s)
        except TimeoutError as error:
            trouble = str(error) or "it took too long"
        except Exception as error:
            # No such address, refused, broken, unreadable rows: Raft learns of it and asks again.
            trouble = str(error) or type(error).__name__
        finally:
            closed = asyncio.get_running_loop().run_in_executor(thread, order.source.close)
            thread.shutdown(wait=False)
            with suppress(Exception):
                await asyncio.shield(closed)
            self._end(order, trouble)

    def _end(self, order: SendSnapshot, trouble: str | None) -> None:
        envelope = order.envelope
        if trouble is None:
            self._counters.sent += 1
        else:
            self._counters.send_failed += 1
            log_event(
                log,
                logging.WARNING,
                "a snapshot was not sent",
                region_id=envelope.region_id,
                store_id=order.to_store,
                peer_id=envelope.to_peer,
                error=trouble,
            )
        self._submit(SnapshotSent(envelope.region_id, envelope.to_peer, trouble is None))

    async def _connect_and_send(self, order: SendSnapshot, thread: Executor) -> None:
        stream = FrameStream()
        try:
            await self._greet(order, stream)
            totals = await self._send_chunks(order, stream, thread)
            async with self._stall_timeout():
                await stream.write([encode_end(totals)])
                await _answer(stream, FrameKind.SNAPSHOT_DONE)
            log_event(
                log,
                logging.INFO,
                "snapshot sent",
                region_id=order.envelope.region_id,
                store_id=order.to_store,
                peer_id=order.envelope.to_peer,
                size_bytes=totals.size_bytes,
            )
            await stream.close(CLOSE_FLUSH_MS)
        finally:
            stream.abort()

    def _stall_timeout(self) -> asyncio.Timeout:
        return asyncio.timeout(self._limits.stall_timeout_ms / 1000)

    async def _greet(self, order: SendSnapshot, stream: FrameStream) -> None:
        """Connect, and return once the receiver wants the snapshot."""
        async with asyncio.timeout(self._limits.dial_timeout_ms / 1000):
            address = await self._resolve(order.to_store)
            host, port = split_address(address, f"peer address of store {order.to_store}")
            await asyncio.get_running_loop().create_connection(lambda: stream, host.strip("[]"), port)
            hello = Hello(self._cluster_id, self._store_id, order.to_store)
            await stream.write([hello.encode(FrameKind.SNAPSHOT_HELLO)])
            await _answer(stream, FrameKind.WELCOME)
        async with asyncio.timeout(self._limits.answer_timeout_ms / 1000):
            await stream.write([SnapshotHead(order.envelope, order.source.size_bytes).encode()])
            await _answer(stream, FrameKind.SNAPSHOT_GO_AHEAD)

    async def _send_chunks(self, order: SendSnapshot, stream: FrameStream, thread: Executor) -> SnapshotTotals:
        loop = asyncio.get_running_loop()
        totals = SnapshotTotals()
        chunks = await loop.run_in_executor(thread, order.source.chunks)
        ahead = loop.run_in_executor(thread, _read_batch, chunks, totals)
        try:
            while parts := await ahead:
                ahead = loop.run_in_executor(thread, _read_batch, chunks, totals)
                size_bytes = sum(map(len, parts))
                await self._pace.take(size_bytes)
                async with self._stall_timeout():
                    await stream.write(parts)
                self._counters.bytes_sent += size_bytes
        except FrameError as error:
            raise await _refusal_before(stream, error) from error
        finally:
            ahead.cancel()
        return totals


def _read_batch(chunks: Iterator[bytes], totals: SnapshotTotals) -> list[bytes]:
    """The next frames of chunks, in parts; none at the end."""
    parts: list[bytes] = []
    left_bytes = BATCH_BYTES
    while left_bytes > 0:
        chunk = next(chunks, None)
        if chunk is None:
            break
        crc = zlib.crc32(chunk)
        totals.add(len(chunk), crc)
        parts += (encode_chunk_head(chunk, crc), chunk)
        left_bytes -= len(chunk)
    return parts


async def _answer(stream: FrameStream, wanted: FrameKind) -> None:
    """Wait for this answer. Errors: FrameError with the other store's reason for another one."""
    (kind, body), *more = await stream.read()
    if kind == FrameKind.REFUSAL:
        raise FrameError(f"refused: {bytes(body).decode(errors='replace')}")
    if kind != wanted or more:
        raise FrameError(f"a frame of kind {kind} where the answer {wanted.name} was expected")


async def _refusal_before(stream: FrameStream, broken: FrameError) -> FrameError:
    """The receiver's own reason, if it gave one before it closed the connection."""
    try:
        for kind, body in await stream.read():
            if kind == FrameKind.REFUSAL:
                return FrameError(f"refused: {bytes(body).decode(errors='replace')}")
    except FrameError:
        pass
    return broken
