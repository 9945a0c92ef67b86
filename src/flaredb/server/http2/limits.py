"""What one connection may cost."""

from __future__ import annotations

from dataclasses import dataclass

from flaredb.model.limits import KIB, MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection. Sizes in bytes, times in seconds."""

    streams_max: int = 8_192
    """Calls under way; one more is refused, which clients repeat."""

    frame_bytes_max: int = 64 * KIB
    """Longest frame that is taken."""

    header_bytes_max: int = 16 * KIB
    """Header list of a call, decoded; a header block, encoded, may be as long."""

    message_bytes_max: int = 256 * MIB
    """Longest message, and all messages together that have come in part; beyond it: RESOURCE_EXHAUSTED."""

    connection_window_bytes: int = 16 * MIB
    """What a client may send before anything of it was taken."""

    stream_window_bytes: int = 4 * MIB
    """The same on one stream."""

    unsent_bytes_max: int = 16 * MIB
    """Answers that the client gives no window for, from which on its calls are held back."""

    write_buffer_bytes_max: int = 1 * MIB
    """Bytes in the socket's buffer above which no more DATA is made; at twice as much nothing is read."""

    handshake_seconds: float = 10.0
    """Within which a new connection has to send the preface and its settings."""

    silence_seconds: float = 300.0
    """After which a connection that says nothing is asked by a PING."""

    ping_seconds: float = 20.0
    """Within which it has to answer."""

    deadline_look_seconds: float = 0.005
    """Shortest time between two looks at which calls have run out of theirs."""

    quick_frames_max: int = 1_000
    """PING, SETTINGS and other frames that move no call, in a row; so many are refilled within 10 s."""

    resets_max: int = 16_384
    """Calls that a client may begin and cancel in a row; so many are refilled within 16 s."""


class Budget:
    """A bucket that holds ``size`` and gets it back within ``seconds``."""

    __slots__ = ("_left", "_rate", "_seen_s", "_size")

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._rate = size / seconds
        self._left = float(size)
        self._seen_s = 0.0

    def take(self, now_s: float) -> bool:
        """One less; False if there is none."""
        self._left = min(self._size, self._left + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        self._left -= 1
        return self._left >= 0

    def refill(self) -> None:
        """Something useful happened."""
        self._left = self._size
