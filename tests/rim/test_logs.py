"""The log: how lines look, which are written, and that writing them never holds anybody up."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.model.errors import ConfigError
from flaredb.server import logs
from flaredb.server.log_format import (
    LINE_CHARACTERS_MAX,
    JsonFormatter,
    TextFormatter,
    format_value,
    quote_if_needed,
)
from flaredb.server.logs import BufferedHandler, log_event, once_per, set_level, setup_logging

log = logging.getLogger("flaredb.tests.logs")


@pytest.fixture(autouse=True)
def _logging_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test leaves a handler or a level behind; a flush has the time that a busy machine takes."""
    monkeypatch.setattr(logs, "FLUSH_SECONDS_MAX", 60.0)
    root, ours = logging.getLogger(), logging.getLogger("flaredb")
    levels, handlers = (root.level, ours.level), list(root.handlers)
    yield
    if logs._active is not None:
        logs._active.close()
        logs._active = None
    logging.captureWarnings(False)
    root.handlers = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def _record(message: str, level: int = logging.INFO, exc_info: Any = None, **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("flaredb.x", level, "/src/node.py", 12, message, None, exc_info)
    record.created = 1_795_428_000.123
    record.fields = fields
    return record


@pytest.mark.parametrize(
    ("case", "value", "text"),
    [
        ("a word stands as it is", "inline", "inline"),
        ("numbers", 42, "42"),
        ("an address", "127.0.0.1:20160", "127.0.0.1:20160"),
        ("an empty value is visible", "", '""'),
        ("blanks", "two words", '"two words"'),
        ("a quote", 'say "no"', r'"say \"no\""'),
        ("an equals sign", "a=b", '"a=b"'),
        ("brackets", "[x]", '"[x]"'),
        ("a new line cannot start a record", "a\n[forged]", r'"a\n[forged]"'),
        ("an escape sequence for terminals", "\x1b[31m", r'"\u001b[31m"'),
        ("line ends of Unicode", "a\u2028b", r'"a\u2028b"'),
        ("other scripts stay readable", "größe", "größe"),
        ("a key is a bytes literal", b"user:1", "b'user:1'"),
        ("a key's bytes are escaped", b"\x00\xff", r"b'\x00\xff'"),
        ("a key with a blank", b"a b", "\"b'a b'\""),
        ("nothing", None, "none"),
        ("truth", True, "true"),
        ("a fraction", 0.123456789, "0.123457"),
        ("a list", [1, b"k"], "\"[1, b'k']\""),
    ],
)
def test_value_in_a_line(case: str, value: Any, text: str) -> None:
    assert quote_if_needed(format_value(value)) == text, case


def test_text_line_has_time_level_place_message_and_fields() -> None:
    line = TextFormatter().format(_record("store is serving", store_id=1, key=b"k"))
    assert re.fullmatch(
        r"\[2026/11/2\d \d\d:\d\d:00\.123 [+-]\d\d:\d\d\] "
        r"\[INFO\] \[node\.py:12\] \[\"store is serving\"\] \[store_id=1\] \[key=b'k'\]",
        line,
    )


@pytest.mark.parametrize(
    ("level", "name"),
    [(5, "TRACE"), (10, "DEBUG"), (20, "INFO"), (30, "WARN"), (35, "WARN"), (40, "ERROR"), (50, "FATAL"), (1, "TRACE")],
)
def test_levels_have_the_names_of_tikv(level: int, name: str) -> None:
    assert f"] [{name}] [" in TextFormatter().format(_record("x", level))


@given(message=st.text(), value=st.text())
@settings(deadline=None)
def test_a_record_is_always_one_line_and_its_value_can_be_read_back(message: str, value: str) -> None:
    line = TextFormatter().format(_record(message, field=value))
    assert line.splitlines() == [line]
    shown = line[line.rindex(" [field=") + len(" [field=") : -1]
    if len(line) < LINE_CHARACTERS_MAX:
        assert (json.loads(shown) if shown.startswith('"') else shown) == value


def test_a_percent_sign_in_a_message_is_text(tmp_path: Path) -> None:
    handler = setup_logging("info", str(tmp_path / "log"))
    log_event(log, logging.INFO, "disk is 90 % full, %s")
    handler.flush()
    assert '["disk is 90 % full, %s"]' in (tmp_path / "log").read_text()


def test_an_exception_becomes_two_fields_of_the_same_line() -> None:
    try:
        raise ValueError("bad\nvalue")
    except ValueError as error:
        line = TextFormatter().format(_record("failed", exc_info=(type(error), error, error.__traceback__)))
    assert len(line.splitlines()) == 1
    assert r'[error="ValueError: bad\nvalue"]' in line
    assert "[stack=" in line


def test_a_huge_value_is_cut() -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(_record("x", reason="y" * 1_000_000, key=b"z" * 100_000))
        assert len(line) < 2 * LINE_CHARACTERS_MAX
        assert "...(cut)" in line


def test_json_line_keeps_types_and_cannot_be_forged() -> None:
    record = _record("leader changed", logging.WARNING, region_id=7, key=b"\x00")
    record.fields["message"] = "other"
    facts = json.loads(JsonFormatter().format(record))
    assert facts["level"] == "WARN"
    assert facts["caller"] == "node.py:12"
    assert facts["region_id"] == 7
    assert facts["key"] == "b'\\x00'"
    assert facts["message"] == "leader changed"


def test_only_lines_of_the_level_reach_the_file(tmp_path: Path) -> None:
    file = tmp_path / "store.log"
    file.write_text("kept\n")
    handler = setup_logging("warn", str(file))
    log_event(log, logging.INFO, "too small")
    log_event(log, logging.WARNING, "reported", region_id=3)
    handler.flush()
    kept, line = file.read_text().splitlines()
    assert kept == "kept"
    assert line.endswith('["reported"] [region_id=3]')
    assert "[test_logs.py:" in line, "the place is the caller's"


def test_the_level_changes_while_running() -> None:
    stream = io.StringIO()
    handler = setup_logging("info", stream=stream)
    log_event(log, logging.DEBUG, "before")
    set_level("debug")
    log_event(log, logging.DEBUG, "after")
    handler.flush()
    assert "before" not in stream.getvalue()
    assert "after" in stream.getvalue()


def test_libraries_are_quiet_below_a_warning() -> None:
    stream = io.StringIO()
    handler = setup_logging("trace", stream=stream)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")
    handler.flush()
    assert "chatter" not in stream.getvalue()
    assert "trouble" in stream.getvalue()


def test_a_second_setup_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    setup_logging("info", stream=first)
    handler = setup_logging("info", stream=second)
    log_event(log, logging.INFO, "once")
    handler.flush()
    assert "once" not in first.getvalue()
    assert second.getvalue().count("once") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"level": "loud"}, 'log.level = "loud"'),
        ({"level": "info", "format": "xml"}, 'log.format = "xml"'),
        ({"level": "info", "file": "/proc/no/such/file"}, "log.file.filename"),
    ],
)
def test_what_cannot_be_set_up_is_refused_by_its_setting(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        setup_logging(**arguments)


class StuckStream(io.StringIO):
    """A disk that hangs until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.released.wait(60)
        return super().write(text)


def test_a_stuck_disk_holds_nobody_up_and_lost_lines_are_told() -> None:
    stream = StuckStream()
    handler = BufferedHandler(stream, pending_characters_max=2_000)
    handler.setFormatter(TextFormatter())
    handler.handle(_record("first"))
    assert stream.reached.wait(30)
    began_s = time.monotonic()
    for _ in range(100):
        handler.handle(_record("more"))
    assert time.monotonic() - began_s < 20, "a third of what the disk would have taken"
    assert 0 < handler.dropped < 100
    lost = handler.dropped
    stream.released.set()
    handler.flush()
    handler.handle(_record("last"))
    handler.close()
    lines = stream.getvalue().splitlines()
    assert sum('["more"]' in line for line in lines) == 100 - lost
    assert sum("lines were dropped" in line for line in lines) == 1
    assert f"[count={lost}]" in stream.getvalue()
    assert '["last"]' in stream.getvalue()


def test_a_stream_that_fails_is_survived() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError("nobody reads")

    handler = BufferedHandler(Broken())
    handler.setFormatter(TextFormatter())
    handler.handle(_record("x"))
    handler.flush()
    handler.close()
    assert handler.dropped == 1


def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    handler = setup_logging("info", str(tmp_path / "log"))
    for number in range(500):
        log_event(log, logging.INFO, "line", index=number)
    handler.close()
    assert len((tmp_path / "log").read_text().splitlines()) == 500


def test_repeated_lines_are_held_back_and_counted() -> None:
    stream, now_s = io.StringIO(), 0.0
    handler = setup_logging("info", stream=stream)
    unreached = once_per(10, by=("store_id",), now_s=lambda: now_s)
    for second in (0, 1, 2, 9.9, 10, 11, 30):
        now_s = second
        unreached.log(log, logging.WARNING, "store unreached", store_id=2)
    now_s = 5
    unreached.log(log, logging.WARNING, "store unreached", store_id=3)
    handler.flush()
    ends = [line.split('["store unreached"] ')[1] for line in stream.getvalue().splitlines()]
    assert ends == ["[store_id=2]", "[store_id=2] [suppressed=3]", "[store_id=2] [suppressed=1]", "[store_id=3]"]
    assert "[test_logs.py:" in stream.getvalue()


def test_kinds_of_repeated_lines_are_bounded() -> None:
    setup_logging("info", stream=io.StringIO())
    limited = once_per(10, by=("store_id",), now_s=lambda: 0.0)
    for store_id in range(5_000):
        limited.log(log, logging.WARNING, "store unreached", store_id=store_id)
    assert len(limited._kinds) <= logs._REPEATED_KINDS_MAX
