"""Two stores on loopback that exchange snapshots, and everything that either core was told."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.raft.types import ConfState, Message, MessageType, Snapshot, SnapshotMetadata
from flaredb.server.peer_counters import SnapshotCounters
from flaredb.server.peer_server import PeerServer
from flaredb.server.snapshot_files import DiskSnapshotFiles
from flaredb.server.snapshot_limits import Pace, SnapshotLimits
from flaredb.server.snapshot_receiver import SnapshotReceiver
from flaredb.server.snapshot_sender import SnapshotSender
from flaredb.store.messages import Input, RaftEnvelope, SendSnapshot, SnapshotReceived, SnapshotSent

CLUSTER = ClusterId(7_000)
ONE, TWO = StoreId(1), StoreId(2)
GREETING_MS_MAX = 60_000
"""To connect and be greeted: no test is about it, and the machine may stop a process for seconds."""


def snapshot_envelope(region_id: int = 10, to_store: StoreId = TWO, term: int = 6) -> RaftEnvelope:
    metadata = SnapshotMetadata(ConfState([11, 12], [13]), index=25, term=6)
    message = Message(MessageType.MsgSnapshot, to=12, from_=11, term=term, snapshot=Snapshot(b"the region", metadata))
    return RaftEnvelope(RegionId(region_id), PeerId(11), ONE, PeerId(12), to_store, 3, 4, message)


class Source:
    """Chunks that a test decides; notes who read and closed it."""

    def __init__(self, chunks: list[bytes], at: dict[int, Callable[[], object]] | None = None) -> None:
        """``at``: what happens before the chunk of that number is made."""
        self._chunks = chunks
        self._at = at or {}
        self.size_bytes = sum(map(len, chunks))
        self.made = 0
        self.closed = 0
        self.threads: set[str] = set()

    def chunks(self) -> Iterator[bytes]:
        for number, chunk in enumerate(self._chunks):
            self._at.get(number, lambda: None)()
            self.threads.add(threading.current_thread().name)
            self.made += 1
            yield chunk

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed += 1


@dataclass
class SnapshotRig:
    """Store 1 sends, store 2 receives."""

    directory: Path
    limits: SnapshotLimits
    sending: SnapshotLimits
    """Of store 1; the others are store 2's."""

    told_one: list[Input] = field(default_factory=list)
    told_two: list[Input] = field(default_factory=list)
    refusal: Callable[[RaftEnvelope], str | None] = lambda envelope: None
    address: str = ""

    def __post_init__(self) -> None:
        self.files = DiskSnapshotFiles(self.directory / "snap")
        self.sent, self.got = SnapshotCounters(), SnapshotCounters()
        pace = Pace(self.sending.bytes_per_second)
        told = self.told_one.append
        sending = replace(self.sending, dial_timeout_ms=GREETING_MS_MAX)
        self.sender = SnapshotSender(CLUSTER, ONE, self._resolve, told, sending, pace, self.sent)
        self.receiver = SnapshotReceiver(
            TWO,
            self.files,
            self.told_two.append,
            lambda envelope: self.refusal(envelope),
            self.limits,
            Pace(self.limits.bytes_per_second),
            self.got,
        )
        self.envelopes: list[RaftEnvelope] = []
        self.server = PeerServer(
            "127.0.0.1",
            0,
            CLUSTER,
            TWO,
            lambda _store, envelopes: self.envelopes.extend(envelopes),
            on_snapshot=self.receiver.accept,
            hello_timeout_ms=GREETING_MS_MAX,
        )

    async def _resolve(self, store_id: StoreId) -> str:
        return self.address

    def send(self, source: Source, envelope: RaftEnvelope | None = None) -> Source:
        self.sender.send(SendSnapshot(TWO, envelope or snapshot_envelope(), source))
        return source

    @property
    def outcomes(self) -> list[bool]:
        """Of the sends, in the order they ended."""
        return [told.succeeded for told in self.told_one if isinstance(told, SnapshotSent)]

    @property
    def received(self) -> list[SnapshotReceived]:
        return [told for told in self.told_two if isinstance(told, SnapshotReceived)]

    def on_disk(self) -> list[str]:
        return sorted(path.name for path in self.files.directory.iterdir())


@asynccontextmanager
async def snapshot_rig(
    directory: Path, limits: SnapshotLimits | None = None, sending: SnapshotLimits | None = None
) -> AsyncIterator[SnapshotRig]:
    """Listening; everything is stopped at the end. ``sending``: if the sender's limits differ from the receiver's."""
    limits = limits or SnapshotLimits()
    rig = SnapshotRig(directory, limits, sending or limits)
    await rig.server.start()
    rig.address = f"127.0.0.1:{rig.server.port}"
    try:
        yield rig
    finally:
        await rig.sender.stop()
        await rig.receiver.stop()
        await rig.server.stop()
