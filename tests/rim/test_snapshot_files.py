"""Files of received snapshots: what a kill leaves, what a sweep removes, and damage that is noticed."""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path

import pytest

from flaredb.model.ids import RegionId
from flaredb.server.snapshot_files import MAGIC, UNUSED_SECONDS_MAX, DiskSnapshotFiles, SnapshotFile
from flaredb.wire.frames import FrameError
from flaredb.wire.records import StateCorrupted

CHUNKS = [b"first", b"second " * 1000, b"3"]


@pytest.fixture
def files(tmp_path: Path) -> DiskSnapshotFiles:
    return DiskSnapshotFiles(tmp_path / "snap")


def write(files: DiskSnapshotFiles, chunks: list[bytes] = CHUNKS) -> SnapshotFile:
    writer = files.create(RegionId(10), 25)
    for chunk in chunks:
        writer.add(memoryview(chunk), zlib.crc32(chunk))
    return writer.finish(writer.totals)


def names(files: DiskSnapshotFiles) -> list[str]:
    return sorted(path.name for path in files.directory.iterdir())


def test_files_survive_a_restart_under_their_names(files: DiskSnapshotFiles) -> None:
    name = write(files).name
    again = DiskSnapshotFiles(files.directory)
    found = again.open(name)
    assert found is not None
    assert list(found.chunks()) == CHUNKS
    assert again.open("10-25-00000000.snap") is None


def test_two_snapshots_of_one_index_do_not_share_a_file(files: DiskSnapshotFiles) -> None:
    assert write(files).name != write(files).name


@pytest.mark.parametrize("name", ["../elsewhere.snap", "/etc/passwd", "", ".", "x.tmp"])
def test_only_names_of_snapshots_are_opened_or_deleted(files: DiskSnapshotFiles, name: str) -> None:
    (files.directory.parent / "elsewhere.snap").write_bytes(b"precious")
    (files.directory / "x.tmp").write_bytes(b"unfinished")
    assert files.open(name) is None
    files.discard(name)
    assert (files.directory.parent / "elsewhere.snap").exists()
    assert (files.directory / "x.tmp").exists()


def test_an_unfinished_file_is_swept_after_a_kill_but_not_while_it_is_written(files: DiskSnapshotFiles) -> None:
    writer = files.create(RegionId(10), 25)
    assert files.sweep(set()) == []
    assert len(names(files)) == 1
    assert len(DiskSnapshotFiles(files.directory).sweep(set())) == 1
    assert names(files) == []
    writer.give_up()


def test_giving_up_deletes_what_was_written_and_nothing_once_it_is_whole(files: DiskSnapshotFiles) -> None:
    files.create(RegionId(10), 25).give_up()
    assert names(files) == []
    writer = files.create(RegionId(10), 25)
    file = writer.finish(writer.totals)
    writer.give_up()
    assert names(files) == [file.name]


def test_a_sweep_keeps_what_the_core_names_and_what_is_young_enough(files: DiskSnapshotFiles) -> None:
    wanted, old, young = (write(files).name for _ in range(3))
    long_ago_s = time.time() - UNUSED_SECONDS_MAX - 60
    for name in (wanted, old):
        os.utime(files.directory / name, (long_ago_s, long_ago_s))
    (files.directory / "notes.txt").write_text("whoever wrote this may keep it")
    assert files.sweep({wanted}, UNUSED_SECONDS_MAX) == [old]
    assert files.sweep({wanted}) == [young]
    assert names(files) == sorted([wanted, "notes.txt"])


def test_a_damaged_chunk_is_not_taken(files: DiskSnapshotFiles) -> None:
    writer = files.create(RegionId(10), 25)
    with pytest.raises(FrameError, match="chunk 0 of the snapshot was damaged"):
        writer.add(memoryview(b"abc"), 1)
    writer.give_up()


def test_any_flipped_bit_and_any_cut_is_noticed(files: DiskSnapshotFiles) -> None:
    small = [b"ab", b"cde"]
    path = files.directory / write(files, small).name
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(StateCorrupted, match="is damaged"):
            list(SnapshotFile(path).chunks())
        path.write_bytes(whole[:position])
        with pytest.raises(StateCorrupted, match="is damaged"):
            list(SnapshotFile(path).chunks())
    path.write_bytes(whole)
    assert list(SnapshotFile(path).chunks()) == small
    assert whole.startswith(MAGIC)


def test_a_file_that_vanished_is_corruption_to_its_reader(files: DiskSnapshotFiles) -> None:
    file = write(files)
    (files.directory / file.name).unlink()
    with pytest.raises(StateCorrupted, match="cannot be read"):
        list(file.chunks())


def test_a_file_that_cannot_be_deleted_is_left_to_the_sweep(
    files: DiskSnapshotFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = write(files).name

    def fail(*_: object, **__: object) -> None:
        raise OSError("read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fail)
        files.discard(name)
    assert "cannot be deleted now" in caplog.text
    assert files.sweep(set()) == [name]
