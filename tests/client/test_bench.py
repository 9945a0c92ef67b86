"""The benchmark of bench/client.py, tiny, so that it does not rot."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest
from bench.client import closed_loop

from flaredb.testing import AsyncMemoryClient, Cluster
from tests.tidy.sources import ROOT


async def test_the_loop_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only while an operation is under way, a sixteenth of a second for each."""
    db, now_s = AsyncMemoryClient(), 0.0

    async def put(key: bytes) -> None:
        nonlocal now_s
        now_s += 1 / 16
        await db.put(key, b"v")

    monkeypatch.setattr("bench.client.time", SimpleNamespace(perf_counter=lambda: now_s))
    result = await closed_loop(put, 3, 2.0, 1.0)
    assert result["per_s"] == 16, "the 16 operations of the warm-up are not counted"
    assert (result["p50_ms"], result["p99_ms"]) == (62.5, 62.5)
    assert await db.count() == 48


@pytest.mark.process
@pytest.mark.parametrize("client", ["ours", "sync", "official"])
def test_each_client_can_be_measured(shared_cluster: Cluster, client: str) -> None:
    if client == "official" and importlib.util.find_spec("tikv_client") is None:
        pytest.skip("the official client has no wheel for this Python")
    command = [sys.executable, "-m", "bench.client", "--pd", shared_cluster.address, "--client", client]
    # Without a warm-up the first operation counts, however long it takes.
    command += ["--op", "put", "--at-once", "2", "--seconds", "0.3", "--warm-up", "0"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert '"per_s"' in ran.stdout
