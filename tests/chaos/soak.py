"""All faults mixed, until each was played so often: ``python -m tests.chaos.soak --kills 200 --power-cuts 100 ...``.

Faults come in an order drawn from the seed, some dozens on one cluster, then a fresh one. After each cluster every key
is read again, the histories are checked and the replicas compared (arena.Arena.finish). Prints its progress, and a
table in the end. Exit status 1: something was lost, or a cluster broke; its logs are kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import needs
from tests.chaos.arena import Arena
from tests.chaos.faults import FAULTS, KILLS_IN_A_LOOP, Fault
from tests.chaos.history import Outcome

PER_CLUSTER = 40
FAULTS_PER_LINE = 10
PACE_S = 0.03
"""Rest of each client after each call: it leaves time to what starts and recovers."""
CROWD = 3
"""Many clients that rest make the rate that a fault needs even where each call takes long."""
PATIENCE_S = 180.0
CALM: dict[str, Any] = {"raftstore": {"raft-base-tick-interval": "100ms"}}
"""Elections after 1 to 1.6 s: on a busy machine shorter ones go on and on by themselves."""
STORES = (3, 3, 3, 4)
BROKEN_MAX = 5
"""Clusters that may break before a run gives up."""
LOOP_CHANCE = 0.4
"""That a kill is the first of a loop of them."""


@dataclass(slots=True)
class Totals:
    """What a run has done so far."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    unknown_share_max: float = 0.0
    keys: int = 0
    clusters: int = 0
    broken: list[str] = field(default_factory=list)
    """One line for each cluster that did not hold what is promised, or could not be played to its end."""

    def add(self, arena: Arena) -> None:
        """Count what happened on one cluster."""
        self.counts += arena.counts
        self.notes += arena.notes
        outcomes = Counter({outcome: arena.history.count(outcome) for outcome in Outcome})
        self.outcomes += outcomes
        answered = outcomes[Outcome.DONE] + outcomes[Outcome.UNKNOWN]
        self.unknown_share_max = max(self.unknown_share_max, outcomes[Outcome.UNKNOWN] / max(answered, 1))
        self.keys += len(arena.history.keys)
        self.clusters += 1

    def table(self, wanted: Mapping[str, int], seconds: float) -> str:
        """For people."""
        rows = [f"{'fault':24} {'played':>7} {'wanted':>7}"]
        rows += [f"{name:24} {times:7,} {wanted.get(name, 0):7,}" for name, times in sorted(self.counts.items())]
        rows += [f"  {text}: {times:,}" for text, times in sorted(self.notes.items())]
        outcomes = ", ".join(f"{self.outcomes[outcome]:,} {outcome.value}" for outcome in Outcome)
        rows.append(f"operations: {outcomes}, on {self.keys:,} keys; unknown at most {self.unknown_share_max:.1%}")
        rows.append(f"{self.clusters} clusters in {seconds:,.0f} s, {len(self.broken)} of them broken")
        return "\n".join([*rows, *self.broken])


class Soak:
    """Deals faults to clusters until what is wanted is done."""

    def __init__(self, wanted: Mapping[str, int], seed: int, directory: Path) -> None:
        """``wanted``: how often each fault is to be played, by what it counts as."""
        self.totals = Totals()
        self.wanted = dict(wanted)
        self._chance = random.Random(seed)
        self._seed = seed
        self._directory = directory
        self._faults = {fault.name: fault for fault in FAULTS}
        self._began_s = time.monotonic()

    def run(self, per_cluster: int = PER_CLUSTER) -> bool:
        """Play everything; True if nothing broke."""
        while self._left(self.totals.counts) and len(self.totals.broken) < BROKEN_MAX:
            self._one_cluster(self.deal(per_cluster))
            self._tell()
        return not self.totals.broken

    def deal(self, count: int) -> list[Fault]:
        """The next faults, each drawn with the weight of what is left of it."""
        planned = Counter(self.totals.counts)
        dealt: list[Fault] = []
        while len(dealt) < count and (left := self._left(planned)):
            name = self._chance.choices(list(left), list(left.values()))[0]
            times = 1
            if name == "kill" and self._chance.random() < LOOP_CHANCE:
                dealt.append(self._faults["kill in a loop"])
                times = KILLS_IN_A_LOOP
            else:
                dealt.append(self._faults[name])
            planned[name] += times
        return dealt

    def table(self) -> str:
        """What was done so far."""
        return self.totals.table(self.wanted, self._seconds())

    def _seconds(self) -> float:
        return time.monotonic() - self._began_s

    def _left(self, done: Mapping[str, int]) -> dict[str, int]:
        return {name: times - done[name] for name, times in self.wanted.items() if times > done[name]}

    def _one_cluster(self, faults: Sequence[Fault]) -> None:
        number = self.totals.clusters + 1
        directory = self._directory / f"cluster-{number}"
        directory.mkdir(parents=True)
        arena = Arena(
            directory,
            self._seed + number,
            stores=self._chance.choice(STORES),
            with_disks=any(fault.on_disks for fault in faults),
            with_links=any(fault.on_links for fault in faults),
            with_clocks=any(fault.on_clocks for fault in faults),
            pace_s=PACE_S,
            crowd=CROWD,
            patience_s=PATIENCE_S,
            config=CALM,
        )
        playing = "start"
        try:
            with arena:
                for played, fault in enumerate(faults, 1):
                    playing = fault.name
                    arena.play(fault.play)
                    if played % FAULTS_PER_LINE == 0:
                        print(f"  {self._seconds():,.0f} s: {played} of {len(faults)} on cluster {number}", flush=True)
                playing = "the end"
                arena.finish()
        except Exception:
            trace = traceback.format_exc()
            (directory / "trace.txt").write_text(trace)
            self.totals.broken.append(f"cluster {number}, {playing}: {trace.splitlines()[-1]} ({directory})")
            print(trace, flush=True)
        else:
            shutil.rmtree(directory)
        self.totals.add(arena)

    def _tell(self) -> None:
        done = ", ".join(f"{self.totals.counts[name]} of {times} {name}" for name, times in self.wanted.items())
        print(f"{self._seconds():,.0f} s: {done}; {len(self.totals.broken)} broken", flush=True)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--power-cuts", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=10, help="between stores")
    parser.add_argument("--pauses", type=int, default=5)
    parser.add_argument("--full-disks", type=int, default=2)
    parser.add_argument("--others", type=int, default=1, help="each other fault")
    parser.add_argument("--per-cluster", type=int, default=PER_CLUSTER, help="faults")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000_000)
    given = parser.parse_args()
    wanted = {
        "kill": given.kills,
        "power cut": given.power_cuts,
        "partition": given.partitions,
        "pause": given.pauses,
        "full disk": given.full_disks,
    }
    for fault in FAULTS:
        if reason := needs.lacks(fault.needs):
            print(f"left out: {fault.name}, {reason}")
            wanted.pop(fault.name, None)
        elif fault.name not in (*wanted, "kill in a loop"):
            wanted[fault.name] = given.others
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="flaredb-soak-"))
    print(f"seed {given.seed}, {directory}", flush=True)
    soak = Soak({name: times for name, times in wanted.items() if times}, given.seed, directory)
    sound = False
    try:
        sound = soak.run(given.per_cluster)
    except KeyboardInterrupt:
        print("stopped")
    print(soak.table(), flush=True)
    if sound:
        directory.rmdir()
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
