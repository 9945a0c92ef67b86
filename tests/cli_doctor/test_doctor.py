"""The doctor on this machine, with and without a PD."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flaredb.cli.doctor import observe
from flaredb.cli.doctor.judge_addresses import Dialled, Port
from flaredb.cli.doctor.subject import load_subject
from flaredb.cli.main import main
from flaredb.cli.ports import PortPicker
from tests.rim.order_rig import OrderRig, running_rig


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), err.getvalue()


def findings(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code, out, err = run("-o", "json", *arguments)
    assert err == ""
    return code, json.loads(out)["findings"]


def of(check: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in found if item["check"] == check]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[OrderRig]:
    async with running_rig(tmp_path) as running:
        yield running


def test_looking_at_ports() -> None:
    # Of the ports that the system gives to anyone, another process may take this one once it is free again.
    port = PortPicker().pick()
    address = f"127.0.0.1:{port}"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert observe.try_port(address) == Port.TAKEN
        assert observe.dial(address) == Dialled.CONNECTED
    assert observe.try_port(address) == Port.FREE
    assert observe.dial(address) == Dialled.REFUSED
    assert observe.try_port("192.0.2.1:20160") == Port.NOT_HERE
    assert observe.try_port("no-such-host.invalid:1") == Port.UNKNOWN_HOST
    assert observe.dial("no-such-host.invalid:1") == Dialled.UNKNOWN_HOST


def test_looking_at_the_disk_leaves_nothing(tmp_path: Path) -> None:
    assert observe.existing_part(tmp_path / "not" / "there") == tmp_path
    samples = observe.sync_seconds(tmp_path)
    assert 1 <= len(samples) <= observe.SYNC_ROUNDS
    assert list(tmp_path.iterdir()) == []
    free, total = observe.disk_bytes(tmp_path)
    assert 0 < free < total


def test_packages_are_compared_with_what_the_project_needs() -> None:
    required, installed = observe.packages()
    assert required["grpcio"]
    assert set(installed) == set(required)


def test_own_address() -> None:
    assert observe.own_address_towards("127.0.0.1") == "127.0.0.1"
    assert observe.own_address_towards("no-such-host.invalid") == ""


def test_configuration_of_a_store_and_of_pd(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[server]\naddr = "0.0.0.0:20160"\nadvertise-addr = "h1:20160"\nadvertise-peer-addr = "h1:20170"\n')
    store = load_subject(file)
    assert (store.kind, store.engine_files_max) == ("store", 512)
    assert store.listens["server.peer-addr"] == "0.0.0.0:20170"
    assert store.advertised["server.advertise-addr"] == "h1:20160"
    assert store.advertised["server.advertise-status-addr"] == "127.0.0.1:20180"
    file.write_text('client-urls = "http://127.0.0.1:2379"\n')
    pd = load_subject(file)
    assert (pd.kind, pd.listens, pd.data_dir) == ("pd", {"client-urls": "127.0.0.1:2379"}, "default.pd")


def test_a_store_that_could_start(tmp_path: Path) -> None:
    ports = PortPicker()
    pd, addr, status, peer = (f"127.0.0.1:{ports.pick()}" for _ in range(4))
    file = tmp_path / "store.toml"
    file.write_text(
        f'[server]\naddr = "{addr}"\nstatus-addr = "{status}"\npeer-addr = "{peer}"\n'
        f'[storage]\ndata-dir = "{tmp_path}/data"\n[pd]\nendpoints = ["{pd}"]\n'
    )
    with socket.socket() as taken:
        host, _, port = peer.partition(":")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, int(port)))
        taken.listen()
        code, found = findings("--config", str(file))
    assert code == 2
    assert [item["severity"] for item in of("config", found)] == ["ok"]
    (port_finding,) = of("ports", found)
    assert port_finding["finding"] == f"{peer} is taken by another process, so server.peer-addr cannot be served"
    assert of("pd", found)[0]["fix"].startswith("start it by flaredb pd")
    assert len(of("fsync", found)) == len(of("disk", found)) == len(of("files", found)) == 1
    assert of("advertise", found)[0]["severity"] == "ok"
    assert of("reach", found) == [], "without PD no store is known"
    assert not (tmp_path / "data").exists()


def test_a_configuration_that_cannot_be_used_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "store.toml"
    file.write_text('[server]\nadr = "x"\n')
    code, found = findings("--config", str(file), "-u", f"127.0.0.1:{PortPicker().pick()}")
    assert code == 2
    assert of("config", found)[0]["severity"] == "problem"
    assert "adr" in of("config", found)[0]["finding"]


async def test_a_cluster(rig: OrderRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flaredb.cli.doctor.pd_clock.TIMEOUT_S", 30.0)
    code, found = await asyncio.to_thread(findings, "-u", f"127.0.0.1:{rig.pd.port}")
    assert code == 2, "its stores are made up"
    assert of("pd", found)[0]["severity"] == "ok"
    assert of("clock", found)[0]["severity"] == "ok"
    assert {item["severity"] for item in of("reach", found)} == {"problem"}
    code, out, _ = await asyncio.to_thread(run, "-u", f"127.0.0.1:{rig.pd.port}", "-o", "table")
    assert out.splitlines()[-1].endswith("problems.")
    assert "\n                    fix: " in out


def test_wrong_use() -> None:
    code, out, err = run("-u", "https://pd")
    assert (code, out) == (2, "")
    assert "https is not offered yet" in err
