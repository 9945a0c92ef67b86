"""Clients at work: the official one, one that makes plain calls, and readers that know one store only."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from flaredb.cli.official_client import connected
from flaredb.cli.probe import ProbeFailed, RegionView
from flaredb.sim.linearizability import Kind
from flaredb.wire.pb import errorpb_pb2
from tests.chaos.history import Call, History
from tests.integration.calls import Calls, context_for
from tests.integration.cluster import Cluster

SPLIT_KEYS = ("g", "p")
REGION_LETTERS = ("c", "k", "t")
REGISTERS_PER_REGION = 2
CALL_DEADLINE_S = 2.0
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
        self._stop = threading.Event()
        self._values = itertools.count(1)
        self._problems: list[BaseException] = []
        workers: list[tuple[str, Callable[[str, random.Random], None]]] = [
            *((f"official-{number}", self._run_official) for number in range(2)),
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
            client = _PlainClient(calls, self.cluster, self.history, "last")
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
                key = self._register(chance)
                if chance.random() < 0.5:
                    value = self._new_value()
                    call = self.history.begin(Kind.WRITE, key, name, value)
                    self._end(call, client.put, key, value)
                else:
                    self._end(self.history.begin(Kind.READ, key, name), client.get, key)

    def _end(self, call: Call, ask: Callable[..., Any], *arguments: bytes) -> None:
        """Ask the official client. It does not say whether a write that failed may happen yet: unknown."""
        try:
            answer = ask(*arguments)
        except BaseException:  # its panics are BaseExceptions
            self._stop.wait(PAUSE_AFTER_ERROR_S)
        else:
            self.history.done(call, answer)

    def _run_plain(self, name: str, chance: random.Random) -> None:
        with Calls(self.cluster.pd_address) as calls:
            client = _PlainClient(calls, self.cluster, self.history, name)
            known: dict[bytes, bytes | None] = {}
            for roll in self._rolls(chance):
                swapped = b"%s-swapped-%d" % (chance.choice(REGION_LETTERS).encode(), self.generation)
                if roll < 0.35:
                    worked = client.put(self._register(chance), self._new_value())
                elif roll < 0.6:
                    worked = client.get(self._register(chance))
                elif roll < 0.62:
                    worked = client.delete(swapped)
                else:
                    worked = client.swap(swapped, known, self._new_value())
                if not worked:
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _run_pinned(self, name: str, chance: random.Random) -> None:
        number = int(name.rsplit("-", 1)[1])
        with Calls(self.cluster.pd_address) as calls:
            client = _PlainClient(calls, self.cluster, self.history, name, pinned_to=number)
            for _ in self._rolls(chance):
                if not client.get(self._register(chance)):
                    self._stop.wait(PAUSE_AFTER_ERROR_S)

    def _rolls(self, chance: random.Random) -> Iterator[float]:
        while not self._stop.is_set():
            yield chance.random()

    def _register(self, chance: random.Random) -> bytes:
        letter, number = chance.choice(REGION_LETTERS), chance.randrange(REGISTERS_PER_REGION)
        return f"{letter}-{number}-{self.generation}".encode()

    def _new_value(self) -> bytes:
        return b"%d " % next(self._values) + bytes(self.padding_bytes)


class _PlainClient:
    """Each operation is one call, never repeated; True if it was answered.

    ``pinned_to``: asks this store only, as a replica.
    """

    def __init__(self, calls: Calls, cluster: Cluster, history: History, name: str, pinned_to: int = 0) -> None:
        self._calls = calls
        self._cluster = cluster
        self._history = history
        self._name = name
        self._pinned_to = pinned_to
        self._regions: list[RegionView] = []
        self._leaders: dict[int, int] = {}
        """Store ids by region, as other stores told."""

    def get(self, key: bytes) -> bool:
        """Read."""
        call = self._history.begin(Kind.READ, key, self._name)
        answer = self._ask(call, "RawGet")
        if answer is not None:
            self._history.done(call, None if answer.not_found else answer.value)
        return answer is not None

    def put(self, key: bytes, value: bytes) -> bool:
        """Write."""
        call = self._history.begin(Kind.WRITE, key, self._name, value)
        return self._write(call, "RawPut", value=value)

    def delete(self, key: bytes) -> bool:
        """Remove."""
        return self._write(self._history.begin(Kind.WRITE, key, self._name), "RawDelete")

    def swap(self, key: bytes, known: dict[bytes, bytes | None], value: bytes) -> bool:
        """Compare-and-swap from the value that ``known`` has of the key, and note there what the key holds now."""
        expected = known.get(key)
        call = self._history.begin(Kind.SWAP, key, self._name, value, expected)
        fields = {"value": value, "previous_value": expected or b"", "previous_not_exist": expected is None}
        answer = self._ask(call, "RawCompareAndSwap", **fields)
        if answer is None:
            return False
        if answer.succeed:
            self._history.done(call)
            known[key] = value
        else:
            found = None if answer.previous_not_exist else answer.previous_value
            self._history.found_other(call, found)
            known[key] = found
        return True

    def _write(self, call: Call, name: str, **fields: Any) -> bool:
        answer = self._ask(call, name, **fields)
        if answer is not None:
            self._history.done(call)
        return answer is not None

    def _ask(self, call: Call, name: str, **fields: Any) -> Any:
        """The answer; None if there was none or a refusal, with which the call is marked."""
        region = self._region(call.key)
        if region is None:
            self._history.refused(call)
            return None
        store_id = self._store_id(region)
        try:
            context = context_for(region, store_id, replica_read=bool(self._pinned_to))
        except StopIteration:
            self._regions, self._leaders = [], {}
            self._history.refused(call)
            return None
        address = next(store.ports.address for store in self._cluster.stores if store.store_id == context.peer.store_id)
        try:
            answer = self._calls.store(address, name, CALL_DEADLINE_S, context=context, key=call.key, **fields)
        except grpc.RpcError:
            self._regions, self._leaders = [], {}
            return None
        if answer.HasField("region_error"):
            self._learn(call, region, answer.region_error)
            return None
        return answer if not answer.error else None

    def _region(self, key: bytes) -> RegionView | None:
        if not self._regions:
            try:
                self._regions = self._calls.regions()
            except ProbeFailed:
                return None
        return next((region for region in self._regions if region.contains(key)), None)

    def _store_id(self, region: RegionView) -> int:
        if self._pinned_to:
            return self._cluster.store(self._pinned_to).store_id
        return self._leaders.get(region.id, 0) or region.leader_store_id or region.meta.peers[0].store_id

    def _learn(self, call: Call, region: RegionView, error: errorpb_pb2.Error) -> None:
        if not error.HasField("undetermined_result"):
            self._history.refused(call)
        self._regions, self._leaders = [], {}
        if error.not_leader.leader.store_id:
            self._leaders[region.id] = error.not_leader.leader.store_id
