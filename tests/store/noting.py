"""An engine that remembers what each of its batches held."""

from __future__ import annotations

from typing import Any


class NotedBatch:
    """A batch of a real engine that remembers what was put into it."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.puts: list[tuple[str, bytes]] = []

    def put(self, cf: str, key: bytes, value: bytes) -> None:
        self.puts.append((cf, key))
        self.real.put(cf, key, value)

    def __len__(self) -> int:
        return len(self.real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class NotingEngine:
    """A real engine that remembers its batches."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.batches: list[list[tuple[str, bytes]]] = []

    def batch(self) -> NotedBatch:
        return NotedBatch(self.real.batch())

    def write(self, batch: NotedBatch) -> None:
        self.batches.append(batch.puts)
        self.real.write(batch.real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)
