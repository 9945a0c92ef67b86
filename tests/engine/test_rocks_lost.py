"""Files that the library opens without a word although something that was synced is gone from them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flaredb.engine.base import CF_DEFAULT, EngineCorrupted
from flaredb.engine.rocks import open_rocks
from flaredb.engine.rocks_mark import MARK_FILE, wrong_in_log
from flaredb.engine.rocks_options import RocksOptions

EVERY_SYNC = RocksOptions(mark_every_s=0.0)
BLOCK_BYTES = 32 * 1024


def killed(path: Path) -> Path:
    """A copy of the files of an engine with 50 flushed rows and 50 in its log, all of them synced."""
    engine = open_rocks(path / "live", EVERY_SYNC)
    for number in range(100):
        batch = engine.batch()
        batch.put(CF_DEFAULT, b"%03d" % number, b"v" * 100)
        engine.write(batch)
        engine.sync()
        if number == 49:
            engine.flush()
    shutil.copytree(path / "live", path / "copy")
    engine.close()
    return path / "copy"


def only(directory: Path, pattern: str) -> Path:
    (file,) = [file for file in directory.glob(pattern) if file.stat().st_size]
    return file


def test_nothing_is_said_where_nothing_is_lost(tmp_path: Path) -> None:
    for directory in (killed(tmp_path), tmp_path / "live"):
        for _ in range(2):
            engine = open_rocks(directory, EVERY_SYNC)
            assert len(list(engine.scan(CF_DEFAULT, b"", None))) == 100
            engine.close()


def cut_log(directory: Path) -> None:
    log = only(directory, "*.log")
    log.write_bytes(log.read_bytes()[:-300])


def last_record(data: bytes) -> int:
    """Where the last record of a log begins. Pre: it lies in one block."""
    at = 0
    while (following := at + 7 + (data[at + 4] | data[at + 5] << 8)) < len(data):
        at = following
    return at


def zero_end_of_log(directory: Path) -> None:
    log = only(directory, "*.log")
    data = log.read_bytes()
    kept = last_record(data)
    log.write_bytes(data[:kept] + bytes(len(data) - kept))


def remove_log(directory: Path) -> None:
    only(directory, "*.log").unlink()


def hurt_end_of_manifest(directory: Path) -> None:
    """Its last record claims to be longer than the file: like one that was cut."""
    manifest = only(directory, "MANIFEST-*")
    data = bytearray(manifest.read_bytes())
    data[last_record(data) + 5] ^= 0x40
    manifest.write_bytes(data)


def cut_manifest(directory: Path) -> None:
    """Back to a moment before the flush: the library deletes the table, and its log is gone already."""
    manifest = only(directory, "MANIFEST-*")
    manifest.write_bytes(manifest.read_bytes()[:-60])


@pytest.mark.parametrize("damage", [cut_log, zero_end_of_log, remove_log, cut_manifest, hurt_end_of_manifest])
def test_synced_writes_that_are_gone(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    directory = killed(tmp_path)
    damage(directory)
    for _ in range(2):
        with pytest.raises(EngineCorrupted, match="synced") as refused:
            open_rocks(directory, EVERY_SYNC)
        assert str(directory) in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\0" * 12, b"short", b"\xff" * 12])
def test_a_mark_that_cannot_be_read_is_no_mark(tmp_path: Path, content: bytes) -> None:
    directory = killed(tmp_path)
    (directory / MARK_FILE).write_bytes(content)
    engine = open_rocks(directory, EVERY_SYNC)
    assert len(list(engine.scan(CF_DEFAULT, b"", None))) == 100
    engine.close()


def test_zeros_in_the_middle_of_a_log(tmp_path: Path) -> None:
    """The library skips to the next block, so rows in the middle are gone and later ones are there."""
    engine = open_rocks(tmp_path / "live")
    value = b"v" * (BLOCK_BYTES - 7 - 12 - 1 - 1 - 3 - 3)  # one record fills one block
    for number in range(4):
        batch = engine.batch()
        batch.put(CF_DEFAULT, b"%03d" % number, value)
        engine.write(batch)
        engine.sync()
    shutil.copytree(tmp_path / "live", tmp_path / "copy")
    engine.close()
    log = only(tmp_path / "copy", "*.log")
    data = log.read_bytes()
    assert len(data) == 4 * BLOCK_BYTES
    log.write_bytes(data[:BLOCK_BYTES] + bytes(4096) + data[BLOCK_BYTES + 4096 :])
    with pytest.raises(EngineCorrupted, match=rf"{log.name} has zeros at {BLOCK_BYTES}"):
        open_rocks(tmp_path / "copy")


def record(kind: int, size_bytes: int) -> bytes:
    return b"crc." + size_bytes.to_bytes(2, "little") + bytes([kind]) + b"x" * size_bytes


@pytest.mark.parametrize(
    ("sentence", "data", "wrong"),
    [
        ("an empty log", b"", None),
        ("only zeros", bytes(100), None),
        ("records", record(1, 10) * 3, None),
        ("a record in three parts", record(2, 10) + record(3, 10) + record(4, 10), None),
        ("records, then zeros", record(1, 10) * 3 + bytes(5000), None),
        ("a record that was cut", record(1, 10) * 3 + record(1, 50)[:20], None),
        ("the rest of a block, too short for a header", record(1, BLOCK_BYTES - 10) + bytes(3) + record(1, 5), None),
        ("zeros between records", record(1, 10) + bytes(40) + record(1, 10), "zeros at 17"),
        ("zeros at the beginning", bytes(4096) + record(1, 10), "zeros at 0"),
        ("a kind over which the library hangs", record(1, 10) + record(11, 9999)[:50], "kind 11 at 17"),
    ],
)
def test_logs(sentence: str, data: bytes, wrong: str | None) -> None:
    told = wrong_in_log(data)
    assert told == wrong if wrong is None else wrong in (told or "")


@pytest.mark.parametrize("pattern", ["*.log", "MANIFEST-*"])
def test_a_record_over_which_the_library_would_hang(tmp_path: Path, pattern: str) -> None:
    directory = killed(tmp_path)
    (directory / MARK_FILE).unlink()
    file = only(directory, pattern)
    file.write_bytes(file.read_bytes() + record(11, 10_000)[:200])
    with pytest.raises(EngineCorrupted, match=rf"{file.name} has a record of the unknown kind 11"):
        open_rocks(directory, EVERY_SYNC)
