"""A cluster under load that faults can be played on, and what must hold when they are over."""

from __future__ import annotations

import contextlib
import random
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flaredb.cli.probe import ProbeFailed
from flaredb.server.toml_text import dump_toml, merge
from tests.chaos.disks import LoopDisk
from tests.chaos.history import History
from tests.chaos.links import Links
from tests.chaos.load import SPLIT_KEYS, Load
from tests.integration.calls import Calls
from tests.integration.cluster import Cluster
from tests.integration.moves import equal_checksums

BUSY_DEADLINE_S = 60.0
RESTART_DEADLINE_S = 60.0


class Arena:
    """As a context manager: a running cluster with clients at work. ``disks`` and ``links`` are there if asked for."""

    def __init__(
        self, directory: Path, seed: int, *, stores: int = 3, with_disks: bool = False, with_links: bool = False
    ) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.cluster = Cluster(directory, stores, SPLIT_KEYS)
        self.history = History()
        self.load = Load(self.cluster, self.history, seed)
        self.disks: dict[int, LoopDisk] = {}
        self.links: Links | None = None
        self.notes: Counter[str] = Counter()
        """What happened, how often."""
        self._directory = directory
        self._with_disks = with_disks
        self._with_links = with_links
        self._open = contextlib.ExitStack()

    @property
    def numbers(self) -> list[int]:
        """Numbers of all stores."""
        return [store.number for store in self.cluster.stores]

    def pick(self) -> int:
        """A store drawn from the seed: every other time one that leads."""
        if self.chance.random() < 0.5:
            with contextlib.suppress(ProbeFailed, StopIteration):
                return self.cluster.leader_number(self.chance.choice([b"c", b"k", b"t"])) or self.numbers[0]
        return self.chance.choice(self.numbers)

    def play(self, fault: Callable[[Arena], None]) -> None:
        """One fault: only when the clients get on well, and with fresh keys."""
        self.wait_busy()
        fault(self)
        self.load.generation += 1

    def wait_busy(self) -> None:
        """Wait for the rate of success that a fault needs to mean something."""
        self.cluster.wait_for(self.history.is_busy, BUSY_DEADLINE_S)

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
                ports = {store.number: store.ports.peer for store in self.cluster.stores}
                self.links = self._open.enter_context(Links(ports, lambda number: self.cluster.store(number).child.pid))
                for number, port in self.links.ports.items():
                    self._amend(number, {"server": {"advertise-peer-addr": f"127.0.0.1:{port}"}})
            self._open.callback(self.cluster.close)
            self.cluster.start()
            self._open.enter_context(self.load)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _amend(self, number: int, tables: dict[str, Any]) -> None:
        """Change a store's configuration before it starts."""
        path = self._directory / f"store-{number}.toml"
        before = tomllib.loads(path.read_text(encoding="utf-8"))
        path.write_text(dump_toml(merge(before, tables)), encoding="utf-8")
