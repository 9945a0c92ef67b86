"""Bad input never kills a node: a slice of each target here, millions of cases by ``python -m tests.fuzz.run``."""

from __future__ import annotations

import os
import time

import pytest

from tests.fuzz.run import GROWTH_BYTES_MAX, Run
from tests.fuzz.targets import CASES_PER_SEED, SHARES

SLICE = {"kv": 1_200, "pd": 10_000, "peer": 5_000, "bytes": 20_000, "disk": 500, "files": 60, "http2": 2_000}
"""Cases in make test: three to five seconds each on one core."""


@pytest.mark.parametrize("name", SLICE)
async def test_slice(name: str) -> None:
    await Run(1, [name]).play(SLICE[name])


async def test_a_run_gives_every_target_its_share() -> None:
    run = Run(1, ["bytes", "disk"])
    await run.play(CASES_PER_SEED + 200)
    assert run.cases == {"bytes": CASES_PER_SEED, "disk": 200}
    assert run.table().startswith("target")


@pytest.mark.soak
async def test_soak() -> None:
    """All targets until the time is up, then the table."""
    seed = int(os.environ.get("FLAREDB_FUZZ_SEED", time.time_ns() // 1_000_000_000))
    run = Run(seed, SHARES)
    await run.play(10**9, float(os.environ.get("FLAREDB_SOAK_SECONDS", "60")))
    print(f"\n{run.table()}")
    assert run.grown_bytes() < GROWTH_BYTES_MAX
