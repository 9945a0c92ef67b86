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
from tests.chaos.plain_client import CALL_DEADLINE_S, SCAN_ROWS_MAX, PlainClient
from tests.integration.calls import Calls
from tests.integration.cluster import Cluster

SPLIT_KEYS = ("g", "p")
REGION_LETTERS = ("c", "k", "t")
REGISTERS_PER_REGION = 2
BORDER = (b"f", b"g")
"""First letters of keys on both sides of a border between regions, for scans that cross it."""
BORDER_KEYS = 2
"""On each side."""
GENERATIONS_MAX = 99_999
OFFICIAL_CLIENTS = ("official-0", "official-1")
PAUSE_AFTER_ERROR_S = 0.1
STOP_DEADLINE_S = 60.0


class Load:
    """Threads that use a cluster until they are stopped. Values are written once; keys change with the generation, so
    that the history of a key stays short.
    """

    def __init__(
        self,
        cluster: Cluster,
        history: History,
        seed: int,
        address_of: Callable[[int], str],
        pace_s: float = 0.0,
        crowd: int = 1,
    ) -> None:
        """``address_of``: where clients reach a store of this number. ``pace_s``: rest of a client after each call.
        ``crowd``: so many clients of each kind but the official one for one.
        """
        self.cluster = cluster
        self.history = history
        self.generation = 0
        self.padding_bytes = 0
        """Length of what is appended to every value: large values fill disks."""
        self._address_of = address_of
        self._pace_s = pace_s
        self._given_up: Counter[str] = Counter()
        """Keys that each official client left because it does not know what became of its last write."""
        self._stop = threading.Event()
        self._values = itertools.count(1)
        self._problems: list[BaseException] = []
        workers: list[tuple[str, Callable[[str, random.Random], None]]] = [
            *((name, self._run_official) for name in OFFICIAL_CLIENTS),
            *((f"own-{number}", self._run_own) for number in range(crowd)),
            *((f"plain-{number}", self._run_plain) for number in range(2 * crowd)),
            *((f"own-ranges-{number}", self._run_own_ranges) for number in range(crowd)),
            *((f"plain-ranges-{number}", self._run_plain_ranges) for number in range(crowd)),
            *((f"reader-{n}-of-{store.number}", self._run_pinned) for store in cluster.stores for n in range(crowd)),
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
            client = self._plain(calls, "last")
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
            for roll in self._rolls(chance):
                if roll < 0.45:
                    key, value = self._official_key(name, chance), self._new_value()
                    call = self.history.begin(Kind.WRITE, key, name, value)
                    self._given_up[name] += not self._end(call, client.put, key, value)
                elif roll < 0.9:
                    key = self._readable(chance)
                    self._end(self.history.begin(Kind.READ, key, name), client.get, key)
                else:
                    self._scan_official(client, name, chance)

    def _end(self, call: Call, ask: Callable[..., Any], *arguments: bytes) -> bool:
        """Ask the official client. It does not say whether a write that failed may happen yet: unknown."""
        try:
            answer = ask(*arguments)
        except BaseException:  # its panics are BaseExceptions
            self._stop.wait(PAUSE_AFTER_ERROR_S)
            return False
        self.history.done(call, answer)
        return True

    def _scan_official(self, client: Any, name: str, chance: random.Random) -> None:
        start, end = self._region_range(chance)
        calls = self.history.begin_scan(start, end, name)
        try:
            rows = client.scan(start, end, SCAN_ROWS_MAX)
        except BaseException:
            self._stop.wait(PAUSE_AFTER_ERROR_S)
        else:
            self.history.done_scan(calls, dict(rows))

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

    def _run_own_ranges(self, name: str, chance: random.Random) -> None:
        """Batches and scans over the border of two regions."""
        with flaredb.connect(self.cluster.pd_address, timeout=CALL_DEADLINE_S) as client:
            for roll in self._rolls(chance):
                keys = chance.sample(self._border_keys(), 3)
                try:
                    if roll < 0.4:
                        pairs = {key: self._new_value() for key in keys}
                        calls = [self.history.begin(Kind.WRITE, key, name, value) for key, value in pairs.items()]
                        client.put_many(pairs)
                        self.history.done_many(calls)
                    elif roll < 0.7:
                        calls = [self.history.begin(Kind.READ, key, name) for key in keys]
                        self.history.done_many(calls, client.get_dict(keys))
                    else:
                        start, end = self._border_range()
                        calls = self.history.begin_scan(start, end, name)
                        self.history.done_scan(calls, dict(client.scan(start, end)))
                except flaredb.ClientError:  # some regions may have taken their part
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _run_plain_ranges(self, name: str, chance: random.Random) -> None:
        """Batches and scans within a region, each one call, never repeated."""
        with Calls(self.cluster.pd_address) as calls:
            client = self._plain(calls, name)
            for roll in self._rolls(chance):
                letter = chance.choice(REGION_LETTERS)
                keys = [self._register_of(letter, number) for number in range(REGISTERS_PER_REGION)]
                if roll < 0.35:
                    worked = client.put_many({key: self._new_value() for key in keys})
                elif roll < 0.6:
                    worked = client.get_many(keys)
                else:
                    worked = client.scan(*self._region_range(chance))
                if not worked:
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _plain(self, calls: Calls, name: str, pinned_to: int = 0) -> PlainClient:
        return PlainClient(calls, self.cluster, self.history, name, self._address_of, pinned_to)

    def _run_plain(self, name: str, chance: random.Random) -> None:
        with Calls(self.cluster.pd_address) as calls:
            client = self._plain(calls, name)
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
            client = self._plain(calls, name, number)
            for _ in self._rolls(chance):
                if not client.get(self._readable(chance)):
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _rolls(self, chance: random.Random) -> Iterator[float]:
        while not self._stop.is_set():
            yield chance.random()
            if self._pace_s:
                self._stop.wait(self._pace_s)

    def _register(self, chance: random.Random) -> bytes:
        return self._register_of(chance.choice(REGION_LETTERS), chance.randrange(REGISTERS_PER_REGION))

    def _register_of(self, letter: str, number: int) -> bytes:
        return f"{letter}-{self.generation:05}-{number}".encode()

    def _region_range(self, chance: random.Random) -> tuple[bytes, bytes]:
        """Where this generation's keys of one region are, but those for compare-and-swap."""
        start = f"{chance.choice(REGION_LETTERS)}-{self.generation:05}".encode()
        return start + b"-", start + b"."

    def _border_range(self) -> tuple[bytes, bytes]:
        """Where this generation's keys on both sides of the border are, and no others: they grow towards it."""
        first, last = BORDER
        return b"%b-%05d" % (first, self.generation), b"%b-%05d." % (last, GENERATIONS_MAX - self.generation)

    def _border_keys(self) -> list[bytes]:
        start, end = self._border_range()
        return [b"%b-%d" % (side, number) for side in (start, end[:-1]) for number in range(BORDER_KEYS)]

    def _official_key(self, name: str, chance: random.Random) -> bytes:
        """A key that only this official client writes: it repeats a put whose answer was lost, which undoes what
        others have written since. Where nobody else writes, nobody can tell.
        """
        return f"{chance.choice(REGION_LETTERS)}-{self.generation:05}-{name}-{self._given_up[name]}".encode()

    def _readable(self, chance: random.Random) -> bytes:
        """Any key but those for compare-and-swap."""
        if chance.random() < 0.5:
            return self._register(chance)
        return self._official_key(chance.choice(OFFICIAL_CLIENTS), chance)

    def _swapped(self, chance: random.Random) -> bytes:
        return f"{chance.choice(REGION_LETTERS)}-swapped-{self.generation}".encode()

    def _new_value(self) -> bytes:
        return b"%d " % next(self._values) + bytes(self.padding_bytes)
