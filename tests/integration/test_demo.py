"""``flaredb demo`` and its tour as a newcomer runs them: real processes, the official client, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import flaredb.cli.demo as demo_module
from flaredb.cli.cluster_plan import PEER_PORT, STATUS_PORT, STORE_PORT, private_plan
from flaredb.cli.demo import DemoOptions
from flaredb.cli.official_client import connected
from flaredb.cli.ports import HOST
from flaredb.cli.probe import Probe
from flaredb.cli.processes import Processes
from flaredb.cli.waiting import wait_until
from tests.integration.cluster import PORTS

pytestmark = pytest.mark.process
START_DEADLINE_S = 60
STOP_DEADLINE_S = 60


@contextlib.contextmanager
def demo(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running demo and what its ready file says; ended with SIGINT if it still runs."""
    ready = directory / "ready.json"
    command = [sys.executable, "-m", "flaredb", "demo", "--ready-file", str(ready), *options]
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    output = directory / "output.txt"
    with output.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, text=True, env=os.environ | {"TMPDIR": str(temporary)}
        )
    try:
        assert wait_until(lambda: ready.exists() or process.poll() is not None, START_DEADLINE_S)
        assert process.poll() is None, output.read_text()
        yield process, json.loads(ready.read_text())
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def is_alive(pid: int) -> bool:
    """True unless the process is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids_of(facts: dict[str, Any]) -> list[int]:
    return [facts["pd_pid"], *(store["pid"] for store in facts["stores"])]


@contextlib.contextmanager
def listened_on(*ports: int) -> Iterator[None]:
    """Somebody listens on these ports, whether they were free or not."""
    with contextlib.ExitStack() as held:
        for port in ports:
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server((HOST, port)))
        yield


def free_port() -> str:
    return str(PORTS.pick())


def test_demo_serves_an_unmodified_client_and_leaves_nothing(tmp_path: Path) -> None:
    port = free_port()
    with demo(tmp_path, "--pd-port", port) as (process, facts):
        assert facts["pd"] == f"127.0.0.1:{port}"
        assert len(facts["stores"]) == 3
        assert len({store["id"] for store in facts["stores"]}) == 3
        with connected(facts["pd"]) as client:
            client.put(b"hello", b"world")
            client.batch_put({b"A": b"1", b"Z": b"2"})
            assert client.get(b"hello") == b"world"
            assert client.scan(b"", None, 10) == [(b"A", b"1"), (b"Z", b"2"), (b"hello", b"world")]
        with Probe(facts["pd"]) as probe:
            regions = probe.regions()
        assert [region.range_text for region in regions] == ["[-inf, b'L')", "[b'L', +inf)"]
        assert all(len(region.meta.peers) == 3 for region in regions)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_DEADLINE_S) == 0
    lines = (tmp_path / "output.txt").read_text().splitlines()
    screen = lines[: next(number for number, line in enumerate(lines) if line.startswith("Ready in ")) + 1]
    assert len(screen) <= 14
    assert not any(is_alive(pid) for pid in pids_of(facts))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["output.txt", "tmp"]
    assert not list((tmp_path / "tmp").iterdir())


def test_demo_keeps_its_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = ("--data-dir", str(data), "--stores", "1", "--split-keys", "g,hex:78", "--pd-port", free_port())
    # Another demo of this machine could take the usual ports between the two starts.
    with listened_on(STORE_PORT, PEER_PORT, STATUS_PORT):
        with demo(tmp_path, *options) as (_, facts), connected(facts["pd"]) as client:
            client.batch_put({b"a": b"1", b"m": b"2", b"z": b"3"})
        with demo(tmp_path, "--data-dir", str(data)) as (_, again):
            check_is_kept(facts, again)


def check_is_kept(facts: dict[str, Any], again: dict[str, Any]) -> None:
    assert again["pd"] == facts["pd"]
    assert [store["address"] for store in again["stores"]] == [store["address"] for store in facts["stores"]]
    with connected(again["pd"]) as client:
        assert client.scan(b"", None, 10) == [(b"a", b"1"), (b"m", b"2"), (b"z", b"3")]
    with Probe(again["pd"]) as probe:
        assert [region.meta.start_key for region in probe.regions()] == [b"", b"g", b"x"]


def test_killed_demo_takes_its_processes_along(tmp_path: Path) -> None:
    with demo(tmp_path, "--stores", "1", "--pd-port", free_port()) as (process, facts):
        process.kill()
        process.wait()
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids_of(facts)), STOP_DEADLINE_S)


def test_a_port_taken_after_it_was_looked_at_makes_the_demo_try_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((HOST, 0)) as quicker:
        taken = quicker.getsockname()[1]
        first = private_plan(2, (), PORTS)
        plans = [replace(first, stores=(first.stores[0], replace(first.stores[1], peer=taken)))]
        look = demo_module._plan
        monkeypatch.setattr(demo_module, "_plan", lambda *given: plans.pop() if plans else look(*given))
        with Processes(tmp_path) as processes:
            cluster, regions = demo_module._started(DemoOptions(), tmp_path, processes, {})
            with connected(cluster.plan.pd_address) as client:
                client.put(b"a", b"1")
                assert client.get(b"a") == b"1"
    assert (regions, len(cluster.stores)) == (1, 2)
    assert cluster.plan.pd_address == first.pd_address
    assert cluster.plan.stores[0] == first.stores[0]
    assert cluster.plan.stores[1].peer != taken


def test_store_file_that_a_store_refuses_is_told(tmp_path: Path) -> None:
    config = tmp_path / "store.toml"
    config.write_text("[raftstore]\nraft-hearbeat-ticks = 3\n")
    ran = subprocess.run(
        [sys.executable, "-m", "flaredb", "demo", "--config", str(config)], capture_output=True, text=True, timeout=90
    )
    assert ran.returncode == 2
    assert "did you mean raftstore.raft-heartbeat-ticks?" in ran.stderr


def test_tour_verifies_everything_and_ends_by_itself(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "flaredb", "demo", "--tour", "--pd-port", free_port()],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for part in (
        "start",
        "load",
        "read back",
        "scan",
        "kill",
        "go on",
        "restart",
        "grow",
        "drain",
        "compare",
        "verify",
    ):
        assert f" {part} " in ran.stdout
    assert "nothing was lost when a leader's process was killed" in ran.stdout
    assert not list(tmp_path.iterdir())
