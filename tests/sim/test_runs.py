"""Seeds run without a violation, and the same seed always runs the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from flaredb.sim.options import draw
from flaredb.sim.run import run

from .conftest import SEEDS
from .fresh import LOTS_OF_A, LOTS_OF_B, SECONDS, SEEDS_PER_LOT, TIMEOUT_S, check

SOAK_FROM = 1_000


def test_every_fresh_seed_is_in_one_of_the_two_files() -> None:
    """They are two so that both workers of `make test` share them (fresh.py)."""
    assert [*LOTS_OF_A, *LOTS_OF_B] == list(range(SEEDS // SEEDS_PER_LOT))
    assert len(LOTS_OF_A) == len(LOTS_OF_B)


@pytest.mark.parametrize("seed", range(300, 306))
def test_short_runs_see_splits_and_moves_too(seed: int) -> None:
    """`make seeds` plays 20 s of faults: more seeds find more than longer ones."""
    report = check(seed, 20)
    assert report.splits >= 2
    assert report.moves >= 2


def test_a_cluster_that_cannot_elect_on_its_disks_forms_once_they_are_well() -> None:
    """Every fifth sync of this seed takes up to 5 s, ten election timeouts; of four replicas three must be in time."""
    report = check(8_007_837, 2)
    assert report.done > 0


HASH = "import sys; from tests.sim.fresh import check; print(check(int(sys.argv[1]), 10).trace_hash)"


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("seed", range(5))
def test_a_seed_runs_the_same_in_every_process(seed: int) -> None:
    hashes = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", HASH, str(seed)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S / 2,
        )
        assert done.returncode == 0, done.stderr
        hashes.add(done.stdout)
    assert len(hashes) == 1


def test_different_seeds_run_differently() -> None:
    assert check(1, 5).trace_hash != check(2, 5).trace_hash


def _verdict(seed: int) -> str:
    report = run(draw(seed, SECONDS))
    return f"{report.summary()}\n{report.options}\n{report.where}" if report.failure else ""


@pytest.mark.soak
def test_many_fresh_seeds() -> None:
    seconds = float(os.environ.get("FLAREDB_SOAK_SECONDS", "60"))
    end = time.monotonic() + seconds
    seed, failures = SOAK_FROM, []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        while time.monotonic() < end and not failures:
            batch = range(seed, seed + 50)
            failures = [text for text in pool.map(_verdict, batch) if text]
            seed = batch.stop
    print(f"{seed - SOAK_FROM} seeds of {SECONDS} s")
    assert not failures, "\n".join(failures)
