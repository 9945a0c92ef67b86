"""The status address: every page, every refusal, and bytes that are no HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from flaredb.model.errors import ConfigError
from flaredb.server.counters import Counters
from flaredb.server.settings import StoreSettings
from flaredb.server.status_port import StatusPort


class FakeStore:
    """Sources with two regions; ``conditions`` can be changed by a test."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.conditions = {"has its first regions": True, "every region has a leader": True}
        self.regions: dict[int, dict[str, Any]] = {
            2: {"region_id": 2, "start_key": b"", "end_key": b"L\x00", "leader_id": 5, "peers": [{"id": 5}]},
            9: {"region_id": 9, "start_key": b"L\x00", "end_key": b"", "leader_id": 0, "peers": [{"id": 10}]},
        }

    def measure(self) -> None:
        self.counters.region_count = len(self.regions)

    def region_ids(self) -> list[int]:
        return sorted(self.regions)

    def region_status(self, region_id: int) -> dict[str, Any] | None:
        return self.regions.get(region_id)

    def config(self) -> dict[str, Any]:
        return StoreSettings().to_dict()

    def ready(self) -> dict[str, bool]:
        return self.conditions


class Server:
    """A served FakeStore and a client of it."""

    def __init__(self, store: FakeStore, port: int, session: aiohttp.ClientSession) -> None:
        self.store = store
        self.port = port
        self._session = session

    async def call(self, path: str, method: str = "GET", body: str | None = None) -> tuple[int, str]:
        async with self._session.request(method, f"http://127.0.0.1:{self.port}{path}", data=body) as answer:
            return answer.status, await answer.text()

    async def raw(self, data: bytes) -> bytes:
        """What the port answers to these bytes until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            writer.write_eof()
            return await asyncio.wait_for(reader.read(), 30)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    store = FakeStore()
    status = StatusPort("127.0.0.1:0", store)
    port = await status.start()
    async with aiohttp.ClientSession() as session:
        yield Server(store, port, session)
    await status.stop()


async def test_status_is_ok_and_empty(server: Server) -> None:
    assert await server.call("/status") == (200, "")


async def test_metrics_are_measured_when_asked(server: Server) -> None:
    code, text = await server.call("/metrics")
    assert code == 200
    assert 'tikv_raftstore_region_count{type="region"} 2\n' in text
    server.store.regions.clear()
    _, text = await server.call("/metrics")
    assert 'tikv_raftstore_region_count{type="region"} 0\n' in text


async def test_ready_tells_what_is_missing(server: Server) -> None:
    assert await server.call("/ready") == (200, "")
    server.store.conditions["every region has a leader"] = False
    assert await server.call("/ready") == (500, "not yet: every region has a leader\n")
    code, text = await server.call("/ready?verbose")
    assert code == 500
    assert json.loads(text) == {"has its first regions": True, "every region has a leader": False}


async def test_config_is_json_with_the_names_of_the_file(server: Server) -> None:
    code, text = await server.call("/config")
    assert code == 200
    assert json.loads(text)["raftstore"]["raft-base-tick-interval"] == "1s"


async def test_engine_type_is_that_of_tikv(server: Server) -> None:
    assert await server.call("/engine_type") == (200, "raft-kv")


async def test_regions_are_listed(server: Server) -> None:
    code, text = await server.call("/regions")
    assert (code, json.loads(text)) == (200, [2, 9])


async def test_a_region_shows_its_keys_as_bytes_literals_and_in_hexadecimal(server: Server) -> None:
    code, text = await server.call("/region/2")
    region = json.loads(text)
    assert code == 200
    assert region["region_id"] == 2
    assert region["start_key"] == "b''"
    assert region["end_key"] == r"b'L\x00'"
    assert region["end_key_hex"] == "4c00"
    assert region["peers"] == [{"id": 5}]


async def test_a_region_that_is_not_here_names_those_that_are(server: Server) -> None:
    assert await server.call("/region/3") == (404, "region 3 is not on this store; here are: 2, 9\n")
    server.store.regions = {number: {} for number in range(100, 200)}
    _, text = await server.call("/region/3")
    assert "here are: 100, 101" in text
    assert "and 80 more" in text
    server.store.regions.clear()
    _, text = await server.call("/region/3")
    assert "there is none here yet" in text


@pytest.mark.parametrize("path", ["/region/x", "/region/-1", "/region/1.5", "/region/%F0%9F%92%A9", "/region/²"])
async def test_a_region_id_is_a_number(server: Server, path: str) -> None:
    code, text = await server.call(path)
    assert code == 400
    assert "is not a region id" in text


@pytest.mark.parametrize("body", ["debug", '"debug"', '{"log_level": "debug"}', '{"log_level":"DEBUG"}'])
async def test_the_log_level_is_changed(server: Server, body: str) -> None:
    ours, root = logging.getLogger("flaredb"), logging.getLogger()
    before = ours.level, root.level
    try:
        assert await server.call("/log-level", "PUT", body) == (200, "")
        assert ours.level == logging.DEBUG
    finally:
        ours.setLevel(before[0])
        root.setLevel(before[1])


@pytest.mark.parametrize("body", ["", "loud", "{}", "[1]", "{", "\x00\xff"])
async def test_a_level_that_does_not_exist_is_refused_with_those_that_do(server: Server, body: str) -> None:
    before = logging.getLogger("flaredb").level
    code, text = await server.call("/log-level", "PUT", body)
    assert code == 400
    assert "trace, debug, info, warn, error, fatal" in text
    assert logging.getLogger("flaredb").level == before


async def test_an_unknown_path_is_answered_with_what_exists(server: Server) -> None:
    code, text = await server.call("/nowhere")
    assert code == 404
    assert text.startswith("/nowhere does not exist; here are: GET /metrics, ")
    assert "GET /region/{id}" in text
    assert "PUT /log-level" in text


async def test_a_wrong_method_is_answered_with_the_right_one(server: Server) -> None:
    assert await server.call("/config", "POST", "{}") == (405, "/config takes GET, not POST\n")


async def test_a_huge_body_is_refused(server: Server) -> None:
    code, _ = await server.call("/log-level", "PUT", "x" * 1_000_000)
    assert code == 413


async def test_bytes_that_are_no_http_are_refused_and_the_port_lives(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(7)
    samples = [rng.randbytes(size) for size in (1, 7, 100, 5_000, 100_000)]
    samples += [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /status HTTP/9.9\r\n\r\n",
        b"GET " + b"/x" * 50_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ]
    for sample in samples:
        answer = await server.raw(sample)
        assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 4", b"HTTP/1.1 505")), (
            sample[:20],
            answer[:80],
        )
    assert await server.call("/status") == (200, "")


async def test_a_page_that_fails_is_a_500_and_the_port_lives(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(region_id: int) -> dict[str, Any]:
        raise RuntimeError("broken")

    monkeypatch.setattr(server.store, "region_status", fail)
    code, _ = await server.call("/region/2")
    assert code == 500
    assert await server.call("/status") == (200, "")


async def test_a_port_in_use_names_address_and_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"{address}.*server\.status-addr"):
            await StatusPort(address, FakeStore()).start()


async def test_an_address_that_is_not_ours_names_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:1.*server\.status-addr"):
        await StatusPort("192.0.2.1:1", FakeStore()).start()


@pytest.mark.parametrize("asked", [False, True], ids=["never asked", "asked"])
async def test_a_stop_gives_the_port_back(asked: bool) -> None:
    status = StatusPort("127.0.0.1:0", FakeStore())
    port = await status.start()
    if asked:
        async with aiohttp.ClientSession() as session:
            await session.get(f"http://127.0.0.1:{port}/status")
    await status.stop()
    again = StatusPort(f"127.0.0.1:{port}", FakeStore())
    assert await again.start() == port
    await again.stop()


def test_binding_the_port_loads_no_http_library() -> None:
    code = "import sys, flaredb.server.status_port; sys.exit('aiohttp' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60).returncode == 0
