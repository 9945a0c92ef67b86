"""``flaredb kv`` on rows in memory: reading, writing, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.rig import Rig


def test_what_is_put_is_got(rig: Rig) -> None:
    assert rig.done("put", "user/1", "Ada") == "OK\n"
    assert rig.done("get", "user/1") == "Ada\n"
    assert rig.done("get", "hex:757365722f31", "-o", "json") == (
        '{\n  "key": "user/1",\n  "key_hex": "757365722f31",\n  "value": "Ada",\n  "value_hex": "416461"\n}\n'
    )
    assert json.loads(rig.done("put", "-o", "jsonl", "k", "v")) == {"key": "k", "key_hex": "6b", "written": True}


@pytest.mark.parametrize(
    ("written", "value", "shown"),
    [
        ("two words", b"two words", "two words"),
        (r"b'a\x00\n'", b"a\x00\n", r"b'a\x00\n'"),
        ("hex:00ff", b"\x00\xff", r"b'\x00\xff'"),
        ("b64:AP8=", b"\x00\xff", r"b'\x00\xff'"),
        ("b''", b"", "b''"),
        ("b'hex:00'", b"hex:00", "b'hex:00'"),
        ("漢", "漢".encode(), "漢"),
    ],
)
def test_notation(written: str, value: bytes, shown: str, rig: Rig) -> None:
    rig.done("put", written, written)
    assert rig.db.get(value or b"") == value if value else True
    assert dict(rig.db.scan()) == {value: value}
    assert rig.done("get", written) == f"{shown}\n"
    assert rig.done("get", shown) == f"{shown}\n"
    assert rig.done("get", written, "--raw").encode("utf-8", "surrogateescape") == value


def test_a_key_without_a_value_has_an_exit_status_of_its_own(rig: Rig) -> None:
    ran = rig.kv("get", "nothing")
    assert (ran.code, ran.out, ran.err) == (3, "", "flaredb: nothing has no value\n")
    rig.db.put_many({b"a": b"1", b"b": b"2"})
    ran = rig.kv("get", "b", r"b'\x00'", "a")
    assert (ran.code, ran.out, ran.err) == (3, "key\tvalue\nb\t2\na\t1\n", "flaredb: b'\\x00' has no value\n")


def test_a_value_from_standard_input(rig: Rig) -> None:
    rig.stdin(b"\x00raw\n")
    rig.done("put", "k", "-")
    assert rig.db.get(b"k") == b"\x00raw\n"
    rig.done("put", "k", "b'-'")
    assert rig.db.get(b"k") == b"-"


def test_put_if_absent_and_cas(rig: Rig) -> None:
    rig.done("put", "k", "1", "--if-absent")
    ran = rig.kv("put", "k", "2", "--if-absent")
    assert (ran.code, ran.err) == (3, "flaredb: k has a value already; nothing was written\n")
    ran = rig.kv("cas", "k", "0", "2")
    assert (ran.code, ran.err) == (3, "flaredb: k has 1; nothing was written\n")
    assert rig.done("cas", "k", "1", "2") == "OK\n"
    assert rig.db.get(b"k") == b"2"
    rig.done("cas", "k", "2", "--delete")
    rig.done("cas", "k", "3", "--absent")
    assert rig.db.get(b"k") == b"3"
    assert rig.kv("cas", "other", "1", "2").err == "flaredb: other has no value; nothing was written\n"


def test_scan(rig: Rig) -> None:
    rig.db.put_many({b"a/%d" % number: b"v%d" % number for number in range(4)} | {b"b": b"\x00"})
    for line, keys in [
        ("", "a/0 a/1 a/2 a/3 b"),
        ("--prefix a/", "a/0 a/1 a/2 a/3"),
        ("--start a/1 --end a/3", "a/1 a/2"),
        ("--reverse --limit 2", "b a/3"),
        ("--start hex:62", "b"),
        ("--prefix c", ""),
    ]:
        heading, *rows = rig.done("scan", *line.split()).splitlines()
        assert heading == "key\tvalue"
        assert [row.split("\t")[0] for row in rows] == keys.split(), line
        assert rig.done("scan", "--keys-only", *line.split()).split() == ["key", *keys.split()], line
    assert rig.done("scan", "--start", "b", "-o", "jsonl") == (
        '{"key": "b", "key_hex": "62", "value": "b\'\\\\x00\'", "value_hex": "00"}\n'
    )
    assert rig.done("scan", "-o", "table", "--prefix", "a/", "--limit", "1") == "key  value\na/0  v0\n"


def test_count(rig: Rig) -> None:
    rig.db.put_many({b"a/%d" % number: b"v" for number in range(4_000)} | {b"b": b"\x00"})
    assert rig.done("count") == "4001\n"
    assert rig.done("count", "--prefix", "a/") == "4000\n"
    assert json.loads(rig.done("count", "--start", "b", "-o", "json")) == {"count": 1}


def test_delete(rig: Rig) -> None:
    rig.db.put_many({b"a": b"", b"b": b"", b"p/1": b"", b"p/2": b"", b"z": b""})
    assert rig.done("delete", "a", "b", "nothing") == "OK\n"
    ran = rig.kv("delete", "--prefix", "p/")
    assert (ran.code, ran.out) == (2, "")
    assert "this deletes every key that starts with p/: say --yes" in ran.err
    assert rig.done("delete", "--prefix", "p/", "--yes") == "OK\n"
    assert list(rig.db) == [b"z"]
    rig.done("delete", "--start", "y", "--yes")
    assert list(rig.db) == []


def test_deleting_a_range_asks_on_a_terminal(rig: Rig) -> None:
    rig.db.put_many({b"p/1": b"", b"p/2": b"", b"z": b""})
    rig.stdin(b"n\n", is_terminal=True)
    ran = rig.kv("delete", "--prefix", "p/")
    assert ran.code == 130
    assert "Delete every key that starts with p/ (2 keys)? [y/N]" in ran.out + ran.err
    rig.stdin(b"y\n", is_terminal=True)
    assert rig.kv("delete", "--prefix", "p/").code == 0
    assert list(rig.db) == [b"z"]


def test_column_families(rig: Rig) -> None:
    rig.done("put", "k", "v", "--cf", "lock")
    assert rig.kv("get", "k").code == 3
    assert rig.done("get", "--cf", "lock", "k") == "v\n"
    assert rig.done("count", "--cf", "lock") == "1\n"


def test_where_the_cluster_is(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.db.put(b"k", b"v")
    rig.done("get", "k")
    monkeypatch.setenv("FLAREDB_PD", "h1:1")
    rig.done("get", "k")
    monkeypatch.setenv("FLAREDB_URL", "flaredb://h2:2/?timeout=2s")
    rig.done("get", "k")
    rig.done("get", "k", "--pd", "h3:3")
    rig.done("--url", "h4:4,h5:5", "get", "k")
    assert rig.addresses == ["127.0.0.1:2379", "h1:1", "flaredb://h2:2/?timeout=2s", "h3:3", "h4:4,h5:5"]


WRONG = [
    ("half a byte", ["get", "hex:0"], "is not a key: after hex: come pairs"),
    ("half a byte in a value", ["put", "k", "hex:0"], "is not a value: after hex: come pairs"),
    ("a broken literal", ["get", "b'a"], "starts like a Python bytes literal"),
    ("no key", ["get"], "Missing argument 'KEY...'"),
    ("raw values of two keys", ["get", "a", "b", "--raw"], "name one key"),
    ("a prefix and a bound", ["scan", "--prefix", "a", "--start", "b"], "not both"),
    ("a range upside down", ["scan", "--start", "b", "--end", "a"], "exchange them"),
    ("no rows", ["scan", "--limit", "0"], "x>=1"),
    ("neither keys nor a range", ["delete"], "name keys, or one range"),
    ("keys and a range", ["delete", "a", "--prefix", "b"], "name keys, or one range"),
    ("a swap without a new value", ["cas", "k", "1"], "cas KEY OLD NEW, cas KEY NEW --absent"),
    ("no time", ["get", "k", "--timeout", "0"], "is no time to wait"),
    ("no time at all", ["get", "k", "--timeout", "soon"], "write seconds, such as 2, or 500ms"),
    ("a column family that is none", ["get", "k", "--cf", "raft"], "'default', 'lock', 'write'"),
    ("a word with a slip", ["gett", "k"], "did you mean get?"),
    ("no format", ["import", "data.txt"], "add --format csv or --format jsonl"),
]


@pytest.mark.parametrize(("case", "arguments", "words"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_use_is_one_line_and_code_2(case: str, arguments: list[str], words: str, rig: Rig) -> None:
    rig.stdin(b"")
    ran = rig.kv(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    assert ran.err.startswith("flaredb: ")
    assert words in ran.err


def test_a_failure_is_one_line_and_code_1(rig: Rig) -> None:
    ran = rig.kv("put", "k", "v", "--ttl", "5")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    ran = rig.kv("import", "/no/such.csv")
    assert (ran.code, ran.err) == (1, "flaredb: /no/such.csv: No such file or directory\n")


def test_nobody_there_is_one_line_and_code_1() -> None:
    line = [sys.executable, "-m", "flaredb", "kv", "get", "k", "--pd", "127.0.0.1:1", "--timeout", "200ms"]
    ran = subprocess.run(line, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1), ran.stderr
    assert ran.stderr.startswith("flaredb: 127.0.0.1:1: the cluster cannot be reached")
    assert "--pd or FLAREDB_URL" in ran.stderr


def test_get_loads_only_what_it_needs() -> None:
    """The guard of `flaredb kv get`'s start: bench/cold_start.py has the figure."""
    heavy = {
        *("uvloop", "rich", "aiohttp", "rocksdict", "msgspec", "prompt_toolkit", "tomllib", "difflib", "json"),
        *("flaredb.server", "flaredb.store", "flaredb.pd", "flaredb.raft", "flaredb.sim", "flaredb.engine"),
        *("flaredb.model.orders", "flaredb.rpc.pd_heartbeats", "flaredb.cli.kv.importing"),
    }
    code = (
        "import sys\nfrom flaredb.cli.main import main\n"
        "try: main(['kv', 'get', 'k', '--pd', '127.0.0.1:1', '--timeout', '100ms'])\n"
        f"except SystemExit: print(sorted({heavy!r} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
