"""The windows that the client has: what it may send before anything of it was taken (RFC 9113, 5.2)."""

from __future__ import annotations

from collections.abc import Callable

from flaredb.server.http2 import frames as f
from flaredb.server.http2.limits import Limits
from flaredb.server.http2.sender import Sender
from flaredb.server.http2.stream import Stream


class Receiver(Sender):
    """Gives windows back.

    Invariant: every byte received is credited to the connection once: at once, or when its stream has room or is over,
    or when the connection is no longer withheld.
    """

    def __init__(self, limits: Limits, on_output: Callable[[], None]) -> None:
        super().__init__(limits.write_buffer_bytes_max, on_output)
        self.limits = limits
        self._receive_window = limits.connection_window_bytes
        self._uncredited_bytes = 0
        self._is_withheld = False

    def withhold(self, is_withheld: bool) -> None:
        """While this holds the client gets no window for more, beyond what it has."""
        self._is_withheld = is_withheld
        if not is_withheld and self._uncredited_bytes:
            self._credit(0)

    def pause(self, stream: Stream) -> None:
        """The stream's messages find no room: it gets no window for more, beyond what it has."""
        stream.is_paused = True

    def resume(self, stream: Stream) -> None:
        """There is room again."""
        stream.is_paused = False
        withheld, stream.withheld_bytes = stream.withheld_bytes, 0
        if withheld:
            self._credit(withheld)
        self._credit_stream(stream, 0)

    def _credit(self, size: int) -> None:
        self._uncredited_bytes += size
        if self._uncredited_bytes * 2 >= self.limits.connection_window_bytes and not self._is_withheld:
            self._emit(f.window_update(0, self._uncredited_bytes))
            self._receive_window += self._uncredited_bytes
            self._uncredited_bytes = 0

    def _credit_stream(self, stream: Stream, size: int) -> None:
        stream.uncredited_bytes += size
        if (
            stream.uncredited_bytes * 2 >= self.limits.stream_window_bytes
            and not stream.is_paused
            and not stream.is_half_closed
        ):
            self._emit(f.window_update(stream.id, stream.uncredited_bytes))
            stream.receive_window += stream.uncredited_bytes
            stream.uncredited_bytes = 0
