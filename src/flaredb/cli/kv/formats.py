"""Pairs in files: csv and jsonl, read line by line and written row by row.

Columns, and fields of a line's object: ``key`` and ``value`` in the notation of the command line, or ``key_hex`` and
``value_hex`` in hexadecimal digits, which count if both are there. A csv without a line of headings is key, value.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from flaredb.cli.notation import in_file
from flaredb.model.errors import FlareDBError
from flaredb.model.keys import parse_key

FORMATS = ("csv", "jsonl")
LINE_BYTES_MAX = 64 * 1024 * 1024
"""A line longer than any pair can be is not read into memory whole."""

_FIELDS = ("key", "value", "key_hex", "value_hex")


class BadLine(FlareDBError):
    """A line that is no pair; ``line`` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line:,}: {reason}")
        self.line = line


class Entry(NamedTuple):
    """A pair, and the last line that it stands on."""

    line: int
    key: bytes
    value: bytes


Read = Callable[[str], bytes]


def format_of(name: str, wanted: str | None) -> str:
    """csv or jsonl: what is wanted, else what the file's name says. Errors: ValueError if it says neither."""
    found = wanted or Path(name).suffix.lower().removeprefix(".")
    if found in FORMATS:
        return found
    raise ValueError(f'"{name}" does not say its format: add --format csv or --format jsonl')


def read_entries(lines: Iterable[bytes], form: str, is_plain: bool, skip: int = 0) -> Iterator[Entry]:
    """The pairs of a file, lazily. ``is_plain``: texts are taken as they stand, without notation.

    ``skip``: leave out so many lines; a line of headings is read all the same.
    Errors: BadLine.
    """
    read: Read = str.encode if is_plain else parse_key
    return (_csv_entries if form == "csv" else _json_entries)(lines, read, skip)


def _json_entries(lines: Iterable[bytes], read: Read, skip: int) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        if number <= skip or not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise BadLine(number, f"this is no JSON: {error}") from error
        if not isinstance(fields, dict):
            raise BadLine(number, 'write an object on each line, such as {"key": "a", "value": "1"}')
        yield _entry(number, fields, read)


def _csv_entries(lines: Iterable[bytes], read: Read, skip: int) -> Iterator[Entry]:
    csv.field_size_limit(LINE_BYTES_MAX)
    rows = csv.reader(_decoded(lines), strict=True)
    names: Sequence[str] = ("key", "value")
    is_first = True
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadLine(rows.line_num, f"this is no csv: {error}") from error
        if is_first:
            is_first = False
            if row and set(row) <= set(_FIELDS):
                names = row
                continue
        if rows.line_num <= skip or not row:
            continue
        if len(row) != len(names):
            raise BadLine(rows.line_num, f"{len(row)} columns, not {len(names)} ({', '.join(names)})")
        yield _entry(rows.line_num, dict(zip(names, row, strict=True)), read)


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadLine(number, f"this is no UTF-8: {error.reason}; write such bytes as hex:..") from error


def _entry(line: int, fields: dict[str, Any], read: Read) -> Entry:
    return Entry(line, _bytes(line, fields, "key", read), _bytes(line, fields, "value", read))


def _bytes(line: int, fields: dict[str, Any], name: str, read: Read) -> bytes:
    hexadecimal = fields.get(f"{name}_hex")
    text = fields.get(name) if hexadecimal is None else hexadecimal
    if not isinstance(text, str):
        what = "is missing" if text is None else f"is {json.dumps(text)[:40]}, not a text"
        raise BadLine(line, f'"{name}" {what}')
    try:
        return read(text) if hexadecimal is None else bytes.fromhex(text)
    except ValueError as error:
        reason = str(error) if hexadecimal is None else f'"{name}_hex" is not pairs of hexadecimal digits'
        raise BadLine(line, reason.replace("a key:", f"a {name}:")) from error


class PairWriter:
    """Writes pairs to a text file."""

    def __init__(self, target: TextIO, form: str, is_hex: bool) -> None:
        self._target = target
        self._is_hex = is_hex
        self._csv = csv.writer(target, lineterminator="\n") if form == "csv" else None
        self._names = ("key_hex", "value_hex") if is_hex else ("key", "value")
        if self._csv is not None:
            self._csv.writerow(self._names)

    def write(self, key: bytes, value: bytes) -> None:
        """One pair. Errors: OSError."""
        texts = (key.hex(), value.hex()) if self._is_hex else (in_file(key), in_file(value))
        if self._csv is not None:
            self._csv.writerow(texts)
        else:
            self._target.write(json.dumps(dict(zip(self._names, texts, strict=True)), ensure_ascii=False) + "\n")
