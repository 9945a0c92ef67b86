"""The targets by name, and how a life of one is played.

A failure names its target, seed and case; ``play(name, seed)`` plays the same cases again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tests.fuzz.bytes_target import BytesTarget
from tests.fuzz.disk_target import DiskTarget
from tests.fuzz.files_target import FilesTarget
from tests.fuzz.http2_target import Http2Target
from tests.fuzz.kv_target import KvTarget
from tests.fuzz.pd_target import PdTarget
from tests.fuzz.peer_target import PeerTarget

TARGETS: dict[str, Any] = {
    "kv": KvTarget,
    "pd": PdTarget,
    "peer": PeerTarget,
    "bytes": BytesTarget,
    "disk": DiskTarget,
    "files": FilesTarget,
    "http2": Http2Target,
}
SHARES: dict[str, float] = {
    "kv": 12,
    "pd": 15,
    "peer": 22,
    "bytes": 50,
    "disk": 0.9,
    "files": 0.1,
    "http2": 10,
}
"""Parts of a long run, so that each target gets a fair part of its time."""

CASES_PER_SEED = 2_000
CASES_PER_CHECK = 250


async def play(name: str, seed: int) -> AsyncIterator[None]:
    """CASES_PER_SEED cases against one life of a target, with its own checks in between."""
    target = TARGETS[name](seed)
    try:
        async for _ in _play(name, seed, target):
            yield
    finally:
        if hasattr(target, "close"):
            target.close()


async def _play(name: str, seed: int, target: Any) -> AsyncIterator[None]:
    if hasattr(target, "start"):
        await target.start()
    for case in range(1, CASES_PER_SEED + 1):
        try:
            await _maybe(target.one())
            if case % CASES_PER_CHECK == 0 and hasattr(target, "check"):
                await _maybe(target.check())
        except Exception as error:
            error.add_note(f"{name}, seed {seed}, case {case}")
            raise
        yield


async def _maybe(result: Any) -> None:
    if result is not None:
        await result
