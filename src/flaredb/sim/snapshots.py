"""Snapshots between stores: carried chunk by chunk, kept by the receiver, durable once they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flaredb.sim.world import MS
from flaredb.store.messages import RaftEnvelope, SendSnapshot, SnapshotReceived, SnapshotSent
from flaredb.wire.frames import decode_envelopes, encode_envelopes
from flaredb.wire.snapshots import decode_chunk, encode_chunk

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster
    from flaredb.sim.store_node import StoreNode

ROWS_PER_CHUNK = 8
"""Small, so that a snapshot of few rows takes several slices, too."""


class KeptSnapshot:
    """Implements store.messages.ReceivedSnapshot."""

    __slots__ = ("_chunks", "name")

    def __init__(self, name: str, chunks: list[bytes]) -> None:
        self.name = name
        self._chunks = chunks

    @property
    def size_bytes(self) -> int:
        """Of all chunks."""
        return sum(map(len, self._chunks))

    def chunks(self) -> Iterator[bytes]:
        """Its chunks, from the first."""
        return iter(self._chunks)


class KeptSnapshots:
    """Implements store.messages.SnapshotFiles; whole files survive every crash of their store."""

    def __init__(self) -> None:
        self._files: dict[str, KeptSnapshot] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._files)

    def save(self, chunks: list[bytes]) -> KeptSnapshot:
        """Keep a whole snapshot under a new name."""
        self._count += 1
        kept = KeptSnapshot(f"snapshot-{self._count}", chunks)
        self._files[kept.name] = kept
        return kept

    def open(self, name: str) -> KeptSnapshot | None:
        """The snapshot of that name, None if it is gone."""
        return self._files.get(name)

    def discard(self, name: str) -> None:
        """Delete it; one that is gone is fine."""
        self._files.pop(name, None)

    def sweep(self, needed: set[str]) -> None:
        """Delete what a life that ended left behind."""
        for name in [name for name in self._files if name not in needed]:
            del self._files[name]


class SnapshotCarrier:
    """Carries snapshots from store to store. One that is under way is lost with its sender."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._rng = cluster.world.rng("snapshots")
        self.carried = 0

    def send(self, source: StoreNode, effect: SendSnapshot) -> None:
        """Read the rows, let them travel, and tell the sender what became of them, once."""
        chunks = list(_cut(effect.source.chunks()))
        effect.source.close()
        frame = encode_envelopes([effect.envelope])
        target = self._cluster.find(effect.to_store)
        chunk_us = self._cluster.options.snapshot_chunk_us
        travel_us = MS + int(self._rng.random() * chunk_us * (1 + len(chunks)))
        size_bytes = sum(map(len, chunks))
        self._cluster.world.trace(source.name, "snapshot", f"r{effect.envelope.region_id} {size_bytes} bytes")

        def arrive() -> None:
            arrived = target is not None and self._arrive(source, target, decode_envelopes(frame)[0], chunks)
            source.submit(SnapshotSent(effect.envelope.region_id, effect.envelope.to_peer, arrived))

        source.later(travel_us, arrive)

    def _arrive(self, source: StoreNode, target: StoreNode, envelope: RaftEnvelope, chunks: list[bytes]) -> bool:
        """True if the sender is told that it arrived."""
        network = self._cluster.network
        if target.store is None or target.is_paused or network.is_cut(source.name, target.name):
            return False
        refusal = target.store.snapshot_refusal(envelope)
        if refusal is not None or self._rng.random() < network.weather.loss:
            self._cluster.world.trace(target.name, "refuses", f"r{envelope.region_id} {refusal or 'lost'}")
            return False
        self.carried += 1
        target.submit(SnapshotReceived(envelope, target.files.save(chunks)))
        return not network.is_cut(target.name, source.name) and self._rng.random() >= network.weather.loss


def _cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same rows in smaller chunks, through the real encoders."""
    for chunk in chunks:
        cf, rows = decode_chunk(chunk)
        for at in range(0, len(rows), ROWS_PER_CHUNK):
            yield encode_chunk(cf, rows[at : at + ROWS_PER_CHUNK])
