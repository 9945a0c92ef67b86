"""The unified log format of TiKV and PD: one record, one line, as text or as JSON.

    [2026/11/23 10:00:00.123 +00:00] [INFO] [node.py:125] ["store is serving"] [store_id=1] [address=127.0.0.1:20160]

A value is quoted (a JSON string) where it holds a blank, a quote, an equals sign, a bracket or a control character, so
that a line can be taken apart again; the message is always quoted. Keys are Python bytes literals.
"""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import Mapping
from typing import Any

from flaredb.model.keys import format_key

LINE_CHARACTERS_MAX = 16 * 1024
"""Longer lines are cut, so that one record cannot fill the queue of the log."""

TRACE = 5
LEVEL_NAMES = {
    TRACE: "TRACE",
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
}

_CUT_MARK = "...(cut)"
_needs_quotes = re.compile(r'[\x00-\x20"=\[\]\x7f-\x9f\u2028\u2029]').search


def format_value(value: Any) -> str:
    """One value as text, without quotes around it: bytes as a bytes literal, None and booleans in lower case."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return format_key(bytes(value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    return str(value)


def quote_if_needed(text: str) -> str:
    """``text`` as it stands, or as a JSON string where it would break the line apart or look like nothing."""
    return quote(text) if not text or _needs_quotes(text) else text


def quote(text: str) -> str:
    """``text`` as a JSON string; letters of other scripts stay readable, invisible characters do not."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _needs_escape.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


_needs_escape = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class TextFormatter(logging.Formatter):
    """Lines as TiKV and PD write them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        parts = [
            f"[{_timestamp(record.created)}] [{level_name(record.levelno)}] "
            f"[{record.filename}:{record.lineno}] [{quote(record.getMessage())}]"
        ]
        parts += [
            f"[{quote_if_needed(name)}={quote_if_needed(format_value(value))}]"
            for name, value in _fields(record).items()
        ]
        line = " ".join(parts)
        return line if len(line) <= LINE_CHARACTERS_MAX else line[: LINE_CHARACTERS_MAX - len(_CUT_MARK)] + _CUT_MARK


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with TiKV's member names; numbers and booleans keep their type."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        facts: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": level_name(record.levelno),
            "caller": f"{record.filename}:{record.lineno}",
            "message": _cut(record.getMessage()),
        }
        room = LINE_CHARACTERS_MAX - len(facts["message"])
        for name, value in _fields(record).items():
            plain = value if isinstance(value, bool | int | None) else _cut(format_value(value), room)
            room -= len(plain) if isinstance(plain, str) else 0
            facts.setdefault(name, plain)
        return json.dumps(facts)


def level_name(level: int) -> str:
    """The name of a level as TiKV writes it; numbers between two levels take the lower one's name."""
    names = [name for number, name in LEVEL_NAMES.items() if number <= level]
    return names[-1] if names else "TRACE"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given: Mapping[str, Any] = getattr(record, "fields", {})
    fields = dict(given)
    if record.exc_info and record.exc_info[0] is not None:
        fields.setdefault("error", f"{record.exc_info[0].__name__}: {record.exc_info[1]}")
        fields["stack"] = "".join(traceback.format_exception(*record.exc_info))
    return fields


def _cut(text: str, room: int = LINE_CHARACTERS_MAX) -> str:
    room = max(room, len(_CUT_MARK))
    return text if len(text) <= room else text[: room - len(_CUT_MARK)] + _CUT_MARK


def _timestamp(created_s: float) -> str:
    """Local time with milliseconds and the offset to UTC."""
    whole_s, milliseconds = divmod(int(created_s * 1000), 1000)
    local = time.localtime(whole_s)
    sign = "-" if local.tm_gmtoff < 0 else "+"
    hours, minutes = divmod(abs(local.tm_gmtoff) // 60, 60)
    return f"{time.strftime('%Y/%m/%d %H:%M:%S', local)}.{milliseconds:03} {sign}{hours:02}:{minutes:02}"
