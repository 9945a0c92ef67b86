"""Events of connections -> handlers. A BatchCommands stream is a sink of the store, with no task of its own."""

from __future__ import annotations

import logging
from collections import deque
from typing import Protocol

from flaredb.server.batch_commands import BatchRequests, InvalidFrame
from flaredb.server.call import Status
from flaredb.server.front import Front
from flaredb.server.http2.connection import CALLED, CANCELLED, ENDED, MESSAGE, OPENED, Connection
from flaredb.server.http2.stream import Stream
from flaredb.wire.requests import WrongCluster

log = logging.getLogger(__name__)


class Taker(Protocol):
    """Whoever gets the messages of a stream: what a route of kind "stream" returns."""

    def take_message(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def cancel(self) -> None: ...
    def ease(self) -> None: ...


class BatchCalls(BatchRequests):
    """A BatchCommands stream. Frames that come while there is no room wait here; the client's window bounds them."""

    def __init__(self, front: Front, stream: Stream) -> None:
        super().__init__(front)
        self._stream = stream
        self._waiting: deque[bytes] = deque()
        self._has_ended = False
        self._is_taking = False

    @property
    def unwritten_bytes(self) -> int:
        return self._stream.unsent_bytes

    def take_message(self, data: bytes) -> None:
        """The next frame."""
        self._waiting.append(data)
        self._changed()

    def end(self) -> None:
        """The client sends no more frames: it gets its answers, then the end."""
        self._has_ended = True
        self._changed()

    def cancel(self) -> None:
        """Nobody waits for answers any more."""
        self.close()
        self._waiting.clear()

    def ease(self) -> None:
        """Answers have been sent."""
        self._changed()

    def _send(self, data: bytes) -> None:
        self._stream.send(data)

    def _changed(self) -> None:
        if self._closed or self._is_taking:
            return
        self._is_taking = True
        try:
            while self._waiting and self.has_room():
                self.take(self._waiting.popleft())
        except (InvalidFrame, WrongCluster) as error:
            self.cancel()
            self._stream.fail(Status.INVALID_ARGUMENT, str(error))
            return
        finally:
            self._is_taking = False
        self._set_window()
        if self._has_ended and not self._waiting and self.is_drained():
            self.close()
            self._stream.finish()

    def _set_window(self) -> None:
        stream = self._stream
        is_full = bool(self._waiting) or not self.has_room()
        if is_full and not stream.is_paused:
            stream.connection.pause(stream)
        elif stream.is_paused and not is_full:
            stream.connection.resume(stream)


class Dispatcher:
    """Of one connection. Calls wait while the client leaves too many answers unread; the connection's window and its
    number of streams bound them.
    """

    def __init__(self, connection: Connection, unsent_bytes_max: int) -> None:
        self._connection = connection
        self._unsent_bytes_max = unsent_bytes_max
        self._held: deque[tuple[Stream, bytes]] = deque()

    def dispatch(self) -> None:
        """Perform what has happened; handlers may make more happen."""
        connection = self._connection
        self._release()
        while connection.events:
            events, connection.events = connection.events, []
            for kind, stream, message in events:
                if kind is CALLED:
                    if self._held or connection.unsent_bytes >= self._unsent_bytes_max:
                        self._held.append((stream, message))
                    else:
                        _serve(stream, message)
                elif kind is OPENED:
                    stream.owner = stream.head.route.serve(stream)  # type: ignore[union-attr, misc]
                elif (taker := stream.owner) is None:
                    continue
                elif kind is MESSAGE:
                    taker.take_message(message)
                elif kind is ENDED:
                    taker.end()
                elif kind is CANCELLED:
                    taker.cancel()
                else:
                    taker.ease()
            self._release()

    def _release(self) -> None:
        connection = self._connection
        if self._held:
            while self._held and connection.unsent_bytes < self._unsent_bytes_max:
                _serve(*self._held.popleft())
            connection.withhold(bool(self._held))


def _serve(stream: Stream, message: bytes) -> None:
    if stream.is_over:
        return
    try:
        stream.head.route.serve(message, stream)  # type: ignore[union-attr, misc]
    except Exception:
        log.exception("a call fails by an error of the server")
        stream.fail(Status.UNKNOWN, "an error of the server, which its log tells")
