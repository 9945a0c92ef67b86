"""A snapshot of 64 MiB between two stores over loopback, against a plain copy of the same bytes over such a connection.

    python -m bench.snapshot_stream [--mib 64] [--rounds 5] [--data-dir DIR]

The plain copy sends the bytes in pieces of 256 KiB through asyncio and writes them to a file, without checks and syncs.
Sender and receiver are two processes. Prints the medians and their ratio (target: below 3), and by how much the
receiver's memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.limits import MIB
from flaredb.raft import ConfState, Message, MessageType, Snapshot, SnapshotMetadata
from flaredb.server.peer_counters import SnapshotCounters
from flaredb.server.peer_server import PeerServer
from flaredb.server.snapshot_files import DiskSnapshotFiles
from flaredb.server.snapshot_limits import Pace, SnapshotLimits
from flaredb.server.snapshot_receiver import SnapshotReceiver
from flaredb.server.snapshot_sender import SnapshotSender
from flaredb.store.messages import Input, RaftEnvelope, SendSnapshot, SnapshotReceived

CLUSTER = ClusterId(1)
SENDER, RECEIVER = StoreId(1), StoreId(2)
PIECE_BYTES = 256 * 1024
TARGET_RATIO = 3.0
_LIMITS = SnapshotLimits(bytes_per_second=0)
"""Of the receiver; the sender's pace is what a run is asked for."""


class Pieces:
    """A source of ``size_bytes`` of the same piece."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._piece = os.urandom(PIECE_BYTES)

    def chunks(self) -> Iterator[bytes]:
        """The pieces."""
        for _ in range(self.size_bytes // PIECE_BYTES):
            yield self._piece

    def close(self) -> None:
        """Nothing to let go of."""


class PlainSink(asyncio.Protocol):
    """Writes what comes to a file; answers one byte at ``size_bytes``."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._left_bytes = size_bytes

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._file = open(self._path, "wb", buffering=0)  # noqa: SIM115

    def data_received(self, data: bytes) -> None:
        self._file.write(data)
        self._left_bytes -= len(data)
        if not self._left_bytes:
            self._transport.write(b"!")

    def connection_lost(self, _error: Exception | None) -> None:
        self._file.close()
        self._path.unlink()


async def _receive(pipe: Connection, directory: Path, size_bytes: int) -> None:
    """The receiving process: two ports, until the other end of the pipe is told enough."""
    files = DiskSnapshotFiles(directory / "snap")
    inputs: list[Input] = []

    def submit(item: Input) -> None:
        inputs.append(item)
        assert isinstance(item, SnapshotReceived)
        files.discard(item.file.name)

    counters = SnapshotCounters()
    receiver = SnapshotReceiver(RECEIVER, files, submit, lambda _: None, _LIMITS, Pace(0), counters)
    server = PeerServer("127.0.0.1", 0, CLUSTER, RECEIVER, lambda *_: None, on_snapshot=receiver.accept)
    await server.start()
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(lambda: PlainSink(directory / "plain", size_bytes), "127.0.0.1", 0)
    pipe.send((server.port, plain.sockets[0].getsockname()[1]))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await loop.run_in_executor(None, pipe.recv)
    pipe.send((len(inputs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib))
    await receiver.stop()
    await server.stop()
    plain.close()


def _run_receiver(pipe: Connection, directory: Path, size_bytes: int) -> None:
    uvloop.run(_receive(pipe, directory, size_bytes))


async def _copy_plainly(port: int, size_bytes: int, bytes_per_second: int) -> float:
    piece = os.urandom(PIECE_BYTES)
    pace = Pace(bytes_per_second)
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(size_bytes // PIECE_BYTES):
        await pace.take(PIECE_BYTES)
        writer.write(piece)
        await writer.drain()
    await reader.readexactly(1)
    took = time.perf_counter() - started
    writer.close()
    await writer.wait_closed()
    return took


async def _send_snapshot(port: int, size_bytes: int, bytes_per_second: int) -> float:
    done: asyncio.Future[Input] = asyncio.get_running_loop().create_future()

    async def resolve(_store_id: StoreId) -> str:
        return f"127.0.0.1:{port}"

    pace = Pace(bytes_per_second)
    sender = SnapshotSender(CLUSTER, SENDER, resolve, done.set_result, _LIMITS, pace, SnapshotCounters())
    snapshot = Snapshot(b"", SnapshotMetadata(ConfState([1, 2]), index=9, term=6))
    message = Message(MessageType.MsgSnapshot, to=2, from_=1, term=6, snapshot=snapshot)
    envelope = RaftEnvelope(RegionId(7), PeerId(1), SENDER, PeerId(2), RECEIVER, 1, 1, message)
    started = time.perf_counter()
    sender.send(SendSnapshot(RECEIVER, envelope, Pieces(size_bytes)))
    outcome = await done
    took = time.perf_counter() - started
    assert getattr(outcome, "succeeded", False), outcome
    await sender.stop()
    return took


async def _alternate(ports: tuple[int, int], size_bytes: int, rounds: int, bytes_per_second: int) -> Compared:
    snapshots, copies = [], []
    for _ in range(rounds):
        copies.append(await _copy_plainly(ports[1], size_bytes, bytes_per_second))
        snapshots.append(await _send_snapshot(ports[0], size_bytes, bytes_per_second))
    return Compared(statistics.median(snapshots), statistics.median(copies), 0)


@dataclass(frozen=True, slots=True)
class Compared:
    """Median seconds of a snapshot and of a plain copy, and by how much the receiver's memory grew."""

    snapshot_s: float
    copy_s: float
    grown_kib: int


def compare(size_bytes: int, rounds: int, data_dir: str | None = None, bytes_per_second: int = 0) -> Compared:
    """Snapshots and plain copies in turn, both at the same pace (0: as fast as they go), to a process of their own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(dir=data_dir) as directory:
        process = context.Process(target=_run_receiver, args=(theirs, Path(directory), size_bytes))
        process.start()
        try:
            ports = ours.recv()
            found = uvloop.run(_alternate(ports, size_bytes, rounds, bytes_per_second))
            ours.send("enough")
            received, grown_kib = ours.recv()
        finally:
            process.join(20)
            process.kill()
    assert received == rounds, f"{received} snapshots arrived, {rounds} were sent"
    return replace(found, grown_kib=grown_kib)


def main(argv: list[str] | None = None) -> float:
    """Print the figures; returns the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", default=None, help="on the disk to measure")
    arguments = parser.parse_args(argv)
    found = compare(arguments.mib * MIB, arguments.rounds, arguments.data_dir)
    for what, seconds in (("snapshot", found.snapshot_s), ("plain copy", found.copy_s)):
        print(f"{f'{what} of {arguments.mib} MiB':24}{seconds:8.3f} s {arguments.mib / seconds:8.0f} MiB/s")
    ratio = found.snapshot_s / found.copy_s
    print(f"ratio {ratio:.2f} (target below {TARGET_RATIO:g}); the receiver grew by {found.grown_kib / 1024:.0f} MiB")
    return ratio


if __name__ == "__main__":
    main(sys.argv[1:])
