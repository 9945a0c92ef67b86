"""What a connection sends: answers, within the windows that the client gives (RFC 9113, 5.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from flaredb.server.call import Status
from flaredb.server.http2 import frames as f
from flaredb.server.http2.frames import ConnectionFault, ErrorCode
from flaredb.server.http2.stream import Stream

_RESPONSE_FLAGS = f.END_HEADERS
_TRAILER_FLAGS = f.END_HEADERS | f.END_STREAM


class Sender:
    """The sending half of a connection.

    Invariants: no DATA beyond the connection's or the stream's window, or while the socket is choked; a stream's bytes
    keep their order; ``unsent_bytes`` is the sum over all streams.
    """

    def __init__(self, output_bytes_max: int, on_output: Callable[[], None]) -> None:
        """``output_bytes_max``: about so much DATA is made before ``take_output`` must be called."""
        self.streams: dict[int, Stream] = {}
        self.send_window = f.DEFAULT_WINDOW_BYTES
        self.initial_window = f.DEFAULT_WINDOW_BYTES
        self.peer_frame_bytes_max = f.DEFAULT_FRAME_BYTES_MAX
        self.unsent_bytes = 0
        self._waiting: deque[Stream] = deque()
        """Streams with unsent bytes, in the order in which each may send a frame."""
        self._is_choked = False
        self._output_bytes_max = output_bytes_max
        self._output_room = output_bytes_max
        self._out: list[bytes | memoryview] = []
        self._on_output = on_output

    def take_output(self) -> bytes:
        """What is to be written now. If ``unsent_bytes`` remain, ``pump`` may make more."""
        out, self._out = self._out, []
        self._output_room = self._output_bytes_max
        return b"".join(out)

    @property
    def has_output(self) -> bool:
        """``take_output`` would give something."""
        return bool(self._out)

    def choke(self, is_choked: bool) -> None:
        """While the socket's buffer is full no DATA is made."""
        self._is_choked = is_choked
        if not is_choked:
            self.pump()

    # ------------------------------------------------------------ answers

    def answer(self, stream: Stream, data: bytes) -> None:
        """The only message of a call, and its end."""
        if stream.is_over:
            return
        size = len(data) + f.MESSAGE_HEAD_BYTES
        if (
            size <= self.send_window
            and size <= stream.send_window
            and size <= self.peer_frame_bytes_max
            and not self._waiting
            and not self._is_choked
            and self._output_room > 0
        ):
            self.send_window -= size
            self._output_room -= size
            self._emit(f.unary_prefix(stream.id, len(data)))
            self._out.append(data)
            self._out.append(f.unary_suffix(stream.id))
            self._end_stream(stream)
        else:
            self.send(stream, data)
            self.finish(stream)

    def send(self, stream: Stream, data: bytes) -> None:
        """One message."""
        if stream.is_over or stream.trailer is not None:
            return
        if not stream.has_head:
            stream.has_head = True
            self._emit(f.frame(f.HEADERS, _RESPONSE_FLAGS, stream.id, f.RESPONSE_BLOCK))
        framed = b"\0" + len(data).to_bytes(4, "big") + data
        if not stream.unsent:
            self._waiting.append(stream)
        stream.unsent.append(memoryview(framed))
        stream.unsent_bytes += len(framed)
        self.unsent_bytes += len(framed)
        self._pump()

    def finish(self, stream: Stream) -> None:
        """The call ends with OK once its messages are sent."""
        if stream.is_over or stream.trailer is not None:
            return
        if stream.has_head:
            self._trail(stream, f.OK_TRAILERS)
        else:
            self._trail(stream, f.RESPONSE_BLOCK + f.OK_TRAILERS)

    def fail(self, stream: Stream, status: Status, text: str) -> None:
        """The call ends with this status at once; what waits to be sent is dropped."""
        if stream.is_over:
            return
        self._forget(stream)
        block = f.trailers(status, text)
        self.refuse(stream, block if stream.has_head else f.RESPONSE_BLOCK + block)

    def refuse(self, stream: Stream, block: bytes) -> None:
        """This header block is the rest of the answer."""
        self._emit(f.frame(f.HEADERS, _TRAILER_FLAGS, stream.id, block))
        self._end_stream(stream)

    def _trail(self, stream: Stream, block: bytes) -> None:
        if stream.unsent:
            stream.trailer = block
        else:
            self.refuse(stream, block)

    def _end_stream(self, stream: Stream) -> None:
        if not stream.is_half_closed:
            self._emit(f.reset(stream.id, ErrorCode.NO_ERROR))
        self._drop(stream)

    def _drop(self, stream: Stream) -> None:
        """Nothing is sent or received on it any more."""
        stream.is_over = True
        if stream.unsent:
            self._forget(stream)
        self.streams.pop(stream.id, None)

    def _forget(self, stream: Stream) -> None:
        if stream.unsent:
            self.unsent_bytes -= stream.unsent_bytes
            stream.unsent.clear()
            stream.unsent_bytes = 0
            self._waiting.remove(stream)

    # ------------------------------------------------------------ windows that we have

    def _set_initial_window(self, size: int) -> None:
        if size > f.WINDOW_MAX:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
        change = size - self.initial_window
        self.initial_window = size
        for stream in self.streams.values():
            stream.send_window += change
            if stream.send_window > f.WINDOW_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
        self.pump()

    def pump(self) -> None:
        """Send what the windows allow, a frame of each stream in turn, and tell those who waited."""
        for stream in self._pump():
            if not stream.is_over:
                self._ease(stream)

    def _ease(self, stream: Stream) -> None:
        """Something that had waited was sent."""

    def _pump(self) -> list[Stream]:
        sent: dict[int, Stream] = {}
        stuck = 0
        while stuck < len(self._waiting) and self.send_window > 0 and self._output_room > 0 and not self._is_choked:
            stream = self._waiting.popleft()
            if stream.send_window <= 0:
                self._waiting.append(stream)
                stuck += 1
                continue
            stuck = 0
            self._send_frame(stream)
            if stream.unsent:
                self._waiting.append(stream)
            elif stream.trailer is not None:
                self.refuse(stream, stream.trailer)
            sent[stream.id] = stream
        return list(sent.values())

    def _send_frame(self, stream: Stream) -> None:
        room = min(self.send_window, stream.send_window, self.peer_frame_bytes_max)
        pieces: list[memoryview] = []
        size = 0
        while stream.unsent and size < room:
            piece = stream.unsent.popleft()
            if len(piece) > room - size:
                stream.unsent.appendleft(piece[room - size :])
                piece = piece[: room - size]
            pieces.append(piece)
            size += len(piece)
        self._emit(f.HEAD.pack(size >> 8, size & 0xFF, f.DATA, 0, stream.id))
        self._out += pieces
        self.send_window -= size
        self._output_room -= size
        stream.send_window -= size
        stream.unsent_bytes -= size
        self.unsent_bytes -= size

    def _emit(self, data: bytes) -> None:
        if not self._out:
            self._on_output()
        self._out.append(data)
