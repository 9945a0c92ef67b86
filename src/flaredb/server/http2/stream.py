"""One call on a connection: its windows, what has come of its messages, what waits to be sent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from flaredb.server.call import Status
from flaredb.server.http2.frames import MESSAGE_HEAD_BYTES
from flaredb.server.http2.heads import Head

if TYPE_CHECKING:
    from flaredb.server.http2.connection import Connection


class BadMessage(Exception):
    """The call cannot go on: its status and text."""

    def __init__(self, status: Status, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Stream:
    """call.Reply of a call; ``send`` and ``finish`` are for methods that answer with many messages."""

    __slots__ = (
        "__weakref__",
        "connection",
        "deadline_s",
        "has_head",
        "head",
        "id",
        "is_half_closed",
        "is_over",
        "is_paused",
        "message",
        "need_bytes",
        "owner",
        "part_bytes",
        "parts",
        "receive_window",
        "send_window",
        "trailer",
        "uncredited_bytes",
        "unsent",
        "unsent_bytes",
        "withheld_bytes",
    )

    def __init__(self, connection: Connection, stream_id: int, head: Head, receive_window: int, send_window: int):
        self.connection = connection
        self.id = stream_id
        self.head = head
        self.receive_window = receive_window
        self.send_window = send_window
        self.deadline_s: float | None = None
        self.is_half_closed = False
        """The client sends nothing more."""
        self.is_over = False
        self.is_paused = False
        """Whoever takes its messages has no room: the client gets no window for more."""
        self.has_head = False
        """The response headers have left."""
        self.owner: Any = None
        """Whoever takes the messages of a stream."""
        self.message: bytes | None = None
        """Of a unary call, until the client has ended its side."""
        self.parts: list[bytes] = []
        self.part_bytes = 0
        self.need_bytes = MESSAGE_HEAD_BYTES
        """Size of ``parts`` from which on another look at them pays."""
        self.uncredited_bytes = 0
        self.withheld_bytes = 0
        self.unsent: deque[memoryview] = deque()
        self.unsent_bytes = 0
        self.trailer: bytes | None = None
        """Sent once ``unsent`` is."""

    @property
    def user_agent(self) -> str:
        return self.head.user_agent

    def answer(self, data: bytes) -> None:
        self.connection.answer(self, data)

    def fail(self, status: Status, text: str) -> None:
        self.connection.fail(self, status, text)

    def send(self, data: bytes) -> None:
        """One message of several."""
        self.connection.send(self, data)

    def finish(self) -> None:
        """No more messages; the call ends with OK."""
        self.connection.finish(self)

    def take_data(self, body: bytes, message_bytes_max: int) -> list[bytes]:
        """The messages that ``body`` completes. Errors: BadMessage."""
        size = len(body) - MESSAGE_HEAD_BYTES
        if not self.parts and size >= 0 and not body[0] and int.from_bytes(body[1:MESSAGE_HEAD_BYTES]) == size:
            return [body[MESSAGE_HEAD_BYTES:]]
        if body:
            self.parts.append(body)
            self.part_bytes += len(body)
        if self.part_bytes < self.need_bytes:
            return []
        return self._split(b"".join(self.parts), message_bytes_max)

    def _split(self, data: bytes, message_bytes_max: int) -> list[bytes]:
        messages = []
        at = 0
        self.need_bytes = MESSAGE_HEAD_BYTES
        while len(data) - at >= MESSAGE_HEAD_BYTES:
            body_at = at + MESSAGE_HEAD_BYTES
            if data[at]:
                raise BadMessage(Status.INTERNAL, "a message is compressed although its call names no compression")
            size = int.from_bytes(data[at + 1 : body_at])
            if size > message_bytes_max:
                text = f"a message of {size} bytes is larger than {message_bytes_max} bytes; send it in parts"
                raise BadMessage(Status.RESOURCE_EXHAUSTED, text)
            if len(data) - body_at < size:
                self.need_bytes = MESSAGE_HEAD_BYTES + size
                break
            at = body_at + size
            messages.append(data[body_at:at])
        self.parts = [data[at:]] if at < len(data) else []
        self.part_bytes = len(data) - at
        return messages
