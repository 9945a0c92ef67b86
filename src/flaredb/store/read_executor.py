"""Runs reads that have become consistent. Short ones at once; long ones in slices, on a snapshot of the engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import Any

from flaredb.engine.base import Engine, Reader, Snapshot
from flaredb.model.commands import (
    DATA_CFS,
    BatchGet,
    BatchScan,
    Checksum,
    ChecksumResult,
    Command,
    Get,
    Request,
    Scan,
)
from flaredb.model.crc64 import crc64_xz
from flaredb.model.region import Region
from flaredb.store.peer import Peer

Answer = Callable[[Request, Any], None]
Rows = list[tuple[bytes, bytes]]
Job = Generator[None, None, Any]
"""Yields after every slice; returns the result."""

CHECKSUM_SLICE_BYTES = 64 * 1024
JOBS_PER_STEP_MAX = 4


class ReadExecutor:
    """Long reads wait in a queue that the store's bound on waiting requests also bounds."""

    __slots__ = ("_answer", "_engine", "_jobs", "_slice_rows")

    def __init__(self, engine: Engine, slice_rows: int, answer: Answer) -> None:
        self._engine = engine
        self._slice_rows = slice_rows
        self._answer = answer
        self._jobs: deque[tuple[Request, Peer, Snapshot, Job]] = deque()

    def has_work(self) -> bool:
        """True while a long read is unfinished."""
        return bool(self._jobs)

    def run(self, peer: Peer, request: Request) -> None:
        """Answer the read, now or over the next steps. Pre: its keys are in the region."""
        command = request.command
        if isinstance(command, Get):
            value = self._engine.get(DATA_CFS[command.cf], command.key)
            peer.traffic.keys_read += 1
            peer.traffic.bytes_read += len(command.key) + len(value or b"")
            self._answer(request, value)
        elif isinstance(command, BatchGet):
            self._answer(request, self._batch_get(peer, command))
        elif isinstance(command, Scan) and command.limit <= self._slice_rows:
            rows = list(_scan(self._engine, peer.region, command))
            _count_read(peer, rows)
            self._answer(request, rows)
        else:
            snapshot = self._engine.snapshot()
            self._jobs.append((request, peer, snapshot, self._job(snapshot, peer.region, command)))

    def _batch_get(self, peer: Peer, command: BatchGet) -> Rows:
        values = self._engine.multi_get(DATA_CFS[command.cf], command.keys)
        rows = [(key, value) for key, value in zip(command.keys, values, strict=True) if value is not None]
        _count_read(peer, rows, len(values))
        return rows

    def run_slices(self) -> None:
        """One slice of the oldest long reads."""
        for _ in range(min(len(self._jobs), JOBS_PER_STEP_MAX)):
            request, peer, snapshot, job = self._jobs.popleft()
            try:
                next(job)
            except StopIteration as done:
                snapshot.close()
                if isinstance(done.value, list):
                    _count_read(peer, done.value)
                self._answer(request, done.value)
            else:
                self._jobs.append((request, peer, snapshot, job))

    def close(self) -> None:
        """Let go of all snapshots; unfinished reads stay unanswered."""
        for _, _, snapshot, job in self._jobs:
            job.close()
            snapshot.close()
        self._jobs.clear()

    def _job(self, snapshot: Snapshot, region: Region, command: Command) -> Job:
        if isinstance(command, Scan):
            return _gather(_scan(snapshot, region, command), self._slice_rows)
        if isinstance(command, BatchScan):
            return _batch_scan(snapshot, region, command, self._slice_rows)
        assert isinstance(command, Checksum)
        return _checksum(snapshot, region, command)


def _count_read(peer: Peer, rows: Rows, keys: int | None = None) -> None:
    """What PD and metrics are told; ``keys`` that were looked for, if not all have a value."""
    peer.traffic.keys_read += len(rows) if keys is None else keys
    peer.traffic.bytes_read += sum(len(key) + len(value) for key, value in rows)


def _clip(region: Region, start: bytes, end: bytes) -> tuple[bytes, bytes | None]:
    """The part of [start, end) inside the region; an empty end is no bound, None means to the last key."""
    lower = max(start, region.start_key)
    if not end or (region.end_key and end > region.end_key):
        return lower, region.end_key or None
    return lower, end


def _scan(reader: Reader, region: Region, scan: Scan) -> Iterator[tuple[bytes, bytes]]:
    start, end = _clip(region, scan.start, scan.end)
    return reader.scan(DATA_CFS[scan.cf], start, end, reverse=scan.reverse, limit=scan.limit, keys_only=scan.keys_only)


def _gather(rows: Iterator[tuple[bytes, bytes]], slice_rows: int) -> Generator[None, None, Rows]:
    found: Rows = []
    while True:
        part = list(islice(rows, slice_rows))
        found += part
        if len(part) < slice_rows:
            return found
        yield


def _batch_scan(reader: Reader, region: Region, command: BatchScan, slice_rows: int) -> Generator[None, None, Rows]:
    found: Rows = []
    for scan in command.scans:
        found += yield from _gather(_scan(reader, region, scan), slice_rows)
        yield
    return found


def _checksum(reader: Reader, region: Region, command: Checksum) -> Generator[None, None, ChecksumResult]:
    checksum = total_kvs = total_bytes = since_yield = 0
    for range_start, range_end in command.ranges:
        start, end = _clip(region, range_start, range_end)
        for key, value in reader.scan(DATA_CFS[0], start, end):
            checksum ^= crc64_xz(key + value)
            total_kvs += 1
            size = len(key) + len(value)
            total_bytes += size
            since_yield += size
            if since_yield >= CHECKSUM_SLICE_BYTES:
                since_yield = 0
                yield
    return ChecksumResult(checksum, total_kvs, total_bytes)
