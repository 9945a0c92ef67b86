"""One connection as an awaitable stream of frames, with flow control both ways; for what is not Raft's own traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

from flaredb.model.limits import MIB
from flaredb.server.peer_counters import tune_socket
from flaredb.wire.frames import FrameError
from flaredb.wire.peer_stream import FRAME_HEAD_BYTES, GREETING_SIZE_BYTES_MAX, frame_end

BUFFER_BYTES = 4 * MIB
"""One buffer is filled while the frames in the other are worked on: beyond it the other end is made to wait."""

FIRST_BUFFER_BYTES = 16 * 1024
UNSENT_BYTES_MAX = 2 * MIB

Frame = tuple[int, memoryview]


class FrameStream(asyncio.BufferedProtocol):
    """Reads and writes frames of the peer protocol. One reader and one writer at a time.

    Invariant: two buffers of ``BUFFER_BYTES``, or of the longest frame allowed if that is more, hold all that is not
    worked on yet; at most about ``UNSENT_BYTES_MAX`` wait to be sent.
    """

    def __init__(
        self,
        on_closed: Callable[[], None] = lambda: None,
        on_received: Callable[[int], None] = lambda _size_bytes: None,
    ) -> None:
        self._on_closed = on_closed
        self._on_received = on_received
        self._transport: asyncio.Transport | None = None
        self._frame_bytes_max = GREETING_SIZE_BYTES_MAX
        self._buffer_bytes = FIRST_BUFFER_BYTES
        self._buffer = bytearray(FIRST_BUFFER_BYTES)
        """Being filled."""

        self._other = bytearray()
        """Holds the frames that ``read`` gave last."""

        self._filled = 0
        self._ends: list[int] = []
        """Where the whole frames in the buffer end."""

        self._is_paused = False
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        self._end: FrameError | None = None
        """Why nothing more comes."""

    def allow(self, frame_bytes_max: int) -> None:
        """From now on frames may be this long, and many may come."""
        self._frame_bytes_max = frame_bytes_max
        self._buffer_bytes = BUFFER_BYTES

    async def read(self) -> list[Frame]:
        """The frames that have come, at least one; their bodies are good until the next call only.

        Errors: FrameError at the end of the stream, or for foreign bytes.
        """
        while not self._ends:
            if self._end is not None:
                raise self._end
            self._news.clear()
            await self._news.wait()
        frames = []
        view = memoryview(self._buffer)
        start = 0
        for end in self._ends:
            frames.append((view[start + FRAME_HEAD_BYTES - 1], view[start + FRAME_HEAD_BYTES : end]))
            start = end
        self._ends.clear()
        self._swap(start)
        if self._is_paused and self._transport is not None and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()
        return frames

    async def write(self, parts: Iterable[bytes]) -> None:
        """Send, then wait until little is unsent. Errors: FrameError if the connection is closed."""
        if self._transport is None or self._transport.is_closing():
            raise self._end or FrameError("the connection is closed")
        self._transport.writelines(parts)
        await self._writable.wait()

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self, flush_ms: int) -> None:
        """Close after sending what is unsent, or after ``flush_ms``."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(flush_ms / 1000):
                await self._closed.wait()
        except TimeoutError:
            self.abort()

    # ------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports do not inherit asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)
        tune_socket(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._on_received(nbytes)
        if self._end is not None:
            return
        self._filled += nbytes
        try:
            needed = self._find_frames()
        except FrameError as error:
            self._finish(error)
            return
        if self._ends:
            self._news.set()
        elif needed > len(self._buffer):
            self._grow(needed)
        if self._filled == len(self._buffer) and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _find_frames(self) -> int:
        """Note the ends of frames that are whole now; the end of the next one, if it is known."""
        start = self._ends[-1] if self._ends else 0
        while True:
            end = frame_end(self._buffer, start, self._filled, self._frame_bytes_max)
            if not 0 < end <= self._filled:
                return end
            self._ends.append(end)
            start = end

    def _swap(self, start: int) -> None:
        """Go on in the other buffer, with what is there of the frame at ``start``; all of that frame will fit."""
        end = 0 if self._end else frame_end(self._buffer, start, self._filled, self._frame_bytes_max)
        rest = memoryview(self._buffer)[start : self._filled]
        wanted_bytes = max(self._buffer_bytes, end - start)
        self._buffer, self._other = self._other, self._buffer
        if len(self._buffer) != wanted_bytes:
            self._buffer = bytearray(wanted_bytes)
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)

    def _grow(self, needed: int) -> None:
        grown = bytearray(max(self._buffer_bytes, needed))
        grown[: self._filled] = memoryview(self._buffer)[: self._filled]
        self._buffer = grown

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish(FrameError(f"the connection broke: {exc}" if exc else "the other store closed the connection"))
        self._writable.set()
        self._closed.set()
        self._on_closed()

    def _finish(self, reason: FrameError) -> None:
        self._end = self._end or reason
        self._news.set()
