"""What RocksDB does not notice by itself: files that are whole, but older than what was promised, and holes in a log.

A log, or the list of table files (MANIFEST), that was cut or damaged at its end looks like a write that a power cut
broke off: the library opens with what is left, without what was synced. So the number of the last synced write, and
what the MANIFEST was then, are kept in a file beside, and opening compares. And a page of zeros in the middle of a log
is skipped by the library's reader (9.8), with the records in it; but behind a torn write comes nothing. Over a record
of a kind that it does not expect the reader goes round for ever.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from contextlib import suppress
from mmap import mmap

MARK_FILE = "SYNCED"
MARK_EVERY_S = 1.0
"""So old may the mark be: a loss of younger writes only is not noticed."""

_MARK = struct.Struct(">QQQI")
_CRC = struct.Struct(">I")
_CURRENT, _MANIFEST = "CURRENT", "MANIFEST-"
_BLOCK_BYTES = 32 * 1024
_HEADER_BYTES = 7
_ZERO_KIND = 0
_KINDS = range(1, 5)
"""Whole records, and first, middle and last parts: others come with options that are not set here."""


class MarkBroken(Exception):
    """The files of the database hold less than was synced; the text says what."""


class SyncMark:
    """What was synced, as it was at most ``every_s`` ago.

    It is written in place and never synced itself: whatever of it reaches the disk was true before.
    """

    __slots__ = ("_directory", "_every_s", "_file", "_manifest", "_manifest_bytes", "_manifest_crc", "_next_s")

    def __init__(self, directory: str, every_s: float = MARK_EVERY_S) -> None:
        """Errors: OSError."""
        self._directory = directory
        self._file = os.open(os.path.join(directory, MARK_FILE), os.O_RDWR | os.O_CREAT, 0o644)
        self._every_s = every_s
        self._next_s = 0.0
        self._manifest = 0
        """Its number; its first bytes that are durable, and their CRC-32."""
        self._manifest_bytes = 0
        self._manifest_crc = 0

    def check_files(self) -> None:
        """Before the database is opened, because that replaces its MANIFEST. Errors: MarkBroken; OSError."""
        _, number, size_bytes, crc = self._read()
        current = _manifest_number(self._directory)
        if current < number:
            raise MarkBroken(f"{_CURRENT} names MANIFEST {current}, and it was {number}")
        if current != number or not number:
            return
        with open(self._manifest_path(number), "rb") as manifest:
            data = manifest.read(size_bytes)
        if len(data) < size_bytes or zlib.crc32(data) != crc:
            raise MarkBroken(f"MANIFEST {number} is not as it was synced, {size_bytes} bytes long")

    def check_sequence(self, found: int) -> None:
        """Once it is open. ``found``: number of the last write in it. Errors: MarkBroken; OSError."""
        synced = self._read()[0]
        if found < synced:
            raise MarkBroken(f"writes up to number {synced} were synced, and the files hold them up to {found} only")

    def note(self, sequence: int, *, at_once: bool = False) -> None:
        """Everything up to this write is durable. Errors: OSError."""
        now_s = time.monotonic()
        if now_s < self._next_s and not at_once:
            return
        self._next_s = now_s + self._every_s
        self._follow_manifest()
        facts = _MARK.pack(sequence, self._manifest, self._manifest_bytes, self._manifest_crc)
        os.pwrite(self._file, facts + _CRC.pack(zlib.crc32(facts)), 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _read(self) -> tuple[int, int, int, int]:
        """Write, MANIFEST, its bytes and their CRC-32; zeros if there is no mark, or one that cannot be read."""
        data = os.pread(self._file, _MARK.size + _CRC.size, 0)
        if len(data) < _MARK.size + _CRC.size or _CRC.pack(zlib.crc32(data[: _MARK.size])) != data[_MARK.size :]:
            return 0, 0, 0, 0
        sequence, number, size_bytes, crc = _MARK.unpack_from(data)
        return sequence, number, size_bytes, crc

    def _follow_manifest(self) -> None:
        """Take in what was appended to the MANIFEST, and make sure that it is durable."""
        number = _manifest_number(self._directory)
        if number != self._manifest:
            _sync_directory(self._directory)  # or a power cut could bring the one before back
            self._manifest, self._manifest_bytes, self._manifest_crc = number, 0, 0
        if not number:
            return
        with suppress(FileNotFoundError), open(self._manifest_path(number), "rb") as manifest:
            if os.fstat(manifest.fileno()).st_size == self._manifest_bytes:
                return
            manifest.seek(self._manifest_bytes)
            added = manifest.read()
            os.fsync(manifest.fileno())
            self._manifest_bytes += len(added)
            self._manifest_crc = zlib.crc32(added, self._manifest_crc)

    def _manifest_path(self, number: int) -> str:
        return os.path.join(self._directory, f"{_MANIFEST}{number:06}")


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _only_zeros_from(data: bytes | mmap, start: int) -> bool:
    return not any(data[at : at + _BLOCK_BYTES].strip(b"\0") for at in range(start, len(data), _BLOCK_BYTES))


def _manifest_number(directory: str) -> int:
    """Which MANIFEST counts; 0 if there is none, or the name is none."""
    try:
        with open(os.path.join(directory, _CURRENT), "rb") as current:
            name = current.read(64).decode(errors="replace").strip()
    except FileNotFoundError:
        return 0
    number = name.removeprefix(_MANIFEST)
    return int(number) if name.startswith(_MANIFEST) and number.isdecimal() else 0


def wrong_in_log(data: bytes | mmap) -> str | None:
    """What is wrong with a log that the library would pass over, or over which it would hang; None: nothing like that.

    The same form for write-ahead logs and the MANIFEST. Checksums, and all else, are the library's to judge.
    """
    at = 0
    while at + _HEADER_BYTES <= len(data):
        left_bytes = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left_bytes < _HEADER_BYTES:
            at += left_bytes
            continue
        kind, size_bytes = data[at + 6], data[at + 4] | data[at + 5] << 8
        if kind == _ZERO_KIND and size_bytes == 0:
            return f"has zeros at {at}, and records behind them" if not _only_zeros_from(data, at) else None
        if kind not in _KINDS:
            return f"has a record of the unknown kind {kind} at {at}"
        at += _HEADER_BYTES + size_bytes
    return None
