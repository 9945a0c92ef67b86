"""``flaredb shell`` on rows in memory: lines, words, exit statuses, completion, history."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from flaredb.cli.grammar import Session
from flaredb.cli.shell import caller as shell_caller
from flaredb.cli.shell.caller import ShellCaller
from flaredb.cli.shell.lines import Lines
from flaredb.cli.shell.prompt import HISTORY_VARIABLE, ShellCompleter, talk
from flaredb.cli.shell.words import word_of, words_of
from flaredb.model.cluster import RegionRoute, StoreMeta
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import parse_key
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from tests.cli.rig import Ran, Rig, run

WORDS = [
    ("get a", ["get", "a"]),
    ("  put  k   v ", ["put", "k", "v"]),
    (r"get b'a \' b'", ["get", r"b'a \' b'"]),
    ('get b"a b"', ["get", 'b"a b"']),
    ("put k 'two words'", ["put", "k", "two words"]),
    (r'put k "say \"hi\" \n"', ["put", "k", r'say "hi" \n']),
    ("""put k '{"a": 1}'""", ["put", "k", '{"a": 1}']),
    ("put k don't", ["put", "k", "don't"]),
    ("put k ''", ["put", "k", ""]),
    ("scan --prefix=b'a b' -o json", ["scan", "--prefix=b'a b'", "-o", "json"]),
    ("scan --prefix='a b'", ["scan", "--prefix=a b"]),
]


@pytest.mark.parametrize(("line", "words"), WORDS)
def test_words(line: str, words: list[str]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize("line", ["get 'a", 'put k "a b', "get b'a b", "get 'a'b"])
def test_a_quote_that_does_not_end(line: str) -> None:
    with pytest.raises(ValueError, match="quote"):
        words_of(line)


@given(st.binary(min_size=1, max_size=12))
def test_a_key_is_one_word(key: bytes) -> None:
    (word,) = words_of(word_of(key))
    assert parse_key(word) == key


def test_lines_from_standard_input(rig: Rig) -> None:
    rig.stdin(b"put a 1\n\n# a comment\nget a\nput b 'two words'\nscan -o jsonl --keys-only\ncount\nexit\nget a\n")
    ran = run("shell")
    assert (ran.code, ran.err) == (0, "")
    first, value, second, *keys, count = ran.out.splitlines()
    assert (first, value, second, count) == ("OK", "1", "OK", "2")
    assert [json.loads(key)["key"] for key in keys] == ["a", "b"]
    assert rig.addresses == ["127.0.0.1:2379"]


def test_a_line_that_fails_is_named_and_the_rest_goes_on(rig: Rig) -> None:
    rig.stdin(b"gett a\nput a 1\nget hex:0\nget 'a\n")
    ran = run("shell")
    assert (ran.code, ran.out) == (1, "OK\n")
    first, second, third = ran.err.splitlines()
    assert first == 'flaredb: line 1: "gett" is not known here: did you mean get?; see help'
    assert second.startswith("flaredb: line 3: Invalid value for 'KEY...': \"hex:0\" is not a key")
    assert third.startswith("flaredb: line 4: 'a begins with a quote")


def test_stop_on_error(rig: Rig) -> None:
    rig.stdin(b"get nothing\ncas a 0 1\nput a 1 --ttl 5\nput b 2\n")
    ran = run("shell", "--stop-on-error")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[:2] == [
        "flaredb: nothing has no value",
        "flaredb: a has no value; nothing was written",
    ]
    assert list(rig.db) == []
    rig.stdin(b"get\nput b 2\n")
    assert run("shell", "--stop-on-error").code == 2


@pytest.mark.parametrize("line", ["put k -", "import -"])
def test_no_line_swallows_those_after_it(line: str, rig: Rig) -> None:
    rig.stdin(f"{line}\nput a 1\n".encode())
    ran = run("shell")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "OK\n", 1)
    assert "b'-' is a dash" in ran.err
    assert dict(rig.db.scan()) == {b"a": b"1"}


def test_lines_as_arguments(rig: Rig) -> None:
    assert run("shell", "-e", "put a 1", "-e", "get a") == Ran(0, "OK\n1\n", "")
    assert run("shell", "-e", "get nothing").code == 0


def test_options_of_a_line_end_with_it(rig: Rig) -> None:
    rig.db.put(b"a", b"1")
    assert run("shell", "-o", "tsv", "-e", "get a -o jsonl", "-e", "get a").out.splitlines()[1] == "1"
    ran = run("shell", "-e", "get a --pd 127.0.0.1:1")
    assert ran.code == 1
    assert "stays with its cluster" in ran.err


def test_help(rig: Rig) -> None:
    out = run("shell", "-e", "help", "-e", "help scan").out
    for words in ("  where ", "  cas ", "b64:YQA=", "Usage: scan [OPTIONS]", "--reverse"):
        assert words in out
    assert run("shell", "-e", "help nonsense").code == 1


def route(region_id: int, start: bytes, end: bytes, leader: int | None) -> RegionRoute:
    peers = tuple(Peer(PeerId(region_id * 10 + store), StoreId(store)) for store in (1, 2, 3))
    region = Region(RegionId(region_id), start, end, INITIAL_EPOCH, peers)
    return RegionRoute(region, None if leader is None else peers[leader - 1])


class FakePd:
    """PD of three stores and two regions."""

    routes = (route(4, b"", b"m", 2), route(8, b"m", b"", None))

    async def get_region(self, key: bytes) -> RegionRoute:
        return self.routes[key >= b"m"]

    async def scan_regions(self, start: bytes, end: bytes, limit: int) -> list[RegionRoute]:
        return [item for item in self.routes if not item.region.end_key or item.region.end_key > start][:limit]

    async def get_all_stores(self, exclude_tombstones: bool = False) -> list[StoreMeta]:
        return [StoreMeta(StoreId(number), f"h{number}:20160", version="6.5.0") for number in (3, 1, 2)]

    async def close(self) -> None:
        """Nothing is open."""


def test_where_things_are(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_caller, "open_pd", lambda addresses: FakePd())
    assert run("shell", "-e", "where a").out.splitlines() == [
        "key\ta",
        "region\t4 [-inf, b'm')",
        "leader\tstore 2 at h2:20160",
        "others\tstore 1 at h1:20160, store 3 at h3:20160",
        "epoch\t1.1",
    ]
    assert "leader\tnone is known\n" in run("shell", "-e", "where z").out
    where = json.loads(run("shell", "-e", "where -o json a").out)
    assert (where["key_hex"], where["region"], where["leader_store"], where["stores"]) == ("61", 4, 2, [1, 2, 3])
    assert run("shell", "-e", "regions").out.splitlines() == [
        "region\tfrom_key\tto_key\tleader\tstores\tepoch",
        "4\t-inf\tb'm'\t2\t1 2 3\t1.1",
        "8\tb'm'\t+inf\tnone\t1 2 3\t1.1",
    ]
    assert "there are more: --limit, or --start b'm'" in run("shell", "-e", "regions --limit 1 -o table").out
    assert [line.split("\t")[1] for line in run("shell", "-e", "stores").out.splitlines()[1:]] == [
        *("h1:20160", "h2:20160", "h3:20160"),
    ]


def completions(completer: ShellCompleter, text: str) -> list[str]:
    return [item.text for item in completer.get_completions(Document(text), None)]


def test_completion(rig: Rig) -> None:
    with ShellCaller("h:1") as caller:
        lines = Lines(Session("h:1"), caller)
        completer = ShellCompleter(lines)
        assert completions(completer, "c") == ["cas", "count"]
        assert completions(completer, "scan --ke") == ["--keys-only"]
        assert completions(completer, "help re") == ["regions"]
        assert completions(completer, "get ") == []
        for line in ("put user/1 x", "put 'b c' x", "get other", "scan"):
            lines.run(line)
        assert completions(completer, "get ") == ["user/1", "b'b c'", "other"]
        assert completions(completer, "get us") == ["user/1"]
        assert completions(completer, "scan --prefix=us") == ["user/1"]
        assert completions(completer, "where o") == ["other"]


def test_a_talk_on_a_terminal(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history = tmp_path / "state" / "history"
    monkeypatch.setenv(HISTORY_VARIABLE, str(history))
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text("put a 1\n put secret 2\nbad\n\x03get a\nquit\n")
        with ShellCaller("h:1") as caller:
            assert talk(Lines(Session("h:1", "tsv"), caller), "h:1") == 0
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if not line.startswith("(")] == ["OK", "OK", "1"]
    assert out.count(" ms)\n") == 4
    assert err.startswith('flaredb: "bad" is not known here')
    assert history.stat().st_mode & 0o777 == 0o600
    assert [line for line in history.read_text().splitlines() if line.startswith("+")] == [
        *("+put a 1", "+bad", "+get a", "+quit"),
    ]


def test_a_shell_without_a_terminal_loads_no_prompt() -> None:
    code = (
        "import io, sys\nfrom flaredb.cli.main import main\nsys.stdin = io.StringIO('help')\n"
        "try: main(['shell'])\n"
        "except SystemExit: print(sorted({'prompt_toolkit', 'rich', 'rocksdict', 'aiohttp'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
