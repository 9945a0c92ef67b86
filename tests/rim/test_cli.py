"""The command line: flags become settings, and every refusal is one line that says what to change."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import flaredb
from flaredb.cli.demo import DemoOptions, first_screen, run_demo
from flaredb.cli.flags import comma_list, labels, tables_of
from flaredb.cli.main import cli, main
from flaredb.model.errors import ConfigError


def run_main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Settings with which a server was started, instead of starting it."""
    settings: list[Any] = []

    def run(given: Any) -> int:
        settings.append(given)
        return 0

    monkeypatch.setitem(sys.modules, "flaredb.server.pd_node", types.SimpleNamespace(run_pd=run))
    monkeypatch.setitem(sys.modules, "flaredb.server.main", types.SimpleNamespace(run_store=run))
    return settings


def test_version_by_command_and_by_module() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"flaredb {flaredb.__version__}\n"
    by_module = subprocess.run([sys.executable, "-m", "flaredb", "--version"], capture_output=True, text=True)
    assert (by_module.returncode, by_module.stdout) == (0, f"flaredb {flaredb.__version__}\n")


def test_without_a_command_help_is_shown() -> None:
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 0
    for command in ("demo", "pd", "server"):
        assert f"\n  {command} " in result.output


def test_starting_the_command_imports_nothing_heavy() -> None:
    heavy = {"grpc", "rich", "aiohttp", "msgspec", "uvloop", "asyncio"}
    code = f"import sys, flaredb.cli.main; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_pd_flags_become_settings(started: list[Any]) -> None:
    code = run_main(
        *("pd", "--name", "pd-1", "--client-urls", "http://127.0.0.1:3379", "--data-dir", "x", "--log-level", "warn"),
        *("--split-keys", "a, hex:6D", "--initial-stores", "4", "--ready-file", "r", "--log-file", "pd.log"),
    )
    assert code == 0
    (settings,) = started
    assert (settings.name, settings.address, settings.data_path) == ("pd-1", "127.0.0.1:3379", "x")
    assert (settings.bootstrap.keys, settings.stores_wanted) == ((b"a", b"m"), 4)
    assert (settings.ready_file, settings.log.level, settings.log.file.filename) == ("r", "warn", "pd.log")


def test_server_flags_become_settings(started: list[Any]) -> None:
    code = run_main(
        *(
            "server",
            "--pd-endpoints",
            "127.0.0.1:1,http://127.0.0.1:2",
            "--addr",
            "127.0.0.1:3",
            "--labels",
            "zone=a,host=b",
        ),
        *("--status-addr", "127.0.0.1:4", "--peer-addr", "127.0.0.1:5", "--data-dir", "d", "--advertise-addr", "h:6"),
    )
    assert code == 0
    (settings,) = started
    assert settings.pd_addresses == ("127.0.0.1:1", "127.0.0.1:2")
    assert (settings.server.addr, settings.server.status_addr, settings.peer_addr) == (
        "127.0.0.1:3",
        "127.0.0.1:4",
        "127.0.0.1:5",
    )
    assert (settings.server.labels, settings.server.advertise_addr) == ({"zone": "a", "host": "b"}, "h:6")
    assert settings.storage.data_dir == "d"


def test_flags_win_over_the_file(started: list[Any], tmp_path: Path) -> None:
    config = tmp_path / "store.toml"
    config.write_text('[log]\nlevel = "error"\n[storage]\ndata-dir = "from-file"\n')
    assert run_main("server", "--config", str(config), "--log-level", "debug") == 0
    (settings,) = started
    assert (settings.log.level, settings.storage.data_dir) == ("debug", "from-file")


USAGE_ERRORS = [
    ("an unknown flag names a near one", ["server", "--data-dri", "x"], ["--data-dri", "--data-dir", "server --help"]),
    ("an unknown command", ["serve"], ["serve", "flaredb --help"]),
    ("a bad number", ["demo", "--stores", "0"], ["--stores", "1<=x<=64"]),
    ("a bad level", ["pd", "--log-level", "loud"], ["log.level", '"loud"', '"info"']),
    ("a bad address", ["server", "--addr", "here"], ["server.addr", "host:port"]),
    ("bad labels", ["server", "--labels", "zone"], ["--labels", "zone=east"]),
    ("no such file", ["server", "--config", "/no/such.toml"], ["/no/such.toml", "No such file"]),
]


@pytest.mark.parametrize(("case", "arguments", "words"), USAGE_ERRORS, ids=[row[0] for row in USAGE_ERRORS])
def test_wrong_use_is_one_line_and_code_2(
    case: str, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("flaredb: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_exit_code_of_a_server_is_the_command_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flaredb.server.main", types.SimpleNamespace(run_store=lambda settings: 70))
    assert run_main("server") == 70


def test_system_error_is_one_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(settings: Any) -> int:
        raise PermissionError(13, "Permission denied", "/data")

    monkeypatch.setitem(sys.modules, "flaredb.server.main", types.SimpleNamespace(run_store=run))
    assert run_main("server") == 1
    assert capsys.readouterr().err == "flaredb: /data: Permission denied\n"


def test_directory_in_use_is_one_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flaredb.engine.base import EngineLocked

    def run(settings: Any) -> int:
        raise EngineLocked("another process has /data open")

    monkeypatch.setitem(sys.modules, "flaredb.server.main", types.SimpleNamespace(run_store=run))
    assert run_main("server") == 1
    assert capsys.readouterr().err == "flaredb: another process has /data open\n"


def test_flag_tables() -> None:
    assert tables_of({"a.b.c": 1, "a.d": None, "e": "x"}) == {"a": {"b": {"c": 1}}, "e": "x"}
    assert comma_list(None) is None
    assert comma_list(" a, b ,") == ["a", "b"]
    assert labels("zone=a=b") == {"zone": "a=b"}


def test_demo_refuses_a_pd_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run_main("demo", "--pd-port", str(port)) == 2
    assert f"port {port} is in use: choose another --pd-port" in capsys.readouterr().err


def test_demo_refuses_what_it_chooses_itself(tmp_path: Path) -> None:
    config = tmp_path / "store.toml"
    config.write_text('[server]\naddr = "127.0.0.1:1"\n')
    with pytest.raises(ConfigError, match=r"the demo chooses server\.addr for each store; leave it out"):
        run_demo(DemoOptions(config=config))


def test_demo_refuses_a_bad_store_file_before_it_starts_anything(tmp_path: Path) -> None:
    config = tmp_path / "store.toml"
    config.write_text("[raftstore]\nraft-heartbeat-tick = 2\n")
    with pytest.raises(ConfigError, match=r"did you mean raftstore\.raft-heartbeat-ticks\?"):
        run_demo(DemoOptions(config=config))


def test_demo_refuses_a_directory_in_use(tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another demo runs on"):
            run_demo(DemoOptions(data_dir=tmp_path))


@pytest.mark.parametrize("store_count", [1, 3, 40])
def test_first_screen_fits_and_ends_with_ready(store_count: int, tmp_path: Path) -> None:
    from flaredb.cli.cluster_plan import private_plan
    from flaredb.cli.local_cluster import LocalCluster
    from flaredb.cli.ports import PortPicker
    from flaredb.cli.processes import Processes

    plan = private_plan(store_count, ("L",), PortPicker())
    with Processes(tmp_path) as processes:
        lines = first_screen(LocalCluster(tmp_path, plan, processes), 2, DemoOptions(), 1.234)
    assert len(lines) <= 14
    assert lines[-1] == "Ready in 1.23 s. Ctrl-C stops it."
    text = "\n".join(lines)
    assert f'RawClient.connect(["{plan.pd_address}"])' in text
    assert plan.stores[0].address in text
    assert "deleted on exit" in text
    assert "(2379 is in use)" in text
