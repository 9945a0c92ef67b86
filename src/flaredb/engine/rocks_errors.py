"""From the text of a library error to the engine's error tree. The library raises plain `Exception` only."""

from __future__ import annotations

import os
from mmap import ACCESS_READ, mmap
from typing import NoReturn

from flaredb.engine.base import EngineCorrupted, EngineError, EngineLocked
from flaredb.engine.rocks_mark import MarkBroken, wrong_in_log


def wal_files(path: str) -> list[os.DirEntry[str]]:
    """Write-ahead logs in the directory, oldest first."""
    with os.scandir(path) as entries:
        return sorted((e for e in entries if e.name.endswith(".log")), key=lambda entry: entry.name)


def file_size_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # the library removed it meanwhile
        return 0


def raise_read_error(path: str, error: Exception) -> NoReturn:
    """Raise EngineCorrupted or EngineError for what a read of the engine at `path` ran into."""
    kind = EngineCorrupted if "Corruption" in str(error) else EngineError
    raise kind(f"{path}: read failed: {error}") from error


def raise_open_error(path: str, error: Exception) -> NoReturn:
    """Raise EngineLocked, EngineCorrupted or EngineError for what opening `path` ran into, with the cure."""
    text = str(error)
    if "lock hold by current process" in text or "While lock file" in text:
        raise EngineLocked(
            f"{path}: in use by another process or another engine of this one; "
            "stop that one or choose another data directory"
        ) from error
    if "Corruption" in text or isinstance(error, MarkBroken):
        raise EngineCorrupted(_corruption_advice(path, text)) from error
    raise EngineError(f"{path}: cannot open: {text}") from error


def check_logs(path: str) -> None:
    """Errors: MarkBroken if a log is damaged in a way that the library does not tell; OSError."""
    with os.scandir(path) as entries:
        manifests = [entry for entry in entries if entry.name.startswith("MANIFEST-")]
    for entry in (*wal_files(path), *manifests):
        if not file_size_bytes(entry):
            continue
        with open(entry.path, "rb") as log, mmap(log.fileno(), 0, access=ACCESS_READ) as data:
            wrong = wrong_in_log(data)
        if wrong is not None:
            raise MarkBroken(f"{entry.name} {wrong}")


def _corruption_advice(path: str, text: str) -> str:
    where = ""
    if text.startswith("Corruption") and path not in text:  # the log reader does not say which file it was reading
        names = [entry.name for entry in wal_files(path) if file_size_bytes(entry) > 0]
        where = f" (most likely in the write-ahead log {', '.join(names)})" if names else ""
    return (
        f"{path}: stored data is damaged: {text}{where}. Acknowledged writes may be gone, so this store must not "
        "serve from here. Keep the directory for inspection, remove the store from the cluster and start a new "
        "one on an empty directory; the cluster copies the data back."
    )
