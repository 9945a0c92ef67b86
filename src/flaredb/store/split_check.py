"""Split checks: which regions have outgrown their size, and at which keys to cut them.

Sizes are counted as writes apply; what overwrites and deletes take away is estimated by looking some of them up
(applier.py). When the count passes the maximum, or a range was deleted, the region's rows are read, a slice per step,
on a snapshot: that gives the true size, and the keys if it is to be cut. The work is paid for by the writes that caused
it: a region is read again only after it has grown by a sixteenth of the split size, or has lost a range.

A cut is always the first key of a piece that is not the region's first, so no cut is empty, a border or inside a key.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import merge

from flaredb.engine.base import Engine, Snapshot
from flaredb.model.commands import DATA_CFS
from flaredb.model.ids import RegionId
from flaredb.model.region import Region
from flaredb.store.config import StoreConfig
from flaredb.store.peer import Peer

SLICE_BYTES = 256 * 1024
SLICE_ROWS_MAX = 512
FIRST_SLICE_ROWS = 8
"""Until the size of rows is known, few are read at once: they may be large."""

GROWTH_SHARE = 16
SAMPLED_ROWS = 16


def outgrown(config: StoreConfig, peer: Peer) -> bool:
    """True if the region's rows should be read, to find out its size, and whether and where it is to be split."""
    if not config.region_split_size_bytes or not peer.is_leader or peer.split is not None:
        return False
    if peer.is_miscounted:
        return True
    if peer.grown_bytes < config.region_split_size_bytes // GROWTH_SHARE:
        return False
    return (
        peer.approximate_size_bytes >= config.region_max_size_bytes or peer.approximate_keys >= config.region_max_keys
    )


def estimate_size(engine: Engine, region: Region) -> tuple[int, int]:
    """About how many bytes and keys a region that was loaded from disk holds."""
    end = region.end_key or None
    size_bytes = keys = 0
    for cf in DATA_CFS:
        cf_bytes = engine.approximate_size_bytes(cf, region.start_key, end)
        sample = [len(key) + len(value) for key, value in engine.scan(cf, region.start_key, end, limit=SAMPLED_ROWS)]
        size_bytes += cf_bytes
        keys += max(cf_bytes * len(sample) // max(sum(sample), 1), len(sample))
    return size_bytes, keys


@dataclass(slots=True)
class CheckDone:
    """What a check found out; ``keys`` is empty if the region is to stay as it is, or cannot be cut."""

    region: Region
    keys: tuple[bytes, ...]
    size_bytes: int
    key_count: int
    is_whole: bool
    """False: there were cuts enough before the end, and the sizes are those of the part that was read."""

    reason: str = "size"
    """Why it was read: size, order."""

    pieces: tuple[tuple[int, int], ...] = ()
    """(bytes, keys) of what each cut ends and of what follows the last; empty if that is not known."""


class Cutter:
    """Takes rows in key order and decides where pieces begin.

    Invariants: ``cuts`` ascend strictly; each is the key of a row that is not the first.
    """

    __slots__ = ("_config", "_last_key", "_piece_bytes", "_piece_keys", "_pieces", "cuts", "key_count", "size_bytes")

    def __init__(self, config: StoreConfig) -> None:
        self._config = config
        self._last_key: bytes | None = None
        self._piece_bytes = 0
        self._piece_keys = 0
        self._pieces: list[tuple[int, int]] = []
        self.cuts: list[bytes] = []
        self.size_bytes = 0
        self.key_count = 0

    def take(self, key: bytes, size_bytes: int) -> bool:
        """Count a row; rows of equal key, from several column families, stay together. False: enough cuts."""
        config = self._config
        if key != self._last_key:
            if self._piece_bytes >= config.region_split_size_bytes or self._piece_keys >= config.region_split_keys:
                if len(self.cuts) == config.batch_split_limit:
                    return False
                self.cuts.append(key)
                self._pieces.append((self._piece_bytes, self._piece_keys))
                self._piece_bytes = self._piece_keys = 0
            self._last_key = key
            self._piece_keys += 1
            self.key_count += 1
        self._piece_bytes += size_bytes
        self.size_bytes += size_bytes
        return True

    def pieces(self, cut_count: int) -> tuple[tuple[int, int], ...]:
        """(bytes, keys) of the pieces that the first ``cut_count`` cuts make, once all rows are taken."""
        before = self._pieces[:cut_count]
        last_bytes = self.size_bytes - sum(size_bytes for size_bytes, _ in before)
        return (*before, (last_bytes, self.key_count - sum(keys for _, keys in before)))

    def finish(self) -> tuple[bytes, ...]:
        """The cuts, once all rows are taken: none for a region within its maximum, and no last piece that is so
        small that it and its neighbour fit one region.
        """
        config = self._config
        if self.size_bytes <= config.region_max_size_bytes and self.key_count <= config.region_max_keys:
            return ()
        is_small = (
            self._piece_bytes + config.region_split_size_bytes <= config.region_max_size_bytes
            and self._piece_keys + config.region_split_keys <= config.region_max_keys
        )
        return tuple(self.cuts[:-1] if is_small else self.cuts)


class HalfCutter:
    """Takes rows in key order and finds the one key that leaves half of the bytes on each side, as PD may order.

    It remembers keys at even distances in bytes, at most MARKS_MAX of them: when there are more, every other one goes
    and the distance doubles.
    """

    MARKS_MAX = 512

    __slots__ = ("_every_bytes", "_last_key", "_marks", "cuts", "key_count", "size_bytes")

    def __init__(self) -> None:
        self._every_bytes = 1
        self._last_key: bytes | None = None
        self._marks: list[tuple[int, int, bytes]] = []
        """(bytes before, keys before, key)"""
        self.cuts: list[bytes] = []
        self.size_bytes = 0
        self.key_count = 0

    def take(self, key: bytes, size_bytes: int) -> bool:
        """Count a row. Always True: all rows are wanted."""
        if key != self._last_key:
            if self.key_count and self.size_bytes >= (self._marks[-1][0] if self._marks else 0) + self._every_bytes:
                self._marks.append((self.size_bytes, self.key_count, key))
                if len(self._marks) > self.MARKS_MAX:
                    del self._marks[::2]
                    self._every_bytes = max(self._every_bytes * 2, self.size_bytes // self.MARKS_MAX)
            self._last_key = key
            self.key_count += 1
        self.size_bytes += size_bytes
        return True

    def _half(self) -> tuple[int, int, bytes] | None:
        return min(self._marks, key=lambda mark: abs(2 * mark[0] - self.size_bytes), default=None)

    def finish(self) -> tuple[bytes, ...]:
        """The cut, if there are two keys at all."""
        half = self._half()
        return (half[2],) if half is not None else ()

    def pieces(self, cut_count: int) -> tuple[tuple[int, int], ...]:
        """(bytes, keys) on each side of the cut."""
        half = self._half() if cut_count else None
        if half is None:
            return ((self.size_bytes, self.key_count),)
        return (half[:2], (self.size_bytes - half[0], self.key_count - half[1]))


@dataclass(slots=True)
class _Job:
    region: Region
    cutter: Cutter | HalfCutter
    reason: str
    snapshot: Snapshot | None = None
    """Taken with the first slice."""

    cursor: bytes = b""
    rows: int = field(default=FIRST_SLICE_ROWS)


class SplitChecks:
    """Regions being read, one at a time and a slice per step, so that at most one snapshot is held."""

    __slots__ = ("_config", "_engine", "_jobs", "_queued")

    def __init__(self, config: StoreConfig, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._jobs: deque[_Job] = deque()
        self._queued: set[RegionId] = set()

    def has_work(self) -> bool:
        """True while a region is being read."""
        return bool(self._jobs)

    def start(self, region: Region, *, halve: bool = False) -> bool:
        """Read a region when its turn comes; False if it waits for that already. ``halve``: cut it in any case."""
        if region.id in self._queued:
            return False
        self._queued.add(region.id)
        cutter = HalfCutter() if halve else Cutter(self._config)
        self._jobs.append(_Job(region, cutter, "order" if halve else "size", cursor=region.start_key))
        return True

    def run_slice(self) -> CheckDone | None:
        """Read one slice; the outcome, if it was a region's last."""
        if not self._jobs:
            return None
        job = self._jobs[0]
        if job.snapshot is None:
            job.snapshot = self._engine.snapshot()
        state = self._read(job, job.snapshot)
        if state is None:
            return None
        self._jobs.popleft()
        self._queued.discard(job.region.id)
        job.snapshot.close()
        cutter = job.cutter
        keys = cutter.finish() if state else tuple(cutter.cuts)
        pieces = cutter.pieces(len(keys)) if state else ()
        return CheckDone(job.region, keys, cutter.size_bytes, cutter.key_count, state, job.reason, pieces)

    def close(self) -> None:
        """Let go of the snapshot."""
        for job in self._jobs:
            if job.snapshot is not None:
                job.snapshot.close()
        self._jobs.clear()
        self._queued.clear()

    def _read(self, job: _Job, snapshot: Snapshot) -> bool | None:
        """One slice. True: that was the last; False: there are cuts enough; None: to be continued.

        Each column family gives its next rows; only those up to the horizon, the least last key of a family that may
        have more, are known to be complete.
        """
        end = job.region.end_key or None
        parts = [list(snapshot.scan(cf, job.cursor, end, limit=job.rows)) for cf in DATA_CFS]
        unfinished = [part[-1][0] for part in parts if len(part) == job.rows]
        horizon = min(unfinished) if unfinished else None
        taken_bytes = taken_rows = 0
        for key, value in merge(*parts):
            if horizon is not None and key > horizon:
                break
            size_bytes = len(key) + len(value)
            if not job.cutter.take(key, size_bytes):
                return False
            taken_bytes += size_bytes
            taken_rows += 1
        if horizon is None:
            return True
        job.cursor = horizon + b"\x00"
        job.rows = max(1, min(SLICE_ROWS_MAX, SLICE_BYTES * taken_rows // max(taken_bytes, 1)))
        return None
