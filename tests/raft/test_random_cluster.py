"""Hundreds of groups under chance: no property of Raft is ever broken, and all of them converge when faults end."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from .cluster import Cluster

SEEDS_PER_CHUNK = 30
CHUNKS = 20


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_seed_breaks_a_property(chunk: int) -> None:
    """A failure names its seed and how to run it again."""
    seen: Counter[str] = Counter()
    for seed in range(chunk * SEEDS_PER_CHUNK, (chunk + 1) * SEEDS_PER_CHUNK):
        cluster = Cluster(seed).run()
        oracle = cluster.oracle
        seen += cluster.done
        seen += Counter(reads=oracle.answered, elections=len(oracle.elections), entries=len(oracle.chosen))
    # Runs in which nothing happens would find nothing.
    for what, least in {"elections": 30, "entries": 300, "reads": 100, "crash": 60, "snapshot": 10}.items():
        assert seen[what] >= least, f"only {seen[what]} {what} in {SEEDS_PER_CHUNK} runs"
    assert seen["joint"] >= 10
    assert seen["change"] >= 20


def test_a_seed_decides_everything() -> None:
    first, second = (Cluster(7, verbose=True).run() for _ in range(2))
    assert list(first.trace) == list(second.trace)
    assert first.oracle.digests == second.oracle.digests


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_seed_breaks_a_property_for_long(capsys: pytest.CaptureFixture[str]) -> None:
    """Fresh seeds for FLAREDB_SOAK_SECONDS."""
    seconds = float(os.environ.get("FLAREDB_SOAK_SECONDS", "60"))
    first = seed = time.time_ns() // 1_000_000
    deadline = time.monotonic() + seconds
    while seed == first or time.monotonic() < deadline:
        Cluster(seed).run()
        seed += 1
    with capsys.disabled():
        print(f"\nrandom raft clusters: {seed - first} seeds from {first}, no violation")
