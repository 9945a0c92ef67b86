"""Bounds of snapshots on their way between stores, and the pace that both directions of a store share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from flaredb.model.limits import MIB

BURST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """Defaults suit a store of one process; settings say how an operator changes them."""

    sending_max: int = 3
    """server.concurrent-send-snap-limit"""

    receiving_max: int = 3
    """server.concurrent-recv-snap-limit"""

    waiting_max: int = 16
    """Snapshots that wait for one of the sending places; a further one fails at once and Raft asks again."""

    bytes_per_second: int = 100 * MIB
    """server.snap-io-max-bytes-per-sec; 0: as fast as it goes."""

    free_bytes_min: int = 64 * MIB
    """A receiver keeps this much of its disk free, beyond the snapshot's file and the data installed from it."""

    dial_timeout_ms: int = 3_000
    answer_timeout_ms: int = 10_000
    """For a head to come, and for the go-ahead that answers it."""

    stall_timeout_ms: int = 30_000
    """For one step of either end: a batch to leave, a frame to come, the last answer. A process that is stopped or
    hangs must not hold a place for the whole time below."""

    seconds_min: float = 600.0
    bytes_per_second_min: int = MIB
    """A whole snapshot may take ``seconds_min``, or the time of its size at this pace if that is longer."""

    def seconds_max(self, size_bytes: int) -> float:
        """How long a snapshot of about this size may take (wire facts 4.9)."""
        return max(self.seconds_min, size_bytes / self.bytes_per_second_min)


class Pace:
    """Lets bytes through at a rate, in the order asked for; up to ``BURST_SECONDS`` of it at once."""

    def __init__(self, bytes_per_second: int, now_s: Callable[[], float] = time.monotonic) -> None:
        """0: no limit."""
        self._bytes_per_second = bytes_per_second
        self._now_s = now_s
        self._paid_until_s = now_s()

    def reserve(self, size_bytes: int) -> float:
        """Take this many bytes; seconds to wait before going on."""
        if not self._bytes_per_second:
            return 0.0
        now_s = self._now_s()
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_SECONDS) + size_bytes / self._bytes_per_second
        return max(self._paid_until_s - now_s, 0.0)

    async def take(self, size_bytes: int) -> None:
        """Return when this many bytes may pass."""
        delay_s = self.reserve(size_bytes)
        if delay_s:
            await asyncio.sleep(delay_s)
