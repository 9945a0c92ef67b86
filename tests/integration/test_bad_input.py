"""What can be wrong from outside, tried on real processes: told in a line that names the cure, and nothing breaks."""

from __future__ import annotations

import contextlib
import http.client
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from flaredb.cli.local_cluster import StoreProcess
from flaredb.cli.official_client import connected
from flaredb.cli.ports import HOST
from flaredb.model.limits import KEY_SIZE_BYTES_MAX, MIB
from flaredb.server.toml_text import merge
from flaredb.wire.pb import kvrpcpb_pb2, metapb_pb2, pdpb_pb2, tikvpb_pb2
from flaredb.wire.services import TIKV_METHODS
from tests.integration.calls import Calls, context_for, status_of
from tests.integration.cluster import CALM, PORTS, Cluster
from tests.integration.moves import settled

pytestmark = pytest.mark.process
REFUSAL_DEADLINE_S = 90
ANSWER_DEADLINE_S = 20
STOP_DEADLINE_S = 30
SILENCE_S = 1.0
USAGE, FAILURE = 2, 1


# ------------------------------------------------ processes that must not start


def refused(*arguments: str) -> tuple[int, str]:
    """Exit code of ``flaredb`` with these arguments, and the one line on standard error that tells why.

    Lines of the log, which begin with a bracket, may come before it.
    """
    command = [sys.executable, "-P", "-m", "flaredb", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=REFUSAL_DEADLINE_S)
    assert "Traceback" not in ran.stderr, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("flaredb: ")
    assert ran.returncode != 0
    return ran.returncode, lines[0]


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    port = PORTS.pick()
    with socket.create_server((HOST, port)):
        yield port


def pd_arguments(directory: Path, **flags: str) -> list[str]:
    given = {"client-urls": f"http://{HOST}:{PORTS.pick()}", "data-dir": str(directory / "pd"), **flags}
    return ["pd", *(part for name, value in given.items() for part in (f"--{name}", value))]


def server_arguments(directory: Path, pd_address: str, **flags: str) -> list[str]:
    any_port = f"{HOST}:0"
    given = {
        "pd-endpoints": pd_address,
        "addr": any_port,
        "status-addr": any_port,
        "peer-addr": any_port,
        "data-dir": str(directory / "store"),
        **flags,
    }
    return ["server", *(part for name, value in given.items() for part in (f"--{name}", value))]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("g,p,g", "names b'g' twice; leave one out"),
        ("g,hex:", "a key has 1 to 8 KiB, not 0"),
        ("hex:0", "after hex: come pairs of hexadecimal digits"),
        ("g" * (KEY_SIZE_BYTES_MAX + 1), "a key has 1 to 8 KiB, not 8193"),
    ],
    ids=["twice", "empty", "half a byte", "too long"],
)
def test_split_keys_that_make_no_layout(tmp_path: Path, keys: str, told: str) -> None:
    code, line = refused(*pd_arguments(tmp_path, **{"split-keys": keys}))
    assert code == USAGE
    assert told in line


def test_layout_for_fewer_stores_than_replicas(tmp_path: Path) -> None:
    code, line = refused(*pd_arguments(tmp_path, **{"split-keys": "g", "initial-stores": "2"}))
    assert code == USAGE
    assert "bootstrap.stores = 2 is less than replication.max-replicas = 3" in line


def test_split_keys_in_any_order_make_regions_in_key_order(tmp_path: Path) -> None:
    with Cluster(tmp_path, stores=1, split_keys=("p", "c", "g")) as cluster, Calls(cluster.pd_address) as calls:
        starts = [region.meta.start_key for region in calls.regions()]
    assert starts == [b"", b"c", b"g", b"p"]


def test_pd_port_in_use(tmp_path: Path) -> None:
    with taken_port() as port:
        code, line = refused(*pd_arguments(tmp_path, **{"client-urls": f"http://{HOST}:{port}"}))
    assert code == USAGE
    assert "client-urls" in line
    assert f"{HOST}:{port}" in line
    assert "in use" in line


@pytest.mark.parametrize("flag", ["addr", "status-addr", "peer-addr"])
def test_store_port_in_use(cluster: Cluster, tmp_path: Path, flag: str) -> None:
    with taken_port() as port:
        code, line = refused(*server_arguments(tmp_path, cluster.pd_address, **{flag: f"{HOST}:{port}"}))
    assert code == USAGE
    assert f"server.{flag}" in line
    assert f"{HOST}:{port}" in line
    assert "in use" in line


def test_unknown_key_in_a_store_file(tmp_path: Path) -> None:
    config = tmp_path / "store.toml"
    config.write_text('[raftstore]\nraft-base-tick-intervall = "1s"\n')
    code, line = refused(*server_arguments(tmp_path, f"{HOST}:1", config=str(config)))
    assert code == USAGE
    assert "did you mean raftstore.raft-base-tick-interval?" in line
    assert str(config) in line
    assert not (tmp_path / "store").exists()


def test_unknown_key_in_a_pd_file(tmp_path: Path) -> None:
    config = tmp_path / "pd.toml"
    config.write_text("[replication]\nmax-replica = 3\n")
    code, line = refused(*pd_arguments(tmp_path, config=str(config)))
    assert code == USAGE
    assert "did you mean replication.max-replicas?" in line


def test_data_directory_of_another_cluster(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing in it changes: with its own PD it serves as before."""
    (tmp_path / "other").mkdir()
    with Cluster(tmp_path / "other", stores=1, split_keys=()) as other:
        with connected(other.pd_address) as client:
            client.put(b"kept", b"by the other cluster")
        other.stop_store(1)
        code, line = refused(*server_arguments(tmp_path / "other", cluster.pd_address, **{"data-dir": data_of(other)}))
        assert code == USAGE
        assert "of cluster" in line
        assert "check --pd-endpoints, or use an empty --data-dir" in line
        other.start()
        with connected(other.pd_address) as client:
            assert client.get(b"kept") == b"by the other cluster"


def data_of(cluster: Cluster) -> str:
    """Where store 1 keeps its data."""
    return str(cluster.store(1).child.log_path.with_suffix(""))


def test_data_directory_in_use(cluster: Cluster, tmp_path: Path) -> None:
    code, line = refused(*server_arguments(tmp_path, cluster.pd_address, **{"data-dir": data_of(cluster)}))
    assert code == FAILURE
    assert data_of(cluster) in line
    assert "another process" in line


def test_data_directory_that_is_a_file(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a directory")
    code, line = refused(*server_arguments(tmp_path, cluster.pd_address))
    assert code == FAILURE
    assert str(tmp_path / "store") in line


def test_store_that_waits_for_pd_says_so_and_can_be_stopped(tmp_path: Path) -> None:
    nobody = f"{HOST}:{PORTS.pick()}"
    log_path = tmp_path / "store.log"
    with log_path.open("w") as log:
        arguments = server_arguments(tmp_path, nobody)
        store = subprocess.Popen([sys.executable, "-P", "-m", "flaredb", *arguments], stderr=log)
    try:
        Cluster.wait_for(lambda: nobody in log_path.read_text())
        Cluster.wait_for(lambda: "trying again until it works" in log_path.read_text())
        store.send_signal(signal.SIGTERM)
        assert store.wait(STOP_DEADLINE_S) == 0
    finally:
        store.kill()
        store.wait()
    assert "Traceback" not in log_path.read_text()


# ------------------------------------------------ a cluster that must not mind


@pytest.fixture(scope="module", params=["library", "built-in"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    config = merge(CALM, {"server": {"grpc-server": request.param}})
    with Cluster(tmp_path_factory.mktemp("bad-input"), split_keys=("g",), config=config) as cluster:
        yield settled(cluster)


@pytest.fixture
def cluster(running: Cluster) -> Iterator[Cluster]:
    """The module's cluster; after each test the same processes run, take writes and have lost nothing."""
    kept = [(b"a/kept", b"1"), (b"k/kept", b"2")]
    with connected(running.pd_address) as client:
        client.batch_put(dict(kept))
    pids = [store.child.pid for store in running.stores]
    yield running
    running.start()
    assert [store.child.pid for store in running.stores] == pids
    with connected(running.pd_address) as client:
        assert client.batch_get([key for key, _ in kept]) == kept
    for number in range(len(running.stores) + 1):
        assert "Traceback" not in running.log(number)


@pytest.fixture
def calls(cluster: Cluster) -> Iterator[Calls]:
    with Calls(cluster.pd_address) as open_calls:
        yield open_calls


def leader_address(cluster: Cluster, calls: Calls, key: bytes) -> str:
    """Where the leader of the key's region serves clients."""
    store_id = calls.region_of(key).leader_store_id
    return next(store.ports.address for store in cluster.stores if store.store_id == store_id)


def ask(cluster: Cluster, calls: Calls, name: str, **fields: Any) -> Any:
    """Call the leader of the first region with a right context, unless one is given."""
    fields.setdefault("context", context_for(calls.region_of(b"a")))
    return calls.store(leader_address(cluster, calls, b"a"), name, **fields)


def test_key_over_8_kib(cluster: Cluster, calls: Calls) -> None:
    longest, too_long = b"a" * KEY_SIZE_BYTES_MAX, b"a" * (KEY_SIZE_BYTES_MAX + 1)
    assert not ask(cluster, calls, "RawPut", key=longest, value=b"v").error
    answer = ask(cluster, calls, "RawPut", key=too_long, value=b"v")
    assert not answer.HasField("region_error")
    assert "8193" in answer.error
    assert "storage.max-key-size" in answer.error
    with connected(cluster.pd_address) as client, pytest.raises(Exception, match="max-key-size"):
        client.put(too_long, b"v")
    assert ask(cluster, calls, "RawGet", key=longest).value == b"v"
    ask(cluster, calls, "RawDelete", key=longest)


def test_entry_over_8_mib(cluster: Cluster, calls: Calls) -> None:
    fits, too_large = bytes(7 * MIB), bytes(8 * MIB)
    answer = ask(cluster, calls, "RawPut", key=b"a/large", value=too_large)
    assert answer.region_error.raft_entry_too_large.entry_size > 8 * MIB
    assert "raftstore.raft-entry-max-size" in answer.region_error.message
    assert "smaller batches" in answer.region_error.message
    pairs = [kvrpcpb_pb2.KvPair(key=b"a/large/%d" % number, value=bytes(3 * MIB)) for number in range(3)]
    answer = ask(cluster, calls, "RawBatchPut", pairs=pairs)
    assert answer.region_error.HasField("raft_entry_too_large")
    assert ask(cluster, calls, "RawGet", key=b"a/large").not_found
    answer = ask(cluster, calls, "RawPut", key=b"a/large", value=fits)
    assert not answer.HasField("region_error")
    assert ask(cluster, calls, "RawGet", key=b"a/large").value == fits
    ask(cluster, calls, "RawDelete", key=b"a/large")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("RawPut", {"key": b"a/cf", "value": b"v"}),
        ("RawGet", {"key": b"a/cf"}),
        ("RawDelete", {"key": b"a/cf"}),
        ("RawDeleteRange", {"start_key": b"a", "end_key": b"b"}),
    ],
)
def test_column_family_that_does_not_exist(cluster: Cluster, calls: Calls, name: str, fields: dict[str, Any]) -> None:
    answer = ask(cluster, calls, name, cf="defualt", **fields)
    assert not answer.HasField("region_error")
    assert "defualt" in answer.error
    for known in ("default", "lock", "write"):
        assert known in answer.error


def test_column_family_that_does_not_exist_in_a_scan(cluster: Cluster, calls: Calls) -> None:
    answer = ask(cluster, calls, "RawScan", start_key=b"a", limit=10, cf="raft")
    assert len(answer.kvs) == 1
    assert "raft" in answer.kvs[0].error.abort


def test_empty_key_is_a_key(cluster: Cluster, calls: Calls) -> None:
    """The protocol allows it; it is the first key of the first region (wire facts 3.6)."""
    assert not ask(cluster, calls, "RawPut", key=b"", value=b"of the empty key").error
    assert ask(cluster, calls, "RawGet", key=b"").value == b"of the empty key"
    rows = ask(cluster, calls, "RawScan", start_key=b"", limit=1).kvs
    assert [(row.key, row.value) for row in rows] == [(b"", b"of the empty key")]
    ask(cluster, calls, "RawDelete", key=b"")
    other = calls.region_of(b"k")
    refused_there = calls.store(
        leader_address(cluster, calls, b"k"), "RawPut", context=context_for(other), key=b"", value=b"v"
    )
    assert refused_there.region_error.key_not_in_region.start_key == b"g"


# ------------------------------------------------ wrong ids, in the order in which they are looked at


def test_wrong_cluster_id_at_a_store(cluster: Cluster, calls: Calls) -> None:
    """A status, not an answer: the client talks to the wrong cluster altogether."""
    context = context_for(calls.region_of(b"a"), cluster_id=calls.cluster_id() + 1)
    with pytest.raises(grpc.RpcError) as failed:
        ask(cluster, calls, "RawGet", key=b"a", context=context)
    code, text = status_of(failed.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "check the PD addresses" in text


def test_wrong_cluster_id_at_pd(cluster: Cluster, calls: Calls) -> None:
    wrong = calls.cluster_id() + 1
    with pytest.raises(grpc.RpcError) as failed:
        calls.pd("AllocID", header=pdpb_pb2.RequestHeader(cluster_id=wrong), count=1)
    code, text = status_of(failed.value)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert text == f"mismatch cluster id, need {wrong - 1} but got {wrong}"


def test_region_errors_come_in_the_order_that_clients_know(cluster: Cluster, calls: Calls) -> None:
    """Everything is wrong at first; each step mends what the last answer named, and the next thing is told."""
    region = calls.region_of(b"a")
    leader = region.leader
    address = leader_address(cluster, calls, b"a")
    context = kvrpcpb_pb2.Context(
        region_id=region.id + 9999,
        region_epoch=metapb_pb2.RegionEpoch(conf_ver=1, version=region.meta.region_epoch.version + 7),
        peer=metapb_pb2.Peer(id=leader.id + 9999, store_id=leader.store_id + 9999),
        term=1,
    )

    def told(key: bytes = b"outside") -> Any:
        return calls.store(address, "RawPut", context=context, key=key, value=b"never").region_error

    assert told().region_not_found.region_id == region.id + 9999
    context.region_id = region.id
    mismatch = told().store_not_match
    assert (mismatch.request_store_id, mismatch.actual_store_id) == (leader.store_id + 9999, leader.store_id)
    context.peer.store_id = leader.store_id
    other_peer = told().mismatch_peer_id
    assert (other_peer.request_peer_id, other_peer.store_peer_id) == (leader.id + 9999, leader.id)
    context.peer.id = leader.id
    assert told().HasField("stale_command")
    context.term = 0
    assert list(told().epoch_not_match.current_regions) == [region.meta]
    context.region_epoch.CopyFrom(region.meta.region_epoch)
    outside = told().key_not_in_region
    assert (outside.key, outside.region_id) == (b"outside", region.id)
    assert (outside.start_key, outside.end_key) == (b"", b"g")
    assert not told(b"a/inside").message
    ask(cluster, calls, "RawDelete", key=b"a/inside")


def test_every_region_error_has_a_readable_message(cluster: Cluster, calls: Calls) -> None:
    region = calls.region_of(b"a")
    address = leader_address(cluster, calls, b"a")
    wrong: dict[str, tuple[dict[str, Any], bytes]] = {
        "region_not_found": ({"region_id": 999_999}, b"a"),
        "store_not_match": ({"peer": metapb_pb2.Peer(id=region.leader.id, store_id=777)}, b"a"),
        "mismatch_peer_id": ({"peer": metapb_pb2.Peer(id=777, store_id=region.leader_store_id)}, b"a"),
        "epoch_not_match": ({"region_epoch": metapb_pb2.RegionEpoch(conf_ver=1, version=999)}, b"a"),
        "key_not_in_region": ({}, b"x"),
    }
    for name, (fields, key) in wrong.items():
        for call, arguments in (("RawGet", {}), ("RawPut", {"value": b"v"}), ("RawDelete", {})):
            error = calls.store(address, call, context=context_for(region, **fields), key=key, **arguments).region_error
            assert error.HasField(name), (call, name, error)
            assert len(error.message) > 20, (call, name, error)


def test_follower_names_the_leader_before_it_looks_at_the_epoch(cluster: Cluster, calls: Calls) -> None:
    region = calls.region_of(b"a")
    follower = next(store for store in cluster.stores if store.store_id != region.leader_store_id)
    epoch = metapb_pb2.RegionEpoch(conf_ver=1, version=999)
    context = context_for(region, follower.store_id, region_epoch=epoch)
    error = calls.store(follower.ports.address, "RawGet", context=context, key=b"a").region_error
    assert error.not_leader.region_id == region.id
    assert error.not_leader.leader == region.leader


def test_request_that_is_wrong_in_itself_is_told_before_its_region(cluster: Cluster, calls: Calls) -> None:
    context = context_for(calls.region_of(b"a"), region_id=999_999)
    answer = ask(cluster, calls, "RawPut", key=b"a" * 9000, value=b"v", context=context)
    assert answer.error
    assert not answer.HasField("region_error")


def test_batch_frame_with_an_unknown_command(cluster: Cluster, calls: Calls) -> None:
    """A newer client's command is answered as empty, and its neighbours as ever (wire facts 3.8)."""
    context = context_for(calls.region_of(b"a"))
    known = tikvpb_pb2.BatchCommandsRequest.Request(
        RawPut=kvrpcpb_pb2.RawPutRequest(context=context, key=b"a/frame", value=b"v")
    )
    unknown = tikvpb_pb2.BatchCommandsRequest.Request.FromString(bytes([0xFA, 0x3F, 2, 8, 1]))
    answers = calls.batch(leader_address(cluster, calls, b"a"), [known, unknown, known])
    assert [answer.WhichOneof("cmd") for answer in answers] == ["RawPut", None, "RawPut"]
    assert not any(answer.RawPut.HasField("region_error") for answer in answers)


def test_batch_frame_that_is_no_message(cluster: Cluster, calls: Calls) -> None:
    address = leader_address(cluster, calls, b"a")
    for garbage in (b"\xff\xff\xff", bytes(64)):
        with grpc.insecure_channel(address) as channel:
            answers = channel.stream_stream(TIKV_METHODS["BatchCommands"].path)(
                iter([garbage]), timeout=ANSWER_DEADLINE_S
            )
            with pytest.raises(grpc.RpcError) as failed:
                list(answers)
        assert status_of(failed.value)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_method_that_nobody_knows(cluster: Cluster) -> None:
    for address in (cluster.pd_address, cluster.store(1).ports.address):
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/tikvpb.Tikv/RawPutt")(b"", timeout=ANSWER_DEADLINE_S)
        assert status_of(failed.value)[0] is grpc.StatusCode.UNIMPLEMENTED


# ------------------------------------------------ noise on every port


def ports_of(cluster: Cluster) -> dict[str, int]:
    """Every port of a store, and PD's."""
    store: StoreProcess = cluster.store(1)
    ports = store.ports
    pd_port = int(cluster.pd_address.rpartition(":")[2])
    return {"grpc": ports.grpc, "peer": ports.peer, "status": ports.status, "pd": pd_port}


PORT_NAMES = ["grpc", "peer", "status", "pd"]


@pytest.mark.parametrize("name", PORT_NAMES)
def test_random_bytes_on_a_port(cluster: Cluster, name: str) -> None:
    """Connections that talk nonsense are closed, or ignored; they never harm those that talk sense."""
    chance = random.Random(name)
    for size in (1, 9, 300, 70_000):
        with contextlib.suppress(OSError), connect(ports_of(cluster)[name]) as noisy:
            noisy.sendall(chance.randbytes(size))
            noisy.shutdown(socket.SHUT_WR)
            read_to_end(noisy)


@pytest.mark.parametrize("name", PORT_NAMES)
def test_http_request_on_a_port(cluster: Cluster, name: str) -> None:
    request = b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connect(ports_of(cluster)[name]) as noisy:
        received = b""
        with contextlib.suppress(ConnectionError):
            noisy.sendall(request)
            received = read_to_end(noisy, ANSWER_DEADLINE_S if name == "status" else SILENCE_S)
    if name == "status":
        assert received.startswith(b"HTTP/1.1 200")


def test_path_that_the_status_port_does_not_know(cluster: Cluster) -> None:
    connection = http.client.HTTPConnection(HOST, cluster.store(1).ports.status, timeout=ANSWER_DEADLINE_S)
    try:
        for path in ("/region/x", "/region/999999", "/nothing"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert 400 <= answer.status < 500
    finally:
        connection.close()


def test_peer_port_tells_a_stranger_from_a_store(cluster: Cluster) -> None:
    with connect(ports_of(cluster)["peer"]) as noisy:
        noisy.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert read_to_end(noisy) == b""
    cluster.wait_for(lambda: "peer port: connection from" in cluster.log(1))


def test_many_silent_connections_do_not_keep_others_out(cluster: Cluster) -> None:
    with contextlib.ExitStack() as open_sockets:
        for port in ports_of(cluster).values():
            for _ in range(50):
                open_sockets.enter_context(connect(port))
        with connected(cluster.pd_address) as client:
            client.put(b"a/crowd", b"v")
            assert client.get(b"a/crowd") == b"v"


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=ANSWER_DEADLINE_S)


def read_to_end(connection: socket.socket, silence_s: float = SILENCE_S) -> bytes:
    """What the other side says until it closes, or until it has said nothing for a while."""
    connection.settimeout(silence_s)
    parts = []
    with contextlib.suppress(TimeoutError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)
