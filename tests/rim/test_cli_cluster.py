"""Plans of local clusters, and looking at a cluster from outside."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import tomllib
from collections import OrderedDict
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from flaredb.cli import ports
from flaredb.cli import probe as probing
from flaredb.cli.cluster_plan import ClusterPlan, load_plan, new_plan, private_plan, renewed_plan
from flaredb.cli.local_cluster import LocalCluster
from flaredb.cli.ports import PortPicker, is_free
from flaredb.cli.probe import PROBE_KEY_SUFFIX, Probe, ProbeFailed, applied_index
from flaredb.cli.processes import Processes
from flaredb.model.errors import ConfigError
from flaredb.server.settings import load_pd_settings, load_store_settings
from flaredb.wire.pb import errorpb_pb2, kvrpcpb_pb2, metapb_pb2, pdpb_pb2
from flaredb.wire.services import PD_METHODS, TIKV_METHODS


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call to a cluster has the time that a busy machine takes."""
    monkeypatch.setattr(probing, "CALL_TIMEOUT_S", 30.0)
    monkeypatch.setattr(Probe._call, "__defaults__", (30.0,))


def ports_of(plan: ClusterPlan) -> list[int]:
    return [plan.pd_port, *(port for store in plan.stores for port in (store.grpc, store.peer, store.status))]


def test_port_in_use_is_not_picked() -> None:
    port = PortPicker().pick()  # one that no other test is given by chance, once it is free again
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert not is_free(port)
        assert PortPicker().pick(port) != port
    assert PortPicker().pick(port) == port


def test_ports_are_picked_once() -> None:
    picker = PortPicker()
    port = picker.pick()
    assert picker.pick(port) != port
    for plan in (new_plan(12, (), picker), private_plan(5, (), picker)):
        assert len(set(ports_of(plan))) == len(ports_of(plan))


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_what_another_command_has_chosen_is_left_to_it_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = PortPicker().pick(), PortPicker().pick()
    monkeypatch.setattr(ports, "_claims", OrderedDict())  # as in another process: these two are claimed by this one
    monkeypatch.setattr(PortPicker, "_shuffled", staticmethod(lambda: iter([first, second])))
    with pytest.raises(OSError, match="no free port"):
        PortPicker().pick()
    assert PortPicker().pick(second) == second, "what a user asks for is not refused"
    code = "from flaredb.cli.ports import PortPicker as P, claim; p = P().pick(); assert not claim(p); print(p)"
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, timeout=60)
    monkeypatch.setattr(PortPicker, "_shuffled", staticmethod(lambda: iter([int(ended.stdout)])))
    assert PortPicker().pick() == int(ended.stdout)


def test_a_process_keeps_its_last_choices_only() -> None:
    picker = PortPicker()
    picked = [picker.pick() for _ in range(ports.CLAIMS_MAX + 2)]
    assert len(set(picked)) == len(picked)
    assert len(ports._claims) <= ports.CLAIMS_MAX
    assert ports.claim(picked[0]), "given back: another may have it"


def test_plan_is_kept_for_the_next_start(tmp_path: Path) -> None:
    assert load_plan(tmp_path) is None
    plan = private_plan(3, ("L", "hex:ff"), PortPicker())
    plan.save(tmp_path)
    assert load_plan(tmp_path) == plan
    assert renewed_plan(plan, 3, PortPicker()) == plan


def test_next_start_takes_other_ports_only_where_it_must() -> None:
    plan = private_plan(3, (), PortPicker())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", plan.stores[1].grpc))
        taken.listen()
        again = renewed_plan(plan, 4, PortPicker())
    assert again.pd_port == plan.pd_port
    assert (again.stores[0], again.stores[2]) == (plan.stores[0], plan.stores[2])
    assert again.stores[1].grpc != plan.stores[1].grpc
    assert len(again.stores) == 4


def test_fewer_stores_than_hold_the_data_are_refused() -> None:
    plan = private_plan(3, (), PortPicker())
    with pytest.raises(ConfigError, match="start it with --stores 3 or more"):
        renewed_plan(plan, 2, PortPicker())


def test_broken_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"pd_port": 1}')
    with pytest.raises(ConfigError, match="choose another --data-dir"):
        load_plan(tmp_path)


def test_written_configuration_is_what_the_servers_accept(tmp_path: Path) -> None:
    plan = private_plan(3, ("L",), PortPicker())
    with Processes(tmp_path) as processes:
        LocalCluster(tmp_path, plan, processes, {"raftstore": {"raft-base-tick-interval": "10ms"}})
    pd = load_pd_settings(tmp_path / "pd.toml", {})
    assert (pd.address, pd.bootstrap.keys, pd.stores_wanted) == (plan.pd_address, (b"L",), 3)
    store = load_store_settings(tmp_path / "store-2.toml", {})
    assert store.server.addr == plan.stores[1].address
    assert store.pd_addresses == (plan.pd_address,)
    assert store.storage.data_dir == str(tmp_path / "store-2")
    assert store.raftstore.raft_base_tick_interval_ms == 10
    assert (store.raftstore.election_timeout_ticks_min, store.raftstore.election_timeout_ticks_max) == (10, 16)
    assert "split-keys" in tomllib.loads((tmp_path / "pd.toml").read_text())["bootstrap"]


class FakeCluster:
    """PD and the only store behind one port; what it knows can be changed between calls."""

    def __init__(self) -> None:
        self.regions: list[tuple[bytes, bytes, int]] = [(b"", b"m", 1), (b"m", b"", 1)]
        self.refusal = ""
        self.calls: list[tuple[str, bytes]] = []
        self.address = ""

    def handlers(self) -> dict[str, Any]:
        return {
            "GetMembers": lambda request, context: pdpb_pb2.GetMembersResponse(header={"cluster_id": 9}),
            "ScanRegions": self.scan_regions,
            "GetStore": lambda request, context: pdpb_pb2.GetStoreResponse(store={"id": 1, "address": self.address}),
            "RawPut": lambda request, context: self.write("put", request, kvrpcpb_pb2.RawPutResponse()),
            "RawDelete": lambda request, context: self.write("delete", request, kvrpcpb_pb2.RawDeleteResponse()),
        }

    def scan_regions(self, request: Any, context: Any) -> Any:
        assert request.header.cluster_id == 9
        answer = pdpb_pb2.ScanRegionsResponse()
        for number, (start, end, leader_store) in enumerate(self.regions, start=1):
            region = metapb_pb2.Region(id=number, start_key=start, end_key=end, region_epoch={"version": 3})
            leader = metapb_pb2.Peer(id=number * 10, store_id=leader_store)
            answer.regions.add(region=region, leader=leader)
        return answer

    def write(self, kind: str, request: Any, answer: Any) -> Any:
        assert request.context.region_epoch.version == 3
        assert request.context.peer.id == request.context.region_id * 10
        if self.refusal:
            answer.region_error.CopyFrom(errorpb_pb2.Error(message=self.refusal))
        self.calls.append((kind, request.key))
        return answer


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    for service, methods in (("pdpb.PD", PD_METHODS), ("tikvpb.Tikv", TIKV_METHODS)):
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                function, methods[name].request.FromString, methods[name].response.SerializeToString
            )
            for name, function in cluster.handlers().items()
            if name in methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    cluster.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield cluster
    server.stop(None).wait()


def test_cluster_that_serves_takes_a_write_in_every_region(fake: FakeCluster) -> None:
    with Probe(fake.address) as probe:
        regions = probe.check_serving()
    assert [region.range_text for region in regions] == ["[-inf, b'm')", "[b'm', +inf)"]
    assert fake.calls == [
        ("put", PROBE_KEY_SUFFIX),
        ("delete", PROBE_KEY_SUFFIX),
        ("put", b"m" + PROBE_KEY_SUFFIX),
        ("delete", b"m" + PROBE_KEY_SUFFIX),
    ]


NOT_SERVING = [
    ("no region", [], "knows no region"),
    ("a gap", [(b"", b"m", 1), (b"n", b"", 1)], "do not cover every key"),
    ("no end", [(b"", b"m", 1)], "do not cover every key"),
    ("no leader", [(b"", b"m", 1), (b"m", b"", 0)], r"region 2 \[b'm', \+inf\) has no leader yet"),
]


@pytest.mark.parametrize(("case", "regions", "words"), NOT_SERVING, ids=[row[0] for row in NOT_SERVING])
def test_what_is_missing_is_named(
    case: str, regions: list[tuple[bytes, bytes, int]], words: str, fake: FakeCluster
) -> None:
    fake.regions = regions
    with Probe(fake.address) as probe, pytest.raises(ProbeFailed, match=words):
        probe.check_serving()


def test_refused_write_is_told(fake: FakeCluster) -> None:
    fake.refusal = "region 1 is not led here"
    with Probe(fake.address) as probe, pytest.raises(ProbeFailed, match="refuses a write: region 1 is not led here"):
        probe.check_serving()


def test_nobody_there_is_told() -> None:
    address = f"127.0.0.1:{PortPicker().pick()}"
    with (
        Probe(address) as probe,
        pytest.raises(ProbeFailed, match=f"{address} does not answer GetMembers: UNAVAILABLE"),
    ):
        probe.regions()
    with pytest.raises(ProbeFailed, match=f"http://{address}/region/1 does not answer"):
        applied_index(address, 1)


class StatusHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = {
            "/region/4": (200, b'{"peers": [], "apply_state": {"applied_index": 17}}'),
            "/region/5": (500, b"oops"),
            "/region/7": (200, b'{"peers": []}'),
        }
        status, body = known.get(self.path, (404, b"not found"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_applied_index_is_read_from_the_status_address() -> None:
    with HTTPServer(("127.0.0.1", 0), StatusHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"127.0.0.1:{server.server_port}"
            assert applied_index(address, 4) == 17
            assert applied_index(address, 6) == 0
            with pytest.raises(ProbeFailed, match="answers 500"):
                applied_index(address, 5)
            with pytest.raises(ProbeFailed, match="does not tell the applied index"):
                applied_index(address, 7)
        finally:
            server.shutdown()
            thread.join()
