"""A cluster under load that faults can be played on, and what must hold when they are over."""

from __future__ import annotations

import contextlib
import random
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flaredb.cli.ports import HOST
from flaredb.cli.probe import ProbeFailed
from flaredb.cli.waiting import pause
from flaredb.server.toml_text import dump_toml, merge
from tests.chaos.clocks import WallClock, sweep
from tests.chaos.disks import LoopDisk
from tests.chaos.history import History
from tests.chaos.links import PD, Gate, Links
from tests.chaos.load import SPLIT_KEYS, Load
from tests.integration.calls import Calls
from tests.integration.cluster import Cluster
from tests.integration.moves import equal_checksums

BUSY_DEADLINE_S = 60.0
START_DEADLINE_S = RESTART_DEADLINE_S = 60.0
PAUSES_S = (0.3, 1.0, 3.0)
"""Shorter than an election, about as long, and much longer (elections: 0.5 to 0.8 s)."""


class Arena:
    """As a context manager: a running cluster with clients at work. ``disks``, ``links`` and ``clocks`` are there if
    asked for.
    """

    def __init__(
        self,
        directory: Path,
        seed: int,
        *,
        stores: int = 3,
        with_disks: bool = False,
        with_links: bool = False,
        with_clocks: bool = False,
        pace_s: float = 0.0,
        crowd: int = 1,
        patience_s: float = BUSY_DEADLINE_S,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """``pace_s`` and ``crowd``: as Load. ``patience_s``: until clients must get on well again after a
        fault. ``config``: tables for every store's file.
        """
        self.chance = random.Random(seed)
        self.seed = seed
        self.cluster = Cluster(directory, stores, SPLIT_KEYS, config)
        self.history = History()
        self.load = Load(self.cluster, self.history, seed, self.address_of, pace_s, crowd)
        self.disks: dict[int, LoopDisk] = {}
        self.links: Links | None = None
        self.clocks: dict[int, WallClock] = {}
        """By number of the store; 0 is PD."""
        self.counts: Counter[str] = Counter()
        """Faults played, by name."""
        self.may_have_stopped: set[int] = set()
        """Stores whose disk was full during the last fault: they may have stopped, or be about to."""
        self.notes: Counter[str] = Counter()
        """What else happened, how often."""
        self._directory = directory
        self._with_disks = with_disks
        self._with_links = with_links
        self._with_clocks = with_clocks
        self._patience_s = patience_s
        self._open = contextlib.ExitStack()

    @property
    def numbers(self) -> list[int]:
        """Numbers of all stores."""
        return [store.number for store in self.cluster.stores]

    def address_of(self, number: int) -> str:
        """Where clients reach a store."""
        if self.links is not None:
            return f"{HOST}:{self.links.ports['client', number]}"
        return self.cluster.store(number).ports.address

    def rest(self) -> None:
        """Let a fault last for a time drawn from the seed."""
        pause(self.chance.choice(PAUSES_S))

    def pick(self) -> int:
        """A store drawn from the seed: every other time one that leads."""
        if self.chance.random() < 0.5:
            with contextlib.suppress(ProbeFailed, StopIteration):
                return self.cluster.leader_number(self.chance.choice([b"c", b"k", b"t"])) or self.numbers[0]
        return self.chance.choice(self.numbers)

    def play(self, fault: Callable[[Arena], None]) -> None:
        """One fault: only when the clients get on well, and with fresh keys."""
        self.wait_busy()
        self.bring_back()
        fault(self)
        self.load.generation += 1

    def wait_busy(self) -> None:
        """Wait for the rate of success that a fault needs to mean something."""
        self.cluster.wait_for(self.history.is_busy, self._patience_s)

    def bring_back(self) -> None:
        """Start those that have stopped for lack of room. Errors: AssertionError if one did for another reason."""
        numbers = [n for n in sorted(self.may_have_stopped) if not self.cluster.store(n).child.is_running()]
        self.may_have_stopped.clear()
        for number in numbers:
            child = self.cluster.store(number).child
            assert "No space left" in child.log_tail(), child.describe_end()
            self.notes["a store stopped for lack of room"] += 1
        self.restart(numbers)

    def restart(self, numbers: Sequence[int]) -> None:
        """Start stores that have ended; returns when all serve."""
        stores = [self.cluster.store(number) for number in numbers]
        for store in stores:
            store.child.start()
        for store in stores:
            store.child.wait_ready(RESTART_DEADLINE_S)

    def finish(self) -> str:
        """The end: every process runs, every key can be read, histories are linearizable, replicas are equal.

        Returns: one line of figures.
        """
        self.wait_busy()
        self.bring_back()
        self.load.stop()
        self.load.read_everything()
        self.history.check()
        with Calls(self.cluster.pd_address) as calls:
            equal_checksums(calls, self.cluster)
        notes = "".join(f", {text} {times}x" for text, times in sorted(self.notes.items()))
        return f"seed {self.seed}: {self.history.summary()}{notes}"

    def __enter__(self) -> Arena:
        try:
            if self._with_disks:
                for number in self.numbers:
                    disk = LoopDisk(self._directory / f"store-{number}")
                    self.disks[number] = self._open.enter_context(disk)
            if self._with_links:
                self._lead_through_links()
            if self._with_clocks:
                self._open.callback(sweep)
                for number, child in {0: self.cluster.pd, **{s.number: s.child for s in self.cluster.stores}}.items():
                    self.clocks[number] = WallClock(self._directory / f"clock-{number}")
                    child.environment |= self.clocks[number].environment
            self._open.callback(self.cluster.close)
            self.cluster.start(max(START_DEADLINE_S, self._patience_s))
            self._open.enter_context(self.load)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _lead_through_links(self) -> None:
        """Whoever dials a store or PD meets a proxy; only the first call of a client to PD does not."""
        gates: dict[Gate, int] = {("client", PD): int(self.cluster.pd_address.rpartition(":")[2])}
        for store in self.cluster.stores:
            gates |= {("peer", store.number): store.ports.peer, ("client", store.number): store.ports.grpc}
        self.links = self._open.enter_context(Links(gates, lambda number: self.cluster.store(number).child.pid))
        ports = self.links.ports
        pd_address = f"{HOST}:{ports['client', PD]}"
        self._amend("pd", {"advertise-client-urls": f"http://{pd_address}"})
        for number in self.numbers:
            advertised = {
                "advertise-addr": f"{HOST}:{ports['client', number]}",
                "advertise-peer-addr": f"{HOST}:{ports['peer', number]}",
            }
            self._amend(f"store-{number}", {"server": advertised, "pd": {"endpoints": [pd_address]}})

    def _amend(self, name: str, tables: dict[str, Any]) -> None:
        """Change the configuration of a process before it starts."""
        path = self._directory / f"{name}.toml"
        before = tomllib.loads(path.read_text(encoding="utf-8"))
        path.write_text(dump_toml(merge(before, tables)), encoding="utf-8")
