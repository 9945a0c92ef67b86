"""Received snapshots in memory: durable once they are whole, as those on disk are."""

from __future__ import annotations

from collections.abc import Iterator


class MemorySnapshot:
    """Implements store.messages.ReceivedSnapshot."""

    def __init__(self, name: str, chunks: list[bytes]) -> None:
        self.name = name
        self._chunks = chunks

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self._chunks))

    def chunks(self) -> Iterator[bytes]:
        return iter(self._chunks)


class MemorySnapshotFiles:
    """Implements store.messages.SnapshotFiles; survives the crash of its store."""

    def __init__(self) -> None:
        self.files: dict[str, MemorySnapshot] = {}
        self._count = 0

    def save(self, chunks: list[bytes]) -> MemorySnapshot:
        self._count += 1
        name = f"snapshot-{self._count}"
        self.files[name] = MemorySnapshot(name, chunks)
        return self.files[name]

    def open(self, name: str) -> MemorySnapshot | None:
        return self.files.get(name)

    def discard(self, name: str) -> None:
        self.files.pop(name, None)
