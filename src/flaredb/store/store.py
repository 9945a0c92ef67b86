"""The Store: many regions, one loop.

``step`` takes the time and a batch of inputs and returns effects. Within a step, in this order: inputs (Raft messages,
requests, acknowledged syncs), ticks, proposals (one entry per region), Readys by the contract of ready.py, the write of
the one batch, reads that became consistent, answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from flaredb.engine.base import Engine, EngineError
from flaredb.model.commands import Request
from flaredb.model.errors import (
    ConfigError,
    NotLeader,
    RegionError,
    StoreClosing,
)
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Region
from flaredb.raft import StateRole
from flaredb.store import bootstrap, orders, reads
from flaredb.store.admission import admit, admit_held, expire, may_expire, refuse_late, take_request
from flaredb.store.checks import check_epoch, check_keys, epoch_not_match
from flaredb.store.commands.compact_log import propose_compact_log
from flaredb.store.config import StoreConfig
from flaredb.store.heartbeat import pending_peers
from flaredb.store.hibernation import check_rarely, count_idle, hear_news, report_rarely, tick_contacts, wake_all
from flaredb.store.incoming import (
    collect,
    on_region_checked,
    on_snapshot_received,
    on_snapshot_sent,
    snapshot_refusal,
    take_envelope,
)
from flaredb.store.install import resume_install, unfinished_installs
from flaredb.store.lease_trust import heed_clocks
from flaredb.store.lifecycle import may_be_born_by_split
from flaredb.store.messages import (
    CheckRegion,
    Effect,
    Fatal,
    HeartbeatsWanted,
    Input,
    LeadersHandedOver,
    OrderReceived,
    RaftEnvelope,
    RaftReceived,
    RegionChecked,
    RegionsListed,
    RequestsReceived,
    RoutesLearned,
    SendRaft,
    ShutdownStarted,
    SnapshotFiles,
    SnapshotReceived,
    SnapshotSent,
    SplitIdsGranted,
    SplitRequested,
    StoreReached,
    StoreUnreached,
    Sync,
    SyncDone,
)
from flaredb.store.outcomes import finish, tell_changes
from flaredb.store.peer import Peer
from flaredb.store.proposing import heed_commits, propose
from flaredb.store.read_executor import ReadExecutor
from flaredb.store.ready import ReadyStep
from flaredb.store.split_check import estimate_size, outgrown
from flaredb.store.splitting import give_up_split, on_split_ids, split_request, wanted_by_check
from flaredb.store.state import LEAVING_PRIORITY, StoreState
from flaredb.wire.entries import EntryCorrupted
from flaredb.wire.records import StateCorrupted

_LEADER = StateRole.Leader
EXPIRY_INTERVAL_MS = 50
EXIT_ENGINE_FAILED = 74
EXIT_STATE_CORRUPT = 65


class Store(StoreState):
    """All peers of one store process. Not thread-safe: one loop owns it.

    Its state is state.py's; here are the order of a step, the clock, and the way of inputs and effects.

    Invariant: nothing is promised before it is synced (ready.py).
    """

    def __init__(
        self,
        config: StoreConfig,
        store_id: StoreId,
        engine: Engine,
        rng: Random,
        now_ms: int,
        files: SnapshotFiles,
    ) -> None:
        """Load what is on disk. Errors: StateCorrupted, EngineError, ConfigError."""
        super().__init__(config, store_id, engine, rng, now_ms, files)
        self._next_tick_ms = now_ms + config.tick_ms
        self._next_gc_ms = now_ms + config.log_gc_interval_ms
        self._next_split_check_ms = now_ms + config.split_region_check_tick_interval_ms
        self._ticks_to_beat = 0
        self._lost_ms = 0
        """How much further the store's time is than the clock given, which went back by that."""
        self._sequence = 0
        self._unsynced: deque[tuple[int, int]] = deque()
        """(sequence, bytes) of what waits for its sync; ``unsynced_bytes`` is their sum."""
        self._handled: list[RegionId] = []
        self._discards: list[tuple[int, str]] = []
        """Snapshot files that go once the sync of that sequence number is done."""
        self._next_expiry_ms = now_ms
        heartbeat_ms = config.heartbeat_ticks * config.tick_ms
        self._round_patience_ms = min(2 * heartbeat_ms, config.read_timeout_ms // 4)
        self._leader_missing_ticks = max(config.leader_missing_ms // config.tick_ms, 1)
        self._synced: int | None = None
        self._executor = ReadExecutor(engine, config.scan_slice_rows, self.answer)
        self._load()

    def _load(self) -> None:
        installs = unfinished_installs(self.engine)
        for region in bootstrap.load_regions(self.engine, self.store_id):
            peer = self.add_peer(region, first_start=False)
            if region.id in installs:
                self.fills.start(peer, resume_install(peer, installs.pop(region.id), self.engine, self.files))
                continue
            peer.approximate_size_bytes, peer.approximate_keys = estimate_size(self.engine, region)
            peer.grown_bytes = peer.approximate_size_bytes
        if installs:
            raise StateCorrupted(f"regions {sorted(installs)} are being installed, but are not on disk")

    # ------------------------------------------------ the step

    def step(self, now_ms: int, inputs: Iterable[Input]) -> list[Effect]:
        """Run to completion and say what to do, in order. ``now_ms`` is monotonic, and was read after the inputs were
        taken: a read by lease is as of that time (reads.py).

        A failed engine or a corrupt state ends in a Fatal effect: the process must stop, and no promise has left.
        """
        self._set_time(now_ms)
        try:
            for item in inputs:
                self._take(item)
                if self.arrived_early:
                    self._deliver_early()
            if self.to_wake or self.contacts.has_news:
                hear_news(self)
            self._tick_if_due()
            self._expire_if_due()
            propose(self)
            self._run_fills()
            self._handle_readys()
            if self.gathering:
                heed_commits(self)
            self._run_reads()
            self._run_split_checks()
        except EngineError as error:
            return [Fatal(f"the storage engine failed: {error}", EXIT_ENGINE_FAILED)]
        except (StateCorrupted, EntryCorrupted) as error:
            return [Fatal(f"state on disk is corrupt: {error}", EXIT_STATE_CORRUPT)]
        return self.take_effects()

    def take_promises(self, sequence: int) -> list[Effect]:
        """What others wait for and may leave now that this sync is done, without a step; SyncDone is to follow all the
        same. For a rim that has nothing else to do.
        """
        for region_id in sorted(self.awaiting_sync):
            peer = self.peers[region_id]
            for waiting in peer.unsynced:
                if waiting.sequence > sequence:
                    break
                messages, waiting.messages = waiting.messages, []
                self.outbox.add(peer, messages)
        self._send()
        return self.take_effects()

    def next_deadline_ms(self) -> int:
        """When step must be called at the latest, even without inputs."""
        if self.has_work():
            return self.now_ms - self._lost_ms
        due_ms = self._next_tick_ms
        if self.waiting_requests:
            due_ms = min(due_ms, self._next_expiry_ms)
            if self.gathering:  # in the order of their times
                due_ms = min(due_ms, next(iter(self.gathering.values())).until_ms)
        return due_ms - self._lost_ms

    def has_work(self) -> bool:
        """True if step should be called again at once."""
        return (
            bool(self.touched or self.to_wake)
            or self.must_sync
            or self._executor.has_work()
            or self.split_checks.has_work()
            or len(self.fills) > 0
        )

    @property
    def handled(self) -> Sequence[RegionId]:
        """Regions that the last step has handled: nothing else about the others has changed but what waits."""
        return self._handled

    @property
    def led_count(self) -> int:
        """Regions led here that another replica could lead."""
        return sum(orders.leads_others(peer) for peer in self.peers.values())

    @property
    def applying_snapshots(self) -> int:
        """Received snapshots whose rows are not all written yet."""
        return len(self.fills)

    @property
    def snapshot_names(self) -> set[str]:
        """The received files that are still needed."""
        filling = {peer.fill.file.name for peer in self.peers.values() if peer.fill is not None}
        return filling | {name for _, name in self._discards} | set(self.fills.finished)

    def snapshot_refusal(self, envelope: RaftEnvelope) -> str | None:
        """Why a snapshot would not be taken now; None if it may be. For the rim, before the rows travel."""
        return snapshot_refusal(self, envelope)

    def close(self) -> None:
        """Let go of engine snapshots. The engine itself is its owner's to close."""
        self._executor.close()
        self.split_checks.close()
        self.fills.close()
        self.desk.close()

    def region_status(self, region_id: RegionId) -> dict[str, Any] | None:
        """What the status server shows of a region here."""
        peer = self.peers.get(region_id)
        return peer.status() if peer else None

    # ------------------------------------------------ inputs

    def _take(self, item: Input) -> None:
        if isinstance(item, RaftReceived):
            if item.envelopes:
                self.contacts.heard(item.envelopes[0].from_store)
            for envelope in item.envelopes:
                take_envelope(self, envelope)
        elif isinstance(item, RequestsReceived):
            for request in item.requests:
                take_request(self, request)
        elif isinstance(item, SyncDone):
            self._synced = max(item.sequence, self._synced or 0)
        elif isinstance(item, StoreUnreached):
            self._on_unreached(item.store_id)
        elif isinstance(item, StoreReached):
            self._on_reached(item.store_id)
        else:
            self._take_rare(item)

    def _deliver_early(self) -> None:
        """Messages that came before their peers were made."""
        while self.arrived_early:
            arrived, self.arrived_early = self.arrived_early, []
            for envelope in arrived:
                take_envelope(self, envelope)

    def _take_rare(self, item: Input) -> None:
        if isinstance(item, RegionsListed):
            self._on_regions_listed(item.regions)
        elif isinstance(item, RoutesLearned):
            self.routes.learn(item.routes)
        elif isinstance(item, SplitRequested):
            take_request(self, split_request(self, item))
        elif isinstance(item, SplitIdsGranted):
            on_split_ids(self, item)
        elif isinstance(item, SnapshotReceived):
            on_snapshot_received(self, item)
        elif isinstance(item, SnapshotSent):
            on_snapshot_sent(self, item)
        elif isinstance(item, OrderReceived):
            orders.on_order(self, item.order)
        elif isinstance(item, RegionChecked):
            on_region_checked(self, item)
        elif isinstance(item, LeadersHandedOver):
            self._start_leaving()
        elif isinstance(item, HeartbeatsWanted):
            for peer in self._led():
                self.report(peer)
        else:
            assert isinstance(item, ShutdownStarted), f"unknown input {item!r}"
            self._start_shutdown()

    # ------------------------------------------------ stores and regions

    def _on_regions_listed(self, regions: Sequence[Region]) -> None:
        if self.is_started:
            return
        try:
            created = bootstrap.create_regions(self.engine, self.store_id, regions)
        except ConfigError as error:
            self.emit(Fatal(str(error), EXIT_STATE_CORRUPT))
            return
        self.is_started = True
        for region in created:
            self.add_peer(region, first_start=True, eager=region.peers[0].store_id == self.store_id)
        self.note("regions created", region_ids=[region.id for region in created])
        held, self.unstarted = self.unstarted, []
        for request in held:
            admit(self, request)

    def _on_unreached(self, store_id: StoreId) -> None:
        """Regions that sleep sent nothing that could be lost; they wake if the store stays silent."""
        for peer in self._led_awake():
            for meta in peer.region.peers:
                if meta.store_id == store_id and meta.id in peer.node.raft.prs.progress:
                    peer.node.report_unreachable(meta.id)
                    self.touched.add(peer.region.id)

    def _on_reached(self, store_id: StoreId) -> None:
        """A new region's first leader tries again when another replica can hear it."""
        for peer in self.awake.values():
            if peer.eager and not peer.node.raft.leader_id and store_id in peer.store_of.values():
                peer.node.campaign()
                self.touched.add(peer.region.id)

    def _led(self) -> list[Peer]:
        return [peer for peer in self.peers.values() if peer.is_leader]

    def _led_awake(self) -> list[Peer]:
        return [peer for peer in self.awake.values() if peer.is_leader]

    def _start_leaving(self) -> None:
        """Hand leaderships over, and do not win them back."""
        self.is_leaving = True
        wake_all(self)
        for peer in self.peers.values():
            peer.node.set_priority(LEAVING_PRIORITY)
        orders.hand_over(self)

    def _start_shutdown(self) -> None:
        """Refuse new requests; those that only wait for something to become known are told to go elsewhere."""
        self.is_closing = True
        held, self.unstarted = self.unstarted, []
        for peer in self.peers.values():
            held += peer.parked
            peer.parked = []
        for request in held:
            self.answer(request, StoreClosing())

    # ------------------------------------------------ time

    def _set_time(self, now_ms: int) -> None:
        """Time here never goes back. A clock that does says nothing of how much time has passed, so no lease counts
        that was heard of before (tikv issue 14518)."""
        now_ms += self._lost_ms
        if now_ms < self.now_ms:
            lost_ms = self.now_ms - now_ms + 1
            self._lost_ms += lost_ms
            now_ms += lost_ms
            self.note("the monotonic clock went back", level="ERROR", by_ms=lost_ms - 1)
            for peer in self._led_awake():
                peer.node.raft.void_lease()
        self.now_ms = self.desk.now_ms = self.lease_clock.now = now_ms

    def _tick_if_due(self) -> None:
        """One tick per step at most: after a pause, messages that wait are read before an election may start."""
        if self.now_ms < self._next_tick_ms:
            return
        self._next_tick_ms = self.now_ms + self.config.tick_ms
        if self.config.hibernate_regions or self.config.lease_reads:
            self._tick_stores()
        for peer in list(self.awake.values()):
            self._tick(peer)
        if self.is_leaving:
            orders.hand_over(self)
        if self.now_ms >= self._next_gc_ms:
            self._next_gc_ms = self.now_ms + self.config.log_gc_interval_ms
            for peer in self._led_awake():
                if propose_compact_log(self.config, peer):
                    self.touched.add(peer.region.id)
            self._trim_log_caches()
        if self.now_ms >= self._next_split_check_ms:
            self._next_split_check_ms = self.now_ms + self.config.split_region_check_tick_interval_ms
            for peer in self.awake.values():
                if outgrown(self.config, peer) and self.split_checks.start(peer.region):
                    peer.grown_bytes = 0
                    peer.is_miscounted = False

    def _tick_stores(self) -> None:
        tick_contacts(self)
        heed_clocks(self)
        hear_news(self)
        self._ticks_to_beat -= 1
        if self._ticks_to_beat <= 0:
            self._ticks_to_beat = self.config.heartbeat_ticks
            for beat in self.contacts.beats(self.store_id, self.now_ms):
                self.outbox.put(beat)
        report_rarely(self)
        check_rarely(self)

    def _trim_log_caches(self) -> None:
        """Each region may keep as much of its log as it likes while all together stay within their bound."""
        storages = [peer.storage for peer in self.awake.values()]
        if sum([storage.cached_bytes for storage in storages]) > self.config.log_caches_bytes_max:
            for storage in storages:
                storage.trim_cache(self.config.log_caches_bytes_max // len(storages))

    def _tick(self, peer: Peer) -> None:
        """A replica that is being filled does not stand for election: it could not serve.

        Run for every replica that is awake at every tick, so it asks as little as it can.
        """
        raft = peer.node.raft
        if peer.fill is None and raft.tick():
            collect(self, peer)
        if raft.state is _LEADER:
            self._tick_leader(peer)
        elif raft.ticks_since_leader >= self._leader_missing_ticks:
            self._miss_leader(peer)
        if peer.transfer_was_running is (raft.lead_transferee is None):
            peer.transfer_was_running = not peer.transfer_was_running
            if not peer.transfer_was_running:
                admit_held(self, peer)

    def _tick_leader(self, peer: Peer) -> None:
        self.desk.sizes[peer.region.id] = peer.approximate_size_bytes
        is_news = peer.has_pending and pending_peers(peer) != peer.reported_pending
        if is_news or self.now_ms >= peer.next_report_ms:
            self.report(peer)
        if self.config.hibernate_regions:
            count_idle(self, peer)

    def _miss_leader(self, peer: Peer) -> None:
        """A replica long without word of a leader may have been removed without hearing of it: PD knows (traps C4).

        A learner in particular keeps to the leader it last heard, and never asks its peers for a vote.
        """
        if self.now_ms - peer.asked_pd_ms >= self.config.leader_missing_ms:
            peer.asked_pd_ms = self.now_ms
            self.emit(CheckRegion(peer.region.id))

    def _expire_if_due(self) -> None:
        """Refuse what has waited too long. Looked at a few times a second, and only while something waits."""
        if not self.waiting_requests or self.now_ms < self._next_expiry_ms:
            return
        self._next_expiry_ms = self.now_ms + EXPIRY_INTERVAL_MS
        for peer in self.awake.values():
            if not may_expire(peer):
                continue
            expire(self, peer)
            if reads.repeat_lost_round(peer, self.now_ms, self._round_patience_ms):
                self.touched.add(peer.region.id)
        self.unstarted = refuse_late(self, self.unstarted)

    # ------------------------------------------------ raft

    def _run_fills(self) -> None:
        peer = self.fills.run_slice()
        if peer is None:
            return
        peer.node.advance_apply_to(peer.applied_index)
        self.must_sync = True
        self.touched.add(peer.region.id)
        self.note("snapshot is installed", region_id=peer.region.id, keys=peer.approximate_keys)

    def _handle_readys(self) -> None:
        if not self.touched and self._synced is None and not self.must_sync:
            self._handled = []  # quiet: beats at most, which no Ready holds
            self._send()
            return
        touched, self.touched = self.touched, set()
        batch = self.engine.batch()
        step = ReadyStep(
            self.config,
            self.engine,
            batch,
            self.outbox,
            self._sequence + 1,
            self.answer,
            self._on_soft_state,
            lambda region_id: may_be_born_by_split(self, region_id),
        )
        if self._synced is not None:
            self._take_synced(step, touched, self._synced)
            self._synced = None
        self._handled = sorted(touched & self.peers.keys())
        handled = [self.peers[region_id] for region_id in self._handled]
        for peer in handled:
            if peer.idle_ticks:
                peer.stir()
            if step.handle(peer):
                self.touched.add(peer.region.id)
            if peer.unsynced:
                self.awaiting_sync.add(peer.region.id)
        size_bytes = batch.size_bytes
        step.write()
        self.reserved.clear()
        for outcome in step.applier.outcomes:
            finish(self, outcome, step.sequence)
        self._deliver_early()
        for peer, request in step.applier.refused:
            self.answer(request, epoch_not_match(peer.region, request.version, self.region_map))
        self._send()
        if step.must_sync or self.must_sync:
            self.must_sync = False
            self._sequence = step.sequence
            self._unsynced.append((step.sequence, size_bytes))
            self.unsynced_bytes += size_bytes
            self._discards += [(step.sequence, name) for name in self.fills.finished]
            self.fills.finished.clear()
            self.emit(Sync(step.sequence))

    def _take_synced(self, step: ReadyStep, touched: set[RegionId], synced: int) -> None:
        for region_id in sorted(self.awaiting_sync):
            step.on_synced(self.peers[region_id], synced)
        touched |= self.awaiting_sync
        self.awaiting_sync.clear()
        if self.unsaved_changes:
            tell_changes(self, synced)
        while self._unsynced and self._unsynced[0][0] <= synced:
            self.unsynced_bytes -= self._unsynced.popleft()[1]
        while self._discards and self._discards[0][0] <= synced:
            self.files.discard(self._discards.pop(0)[1])

    def _send(self) -> None:
        outbox = self.outbox
        if outbox.by_store:
            by_store, outbox.by_store = outbox.by_store, {}
            for store_id, envelopes in by_store.items():
                self.emit(SendRaft(store_id, envelopes))
        if outbox.snapshots:
            snapshots, outbox.snapshots = outbox.snapshots, []
            for snapshot in snapshots:
                self.emit(snapshot)

    def _on_soft_state(self, peer: Peer) -> None:
        """Leader or role changed: what waited for a leader goes through the gate again, and PD hears of a new one."""
        leader_id = peer.node.raft.leader_id
        if leader_id == peer.leader_id:
            return
        peer.leader_id = leader_id
        if leader_id:
            peer.eager = False
        if leader_id != peer.meta.id:
            give_up_split(self, peer, NotLeader(peer.region.id, peer.leader()))
        for request in reads.take_unconfirmed(peer):
            admit(self, request)
        if leader_id:
            admit_held(self, peer)
        if leader_id == peer.meta.id:
            for meta in peer.region.peers:
                peer.last_heard_ms[meta.id] = self.now_ms
            self.report(peer)
        self.note("leader changed", region_id=peer.region.id, leader_id=leader_id, term=peer.term)

    # ------------------------------------------------ reads

    def _run_reads(self) -> None:
        """Run what became consistent in this step. The batch is written: reads see what was applied."""
        for region_id in self._handled:
            peer = self.peers.get(region_id)
            if peer is None or peer.fill is not None:
                continue
            if not peer.reads.confirmed and not peer.reads.waiting:
                continue
            for request in reads.take_runnable(peer):
                self._run_read(peer, request)
            if reads.start_round(peer, self.now_ms):
                self.touched.add(region_id)
        if self._executor.has_work():
            self._executor.run_slices()

    def _run_read(self, peer: Peer, request: Request) -> None:
        """The region may have been split since the read was admitted: rows of a smaller region are no answer."""
        try:
            check_epoch(peer.region, request, self.region_map)
            check_keys(peer.region, request.command)
        except RegionError as error:
            self.answer(request, error)
            return
        self._executor.run(peer, request)

    def _run_split_checks(self) -> None:
        done = self.split_checks.run_slice()
        peer = self.peers.get(done.region.id) if done is not None else None
        if done is None or peer is None or peer.region.epoch != done.region.epoch:
            return
        wanted = wanted_by_check(peer, done)
        if wanted is not None:
            take_request(self, split_request(self, wanted))
            if peer.split is not None and not peer.split.is_proposed:
                peer.split.pieces = done.pieces
