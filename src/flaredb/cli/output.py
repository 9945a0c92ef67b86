"""How answers of all commands are shown: tables on a terminal, tab-separated values in a pipe, JSON when asked for.

An answer that is there as a whole is given to :func:`show`; rows that come one by one to :class:`Rows`
(cli/output_rows.py). Errors are not answers: they are raised, and main.py writes them to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import click

from flaredb.model.keys import format_key

FORMS = ("table", "tsv", "json", "jsonl")
"""jsonl: one object on each line."""


@dataclass(slots=True)
class Column:
    """A heading; numbers stand to the right."""

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


class Prose(str):
    """Sentences for people: on a terminal, lines are broken between words."""

    __slots__ = ()


def show(form: str, raw: Any, view: Table | Facts | str) -> None:
    """Print ``raw`` as JSON, or ``view`` for people or programs; ``form`` "" chooses by where it goes."""
    form = chosen(form)
    if form in ("json", "jsonl"):
        _print_json(form, raw)
    elif isinstance(view, Prose) and form == "table":
        _print_prose(view)
    elif isinstance(view, str):
        click.echo(view)
    elif form == "tsv":
        _print_tsv(view)
    else:
        _print_for_people(view)


def chosen(form: str) -> str:
    """The form meant by -o; "" (no option) is a table on a terminal, else tsv."""
    return form or ("table" if sys.stdout.isatty() else "tsv")


def items_of(raw: Any) -> list[Any]:
    """What of an answer goes on a line each: the items of a list, or of the only list in an object; else all of it."""
    if isinstance(raw, list):
        return raw
    lists = [value for value in raw.values() if isinstance(value, list)] if isinstance(raw, dict) else []
    return lists[0] if len(lists) == 1 else [raw]


def key_text(hexadecimal: str, open_end: str) -> str:
    """A key that PD writes in hexadecimal digits, in the notation for people; ``open_end`` stands for none."""
    return format_key(bytes.fromhex(hexadecimal)) if hexadecimal else open_end


def _print_json(form: str, raw: Any) -> None:
    import json

    if form == "json":
        click.echo(json.dumps(raw, indent=2, ensure_ascii=False))
        return
    for item in items_of(raw):
        click.echo(json.dumps(item, ensure_ascii=False))


def _print_tsv(view: Table | Facts) -> None:
    if isinstance(view, Facts):
        rows = [list(pair) for pair in view.pairs]
    else:
        rows = [[column.heading.replace(" ", "_") for column in view.columns], *view.rows]
    for row in rows:
        click.echo(tsv_line(row))


def tsv_line(cells: Sequence[str]) -> str:
    """Cells with tabs between them, on one line."""
    return "\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in cells)


def _print_prose(text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(text), soft_wrap=not console.is_terminal)


def _print_for_people(view: Table | Facts) -> None:
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
        widths = fitted_widths(view, console.width)
        table = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for column, width in zip(view.columns, widths, strict=True):
            justify: Literal["left", "right"] = "right" if column.is_number else "left"
            table.add_column(column.heading, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
        for row in view.rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        # Rather than unreadable, a table is wider than the terminal.
        Console(highlight=False, width=max(console.width, _total(widths))).print(table)
    if view.note:
        console.print(Text(view.note, style="dim"), soft_wrap=True)


def fitted_widths(table: Table, width: int) -> list[int]:
    """Widths of the columns: the widest of those that may shrink gives way first, none below what is legible."""
    from rich.cells import cell_len

    rows = [[column.heading for column in table.columns], *table.rows]
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(table.columns))]
    excess = _total(widths) - width
    while excess > 0:
        shrinkable = [
            place for place, column in enumerate(table.columns) if column.may_shrink and widths[place] > LEGIBLE
        ]
        if not shrinkable:
            break
        widths[max(shrinkable, key=widths.__getitem__)] -= 1
        excess -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * len(widths)


_GAP = 2
"""Spaces behind each column."""

LEGIBLE = 12
"""Characters that a column which may shrink keeps."""

_STYLES = {
    "Up": "green",
    "Offline": "yellow",
    "Disconnected": "yellow",
    "Down": "red",
    "Tombstone": "dim",
    "paused": "yellow",
    "draining": "yellow",
    "no answer": "red",
}
