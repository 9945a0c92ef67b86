"""The load generator and ``make bench``, run tiny on real clusters so that they cannot rot; no figure is judged."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bench.quick as all_figures
import pytest
from bench.demo import Demo
from bench.routes import find_routes

from bench import kv_load, split
from flaredb.cli.cluster_plan import private_plan
from flaredb.cli.ports import PortPicker
from flaredb.cli.probe import ProbeFailed
from flaredb.cli.waiting import wait_until
from tests.bench.calm import CALM_DEMO
from tests.integration.cluster import CALM, Cluster

pytestmark = pytest.mark.process
TINY = ["--seconds", "0.3", "--warm-up", "0.1", "--keys", "1000", "--in-flight", "32"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three regions, of which the first holds none of the generator's keys."""
    with Cluster(tmp_path_factory.mktemp("cluster"), split_keys=("M", "key-000000000500"), config=CALM) as running:
        yield running


class PatientCluster(split.Cluster):
    """Splits as soon as the leader takes it: PD may move leaders after a start or a split."""

    def split(self, keys: list[bytes]) -> None:
        refusals: list[Exception | SystemExit] = []

        def is_split() -> bool:
            try:
                super(PatientCluster, self).split(keys)
            except (SystemExit, ProbeFailed) as refusal:
                refusals.append(refusal)
                return False
            return True

        assert wait_until(is_split, 30), refusals[-1]


def load(cluster: Cluster, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The line of a run in which PD moved no leader, as it may after a start or a split, and not all stood still."""
    line: dict[str, Any] = {}

    def stood_still() -> bool:
        kv_load.main(["--pd", cluster.pd_address, *TINY, *arguments])
        line.update(json.loads(capsys.readouterr().out))
        return line["moved"] == 0 and line["ops_per_s"] > 0

    assert wait_until(stood_still, 60), line
    return line


def metrics(cluster: Cluster) -> dict[str, float]:
    """Sums over all stores, by the text before the value."""
    sums: dict[str, float] = {}
    for store in cluster.stores:
        connection = http.client.HTTPConnection(store.ports.status_address, timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#")):
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def test_the_routes_are_those_of_the_cluster(cluster: Cluster) -> None:
    routes = find_routes(cluster.pd_address)
    assert [(route.start_key, route.end_key) for route in routes] == [
        (b"", b"M"),
        (b"M", b"key-000000000500"),
        (b"key-000000000500", b""),
    ]
    assert {route.address for route in routes} <= {store.ports.address for store in cluster.stores}


@pytest.mark.parametrize("mode", ["batch", "unary"])
@pytest.mark.parametrize("op", ["put", "get"])
def test_a_run_counts_operations_without_errors(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], mode: str, op: str
) -> None:
    pids = ",".join(str(store.child.pid) for store in cluster.stores)
    line = load(cluster, capsys, "--mode", mode, "--op", op, "--pids", pids)
    assert (line["mode"], line["op"], line["errors"]) == (mode, op, 0)
    assert line["ops_per_s"] > 0
    assert 0 < line["p50_ms"] <= line["p99_ms"]
    assert line["server_cpu_s_per_1000"] >= 0


def test_the_stores_tell_of_the_load(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    before = metrics(cluster)
    line = load(cluster, capsys, "--mode", "batch", "--op", "put")
    after = metrics(cluster)
    puts = 'tikv_grpc_msg_duration_seconds_count{type="raw_put"}'
    store_heartbeats = 'tikv_pd_request_duration_seconds_count{type="store_heartbeat"}'
    region_heartbeats = 'tikv_pd_heartbeat_message_total{type="send"}'
    assert after[puts] - before.get(puts, 0) >= line["ops_per_s"] * 0.3 * 0.9

    def have_reported() -> bool:
        found = metrics(cluster)
        return found.get(store_heartbeats, 0) >= len(cluster.stores) and found.get(region_heartbeats, 0) >= 2

    assert wait_until(have_reported, 30)
    assert after['tikv_channel_full_total{type="pd_heartbeat"}'] == 0


def test_every_figure_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(all_figures, "WORKLOADS", (("batch", "put", 16),))
    # Ports of its own: another demo may start at the same moment.
    private_plan(3, (all_figures.READY_SPLIT_KEY,), PortPicker()).save(tmp_path)
    all_figures.main(["--seconds", "0.2", "--warm-up", "0.1", "--rounds", "1", "--data-dir", str(tmp_path)])
    out = capsys.readouterr().out
    assert "flaredb demo ready" in out
    assert "put, batch, 16 in flight" in out
    assert out.count("raft core,") == 3


@pytest.fixture
def demos_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Demos that keep clear of the usual ports: another one may start at the same moment."""

    def private_demo(split_keys: str) -> Demo:
        data_dir = Path(tempfile.mkdtemp(dir=tmp_path))
        private_plan(3, tuple(split_keys.split(",")), PortPicker()).save(data_dir)
        return Demo(split_keys, str(data_dir), CALM_DEMO)

    monkeypatch.setattr(split, "Demo", private_demo)
    monkeypatch.setattr(split, "Cluster", PatientCluster)


@pytest.mark.usefixtures("demos_of_their_own")
def test_figures_of_splits_are_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "CLIENTS", 4)
    split.gap(1, 1.0)
    split.thousand(20)
    out = capsys.readouterr().out
    assert "puts/s, 0 of" in out
    assert "0 errors, longest gap" in out
    assert out.count("1 region to 20 by") == 2


def test_regions_are_spread_over_the_keys_of_the_load(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"pd": cluster.pd_address, "stores": [{"status_address": s.ports.status_address} for s in cluster.stores]}
    laid_out = PatientCluster(SimpleNamespace(facts=facts))  # type: ignore[arg-type]
    laid_out.split([b"key-000000000100", b"key-000000000200"])
    laid_out.await_regions(5)
    line = load(cluster, capsys, "--mode", "batch", "--op", "put")
    assert (line["errors"], line["ops_per_s"] > 0) == (0, True)
