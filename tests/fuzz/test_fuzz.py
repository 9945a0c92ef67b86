"""Bad input never kills a node: a slice of each target here, hours of them by ``pytest -m soak tests/fuzz``.

A failure names its seed and case; ``TARGETS[name](seed)`` plays the same cases again.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.bytes_target import BytesTarget
from tests.fuzz.disk_target import DiskTarget
from tests.fuzz.kv_target import KvTarget
from tests.fuzz.pd_target import PdTarget
from tests.fuzz.peer_target import PeerTarget

TARGETS: dict[str, Any] = {
    "kv": KvTarget,
    "pd": PdTarget,
    "peer": PeerTarget,
    "bytes": BytesTarget,
    "disk": DiskTarget,
}
SLICE = {"kv": 1_200, "pd": 10_000, "peer": 5_000, "bytes": 20_000, "disk": 500}
"""Cases in make test: three to five seconds each on one core."""

CASES_PER_SEED = 2_000
CASES_PER_CHECK = 250
GROWTH_BYTES_MAX = 50 * 1024 * 1024
WARM_UP_CASES = 4_000


async def play(name: str, seed: int) -> AsyncIterator[None]:
    """CASES_PER_SEED cases against one life of a target, with its own checks in between."""
    target = TARGETS[name](seed)
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


async def play_many(name: str, seed: int, cases: int) -> None:
    done = 0
    while done < cases:
        async for _ in play(name, seed):
            done += 1
            if done >= cases:
                return
        seed += 1


@pytest.mark.parametrize("name", SLICE)
async def test_slice(name: str) -> None:
    await play_many(name, 1, SLICE[name])


def resident_bytes() -> int:
    """This process's memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
async def test_soak() -> None:
    """All targets in turn; prints how many cases each got, how fast, and how much memory stayed."""
    seed = int(os.environ.get("FLAREDB_FUZZ_SEED", time.time_ns() // 1_000_000_000))
    end = time.monotonic() + float(os.environ.get("FLAREDB_SOAK_SECONDS", "60"))
    for name in TARGETS:
        await play_many(name, 1, min(WARM_UP_CASES, SLICE[name] * 2))
    gc.collect()
    before_bytes = resident_bytes()
    cases, seconds = dict.fromkeys(TARGETS, 0), dict.fromkeys(TARGETS, 0.0)
    while time.monotonic() < end:
        for name in TARGETS:
            started = time.monotonic()
            async for _ in play(name, seed):
                cases[name] += 1
                if time.monotonic() > min(end, started + 20):
                    break
            seconds[name] += time.monotonic() - started
        seed += 1
    gc.collect()
    grown_bytes = resident_bytes() - before_bytes
    for name, count in cases.items():
        print(f"\n{name}: {count} cases, {count / max(seconds[name], 0.001):.0f}/s", end="")
    print(f"\n{sum(cases.values())} cases in all, memory grew by {grown_bytes / 2**20:.1f} MiB")
    assert grown_bytes < GROWTH_BYTES_MAX
