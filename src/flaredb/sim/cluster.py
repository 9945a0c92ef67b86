"""A whole cluster: stores, PD, clients, and what joins them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

from flaredb.model.commands import Request
from flaredb.model.ids import StoreId
from flaredb.sim.admin import Admin
from flaredb.sim.client import NO_ANSWER, NOT_TAKEN
from flaredb.sim.drift import Drift
from flaredb.sim.history import History
from flaredb.sim.invariants import Invariants
from flaredb.sim.mover import Mover
from flaredb.sim.network import Network
from flaredb.sim.options import SimOptions
from flaredb.sim.pd_node import PdNode
from flaredb.sim.snapshots import SnapshotCarrier
from flaredb.sim.store_node import StoreNode, summary
from flaredb.sim.workload import ClientKind, SimClient, cold_key, key
from flaredb.sim.world import MS, Violation, World
from flaredb.store.messages import (
    Fatal,
    RaftEnvelope,
    RaftReceived,
    RequestsReceived,
    StoreReached,
    StoreUnreached,
)
from flaredb.store.store import Store
from flaredb.wire.frames import decode_envelopes, encode_envelopes

UNREACHED_INTERVAL_US = 100 * MS
EXIT_ENGINE_FAILED = 74


class SimCluster:
    """Owns every part of a run. Invariant: whatever crosses the network is bytes, or is never changed again."""

    def __init__(self, world: World, options: SimOptions) -> None:
        self.world = world
        self.options = options
        self._rng = world.rng("cluster")
        self.network = Network(world, options.weather)
        self.invariants = Invariants(world, options.check_every)
        self.history = History(world)
        self.drift = Drift(self)
        self.pd = PdNode(self)
        self.snapshots = SnapshotCarrier(self)
        self.mover = Mover(self)
        self.admin = Admin(self)
        self.stores = [StoreNode(self, number) for number in range(1, options.stores + 1)]
        self.clients: list[SimClient] = []
        workload = options.workload
        self.keys = sorted(
            {key(number, workload.hot_keys) for number in range(workload.hot_keys)}
            | {cold_key(number, workload.cold_keys) for number in range(workload.cold_keys)}
        )
        """Every key that clients write while faults go on, ascending."""
        self._stores_ever = options.stores
        self._by_store_id: dict[StoreId, StoreNode] = {}
        self._open_calls: dict[StoreNode, dict[Any, Request]] = {}
        self._unreached_us: dict[tuple[str, str], int] = {}
        self.is_healing = False
        """True once faults are over: what dies starts again at once."""

    # ------------------------------------------------ start

    def start(self) -> None:
        """Every process starts."""
        self.pd.start()
        for node in self.stores:
            node.start()

    def find(self, store_id: StoreId) -> StoreNode | None:
        """The node of a store that has been opened once."""
        return self._by_store_id.get(store_id)

    def add_store(self) -> None:
        """One more store joins, without regions."""
        self._stores_ever += 1
        node = StoreNode(self, self._stores_ever)
        self.stores.append(node)
        node.start()

    def retire(self, node: StoreNode) -> None:
        """PD has buried the store: its process ends and its disk is thrown away."""
        if node in self.stores:
            self.stores.remove(node)
            node.die("all", "retired")

    def is_formed(self) -> bool:
        """Every store has its first regions, and every region a leader."""
        stores = [node.store for node in self.stores]
        return all(
            store is not None and store.is_started and all(peer.node.raft.leader_id for peer in store.peers.values())
            for store in stores
        )

    def add_clients(self) -> None:
        """The writers, and readers that know one store only: every second one takes only answers of leaders."""
        workload = self.options.workload
        self.clients += [SimClient(self, f"c{number}") for number in range(workload.writers)]
        self.clients += [SimClient(self, f"o{number}", ClientKind.ONCE) for number in range(workload.once)]
        for node in self.stores:
            for number in range(workload.pinned):
                name = f"r{node.name[1:]}{'abcdefgh'[number]}"
                reader = SimClient(self, name, ClientKind.PINNED, node.store_id, replica_read=number % 2 == 0)
                self.clients.append(reader)
        for client in self.clients:
            client.start()

    def make_store(self, node: StoreNode) -> Store:
        """The core of a process that starts."""
        rng = self.world.rng(f"{node.name}/core/{node.life}")
        store = Store(self.options.store, node.store_id, node.disk.engine, rng, node.clock.now_ms(), node.files)
        node.files.sweep(store.snapshot_names)
        return store

    def heal(self) -> None:
        """Clients stop asking, and what is down comes back soon."""
        self.is_healing = True
        for node in self.stores:
            node.disk.mend()  # that of a store which joined since faults ended, too
        self.admin.settle()
        for client in self.clients:
            client.stop()

    # ------------------------------------------------ what nodes tell

    def on_store_opened(self, node: StoreNode) -> None:
        """A store has loaded its core."""
        self._by_store_id[node.store_id] = node
        assert node.store is not None
        self.invariants.after_start(node, node.store)

    def on_fatal(self, node: StoreNode, effect: Fatal) -> None:
        """A store stops itself: right after a failed disk, a violation otherwise."""
        if effect.exit_status != EXIT_ENGINE_FAILED:
            raise Violation(f"{node.name} stops: {effect.reason}")
        node.die("prefix", effect.reason)

    def on_death(self, node: StoreNode) -> None:
        """Connections break; the process starts again after a while."""
        self.invariants.after_death(node)
        for answer in self._open_calls.pop(node, {}):
            answer(NO_ANSWER)

        def restart() -> None:
            if not node.is_up and node in self.stores:
                node.start()

        self.world.after(self._downtime_us(), restart)

    def on_pd_death(self, why: str) -> None:
        """PD starts again after a while."""
        del why
        self.invariants.after_pd_death()

        def restart() -> None:
            if not self.pd.is_up:
                self.pd.start()

        self.world.after(self._downtime_us(), restart)

    def _downtime_us(self) -> int:
        return 100 * MS if self.is_healing else self._rng.randrange(1, self.options.faults.restart_ms_max) * MS

    # ------------------------------------------------ between stores

    def send_raft(self, source: StoreNode, to_store: StoreId, envelopes: list[RaftEnvelope]) -> None:
        """One frame, encoded here and decoded where it arrives."""
        target = self._by_store_id.get(to_store)
        if target is None:
            return
        frame = encode_envelopes(envelopes)
        world = self.world
        world.trace(source.name, "send", f"{target.name} {len(frame)} {crc32(frame):08x}")
        if world.is_traced:
            world.explain(source.name, "raft", f"-> {target.name}: {summary(envelopes)}")

        def arrive() -> None:
            if target.store is None:
                self._unreached(source, target)
                return
            self._reached(source, target)
            target.submit(RaftReceived(decode_envelopes(frame)))

        if not self.network.send_raft(source.name, target.name, arrive):
            self._unreached(source, target)

    def _unreached(self, source: StoreNode, target: StoreNode) -> None:
        """A connection is broken; told not too often."""
        link = (source.name, target.name)
        if self.world.now_us - self._unreached_us.get(link, -UNREACHED_INTERVAL_US) >= UNREACHED_INTERVAL_US:
            self._unreached_us[link] = self.world.now_us
            source.submit(StoreUnreached(target.store_id))

    def _reached(self, source: StoreNode, target: StoreNode) -> None:
        if self._unreached_us.pop((source.name, target.name), None) is not None:
            source.submit(StoreReached(target.store_id))

    # ------------------------------------------------ clients

    def call_store(self, client: str, request: Request, done: Callable[[Any], None], timeout_ms: int) -> None:
        """Send a request to the store it names; ``done`` gets the result, a RegionError, NO_ANSWER or NOT_TAKEN."""
        node = self._by_store_id.get(request.store_id)
        is_done = False

        def finish(result: Any) -> None:
            nonlocal is_done
            if not is_done:
                is_done = True
                if node is not None:
                    self._open_calls.get(node, {}).pop(answer, None)
                done(result)

        def answer(result: Any) -> None:
            assert node is not None
            self.network.send_call(node.name, client, lambda: finish(result))

        def arrive() -> None:
            assert node is not None
            if node.store is None:
                answer(NOT_TAKEN)
                return
            self._open_calls.setdefault(node, {})[answer] = request
            request.token = answer
            node.submit(RequestsReceived([request]))

        self.world.after(timeout_ms * MS, lambda: finish(NO_ANSWER))
        if node is None:
            self.world.after(0, lambda: finish(NOT_TAKEN))
        else:
            self.network.send_call(client, node.name, arrive)

    def deliver_answers(self, node: StoreNode, answers: list[tuple[Any, Any]]) -> None:
        """Answers of one step go back to who asked."""
        calls = self._open_calls.get(node, {})
        for token, result in answers:
            request = calls.pop(token, None)
            if request is not None:
                self.invariants.after_answer(node, request, result)
                token(result)
