"""Three stores in one process and one thread: the real cores on in-memory engines, joined by a network in a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from flaredb.engine.memory import MemoryEngine
from flaredb.model.cluster import SplitIds
from flaredb.model.commands import PUT, Command, Get, Request, Scan, Split, Write
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange, RegionOrder, SplitOrder, TransferLeader
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.store.config import StoreConfig
from flaredb.store.invariants import check_store
from flaredb.store.messages import (
    AskSplit,
    CheckRegion,
    Effect,
    Fatal,
    Input,
    Note,
    OrderReceived,
    RaftEnvelope,
    RaftReceived,
    RegionChecked,
    RegionsListed,
    Reply,
    ReportRegion,
    ReportSplit,
    RequestsReceived,
    SendRaft,
    SendSnapshot,
    SnapshotReceived,
    SnapshotSent,
    SplitIdsGranted,
    Sync,
    SyncDone,
)
from flaredb.store.store import Store
from flaredb.wire.snapshots import decode_chunk, encode_chunk
from tests.store.snapshot_files import MemorySnapshotFiles

TICK_MS = 50
CONFIG = StoreConfig(
    tick_ms=TICK_MS, election_ticks=10, election_ticks_max=16, log_gc_threshold=20, log_gc_interval_ms=200
)


def region(
    region_id: int, start: bytes = b"", end: bytes = b"", stores: Iterable[int] = (1, 2, 3), epoch: Any = INITIAL_EPOCH
) -> Region:
    """A region whose peer on store s has the id region_id * 10 + s."""
    peers = tuple(Peer(PeerId(region_id * 10 + store), StoreId(store)) for store in stores)
    return Region(RegionId(region_id), start, end, epoch, peers)


def put(key: bytes, value: bytes, cf: int = 0) -> Write:
    return Write([(PUT, cf, key, value)], len(key) + len(value))


ROWS_PER_CHUNK = 3


def cut_chunks(effect: SendSnapshot) -> list[bytes]:
    """All chunks of a snapshot, each as several, so that one of few rows takes several slices too."""
    cut = []
    for chunk in effect.source.chunks():
        cf, rows = decode_chunk(chunk)
        cut += [encode_chunk(cf, rows[at : at + ROWS_PER_CHUNK]) for at in range(0, len(rows), ROWS_PER_CHUNK)]
    effect.source.close()
    return cut


class Node:
    """One store, its engine and what it has asked for."""

    def __init__(
        self,
        store_id: int,
        config: StoreConfig,
        engine: MemoryEngine,
        seed: int,
        now_ms: int,
        files: MemorySnapshotFiles | None = None,
    ) -> None:
        self.id = StoreId(store_id)
        self.config = config
        self.engine = engine
        self.files = files or MemorySnapshotFiles()
        self.store = Store(config, self.id, engine, Random(seed), now_ms, self.files)
        self.inbox: list[Input] = []
        self.answers: dict[Any, Any] = {}
        self.reports: list[ReportRegion] = []
        self.split_reports: list[ReportSplit] = []
        self.notes: list[Note] = []
        self.checked: list[RegionId] = []
        """Regions that PD was asked about."""
        self.alive = True
        self.sync_at_once = True


class Cluster:
    """Steps every live store in turn; messages arrive in the next round. ``drop`` decides what the network loses."""

    def __init__(self, regions: Iterable[Region], stores: int = 3, config: StoreConfig = CONFIG, seed: int = 1) -> None:
        self.now_ms = 1000
        self.seed = seed
        self.config = config
        self.regions = tuple(regions)
        self.nodes = {
            StoreId(s): Node(s, config, MemoryEngine(), seed * 100 + s, self.now_ms) for s in range(1, stores + 1)
        }
        self.drop: Callable[[RaftEnvelope], bool] = lambda envelope: False
        self.sent: list[RaftEnvelope] = []
        self._tokens = 0
        self.grants_ids = True
        """False: PD does not answer AskSplit; the test does."""
        self.last_region_id = 100
        self.snapshots_sent = 0
        for node in self.nodes.values():
            node.inbox.append(RegionsListed(self.regions))

    def time_of(self, node: Node) -> int:
        """What a store's clock shows; others have clocks that drift."""
        return self.now_ms

    def runs(self, node: Node) -> bool:
        """False for a store that is down, or stands still."""
        return node.alive

    def step_free(self, node: Node, inputs: list[Input]) -> None:
        """One step whose invariants are not checked: the test has bent the store's state."""
        for effect in node.store.step(self.time_of(node), inputs):
            self._perform(node, effect)

    def step_node(self, node: Node, inputs: list[Input]) -> list[Effect]:
        effects = node.store.step(self.time_of(node), inputs)
        check_store(node.store)
        for effect in effects:
            self._perform(node, effect)
        return effects

    def _perform(self, node: Node, effect: Effect) -> None:
        if isinstance(effect, SendRaft):
            for envelope in effect.envelopes:
                self.sent.append(envelope)
                receiver = self.nodes[effect.to_store]
                if receiver.alive and not self.drop(envelope):
                    receiver.inbox.append(RaftReceived([envelope]))
        elif isinstance(effect, Sync):
            if node.sync_at_once:
                node.engine.sync()
                node.inbox.append(SyncDone(effect.sequence))
        elif isinstance(effect, Reply):
            for token, result in effect.answers:
                assert token not in node.answers, f"request {token} answered twice"
                node.answers[token] = result
        elif isinstance(effect, ReportRegion):
            node.reports.append(effect)
        elif isinstance(effect, ReportSplit):
            node.split_reports.append(effect)
        elif isinstance(effect, AskSplit):
            if self.grants_ids:
                node.inbox.append(self.grant(effect))
        elif isinstance(effect, SendSnapshot):
            self.snapshots_sent += 1
            self.carry(node, effect)
        elif isinstance(effect, CheckRegion):
            node.checked.append(effect.region_id)
            node.inbox.append(RegionChecked(effect.region_id, self.newest(effect.region_id)))
        elif isinstance(effect, Note):
            node.notes.append(effect)
        elif isinstance(effect, Fatal):
            raise AssertionError(effect.reason)

    def carry(self, node: Node, effect: SendSnapshot) -> None:
        """Bring a snapshot to its receiver whole, or tell the sender that it could not be."""
        envelope = effect.envelope
        receiver = self.nodes[effect.to_store]
        chunks = cut_chunks(effect)
        arrives = receiver.alive and not self.drop(envelope) and receiver.store.snapshot_refusal(envelope) is None
        if arrives:
            receiver.inbox.append(SnapshotReceived(envelope, receiver.files.save(chunks)))
        node.inbox.append(SnapshotSent(envelope.region_id, envelope.to_peer, arrives))

    def newest(self, region_id: int) -> Region | None:
        """The region as its furthest replica has it: what PD would know."""
        known = [node.store.peers[RegionId(region_id)].region for node in self.live() if region_id in node.store.peers]
        known = [found for found in known if found.peers]
        return max(known, key=lambda found: (found.epoch.conf_ver, found.epoch.version), default=None)

    def live(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.alive]

    def grant(self, asked: AskSplit) -> SplitIdsGranted:
        """What PD answers: new region ids, and peer ids made as ``region`` makes them."""
        ids = []
        for _ in range(asked.count):
            self.last_region_id += 1
            new_id = self.last_region_id
            ids.append(
                SplitIds(RegionId(new_id), tuple(PeerId(new_id * 10 + peer.store_id) for peer in asked.region.peers))
            )
        return SplitIdsGranted(asked.region.id, asked.region.epoch.version, tuple(ids))

    def round(self, advance_ms: int = 5) -> None:
        self.now_ms += advance_ms
        for node in self.nodes.values():
            if self.runs(node):
                inputs, node.inbox = node.inbox, []
                self.step_node(node, inputs)

    def run_until(self, condition: Callable[[], Any], limit_ms: int = 10_000) -> Any:
        """Rounds until the condition gives something true; AssertionError after ``limit_ms`` of virtual time."""
        deadline_ms = self.now_ms + limit_ms
        while True:
            result = condition()
            if result:
                return result
            assert self.now_ms < deadline_ms, "the condition did not come true in time"
            self.round()

    def run_for(self, duration_ms: int) -> None:
        end_ms = self.now_ms + duration_ms
        while self.now_ms < end_ms:
            self.round()

    def leader_of(self, region_id: int) -> Node | None:
        """The node whose peer leads at the highest term and has committed in it."""
        leaders = [
            node
            for node in self.nodes.values()
            if node.alive and (peer := node.store.peers.get(RegionId(region_id))) and peer.is_leader
        ]
        leaders.sort(key=lambda node: node.store.peers[RegionId(region_id)].term)
        if leaders and leaders[-1].store.peers[RegionId(region_id)].node.raft.commit_to_current_term():
            return leaders[-1]
        return None

    def await_leader(self, region_id: int) -> Node:
        return self.run_until(lambda: self.leader_of(region_id))

    def request(self, node: Node, region: Region, command: Command, **fields: Any) -> Request:
        self._tokens += 1
        peer = region.peer_on(node.id)
        values: dict[str, Any] = {
            "token": self._tokens,
            "command": command,
            "region_id": region.id,
            "version": region.epoch.version,
            "peer_id": peer.id if peer else 0,
            "store_id": node.id,
        }
        return Request(**{**values, **fields})

    def send(self, node: Node, region: Region, command: Command, **fields: Any) -> Any:
        """Hand a request to a node and return its token."""
        request = self.request(node, region, command, **fields)
        node.inbox.append(RequestsReceived([request]))
        return request.token

    def call(self, node: Node, region: Region, command: Command, **fields: Any) -> Any:
        """Send and wait for the answer."""
        token = self.send(node, region, command, **fields)
        self.run_until(lambda: token in node.answers)
        return node.answers[token]

    def put(self, region: Region, key: bytes, value: bytes) -> Any:
        return self.call(self.await_leader(region.id), region, put(key, value))

    def get(self, region: Region, key: bytes) -> Any:
        return self.call(self.await_leader(region.id), region, Get(0, key))

    def scan(self, region: Region, start: bytes = b"", end: bytes = b"", limit: int = 100, **options: Any) -> Any:
        return self.call(self.await_leader(region.id), region, Scan(0, start, end, limit, **options))

    def split(self, region: Region, *keys: bytes) -> Any:
        """Split a region where it is led and wait for the answer: the results, or a RegionError."""
        return self.call(self.await_leader(region.id), region, Split(keys, region.epoch.conf_ver))

    def order(self, region_id: int, step: ChangePeers | TransferLeader | SplitOrder) -> Node:
        """Hand PD's order to the leader of a region; the node that leads."""
        node = self.await_leader(region_id)
        peer = node.store.peers[RegionId(region_id)]
        node.inbox.append(OrderReceived(RegionOrder(peer.region.id, peer.region.epoch, peer.meta, step)))
        return node

    def change(self, region_id: int, *changes: tuple[ChangeKind, Peer]) -> Region:
        """Change a region's members by PD's order and wait until the leader has applied it: the region then."""
        before = self.await_leader(region_id).store.peers[RegionId(region_id)].region
        self.order(region_id, ChangePeers(tuple(PeerChange(kind, peer) for kind, peer in changes)))

        def changed() -> Region | None:
            leader = self.leader_of(region_id)
            now = leader.store.peers[RegionId(region_id)].region if leader else before
            return now if now.epoch.conf_ver > before.epoch.conf_ver else None

        return self.run_until(changed)

    def await_caught_up(self, region_id: int, peer: Peer) -> None:
        """Wait until a replica holds what its leader has applied."""

        def caught_up() -> bool:
            leader, node = self.leader_of(region_id), self.nodes[peer.store_id]
            here = node.store.peers.get(RegionId(region_id)) if node.alive else None
            if leader is None or here is None or here.meta.id != peer.id or here.fill is not None:
                return False
            return here.applied_index >= leader.store.peers[RegionId(region_id)].applied_index

        self.run_until(caught_up)

    def move(self, region_id: int, to: Peer, gone: Peer) -> Region:
        """Move a replica as PD does: learner, catch up, promote, remove. The region afterwards."""
        self.change(region_id, (ChangeKind.ADD_LEARNER_NODE, to))
        self.await_caught_up(region_id, to)
        self.change(region_id, (ChangeKind.ADD_NODE, to))
        return self.change(region_id, (ChangeKind.REMOVE_NODE, gone))

    def rows(self, store_id: int, cf: str = "default") -> list[tuple[bytes, bytes]]:
        """Everything that a store's engine holds of one column family."""
        return list(self.nodes[StoreId(store_id)].engine.scan(cf, b"", None))

    def regions_of(self, store_id: int) -> list[Region]:
        """The regions of one store in key order."""
        return self.nodes[StoreId(store_id)].store.region_map.regions()

    def crash(self, store_id: int, keep: str = "synced") -> None:
        """Stop a store; its engine keeps what was synced (and with 'prefix' a random part of the rest)."""
        node = self.nodes[StoreId(store_id)]
        node.alive = False
        node.inbox.clear()
        node.store.close()
        node.engine = node.engine.crash(Random(self.seed + self.now_ms), keep)

    def restart(self, store_id: int) -> Node:
        old = self.nodes[StoreId(store_id)]
        seed, now_ms = self.seed * 100 + store_id + self.now_ms, self.time_of(old)
        node = Node(store_id, self.config, old.engine, seed, now_ms, old.files)
        self.nodes[StoreId(store_id)] = node
        for name in set(node.files.files) - node.store.snapshot_names:
            node.files.discard(name)
        if not node.store.is_started:
            node.inbox.append(RegionsListed(self.regions))
        return node
