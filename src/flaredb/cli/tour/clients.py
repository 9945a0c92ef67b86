"""The clients that a tour uses: the official one where its wheel exists, and FlareDB's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import flaredb
from flaredb.cli import official_client
from flaredb.cli.official_client import RawClient


class OwnClient:
    """FlareDB's client with the official one's calls."""

    def __init__(self, db: flaredb.Client) -> None:
        self._db = db

    def get(self, key: bytes) -> bytes | None:
        """The value, None if there is none."""
        return self._db.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Write one pair."""
        self._db.put(key, value)

    def batch_put(self, pairs: dict[bytes, bytes]) -> None:
        """Write many pairs."""
        self._db.put_many(pairs)

    def batch_get(self, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
        """The pairs that exist."""
        return list(self._db.get_dict(keys).items())

    def scan(self, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Pairs of [start, end) in key order."""
        return list(self._db.scan(start, end, limit=limit))

    def delete(self, key: bytes) -> None:
        """Remove one key."""
        self._db.delete(key)


@dataclass(frozen=True, slots=True)
class TourClients:
    """``first`` does the tour's work; ``second``, if there is one, reads along."""

    first: RawClient
    first_name: str
    second: RawClient | None = None
    second_name: str = ""
    why: str = ""
    """Why there is no official client; "" if there is."""

    def describe(self) -> str:
        """Which clients the tour shows."""
        if self.second is None:
            return f"{self.first_name}; {self.why}"
        return f"{self.first_name}, and {self.second_name}"


@contextlib.contextmanager
def tour_clients(pd_address: str) -> Iterator[TourClients]:
    """Both clients if this Python has both, else FlareDB's alone, connected."""
    missing = official_client.why_missing()
    with flaredb.connect(pd_address) as db, contextlib.ExitStack() as stack:
        own, name = OwnClient(db), "FlareDB's own Python client"
        if missing:
            yield TourClients(own, name, why=missing)
            return
        official = stack.enter_context(official_client.connected(pd_address))
        yield TourClients(official, "the official Python client, tikv-client 0.0.4", own, "FlareDB's own")
