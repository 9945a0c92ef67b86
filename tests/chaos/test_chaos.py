"""Each fault once in `make test`; for FLAREDB_SOAK_SECONDS, shared among the faults, in `make soak`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.chaos import disks, needs, syncs
from tests.chaos.arena import Arena
from tests.chaos.faults import FAULTS, Fault, cut_power_of_lying_disks
from tests.chaos.soak import Soak

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

Capture = pytest.CaptureFixture[str]
NAMES = [fault.name for fault in FAULTS]
QUICK = [fault for fault in FAULTS if fault.in_smoke]
ON_LINKS = [fault for fault in QUICK if fault.on_links]
ON_DISKS = [fault for fault in QUICK if fault.on_disks]
SMOKE = [ON_LINKS, ON_DISKS, [fault for fault in QUICK if fault not in ON_LINKS + ON_DISKS]]


@pytest.mark.parametrize("faults", SMOKE, ids=["links", "disks", "processes and clocks"])
def test_nothing_is_lost_by_one_of_each(faults: list[Fault], tmp_path: Path, capsys: Capture) -> None:
    """One cluster for several faults, because starting one takes longer than most of them."""
    needs.skip_without()
    chosen = [fault for fault in faults if not needs.lacks(fault.needs)]
    if not chosen:
        pytest.skip(needs.lacks(faults[0].needs))
    with _arena(tmp_path, chosen, seed=1) as arena:
        for fault in chosen:
            arena.play(fault.play)
        figures = arena.finish()
    with capsys.disabled():
        print(f"\n  {', '.join(fault.name for fault in chosen)}: {figures}")
        for fault in faults:
            if fault not in chosen:
                print(f"  left out: {fault.name}, {needs.lacks(fault.needs)}")


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_nothing_is_lost_for_long(fault: Fault, tmp_path: Path, capsys: Capture) -> None:
    """One fault after the other on one cluster of three to five stores until the time is up."""
    needs.skip_without(*fault.needs)
    seed = time.time_ns() // 1_000_000
    stores = 3 + seed % 3
    seconds = float(os.environ.get("FLAREDB_SOAK_SECONDS", "60")) / len(FAULTS)
    began_s = time.monotonic()
    played = 0
    with _arena(tmp_path, [fault], seed=seed, stores=stores) as arena:
        while not played or time.monotonic() < began_s + seconds:
            arena.play(fault.play)
            played += 1
        figures = arena.finish()
    with capsys.disabled():
        print(f"\n  {fault.name}, {stores} stores: {played} times in {time.monotonic() - began_s:.0f} s, {figures}")


def test_a_small_soak_of_all_faults(tmp_path: Path, capsys: Capture) -> None:
    """``python -m tests.chaos.soak`` in miniature: it deals what is wanted, plays it, and adds it up."""
    needs.skip_without()
    playable = [fault.name for fault in FAULTS if not needs.lacks(fault.needs)]
    wanted = {name: 1 for name in ("kill", "pause", "partition", "power cut") if name in playable}
    soak = Soak(wanted, 1, tmp_path)
    assert soak.run(), soak.table()
    assert all(soak.totals.counts[name] >= 1 for name in wanted)
    with capsys.disabled():
        print(f"\n{soak.table()}")


def test_a_disk_that_forgets_is_noticed(tmp_path: Path) -> None:
    """The means can see a loss: with syncs that do nothing, a power cut of all stores loses what was promised."""
    needs.skip_without(*disks.NEEDS, *syncs.NEEDS)
    with _arena(tmp_path, [fault for fault in FAULTS if fault.on_disks], seed=1) as arena:
        arena.wait_busy()
        cut_power_of_lying_disks(arena)
        arena.load.read_everything()
        assert arena.history.violations()


def _arena(directory: Path, faults: list[Fault], seed: int, stores: int = 3) -> Arena:
    return Arena(
        directory,
        seed,
        stores=stores,
        with_disks=any(fault.on_disks for fault in faults),
        with_links=any(fault.on_links for fault in faults),
        with_clocks=any(fault.on_clocks for fault in faults),
    )
