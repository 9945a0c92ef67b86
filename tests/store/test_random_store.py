"""Three stores under random faults, from one seed: loss, delay and repetition of messages, slow syncs, crashes that
lose the unsynced tail, cut-off stores, stores that stand still, clocks that drift. One writer a key writes rising
numbers, so linearizability is easy to see:

- a read returns at least what was acknowledged, or read, before it began, and never what was not yet asked for;
- a write answered as overtaken (StaleCommand) is never seen;
- after the faults all replicas agree, and every acknowledged write is there.

Now and then nobody asks for anything for a while, and regions fall asleep.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from flaredb.model.commands import Get
from flaredb.model.errors import RegionError, StaleCommand
from flaredb.model.ids import StoreId
from flaredb.model.limits import CLOCK_RATE_PERCENT
from flaredb.model.region import Region
from flaredb.store.config import StoreConfig
from flaredb.store.messages import Effect, RaftEnvelope, RaftReceived, SendRaft, Sync, SyncDone
from tests.store.harness import Cluster, Node, put, region

REGIONS = (region(1, b"", b"m"), region(2, b"m", b"", stores=(2, 3, 1)))
OWNERS = {b"a": REGIONS[0], b"b": REGIONS[0], b"z": REGIONS[1]}
ROUNDS = 600


@dataclass
class Register:
    """What is known of one key. Invariant: floor <= every value that a read beginning now may return <= asked."""

    floor: int = 0
    asked: int = 0
    never: set[int] = field(default_factory=set)
    writing: tuple[Node, Any, int, int] | None = None
    """The writer's call: node, token, value, when it gives up."""


class FaultyCluster(Cluster):
    """A cluster whose network and disks obey a random generator."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        config = StoreConfig(
            tick_ms=20,
            election_ticks=self.rng.choice((5, 10)),
            election_ticks_max=self.rng.choice((12, 20)),
            log_gc_threshold=self.rng.choice((5, 50)),
            log_gc_interval_ms=100,
            hold_ms=200,
            read_timeout_ms=400,
            write_timeout_ms=1_000,
            batch_entry_size_bytes=self.rng.choice((40, 1 << 20)),
            hibernate_regions=seed % 8 != 0,
            idle_elections=self.rng.choice((0, 1, 3)),
            lease_reads=self.rng.random() < 0.8,
            gather_crowd=(1, 16)[seed % 2],
            gather_ms=(5, 100)[seed // 2 % 2],
            **self.settings(),
        )
        self.calm_chance = self.rng.choice((0.0, 0.01, 0.03))
        self.calm_rounds = 0
        self.loss = self.rng.choice((0.0, 0.02, 0.15))
        self.slow_sync = self.rng.choice((0.0, 0.3, 0.8))
        self.crash_chance = self.rng.choice((0.0, 0.005, 0.02))
        self.drift = self.rng.choice((0.0, CLOCK_RATE_PERCENT / 100))
        self.clocks: dict[StoreId, tuple[int, float, float]] = {}
        """By store: (when its rate last changed, what it showed then, its rate)."""
        self.pause_chance = self.rng.choice((0.0, 0.01, 0.03))
        self.paused_until: dict[StoreId, int] = {}
        self.reads_by_lease = 0
        """Of stores that have crashed since."""
        self.cut: set[int] = set()
        self.later: list[tuple[int, Any]] = []
        """(when, what to do) for delayed messages and syncs."""
        self.build(seed, config)

    def build(self, seed: int, config: StoreConfig) -> None:
        """Make the stores; others have other regions."""
        super().__init__(REGIONS, config=config, seed=seed)

    def settings(self) -> dict[str, Any]:
        """Further settings of the stores, drawn after the common ones."""
        return {}

    def time_of(self, node: Node) -> int:
        """Each store's clock has a rate of its own."""
        when, shown, rate = self.clocks.get(node.id, (0, 0.0, 1.0))
        return int(shown + (self.now_ms - when) * rate)

    def runs(self, node: Node) -> bool:
        return super().runs(node) and self.paused_until.get(node.id, 0) <= self.now_ms

    def _perform(self, node: Node, effect: Effect) -> None:
        if isinstance(effect, SendRaft):
            for envelope in effect.envelopes:
                self._send(envelope)
        elif isinstance(effect, Sync) and self.rng.random() < self.slow_sync:
            until = node.engine.last_sequence
            self._later(self.rng.randint(1, 60), lambda: self._finish_sync(node, effect.sequence, until))
        else:
            super()._perform(node, effect)

    def _finish_sync(self, node: Node, sequence: int, until: int) -> None:
        if node.alive:
            node.engine.sync_through(until)
            node.inbox.append(SyncDone(sequence))

    def _send(self, envelope: RaftEnvelope) -> None:
        if {envelope.from_store, envelope.to_store} & self.cut or self.rng.random() < self.loss:
            return
        for _ in range(2 if self.rng.random() < self.loss / 4 else 1):
            self._later(self.rng.choice((0, 0, 0, 5, 40)), lambda: self._deliver(envelope))

    def _deliver(self, envelope: RaftEnvelope) -> None:
        node = self.nodes[envelope.to_store]
        if node.alive:
            node.inbox.append(RaftReceived([envelope]))

    def _later(self, delay_ms: int, action: Any) -> None:
        self.later.append((self.now_ms + delay_ms, action))

    def round(self, advance_ms: int = 5) -> None:
        due = [action for when, action in self.later if when <= self.now_ms]
        self.later = [item for item in self.later if item[0] > self.now_ms]
        for action in due:
            action()
        super().round(advance_ms)
        self.sent.clear()
        self.check_leases()

    def check_leases(self) -> None:
        """No lease is valid once another replica leads in a later term."""
        leaders = [
            (peer.term, node, peer)
            for node in self.nodes.values()
            if self.runs(node)
            for peer in node.store.peers.values()
            if peer.is_leader
        ]
        newest: dict[int, int] = {}
        for term, _, peer in leaders:
            newest[peer.region.id] = max(newest.get(peer.region.id, 0), term)
        for term, node, peer in leaders:
            is_newest = term == newest[peer.region.id]
            assert is_newest or not peer.node.raft.in_lease(), f"store {node.id} reads by a lease of term {term}"

    def disturb(self) -> None:
        """Maybe crash or restart a store, cut one off or join it, let one stand still, or change a clock's rate."""
        for store_id in sorted(self.nodes):
            node = self.nodes[store_id]
            if not node.alive and self.rng.random() < 0.05:
                self.restart(store_id)
            elif node.alive and self.rng.random() < self.crash_chance:
                self.crash(store_id, self.rng.choice(("synced", "prefix")))
        if self.rng.random() < self.pause_chance:
            self.paused_until[self.rng.choice(sorted(self.nodes))] = self.now_ms + self.rng.randint(20, 400)
        if self.rng.random() < 0.05:
            store_id = self.rng.choice(sorted(self.nodes))
            shown = float(self.time_of(self.nodes[store_id]))
            self.clocks[store_id] = (self.now_ms, shown, 1 + (2 * self.rng.random() - 1) * self.drift)
        if self.rng.random() < 0.01:
            self.cut = {self.rng.choice(sorted(self.nodes))} if not self.cut else set()

    def is_calm(self) -> bool:
        """True while nobody asks for anything."""
        if self.calm_rounds:
            self.calm_rounds -= 1
        elif self.rng.random() < self.calm_chance:
            self.calm_rounds = self.rng.choice((20, 100))
        return self.calm_rounds > 0

    def sleepers(self) -> int:
        """Replicas that sleep now."""
        return sum(len(node.store.peers) - len(node.store.awake) for node in self.live())

    def crash(self, store_id: int, keep: str = "synced") -> None:
        self.reads_by_lease += self.nodes[StoreId(store_id)].store.read_counts.by_lease
        super().crash(store_id, keep)

    def count_reads_by_lease(self) -> int:
        """Of all stores and their earlier lives. Pre: all run."""
        return self.reads_by_lease + sum(node.store.read_counts.by_lease for node in self.nodes.values())

    def heal(self) -> None:
        """No more faults; every store runs."""
        self.cut, self.loss, self.slow_sync, self.crash_chance = set(), 0.0, 0.0, 0.0
        self.paused_until.clear()
        for store_id in sorted(self.nodes):
            if not self.nodes[store_id].alive:
                self.restart(store_id)


class Workload:
    """One writer and some readers a key; checks every answer as it comes."""

    def __init__(self, cluster: FaultyCluster, keys: Iterable[bytes] = tuple(OWNERS)) -> None:
        self.cluster = cluster
        self.registers = {key: Register() for key in keys}
        self.reads: list[tuple[Node, Any, bytes, int]] = []
        """node, token, key, floor when it began."""
        self.outcomes: Counter[str] = Counter()

    def step(self) -> None:
        """Look at answers, then maybe ask more."""
        for key, register in self.registers.items():
            self._write(key, register)
        self._check_reads()
        if self.cluster.rng.random() < 0.5:
            self._read(self.cluster.rng.choice(list(self.registers)))

    def owner(self, key: bytes) -> Region:
        """The region that holds a key."""
        return OWNERS[key]

    def _write(self, key: bytes, register: Register) -> None:
        if register.writing is not None:
            node, token, value, gives_up_ms = register.writing
            if token in node.answers:
                self._written(register, node.answers[token], value)
            elif node.alive and self.cluster.now_ms < gives_up_ms:
                return
            register.writing = None
        register.asked += 1
        owner = self.owner(key)
        node = self._node(owner)
        token = self.cluster.send(node, owner, put(key, b"%d" % register.asked))
        register.writing = (node, token, register.asked, self.cluster.now_ms + 1_500)

    def _written(self, register: Register, answer: Any, value: int) -> None:
        self.outcomes["write: " + ("done" if answer is None else type(answer).__name__)] += 1
        if answer is None:
            register.floor = max(register.floor, value)
        elif isinstance(answer, StaleCommand):
            register.never.add(value)

    def _node(self, owner: Region) -> Node:
        leader = self.cluster.leader_of(owner.id)
        if leader is not None and self.cluster.rng.random() < 0.8:
            return leader
        return self.cluster.nodes[self.cluster.rng.choice(owner.peers).store_id]

    def _read(self, key: bytes) -> None:
        owner = self.owner(key)
        node = self._node(owner)
        replica_read = self.cluster.rng.random() < 0.5
        token = self.cluster.send(node, owner, Get(0, key), replica_read=replica_read)
        self.reads.append((node, token, key, self.registers[key].floor))

    def _check_reads(self) -> None:
        waiting = []
        for read in self.reads:
            node, token, key, floor = read
            if token not in node.answers:
                if node.alive:
                    waiting.append(read)
                continue
            answer = node.answers[token]
            if isinstance(answer, RegionError):
                self.outcomes["read: " + type(answer).__name__] += 1
                continue
            self.outcomes["read: done"] += 1
            self.see(key, answer, floor)
        self.reads = waiting

    def see(self, key: bytes, answer: bytes | None, floor: int) -> None:
        """A read that began when ``floor`` was the least allowed has returned this."""
        register = self.registers[key]
        value = int(answer or 0)
        assert floor <= value <= register.asked, f"read {value} of {key!r}, allowed {floor} to {register.asked}"
        assert value not in register.never, f"{value} of {key!r} was answered as overtaken, and is there"
        register.floor = max(register.floor, value)


def run(seed: int) -> Counter[str]:
    """One run; an AssertionError names what broke. Reproduce it by ``run(seed)``."""
    cluster = FaultyCluster(seed)
    workload = Workload(cluster)
    for _ in range(ROUNDS):
        cluster.disturb()
        cluster.round(cluster.rng.choice((1, 5, 10)))
        if not cluster.is_calm():
            workload.step()
        workload.outcomes["asleep"] += cluster.sleepers()
    cluster.heal()
    for owner in REGIONS:
        cluster.await_leader(owner.id)
    for key, owner in OWNERS.items():
        floor = workload.registers[key].floor
        workload.see(key, insist(lambda: cluster.get(owner, key)), floor)  # noqa: B023 - called at once
        last = b"%d" % (workload.registers[key].asked + 1)
        assert insist(lambda: cluster.put(owner, key, last)) is None  # noqa: B023
    cluster.run_until(lambda: replicas_agree(cluster))
    workload.outcomes["read by lease"] += cluster.count_reads_by_lease()
    return workload.outcomes


def insist(call: Callable[[], Any]) -> Any:
    """The call's answer, asked again while leadership still moves; a healed cluster must answer soon."""
    for _ in range(20):
        answer = call()
        if not isinstance(answer, RegionError):
            return answer
    raise AssertionError(f"no answer after healing: {answer}")


def replicas_agree(cluster: Cluster) -> bool:
    """True when every replica has applied the same and holds the same."""
    nodes = list(cluster.nodes.values())
    applied = [{r: peer.applied_index for r, peer in node.store.peers.items()} for node in nodes]
    if any(state != applied[0] for state in applied):
        return False
    contents = [list(node.engine.scan("default", b"", None)) for node in nodes]
    assert all(content == contents[0] for content in contents), "replicas at the same index differ"
    return True


def run_seeds(run_one: Callable[[int], Counter[str]], seeds: Iterable[int]) -> Counter[str]:
    """What all runs did; an AssertionError names the seed that broke something."""
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        try:
            outcomes += run_one(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    return outcomes


def run_for_long(run_one: Callable[[int], Counter[str]]) -> int:
    """Fresh seeds for FLAREDB_SOAK_SECONDS (60); how many."""
    end = time.monotonic() + float(os.environ.get("FLAREDB_SOAK_SECONDS", "60"))
    seeds = itertools.takewhile(lambda _: time.monotonic() < end, itertools.count(1_000_000))
    count = 0
    for seed in seeds:
        run_seeds(run_one, [seed])
        count += 1
    return count


@pytest.mark.parametrize("first", range(0, 120, 15))
def test_random_faults(first: int) -> None:
    outcomes = run_seeds(run, range(first, first + 15))
    assert outcomes["write: done"] > 300, outcomes
    assert outcomes["read: done"] > 300, outcomes
    assert outcomes["asleep"] > 50, outcomes
    assert outcomes["read by lease"] > 100, outcomes


@pytest.mark.soak
def test_random_faults_for_long() -> None:
    print(f"{run_for_long(run)} seeds of three stores under random faults, no violation")
