"""The official Python client, tikv-client 0.0.4, which exists as a wheel for CPython 3.11 on Linux only."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import platform
from collections.abc import Iterator
from typing import Any, Protocol

SCAN_LIMIT = 10_240
"""Most rows that the client takes in one scan."""


class RawClient(Protocol):
    """What is used of tikv_client.RawClient, which has no types of its own."""

    def get(self, key: bytes) -> bytes | None:
        """The value, None if there is none."""

    def put(self, key: bytes, value: bytes) -> None:
        """Write one pair."""

    def batch_put(self, pairs: dict[bytes, bytes]) -> None:
        """Write many pairs; atomic for none."""

    def batch_get(self, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
        """The pairs that exist."""

    def scan(self, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Pairs of [start, end) in key order."""

    def delete(self, key: bytes) -> None:
        """Remove one key."""


def why_missing() -> str:
    """Why the client cannot be imported here, as part of a sentence; "" if it can."""
    if importlib.util.find_spec("tikv_client") is not None:
        return ""
    here = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    if not here.startswith("CPython 3.11.") or platform.system() != "Linux":
        return f"the official one, tikv-client 0.0.4, has no wheel for {here}"
    return "the official one is not installed (pip install tikv-client==0.0.4)"


@contextlib.contextmanager
def connected(pd_address: str) -> Iterator[Any]:
    """A synchronous tikv_client.RawClient, connected.

    It runs on the thread's asyncio event loop, so a loop of its own is set while the client is in use.
    """
    from tikv_client import RawClient as OfficialRawClient

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield OfficialRawClient.connect([pd_address])
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def scan_all(client: RawClient, start: bytes, end: bytes | None) -> Iterator[list[tuple[bytes, bytes]]]:
    """Pages of [start, end) in key order, none empty, each as long as the client allows."""
    while page := client.scan(start, end, SCAN_LIMIT):
        yield page
        if len(page) < SCAN_LIMIT:
            return
        start = page[-1][0] + b"\x00"
