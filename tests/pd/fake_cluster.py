"""Stores and regions that obey PD's orders: a model small enough to be obviously right, driven by virtual time.

It insists on what real groups insist on: orders at the exact epoch, a living quorum of every configuration, no removal
of a leader. An order that breaks that, though PD could have known better, fails the test at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from flaredb.engine.memory import MemoryEngine
from flaredb.model.cluster import DownPeer, RegionHeartbeat, StoreStats
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, RegionOrder, SplitOrder, SplitPolicy, TransferLeader
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.pd.config import PdConfig
from flaredb.pd.core import PdCore
from flaredb.pd.messages import (
    Answer,
    AskBatchSplit,
    Call,
    Called,
    Note,
    PdError,
    PutStore,
    ReportBatchSplit,
    ReportRegion,
    ReportStore,
    SendOrder,
    Sync,
    SyncDone,
)
from flaredb.pd.schedule_config import ScheduleConfig
from tests.pd.helpers import WALL_MS, store

V, L = PeerRole.VOTER, PeerRole.LEARNER
INCOMING, DEMOTING = PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER
MIB = 1024 * 1024
TICK_MS = 100
UNLIMITED = 100_000_000.0


@dataclass(slots=True)
class FakeStore:
    id: int
    labels: tuple[tuple[str, str], ...] = ()
    alive: bool = True
    died_at_ms: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    """Of its heartbeat."""


@dataclass(slots=True)
class FakeRegion:
    region: Region
    leader: Peer
    size_mib: int
    term: int = 6
    catches_up_at: dict[PeerId, int] = field(default_factory=dict)
    """Peers that lag, and until when."""

    fresh_until_ms: int = 0
    """Its leader is new and has not heard of its followers yet: it calls all of them pending."""

    leaderless_since: int | None = None
    must_report: bool = True
    reported_at_ms: int = 0


class FakeCluster:
    """``tick`` moves the time on by 100 ms: orders of the last tick are obeyed, then reported."""

    def __init__(self, schedule: ScheduleConfig | None = None, **config: Any) -> None:
        self.config = PdConfig(schedule=schedule or ScheduleConfig(store_limit=UNLIMITED), **config)
        self.engine = MemoryEngine()
        self.core = PdCore(self.config, self.engine, Random(1))
        self.now_ms = 0
        self.stores: dict[int, FakeStore] = {}
        self.regions: dict[int, FakeRegion] = {}
        self.orders: list[SendOrder] = []
        self.order_log: list[RegionOrder] = []
        self.answers: list[tuple[Any, Any]] = []
        self.notes: list[Note] = []
        self.copy_ms = 300
        """How long a new replica needs to keep up."""

        self.down_after_ms = 5_000
        """After this silence a leader reports a peer as down."""

        self.heartbeat_ms = 10_000
        """How often a region without changes is reported."""

        self.lose_every = 0
        """Lose every n-th order; 0: none."""

    # ------------------------------------------------------------ set-up

    def add_store(self, store_id: int, labels: Iterable[tuple[str, str]] = ()) -> None:
        made = self.stores.setdefault(store_id, FakeStore(store_id, tuple(labels)))
        made.fields.setdefault("capacity_bytes", 1024**4)
        made.fields.setdefault("available_bytes", 1024**4)
        assert self.ask(PutStore(store(store_id, labels=tuple(labels)))) is None
        self.report_store(made)

    def start_regions(self, sizes_mib: list[int]) -> None:
        """Takes over the regions that PD's initial layout made."""
        for record, size_mib in zip(list(self.core.regions), sizes_mib, strict=True):
            region = record.region
            self.regions[region.id] = FakeRegion(region, region.peers[0], size_mib)

    # ------------------------------------------------------------ talking with PD

    def ask(self, call: Call) -> Any:
        """The result of a call that is answered at once."""
        before = len(self.answers)
        self.step(Called("ask", call))
        found = [result for token, result in self.answers[before:] if token == "ask"]
        assert len(found) == 1, f"not answered: {call}"
        return found[0]

    def step(self, *inputs: Any) -> None:
        effects = self.core.step(self.now_ms, WALL_MS + self.now_ms, list(inputs))
        while effects:
            syncs = []
            for effect in effects:
                if isinstance(effect, Sync):
                    syncs.append(SyncDone(effect.sequence))
                elif isinstance(effect, Answer):
                    self.answers.append((effect.token, effect.result))
                elif isinstance(effect, SendOrder):
                    self.orders.append(effect)
                elif isinstance(effect, Note):
                    self.notes.append(effect)
            effects = self.core.step(self.now_ms, WALL_MS + self.now_ms, syncs) if syncs else []

    def restart_pd(self) -> None:
        self.core = PdCore(self.config, self.engine, Random(2))
        self.orders.clear()
        for fake in self.regions.values():
            fake.must_report = True

    # ------------------------------------------------------------ time

    def run(self, ms: int) -> None:
        for _ in range(ms // TICK_MS):
            self.tick()

    def run_until(self, condition: Any, limit_ms: int = 600_000) -> int:
        """Milliseconds it took."""
        start_ms = self.now_ms
        while not condition():
            assert self.now_ms - start_ms < limit_ms, "not reached in time"
            self.tick()
        return self.now_ms - start_ms

    def tick(self) -> None:
        self.now_ms += TICK_MS
        orders, self.orders = self.orders, []
        for sent in orders:
            self.order_log.append(sent.order)
            if self.lose_every and len(self.order_log) % self.lose_every == 0:
                continue
            self._obey(sent)
        for fake in self.stores.values():
            if fake.alive and self.now_ms % 1_000 == 0:
                self.report_store(fake)
        for made in list(self.regions.values()):
            self._elect(made)
            self._catch_up(made)
            due = made.must_report or self.now_ms - made.reported_at_ms >= self.heartbeat_ms
            if due and self.stores[made.leader.store_id].alive:
                self._report(made)
        deadline_ms = self.core.next_deadline_ms()
        if deadline_ms is not None and deadline_ms <= self.now_ms:
            self.step()

    def kill(self, store_id: int) -> None:
        self.stores[store_id].alive = False
        self.stores[store_id].died_at_ms = self.now_ms

    def revive(self, store_id: int) -> None:
        self.stores[store_id].alive = True
        self.report_store(self.stores[store_id])

    # ------------------------------------------------------------ facts

    def peers_on(self, store_id: int) -> list[FakeRegion]:
        return [made for made in self.regions.values() if made.region.peer_on(StoreId(store_id))]

    def sizes(self) -> dict[int, int]:
        return {store_id: sum(made.size_mib for made in self.peers_on(store_id)) for store_id in self.stores}

    def leaders(self) -> dict[int, int]:
        counts = dict.fromkeys(self.stores, 0)
        for made in self.regions.values():
            counts[made.leader.store_id] += 1
        return counts

    def is_quiet(self) -> bool:
        return not len(self.core.scheduling.controller) and not self.orders

    def quiet_for(self, ms: int) -> bool:
        """No order in this time."""
        count = len(self.order_log)
        self.run(ms)
        return len(self.order_log) == count and self.is_quiet()

    # ------------------------------------------------------------ what groups do

    def _alive(self, peer: Peer, made: FakeRegion) -> bool:
        return self.stores[peer.store_id].alive and peer.id not in made.catches_up_at

    def _has_quorum(self, made: FakeRegion, peers: Iterable[Peer]) -> bool:
        peers = tuple(peers)
        old = [peer for peer in peers if peer.role in (V, DEMOTING)]
        new = [peer for peer in peers if peer.role in (V, INCOMING)]
        return all(sum(self._alive(peer, made) for peer in group) * 2 > len(group) for group in (old, new))

    def _could_not_be_known(self, peers: Iterable[Peer]) -> bool:
        """One of them died a moment ago, so that PD could not know."""
        patience_ms = min(self.config.store_disconnected_ms, self.config.schedule.max_store_down_time_ms)
        dead = [fake for fake in (self.stores[peer.store_id] for peer in peers) if not fake.alive]
        return any(self.now_ms - fake.died_at_ms <= patience_ms + 2_000 for fake in dead)

    def _obey(self, sent: SendOrder) -> None:
        order = sent.order
        made = self.regions.get(order.region_id)
        if made is None or made.region.epoch != order.epoch or made.leader.id != order.target.id:
            return
        assert sent.store_id == order.target.store_id
        if not self.stores[sent.store_id].alive or not self._has_quorum(made, made.region.peers):
            return
        match order.step:
            case TransferLeader(peers):
                target = made.region.peer(peers[0].id)
                assert target is not None
                assert target.role in (V, INCOMING)
                if self._alive(target, made):
                    self._lead(made, target)
            case ChangePeers(changes):
                self._change(made, changes)
            case SplitOrder(policy, keys):
                self._split(made, policy, keys)
        made.must_report = True

    def _change(self, made: FakeRegion, changes: Any) -> None:
        region = made.region
        peers = {peer.id: peer for peer in region.peers}
        if not changes:
            moved = [peer for peer in region.peers if peer.role in (INCOMING, DEMOTING)]
            assert peers[made.leader.id].role != DEMOTING
            for peer in moved:
                peers[peer.id] = replace(peer, role=V if peer.role == INCOMING else L)
            conf_ver = region.epoch.conf_ver + len(moved)
        else:
            joint = len(changes) > 1
            for change in changes:
                self._one_change(made, peers, change, joint)
            conf_ver = region.epoch.conf_ver + len(changes)
        if not self._has_quorum(made, peers.values()):
            assert self._could_not_be_known(peers.values()), (region, changes)
            return  # a leader refuses what would stop its group
        epoch = RegionEpoch(region.epoch.version, conf_ver)
        made.region = replace(region, peers=tuple(peers.values()), epoch=epoch)
        made.leader = peers[made.leader.id]

    def _one_change(self, made: FakeRegion, peers: dict[PeerId, Peer], change: Any, joint: bool) -> None:
        peer, known = change.peer, peers.get(change.peer.id)
        if change.kind == ChangeKind.REMOVE_NODE:
            assert peer.id != made.leader.id, "a leader must not be removed"
            assert known is not None
            del peers[peer.id]
            made.catches_up_at.pop(peer.id, None)
        elif change.kind == ChangeKind.ADD_NODE:
            assert known is not None, "new replicas come as learners"
            assert known.role == L
            assert peer.id not in made.catches_up_at, "a learner that lags must not vote"
            peers[peer.id] = replace(known, role=INCOMING if joint else V)
        elif known is None:
            assert all(other.store_id != peer.store_id for other in peers.values())
            peers[peer.id] = Peer(peer.id, peer.store_id, L)
            made.catches_up_at[peer.id] = self.now_ms + self.copy_ms
        else:
            assert joint
            assert peer.id != made.leader.id
            peers[peer.id] = replace(known, role=DEMOTING)

    def _split(self, made: FakeRegion, policy: SplitPolicy, keys: tuple[bytes, ...]) -> None:
        region = made.region
        assert policy == SplitPolicy.USEKEY
        assert all(region.contains(key) and key != region.start_key for key in keys)
        ids = self.ask(AskBatchSplit(region, len(keys)))
        if isinstance(ids, PdError):
            return
        epoch = RegionEpoch(region.epoch.version + len(keys), region.epoch.conf_ver)
        borders = [region.start_key, *keys]
        results = []
        for index, new in enumerate(ids):
            peers = tuple(replace(peer, id=peer_id) for peer, peer_id in zip(region.peers, new.peer_ids, strict=True))
            piece = Region(new.region_id, borders[index], borders[index + 1], epoch, peers)
            leader = piece.peer_on(made.leader.store_id)
            assert leader is not None
            self.regions[new.region_id] = FakeRegion(piece, leader, max(1, made.size_mib // (len(keys) + 1)))
            results.append(piece)
        made.region = replace(region, start_key=keys[-1], epoch=epoch)
        made.size_mib = max(1, made.size_mib // (len(keys) + 1))
        self.step(Called("split", ReportBatchSplit((*results, made.region))))

    def _elect(self, made: FakeRegion) -> None:
        if self.stores[made.leader.store_id].alive:
            made.leaderless_since = None
            return
        made.leaderless_since = made.leaderless_since or self.now_ms
        if self.now_ms - made.leaderless_since < 1_000 or not self._has_quorum(made, made.region.peers):
            return
        able = [peer for peer in made.region.peers if peer.role in (V, INCOMING) and self._alive(peer, made)]
        self._lead(made, able[0])

    def _lead(self, made: FakeRegion, leader: Peer) -> None:
        made.leader, made.term, made.must_report = leader, made.term + 1, True
        made.fresh_until_ms = self.now_ms + 2 * TICK_MS

    def _catch_up(self, made: FakeRegion) -> None:
        for peer_id, moment_ms in list(made.catches_up_at.items()):
            peer = made.region.peer(peer_id)
            assert peer is not None
            if not self.stores[peer.store_id].alive:
                made.catches_up_at[peer_id] = self.now_ms + self.copy_ms
            elif self.now_ms >= moment_ms:
                del made.catches_up_at[peer_id]
                made.must_report = True

    # ------------------------------------------------------------ reports

    def report_store(self, fake: FakeStore) -> None:
        count = len(self.peers_on(fake.id))
        self.step(Called("store", ReportStore(StoreStats(StoreId(fake.id), region_count=count, **fake.fields))))

    def _report(self, made: FakeRegion) -> None:
        is_new = self.now_ms < made.fresh_until_ms
        made.must_report = is_new
        made.reported_at_ms = self.now_ms
        silent = [
            peer
            for peer in made.region.peers
            if not self.stores[peer.store_id].alive
            and self.now_ms - self.stores[peer.store_id].died_at_ms > self.down_after_ms
        ]
        beat = RegionHeartbeat(
            made.region,
            made.leader,
            made.term,
            [DownPeer(peer, (self.now_ms - self.stores[peer.store_id].died_at_ms) // 1000) for peer in silent],
            [peer for peer in made.region.peers if peer.id in made.catches_up_at or (is_new and peer != made.leader)],
            approximate_size_bytes=made.size_mib * MIB,
        )
        self.step(Called("region", ReportRegion(beat)))


def cluster_with(
    stores: int, sizes_mib: list[int], schedule: ScheduleConfig | None = None, **config: Any
) -> FakeCluster:
    """``len(sizes_mib)`` regions, spread over the stores by the initial layout and reported."""
    keys = tuple(b"%04d" % index for index in range(1, len(sizes_mib)))
    replicas = config.pop("max_replicas", min(3, stores))
    cluster = FakeCluster(schedule, initial_stores=stores, split_keys=keys, max_replicas=replicas, **config)
    for store_id in range(1, stores + 1):
        cluster.add_store(store_id)
    cluster.start_regions(sizes_mib)
    return cluster


def region_id_of(made: FakeRegion) -> RegionId:
    return made.region.id
