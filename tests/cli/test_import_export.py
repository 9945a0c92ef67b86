"""``flaredb kv import`` and ``export``: what is read back, bad lines, going on after an error."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.cli.kv import importing
from flaredb.cli.kv.formats import BadLine, read_entries
from flaredb.cli.kv.progress import LINE_EVERY_S, Progress, time_text
from flaredb.errors import UndeterminedError
from flaredb.testing import AsyncMemoryClient
from tests.cli.rig import Rig

ODD = {
    b"a": b"1",
    b"b": b"",
    b"c,\"'": b'say "hi", all',
    b"d\x00\xff": b"\x80",
    b"e": "two\nlines 漢\t".encode(),
    b"f": b"hex:00",
    b"g": b"b'x'",
    b"h ": b" -x",
    b"i": b"\r\n",
}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("options", [[], ["--hex"]])
def test_what_is_exported_is_imported(form: str, options: list[str], rig: Rig, tmp_path: Path) -> None:
    rig.db.put_many(ODD)
    file = tmp_path / f"pairs.{form}"
    assert rig.done("export", str(file), *options).startswith("exported 9 pairs in ")
    rig.db.delete_range(b"")
    out = rig.done("import", str(file), "-o", "jsonl")
    assert json.loads(out)["pairs"] == 9
    assert dict(rig.db.scan()) == ODD


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=8), st.text(max_size=8)), max_size=20), st.booleans())
def test_any_pairs_come_back(pairs: list[tuple[bytes, str]], is_csv: bool) -> None:
    import io

    from flaredb.cli.kv.formats import PairWriter

    form = "csv" if is_csv else "jsonl"
    target = io.StringIO(newline="")
    writer = PairWriter(target, form, is_hex=False)
    raw = [(key, value.encode("utf-8", "replace")) for key, value in pairs]
    for key, value in raw:
        writer.write(key, value)
    lines = io.BytesIO(target.getvalue().encode())
    assert [(entry.key, entry.value) for entry in read_entries(lines, form, is_plain=False)] == raw


def test_export_of_a_range_to_standard_output(rig: Rig) -> None:
    rig.db.put_many(ODD)
    ran = rig.kv("export", "-", "--start", "a", "--end", "c", "--format", "csv")
    assert (ran.code, ran.out) == (0, "key,value\na,1\nb,\n")
    assert ran.err.startswith("flaredb: exported 2 pairs in ")
    assert rig.kv("export", "-", "--prefix", "d", "--hex").out == '{"key_hex": "6400ff", "value_hex": "80"}\n'


def test_a_file_is_replaced_only_by_force_and_only_when_whole(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("before")
    rig.db.put(b"k", b"v")
    ran = rig.kv("export", str(file))
    assert (ran.code, file.read_text()) == (2, "before")
    assert "say --force to replace it" in ran.err

    def broken(*_arguments: Any, **_options: Any) -> Iterator[Any]:
        raise UndeterminedError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(AsyncMemoryClient, "scan", broken)
        assert rig.kv("export", str(file), "--force").code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.csv"]
    assert file.read_text() == "before"
    rig.done("export", str(file), "--force")
    assert file.read_text() == "key,value\nk,v\n"


def test_import_from_standard_input(rig: Rig) -> None:
    rig.stdin(b'{"key": "a", "value": "1"}\n\n{"key_hex": "00", "value": "hex:ff", "more": 1}\n')
    assert rig.done("import", "-").startswith("imported 2 pairs in ")
    assert dict(rig.db.scan()) == {b"\x00": b"\xff", b"a": b"1"}
    rig.stdin(b"\xef\xbb\xbfa,2\n")
    rig.done("import", "-", "--format", "csv")
    assert rig.db.get(b"a") == b"2"


def test_plain_texts_have_no_notation(rig: Rig) -> None:
    rig.stdin(b"hex:zz,b'\n")
    rig.done("import", "-", "--format", "csv", "--plain")
    assert dict(rig.db.scan()) == {b"hex:zz": b"b'"}


def test_a_dry_run_writes_nothing(rig: Rig) -> None:
    rig.stdin(b"a,1\n")
    assert rig.done("import", "-", "--format", "csv", "--dry-run").startswith("read 1 pair in ")
    assert list(rig.db) == []


BAD_LINES = [
    ("csv", b"a,1\nb\n", "line 2: 1 columns, not 2 (key, value)"),
    ("csv", b"value,key\n1,a\n2,hex:0\n", 'line 3: "hex:0" is not a key: after hex:'),
    ("csv", b"a,hex:0\n", 'line 1: "hex:0" is not a value: after hex:'),
    ("csv", b'a,"1\n2"\nb,"x\n', "line 3: this is no csv"),
    ("csv", b"a,1\nb,\xff\n", "line 2: this is no UTF-8"),
    ("csv", b"key_hex,value_hex\n0,00\n", 'line 2: "key_hex" is not pairs'),
    ("csv", b"key\na\n", 'line 2: "value" is missing'),
    ("jsonl", b"\n[1]\n", "line 2: write an object on each line"),
    ("jsonl", b"{\n", "line 1: this is no JSON"),
    ("jsonl", b"\xff\n", "line 1: this is no JSON"),
    ("jsonl", b'{"key": "a"}\n', 'line 1: "value" is missing'),
    ("jsonl", b'{"key": "a", "value": 1}\n', 'line 1: "value" is 1, not a text'),
]


@pytest.mark.parametrize(("form", "data", "words"), BAD_LINES)
def test_bad_lines_are_named(form: str, data: bytes, words: str) -> None:
    with pytest.raises(BadLine) as raised:
        list(read_entries(iter(data.splitlines(keepends=True)), form, is_plain=False))
    assert words in str(raised.value)


def numbered(count: int) -> bytes:
    return b"".join(b"k%05d,%d\n" % (number, number) for number in range(1, count + 1))


def test_an_import_stops_at_a_bad_line_and_goes_on_from_there(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_bytes(b"key,value\n" + numbered(1_500) + b"bad\n" + b"z,1\n")
    ran = rig.kv("import", str(file))
    assert (ran.code, ran.out) == (1, "")
    first, second, third = ran.err.splitlines()
    assert first == f"flaredb: {file}, line 1,502: 1 columns, not 2 (key, value)"
    assert second == "flaredb: every pair up to line 1,501 is written; go on with --skip 1501"
    assert third.startswith("flaredb: imported 1,500 pairs in ")
    assert len(list(rig.db)) == 1_500
    assert rig.done("import", str(file), "--skip", "1502").startswith("imported 1 pair in ")
    assert rig.db.get(b"z") == b"1"


def test_an_import_tells_how_far_it_came_when_writes_fail(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pairs.csv"
    file.write_bytes(numbered(5_000))
    put_many = AsyncMemoryClient.put_many

    async def failing(self: AsyncMemoryClient, pairs: dict[bytes, bytes], **options: Any) -> None:
        if b"k02000" in pairs:
            raise UndeterminedError("nobody said what became of it")
        await put_many(self, pairs, **options)

    with monkeypatch.context() as patch:
        patch.setattr(AsyncMemoryClient, "put_many", failing)
        ran = rig.kv("import", str(file))
    assert ran.code == 1
    assert ran.err.startswith(f"flaredb: {file}: nobody said what became of it\n")
    assert "every pair up to line 1,536 is written; go on with --skip 1536\n" in ran.err
    rig.done("import", str(file), "--skip", "1536")
    assert len(list(rig.db)) == 5_000


def test_of_a_key_that_is_there_twice_the_later_line_counts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are under way at the same time, and an earlier one may take longer."""
    import asyncio

    monkeypatch.setattr(importing, "BATCH_PAIRS", 2)
    put_many = AsyncMemoryClient.put_many
    batches = []

    async def slower_and_slower(self: AsyncMemoryClient, pairs: dict[bytes, bytes], **options: Any) -> None:
        batches.append(pairs)
        for _ in range(100 - len(batches)):
            await asyncio.sleep(0)
        await put_many(self, pairs, **options)

    monkeypatch.setattr(AsyncMemoryClient, "put_many", slower_and_slower)
    rig.stdin(b"a,1\nb,1\na,2\nc,1\nd,1\na,3\nb,2\n")
    rig.done("import", "-", "--format", "csv")
    assert dict(rig.db.scan()) == {b"a": b"3", b"b": b"2", b"c": b"1", b"d": b"1"}
    assert len(batches) == 4


def test_few_batches_are_under_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(importing, "BATCH_PAIRS", 1)
    under_way = most = 0

    async def counted(self: AsyncMemoryClient, pairs: dict[bytes, bytes], **options: Any) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    monkeypatch.setattr(AsyncMemoryClient, "put_many", counted)
    rig.stdin(numbered(100))
    rig.done("import", "-", "--format", "csv")
    assert most == importing.BATCHES_AT_ONCE


def test_progress_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    with Progress("imported", "pair", now_s=lambda: now_s) as progress:
        progress.tell(1)
        now_s = LINE_EVERY_S
        progress.tell(20_000)
        progress.tell(20_001)
    assert capsys.readouterr() == ("", "flaredb: imported 20,000 pairs in 10.0 s, 2,000 a second so far\n")


def test_times() -> None:
    assert [time_text(seconds) for seconds in (0.0008, 0.0123, 1.26, 125)] == ["0.8 ms", "12 ms", "1.3 s", "2m5s"]


def test_ctrl_c_tells_how_far_an_import_came(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    import signal

    # As in a process of its own, whatever ran in this one before.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    file = tmp_path / "pairs.csv"
    file.write_bytes(numbered(5_000))
    put_many = AsyncMemoryClient.put_many

    async def interrupted(self: AsyncMemoryClient, pairs: dict[bytes, bytes], **options: Any) -> None:
        if b"k01000" in pairs:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(10)  # it may be noticed a moment later
        await put_many(self, pairs, **options)

    monkeypatch.setattr(AsyncMemoryClient, "put_many", interrupted)
    ran = rig.kv("import", str(file))
    assert (ran.code, ran.out) == (130, "")
    found = re.search(r"every pair up to line ([\d,]+) is written; go on with --skip (\d+)\n", ran.err)
    assert found is not None, ran.err
    line = int(found[2])
    assert 512 <= line < 5_000
    assert all(rig.db.get_many([b"k%05d" % number for number in range(1, line + 1)]))
