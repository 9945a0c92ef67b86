"""The Store: many regions, one loop.

``step`` takes the time and a batch of inputs and returns effects. Within a step, in this order: inputs (Raft messages,
requests, acknowledged syncs), ticks, proposals (one entry per region), Readys by the contract of ready.py, the write of
the one batch, reads that became consistent, answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from flaredb.engine.base import Engine, EngineError
from flaredb.model.commands import Request, Split, Write
from flaredb.model.errors import (
    ConfigError,
    NotLeader,
    ReadIndexNotReady,
    RegionError,
    RegionNotFound,
    ServerIsBusy,
    StaleCommand,
    StoreClosing,
    UndeterminedResult,
)
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Region
from flaredb.raft import RaftError
from flaredb.store import bootstrap, reads
from flaredb.store.checks import LeaderUnknown, check, check_epoch, check_keys, epoch_not_match
from flaredb.store.commands.compact_log import propose_compact_log
from flaredb.store.commands.split import SplitApplied, ask_split, on_split_applied, propose_split
from flaredb.store.commands.write import collect_write, propose_writes
from flaredb.store.config import StoreConfig
from flaredb.store.early_messages import EarlyMessages
from flaredb.store.heartbeat import make_report
from flaredb.store.messages import (
    Effect,
    Fatal,
    HeartbeatsWanted,
    Input,
    Note,
    RaftEnvelope,
    RaftReceived,
    RefreshRoutes,
    RegionsListed,
    Reply,
    ReportRegion,
    ReportSplit,
    RequestsReceived,
    RoutesLearned,
    SendRaft,
    ShutdownStarted,
    SplitIdsGranted,
    SplitRequested,
    StoreReached,
    StoreUnreached,
    Sync,
    SyncDone,
)
from flaredb.store.peer import Peer
from flaredb.store.read_executor import ReadExecutor
from flaredb.store.ready import Outbox, ReadyStep
from flaredb.store.region_map import RegionMap
from flaredb.store.routes import RouteCache
from flaredb.store.split_check import CheckDone, SplitChecks, estimate_size, outgrown
from flaredb.wire.entries import EntryCorrupted
from flaredb.wire.records import StateCorrupted

BUSY_BACKOFF_MS = 100
EXPIRY_INTERVAL_MS = 50
EXIT_ENGINE_FAILED = 74
EXIT_STATE_CORRUPT = 65


class Store:
    """All peers of one store process. Not thread-safe: one loop owns it.

    Invariants (invariants.py): peers and region_map hold the same regions; ranges never overlap; every request taken is
    answered exactly once; nothing promised before it is synced.
    """

    def __init__(self, config: StoreConfig, store_id: StoreId, engine: Engine, rng: Random, now_ms: int) -> None:
        """Load what is on disk. Errors: StateCorrupted, EngineError, ConfigError."""
        config.validate()
        self.config = config
        self.store_id = store_id
        self.peers: dict[RegionId, Peer] = {}
        self.region_map = RegionMap()
        self.routes = RouteCache()
        self.waiting_requests = 0
        self.waiting_write_bytes = 0
        self._engine = engine
        self._rng = rng
        self._now_ms = now_ms
        self._next_tick_ms = now_ms + config.tick_ms
        self._next_gc_ms = now_ms + config.log_gc_interval_ms
        self._next_split_check_ms = now_ms + config.split_region_check_tick_interval_ms
        self._sequence = 0
        self._unstarted: list[Request] = []
        """Requests that came before this store knew its regions."""
        self._touched: set[RegionId] = set()
        """Regions with something to handle in this step, or left over for the next."""
        self._handled: list[RegionId] = []
        self._awaiting_sync: set[RegionId] = set()
        self._next_expiry_ms = now_ms
        heartbeat_ms = config.heartbeat_ticks * config.tick_ms
        self._round_patience_ms = min(2 * heartbeat_ms, config.read_timeout_ms // 4)
        self._answers: list[tuple[Any, Any]] = []
        self._effects: list[Effect] = []
        self._outbox = Outbox()
        self._synced: int | None = None
        self._closing = False
        self._executor = ReadExecutor(engine, config.scan_slice_rows, self._answer)
        self._split_checks = SplitChecks(config, engine)
        self._early = EarlyMessages()
        self.is_started = bootstrap.is_bootstrapped(engine)
        """False until this store has been given its first regions."""
        for region in bootstrap.load_regions(engine, store_id):
            peer = self._add_peer(region, first_start=False)
            peer.approximate_size_bytes, peer.approximate_keys = estimate_size(engine, region)
            peer.grown_bytes = peer.approximate_size_bytes

    # ------------------------------------------------ the step

    def step(self, now_ms: int, inputs: Iterable[Input]) -> list[Effect]:
        """Run to completion and say what to do, in order. ``now_ms`` is monotonic and never goes back.

        A failed engine or a corrupt state ends in a Fatal effect: the process must stop, and no promise has left.
        """
        self._now_ms = now_ms
        try:
            for item in inputs:
                self._take(item)
            self._tick_if_due()
            self._expire_if_due()
            self._propose()
            self._handle_readys()
            self._run_reads()
            self._run_split_checks()
        except EngineError as error:
            return [Fatal(f"the storage engine failed: {error}", EXIT_ENGINE_FAILED)]
        except (StateCorrupted, EntryCorrupted) as error:
            return [Fatal(f"state on disk is corrupt: {error}", EXIT_STATE_CORRUPT)]
        return self._take_effects()

    def next_deadline_ms(self) -> int:
        """When step must be called at the latest, even without inputs."""
        if self.has_work():
            return self._now_ms
        return min(self._next_tick_ms, self._next_expiry_ms) if self.waiting_requests else self._next_tick_ms

    def has_work(self) -> bool:
        """True if step should be called again at once."""
        return bool(self._touched) or self._executor.has_work() or self._split_checks.has_work()

    def close(self) -> None:
        """Let go of engine snapshots. The engine itself is its owner's to close."""
        self._executor.close()
        self._split_checks.close()

    def region_status(self, region_id: RegionId) -> dict[str, Any] | None:
        """What the status server shows of a region here."""
        peer = self.peers.get(region_id)
        return peer.status() if peer else None

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        if self._answers:
            effects.append(Reply(self._answers))
            self._answers = []
        return effects

    # ------------------------------------------------ inputs

    def _take(self, item: Input) -> None:
        if isinstance(item, RaftReceived):
            for envelope in item.envelopes:
                self._take_envelope(envelope)
        elif isinstance(item, RequestsReceived):
            for request in item.requests:
                self._take_request(request)
        elif isinstance(item, SyncDone):
            self._synced = max(item.sequence, self._synced or 0)
        elif isinstance(item, StoreUnreached):
            self._on_unreached(item.store_id)
        elif isinstance(item, StoreReached):
            self._on_reached(item.store_id)
        elif isinstance(item, RegionsListed):
            self._on_regions_listed(item.regions)
        elif isinstance(item, RoutesLearned):
            self.routes.learn(item.routes)
        elif isinstance(item, SplitRequested):
            self._on_split_requested(item)
        elif isinstance(item, SplitIdsGranted):
            self._on_split_ids(item)
        elif isinstance(item, HeartbeatsWanted):
            for peer in self._led():
                self._report(peer)
        else:
            assert isinstance(item, ShutdownStarted), f"unknown input {item!r}"
            self._start_shutdown()

    def _take_envelope(self, envelope: RaftEnvelope) -> None:
        """A message for another replica than the one here is dropped, as if the network had lost it."""
        peer = self.peers.get(envelope.region_id)
        if peer is None:
            self._early.keep(envelope)
            return
        if envelope.to_peer != peer.meta.id:
            return
        peer.last_heard_ms[envelope.from_peer] = self._now_ms
        try:
            peer.node.step(envelope.message)
        except RaftError as error:
            self._note("raft message refused", level="DEBUG", region_id=peer.region.id, error=str(error))
        self._collect(peer)

    def _collect(self, peer: Peer) -> None:
        """What a message or a tick has brought: mere messages leave with this step, the rest makes a Ready of it."""
        messages = peer.node.take_messages()
        if messages:
            self._outbox.add(peer, messages)
        elif peer.node.has_ready():
            self._touched.add(peer.region.id)

    def _take_request(self, request: Request) -> None:
        if self._closing:
            self._reply(request, StoreClosing())
            return
        size_bytes = request.command.size_bytes if isinstance(request.command, Write) else 0
        if self.waiting_requests >= self.config.requests_max:
            reason = (
                f"{self.waiting_requests} requests wait in store {self.store_id}, which is all that "
                "raftstore.max-waiting-requests allows"
            )
            self._reply(request, ServerIsBusy(reason, BUSY_BACKOFF_MS))
            return
        if size_bytes and self.waiting_write_bytes + size_bytes > self.config.write_bytes_max:
            reason = (
                f"{self.waiting_write_bytes} bytes of writes wait in store {self.store_id}; with {size_bytes} more they"
                f" exceed raftstore.max-waiting-writes-size = {self.config.write_bytes_max}"
            )
            self._reply(request, ServerIsBusy(reason, BUSY_BACKOFF_MS))
            return
        self.waiting_requests += 1
        self.waiting_write_bytes += size_bytes
        self._admit(request)

    def _admit(self, request: Request) -> None:
        """Send a request through the gate: to its region's queue, to wait for a leader, or back with an error."""
        peer = self.peers.get(request.region_id)
        if peer is None:
            self._admit_unknown(request)
            return
        try:
            check(peer, self.store_id, request, self.region_map)
            if isinstance(request.command, Write):
                collect_write(self.config, peer, request)
            elif isinstance(request.command, Split):
                self._effects.append(ask_split(self.config, peer, request, self._now_ms))
            else:
                if not request.deadline_ms:
                    request.deadline_ms = self._now_ms + self.config.read_timeout_ms
                peer.reads.waiting.append(request)
        except LeaderUnknown as error:
            self._hold(peer.parked, request, error)
        except RegionError as error:
            self._answer(request, error)
        self._touched.add(request.region_id)

    def _admit_unknown(self, request: Request) -> None:
        error = RegionNotFound(request.region_id, self.store_id, self.routes.describe(request.region_id))
        if self.is_started:
            self._effects.append(RefreshRoutes())
            self._answer(request, error)
        else:
            self._hold(self._unstarted, request, error)

    def _hold(self, queue: list[Request], request: Request, error: RegionError) -> None:
        """Keep a request for what is merely not known yet, up to its deadline (wire facts 3.4)."""
        if not request.deadline_ms:
            request.deadline_ms = self._now_ms + self.config.hold_ms
        if request.deadline_ms <= self._now_ms:
            self._answer(request, error)
        else:
            queue.append(request)

    def _answer(self, request: Request, result: Any) -> None:
        self.waiting_requests -= 1
        if isinstance(request.command, Write):
            self.waiting_write_bytes -= request.command.size_bytes
        self._reply(request, result)

    def _reply(self, request: Request, result: Any) -> None:
        if request.token is not None:
            self._answers.append((request.token, result))

    # ------------------------------------------------ splits

    def _on_split_requested(self, asked: SplitRequested) -> None:
        peer = self.peers.get(asked.region_id)
        peer_id = peer.meta.id if peer is not None else PeerId(0)
        command = Split(asked.keys, asked.conf_ver, asked.reason)
        self._take_request(Request(asked.token, command, asked.region_id, asked.version, peer_id, self.store_id))

    def _on_split_ids(self, granted: SplitIdsGranted) -> None:
        """The region may have changed while PD was asked: the gate again, then the log."""
        peer = self.peers.get(granted.region_id)
        if peer is None or peer.split is None or peer.split.is_proposed:
            return
        request = peer.split.request
        if request.version != granted.version:
            return
        try:
            if granted.error:
                raise ServerIsBusy(f"PD granted no ids for a split: {granted.error}", BUSY_BACKOFF_MS)
            check(peer, self.store_id, request, self.region_map)
            propose_split(self.config, peer, granted.ids, self._now_ms)
        except RegionError as error:
            self._give_up_split(peer, error)
        self._touched.add(peer.region.id)

    def _give_up_split(self, peer: Peer, error: RegionError) -> None:
        """Forget the split under way. One that was proposed may still be applied; its proposal answers for it."""
        if peer.split is not None and not peer.split.is_proposed:
            self._answer(peer.split.request, error)
            peer.grown_bytes = self.config.region_split_size_bytes
        peer.split = None

    def _finish_splits(self, applied_splits: list[SplitApplied]) -> None:
        for applied in applied_splits:
            peer = applied.parent
            on_split_applied(applied, self.region_map, self.config, self._add_newcomer)
            self._touched.add(peer.region.id)
            if peer.is_leader:
                self._effects.append(ReportSplit(applied.results))
                self._report(peer)
            if applied.request is not None:
                self._answer(applied.request, applied.results)
            again = peer.parked + reads.take_unconfirmed(peer)
            peer.parked = []
            for request in again:
                self._admit(request)
            new_ids = [region.id for region in applied.results[:-1]]
            self._note("region split", region_id=peer.region.id, region_ids=new_ids, index=peer.applied_index)

    def _add_newcomer(self, region: Region, campaigns: bool) -> Peer:
        return self._add_peer(region, first_start=True, eager=campaigns)

    def _run_split_checks(self) -> None:
        done = self._split_checks.run_slice()
        peer = self.peers.get(done.region.id) if done is not None else None
        if done is not None and peer is not None and peer.region.epoch == done.region.epoch:
            self._on_checked(peer, done)

    def _on_checked(self, peer: Peer, done: CheckDone) -> None:
        if done.is_whole:
            peer.approximate_size_bytes, peer.approximate_keys = done.size_bytes, done.key_count
        if done.keys and peer.is_leader:
            epoch = peer.region.epoch
            wanted = SplitRequested(None, peer.region.id, epoch.version, epoch.conf_ver, done.keys, "size")
            self._on_split_requested(wanted)
            if peer.split is not None and not peer.split.is_proposed:
                peer.split.pieces = done.pieces

    # ------------------------------------------------ stores and regions

    def _add_peer(self, region: Region, *, first_start: bool, eager: bool = False) -> Peer:
        peer = Peer(self.config, self.store_id, region, self._engine, self._rng, first_start)
        peer.next_report_ms = self._now_ms
        self.region_map.insert(region)
        self.peers[region.id] = peer
        peer.eager = eager
        if len(region.peers) == 1 or peer.eager:
            peer.node.campaign()
        self._touched.add(region.id)
        for envelope in self._early.take(region.id):
            self._take_envelope(envelope)
        return peer

    def _on_regions_listed(self, regions: Sequence[Region]) -> None:
        if self.is_started:
            return
        try:
            created = bootstrap.create_regions(self._engine, self.store_id, regions)
        except ConfigError as error:
            self._effects.append(Fatal(str(error), EXIT_STATE_CORRUPT))
            return
        self.is_started = True
        for region in created:
            self._add_peer(region, first_start=True, eager=region.peers[0].store_id == self.store_id)
        self._note("regions created", region_ids=[region.id for region in created])
        held, self._unstarted = self._unstarted, []
        for request in held:
            self._admit(request)

    def _on_unreached(self, store_id: StoreId) -> None:
        for peer in self._led():
            for meta in peer.region.peers:
                if meta.store_id == store_id and meta.id in peer.node.raft.prs.progress:
                    peer.node.report_unreachable(meta.id)
                    self._touched.add(peer.region.id)

    def _on_reached(self, store_id: StoreId) -> None:
        """A new region's first leader tries again when another replica can hear it."""
        for peer in self.peers.values():
            if peer.eager and not peer.node.raft.leader_id and store_id in peer.store_of.values():
                peer.node.campaign()
                self._touched.add(peer.region.id)

    def _led(self) -> list[Peer]:
        return [peer for peer in self.peers.values() if peer.is_leader]

    def _start_shutdown(self) -> None:
        """Refuse new requests; those that only wait for something to become known are told to go elsewhere."""
        self._closing = True
        held, self._unstarted = self._unstarted, []
        for peer in self.peers.values():
            held += peer.parked
            peer.parked = []
        for request in held:
            self._answer(request, StoreClosing())

    # ------------------------------------------------ time

    def _tick_if_due(self) -> None:
        """One tick per step at most: after a pause, messages that wait are read before an election may start."""
        if self._now_ms < self._next_tick_ms:
            return
        self._next_tick_ms = self._now_ms + self.config.tick_ms
        for peer in self.peers.values():
            if peer.node.tick():
                self._collect(peer)
            if self._now_ms >= peer.next_report_ms and peer.is_leader:
                self._report(peer)
        if self._now_ms >= self._next_gc_ms:
            self._next_gc_ms = self._now_ms + self.config.log_gc_interval_ms
            for peer in self._led():
                propose_compact_log(peer, self.config.log_gc_threshold)
        if self._now_ms >= self._next_split_check_ms:
            self._next_split_check_ms = self._now_ms + self.config.split_region_check_tick_interval_ms
            for peer in self.peers.values():
                if outgrown(self.config, peer) and self._split_checks.start(peer.region):
                    peer.grown_bytes = 0

    def _expire_if_due(self) -> None:
        """Refuse what has waited too long. Looked at a few times a second, and only while something waits."""
        if not self.waiting_requests or self._now_ms < self._next_expiry_ms:
            return
        self._next_expiry_ms = self._now_ms + EXPIRY_INTERVAL_MS
        for peer in self.peers.values():
            self._expire(peer)
            if reads.repeat_lost_round(peer, self._now_ms, self._round_patience_ms):
                self._touched.add(peer.region.id)
        self._unstarted = self._refuse_late(self._unstarted)

    def _expire(self, peer: Peer) -> None:
        if peer.parked:
            peer.parked = self._refuse_late(peer.parked)
        for request in reads.take_expired(peer, self._now_ms):
            self._answer(request, ReadIndexNotReady(peer.region.id, "no quorum confirmed the leader in time"))
        limit_ms = self._now_ms - self.config.write_timeout_ms
        if peer.split is not None and peer.split.asked_ms <= limit_ms:
            self._give_up_split(peer, ServerIsBusy("PD granted no ids for a split in time", BUSY_BACKOFF_MS))
        for proposals in peer.proposals.values():
            for proposal in proposals:
                if proposal.requests and proposal.proposed_ms <= limit_ms:
                    for request in proposal.requests:
                        self._answer(request, UndeterminedResult(peer.region.id, self.config.write_timeout_ms))
                    proposal.requests = []

    def _refuse_late(self, held: list[Request]) -> list[Request]:
        kept = []
        for request in held:
            if request.deadline_ms > self._now_ms:
                kept.append(request)
            elif request.region_id in self.peers:
                self._answer(request, NotLeader(request.region_id, self._leader_hint(request.region_id)))
            else:
                self._answer(request, RegionNotFound(request.region_id, self.store_id))
        return kept

    def _leader_hint(self, region_id: RegionId) -> Any:
        """Never a guess: a wrong hint makes old clients spend their retries in milliseconds (wire facts 3.4)."""
        leader = self.peers[region_id].leader()
        return leader if leader is not None and leader.store_id != self.store_id else None

    # ------------------------------------------------ raft

    def _propose(self) -> None:
        for region_id in self._touched:
            peer = self.peers.get(region_id)
            if peer is None:
                continue
            if peer.writes:
                for request in propose_writes(self.config, peer, self._now_ms):
                    self._hold(peer.parked, request, StaleCommand())
            reads.start_round(peer, self._now_ms)

    def _handle_readys(self) -> None:
        touched, self._touched = self._touched, set()
        batch = self._engine.batch()
        step = ReadyStep(self._engine, batch, self._outbox, self._sequence + 1, self._answer, self._on_soft_state)
        if self._synced is not None:
            for region_id in sorted(self._awaiting_sync):
                step.on_synced(self.peers[region_id], self._synced)
                touched.add(region_id)
            self._awaiting_sync.clear()
            self._synced = None
        self._handled = sorted(touched)
        for region_id in self._handled:
            peer = self.peers[region_id]
            if step.handle(peer):
                self._touched.add(region_id)
            if peer.unsynced:
                self._awaiting_sync.add(region_id)
        if len(batch):
            self._engine.write(batch)
        self._finish_splits(step.applier.splits)
        for peer, request in step.applier.refused:
            self._answer(request, epoch_not_match(peer.region, request.version, self.region_map))
        self._send()
        if step.must_sync:
            self._sequence = step.sequence
            self._effects.append(Sync(step.sequence))

    def _send(self) -> None:
        by_store, self._outbox.by_store = self._outbox.by_store, {}
        for store_id, envelopes in by_store.items():
            self._effects.append(SendRaft(store_id, envelopes))

    def _on_soft_state(self, peer: Peer) -> None:
        """Leader or role changed: what waited for a leader goes through the gate again, and PD hears of a new one."""
        leader_id = peer.node.raft.leader_id
        if leader_id == peer.leader_id:
            return
        peer.leader_id = leader_id
        if leader_id:
            peer.eager = False
        if leader_id != peer.meta.id:
            self._give_up_split(peer, NotLeader(peer.region.id, peer.leader()))
        again = reads.take_unconfirmed(peer)
        if leader_id:
            again += peer.parked
            peer.parked = []
        for request in again:
            self._admit(request)
        if leader_id == peer.meta.id:
            for meta in peer.region.peers:
                peer.last_heard_ms[meta.id] = self._now_ms
            self._report(peer)
        self._note("leader changed", region_id=peer.region.id, leader_id=leader_id, term=peer.term)

    def _report(self, peer: Peer) -> None:
        self._effects.append(ReportRegion(make_report(self.config, peer, self._now_ms)))

    # ------------------------------------------------ reads

    def _run_reads(self) -> None:
        """Run what became consistent in this step. The batch is written: reads see what was applied."""
        for region_id in self._handled:
            peer = self.peers[region_id]
            if not peer.reads.is_idle():
                for request in reads.take_runnable(peer):
                    self._run_read(peer, request)
                if reads.start_round(peer, self._now_ms):
                    self._touched.add(region_id)
        self._executor.run_slices()

    def _run_read(self, peer: Peer, request: Request) -> None:
        """The region may have been split since the read was admitted: rows of a smaller region are no answer."""
        try:
            check_epoch(peer.region, request, self.region_map)
            check_keys(peer.region, request.command)
        except RegionError as error:
            self._answer(request, error)
            return
        self._executor.run(peer, request)

    def _note(self, event: str, level: str = "INFO", **fields: Any) -> None:
        self._effects.append(Note(event, tuple(fields.items()), level))
