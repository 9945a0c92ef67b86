"""Bytes that no honest store or client sends, over real sockets: snapshot streams here, gRPC frames to real servers."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from random import Random

import grpc
import pytest

from flaredb.cli.official_client import connected
from flaredb.cli.ports import HOST
from flaredb.cli.waiting import wait_until
from flaredb.model.limits import MIB
from flaredb.wire.peer_stream import FrameKind, Hello, encode_frame
from flaredb.wire.snapshot_stream import SnapshotHead, SnapshotTotals, encode_chunk_head, encode_end
from tests.fuzz.mutate import Hints, Mutator
from tests.fuzz.run import GROWTH_BYTES_MAX
from tests.integration.calls import Calls, context_for, status_of
from tests.integration.cluster import Cluster
from tests.rim.snapshot_rig import CLUSTER, ONE, TWO, SnapshotRig, Source, snapshot_envelope, snapshot_rig

STREAMS = 150
DEADLINE_S = 60.0
CHUNKS = [bytes([number]) * 300 for number in range(1, 6)]
LARGE_BYTES, LARGE_PUTS = 64 * MIB, 12
LARGE_KEPT_MAX = 6
"""Of the large messages' memory: what gRPC's allocator does not give back at once; it stays at that."""
TOO_LARGE_BYTES = 257 * MIB
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP2_CONNECTIONS = 60


def sound_stream() -> list[bytes]:
    """What a sender writes before, and after, the go-ahead: hello, head, chunks and an end, as frames."""
    totals = SnapshotTotals()
    frames = [
        Hello(CLUSTER, ONE, TWO).encode(FrameKind.SNAPSHOT_HELLO),
        SnapshotHead(snapshot_envelope(), sum(map(len, CHUNKS))).encode(),
    ]
    for chunk in CHUNKS:
        crc = zlib.crc32(chunk)
        frames.append(encode_chunk_head(chunk, crc) + chunk)
        totals.add(len(chunk), crc)
    return [*frames, encode_end(totals)]


def damaged(frames: list[bytes], rng: Random, mutator: Mutator) -> list[bytes]:
    """One frame damaged, doubled, dropped, moved or replaced, or noise behind some of them."""
    out = list(frames)
    at = rng.randrange(len(out))
    kind = rng.randrange(6)
    if kind == 0:
        out[at] = mutator.mutated(out[at])
    elif kind == 1:
        out.insert(at, out[at])
    elif kind == 2:
        del out[at]
    elif kind == 3:
        out.insert(rng.randrange(len(out)), out.pop(at))
    elif kind == 4:
        out[at] = encode_frame(rng.choice(list(FrameKind)), rng.randbytes(rng.choice((0, 1, 40))))
    else:
        out[at:] = [rng.randbytes(rng.choice((1, 5, 2_000)))]
    return out


async def test_snapshot_streams_of_any_content(tmp_path: Path) -> None:
    """Nothing is received that was not sent whole, nothing stays on disk or under way, and a sound one is taken."""
    rng = Random(1)
    mutator = Mutator(rng, Hints({}, (b"",)))
    async with snapshot_rig(tmp_path) as rig:
        frames = sound_stream()
        for _ in range(STREAMS):
            sent = damaged(frames, rng, mutator)
            await asyncio.wait_for(_send(rig, sent), DEADLINE_S)
            assert not rig.received or sorted(set(sent)) == sorted(set(frames)), "taken, although damaged"
            rig.told_two.clear()
        async with asyncio.timeout(DEADLINE_S):
            while rig.receiver.count:
                await asyncio.sleep(0.01)
        for name in rig.on_disk():  # whole ones, in which a frame that changes nothing was damaged
            rig.files.open(name)
        source = rig.send(Source(CHUNKS))
        async with asyncio.timeout(DEADLINE_S):
            while not rig.outcomes:
                await asyncio.sleep(0.01)
        assert (rig.outcomes, source.closed, len(rig.received)) == ([True], 1, 1)


async def _send(rig: SnapshotRig, frames: list[bytes]) -> None:
    """Write everything without waiting for anybody, then read until the other end closes."""
    host, _, port = rig.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(OSError):
        for frame in frames:
            writer.write(frame)
        await writer.drain()
        writer.write_eof()
        while await reader.read(65_536):
            pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


# ------------------------------------------------ gRPC, on the ports of real processes


def http2_frame(kind: int, flags: int, stream: int, body: bytes, claimed_bytes: int | None = None) -> bytes:
    size_bytes = len(body) if claimed_bytes is None else claimed_bytes
    return struct.pack(">I", size_bytes)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def call_headers(path: bytes) -> bytes:
    """A HEADERS frame that opens a gRPC call on stream 1; nothing compressed."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    block = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields)
    return http2_frame(1, 4, 1, block)


def lying_call(rng: Random) -> bytes:
    """A call whose message is shorter than it claims, longer than it may be, compressed although nobody agreed ..."""
    path = rng.choice((b"/tikvpb.Tikv/RawGet", b"/tikvpb.Tikv/BatchCommands", b"/pdpb.PD/Tso", b"/pdpb.PD/GetMembers"))
    claimed = rng.choice((0, 1, 100, TOO_LARGE_BYTES, 2**31, 2**32 - 1))
    message = bytes([rng.choice((0, 0, 1, 255))]) + struct.pack(">I", claimed) + rng.randbytes(rng.choice((0, 3, 200)))
    ends = rng.choice((0, 1))
    return PREFACE + http2_frame(4, 0, 0, b"") + call_headers(path) + http2_frame(0, ends, 1, message)


def noise(rng: Random) -> bytes:
    """A connection that begins as HTTP/2 and goes on with frames of any kind, some cut, some that claim too much."""
    frames = [http2_frame(4, 0, 0, b"")]
    for _ in range(rng.randrange(1, 8)):
        body = rng.randbytes(rng.choice((0, 4, 5, 9, 200)))
        claimed = rng.choice((None, None, 0, 2**14 + 1, 2**24 - 1))
        kind, flags, stream = rng.randrange(12), rng.randrange(256), rng.choice((0, 1, 2, 2**31 - 1))
        frames.append(http2_frame(kind, flags, stream, body, claimed))
    data = PREFACE + b"".join(frames)
    return data[: rng.randrange(1, len(data))] if rng.random() < 0.3 else data


def say(port: int, data: bytes) -> None:
    """Send it all, and read until the other end has had enough."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=DEADLINE_S) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check_memory(pid: int, limit_bytes: int) -> None:
    """The process has given back what is above this; it may take it a moment."""
    assert wait_until(lambda: resident_bytes(pid) < limit_bytes, DEADLINE_S), f"{resident_bytes(pid):,} bytes are kept"


@pytest.mark.process
@pytest.mark.timeout(240)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc, which only Linux has")
def test_grpc_frames_that_are_cut_oversized_or_noise(tmp_path: Path) -> None:
    """Each call ends with a status or an answer, nothing stays in memory, and both ports go on serving."""
    rng = Random(1)
    with Cluster(tmp_path, stores=1, split_keys=()) as cluster, Calls(cluster.pd_address) as calls:
        with connected(cluster.pd_address) as client:
            client.put(b"kept", b"v")
        address, pids = cluster.store(1).ports.address, (cluster.store(1).child.pid, cluster.pd.pid)
        ports = (cluster.store(1).ports.grpc, int(cluster.pd_address.rpartition(":")[2]))
        context = context_for(calls.region_of(b"k"))
        before_bytes = [resident_bytes(pid) for pid in pids]
        for number in range(HTTP2_CONNECTIONS):
            say(ports[number % 2], noise(rng))
            say(ports[number % 2], lying_call(rng))
        for pid, before in zip(pids, before_bytes, strict=True):
            check_memory(pid, before + GROWTH_BYTES_MAX)
        for _ in range(LARGE_PUTS):
            answer = calls.store(address, "RawPut", DEADLINE_S, context=context, key=b"k", value=bytes(LARGE_BYTES))
            assert answer.region_error.HasField("raft_entry_too_large")
        check_memory(pids[0], before_bytes[0] + LARGE_KEPT_MAX * LARGE_BYTES)
        for target in (address, cluster.pd_address):
            with grpc.insecure_channel(target, options=[("grpc.max_send_message_length", -1)]) as channel:
                call = channel.unary_unary("/tikvpb.Tikv/RawPut" if target == address else "/pdpb.PD/ScanRegions")
                for body in (b"\x0a\xff", b"\x12\x05ab", b"\xff" * 100, bytes(TOO_LARGE_BYTES)):
                    with pytest.raises(grpc.RpcError) as failed:
                        call(body, timeout=DEADLINE_S)
                    code, text = status_of(failed.value)
                    assert code is not grpc.StatusCode.DEADLINE_EXCEEDED
                    assert (code is grpc.StatusCode.RESOURCE_EXHAUSTED) == (len(body) == TOO_LARGE_BYTES), text
        with connected(cluster.pd_address) as client:
            assert client.get(b"kept") == b"v"
        assert all("Traceback" not in cluster.log(number) for number in (0, 1))
