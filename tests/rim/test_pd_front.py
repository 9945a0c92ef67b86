"""PD's one port: gRPC, HTTP/1.1, and whatever else comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flaredb.server.pd_front import HTTP2_START, PdFront, speaks_http
from flaredb.server.run import run_until_told
from flaredb.wire.pb import pdpb_pb2 as pdpb
from tests.pd.helpers import region
from tests.rim.pd_rig import DEADLINE_S, PdRig, running_pd, until


@pytest.fixture
async def pd(tmp_path: Path) -> AsyncIterator[PdRig]:
    async with running_pd(tmp_path) as rig:
        yield rig


async def exchange(port: int, sent: bytes) -> bytes:
    """What the port says until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(DEADLINE_S):
            writer.write(sent)
            try:
                return await reader.read()
            except ConnectionError:
                return b""
    finally:
        writer.close()


async def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body of one page."""
    answer = await exchange(port, f"{method} {path} HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


async def get_json(port: int, path: str) -> Any:
    status, body = await get(port, f"/pd/api/v1{path}")
    assert status == 200, body
    return json.loads(body)


def test_what_the_first_bytes_tell() -> None:
    for start, expected in {
        b"": None,
        b"P": None,
        b"PRI * HTTP/2.0\r": None,
        HTTP2_START: True,
        b"PUT": None,
        b"PUT /": True,
        b"GET / HTTP/1.1\r\n": True,
        b"PRI * HTTP/1.1\r\n": False,
        b"\x16\x03\x01": False,
        b"get /": False,
        b"GET\x00": False,
    }.items():
        assert speaks_http(start) is expected, start


async def test_random_bytes_are_sent_away_and_nobody_else_notices(pd: PdRig) -> None:
    chance = random.Random(7)
    for size in (1, 24, 5_000):
        assert await exchange(pd.port, b"\x16" + chance.randbytes(size)) == b""
    assert await exchange(pd.port, HTTP2_START + chance.randbytes(500)) is not None
    assert (await pd.call("AllocID")).id == 1


async def test_bytes_may_come_one_by_one(pd: PdRig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pd.port)
    for byte in b"GET /pd/api/v1/version HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
    async with asyncio.timeout(DEADLINE_S):
        assert b'"version": "6.5.0"' in await reader.read()
    writer.close()


async def test_the_pages_that_tools_read(pd: PdRig) -> None:
    await pd.bootstrap()
    await pd.report(region(5, b"m", b"", version=2))
    await pd.report(region(2, b"", b"m", version=2))
    members = await get_json(pd.port, "/members")
    assert members["header"]["cluster_id"] == pd.cluster_id
    assert members["leader"]["client_urls"] == [f"http://{pd.node.address}"]
    assert (await get_json(pd.port, "/health"))[0]["health"] is True
    assert await get_json(pd.port, "/cluster") == {"id": pd.cluster_id, "max_peer_count": 3}
    assert (await get_json(pd.port, "/cluster/status"))["is_initialized"] is True
    stores = await get_json(pd.port, "/stores")
    assert stores["count"] == 1
    assert stores["stores"][0]["store"]["state_name"] == "Disconnected"
    assert stores["stores"][0]["status"]["leader_count"] == 2
    assert (await get_json(pd.port, "/stores?state=2"))["count"] == 0
    assert (await get_json(pd.port, "/store/1"))["store"]["id"] == 1
    regions = await get_json(pd.port, "/regions")
    assert [item["start_key"] for item in regions["regions"]] == ["", "6D"]
    assert (await get_json(pd.port, "/region/id/5"))["leader"]["store_id"] == 1
    assert await get_json(pd.port, "/region/id/77") is None
    assert (await get_json(pd.port, "/region/key/%6Dx%2Fy%00"))["id"] == 5
    assert (await get_json(pd.port, "/region/key/61?format=hex"))["id"] == 2
    assert await get(pd.port, "/pd/api/v1/ping") == (200, "")
    assert await get(pd.port, "/status") == (200, "")
    status, metrics = await get(pd.port, "/metrics")
    assert status == 200
    assert 'pd_cluster_status{type="region_count"} 2' in metrics
    assert 'flaredb_pd_orders_total{outcome="sent"} 0' in metrics


async def test_pages_that_do_not_exist_are_refused_in_words(pd: PdRig) -> None:
    for path, method, expected, words in [
        ("/pd/api/v1/hotspot", "GET", 404, "/pd/api/v1/stores"),
        ("/pd/api/v1/store/7", "GET", 404, "store 7 does not exist"),
        ("/pd/api/v1/store/x", "GET", 400, "write a number"),
        ("/pd/api/v1/stores?state=9", "GET", 400, "Tombstone"),
        ("/pd/api/v1/region/key/6?format=hex", "GET", 400, "hexadecimal"),
        ("/pd/api/v1/region/key/a", "GET", 404, "no region is known"),
        ("/pd/api/v1/stores", "POST", 405, "use GET"),
    ]:
        status, body = await get(pd.port, path, method)
        assert (status, words in body) == (expected, True), (path, body)


async def test_grpc_and_http_share_the_port_at_the_same_time(pd: PdRig) -> None:
    calls = [pd.call("AllocID") for _ in range(50)]
    pages = [get(pd.port, "/pd/api/v1/version") for _ in range(10)]
    answers = await asyncio.gather(*calls, *pages)
    assert sorted(answer.id for answer in answers[:50]) == list(range(1, 51))
    assert {status for status, _ in answers[50:]} == {200}


async def test_large_messages_pass(pd: PdRig) -> None:
    keys = [b"%09d" % number + bytes(1_000) for number in range(9_000)]
    first = await pd.bootstrap()
    await pd.report(first)
    stream = pd.stream("QueryRegion")
    await stream.write(pdpb.QueryRegionRequest(header=pd.header(), keys=keys))
    assert set((await stream.read()).key_id_map) == {first.id}
    await stream.done_writing()


async def no_http() -> Any:
    raise RuntimeError("no pages in this test")


@pytest.fixture
async def echo_socket(tmp_path: Path) -> AsyncIterator[str]:
    """Stands for gRPC's listener: says back what it hears."""

    open_connections: set[asyncio.StreamWriter] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        open_connections.discard(writer)

    path = str(tmp_path / "echo.sock")
    server = await asyncio.start_unix_server(echo, path)
    yield path
    await until(lambda: not open_connections)
    server.close()
    await server.wait_closed()


async def start(front: PdFront) -> int:
    port = await front.bind("127.0.0.1", 0, "client-urls")
    await front.serve()
    return port


async def test_a_silent_connection_is_closed(echo_socket: str) -> None:
    front = PdFront(echo_socket, no_http, silence_seconds_max=0.05)
    port = await start(front)
    assert await exchange(port, b"") == b""
    assert await exchange(port, b"PRI * HT") == b"", "half a word is silence too"
    await until(lambda: front.connections == 0)
    await front.stop()


async def test_too_many_connections_are_refused_and_the_others_go_on(echo_socket: str) -> None:
    front = PdFront(echo_socket, no_http, connections_max=1)
    port = await start(front)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HTTP2_START)
    assert await reader.readexactly(len(HTTP2_START)) == HTTP2_START
    assert await exchange(port, HTTP2_START) == b""
    writer.write(b"still here")
    assert await reader.readexactly(10) == b"still here"
    writer.close()
    await until(lambda: front.connections == 0)
    await front.stop()


async def test_a_slow_reader_does_not_make_the_relay_grow(echo_socket: str) -> None:
    front = PdFront(echo_socket, no_http)
    port = await start(front)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
    sent = HTTP2_START + random.Random(3).randbytes(8_000_000)

    async def send() -> None:
        for offset in range(0, len(sent), 65_536):
            writer.write(sent[offset : offset + 65_536])
            await writer.drain()

    sending = asyncio.ensure_future(send())
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.readexactly(len(sent)) == sent
        await sending
    writer.close()
    await front.stop()


async def test_without_a_listener_behind_it_the_connection_ends(tmp_path: Path) -> None:
    front = PdFront(str(tmp_path / "nobody.sock"), no_http)
    port = await start(front)
    assert await exchange(port, HTTP2_START) == b""
    assert await exchange(port, b"GET / HTTP/1.1\r\n\r\n") == b"", "pages that cannot be loaded"
    await until(lambda: front.connections == 0)
    await front.stop()


def test_the_loop_that_production_runs_on_serves_the_same(tmp_path: Path) -> None:
    """Where uvloop is installed, servers run on it; its transports differ from asyncio's."""

    async def serve() -> int:
        async with running_pd(tmp_path) as pd:
            assert await exchange(pd.port, b"\x16random") == b""
            assert (await get(pd.port, "/pd/api/v1/ping"))[0] == 200
            stream = pd.stream("QueryRegion")
            await pd.report(await pd.bootstrap())
            await stream.write(pdpb.QueryRegionRequest(header=pd.header(), keys=[bytes(1_000)] * 5_000))
            assert len((await stream.read()).key_id_map) == 5_000
            await stream.done_writing()
            return int((await pd.call("AllocID")).id)

    assert run_until_told(serve()) == 1
