"""Rows that come one by one, printed as they come: a scan of any length takes no more memory than its first lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import click

from flaredb.cli.output import Column, chosen, tsv_line

HEAD_ROWS = 50
"""A table holds so many rows back, to fit its columns to them."""


class Rows:
    """Prints rows in the form asked for. As a context manager it ends what it has begun, also upon an error.

    ``count`` is how many rows were added.
    """

    def __init__(self, form: str, columns: Sequence[Column]) -> None:
        """``form``: of cli/output.py, "" chooses by where the output goes."""
        self.count = 0
        self._columns = columns
        self._form = chosen(form)
        self._held: list[Sequence[str]] = []
        self._widths: list[int] = []
        self._cell_len: Callable[[str], int] = len

    def add(self, cells: Sequence[str], raw: Any) -> None:
        """One row: ``cells`` for tables and tsv, ``raw`` for JSON. Errors: BrokenPipeError if nobody reads any more."""
        self.count += 1
        if self._form == "jsonl":
            click.echo(json.dumps(raw, ensure_ascii=False))
        elif self._form == "json":
            _write(("[\n  " if self.count == 1 else ",\n  ") + json.dumps(raw, ensure_ascii=False))
        elif self._form == "tsv":
            if self.count == 1:
                click.echo(self._tsv_heading())
            _write(tsv_line(cells) + "\n")
        elif self._widths:
            self._print_row(cells)
        else:
            self._held.append(cells)
            if len(self._held) == HEAD_ROWS:
                self._print_head()

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, BrokenPipeError):
            return
        if self._form == "json":
            _write("\n]\n" if self.count else "[]\n")
        elif self._form == "tsv" and not self.count:
            click.echo(self._tsv_heading())
        elif self._held:
            self._print_head()
        sys.stdout.flush()

    def _tsv_heading(self) -> str:
        return tsv_line([column.heading.replace(" ", "_") for column in self._columns])

    def _print_head(self) -> None:
        import shutil

        from rich.cells import cell_len

        self._cell_len = cell_len
        headings = [column.heading for column in self._columns]
        self._widths = [max(cell_len(row[place]) for row in (headings, *self._held)) for place in range(len(headings))]
        # A few very long cells must not push the next column out of sight; they stick out instead.
        width_max = max(shutil.get_terminal_size().columns // 2, 20)
        self._widths = [min(width, width_max) for width in self._widths]
        click.secho(self._line(headings), bold=True)
        held, self._held = self._held, []
        for row in held:
            self._print_row(row)

    def _print_row(self, cells: Sequence[str]) -> None:
        _write(self._line(cells) + "\n")

    def _line(self, cells: Sequence[str]) -> str:
        last = len(cells) - 1
        parts = []
        for place, (cell, width, column) in enumerate(zip(cells, self._widths, self._columns, strict=True)):
            padding = " " * max(0, width - self._cell_len(cell))
            if column.is_number:
                parts.append(padding + cell)
            else:
                parts.append(cell if place == last else cell + padding)
        return "  ".join(parts)


def _write(text: str) -> None:
    """Without a flush for each line."""
    sys.stdout.write(text)
