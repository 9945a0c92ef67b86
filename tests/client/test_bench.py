"""The benchmark of bench/client.py, tiny, so that it does not rot."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from bench.client import closed_loop

from flaredb.testing import AsyncMemoryClient, Cluster
from tests.tidy.sources import ROOT


async def test_the_loop_counts() -> None:
    db = AsyncMemoryClient()
    result = await closed_loop(lambda key: db.put(key, b"v"), 3, 0.05, 0.01)
    assert result["per_s"] > 0
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert await db.count() > 0


@pytest.mark.process
@pytest.mark.parametrize("client", ["ours", "sync", "official"])
def test_each_client_can_be_measured(shared_cluster: Cluster, client: str) -> None:
    if client == "official" and importlib.util.find_spec("tikv_client") is None:
        pytest.skip("the official client has no wheel for this Python")
    command = [sys.executable, "-m", "bench.client", "--pd", shared_cluster.address, "--client", client]
    command += ["--op", "put", "--at-once", "2", "--seconds", "0.1", "--warm-up", "0.1"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert '"per_s"' in ran.stdout
