"""Clients at work: the official one, FlareDB's own, plain calls, and readers that know one store only."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import flaredb
from flaredb.cli.official_client import connected
from flaredb.sim.linearizability import Kind
from tests.chaos.history import Call, History
from tests.chaos.plain_client import CALL_DEADLINE_S, PlainClient
from tests.integration.calls import Calls
from tests.integration.cluster import Cluster

SPLIT_KEYS = ("g", "p")
REGION_LETTERS = ("c", "k", "t")
REGISTERS_PER_REGION = 2
OFFICIAL_CLIENTS = ("official-0", "official-1")
PAUSE_AFTER_ERROR_S = 0.1
STOP_DEADLINE_S = 60.0


class Load:
    """Threads that use a cluster until they are stopped. Values are written once; keys change with the generation, so
    that the history of a key stays short.
    """

    def __init__(self, cluster: Cluster, history: History, seed: int) -> None:
        self.cluster = cluster
        self.history = history
        self.generation = 0
        self.padding_bytes = 0
        """Length of what is appended to every value: large values fill disks."""
        self._given_up: Counter[str] = Counter()
        """Keys that each official client left because it does not know what became of its last write."""
        self._stop = threading.Event()
        self._values = itertools.count(1)
        self._problems: list[BaseException] = []
        workers: list[tuple[str, Callable[[str, random.Random], None]]] = [
            *((name, self._run_official) for name in OFFICIAL_CLIENTS),
            ("own", self._run_own),
            *((f"plain-{number}", self._run_plain) for number in range(2)),
            *((f"reader-of-{store.number}", self._run_pinned) for store in cluster.stores),
        ]
        self._threads = [
            threading.Thread(target=self._guarded, args=(run, name, random.Random(f"{seed} {name}")), name=name)
            for name, run in workers
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every client finish its call. Errors: AssertionError if one hangs or broke."""
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_DEADLINE_S)
        hanging = [thread.name for thread in self._threads if thread.is_alive()]
        assert not hanging, f"clients that never came back: {hanging}"
        assert not self._problems, f"clients broke: {self._problems}"

    def read_everything(self) -> None:
        """Read every key once more, whatever it takes: what was acknowledged must be there."""
        with Calls(self.cluster.pd_address) as calls:
            client = PlainClient(calls, self.cluster, self.history, "last")
            for key in self.history.used_keys():

                def is_read(key: bytes = key) -> bool:
                    return client.get(key)

                self.cluster.wait_for(is_read, CALL_DEADLINE_S * 20)

    def _guarded(self, run: Callable[[str, random.Random], None], name: str, chance: random.Random) -> None:
        try:
            run(name, chance)
        except BaseException as error:
            self._problems.append(error)

    def _run_official(self, name: str, chance: random.Random) -> None:
        with connected(self.cluster.pd_address) as client:
            while not self._stop.is_set():
                if chance.random() < 0.5:
                    key, value = self._official_key(name, chance), self._new_value()
                    call = self.history.begin(Kind.WRITE, key, name, value)
                    self._given_up[name] += not self._end(call, client.put, key, value)
                else:
                    key = self._readable(chance)
                    self._end(self.history.begin(Kind.READ, key, name), client.get, key)

    def _end(self, call: Call, ask: Callable[..., Any], *arguments: bytes) -> bool:
        """Ask the official client. It does not say whether a write that failed may happen yet: unknown."""
        try:
            answer = ask(*arguments)
        except BaseException:  # its panics are BaseExceptions
            self._stop.wait(PAUSE_AFTER_ERROR_S)
            return False
        self.history.done(call, answer)
        return True

    def _run_own(self, name: str, chance: random.Random) -> None:
        with flaredb.connect(self.cluster.pd_address, timeout=CALL_DEADLINE_S) as client:
            known: dict[bytes, bytes | None] = {}
            for roll in self._rolls(chance):
                if roll < 0.35:
                    key, value = self._register(chance), self._new_value()
                    call = self.history.begin(Kind.WRITE, key, name, value)
                elif roll < 0.6:
                    key = self._readable(chance)
                    call = self.history.begin(Kind.READ, key, name)
                else:
                    key, value = self._swapped(chance), self._new_value()
                    call = self.history.begin(Kind.SWAP, key, name, value, known.get(key))
                try:
                    self._ask_own(client, call, known)
                except flaredb.ClientError as error:
                    if not error.undetermined:
                        self.history.refused(call)
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _ask_own(self, client: flaredb.Client, call: Call, known: dict[bytes, bytes | None]) -> None:
        """Errors: ClientError, which says whether the outcome is unknown."""
        if call.kind is Kind.READ:
            self.history.done(call, client.get(call.key))
        elif call.kind is Kind.WRITE:
            assert call.value is not None
            client.put(call.key, call.value)
            self.history.done(call)
        else:
            swap = client.compare_and_swap(call.key, call.expected, call.value)
            known[call.key] = call.value if swap.swapped else swap.previous
            if swap.swapped:
                self.history.done(call)
            else:
                self.history.found_other(call, swap.previous)

    def _run_plain(self, name: str, chance: random.Random) -> None:
        with Calls(self.cluster.pd_address) as calls:
            client = PlainClient(calls, self.cluster, self.history, name)
            known: dict[bytes, bytes | None] = {}
            for roll in self._rolls(chance):
                if roll < 0.35:
                    worked = client.put(self._register(chance), self._new_value())
                elif roll < 0.6:
                    worked = client.get(self._readable(chance))
                elif roll < 0.62:
                    worked = client.delete(self._swapped(chance))
                else:
                    worked = client.swap(self._swapped(chance), known, self._new_value())
                if not worked:
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _run_pinned(self, name: str, chance: random.Random) -> None:
        number = int(name.rsplit("-", 1)[1])
        with Calls(self.cluster.pd_address) as calls:
            client = PlainClient(calls, self.cluster, self.history, name, pinned_to=number)
            for _ in self._rolls(chance):
                if not client.get(self._readable(chance)):
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _rolls(self, chance: random.Random) -> Iterator[float]:
        while not self._stop.is_set():
            yield chance.random()

    def _register(self, chance: random.Random) -> bytes:
        letter, number = chance.choice(REGION_LETTERS), chance.randrange(REGISTERS_PER_REGION)
        return f"{letter}-{number}-{self.generation}".encode()

    def _official_key(self, name: str, chance: random.Random) -> bytes:
        """A key that only this official client writes: it repeats a put whose answer was lost, which undoes what
        others have written since. Where nobody else writes, nobody can tell.
        """
        return f"{chance.choice(REGION_LETTERS)}-{name}-{self.generation}-{self._given_up[name]}".encode()

    def _readable(self, chance: random.Random) -> bytes:
        """Any key but those for compare-and-swap."""
        if chance.random() < 0.5:
            return self._register(chance)
        return self._official_key(chance.choice(OFFICIAL_CLIENTS), chance)

    def _swapped(self, chance: random.Random) -> bytes:
        return f"{chance.choice(REGION_LETTERS)}-swapped-{self.generation}".encode()

    def _new_value(self) -> bytes:
        return b"%d " % next(self._values) + bytes(self.padding_bytes)
