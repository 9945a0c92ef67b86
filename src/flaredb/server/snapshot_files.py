"""Received snapshots on disk: written beside their final name, checked, durable before they have it, read back checked.

A file is magic and version, then records: length:4, CRC-32:4, chunk; a length of 0 ends them, followed by the totals
(wire/snapshot_stream.py). Only whole files have a name that ends in ``.snap``; what a crash leaves unfinished ends in
``.tmp`` and is swept away.
"""

from __future__ import annotations

import logging
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from flaredb.model.ids import RegionId
from flaredb.model.limits import MIB
from flaredb.server.logs import log_event
from flaredb.wire.frames import FrameError
from flaredb.wire.records import StateCorrupted
from flaredb.wire.snapshot_stream import TOTALS_BYTES, SnapshotTotals
from flaredb.wire.snapshots import CHUNK_BYTES_MAX

MAGIC = b"FlareDBsnap\x01"
WHOLE, UNFINISHED = ".snap", ".tmp"
UNUSED_SECONDS_MAX = 4 * 3600
"""A whole file that nobody names is deleted after this time, as TiKV does."""

SYNC_EVERY_BYTES = 8 * MIB
"""Dirty pages are written out this often, so that the last sync is short and syncs of the WAL do not wait for it."""

_RECORD = struct.Struct(">II")

log = logging.getLogger(__name__)


class DiskSnapshotFiles:
    """store.messages.SnapshotFiles over one directory, which belongs to this store alone.

    Errors of the constructor: OSError if the directory cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._unfinished: set[str] = set()
        """Being written now."""

    def create(self, region_id: RegionId, index: int) -> SnapshotWriter:
        """Begin the file of a snapshot, under a name that no other has. Errors: OSError."""
        name = f"{region_id}-{index}-{secrets.token_hex(4)}{WHOLE}"
        self._unfinished.add(name)
        try:
            return SnapshotWriter(self, name)
        except OSError:
            self.forget(name)
            raise

    def open(self, name: str) -> SnapshotFile | None:
        """The snapshot of that name, None if it is gone."""
        path = self.directory / name
        if os.path.basename(name) != name or not name.endswith(WHOLE) or not path.exists():
            return None
        return SnapshotFile(path)

    def discard(self, name: str) -> None:
        """Delete a snapshot that is installed or not wanted; one that is gone is fine. What stays is swept later."""
        if self.open(name) is None:
            return
        try:
            (self.directory / name).unlink(missing_ok=True)
        except OSError as error:
            log_event(log, logging.WARNING, "a snapshot file cannot be deleted now", file=name, error=str(error))

    def sweep(self, keep: set[str], unused_seconds: float = 0.0) -> list[str]:
        """Delete unfinished files that nobody writes, and whole ones not in ``keep`` that are older than given.

        Returns the deleted names, sorted. Errors: OSError.
        """
        deleted = []
        newest_kept_s = time.time() - unused_seconds
        for path in sorted(self.directory.iterdir()):
            if path.suffix == UNFINISHED:
                unneeded = path.with_suffix(WHOLE).name not in self._unfinished
            else:
                unneeded = path.suffix == WHOLE and path.name not in keep and path.stat().st_mtime <= newest_kept_s
            if unneeded:
                path.unlink(missing_ok=True)
                deleted.append(path.name)
        return deleted

    def forget(self, name: str) -> None:
        """The writer of this file is done with it."""
        self._unfinished.discard(name)


class SnapshotWriter:
    """One file that is being received. Its methods block, and are for one thread at a time."""

    def __init__(self, files: DiskSnapshotFiles, name: str) -> None:
        self.name = name
        self.totals = SnapshotTotals()
        self._files = files
        self._path = files.directory / name
        self._unfinished_path = self._path.with_suffix(UNFINISHED)
        self._file: IO[bytes] | None = open(self._unfinished_path, "xb", buffering=0)  # noqa: SIM115
        self._unsynced_bytes = 0
        _write_all(self._file, MAGIC)

    def add(self, chunk: memoryview, crc: int) -> None:
        """Check and append a chunk. Errors: FrameError for one that was damaged on its way; OSError."""
        assert self._file is not None, "the file is closed"
        found = zlib.crc32(chunk)
        if found != crc:
            raise FrameError(f"chunk {self.totals.chunks} of the snapshot was damaged on its way: its CRC differs")
        self.totals.add(len(chunk), crc)
        _write_all(self._file, _RECORD.pack(len(chunk), crc))
        _write_all(self._file, chunk)
        self._unsynced_bytes += len(chunk)
        if self._unsynced_bytes >= SYNC_EVERY_BYTES:
            self._unsynced_bytes = 0
            os.fdatasync(self._file.fileno()) if hasattr(os, "fdatasync") else os.fsync(self._file.fileno())

    def finish(self, sent: SnapshotTotals) -> SnapshotFile:
        """Make the file durable under its name. Errors: FrameError if it is not what was sent; OSError."""
        assert self._file is not None, "the file is closed"
        if sent != self.totals:
            raise FrameError(
                f"the snapshot is not whole: {self.totals.chunks} chunks of {self.totals.size_bytes} bytes arrived, "
                f"{sent.chunks} of {sent.size_bytes} were sent"
            )
        _write_all(self._file, _RECORD.pack(0, 0) + self.totals.encode())
        os.fsync(self._file.fileno())
        self._close()
        os.rename(self._unfinished_path, self._path)
        _sync_directory(self._files.directory)
        self._files.forget(self.name)
        return SnapshotFile(self._path)

    def give_up(self) -> None:
        """Delete what was written; after ``finish`` nothing happens. Errors: OSError."""
        self._close()
        self._unfinished_path.unlink(missing_ok=True)
        self._files.forget(self.name)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class SnapshotFile:
    """store.messages.ReceivedSnapshot: a whole file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """Under which ``DiskSnapshotFiles.open`` finds it."""
        return self._path.name

    @property
    def size_bytes(self) -> int:
        """Of the file. Errors: StateCorrupted if it is gone."""
        try:
            return self._path.stat().st_size
        except OSError as error:
            raise self._corrupted(f"it cannot be read: {error}") from error

    def chunks(self) -> Iterator[bytes]:
        """Its chunks in order.

        Errors: StateCorrupted for a chunk or an end that fails its check, and for a file that cannot be read.
        """
        try:
            yield from self._checked_chunks()
        except OSError as error:
            raise self._corrupted(f"it cannot be read: {error}") from error

    def _checked_chunks(self) -> Iterator[bytes]:
        totals = SnapshotTotals()
        with open(self._path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise self._corrupted("it does not begin as one")
            while True:
                length, crc = _RECORD.unpack(self._read(file, _RECORD.size, totals))
                if length == 0 and crc == 0:
                    break
                if not 1 <= length <= CHUNK_BYTES_MAX:
                    raise self._corrupted(f"chunk {totals.chunks} claims {length} bytes")
                chunk = self._read(file, length, totals)
                if zlib.crc32(chunk) != crc:
                    raise self._corrupted(f"chunk {totals.chunks} fails its check")
                totals.add(length, crc)
                yield chunk
            if SnapshotTotals.decode(self._read(file, TOTALS_BYTES, totals)) != totals:
                raise self._corrupted(f"its {totals.chunks} chunks are not those it was written with")

    def _read(self, file: IO[bytes], size_bytes: int, totals: SnapshotTotals) -> bytes:
        data = file.read(size_bytes)
        if len(data) != size_bytes:
            raise self._corrupted(f"it ends within or after chunk {totals.chunks}")
        return data

    def _corrupted(self, what: str) -> StateCorrupted:
        return StateCorrupted(f"snapshot file {self._path} is damaged: {what}")


def _write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Unbuffered files may take only a part."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
