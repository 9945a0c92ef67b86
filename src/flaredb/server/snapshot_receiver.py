"""Receives snapshots of other stores into files; the store core is told of each that is whole and durable.

A snapshot is refused as early as possible, with the reason. Checks, writes and syncs run in a thread, one per snapshot.
A connection that breaks, a sender that is too slow and a kill leave at most an unfinished file, which is swept away.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from flaredb.model.ids import RegionId, StoreId
from flaredb.server.frame_stream import Frame, FrameStream
from flaredb.server.logs import log_event
from flaredb.server.peer_counters import SnapshotCounters
from flaredb.server.snapshot_files import DiskSnapshotFiles, SnapshotFile, SnapshotWriter
from flaredb.server.snapshot_limits import Pace, SnapshotLimits
from flaredb.store.messages import Input, RaftEnvelope, SnapshotReceived
from flaredb.wire.frames import FrameError
from flaredb.wire.peer_stream import GREETING_SIZE_BYTES_MAX, FrameKind, encode_frame
from flaredb.wire.records import StateCorrupted
from flaredb.wire.snapshot_stream import (
    SNAPSHOT_FRAME_BYTES_MAX,
    SnapshotHead,
    SnapshotTotals,
    decode_chunk_frame,
)

CLOSE_FLUSH_MS = 500
REFUSAL_BYTES_MAX = GREETING_SIZE_BYTES_MAX - 1

log = logging.getLogger(__name__)


class SnapshotRefused(FrameError):
    """This store does not want the snapshot; the text goes to its sender."""


class SnapshotReceiver:
    """``accept`` takes a greeted connection. Use it on the event loop's thread only."""

    def __init__(
        self,
        store_id: StoreId,
        files: DiskSnapshotFiles,
        submit: Callable[[Input], None],
        refusal: Callable[[RaftEnvelope], str | None],
        limits: SnapshotLimits,
        pace: Pace,
        counters: SnapshotCounters,
    ) -> None:
        """``refusal`` says why the store does not want a snapshot, None if it does."""
        self._store_id = store_id
        self._files = files
        self._submit = submit
        self._refusal = refusal
        self._limits = limits
        self._pace = pace
        self._counters = counters
        self._tasks: set[asyncio.Task[None]] = set()
        self._receiving: dict[RegionId, tuple[int, FrameStream]] = {}
        """Under way: the term of its leader, and its connection."""

    @property
    def count(self) -> int:
        """Snapshots being received."""
        return len(self._receiving)

    def accept(self, from_store: StoreId, stream: FrameStream) -> None:
        """Receive one snapshot in the background."""
        stream.allow(SNAPSHOT_FRAME_BYTES_MAX)
        task = asyncio.get_running_loop().create_task(self._serve(from_store, stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Break off what is being received and delete it."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _serve(self, from_store: StoreId, stream: FrameStream) -> None:
        try:
            async with asyncio.timeout(self._limits.answer_timeout_ms / 1000):
                head = await _read_head(stream)
            reason = self._reason_to_refuse(head)
            if reason is not None:
                raise SnapshotRefused(reason)
            region_id, mine = head.envelope.region_id, (head.envelope.message.term, stream)
            self._receiving[region_id] = mine
            try:
                async with asyncio.timeout(self._limits.seconds_max(head.size_bytes)):
                    await self._receive(from_store, head, stream)
            finally:
                if self._receiving.get(region_id) is mine:
                    del self._receiving[region_id]
            await stream.close(CLOSE_FLUSH_MS)
        except (FrameError, OSError, TimeoutError) as error:
            reason = str(error) or "it took too long"
            await self._refuse(from_store, stream, reason, is_early=isinstance(error, SnapshotRefused))
        finally:
            stream.abort()

    def _reason_to_refuse(self, head: SnapshotHead) -> str | None:
        region_id = head.envelope.region_id
        if head.envelope.to_store != self._store_id:
            return f"this is store {self._store_id}, the snapshot is for store {head.envelope.to_store}"
        term, stream = self._receiving.get(region_id, (-1, None))
        if head.envelope.message.term <= term:
            return f"store {self._store_id} is receiving a snapshot of region {region_id} already"
        if stream is None and len(self._receiving) >= self._limits.receiving_max:
            return (
                f"store {self._store_id} is receiving {len(self._receiving)} snapshots, which is all that "
                "server.concurrent-recv-snap-limit allows"
            )
        free_bytes = shutil.disk_usage(self._files.directory).free
        # Once as a file, once installed, until the file is deleted.
        wanted_bytes = 2 * head.size_bytes + self._limits.free_bytes_min
        if free_bytes < wanted_bytes:
            return (
                f"store {self._store_id} has {free_bytes} bytes free, a snapshot of {head.size_bytes} bytes needs "
                f"{wanted_bytes}"
            )
        try:
            refusal = self._refusal(head.envelope)
        except StateCorrupted as error:
            return f"the snapshot does not say which region it is of: {error}"
        if refusal is None and stream is not None:
            # Of a leader that was deposed, and that may hang: the new one's snapshot takes its place.
            stream.abort()
        return refusal

    async def _receive(self, from_store: StoreId, head: SnapshotHead, stream: FrameStream) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        index = head.envelope.message.snapshot.metadata.index if head.envelope.message.snapshot else 0
        thread = ThreadPoolExecutor(1, "flaredb-snapshot-receive")
        writer = self._files.create(head.envelope.region_id, index)
        try:
            await stream.write([encode_frame(FrameKind.SNAPSHOT_GO_AHEAD)])
            file = None
            while file is None:
                async with asyncio.timeout(self._limits.stall_timeout_ms / 1000):
                    frames = await stream.read()
                size_bytes = sum(len(body) for _, body in frames)
                self._counters.bytes_received += size_bytes
                await self._pace.take(size_bytes)
                file = await loop.run_in_executor(thread, _write, writer, frames)
        finally:
            # In the same thread, so after a write that a cancellation did not wait for; nothing if it is whole.
            cleaned = loop.run_in_executor(thread, writer.give_up)
            thread.shutdown(wait=False)
            with suppress(OSError):
                await asyncio.shield(cleaned)
        self._counters.received += 1
        self._counters.receive_seconds.observe(loop.time() - began_s)
        log_event(
            log,
            logging.INFO,
            "snapshot received",
            region_id=head.envelope.region_id,
            store_id=from_store,
            peer_id=head.envelope.to_peer,
            index=index,
            size_bytes=writer.totals.size_bytes,
            file=file.name,
        )
        self._submit(SnapshotReceived(head.envelope, file))
        with suppress(FrameError):
            await stream.write([encode_frame(FrameKind.SNAPSHOT_DONE)])

    async def _refuse(self, from_store: StoreId, stream: FrameStream, reason: str, is_early: bool) -> None:
        if is_early:
            self._counters.refused += 1
        else:
            self._counters.receive_failed += 1
        level = logging.INFO if is_early else logging.WARNING
        log_event(log, level, "a snapshot was not received", store_id=from_store, reason=reason)
        with suppress(FrameError):
            await stream.write([encode_frame(FrameKind.REFUSAL, reason.encode()[:REFUSAL_BYTES_MAX])])
            await stream.close(CLOSE_FLUSH_MS)


async def _read_head(stream: FrameStream) -> SnapshotHead:
    (kind, body), *more = await stream.read()
    if kind != FrameKind.SNAPSHOT_HEAD or more:
        raise FrameError(f"a frame of kind {kind} where only the head of a snapshot may come")
    return SnapshotHead.decode(body)


def _write(writer: SnapshotWriter, frames: list[Frame]) -> SnapshotFile | None:
    """Take these frames to disk; the file once the end was among them. Runs in a thread."""
    file: SnapshotFile | None = None
    for kind, body in frames:
        if file is not None:
            raise FrameError(f"a frame of kind {kind} after the end of a snapshot")
        if kind == FrameKind.SNAPSHOT_CHUNK:
            writer.add(*decode_chunk_frame(body))
        elif kind == FrameKind.SNAPSHOT_END:
            file = writer.finish(SnapshotTotals.decode(body))
        else:
            raise FrameError(f"a frame of kind {kind} within a snapshot")
    return file
