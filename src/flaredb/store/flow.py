"""Flow control: how many writes are let in while the engine, or the disk under it, is behind.

RocksDB brakes by stopping the thread that writes, which here is the whole process: no heartbeat, no answer, leadership
lost (traps A1). So its own limits are out of reach (engine/rocks_options.py), and the store refuses writes long before:
first a share of them, then all. Whoever is refused is told after how long to ask again, and keeps the request; what is
let in keeps its latency. Reads pass, and so do Raft's own entries: members, splits and what other leaders replicate.
"""

from __future__ import annotations

from flaredb.engine.base import Engine, Pressure
from flaredb.store.config import BUSY_BACKOFF_MS, FlowLimits

LOOK_INTERVAL_MS = 100
"""The engine is asked this often, and only when somebody wants to write."""


def admitted_share(limits: FlowLimits, pressure: Pressure) -> tuple[float, str]:
    """The share of writes to let in, 1 to 0, and what it is that holds the others off ("" for 1).

    Of each figure: all up to its threshold, from there less and less, none from twice the threshold on (for bytes: from
    the hard limit on). The worst figure counts.
    """
    figures = (
        (pressure.unflushed_memtables, limits.memtables, 2 * limits.memtables, "memtables wait to be flushed"),
        (pressure.level0_files, limits.level0_files, 2 * limits.level0_files, "table files wait on level 0"),
        (
            pressure.pending_compaction_bytes,
            limits.pending_bytes_soft,
            limits.pending_bytes_hard,
            "bytes wait to be compacted",
        ),
    )
    worst, reason = 1.0, ""
    for owed, soft, hard, what in figures:
        share = min(max((hard - owed) / (hard - soft), 0.0), 1.0)
        if share < worst:
            worst, reason = share, f"{owed} {what}, which is more than {soft}"
    return worst, reason


class FlowControl:
    """Spreads the admitted share evenly over the writes that come.

    Invariant: of any n writes in a row at one share, share * n are let in, give or take one.
    """

    __slots__ = ("_credit", "_engine", "_limits", "_look_ms", "reason", "share")

    def __init__(self, limits: FlowLimits, engine: Engine, now_ms: int) -> None:
        self._limits = limits
        self._engine = engine
        self._look_ms = now_ms
        self._credit = 0.0
        self.share = 1.0
        """Of the writes, as of the last look."""
        self.reason = ""

    def refuses(self, now_ms: int) -> bool:
        """True if the next write is to be refused; ``reason`` says why. Errors: EngineFailed."""
        if now_ms >= self._look_ms:
            self._look_ms = now_ms + LOOK_INTERVAL_MS
            self.share, self.reason = admitted_share(self._limits, self._engine.pressure())
        if self.share >= 1.0:
            return False
        self._credit += self.share
        if self._credit < 1.0:
            return True
        self._credit -= 1.0
        return False

    @property
    def backoff_ms(self) -> int:
        """After how long whoever was refused should ask again: the less is let in, the later."""
        return int(BUSY_BACKOFF_MS * (1 + 9 * (1 - self.share)))
