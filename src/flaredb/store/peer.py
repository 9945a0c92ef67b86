"""One replica of one region on this store: its Raft node, its storage, and the requests that wait for it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from flaredb.engine.base import Engine
from flaredb.model.commands import Operation, Request
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.region import Peer as PeerMeta
from flaredb.model.region import Region
from flaredb.raft import Config, LeaseClock, Message, RawNode, ReadOnlyOption, Rest, StateRole
from flaredb.store.config import StoreConfig
from flaredb.store.messages import ReceivedSnapshot
from flaredb.store.raft_storage import RaftStorage
from flaredb.store.read_queue import ReadCounts, ReadQueue, RoundNames
from flaredb.store.snapshot_desk import SnapshotDesk

_LEADER: Final = StateRole.Leader
NOBODY: frozenset[int] = frozenset()


@dataclass(slots=True)
class Proposal:
    """An entry that this peer proposed and whose requests wait for its fate: decided when its index is applied."""

    index: int
    term: int
    version: int
    """Region epoch version when proposed; compared again when applied."""

    proposed_ms: int
    operations: list[Operation]
    requests: list[Request]
    """Their operations follow each other in ``operations``."""

    size_bytes: int = 0
    """Of the writes among them."""


@dataclass(slots=True)
class SplitUnderWay:
    """A split of this region that this leader has begun; at most one at a time."""

    request: Request
    asked_ms: int
    is_proposed: bool = False
    """True once the log has it: then its request is also in the proposals, which answer it."""

    pieces: tuple[tuple[int, int], ...] = ()
    """(bytes, keys) of each result, if a split check has counted them; used here only, never replicated."""


@dataclass(slots=True)
class Fill:
    """A received snapshot whose rows are being written."""

    file: ReceivedSnapshot
    size_bytes: int = 0
    keys: int = 0


@dataclass(slots=True)
class Traffic:
    """What a peer moved since it last reported to PD."""

    bytes_written: int = 0
    keys_written: int = 0
    bytes_read: int = 0
    keys_read: int = 0
    since_s: int = 0

    def add(self, bytes_written: int, keys_written: int, bytes_read: int, keys_read: int) -> None:
        """Count some more."""
        self.bytes_written += bytes_written
        self.keys_written += keys_written
        self.bytes_read += bytes_read
        self.keys_read += keys_read


NO_TRAFFIC = Traffic()
"""Never changed."""


@dataclass(slots=True)
class Unsynced:
    """A Ready whose contents are written but not durable yet, and the messages that promise them."""

    sequence: int
    ready_number: int
    applied_index: int
    messages: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class PeerParts:
    """What all peers of a store share."""

    config: StoreConfig
    engine: Engine
    rng: Random
    desk: SnapshotDesk
    round_names: RoundNames
    clock: LeaseClock
    counts: ReadCounts


class Peer:
    """State only; the steps that change it are in ready.py, reads.py, applier.py and commands/.

    Invariants: ``unsynced`` ascends by sequence and Ready number; ``applied_index`` equals the storage's apply state;
    ``synced_applied_index <= applied_index``; requests in ``writes`` have passed the gate; a region
    without peers is an empty replica's, which waits for a snapshot; while ``fill`` is set nothing is applied or served.

    A replica at rest gives up what can be made anew (``fold``): its Raft node and storage from the engine and ``rest``,
    its queues because they are empty. Each is made again when it is first asked for.
    """

    __slots__ = (
        "agreed",
        "applied_index",
        "approximate_keys",
        "approximate_size_bytes",
        "asked_pd_ms",
        "collected_bytes",
        "eager",
        "fill",
        "grown_bytes",
        "has_pending",
        "heard_conf_ver",
        "held_to",
        "idle_ticks",
        "incoming",
        "is_asleep",
        "is_destroyed",
        "is_drowsy",
        "is_miscounted",
        "is_report_queued",
        "last_heard_ms",
        "leader_id",
        "meta",
        "next_report_ms",
        "node",
        "parked",
        "parts",
        "proposals",
        "proposed_bytes",
        "reads",
        "region",
        "reported_pending",
        "rest",
        "split",
        "storage",
        "store_of",
        "synced_applied_index",
        "traffic",
        "transfer_was_running",
        "unsampled",
        "unsampled_bytes",
        "unsynced",
        "writes",
    )

    storage: RaftStorage
    node: RawNode
    store_of: dict[int, StoreId]
    """Where to answer: members, and whoever wrote although it is none that is known here."""

    writes: list[Request]
    """Writes of this step, to be proposed at its end, or kept back for more of them (proposing.py)."""

    proposals: dict[int, list[Proposal]]
    """By index, all above the applied one; several for one index if this peer led in several terms."""

    reads: ReadQueue
    parked: list[Request]
    """Requests that wait for a leader to be known."""

    unsynced: deque[Unsynced]
    last_heard_ms: dict[int, int]
    traffic: Traffic

    def __init__(self, parts: PeerParts, meta: PeerMeta, region: Region, first_start: bool) -> None:
        """Load the replica ``meta`` of ``region``, or make an empty one. Errors: StateCorrupted."""
        self.parts = parts
        self.region = region
        self.meta = meta
        self.applied_index = self.storage.apply_state.applied_index
        self.synced_applied_index = self.applied_index
        raft_config = _raft_config(parts.config, meta.id, self.applied_index, first_start, parts.clock)
        self.node = RawNode(raft_config, self.storage, parts.rng)
        self.rest: Rest | None = None
        """Set while the node is given up, or could be."""
        self.leader_id = 0
        """As of the last Ready handled; 0 while unknown."""
        self.heard_conf_ver = 0
        """Highest conf_ver of those who wrote to this replica: at that epoch they took it for a member."""
        self.asked_pd_ms = 0
        """When PD was last asked whether this replica still belongs to its region, or when the store took it in."""
        self.eager = False
        """True on the peer that should lead a region that was just created: it campaigns without waiting."""
        self.collected_bytes = 0
        """Of ``writes``."""
        self.proposed_bytes = 0
        """Of the writes in ``proposals``, answered or not: their entries take memory until they are applied."""
        self.next_report_ms = 0
        self.approximate_size_bytes = 0
        self.approximate_keys = 0
        self.unsampled = 0
        self.unsampled_bytes = 0
        """Puts and deletes, and their bytes, since the applier last looked what one of them takes away."""
        self.is_miscounted = False
        """True once a range was deleted: how much that was is not known before the rows are counted again."""
        self.grown_bytes = 0
        """Written since the region was last looked at by a split check."""
        self.split: SplitUnderWay | None = None
        self.has_pending = False
        """True if the last report to PD named replicas that lag, or members have changed since."""
        self.reported_pending: tuple[PeerMeta, ...] = ()
        """What the last report to PD named."""
        self.transfer_was_running = False
        """As of the last tick: a transfer that ends without a new leader lets held requests go on."""
        self.incoming: ReceivedSnapshot | None = None
        """The snapshot that Raft has taken and whose Ready is about to be handled."""
        self.fill: Fill | None = None
        """Set from the first batch of a snapshot until its rows are whole."""
        self.held_to = 0
        """Entries up to here are committed but not applied, because of a fill; 0: none."""
        self.is_destroyed = False
        self.is_asleep = False
        """It is not ticked, and nothing waits here (hibernation.py)."""
        self.idle_ticks = 0
        """Ticks of this leader since its region last had something to do."""
        self.is_drowsy = False
        """This leader asks the others to sleep."""
        self.agreed: frozenset[int] = NOBODY
        """Who sleeps already."""
        self.is_report_queued = False

    @property
    def is_initialised(self) -> bool:
        """False for an empty replica: no range, no members, no data."""
        return bool(self.region.peers)

    def was_removed_by(self, region: Region) -> bool:
        """True if the region, as somebody else knows it, is later than anything known here, and without this replica.

        An empty replica knows no epoch of its own, but who wrote to it did: what is older than that proves nothing.
        """
        known = max(self.region.epoch.conf_ver, self.heard_conf_ver)
        return region.epoch.conf_ver > known and region.peer(self.meta.id) is None

    @property
    def is_leader(self) -> bool:
        """True while the Raft node leads; what it says may be stale until a quorum confirms it."""
        if self.rest is not None:
            return self.rest.is_leader
        return self.node.raft.state is _LEADER

    @property
    def term(self) -> int:
        """The Raft node's current term."""
        if self.rest is not None:
            return self.rest.term
        return self.node.raft.term

    def leader(self) -> PeerMeta | None:
        """The leader that this peer believes in."""
        leader_id = self.node.raft.leader_id
        return self.region.peer(PeerId(leader_id)) if leader_id else None

    def fold(self) -> None:
        """Give up what can be made anew. Pre: everything is written to the engine, nothing waits, node.rest() may be
        called.
        """
        if self.rest is None:
            self.rest = self.node.rest()
        traffic = self.traffic
        for name in _MADE_ANEW:
            with contextlib.suppress(AttributeError):
                delattr(self, name)
        if traffic.bytes_written or traffic.keys_written or traffic.bytes_read or traffic.keys_read:
            self.traffic = traffic

    def unreported(self) -> Traffic:
        """The traffic since the last report, without making anew what was given up because it is none."""
        try:
            found: Traffic = object.__getattribute__(self, "traffic")
        except AttributeError:
            return NO_TRAFFIC
        return found

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Only called for what is not there: made now."""
            make = _MADE_ANEW.get(name)
            if make is None:
                raise AttributeError(f"a peer has no {name}")
            value = make(self)
            setattr(self, name, value)
            return value

    def stir(self) -> None:
        """There is something to do: the wish to sleep is over."""
        self.idle_ticks = 0
        self.is_drowsy = False
        self.agreed = NOBODY

    def take_writes(self) -> list[Request]:
        """The writes that passed the gate and are in no log entry."""
        requests, self.writes, self.collected_bytes = self.writes, [], 0
        return requests

    def take_waiting(self) -> list[Request]:
        """Every request that waits here and is in no log entry: it has had no effect."""
        requests = self.take_writes() + self.parked + self.reads.take_all()
        if self.split is not None and not self.split.is_proposed:
            requests.append(self.split.request)
        self.parked, self.split = [], None
        return requests

    def take_proposed(self, up_to_index: int | None = None) -> list[Request]:
        """The requests of proposals, all or up to an index, whose entries will not be applied here one by one."""
        indexes = [index for index in self.proposals if up_to_index is None or index <= up_to_index]
        return [request for index in indexes for proposal in self.pop_proposals(index) for request in proposal.requests]

    def pop_proposals(self, index: int) -> list[Proposal]:
        """Those for one index, whose fate is decided."""
        popped = self.proposals.pop(index, [])
        for proposal in popped:
            self.proposed_bytes -= proposal.size_bytes
        return popped

    def status(self) -> dict[str, Any]:
        """What the status server shows of this peer (plain values; keys as text)."""
        raft, region, state = self.node.raft, self.region, self.storage.apply_state
        return {
            "region_id": region.id,
            "start_key": region.start_key,
            "end_key": region.end_key,
            "epoch": {"conf_ver": region.epoch.conf_ver, "version": region.epoch.version},
            "peers": [{"id": p.id, "store_id": p.store_id, "role": p.role.name.lower()} for p in region.peers],
            "peer_id": self.meta.id,
            "role": raft.state.name,
            "leader_id": raft.leader_id,
            "term": raft.term,
            "raft_state": {
                "last_index": raft.raft_log.last_index(),
                "hard_state": {"term": raft.term, "vote": raft.vote, "commit": raft.raft_log.committed},
            },
            "apply_state": {"applied_index": self.applied_index, "truncated_index": state.truncated_index},
            "approximate_size": self.approximate_size_bytes,
            "approximate_keys": self.approximate_keys,
            "is_filling": self.fill is not None,
            "is_asleep": self.is_asleep,
        }


def _load_storage(peer: Peer) -> RaftStorage:
    parts = peer.parts
    return RaftStorage(parts.engine, peer.region, parts.config.log_cache_bytes_max, parts.desk)


def _remake_node(peer: Peer) -> RawNode:
    parts, rest = peer.parts, peer.rest
    assert rest is not None, "a node is given up only at rest"
    raft_config = _raft_config(parts.config, peer.meta.id, peer.applied_index, False, parts.clock)
    return RawNode.rested(raft_config, peer.storage, parts.rng, rest)


def _traffic_since_report(peer: Peer) -> Traffic:
    return Traffic(since_s=max(peer.next_report_ms - peer.parts.config.region_heartbeat_ms, 0) // 1000)


_MADE_ANEW: dict[str, Callable[[Peer], Any]] = {
    "storage": _load_storage,
    "node": _remake_node,
    "store_of": lambda peer: {meta.id: meta.store_id for meta in peer.region.peers},
    "writes": lambda _: [],
    "proposals": lambda _: {},
    "reads": lambda peer: ReadQueue(peer.parts.counts),
    "parked": lambda _: [],
    "unsynced": lambda _: deque(),
    "last_heard_ms": lambda _: {},
    "traffic": _traffic_since_report,
}


def _raft_config(config: StoreConfig, peer_id: PeerId, applied: int, first_start: bool, clock: LeaseClock) -> Config:
    """Promises are kept in every mode of reading, so that stores may change theirs one after the other."""
    lease_ms = config.lease_length_ms
    return Config(
        id=peer_id,
        election_tick=config.election_ticks,
        heartbeat_tick=config.heartbeat_ticks,
        min_election_tick=config.election_ticks,
        max_election_tick=config.election_ticks_max,
        applied=applied,
        max_size_per_msg=config.message_size_bytes_max,
        max_inflight_msgs=config.inflight_messages_max,
        max_inflight_bytes=config.inflight_bytes_max,
        max_committed_size_per_ready=config.apply_size_bytes_max,
        check_quorum=True,
        read_only_option=ReadOnlyOption.LeaseBased if lease_ms else ReadOnlyOption.Safe,
        keeps_promises=True,
        lease_clock=clock if lease_ms else None,
        lease_length=lease_ms,
        pre_vote=True,
        skip_bcast_commit=True,
        batch_append=True,
        disable_proposal_forwarding=True,
        first_start=first_start,
    )
