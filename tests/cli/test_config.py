"""``flaredb config`` and ``flaredb completion``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.rig import Ran, run

STORE = """\
profile = "tikv"
[server]
addr = "127.0.0.1:3000"
labels = { zone = "east" }
[raftstore]
raft-heartbeat-ticks = 3
"""


@pytest.fixture
def store_file(tmp_path: Path) -> Path:
    path = tmp_path / "store.toml"
    path.write_text(STORE)
    return path


def test_files_that_are_right(store_file: Path, tmp_path: Path) -> None:
    pd_file, both = tmp_path / "pd.toml", tmp_path / "log.toml"
    pd_file.write_text("[schedule]\nleader-schedule-limit = 8\n")
    both.write_text('[log]\nlevel = "warn"\n')
    ran = run("config", "check", str(store_file), str(pd_file), str(both))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"{store_file}: right for a store\n{pd_file}: right for PD\n{both}: right for a store and for PD\n"
    )


BAD = [
    ("[raftstore]\nraft-heartbeat-tick = 2\n", "did you mean raftstore.raft-heartbeat-ticks?"),
    ("[schedule]\nleader-schedule-limits = 2\n", "did you mean schedule.leader-schedule-limit?"),
    ("[raftstore]\nraft-heartbeat-ticks = 20\n", "must be less than raftstore.raft-election-timeout-ticks = 10"),
    ('[server]\naddr = "0.0.0.0:1"\n', "set server.advertise-addr too"),
    ("[server\n", "is not valid TOML"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_files_that_are_not(text: str, words: str, tmp_path: Path, store_file: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    ran = run("config", "check", str(path), str(store_file))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith(f"flaredb: {path}")
    assert words in ran.err
    assert ran.out == f"{store_file}: right for a store\n"


def test_a_file_for_the_other_server_is_refused(store_file: Path) -> None:
    ran = run("config", "check", "--for", "pd", str(store_file))
    assert ran.code == 2
    assert "unknown configuration key profile" in ran.err
    assert run("config", "check", "/no/such.toml").code == 2


def rows(ran: Ran) -> dict[str, list[str]]:
    assert (ran.code, ran.err) == (0, "")
    return {name: values for name, *values in (line.split("\t") for line in ran.out.splitlines())}


def test_settings_and_where_they_come_from(store_file: Path) -> None:
    shown = rows(run("config", "show", str(store_file)))
    assert shown["setting"] == ["value", "from"]
    assert shown["raftstore.raft-heartbeat-ticks"] == ["3", str(store_file)]
    assert shown["server.labels"] == ['{"zone": "east"}', str(store_file)]
    assert shown["coprocessor.region-split-size"] == ["256MiB", "profile tikv"]
    assert shown["server.peer-addr"] == ["127.0.0.1:3010", "by server.addr"]
    assert shown["rocksdb.max-background-jobs"] == ["2", "default"]


def test_only_what_differs(store_file: Path) -> None:
    shown = rows(run("config", "show", str(store_file), "--diff"))
    assert shown["setting"] == ["value", "default", "from"]
    assert shown["server.addr"] == ["127.0.0.1:3000", "127.0.0.1:20160", str(store_file)]
    assert shown["raftstore.raft-log-gc-threshold"] == ["50", "1024", "profile tikv"]
    assert "rocksdb.max-background-jobs" not in shown
    assert "raftstore.raft-base-tick-interval" not in shown
    assert "everything is as by default" in run("config", "show", "--diff", "-o", "table").out


def test_settings_by_options() -> None:
    by_profile = rows(run("config", "show", "--profile", "tikv", "--diff"))
    assert by_profile["profile"] == ["tikv", "default", "--profile"]
    found = json.loads(run("config", "show", "--for", "pd", "-o", "json").out)
    assert {"setting": "data-dir", "value": "default.pd", "default": "default.pd", "from": "by name"} in found
    assert run("config", "show", "--for", "pd", "--profile", "tikv").code == 2


@pytest.mark.parametrize(
    ("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-f")]
)
def test_completion_scripts(shell: str, words: str) -> None:
    ran = run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert words in ran.out
    assert "_FLAREDB_COMPLETE" in ran.out


def completed(words: str, place: int) -> list[str]:
    environment = {**os.environ, "_FLAREDB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    code = "import sys\nfrom flaredb.cli.main import main\ntry: main()\nfinally: print('loaded', 'grpc' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    *lines, loaded = ran.stdout.splitlines()
    assert loaded == "loaded False"
    return [line.removeprefix("plain,") for line in lines]


def test_what_is_completed() -> None:
    assert completed("flaredb co", 1) == ["config", "completion"]
    assert completed("flaredb kv ", 2)[:3] == ["get", "put", "delete"]
    assert completed("flaredb kv scan --k", 3) == ["--keys-only"]
    assert completed("flaredb ctl st", 2) == ["store"]
