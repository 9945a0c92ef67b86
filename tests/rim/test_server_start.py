"""Server processes as they start: obeying the log settings, and refusing a data directory that is damaged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

from flaredb.cli.processes import Processes
from flaredb.cli.waiting import wait_until
from flaredb.engine.base import CF_META
from flaredb.engine.rocks import open_rocks
from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.keys import region_state_key
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.pd.schedule_config import ScheduleConfig
from flaredb.pd.state import IDENT_KEY
from flaredb.server.pd_node import _core_config
from flaredb.server.settings import load_pd_settings
from flaredb.store.bootstrap import create_regions, write_store_ident
from tests.rim.fake_pd import FakePd

DEADLINE_S = 60


def flaredb(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flaredb", *arguments]


def pd_arguments(directory: Path) -> list[str]:
    """A PD on any free port."""
    return flaredb("pd", "--data-dir", str(directory), "--client-urls", "http://127.0.0.1:0")


def overwrite_record(directory: Path, key: bytes, value: bytes) -> None:
    engine = open_rocks(directory)
    batch = engine.batch()
    assert engine.get(CF_META, key) is not None, "the damage must hit a record that exists"
    batch.put(CF_META, key, value)
    engine.write(batch)
    engine.sync()
    engine.close()


def start_once(directory: Path, arguments: list[str]) -> None:
    """Run a server process until it serves."""
    with Processes(directory) as processes:
        child = processes.add("server", arguments)
        child.start()
        child.wait_ready(DEADLINE_S)


def assert_one_line_that_names(stderr: str, directory: Path, *words: str) -> None:
    assert stderr.count("\n") == 1, stderr
    for word in (str(directory), *words):
        assert word in stderr


def test_pd_on_a_damaged_record_ends_with_one_line_and_65(tmp_path: Path) -> None:
    data = tmp_path / "pd"
    ready = tmp_path / "server.ready"
    start_once(tmp_path, [*pd_arguments(data), "--ready-file", str(ready)])
    overwrite_record(data, IDENT_KEY, b"\x01garbage")
    ended = subprocess.run(pd_arguments(data), capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 65
    assert_one_line_that_names(ended.stderr, data, "corrupt")


def test_pd_on_a_damaged_database_ends_with_one_line_and_65(tmp_path: Path) -> None:
    data = tmp_path / "pd"
    open_rocks(data).close()
    manifest = next(data.glob("MANIFEST-*"))
    content = bytearray(manifest.read_bytes())
    for at in range(len(content)):
        content[at] ^= 0x55
    manifest.write_bytes(content)
    ended = subprocess.run(pd_arguments(data), capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 65
    assert_one_line_that_names(ended.stderr, data, "damaged")


async def test_store_on_a_damaged_region_ends_with_one_line_and_65(tmp_path: Path) -> None:
    pd = await FakePd().start()
    try:
        data = tmp_path / "store"
        region = Region(RegionId(4), b"", b"", INITIAL_EPOCH, (Peer(PeerId(5), StoreId(1)),))
        engine = open_rocks(data)
        write_store_ident(engine, ClusterId(pd.cluster_id), StoreId(1))
        create_regions(engine, StoreId(1), [region])
        engine.close()
        overwrite_record(data, region_state_key(region.id), b"\x01garbage")
        address = "127.0.0.1:0"
        process = await create_subprocess_exec(
            *flaredb("server", "--pd", pd.address, "--data-dir", str(data), "--addr", address),
            *("--status-addr", address, "--peer-addr", address),
            stderr=PIPE,
        )
        _, stderr = await process.communicate()
        assert process.returncode == 65
        assert_one_line_that_names(stderr.decode(), data, "corrupt", "_Region record")
    finally:
        await pd.stop()


def test_log_format_is_obeyed(tmp_path: Path) -> None:
    config = tmp_path / "pd.toml"
    config.write_text('[log]\nformat = "json"\n')
    ready = tmp_path / "server.ready"
    with Processes(tmp_path) as processes:
        child = processes.add(
            "server", [*pd_arguments(tmp_path / "pd"), "--config", str(config), "--ready-file", str(ready)]
        )
        child.start()
        child.wait_ready(DEADLINE_S)
        child.send(signal.SIGTERM)
        assert wait_until(lambda: not child.is_running(), DEADLINE_S)
        lines = child.log_path.read_text().splitlines()
    assert any("PD is serving" in json.loads(line).values() for line in lines)


def test_settings_of_scheduling_reach_pd() -> None:
    table = {
        "schedule": {"max-store-down-time": "7m", "store-limit": 600, "low-space-ratio": 0.5},
        "replication": {"location-labels": ["zone", "host"]},
    }
    schedule = _core_config(load_pd_settings(None, table)).schedule
    assert (schedule.max_store_down_time_ms, schedule.store_limit, schedule.low_space_ratio) == (420_000, 600, 0.5)
    assert schedule.location_labels == ("zone", "host")
    assert _core_config(load_pd_settings(None, {})).schedule == ScheduleConfig()
