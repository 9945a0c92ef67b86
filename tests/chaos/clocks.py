"""Wall clocks of single processes that can be set, by libfaketime; what measures durations stays as it is.

On Debian: apt-get install libfaketime.
"""

from __future__ import annotations

import glob
from pathlib import Path

NEEDS = ("linux", "libfaketime")
LOOKED_FOR = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
SHARED = Path("/dev/shm")
CACHE_S = 1
"""How long a process may go on with the old clock: it looks into the file so often."""


def library() -> str:
    """Where libfaketime is, for programs with threads; empty if it is not installed."""
    return next((path for pattern in LOOKED_FOR for path in sorted(glob.glob(pattern))), "")


class WallClock:
    """The wall clock of one process that was started with ``environment``."""

    def __init__(self, path: Path) -> None:
        """``path``: a file of its own, by which the process is told."""
        self._path = path
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to be started with."""
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": str(CACHE_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def set(self, offset_s: int) -> None:
        """So many seconds ahead of this machine's clock, or behind it; 0: right. Within CACHE_S."""
        # Replaced at once: half a line would be read as another offset.
        following = self._path.with_suffix(".next")
        following.write_text(f"{offset_s:+d}\n", encoding="ascii")
        following.replace(self._path)


def sweep() -> None:
    """Remove what libfaketime has left in shared memory for processes that are gone: it does so itself only at a
    polite end.
    """
    for path in SHARED.glob("*faketime_*"):
        pid = path.name.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)
