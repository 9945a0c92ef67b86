"""A BatchCommands stream over grpc.aio: a reader, and a task that writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import grpc

from flaredb.server.batch_commands import BatchRequests, InvalidFrame
from flaredb.server.front import Front, abort
from flaredb.wire.requests import WrongCluster

_WRITE_BYTES_MAX = 1 << 20
"""Answers that wait are joined up to this size, so that a writer that is behind catches up with few writes."""


class BatchStream(BatchRequests):
    """No frame is read while a limit is reached, so that gRPC's flow control slows the client down."""

    def __init__(self, front: Front) -> None:
        super().__init__(front)
        self._frames: deque[bytes] = deque()
        self._unwritten_bytes = 0
        self._frames_changed = asyncio.Event()
        self._room_changed = asyncio.Event()

    @property
    def unwritten_bytes(self) -> int:
        return self._unwritten_bytes

    async def serve(self, context: grpc.aio.ServicerContext) -> None:
        """Read frames and write answers until the client has sent its last frame and has all its answers."""
        writer = asyncio.create_task(self._write_all(context))
        writer.add_done_callback(lambda _: self._room_changed.set())
        try:
            await self._read_all(context, writer)
            await self._wait_until(self.is_drained, writer)
        except (InvalidFrame, WrongCluster) as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self.close()
            self._frames.clear()
            self._unwritten_bytes = 0
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def _send(self, data: bytes) -> None:
        self._frames.append(data)
        self._unwritten_bytes += len(data)
        self._frames_changed.set()

    def _changed(self) -> None:
        self._room_changed.set()

    async def _read_all(self, context: grpc.aio.ServicerContext, writer: asyncio.Task[None]) -> None:
        while True:
            if not self.has_room():
                await self._wait_until(self.has_room, writer)
            if writer.done():
                return
            data = await context.read()
            if data is grpc.aio.EOF:
                return
            self.take(data)

    async def _wait_until(self, is_met: Callable[[], bool], writer: asyncio.Task[None]) -> None:
        """Waits for a condition on the counters; a writer that has ended ends the wait too."""
        while not is_met() and not writer.done():
            self._room_changed.clear()
            await self._room_changed.wait()

    async def _write_all(self, context: grpc.aio.ServicerContext) -> None:
        while True:
            while not self._frames:
                self._frames_changed.clear()
                await self._frames_changed.wait()
            data = self._next_write()
            await context.write(data)
            self._unwritten_bytes -= len(data)
            self._room_changed.set()

    def _next_write(self) -> bytes:
        """The next frame, joined with those behind it: encoded frames one after the other are one frame."""
        if len(self._frames) == 1:
            return self._frames.popleft()
        taken = [self._frames.popleft()]
        size_bytes = len(taken[0])
        while self._frames and size_bytes + len(self._frames[0]) <= _WRITE_BYTES_MAX:
            taken.append(self._frames.popleft())
            size_bytes += len(taken[-1])
        return b"".join(taken)
