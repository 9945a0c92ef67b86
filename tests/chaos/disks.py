"""A disk of one store: ext4 on a file, whose power can be cut and which can be full. Needs root, mount and e2fsprogs.

A power cut: the process is stopped, the file behind the disk is copied as it is at that moment, and the copy takes the
disk's place. What the system had only in memory is lost, as it would be: `commit=300` keeps it from writing early.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

NEEDS = ("linux", "root", "mount", "mkfs.ext4")
SIZE_BYTES = 512 * 1024 * 1024
"""Of the disk; its file has holes where nothing was written."""
BALLAST = "ballast"


class LoopDisk:
    """Mounted at ``mount_point`` while it is open; nothing is left behind."""

    def __init__(self, mount_point: Path, size_bytes: int = SIZE_BYTES) -> None:
        self.mount_point = mount_point
        self._size_bytes = size_bytes
        self._directory = tempfile.TemporaryDirectory(prefix="flaredb-chaos-", dir=_fast_directory())
        self._image = Path(self._directory.name) / "disk"
        self._mounted = False

    def __enter__(self) -> LoopDisk:
        try:
            with self._image.open("wb") as image:
                image.truncate(self._size_bytes)
            _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
            self.mount_point.mkdir(exist_ok=True)
            self._mount()
            (self.mount_point / "lost+found").rmdir()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmount, even if somebody still uses it, and remove the file."""
        if self._mounted:
            self._mounted = False
            done = subprocess.run(["umount", str(self.mount_point)], check=False, capture_output=True)
            if done.returncode:
                subprocess.run(["umount", "--lazy", str(self.mount_point)], check=False, capture_output=True)
        self._directory.cleanup()

    def freeze(self) -> None:
        """Keep what the disk holds at this moment. Pre: the process that uses it is stopped (faults.stop_threads)."""
        _run("cp", "--sparse=always", str(self._image), f"{self._image}.cut")

    def thaw(self) -> None:
        """Put what ``freeze`` kept in the place of the disk. Pre: the process that used it is gone."""
        _run("umount", str(self.mount_point))
        self._mounted = False
        Path(f"{self._image}.cut").replace(self._image)
        self._mount()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Not one byte free until the end of the block."""
        ballast = self.mount_point / BALLAST
        try:
            with ballast.open("wb") as file:
                for step_bytes in (1 << 24, 1 << 20, 1 << 16, 1 << 12):
                    _grow(file.fileno(), step_bytes)
            yield
        finally:
            ballast.unlink(missing_ok=True)

    def _mount(self) -> None:
        _run("mount", "-o", "loop,commit=300,noatime", str(self._image), str(self.mount_point))
        self._mounted = True


def _grow(file: int, step_bytes: int) -> None:
    while True:
        try:
            os.posix_fallocate(file, os.fstat(file).st_size, step_bytes)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return


def _fast_directory() -> str | None:
    """Memory, if there is a directory for it: copies are quick there, and the real disk is spared."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
