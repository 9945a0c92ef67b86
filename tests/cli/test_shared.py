"""What all commands share: notation, forms of output, words, exit statuses."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.cli.lazy import LazyCommands
from flaredb.cli.main import COMMANDS, Main, cli
from flaredb.cli.notation import in_file, json_row, shown
from flaredb.cli.output import Column, items_of
from flaredb.cli.output_rows import HEAD_ROWS, Rows
from flaredb.model.keys import parse_key

SHOWN = [
    ("text is shown as it is", b"user/1", "user/1"),
    ("and so are words in any script", "Grüße 漢字".encode(), "Grüße 漢字"),
    ("nothing at all", b"", "b''"),
    ("bytes that are no text", b"\xff\x00", r"b'\xff\x00'"),
    ("control characters", b"a\tb\n", r"b'a\tb\n'"),
    ("space at an end", b" a", "b' a'"),
    ("what would be read as something else", b"hex:00", "b'hex:00'"),
    ("what would be taken for an option", b"-x", "b'-x'"),
]


@pytest.mark.parametrize(("case", "raw", "text"), SHOWN, ids=[row[0] for row in SHOWN])
def test_bytes_as_text(case: str, raw: bytes, text: str) -> None:
    assert shown(raw) == text
    assert parse_key(text) == raw


@given(st.one_of(st.binary(max_size=20), st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))))
def test_what_is_shown_reads_back(raw: bytes) -> None:
    text = shown(raw)
    assert parse_key(text) == raw
    assert text.isprintable()
    assert not text.startswith("-")
    assert parse_key(in_file(raw)) == raw


def test_files_carry_lines_and_spaces_as_they_are() -> None:
    assert in_file(" two\nlines\t漢".encode()) == " two\nlines\t漢"
    assert in_file(b"") == ""
    assert in_file(b"-x") == "-x"
    assert [in_file(raw) for raw in (b"b64:", b"\r", b"\xff")] == ["b'b64:'", r"b'\r'", r"b'\xff'"]


COLUMNS = [Column("key"), Column("value")]


def printed(form: str, rows: list[tuple[bytes, bytes]], capsys: pytest.CaptureFixture[str]) -> str:
    with Rows(form, COLUMNS) as out:
        for key, value in rows:
            out.add([shown(key), shown(value)], json_row(key, value))
        assert out.count == len(rows)
    return capsys.readouterr().out


def test_rows_that_come_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(b"k", b"v"), (b"long key", b"\x00")]
    assert printed("tsv", rows, capsys) == "key\tvalue\nk\tv\nlong key\tb'\\x00'\n"
    assert printed("", rows, capsys) == printed("tsv", rows, capsys)
    assert printed("table", rows, capsys) == "key       value\nk         v\nlong key  b'\\x00'\n"
    first = {"key": "k", "key_hex": "6b", "value": "v", "value_hex": "76"}
    assert json.loads(printed("jsonl", rows, capsys).splitlines()[0]) == first
    assert json.loads(printed("json", rows, capsys))[0] == first
    for form, nothing in (("tsv", "key\tvalue\n"), ("table", ""), ("jsonl", ""), ("json", "[]\n")):
        assert printed(form, [], capsys) == nothing


def test_a_table_goes_on_with_the_widths_of_its_first_rows(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(b"%03d" % number, b"v") for number in range(HEAD_ROWS)] + [(b"a longer key", b"v")]
    lines = printed("table", rows, capsys).splitlines()
    assert lines[1] == "000  v"
    assert lines[-1] == "a longer key  v"


def test_an_error_ends_what_was_begun(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ValueError), Rows("json", COLUMNS) as out:
        out.add(["k", "v"], {"key": "k"})
        raise ValueError
    assert json.loads(capsys.readouterr().out) == [{"key": "k"}]


def test_what_goes_on_a_line_each() -> None:
    assert items_of([1, 2]) == [1, 2]
    assert items_of({"count": 2, "stores": [1, 2]}) == [1, 2]
    assert items_of({"a": [1], "b": [2]}) == [{"a": [1], "b": [2]}]
    assert items_of("Done.") == ["Done."]


def test_every_command_can_be_loaded_and_says_what_it_is_for() -> None:
    assert isinstance(cli, LazyCommands)
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert isinstance(command, click.Command)
        assert command.name == name
        assert command.help


def test_the_module_is_the_command() -> None:
    for line in (["--help"], ["kvv"]):
        ran = [
            subprocess.run([*start, *line], capture_output=True, text=True)
            for start in (
                [sys.executable, "-m", "flaredb"],
                [sys.executable, "-c", "import flaredb.cli.main as m; m.main()"],
            )
        ]
        assert (ran[0].returncode, ran[0].stdout, ran[0].stderr) == (ran[1].returncode, ran[1].stdout, ran[1].stderr)


@click.command()
def unread() -> None:
    raise BrokenPipeError(32, "Broken pipe")


def test_whoever_stops_reading_is_not_told_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    group = Main("flaredb", places={"unread": (f"{__name__}:unread", "")})
    # The test's own standard output stays.
    with contextlib.redirect_stdout(io.StringIO()):
        assert group.main(["unread"], standalone_mode=False) == 141
    assert capsys.readouterr() == ("", "")
