"""Raft traffic between stores over real sockets: order, loss that is reported, and strangers on the port."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import uvloop

from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.raft.types import Entry, Message, MessageType
from flaredb.server.peer_link import PeerCounters, PeerLinkLimits, PeerLinks, PeerServer
from flaredb.store.messages import RaftEnvelope
from flaredb.wire.peer_stream import Hello
from tests.rim.pd_rig import kept_port

CLUSTER = ClusterId(7_000)
ONE, TWO = StoreId(1), StoreId(2)
GREETING_MS_MAX = 60_000
"""Unless a test is about it: the machine may stop a process for seconds."""


def envelope(index: int, data: bytes = b"") -> RaftEnvelope:
    entries = [Entry(index=index, data=data)] if data else []
    message = Message(MessageType.MsgAppend, to=12, from_=11, term=1, index=index, entries=entries)
    return RaftEnvelope(RegionId(10), PeerId(11), ONE, PeerId(12), TWO, 1, 1, message)


async def eventually(condition: Callable[[], object], what: str = "condition", timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


@dataclass
class Net:
    """Store 1 dialling store 2, and everything that either was told."""

    servers: list[PeerServer] = field(default_factory=list)
    links: list[PeerLinks] = field(default_factory=list)
    received: list[RaftEnvelope] = field(default_factory=list)
    unreached: list[StoreId] = field(default_factory=list)
    reached: list[StoreId] = field(default_factory=list)
    resolved: int = 0
    address: str = "127.0.0.1:1"

    async def server(
        self, port: int = 0, cluster_id: ClusterId = CLUSTER, store_id: StoreId = TWO, **more
    ) -> PeerServer:
        options = {"hello_timeout_ms": GREETING_MS_MAX} | more
        server = PeerServer("127.0.0.1", port, cluster_id, store_id, self._on_envelopes, **options)
        await server.start()
        self.servers.append(server)
        self.address = f"127.0.0.1:{server.port}"
        return server

    def dialler(self, cluster_id: ClusterId = CLUSTER, **limits: int) -> PeerLinks:
        usual = {"redial_delay_ms_min": 5, "redial_delay_ms_max": 20, "dial_timeout_ms": GREETING_MS_MAX} | limits
        links = PeerLinks(
            cluster_id, ONE, self._resolve, self.unreached.append, self.reached.append, limits=PeerLinkLimits(**usual)
        )
        self.links.append(links)
        return links

    async def _resolve(self, store_id: StoreId) -> str:
        self.resolved += 1
        return self.address

    def _on_envelopes(self, from_store: StoreId, envelopes: list[RaftEnvelope]) -> None:
        assert from_store == ONE
        self.received += envelopes

    def indexes(self) -> list[int]:
        return [envelope.message.index for envelope in self.received]


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    net = Net()
    yield net
    for links in net.links:
        await links.stop()
    for server in net.servers:
        await server.stop()


async def exchange_in_order(net: Net) -> None:
    await net.server()
    links = net.dialler()
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.reached == [TWO])
    for index in range(1, 500):
        links.send(TWO, [envelope(index, b"x" * (index * 37 % 5000))])
    links.send(TWO, [envelope(500, b"y" * 8 * 1024 * 1024)])
    await eventually(lambda: len(net.received) == 501, "all received")
    assert net.indexes() == list(range(501))
    assert net.received[500].message.entries[0].data == b"y" * 8 * 1024 * 1024
    assert net.unreached == []
    counters = net.links[0].counters
    assert (counters.messages_sent, counters.messages_dropped, counters.connects, counters.reconnects) == (501, 0, 1, 0)
    assert net.servers[0].counters.messages_received == 501
    assert net.servers[0].counters.bytes_received > 8 * 1024 * 1024


async def test_messages_arrive_whole_and_in_order_from_the_first_on(net: Net) -> None:
    await exchange_in_order(net)


def test_the_same_under_uvloop() -> None:
    async def run() -> None:
        net = Net()
        try:
            await exchange_in_order(net)
        finally:
            await net.links[0].stop()
            await net.servers[0].stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_a_store_that_is_not_there_is_reported_and_reached_when_it_comes(net: Net) -> None:
    placeholder = await net.server()
    port = placeholder.port
    await placeholder.stop()
    links = net.dialler()
    with kept_port(port):
        links.send(TWO, [envelope(0)])
        await eventually(lambda: net.unreached == [TWO])
        assert links.counters.messages_dropped == 1
        await net.server(port)
    index = 1
    while not net.reached:
        links.send(TWO, [envelope(index)])
        index += 1
        await asyncio.sleep(0.002)
    links.send(TWO, [envelope(index)])
    await eventually(lambda: index in net.indexes())
    assert net.resolved >= 2, "the address is asked again after a failure"


async def test_a_broken_stream_is_reported_and_replaced_at_the_new_address(net: Net) -> None:
    first = await net.server()
    links = net.dialler()
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.received)
    await first.stop()
    await eventually(lambda: net.unreached == [TWO])
    assert links.connected() == []
    await net.server()
    links.send(TWO, [envelope(1)])
    await eventually(lambda: net.indexes() == [0, 1])
    assert net.reached == [TWO, TWO]
    assert links.counters.reconnects == 1


async def test_no_redial_without_anything_to_send(net: Net) -> None:
    links = net.dialler()
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.unreached)
    resolved = net.resolved
    await asyncio.sleep(0.1)
    assert net.resolved == resolved == 1


async def test_while_connecting_only_the_first_messages_are_kept(net: Net) -> None:
    await net.server()
    links = net.dialler(pending_envelopes_max=3)
    links.send(TWO, [envelope(index) for index in range(5)])
    assert links.counters.messages_dropped == 2
    assert net.unreached == [TWO]
    await eventually(lambda: len(net.received) == 3)
    assert net.indexes() == [0, 1, 2]


async def test_while_connecting_kept_bytes_are_bounded(net: Net) -> None:
    await net.server()
    links = net.dialler(pending_bytes_max=1000)
    links.send(TWO, [envelope(0, b"x" * 900), envelope(1, b"x" * 200)])
    assert links.counters.messages_dropped == 1
    await eventually(lambda: net.indexes() == [0])


async def test_a_full_write_buffer_drops_and_reports_at_a_bounded_rate(net: Net) -> None:
    """The receiver stops reading: memory stays bounded, and reports do not flood the store."""
    release = asyncio.Event()

    async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\1\2")
        await release.wait()
        writer.close()

    server = await asyncio.start_server(never_reads, "127.0.0.1", 0, limit=1)
    net.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    limit_bytes = 1024 * 1024
    links = net.dialler(write_buffer_bytes_max=limit_bytes, unreached_interval_ms=60_000, stop_flush_ms=10)
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.reached)
    sent = 0
    while not links.counters.messages_dropped:
        links.send(TWO, [envelope(1, b"x" * 100_000)])
        sent += 1
        assert sent < 1000, "nothing was ever dropped"
        await asyncio.sleep(0)
    for _ in range(50):
        links.send(TWO, [envelope(2, b"x" * 100_000)])
    assert links.counters.messages_dropped >= 50
    assert net.unreached == [TWO]
    release.set()
    await links.stop()
    server.close()
    await server.wait_closed()


async def test_a_batch_over_the_frame_limit_is_sent_in_parts(net: Net) -> None:
    await net.server()
    links = net.dialler(frame_size_bytes_max=3000)
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.reached)
    links.send(TWO, [envelope(index, b"x" * 1000) for index in range(1, 9)])
    await eventually(lambda: net.indexes() == list(range(9)))
    links.send(TWO, [envelope(9, b"x" * 4000)])
    assert links.counters.messages_dropped == 1


@pytest.mark.parametrize(
    ("case", "server_cluster", "server_store", "text"),
    [
        ("wrong cluster", ClusterId(8), TWO, "belongs to cluster 7000, store 2 to cluster 8"),
        ("wrong store", CLUSTER, StoreId(3), "this is store 3, the connection is for store 2"),
        ("own id", CLUSTER, ONE, "this is store 1"),
    ],
)
async def test_a_wrong_store_is_refused_with_a_reason_on_both_sides(
    net: Net, caplog: pytest.LogCaptureFixture, case: str, server_cluster: ClusterId, server_store: StoreId, text: str
) -> None:
    with caplog.at_level(logging.WARNING):
        server = await net.server(cluster_id=server_cluster, store_id=server_store)
        links = net.dialler()
        links.send(TWO, [envelope(0)])
        await eventually(lambda: net.unreached == [TWO] and server.counters.refused_inbound == 1)
    lines = [record.getMessage() for record in caplog.records if text in record.getMessage()]
    assert len(lines) == 2, caplog.text
    assert any("refused:" in line for line in lines)
    assert net.received == []
    assert net.reached == []


async def test_the_same_trouble_is_logged_once(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        links = net.dialler(redial_delay_ms_min=1, redial_delay_ms_max=1)
        while net.resolved < 5:
            links.send(TWO, [envelope(0)])
            await asyncio.sleep(0.001)
    assert len([record for record in caplog.records if "not reachable" in record.getMessage()]) == 1


async def say(port: int, data: bytes) -> bytes:
    """What the port answers to ``data`` until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            writer.write(data)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(range(255, 0, -1)),
        b"\0\0\0\1\4",
        b"\0\0\0\5\1abcd",
        b"\0\0\0\0\0",
        Hello(CLUSTER, ONE, TWO).encode() + b"\0\0\0\5\4junk",
        Hello(CLUSTER, ONE, TWO).encode() + b"\xff\xff\xff\xff\4",
        Hello(CLUSTER, ONE, TWO).encode() * 2,
    ],
    ids=["http", "random", "no hello", "foreign hello", "length 0", "junk batch", "huge frame", "two hellos"],
)
async def test_strangers_are_closed_with_one_line(net: Net, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    with caplog.at_level(logging.INFO):
        server = await net.server()
        await say(server.port, data)
        await eventually(lambda: server.counters.refused_inbound == 1)
    assert len([record for record in caplog.records if record.name.startswith("flaredb.server.peer")]) == 1, caplog.text
    assert "connection from 127.0.0.1" in caplog.text
    links = net.dialler()
    links.send(TWO, [envelope(5)])
    await eventually(lambda: net.indexes() == [5], "a real store is still served")


async def test_a_silent_socket_is_closed(net: Net) -> None:
    server = await net.server(hello_timeout_ms=30)
    assert await say(server.port, b"") == b""
    assert server.counters.refused_inbound == 1


async def test_connections_are_bounded(net: Net) -> None:
    server = await net.server(connections_max=2)
    writers = [(await asyncio.open_connection("127.0.0.1", server.port))[1] for _ in range(2)]
    assert await say(server.port, b"") == b""
    assert server.counters.refused_inbound == 1
    for writer in writers:
        writer.close()


async def test_a_new_stream_of_a_store_replaces_its_old_one(net: Net) -> None:
    server = await net.server()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(Hello(CLUSTER, ONE, TWO).encode())
    await reader.readexactly(5)
    net.dialler().send(TWO, [envelope(1)])
    async with asyncio.timeout(30):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    await eventually(lambda: net.indexes() == [1])
    writer.close()


async def test_stop_sends_what_is_buffered_and_ends_everything(net: Net) -> None:
    await net.server()
    links = net.dialler(stop_flush_ms=30_000)
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.reached)
    links.send(TWO, [envelope(1, b"x" * 1_000_000)])
    await links.stop()
    await eventually(lambda: net.indexes() == [0, 1])
    links.send(TWO, [envelope(2)])
    assert links.counters.messages_dropped == 1
    assert net.unreached == []


async def test_stop_while_dialling(net: Net) -> None:
    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answers, "127.0.0.1", 0)
    net.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    links = net.dialler()
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.resolved == 1)
    async with asyncio.timeout(20):
        await links.stop()
    server.close()
    await server.wait_closed()


async def test_a_store_that_never_welcomes_counts_as_unreached(net: Net) -> None:
    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answers, "127.0.0.1", 0)
    net.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    links = net.dialler(dial_timeout_ms=30)
    links.send(TWO, [envelope(0)])
    await eventually(lambda: net.unreached == [TWO])
    server.close()
    await server.wait_closed()


def test_counters_start_at_zero() -> None:
    assert PeerCounters() == PeerCounters(0, 0, 0, 0, 0, 0, 0, 0)
