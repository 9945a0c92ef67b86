"""Snapshots between stores over real sockets: whole or not at all, bounded, and always one answer to the core."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import uvloop

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.limits import MIB
from flaredb.server.frame_stream import FrameStream
from flaredb.server.snapshot_files import DiskSnapshotFiles
from flaredb.server.snapshot_limits import Pace, SnapshotLimits
from flaredb.store.messages import SnapshotSent
from flaredb.wire.frames import FrameError
from flaredb.wire.peer_stream import FrameKind, Hello, encode_frame
from flaredb.wire.records import StateCorrupted
from flaredb.wire.snapshot_stream import SnapshotHead, SnapshotTotals, encode_chunk_head, encode_end
from tests.rim import fake_pd
from tests.rim.snapshot_rig import CLUSTER, ONE, TWO, SnapshotRig, Source, snapshot_envelope, snapshot_rig

CHUNKS = [bytes([number]) * (1000 + 7 * number) for number in range(200)]
DEADLINE_S = 30.0
"""Snapshots are synced to a disk that others use, too."""


async def eventually(condition: Callable[[], object]) -> None:
    await fake_pd.eventually(condition, DEADLINE_S)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[SnapshotRig]:
    async with snapshot_rig(tmp_path) as made:
        yield made


async def exchange(rig: SnapshotRig) -> None:
    big = [b"x" * 16 * MIB, *CHUNKS]
    source = rig.send(Source(big))
    await eventually(lambda: rig.outcomes)
    assert rig.told_one == [SnapshotSent(RegionId(10), PeerId(12), True)]
    (received,) = rig.received
    assert received.envelope == snapshot_envelope()
    assert list(received.file.chunks()) == big
    assert rig.on_disk() == [received.file.name]
    assert source.closed == 1
    assert len(source.threads) == 1
    assert threading.current_thread().name not in source.threads
    assert (rig.sent.sent, rig.got.received) == (1, 1)
    await eventually(lambda: (rig.sender.count, rig.receiver.count) == (0, 0))
    assert rig.sent.bytes_sent > sum(map(len, big))


async def test_a_snapshot_arrives_whole_and_is_told_to_both_cores_once(rig: SnapshotRig) -> None:
    await exchange(rig)


def test_the_same_under_uvloop(tmp_path: Path) -> None:
    async def run() -> None:
        async with snapshot_rig(tmp_path) as made:
            await exchange(made)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_an_empty_region_is_a_snapshot_too(rig: SnapshotRig) -> None:
    rig.send(Source([]))
    await eventually(lambda: rig.outcomes)
    assert rig.outcomes == [True]
    assert list(rig.received[0].file.chunks()) == []


async def test_a_file_is_found_again_by_name_and_discarded(rig: SnapshotRig) -> None:
    rig.send(Source(CHUNKS))
    await eventually(lambda: rig.outcomes)
    name = rig.received[0].file.name
    again = rig.files.open(name)
    assert again is not None
    assert list(again.chunks()) == CHUNKS
    rig.files.discard(name)
    rig.files.discard(name)
    assert rig.files.open(name) is None
    assert rig.on_disk() == []


# ------------------------------------------------ refused


async def test_the_cores_refusal_reaches_the_senders_log(rig: SnapshotRig, caplog: pytest.LogCaptureFixture) -> None:
    rig.refusal = lambda envelope: f"region {envelope.region_id} overlaps region 9"
    source = rig.send(Source(CHUNKS))
    await eventually(lambda: rig.outcomes)
    assert rig.outcomes == [False]
    assert (source.closed, source.made) == (1, 0)
    assert rig.on_disk() == []
    assert rig.got.refused == 1
    assert "refused: region 10 overlaps region 9" in str([record.__dict__ for record in caplog.records])


async def test_a_snapshot_of_an_unreadable_region_is_refused_not_fatal(rig: SnapshotRig) -> None:
    def refusal(_envelope: Any) -> str:
        raise StateCorrupted("Region record has version b'?'")

    rig.refusal = refusal
    rig.send(Source(CHUNKS))
    await eventually(lambda: rig.outcomes)
    assert (rig.outcomes, rig.got.refused) == ([False], 1)


async def test_a_full_disk_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with snapshot_rig(tmp_path, SnapshotLimits(free_bytes_min=1 << 62)) as rig:
        source = rig.send(Source(CHUNKS))
        await eventually(lambda: rig.outcomes)
        assert (rig.outcomes, source.made, rig.on_disk()) == ([False], 0, [])


async def test_a_region_is_received_once_at_a_time_and_only_so_many_regions(tmp_path: Path) -> None:
    gate = threading.Event()
    async with snapshot_rig(tmp_path, SnapshotLimits(receiving_max=2, sending_max=5)) as rig:
        slow = [rig.send(Source(CHUNKS, {0: gate.wait}), snapshot_envelope(region)) for region in (10, 11)]
        await eventually(lambda: rig.receiver.count == 2)
        for region in (10, 12):
            rig.send(Source(CHUNKS), snapshot_envelope(region))
        await eventually(lambda: rig.outcomes == [False, False])
        assert rig.got.refused == 2
        gate.set()
        await eventually(lambda: len(rig.outcomes) == 4)
        assert rig.outcomes == [False, False, True, True]
        assert all(source.closed == 1 for source in slow)


@pytest.mark.parametrize(
    ("cluster", "store", "told"),
    [(CLUSTER + 1, TWO, "belongs to cluster"), (CLUSTER, StoreId(3), "this is store 2, the connection is for store 3")],
    ids=["another cluster", "another store"],
)
async def test_a_stranger_is_refused_as_on_the_other_streams(
    rig: SnapshotRig, cluster: Any, store: StoreId, told: str
) -> None:
    stream = await dial(rig)
    await stream.write([Hello(cluster, ONE, store).encode(FrameKind.SNAPSHOT_HELLO)])
    [(kind, body)] = await stream.read()
    assert kind == FrameKind.REFUSAL
    assert told in bytes(body).decode()
    stream.abort()


# ------------------------------------------------ broken off


async def test_rows_that_cannot_be_read_end_the_snapshot(rig: SnapshotRig) -> None:
    def fail() -> None:
        raise OSError("input/output error")

    source = rig.send(Source(CHUNKS, {150: fail}))
    await eventually(lambda: rig.outcomes)
    assert (rig.outcomes, source.closed) == ([False], 1)
    await eventually(lambda: rig.got.receive_failed == 1)
    assert (rig.received, rig.on_disk()) == ([], [])


async def test_a_receiver_that_stops_leaves_nothing_and_the_sender_is_told(rig: SnapshotRig) -> None:
    gate = threading.Event()
    source = rig.send(Source(CHUNKS, {100: gate.wait}))
    await eventually(lambda: source.made == 100)
    await eventually(lambda: rig.receiver.count == 1)
    await rig.receiver.stop()
    gate.set()
    await eventually(lambda: rig.outcomes)
    assert (rig.outcomes, source.closed, rig.on_disk()) == ([False], 1, [])


async def test_a_sender_that_stops_closes_its_sources_and_the_receiver_cleans_up(rig: SnapshotRig) -> None:
    gate = threading.Event()
    sources = [rig.send(Source([b"x" * MIB] * 9, {7: gate.wait}), snapshot_envelope(10 + n)) for n in range(5)]
    await eventually(lambda: rig.receiver.count == 3)
    stopping = asyncio.ensure_future(rig.sender.stop())
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert [source.closed for source in sources] == [1] * 5
    assert rig.outcomes == [False] * 5
    await eventually(lambda: rig.on_disk() == [])
    late = rig.send(Source(CHUNKS))
    assert (late.closed, len(rig.outcomes)) == (1, 6)


async def test_too_slow_a_snapshot_is_given_up_by_its_receiver(tmp_path: Path) -> None:
    gate = threading.Event()
    async with snapshot_rig(tmp_path, SnapshotLimits(seconds_min=0.2), sending=SnapshotLimits()) as rig:
        source = rig.send(Source(CHUNKS, {100: gate.wait}))
        await eventually(lambda: rig.got.receive_failed == 1)
        assert rig.outcomes == []
        gate.set()
        await eventually(lambda: rig.outcomes)
        assert (rig.outcomes, source.closed, rig.on_disk()) == ([False], 1, [])


async def test_too_slow_a_snapshot_is_given_up_by_its_sender(tmp_path: Path) -> None:
    """At its pace it would take minutes."""
    slow = SnapshotLimits(seconds_min=0.2, bytes_per_second=1000)
    async with snapshot_rig(tmp_path, sending=slow) as rig:
        source = rig.send(Source(CHUNKS))
        await eventually(lambda: rig.outcomes)
        assert (rig.outcomes, source.closed, rig.received) == ([False], 1, [])
        await eventually(lambda: rig.on_disk() == [])


async def test_a_sender_that_hangs_does_not_hold_its_place(tmp_path: Path) -> None:
    gate = threading.Event()
    async with snapshot_rig(tmp_path, SnapshotLimits(stall_timeout_ms=200)) as rig:
        rig.send(Source(CHUNKS, {0: gate.wait}))
        await eventually(lambda: rig.got.receive_failed == 1)
        assert rig.receiver.count == 0
        gate.set()
        await eventually(lambda: rig.outcomes == [False])


async def test_a_receiver_that_hangs_does_not_hold_the_senders_place(rig: SnapshotRig, tmp_path: Path) -> None:
    async def welcome_then_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_frame(FrameKind.WELCOME))
        await reader.readuntil(b"the region")
        writer.write(encode_frame(FrameKind.SNAPSHOT_GO_AHEAD))
        await hung.wait()
        writer.close()

    hung = asyncio.Event()
    server = await asyncio.start_server(welcome_then_nothing, "127.0.0.1", 0, limit=1024)
    async with snapshot_rig(tmp_path / "other", SnapshotLimits(stall_timeout_ms=200)) as sending:
        sending.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        source = sending.send(Source([b"x" * MIB] * 60))
        await eventually(lambda: sending.outcomes == [False])
        assert source.closed == 1
        await eventually(lambda: sending.sender.count == 0)
    hung.set()
    server.close()
    await server.wait_closed()


async def test_a_new_leaders_snapshot_takes_the_place_of_the_old_ones(rig: SnapshotRig) -> None:
    gate = threading.Event()
    rig.send(Source(CHUNKS, {100: gate.wait}))
    await eventually(lambda: rig.receiver.count == 1)
    rig.send(Source(CHUNKS), snapshot_envelope(term=6))
    await eventually(lambda: rig.outcomes == [False])
    rig.send(Source(CHUNKS), snapshot_envelope(term=7))
    await eventually(lambda: rig.received)
    gate.set()
    await eventually(lambda: len(rig.outcomes) == 3)
    assert sorted(rig.outcomes) == [False, False, True]
    assert [received.envelope.message.term for received in rig.received] == [7]
    await eventually(lambda: rig.on_disk() == [rig.received[0].file.name])


async def test_a_store_that_is_not_there_is_an_answer_too(rig: SnapshotRig) -> None:
    await rig.server.stop()
    source = rig.send(Source(CHUNKS))
    await eventually(lambda: rig.outcomes)
    assert (rig.outcomes, source.closed) == ([False], 1)


async def test_snapshots_wait_for_a_place_and_the_queue_is_bounded(tmp_path: Path) -> None:
    gate = threading.Event()
    async with snapshot_rig(tmp_path, SnapshotLimits(sending_max=1, waiting_max=2)) as rig:
        sources = [rig.send(Source(CHUNKS, {0: gate.wait}), snapshot_envelope(10 + n)) for n in range(4)]
        assert (rig.outcomes, sources[3].closed, rig.sender.count) == ([False], 1, 3)
        gate.set()
        await eventually(lambda: len(rig.outcomes) == 4)
        assert rig.outcomes == [False, True, True, True]


async def test_the_source_is_read_only_a_little_ahead_of_the_network(rig: SnapshotRig) -> None:
    """The receiver's disk is slow: the sender holds a few MiB, not the snapshot."""
    gate = threading.Event()
    create = rig.files.create

    def slow(region_id: RegionId, index: int) -> Any:
        writer = create(region_id, index)
        add = writer.add
        writer.add = lambda chunk, crc: (gate.wait(), add(chunk, crc))  # type: ignore[assignment]
        return writer

    rig.files.create = slow  # type: ignore[method-assign]
    source = rig.send(Source([b"x" * 256 * 1024] * 400))
    await eventually(lambda: source.made > 8)
    made, unchanged = -1, 0
    while unchanged < 4:
        unchanged = unchanged + 1 if made == source.made else 0
        made = source.made
        await asyncio.sleep(0.05)
    assert source.made * 256 * 1024 < 40 * MIB
    gate.set()
    await eventually(lambda: rig.outcomes)
    assert rig.outcomes == [True]


def _receive_until_killed(directory: Path, pipe: Connection) -> None:
    async def run() -> None:
        async with snapshot_rig(directory) as rig:
            pipe.send(rig.server.port)
            await asyncio.Event().wait()

    asyncio.run(run())


async def test_a_receiver_killed_in_the_middle_leaves_only_what_the_next_start_sweeps(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_receive_until_killed, args=(tmp_path / "two", theirs), daemon=True)
    process.start()
    gate = threading.Event()
    try:
        async with snapshot_rig(tmp_path / "one") as rig:
            port = await asyncio.get_running_loop().run_in_executor(None, ours.recv)
            rig.address = f"127.0.0.1:{port}"
            source = rig.send(Source([b"x" * MIB] * 9, {5: gate.wait}))
            snapshots = tmp_path / "two" / "snap"
            await eventually(lambda: [path for path in snapshots.iterdir() if path.stat().st_size > 2 * MIB])
            process.kill()
            await asyncio.to_thread(process.join)
            gate.set()
            await eventually(lambda: rig.outcomes)
            assert (rig.outcomes, source.closed) == ([False], 1)
            assert [path.suffix for path in snapshots.iterdir()] == [".tmp"]
            DiskSnapshotFiles(snapshots).sweep(set())
            assert list(snapshots.iterdir()) == []
    finally:
        gate.set()
        process.kill()
        process.join()
        ours.close()
        theirs.close()
        process.close()


def test_the_pace_lets_a_burst_through_and_then_keeps_the_rate() -> None:
    now_s = 50.0
    pace = Pace(1000, lambda: now_s)
    now_s = 60.0
    assert pace.reserve(100) == 0.0
    assert pace.reserve(500) == pytest.approx(0.5)
    assert pace.reserve(1000) == pytest.approx(1.5)
    now_s = 61.5
    assert pace.reserve(0) == 0.0
    assert Pace(0, lambda: now_s).reserve(1 << 40) == 0.0


# ------------------------------------------------ bytes that are not a snapshot


async def dial(rig: SnapshotRig) -> FrameStream:
    stream = FrameStream()
    await asyncio.get_running_loop().create_connection(lambda: stream, "127.0.0.1", rig.server.port)
    return stream


async def kinds_until_closed(stream: FrameStream) -> list[int]:
    """Of the frames that come until the other end closes the connection, however they come together."""
    kinds: list[int] = []

    async def read_on() -> None:
        while True:
            kinds.extend(kind for kind, _ in await stream.read())

    with pytest.raises(FrameError, match="closed"):
        await read_on()
    return kinds


def chunk_frame(chunk: bytes, crc: int | None = None) -> bytes:
    return encode_chunk_head(chunk, zlib.crc32(chunk) if crc is None else crc) + chunk


def totals_of(*chunks: bytes) -> SnapshotTotals:
    totals = SnapshotTotals()
    for chunk in chunks:
        totals.add(len(chunk), zlib.crc32(chunk))
    return totals


@pytest.mark.parametrize(
    ("case", "sent", "told"),
    [
        ("a damaged chunk", [chunk_frame(b"abc", 1)], "chunk 0 of the snapshot was damaged on its way"),
        ("a chunk is missing", [chunk_frame(b"abc"), encode_end(totals_of(b"abc", b"d"))], "not whole: 1 chunks"),
        ("chunks in another order", [chunk_frame(b"b"), chunk_frame(b"a"), encode_end(totals_of(b"a", b"b"))], "whole"),
        ("an empty chunk", [chunk_frame(b"")], "a snapshot chunk of 0 bytes"),
        ("Raft messages", [encode_frame(FrameKind.ENVELOPES)], "a frame of kind 4 within a snapshot"),
        ("more behind the end", [encode_end(totals_of()) + chunk_frame(b"a")], "after the end"),
        ("a frame too long", [b"\xff\xff\xff\xff\x07"], "not a frame of the peer protocol"),
        ("an end too short", [encode_frame(FrameKind.SNAPSHOT_END, b"abc")], "the end of a snapshot has 3 bytes"),
    ],
)
async def test_what_is_not_a_snapshot_is_refused_with_the_reason(
    rig: SnapshotRig, case: str, sent: list[bytes], told: str
) -> None:
    stream = await dial(rig)
    await stream.write([Hello(CLUSTER, ONE, TWO).encode(FrameKind.SNAPSHOT_HELLO)])
    assert (await stream.read())[0][0] == FrameKind.WELCOME
    await stream.write([SnapshotHead(snapshot_envelope(), 3).encode()])
    assert (await stream.read())[0][0] == FrameKind.SNAPSHOT_GO_AHEAD
    await stream.write([b"".join(sent)])
    [(kind, body)] = await stream.read()
    assert kind == FrameKind.REFUSAL
    assert told in bytes(body).decode()
    await eventually(lambda: rig.got.receive_failed == 1)
    stream.abort()
    assert rig.received == []
    assert all(rig.files.open(name) for name in rig.on_disk())


async def test_a_head_must_be_a_snapshot(rig: SnapshotRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    wrong_store = SnapshotHead(snapshot_envelope(to_store=StoreId(9)), 3).encode()
    for sent, told in (
        (encode_frame(FrameKind.SNAPSHOT_HEAD, b"abc"), "the head of a snapshot has only 3 bytes"),
        (chunk_frame(b"abc"), "where only the head of a snapshot may come"),
        (wrong_store, "this is store 2, the snapshot is for store 9"),
    ):
        stream = await dial(rig)
        await stream.write([Hello(CLUSTER, ONE, TWO).encode(FrameKind.SNAPSHOT_HELLO)])
        await stream.read()
        await stream.write([sent])
        [(kind, body)] = await stream.read()
        assert (kind, told in bytes(body).decode()) == (FrameKind.REFUSAL, True), bytes(body)
        with pytest.raises(FrameError):
            await stream.read()
    assert rig.on_disk() == []


async def test_silence_after_the_welcome_ends_the_connection(tmp_path: Path) -> None:
    async with snapshot_rig(tmp_path, SnapshotLimits(answer_timeout_ms=50)) as rig:
        stream = await dial(rig)
        await stream.write([Hello(CLUSTER, ONE, TWO).encode(FrameKind.SNAPSHOT_HELLO)])
        assert await kinds_until_closed(stream) == [FrameKind.WELCOME, FrameKind.REFUSAL]
