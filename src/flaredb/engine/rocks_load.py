"""Bulk loads of the RocksDB engine: table files written beside the database, which then takes them over by a rename.

They lie in a directory of their own below the database's. What a crash leaves there is deleted when it is opened.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

LOADING_DIRECTORY = "loading"


def clear_loading(directory: str) -> None:
    """Make the directory of unfinished loads of this database, empty. Errors: OSError."""
    loading = os.path.join(directory, LOADING_DIRECTORY)
    shutil.rmtree(loading, ignore_errors=True)
    os.makedirs(loading, exist_ok=True)


class RocksLoad:
    """A `BulkLoad`. A table file is ended once its rows reach ``table_size_bytes``, so that its sync stays short."""

    __slots__ = ("_cf", "_directory", "_left_bytes", "_open_table", "_table_size_bytes", "_tables", "_take", "_writer")

    def __init__(
        self,
        directory: str,
        table_size_bytes: int,
        open_table: Callable[[str, str, bool], Any],
        take: Callable[[dict[str, list[str]], Exception | None], None],
    ) -> None:
        """``open_table`` makes the library's writer of a file, told whether it is its family's first; ``take`` hands
        files over, or fails the engine.
        """
        self._directory = directory
        self._table_size_bytes = table_size_bytes
        self._open_table = open_table
        self._take = take
        self._tables: dict[str, list[str]] = {}
        self._cf = ""
        self._writer: Any | None = None
        self._left_bytes = 0

    def add(self, cf: str, rows: Sequence[tuple[bytes, bytes]]) -> None:
        if not rows:
            return
        if cf != self._cf or self._left_bytes <= 0:
            self._end_table()
            self._begin_table(cf)
        writer = self._writer
        assert writer is not None, "a table was begun"
        size_bytes = 0
        try:
            for key, value in rows:
                writer[key] = value
                size_bytes += len(key) + len(value)
        except Exception as error:
            self._take({}, error)
        self._left_bytes -= size_bytes

    def finish(self) -> None:
        self._end_table()
        tables, self._tables = self._tables, {}
        self._take(tables, None)

    def abandon(self) -> None:
        self._writer = None
        self._cf = ""
        tables, self._tables = self._tables, {}
        for path in (path for paths in tables.values() for path in paths):
            try:
                os.unlink(path)
            except OSError:
                continue  # the next open deletes it

    def _begin_table(self, cf: str) -> None:
        number = len(self._tables.get(cf, ()))
        path = os.path.join(self._directory, f"{cf}-{number}.sst")
        self._writer = self._open_table(cf, path, number == 0)
        self._tables.setdefault(cf, []).append(path)
        self._cf = cf
        self._left_bytes = self._table_size_bytes

    def _end_table(self) -> None:
        """Post: the file is whole and synced."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.finish()
        except Exception as error:
            self._take({}, error)
