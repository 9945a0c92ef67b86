"""One HTTP/2 connection of a gRPC server, without a socket: bytes and times in, events and bytes out.

``receive`` takes what came and leaves ``events``; handlers answer by ``answer``, ``fail``, ``send`` and ``finish``;
``take_output`` is what to write. Nothing that a client sends raises: it is answered, its call is reset, or the
connection ends with GOAWAY (``is_closed``). Sending and its windows are in `sender`, the windows that the client has
in `receiver`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import IntEnum
from struct import Struct

from flaredb.server.call import Route, Status
from flaredb.server.http2 import frames as f
from flaredb.server.http2.frames import ConnectionFault, ErrorCode
from flaredb.server.http2.heads import Head, HeadReader
from flaredb.server.http2.limits import Budget, Limits
from flaredb.server.http2.receiver import Receiver
from flaredb.server.http2.stream import BadMessage, Stream

_SETTINGS_ENTRIES_MAX = 64
_SETTING = Struct(">HI")
_UNPACK = f.HEAD.unpack_from


class Event(IntEnum):
    """What has happened on a stream; each event is (kind, stream, message or b"")."""

    CALLED = 0
    """A call with one request is complete; the message is the request."""
    OPENED = 1
    """A call with many requests begins."""
    MESSAGE = 2
    """One of them."""
    ENDED = 3
    """The client sends no more of them."""
    CANCELLED = 4
    """Reset, or out of time: nobody waits for an answer. Also for calls with one request that are not over."""
    ROOM = 5
    """Answers that waited have been sent."""


CALLED, OPENED, MESSAGE, ENDED, CANCELLED, ROOM = Event
Happened = tuple[Event, Stream, bytes]


class Connection(Receiver):
    """The server's side.

    Invariants: ``streams`` are the calls without a complete answer; bytes received are credited back once, and not
    before their stream has room and the connection is not withheld; after ``is_closed`` there are no events.
    """

    def __init__(self, routes: Mapping[bytes, Route], limits: Limits, on_output: Callable[[], None]) -> None:
        """``on_output`` is called when there is something to write where nothing was."""
        super().__init__(limits, on_output)
        self.events: list[Happened] = []
        self.is_closed = False
        self.is_greeted = False
        """The client's preface and settings have come."""
        self.is_leaving = False
        """GOAWAY has been sent; later calls are not looked at."""
        self.heard_s = 0.0
        self._now_s = 0.0
        self._heads = HeadReader(routes, limits.header_bytes_max)
        self.earliest_s = math.inf
        """No call under way has to be ended before; lowered by new calls, set by ``expire``."""
        self._last_id = 0
        """The last call that was looked at."""
        self._seen_id = 0
        """The last call that came."""
        self._cut_short: dict[int, None] = {}
        """Calls that ended before the client had ended its side, newest last: what it still sends is ignored."""
        self._rest = b""
        self._has_preface = False
        self._block: list[bytes] = []
        self._block_of = (0, 0)
        """Stream and flags of a header block that is not complete; stream 0: there is none."""
        self._part_bytes = 0
        self._quick = Budget(limits.quick_frames_max, 10)
        self._resets = Budget(limits.resets_max, 16)
        self._emit(
            f.settings(
                {
                    f.MAX_CONCURRENT_STREAMS: limits.streams_max,
                    f.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
                    f.MAX_FRAME_SIZE: limits.frame_bytes_max,
                    f.MAX_HEADER_LIST_SIZE: limits.header_bytes_max,
                }
            )
            + f.window_update(0, limits.connection_window_bytes - f.DEFAULT_WINDOW_BYTES)
        )

    # ------------------------------------------------------------ the owner's side

    def receive(self, data: bytes, now_s: float) -> None:
        """Take what came from the socket. ``now_s``: a clock that never goes back."""
        if self.is_closed:
            return
        self._now_s = self.heard_s = now_s
        try:
            self._receive(self._rest + data if self._rest else data)
        except ConnectionFault as fault:
            self.close(fault.code, fault.text)

    def expire(self, now_s: float) -> None:
        """End the calls whose time has run out."""
        self._now_s = now_s
        earliest_s = math.inf
        for stream in list(self.streams.values()):
            deadline_s = stream.deadline_s
            if deadline_s is None:
                continue
            if deadline_s <= now_s:
                self.fail(stream, Status.DEADLINE_EXCEEDED, "Deadline Exceeded")
                self.events.append((CANCELLED, stream, b""))
            else:
                earliest_s = min(earliest_s, deadline_s)
        self.earliest_s = earliest_s

    def ping(self) -> None:
        """Ask whether the client is there."""
        self._emit(f.frame(f.PING, 0, 0, b"are you?"))

    def leave(self) -> None:
        """Take no further calls; those under way go on."""
        if not self.is_leaving and not self.is_closed:
            self.is_leaving = True
            self._emit(f.goaway(self._last_id, ErrorCode.NO_ERROR, "the store is going down"))

    def close(self, code: ErrorCode, text: str = "") -> None:
        """The end: GOAWAY, and every call is over."""
        if self.is_closed:
            return
        self._emit(f.goaway(self._last_id, code, text))
        self.lose()

    def lose(self) -> None:
        """The socket is gone."""
        self.is_closed = True
        self.events.clear()
        for stream in list(self.streams.values()):
            self._drop(stream)
            self.events.append((CANCELLED, stream, b""))
        self._rest = b""
        self._block = []

    # ------------------------------------------------------------ frames

    def _receive(self, data: bytes) -> None:
        at = 0
        end_all = len(data)
        if not self._has_preface:
            given = data[: len(f.PREFACE)]
            if not f.PREFACE.startswith(given):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this port speaks gRPC over HTTP/2 without TLS")
            if len(given) < len(f.PREFACE):
                self._rest = data
                return
            self._has_preface = True
            at = len(f.PREFACE)
        frame_bytes_max = self.limits.frame_bytes_max
        while end_all - at >= f.HEAD_BYTES:
            upper, lower, kind, flags, stream_id = _UNPACK(data, at)
            size = upper << 8 | lower
            if size > frame_bytes_max:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            body_at = at + f.HEAD_BYTES
            at = body_at + size
            if at > end_all:
                at = body_at - f.HEAD_BYTES
                break
            self._take(kind, flags, stream_id & f.STREAM_MASK, data[body_at:at])
        self._rest = data[at:]

    def _take(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        if self._block_of[0] and (kind != f.CONTINUATION or stream_id != self._block_of[0]):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if not self.is_greeted:
            if kind != f.SETTINGS or flags & f.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self.is_greeted = True
        if kind == f.DATA:
            self._on_data(flags, stream_id, body)
        elif kind == f.HEADERS:
            self._on_headers(flags, stream_id, body)
        elif kind == f.WINDOW_UPDATE:
            self._on_window_update(stream_id, body)
        elif kind == f.CONTINUATION:
            self._on_continuation(flags, body)
        elif kind == f.RST_STREAM:
            self._on_reset(stream_id, body)
        elif kind == f.PUSH_PROMISE:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE by a client")
        else:
            if not self._quick.take(self._now_s):
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that move no call")
            self._on_other(kind, flags, stream_id, body)

    def _on_other(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        if kind == f.PING:
            _check(not stream_id, ErrorCode.PROTOCOL_ERROR, "PING on a stream")
            _check(len(body) == 8, ErrorCode.FRAME_SIZE_ERROR, "PING is not of 8 bytes")
            if not flags & f.ACK:
                self._emit(f.frame(f.PING, f.ACK, 0, body))
        elif kind == f.SETTINGS:
            _check(not stream_id, ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
            if flags & f.ACK:
                _check(not body, ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with content")
            else:
                self._on_settings(body)
        elif kind == f.PRIORITY:
            _check(bool(stream_id), ErrorCode.PROTOCOL_ERROR, "PRIORITY without a stream")
            _check(len(body) == 5, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not of 5 bytes")
        elif kind == f.GOAWAY:
            _check(not stream_id, ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
            _check(len(body) >= 8, ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is shorter than 8 bytes")

    def _on_settings(self, body: bytes) -> None:
        _check(len(body) % 6 == 0, ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is no multiple of 6 bytes")
        _check(len(body) <= 6 * _SETTINGS_ENTRIES_MAX, ErrorCode.ENHANCE_YOUR_CALM, "too many settings")
        values = {
            int.from_bytes(body[at : at + 2]): int.from_bytes(body[at + 2 : at + 6]) for at in range(0, len(body), 6)
        }
        _check(values.get(f.ENABLE_PUSH, 0) <= 1, ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        frame_bytes_max = values.get(f.MAX_FRAME_SIZE, f.DEFAULT_FRAME_BYTES_MAX)
        if not f.DEFAULT_FRAME_BYTES_MAX <= frame_bytes_max < 1 << 24:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {frame_bytes_max}")
        if f.MAX_FRAME_SIZE in values:
            self.peer_frame_bytes_max = frame_bytes_max
        # Acknowledged before what the new window lets go, though either order is allowed.
        self._emit(f.SETTINGS_ACK)
        if f.INITIAL_WINDOW_SIZE in values:
            self._set_initial_window(values[f.INITIAL_WINDOW_SIZE])

    def _on_window_update(self, stream_id: int, body: bytes) -> None:
        _check(len(body) == 4, ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not of 4 bytes")
        increment = int.from_bytes(body) & f.STREAM_MASK
        if not stream_id:
            _check(increment > 0, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
            self.send_window += increment
            _check(self.send_window <= f.WINDOW_MAX, ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        elif (stream := self.streams.get(stream_id)) is None:
            self._check_known(stream_id)
        elif not increment:
            self._reset(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            stream.send_window += increment
            if stream.send_window > f.WINDOW_MAX:
                self._reset(stream, ErrorCode.FLOW_CONTROL_ERROR)
        if self.unsent_bytes:
            self.pump()

    def _on_reset(self, stream_id: int, body: bytes) -> None:
        _check(len(body) == 4, ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not of 4 bytes")
        self._check_known(stream_id)
        if not self._resets.take(self._now_s):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many calls are begun and cancelled")
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._drop(stream)
            self.events.append((CANCELLED, stream, b""))

    def _check_known(self, stream_id: int) -> None:
        """A frame may be late for a call that is over, never early."""
        if not stream_id or stream_id > self._seen_id or not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} has not begun")

    # ------------------------------------------------------------ headers

    def _on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        if flags & f.PADDED:
            body = _unpadded(body)
        if flags & f.HAS_PRIORITY:
            _check(len(body) >= 5, ErrorCode.FRAME_SIZE_ERROR, "HEADERS end within their priority")
            body = body[5:]
        if flags & f.END_HEADERS:
            self._on_block(flags, stream_id, body)
        else:
            self._block_of = (stream_id, flags)
            self._block = [body]

    def _on_continuation(self, flags: int, body: bytes) -> None:
        stream_id, first_flags = self._block_of
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block.append(body)
        if sum(map(len, self._block)) > self.limits.header_bytes_max or len(self._block) > _SETTINGS_ENTRIES_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "the headers are too long")
        if flags & f.END_HEADERS:
            block = b"".join(self._block)
            self._block_of = (0, 0)
            self._block = []
            self._on_block(first_flags, stream_id, block)

    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        if stream_id <= self._seen_id:
            self._on_late_block(flags, stream_id, block)
            return
        head = self._heads.read(block)
        self._seen_id = stream_id
        if self.is_leaving:
            return
        self._last_id = stream_id
        if head.is_malformed or len(self.streams) >= self.limits.streams_max:
            self._refuse(stream_id, ErrorCode.PROTOCOL_ERROR if head.is_malformed else ErrorCode.REFUSED_STREAM)
        else:
            self._begin(flags, stream_id, head)

    def _refuse(self, stream_id: int, code: ErrorCode) -> None:
        if not self._resets.take(self._now_s):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many calls that are refused")
        self._emit(f.reset(stream_id, code))
        self._note_cut_short(stream_id)

    def _note_cut_short(self, stream_id: int) -> None:
        self._cut_short[stream_id] = None
        if len(self._cut_short) > self.limits.streams_max:
            del self._cut_short[next(iter(self._cut_short))]

    def _is_cut_short(self, stream_id: int) -> bool:
        return stream_id in self._cut_short or (self.is_leaving and stream_id > self._last_id)

    def _on_late_block(self, flags: int, stream_id: int, block: bytes) -> None:
        """Headers behind the data of a call; they say nothing to us."""
        fields = self._heads.skip(block)
        stream = self.streams.get(stream_id)
        if not flags & f.END_STREAM or (stream is None and not self._is_cut_short(stream_id)):
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"headers on stream {stream_id}, which is over or under way")
        if stream is None:
            return
        if stream.is_half_closed or any(name.startswith(b":") for name, _ in fields):
            self._reset(stream, ErrorCode.STREAM_CLOSED if stream.is_half_closed else ErrorCode.PROTOCOL_ERROR)
        else:
            self._end(stream)

    def _begin(self, flags: int, stream_id: int, head: Head) -> None:
        stream = Stream(self, stream_id, head, self.limits.stream_window_bytes, self.initial_window)
        self.streams[stream_id] = stream
        self._quick.refill()
        if flags & f.END_STREAM:
            stream.is_half_closed = True
        if head.refusal:
            self.refuse(stream, head.refusal)
            return
        if head.timeout_s is not None:
            stream.deadline_s = self._now_s + head.timeout_s
            self.earliest_s = min(self.earliest_s, stream.deadline_s)
        assert head.route is not None
        if head.route.kind == "stream":
            self.events.append((OPENED, stream, b""))
        if stream.is_half_closed:
            self._end(stream)

    # ------------------------------------------------------------ data

    def _on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        size = len(body)
        self._receive_window -= size
        if self._receive_window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_known(stream_id)
            self._credit(size)
            if not self._is_cut_short(stream_id):
                self._refuse(stream_id, ErrorCode.STREAM_CLOSED)
            return
        if stream.is_half_closed:
            self._credit(size)
            self._reset(stream, ErrorCode.STREAM_CLOSED)
            return
        stream.receive_window -= size
        if stream.receive_window < 0:
            self._credit(size)
            self._reset(stream, ErrorCode.FLOW_CONTROL_ERROR)
            return
        if stream.is_paused:
            stream.withheld_bytes += size
        else:
            self._credit(size)
        is_last = flags & f.END_STREAM
        if flags & f.PADDED:
            body = _unpadded(body)
        if not body and not is_last and not self._quick.take(self._now_s):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many empty frames")
        if not is_last:
            self._credit_stream(stream, size)
        if body:
            self._on_message_bytes(stream, body)
        if is_last and not stream.is_over:
            self._end(stream)

    def _on_message_bytes(self, stream: Stream, body: bytes) -> None:
        before = stream.part_bytes
        try:
            try:
                messages = stream.take_data(body, self.limits.message_bytes_max)
            finally:
                self._part_bytes += stream.part_bytes - before
            if self._part_bytes > self.limits.message_bytes_max:
                raise BadMessage(Status.RESOURCE_EXHAUSTED, "this connection sends too many large messages at a time")
            if stream.head.route is not None and stream.head.route.kind == "stream":
                for message in messages:
                    self.events.append((MESSAGE, stream, message))
            elif messages:
                if stream.message is not None or len(messages) > 1:
                    raise BadMessage(Status.UNIMPLEMENTED, "the method takes one message, not several")
                stream.message = messages[0]
        except BadMessage as error:
            self.fail(stream, error.status, error.text)
            self.events.append((CANCELLED, stream, b""))

    def _end(self, stream: Stream) -> None:
        """The client has ended its side."""
        stream.is_half_closed = True
        if stream.part_bytes:
            self.fail(stream, Status.INTERNAL, "the last message is not complete")
            self.events.append((CANCELLED, stream, b""))
        elif stream.head.route is not None and stream.head.route.kind == "stream":
            self.events.append((ENDED, stream, b""))
        elif stream.message is None:
            self.fail(stream, Status.UNIMPLEMENTED, "the method takes one message, not none")
        else:
            self.events.append((CALLED, stream, stream.message))
            stream.message = None

    # ------------------------------------------------------------ ends

    def _reset(self, stream: Stream, code: ErrorCode) -> None:
        self._emit(f.reset(stream.id, code))
        self._drop(stream)
        self.events.append((CANCELLED, stream, b""))

    def _drop(self, stream: Stream) -> None:
        super()._drop(stream)
        if not stream.is_half_closed:
            self._note_cut_short(stream.id)
        self._part_bytes -= stream.part_bytes
        stream.parts = []
        stream.part_bytes = 0
        withheld, stream.withheld_bytes = stream.withheld_bytes, 0
        if withheld and not self.is_closed:
            self._credit(withheld)

    def _ease(self, stream: Stream) -> None:
        self.events.append((ROOM, stream, b""))


def _check(holds: bool, code: ErrorCode, text: str) -> None:
    if not holds:
        raise ConnectionFault(code, text)


def _unpadded(body: bytes) -> bytes:
    if not body or body[0] >= len(body):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding without content")
    return body[1 : len(body) - body[0]]
