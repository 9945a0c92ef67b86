"""How answers are shown: tables on a terminal, tab-separated values in a pipe, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from flaredb.model.keys import format_key

FORMS = ("table", "tsv", "json")


@dataclass(slots=True)
class Column:
    """A heading; numbers stand to the right. ``name`` heads it in TSV, if not by the same word."""

    heading: str
    is_number: bool = False
    may_shrink: bool = False
    """Cut with an ellipsis where a terminal is too narrow; the others never are."""


@dataclass(slots=True)
class Table:
    """Rows of texts under columns; ``note`` is one more line for people."""

    columns: Sequence[Column]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""


@dataclass(slots=True)
class Facts:
    """One thing: (name, value) pairs."""

    pairs: list[tuple[str, str]]


def show(form: str, raw: Any, view: Table | Facts | str) -> None:
    """Print ``raw`` as JSON, or ``view`` for people or programs; ``form`` "" chooses by where it goes."""
    form = form or ("table" if sys.stdout.isatty() else "tsv")
    if form == "json":
        click.echo(json.dumps(raw, indent=2))
    elif isinstance(view, str):
        click.echo(view)
    elif form == "tsv":
        _print_tsv(view)
    else:
        _print_for_people(view)


def key_text(hexadecimal: str, open_end: str) -> str:
    """A key that PD writes in hexadecimal digits, in the notation for people; ``open_end`` stands for none."""
    return format_key(bytes.fromhex(hexadecimal)) if hexadecimal else open_end


def _print_tsv(view: Table | Facts) -> None:
    if isinstance(view, Facts):
        rows = [list(pair) for pair in view.pairs]
    else:
        rows = [[column.heading.replace(" ", "_") for column in view.columns], *view.rows]
    for row in rows:
        click.echo("\t".join(_one_line(cell) for cell in row))


def _one_line(cell: str) -> str:
    return cell.replace("\t", " ").replace("\n", " ")


def _print_for_people(view: Table | Facts) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(highlight=False)
    if isinstance(view, Facts):
        width = max((len(name) for name, _ in view.pairs), default=0)
        for name, value in view.pairs:
            console.print(Text(f"{name:<{width}}  ", style="dim"), Text(value), sep="", soft_wrap=True)
        return
    if view.rows:
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in view.columns:
            table.add_column(
                column.heading,
                justify="right" if column.is_number else "left",
                no_wrap=True,
                overflow="ellipsis",
                min_width=4 if column.may_shrink else None,
            )
        for row in view.rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        console.print(table)
    if view.note:
        console.print(Text(view.note, style="dim"), soft_wrap=True)


_STYLES = {
    "Up": "green",
    "Offline": "yellow",
    "Disconnected": "yellow",
    "Down": "red",
    "Tombstone": "dim",
    "paused": "yellow",
}
