"""From a failing run to a smaller one that fails the same way: shorter, fewer stores and clients, fewer faults.

One change at a time is tried and kept if the run still breaks the same kind of promise, until none helps or the tries
are used up. The order is that of what helps a reader most.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flaredb.model.errors import ConfigError
from flaredb.sim.options import SimOptions
from flaredb.sim.run import Report, run
from flaredb.sim.settings import command, drawn

TRIES_MAX = 100
_WORDS = 5
"""So many words of a violation say what kind it is."""

FAULTS = (
    "power_cut_ms",
    "crash_ms",
    "aimed_crash_ms",
    "pd_crash_ms",
    "pause_ms",
    "partition_ms",
    "slow_link_ms",
    "sync_failure_ms",
    "disk_full_ms",
    "clock_ms",
    "pressure_ms",
    "new_store_ms",
    "drain_ms",
    "admin_ms",
    "order_ms",
    "split_ms",
)
WEATHER = ("loss", "doubling", "reordering", "stragglers")
SHARES = ("scans", "swaps", "deletes", "range_deletes", "batches")


@dataclass(slots=True)
class Shrunk:
    """The smallest run that was found."""

    seed: int
    seconds: int
    settings: tuple[str, ...]
    report: Report
    tries: int = 0

    def options(self) -> SimOptions:
        """Of this run."""
        return drawn(self.seed, self.seconds, self.settings)

    def command(self) -> str:
        """The one line that runs it again."""
        return command(self.seed, self.seconds, self.settings)


def kind_of(failure: str) -> str:
    """What kind of promise a violation broke: its first words without names, numbers and keys."""
    plain = re.sub(r"b'[^']*'|b\"[^\"]*\"", "K", failure)
    plain = re.sub(r"\b(s\d+|PD|pd)\b", "NODE", plain)
    plain = re.sub(r"\d+", "N", plain)
    plain = re.sub(r"^((NODE|region N|peer N|leads|[cfr]N\w*) ?)+: ", "", plain)
    return " ".join(plain.split()[:_WORDS])


def shrink(
    found: Report,
    seconds: int,
    settings: tuple[str, ...] = (),
    tries_max: int = TRIES_MAX,
    attempt: Callable[[SimOptions], Report] = run,
    say: Callable[[str], None] = lambda _line: None,
) -> Shrunk:
    """Look for a smaller run than the one that ``found`` reports. Pre: it failed.

    ``say`` is told of every change that was kept.
    """
    assert found.failure, "only a run that failed can be made smaller"
    wanted = kind_of(found.failure)
    best = Shrunk(found.seed, seconds, settings, found)
    helped = True
    while helped and best.tries < tries_max:
        helped = False
        tried: set[tuple[int, tuple[str, ...]]] = set()
        while best.tries < tries_max:
            # What failed to help in this round waits for the next one, when more else is gone.
            candidate = next((each for each in _candidates(best) if each not in tried), None)
            if candidate is None:
                break
            tried.add(candidate)
            smaller = _smaller(best, *candidate)
            if smaller is None:
                continue
            best.tries += 1
            report = attempt(smaller.options())
            if kind_of(report.failure) == wanted:
                smaller.report = report
                smaller.tries = best.tries
                best, helped = smaller, True
                say(f"{report.failure_at()}: {' '.join(candidate[1]) or f'{candidate[0]} s'}")
    return best


def _smaller(best: Shrunk, seconds: int, change: tuple[str, ...]) -> Shrunk | None:
    """The run with the change; None if it cannot work."""
    kept = (item for item in best.settings if not _same_option(item, change))
    smaller = Shrunk(best.seed, seconds, (*kept, *change), best.report)
    try:
        options = smaller.options()
        options.pd.validate()
        options.store.validate()
    except ConfigError:
        return None
    return smaller


def _same_option(setting: str, change: tuple[str, ...]) -> bool:
    return any(setting.partition("=")[0] == item.partition("=")[0] for item in change)


def _candidates(best: Shrunk) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Smaller runs, as (seconds, settings that change), most helpful first. Each is smaller by some count, so that
    this comes to an end.
    """
    seconds, options = best.seconds, best.options()
    seen = math.ceil(best.report.fault_seconds)
    for shorter in dict.fromkeys((min(seen, seconds), seconds // 4, seconds // 2, seconds - 5, seconds - 1)):
        if 0 < shorter < seconds:
            yield shorter, ()
    for name in FAULTS:
        if getattr(options.faults, name):
            yield seconds, (f"faults.{name}=0",)
    for name in ("splits_min", "moves_min"):
        if getattr(options, name):
            yield seconds, (f"{name}=0",)
    for stores in (1, 2, 3, 4):
        if stores < options.stores:
            yield seconds, (f"stores={stores}",)
    for regions in (1, 2, 4):
        if regions < options.regions:
            yield seconds, (f"regions={regions}",)
    for name in WEATHER:
        if getattr(options.weather, name):
            yield seconds, (f"weather.{name}=0",)
    if options.disk.slow:
        yield seconds, ("disk.slow=0",)
    for name in SHARES:
        if getattr(options.workload, name):
            yield seconds, (f"workload.{name}=0",)
    for writers in (1, 2, 3):
        if writers < options.workload.writers:
            yield seconds, (f"workload.writers={writers}",)
    for pinned in (0, 1):
        if pinned < options.workload.pinned:
            yield seconds, (f"workload.pinned={pinned}",)
    for keys in (1, 3):
        if keys < options.workload.hot_keys:
            yield seconds, (f"workload.hot_keys={keys}",)
    if options.workload.hot_share < 1:
        yield seconds, ("workload.hot_share=1",)
