"""What a store is between two steps: its peers, their ranges, what waits, and what it asks for.

No operation is here: they are functions of a StoreState, one file each. store.py runs them in the order of a step.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from random import Random
from typing import Any

from flaredb.engine.base import Engine
from flaredb.model.commands import Request, Write
from flaredb.model.errors import RegionError, UndeterminedResult
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Peer as PeerMeta
from flaredb.model.region import Region
from flaredb.raft import LeaseClock
from flaredb.store.bootstrap import is_bootstrapped
from flaredb.store.config import StoreConfig
from flaredb.store.contacts import Contacts
from flaredb.store.early_messages import EarlyMessages
from flaredb.store.flow import FlowControl
from flaredb.store.heartbeat import make_report
from flaredb.store.install import Fills
from flaredb.store.messages import Effect, Note, RaftEnvelope, Reply, ReportRegion, SnapshotFiles
from flaredb.store.outbox import Outbox
from flaredb.store.peer import Peer, PeerParts, Traffic
from flaredb.store.read_queue import ReadCounts, RoundNames
from flaredb.store.region_map import RegionMap
from flaredb.store.routes import RouteCache
from flaredb.store.snapshot_desk import SnapshotDesk
from flaredb.store.split_check import SplitChecks

LEAVING_PRIORITY = -1
"""Election priority of a store that is about to stop: others refuse to elect it while their logs are as long."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """Writes that wait for more of their region."""

    until_ms: int
    term: int
    version: int
    """Of the region's epoch, when the first of them passed the gate."""

    def passed_for(self, term: int, version: int) -> bool:
        """True if the gate let them pass for this leadership and this range."""
        return self.term == term and self.version == version


class StoreState:
    """Everything that operations read and change.

    Invariants (invariants.py): the region map holds exactly the regions of initialised peers; ranges never overlap;
    every request taken is answered exactly once.
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
        """An empty store; nothing is read but whether it was started before. Errors: ConfigError, EngineError."""
        config.validate()
        self.config = config
        self.store_id = store_id
        self.engine = engine
        self.files = files
        self.now_ms = now_ms
        self.lease_clock = LeaseClock(now_ms)
        """The time of the step, for the leases of all peers."""
        self.lease_suspensions = 0
        """How often another store's clock was found to run faster than leases allow."""
        self.read_counts = ReadCounts()
        self.peers: dict[RegionId, Peer] = {}
        self.awake: dict[RegionId, Peer] = {}
        """The peers that are ticked; the others sleep (hibernation.py)."""
        self.contacts = Contacts(config.election_ticks, rng.getrandbits(62) + 1, now_ms)
        self.to_wake: OrderedDict[RegionId, None] = OrderedDict()
        """Sleepers that wake in the next steps, in this order."""
        self.rare_reports: list[tuple[int, RegionId]] = []
        """A heap: when to report regions that sleep, at the earliest."""
        self.to_check: list[RegionId] = []
        """Sleepers of which PD is still to be asked in this turn, from the end."""
        self.check_interval_ms = 0
        self.next_check_ms = now_ms + config.leader_missing_ms
        self.region_map = RegionMap()
        self.routes = RouteCache()
        self.early = EarlyMessages()
        self.desk = SnapshotDesk(config, engine)
        self.fills = Fills(config, engine)
        self.split_checks = SplitChecks(config, engine)
        self.outbox = Outbox(self.desk)
        self.reserved: dict[RegionId, Region] = {}
        """Regions whose snapshots Raft has taken in this step; from the next step on the region map has them."""
        self.messages_refused = 0
        """Messages of other stores that no working store sends, or that contradict what is known here."""
        self.flow = FlowControl(config.flow, engine, now_ms)
        self.unsynced_bytes = 0
        """Written to the engine and not yet known to be durable."""
        self.busy_counts: dict[str, int] = {}
        """Requests refused with ServerIsBusy, by what was full."""
        self.appends_dropped = 0
        """Entries of other leaders that were not taken because too much waits for the disk."""
        self.told_traffic = Traffic()
        """What PD was told that regions led here moved, since the start."""
        self.waiting_requests = 0
        self.waiting_write_bytes = 0
        self.unstarted: list[Request] = []
        """Requests that came before this store knew its regions."""
        self.touched: set[RegionId] = set()
        """Regions with something to handle in this step, or left over for the next."""
        self.gathering: dict[RegionId, Gathering] = {}
        """Regions whose writes are kept back for more of them (proposing.py), in the order of their times."""
        self.awaiting_sync: set[RegionId] = set()
        self.must_sync = False
        """Something outside of Raft's Readys was written that should be durable soon."""
        self.unsaved_changes: dict[RegionId, int] = {}
        """Regions whose last change of members is written, and the sync that makes it durable. Until then nobody is
        told of it: PD would have the removed replica deleted, whose vote this store needs again if the
        change is gone after a crash."""
        self.is_closing = False
        self.is_leaving = False
        """The process is about to stop: leaderships go elsewhere."""
        self.arrived_early: list[RaftEnvelope] = []
        """What came for peers before they were made: to be delivered in this step."""
        self.is_started = is_bootstrapped(engine)
        """False until this store has been given its first regions."""
        self._parts = PeerParts(
            config, engine, rng, self.desk, RoundNames(rng.getrandbits(64)), self.lease_clock, self.read_counts
        )
        self._answers: list[tuple[Any, Any]] = []
        self._effects: list[Effect] = []

    @property
    def is_busy(self) -> bool:
        """True when more than three quarters of the requests or written bytes that may wait here do, or when writes
        are refused because the engine or its disk is behind."""
        config = self.config
        return (
            self.waiting_requests * 4 > config.requests_max * 3
            or self.waiting_write_bytes * 4 > config.write_bytes_max * 3
            or self.unsynced_bytes > config.unsynced_bytes_max
            or self.flow.share < 1.0
        )

    def emit(self, effect: Effect) -> None:
        """Ask for an effect, after those asked for before."""
        self._effects.append(effect)

    def note(self, event: str, level: str = "INFO", **fields: Any) -> None:
        """Something worth a log line."""
        self._effects.append(Note(event, tuple(fields.items()), level))

    def report(self, peer: Peer) -> None:
        """Tell PD of a region led here, or do so later, once its last change of members is durable."""
        if peer.region.id in self.unsaved_changes:
            return
        told = make_report(self.config, peer, self.now_ms)
        self.told_traffic.add(told.bytes_written, told.keys_written, told.bytes_read, told.keys_read)
        self._effects.append(ReportRegion(told))

    def traffic(self) -> Traffic:
        """What regions moved while they were led here, since the start; it may be behind after a leader has gone."""
        total = Traffic()
        for part in (self.told_traffic, *(peer.unreported() for peer in self.peers.values() if peer.is_leader)):
            total.add(part.bytes_written, part.keys_written, part.bytes_read, part.keys_read)
        return total

    def answer(self, request: Request, result: Any) -> None:
        """End a request that was counted in."""
        self.waiting_requests -= 1
        if isinstance(request.command, Write):
            self.waiting_write_bytes -= request.command.size_bytes
        self.reply(request, result)

    def answer_undetermined(self, peer: Peer, requests: list[Request]) -> None:
        """End requests whose entries will not be seen applied here."""
        for request in requests:
            self.answer(request, UndeterminedResult(peer.region.id))

    def reply(self, request: Request, result: Any) -> None:
        """Answer whoever asked; an order's refusal has nobody but the log."""
        if isinstance(result, RegionError):
            # Its trace knows the inputs of the step and so this request, whose token knows the answer: a cycle.
            result.__traceback__ = None
        if request.token is not None:
            self._answers.append((request.token, result))
        elif isinstance(result, RegionError):
            self.note("order refused", region_id=request.region_id, reason=str(result))

    def add_peer(self, region: Region, *, first_start: bool, eager: bool = False, meta: PeerMeta | None = None) -> Peer:
        """Take in the replica ``meta`` of a region, by default the one that the region has on this store."""
        meta = meta or region.peer_on(self.store_id)
        assert meta is not None, f"region {region.id} has no peer on store {self.store_id}"
        peer = Peer(self._parts, meta, region, first_start)
        peer.next_report_ms = peer.asked_pd_ms = self.now_ms
        if peer.is_initialised:
            self.region_map.insert(region)
        self.peers[region.id] = self.awake[region.id] = peer
        self.contacts.is_stale = True
        peer.eager = eager
        if len(region.peers) == 1 or peer.eager:
            peer.node.campaign()
        if self.is_leaving:
            peer.node.set_priority(LEAVING_PRIORITY)
        self.touched.add(region.id)
        self.arrived_early += self.early.take(region.id)
        return peer

    def take_effects(self) -> list[Effect]:
        """What was asked for since the last call, answers last."""
        effects, self._effects = self._effects, []
        if self._answers:
            effects.append(Reply(self._answers))
            self._answers = []
        return effects
