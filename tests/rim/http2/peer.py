"""A scripted client of a pure connection: frames are written by hand, answers are read by hpack's own decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpack import Decoder, Encoder

from flaredb.server.call import Route, Status
from flaredb.server.http2 import frames as f
from flaredb.server.http2.calls import Dispatcher
from flaredb.server.http2.connection import Connection
from flaredb.server.http2.limits import Limits

ECHO, HOLD, REFUSED, TALK = b"/s/Echo", b"/s/Hold", b"/s/Refused", b"/s/Talk"
OK = Status.OK
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/s/Echo"),
    (":authority", "h:1"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "test/1"),
]


def headers(**changes: str | None) -> list[tuple[str, str]]:
    """The usual headers, some of them changed, left out (None) or added; _ stands for -, pseudo headers for ":"."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    pseudo = {f":{name}": named.pop(name) for name in ("method", "scheme", "path") if name in named}
    merged: dict[str, str | None] = {**dict(HEADERS), **pseudo, **named}
    return [(name, value) for name, value in merged.items() if value is not None]


def message(data: bytes, compressed: int = 0) -> bytes:
    """A gRPC message."""
    return bytes((compressed,)) + len(data).to_bytes(4, "big") + data


@dataclass(slots=True)
class Frame:
    """As read from the server."""

    kind: int
    flags: int
    stream: int
    body: bytes


class Talk:
    """Who takes the messages of a stream: each is answered by itself, until "stop"."""

    def __init__(self, stream: Any, log: list[tuple[Any, ...]]) -> None:
        self.stream = stream
        self.log = log

    def take_message(self, data: bytes) -> None:
        self.log.append(("message", self.stream.id, data))
        self.stream.send(data)

    def end(self) -> None:
        self.log.append(("end", self.stream.id))
        self.stream.finish()

    def cancel(self) -> None:
        self.log.append(("cancel", self.stream.id))

    def ease(self) -> None:
        self.log.append(("ease", self.stream.id))


class Peer:
    """A client and the connection under test. ``log`` is what the handlers saw."""

    def __init__(self, greet: bool = True, **limits: Any) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.held: list[Any] = []
        routes = {
            ECHO: Route("unary", self._echo),
            HOLD: Route("unary", self._hold),
            REFUSED: Route("unary", None, "Refused is not built"),
            TALK: Route("stream", self._talk),
        }
        self.now_s = 100.0
        self.limits = Limits(**limits)
        self.connection = Connection(routes, self.limits, lambda: None)
        self.dispatcher = Dispatcher(self.connection, self.limits.unsent_bytes_max)
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.first = self.read()
        if greet:
            assert [frame.kind for frame in self.give(f.PREFACE + f.settings({}))] == [f.SETTINGS]

    def _echo(self, data: bytes, stream: Any) -> None:
        self.log.append(("echo", stream.id, data))
        stream.answer(data)

    def _hold(self, data: bytes, stream: Any) -> None:
        self.log.append(("hold", stream.id, data))
        self.held.append(stream)

    def _talk(self, stream: Any) -> Talk:
        self.log.append(("open", stream.id))
        return Talk(stream, self.log)

    def give(self, data: bytes) -> list[Frame]:
        """Bytes to the server, and what it says to them."""
        self.connection.receive(data, self.now_s)
        self.dispatcher.dispatch()
        return self.read()

    def read(self) -> list[Frame]:
        """What the server has to say."""
        data = self.connection.take_output()
        found = []
        while data:
            size = int.from_bytes(data[:3])
            assert len(data) >= 9 + size, "the server writes whole frames"
            found.append(Frame(data[3], data[4], int.from_bytes(data[5:9]), data[9 : 9 + size]))
            data = data[9 + size :]
        return found

    def block(self, **changes: str | None) -> bytes:
        """A header block."""
        return self.encoder.encode(headers(**changes))

    def open(self, stream: int, path: bytes = ECHO, flags: int = 0, **changes: str | None) -> bytes:
        """A HEADERS frame that begins a call."""
        return f.frame(f.HEADERS, f.END_HEADERS | flags, stream, self.block(path=path.decode(), **changes))

    def call(self, stream: int, data: bytes, path: bytes = ECHO, **changes: str | None) -> bytes:
        """A whole unary call."""
        return self.open(stream, path, **changes) + f.frame(f.DATA, f.END_STREAM, stream, message(data))

    def fields(self, frame: Frame) -> dict[str, str]:
        """The headers in a frame."""
        assert frame.kind == f.HEADERS
        return {str(name): str(value) for name, value in self.decoder.decode(frame.body)}

    def outcome(self, frames: list[Frame], stream: int) -> tuple[bytes, int | None, str]:
        """Of one call: the bytes of its DATA, its grpc-status (None: it has not ended) and grpc-message."""
        data = b""
        status, text = None, ""
        for frame in frames:
            if frame.stream == stream and frame.kind == f.DATA:
                data += frame.body
            elif frame.stream == stream and frame.kind == f.HEADERS and frame.flags & f.END_STREAM:
                fields = self.fields(frame)
                status = int(fields.get("grpc-status", "-1"))
                text = fields.get("grpc-message", "") if status >= 0 else fields[":status"]
        return data, status, text


def goaway_code(frames: list[Frame]) -> int | None:
    """The code of the GOAWAY among them."""
    for frame in frames:
        if frame.kind == f.GOAWAY:
            return int.from_bytes(frame.body[4:8])
    return None


def resets(frames: list[Frame]) -> dict[int, int]:
    """Code by stream of every RST_STREAM."""
    return {frame.stream: int.from_bytes(frame.body) for frame in frames if frame.kind == f.RST_STREAM}


def check_sums(peer: Peer) -> None:
    """What is counted is what is there."""
    connection = peer.connection
    streams = connection.streams.values()
    assert connection.unsent_bytes == sum(stream.unsent_bytes for stream in streams)
    assert connection._part_bytes == sum(stream.part_bytes for stream in streams)
    assert set(connection._waiting) == {stream for stream in streams if stream.unsent_bytes}
    assert not any(stream.is_over for stream in streams)
