"""The directory that a killed process or a power cut would leave, taken from a running engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flaredb.engine.base import EngineFailed
from flaredb.engine.rocks import RocksEngine


def kill(engine: RocksEngine, copy: Path) -> None:
    """Copy the engine's synced directory to `copy` as it stands, then close the engine.

    Background flushes and compactions are ended first: they remove files, and a copy made file by file
    beside them would be a state that never was on disk. The flush on closing is refused after that, which is
    what we want: the log alone must carry the data.
    """
    engine.sync()
    engine._database.cancel_all_background(True)
    shutil.copytree(engine.path, copy)
    with pytest.raises(EngineFailed, match="Shutdown in progress"):
        engine.close()
