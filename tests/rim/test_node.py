"""A whole store in this process, on RocksDB and real ports, with a PD whose answers the test decides."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from flaredb.cli.ports import HOST, PortPicker
from flaredb.engine.base import EngineFailed
from flaredb.engine.rocks import RocksEngine, open_rocks
from flaredb.engine.rocks_options import RocksOptions
from flaredb.model.errors import ConfigError
from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.region import INITIAL_EPOCH, Peer, Region, RegionEpoch
from flaredb.rpc.pd_errors import PdStoreTombstone
from flaredb.server import node as node_module
from flaredb.server.node import StoreNode
from flaredb.server.settings import StoreSettings, load_store_settings
from flaredb.store.bootstrap import read_store_ident, write_store_ident
from flaredb.wire.convert import epoch_to_pb, peer_to_pb
from flaredb.wire.pb import kvrpcpb_pb2, metapb_pb2, pdpb_pb2
from flaredb.wire.services import TIKV_METHODS
from tests.rim.fake_pd import FakePd, eventually

FIRST_STORE = StoreId(101)
"""The id that FakePd gives out first."""

CALL_DEADLINE_S = 30
MakeNode = Callable[..., Awaitable[StoreNode]]


def region(region_id: int, start: bytes = b"", end: bytes = b"", epoch: RegionEpoch = INITIAL_EPOCH) -> Region:
    """A region whose only replica is on the first store."""
    return Region(RegionId(region_id), start, end, epoch, (Peer(PeerId(region_id + 1), FIRST_STORE),))


def settings_for(directory: Path, pd: FakePd, **server: str) -> StoreSettings:
    any_port = f"{HOST}:0"
    flags: dict[str, Any] = {
        "pd": {"endpoints": [pd.address]},
        "server": {"addr": any_port, "status-addr": any_port, "peer-addr": any_port, **server},
        "storage": {"data-dir": str(directory / "store")},
        "raftstore": {
            "raft-base-tick-interval": "20ms",
            "pd-heartbeat-tick-interval": "100ms",
            "pd-store-heartbeat-tick-interval": "100ms",
        },
        "ready-file": str(directory / "ready.json"),
    }
    return load_store_settings(None, flags)


@pytest.fixture
async def pd() -> AsyncIterator[FakePd]:
    """A PD that is bootstrapped and lists two regions for the first store."""
    fake = FakePd()
    fake.bootstrapped = True
    fake.regions = [region(10, b"", b"m"), region(20, b"m", b"")]
    await fake.start()
    yield fake
    await fake.stop()


@asynccontextmanager
async def running(settings: StoreSettings, exits: list[int] | None = None) -> AsyncIterator[StoreNode]:
    """A started node, stopped at the end, also if the start fails."""
    node = StoreNode(settings, exit_process=(exits if exits is not None else []).append)
    try:
        await node.start()
        yield node
    finally:
        await node.stop()


@asynccontextmanager
async def serving(settings: StoreSettings, exits: list[int] | None = None) -> AsyncIterator[StoreNode]:
    """The same, once it leads its regions: a call that comes before waits for that, but not for long."""
    async with running(settings, exits) as node:
        await eventually(lambda: node.region_ids() and all(node.ready().values()))
        yield node


async def call(node: StoreNode, name: str, at: Region, **fields: Any) -> Any:
    """Call the node's client port with a right context."""
    method = TIKV_METHODS[name]
    context = kvrpcpb_pb2.Context(region_id=at.id, region_epoch=epoch_to_pb(at.epoch), peer=peer_to_pb(at.peers[0]))
    async with grpc.aio.insecure_channel(node.address) as channel:
        stub = channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return await stub(method.request(context=context, **fields), timeout=CALL_DEADLINE_S)


async def test_empty_store_takes_the_regions_that_pd_lists(tmp_path: Path, pd: FakePd) -> None:
    async with serving(settings_for(tmp_path, pd)) as node:
        assert node.store_id == FIRST_STORE
        left, right = pd.regions
        for at, key in ((left, b"a"), (right, b"z")):
            answer = await call(node, "RawPut", at, key=key, value=b"of " + key)
            assert not answer.HasField("region_error"), answer
            assert (await call(node, "RawGet", at, key=key)).value == b"of " + key
        assert node.region_ids() == [10, 20]
        status = node.region_status(10)
        assert status is not None
        assert (status["role"], status["end_key"]) == ("Leader", b"m")
        assert node.region_status(30) is None
        assert all(node.ready().values())
        node.measure()
        assert (node.counters.region_count, node.counters.leader_count) == (2, 2)
        assert node.counters.capacity_bytes > node.counters.available_bytes > 0
    assert "Bootstrap" not in pd.calls


async def test_first_store_of_an_empty_cluster_makes_the_first_region(tmp_path: Path, pd: FakePd) -> None:
    pd.bootstrapped, pd.regions = False, []
    async with serving(settings_for(tmp_path, pd)) as node:
        assert [(made.start_key, made.end_key) for made in pd.regions] == [(b"", b"")]
        answer = await call(node, "RawPut", pd.regions[0], key=b"k", value=b"v")
        assert not answer.HasField("region_error"), answer
    assert pd.calls["Bootstrap"] == 1


async def test_request_before_the_first_regions_waits_for_them(
    tmp_path: Path, pd: FakePd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PD lists nothing yet: a client's first call is held, not refused."""
    usual = node_module._store_config
    monkeypatch.setattr(node_module, "_store_config", lambda given: replace(usual(given), hold_ms=30_000))
    listed, pd.regions = pd.regions, []
    async with running(settings_for(tmp_path, pd)) as node:
        put = asyncio.ensure_future(call(node, "RawPut", listed[0], key=b"a", value=b"early"))
        await eventually(lambda: node.loop.store.waiting_requests == 1)
        assert not node.ready()["has its first regions"]
        pd.regions = listed
        assert not (await put).HasField("region_error")
        assert (await call(node, "RawGet", listed[0], key=b"a")).value == b"early"


async def test_disk_wins_over_pd_at_the_next_start(tmp_path: Path, pd: FakePd) -> None:
    """Whatever PD lists, a store that has regions keeps those, with their data and its id."""
    settings = settings_for(tmp_path, pd)
    left, right = pd.regions
    async with serving(settings) as node:
        await call(node, "RawPut", left, key=b"a", value=b"kept")
        await call(node, "RawPut", right, key=b"z", value=b"kept too")
    allocated = pd.calls["AllocID"]
    pd.regions = [region(30, b"", b"", RegionEpoch(5, 9))]
    async with serving(settings) as node:
        assert node.region_ids() == [10, 20]
        assert node.store_id == FIRST_STORE
        assert (await call(node, "RawGet", left, key=b"a")).value == b"kept"
        assert (await call(node, "RawGet", right, key=b"z")).value == b"kept too"
        await eventually(lambda: {beat.region.id for beat in pd.region_heartbeats[-4:]} == {10, 20})
        asked = await call(node, "RawGet", pd.regions[0], key=b"a")
        assert asked.region_error.region_not_found.region_id == 30
    assert pd.calls["AllocID"] == allocated


async def test_what_a_kill_left_of_snapshots_is_swept_at_the_start(tmp_path: Path, pd: FakePd) -> None:
    snapshots = tmp_path / "store" / "snap"
    snapshots.mkdir(parents=True)
    for name in ("10-25-00000000.tmp", "10-24-00000000.snap"):
        (snapshots / name).write_bytes(b"half a snapsh")
    async with running(settings_for(tmp_path, pd)) as node:
        assert list(snapshots.iterdir()) == []
        node.measure()
        assert node.counters.snapshot_traffic == {"sending": 0, "receiving": 0, "applying": 0}


async def test_pd_is_told_of_the_store_and_its_regions(tmp_path: Path, pd: FakePd) -> None:
    async with running(settings_for(tmp_path, pd)) as node:
        await eventually(lambda: pd.store_heartbeats and {10, 20} <= {beat.region.id for beat in pd.region_heartbeats})
        registered = pd.stores[FIRST_STORE]
        assert (registered.address, registered.status_address) == (node.address, node.status_address)
        assert registered.peer_address == node.peer_address
        beat = next(beat for beat in pd.region_heartbeats if beat.region.id == 10)
        assert beat.leader == metapb_pb2.Peer(id=11, store_id=FIRST_STORE)
        await eventually(lambda: pd.store_heartbeats[-1].region_count == 2)
        assert pd.store_heartbeats[-1].capacity > 0


async def test_store_serves_while_pd_is_away(tmp_path: Path, pd: FakePd) -> None:
    async with serving(settings_for(tmp_path, pd)) as node:
        await call(node, "RawPut", pd.regions[0], key=b"a", value=b"1")
        port = pd.port
        await pd.stop()
        answer = await call(node, "RawPut", pd.regions[0], key=b"a", value=b"2")
        assert not answer.HasField("region_error")
        await pd.start(port)
        beats = len(pd.region_heartbeats)
        await eventually(lambda: len(pd.region_heartbeats) > beats)


async def test_ready_file_tells_the_addresses_really_bound(tmp_path: Path, pd: FakePd) -> None:
    async with running(settings_for(tmp_path, pd)) as node:
        facts = json.loads((tmp_path / "ready.json").read_text())
        assert facts["store_id"] == FIRST_STORE
        for name in ("address", "status_address", "peer_address"):
            assert facts[name] == getattr(node, name)
            host, _, port = facts[name].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=CALL_DEADLINE_S):
                pass


# ------------------------------------------------ a start that fails


async def refused(settings: StoreSettings) -> str:
    """The message of the error by which a start fails; afterwards the engine is free again."""
    with pytest.raises(ConfigError) as failed:
        async with running(settings):
            pass
    check_left_nothing(settings)
    return str(failed.value)


def check_left_nothing(settings: StoreSettings) -> None:
    open_rocks(settings.storage.data_dir, RocksOptions()).close()
    assert not Path(settings.ready_file).exists()


async def test_data_of_another_cluster_is_refused_and_left_alone(tmp_path: Path, pd: FakePd) -> None:
    settings = settings_for(tmp_path, pd)
    engine = open_rocks(settings.storage.data_dir, RocksOptions())
    write_store_ident(engine, ClusterId(12), StoreId(3))
    engine.close()
    message = await refused(settings)
    assert "holds store 3 of cluster 12, but PD belongs to cluster 77" in message
    assert "--pd-endpoints" in message
    engine = open_rocks(settings.storage.data_dir, RocksOptions())
    assert read_store_ident(engine) == (12, 3)
    engine.close()
    assert not pd.stores


@pytest.mark.parametrize("setting", ["addr", "status-addr", "peer-addr"])
async def test_port_in_use_names_its_setting_and_registers_nothing(
    tmp_path: Path, pd: FakePd, setting: str, capfd: pytest.CaptureFixture[str]
) -> None:
    port = PortPicker().pick()
    with socket.create_server((HOST, port)):
        message = await refused(settings_for(tmp_path, pd, **{setting: f"{HOST}:{port}"}))
    assert message == (
        f"port in use: another process listens on {HOST}:{port}; stop it, or set server.{setting} to another port"
    )
    assert not pd.stores
    told = capfd.readouterr().err.splitlines()
    assert [line for line in told if "Got goaway" not in line] == [], "a thread of gRPC may tell of an older channel"


async def test_store_that_was_removed_for_good_is_told(tmp_path: Path, pd: FakePd) -> None:
    pd.refuse["PutStore"] = (pdpb_pb2.STORE_TOMBSTONE, "store is tombstone")
    with pytest.raises(PdStoreTombstone, match="store is tombstone"):
        async with running(settings_for(tmp_path, pd)):
            pass


async def test_list_of_regions_that_cannot_be_ends_the_process(
    tmp_path: Path, pd: FakePd, caplog: pytest.LogCaptureFixture
) -> None:
    pd.regions = [region(10, b"", b"n"), region(20, b"m", b"")]
    told = "region 10 [-inf, b'n') overlaps region 20 [b'm', +inf)"
    exits: list[int] = []
    async with running(settings_for(tmp_path, pd), exits) as node:
        await eventually(lambda: exits)
        assert exits == [65]
        assert node.region_ids() == []
    assert [record.levelname for record in caplog.records if told in str(record.__dict__)] == ["CRITICAL"]


# ------------------------------------------------ a disk that fails


async def test_failed_engine_ends_the_process_and_nothing_is_acknowledged(
    tmp_path: Path, pd: FakePd, monkeypatch: pytest.MonkeyPatch
) -> None:
    exits: list[int] = []
    async with serving(settings_for(tmp_path, pd), exits) as node:
        await call(node, "RawPut", pd.regions[0], key=b"a", value=b"1")

        def fail(engine: RocksEngine) -> None:
            raise EngineFailed("input/output error")

        monkeypatch.setattr(RocksEngine, "sync", fail)
        put = asyncio.ensure_future(call(node, "RawPut", pd.regions[0], key=b"a", value=b"2"))
        await eventually(lambda: exits)
        assert exits == [74]
        assert node.exit_status == 74
        assert not put.done()
        put.cancel()
