"""How bytes are written on the command line: the one place where keys and values become text, and text becomes bytes.

Read: ``b'a\\x00'``, ``hex:6100``, ``b64:YQA=``, anything else is plain text (model/keys.py). Shown: as plain text where
that reads back as the same bytes, else as a bytes literal. JSON has ``key`` so, and ``key_hex`` for programs.
"""

from __future__ import annotations

import re
from typing import Any

import click

from flaredb.model.keys import format_key, parse_key, parse_key_list

_MARKS = ("b'", 'b"', "hex:", "b64:")
"""What a plain text must not start with: it would be read as something else."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Not the tab, not the end of a line."""


def shown(raw: bytes) -> str:
    """Bytes as text that :func:`flaredb.model.keys.parse_key` reads back, on one line, without control characters."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return format_key(raw)
    if not text.isprintable() or text.strip() != text or not text or text.startswith((*_MARKS, "-", "+inf")):
        return format_key(raw)
    return text


def in_file(raw: bytes) -> str:
    """As :func:`shown`, for what quotes texts itself (JSON, csv): lines, tabs and spaces stand as they are."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return format_key(raw)
    return format_key(raw) if text.startswith(_MARKS) or _CONTROL.search(text) else text


def json_key(key: bytes) -> dict[str, str]:
    """The fields of a key in JSON."""
    return {"key": in_file(key), "key_hex": key.hex()}


def json_row(key: bytes, value: bytes) -> dict[str, str]:
    """The fields of a key and its value in JSON."""
    return {**json_key(key), "value": in_file(value), "value_hex": value.hex()}


class BytesType(click.ParamType):  # type: ignore[type-arg]
    """A key or a value in any notation; with ``many``, several with commas between.

    With ``or_stdin`` a lone dash stays text: it stands for standard input.
    """

    def __init__(self, name: str, many: bool = False, or_stdin: bool = False) -> None:
        self.name = name
        self._many = many
        self._or_stdin = or_stdin

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """The bytes."""
        if not isinstance(value, str) or (value == "-" and self._or_stdin):
            return value
        try:
            return parse_key_list(value) if self._many else parse_key(value)
        except ValueError as error:
            self.fail(str(error).replace("a key", f"a {self.name}"), param, context)


KEY = BytesType("key")
KEYS = BytesType("key", many=True)
VALUE = BytesType("value")
VALUE_OR_STDIN = BytesType("value", or_stdin=True)
