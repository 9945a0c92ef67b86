"""One replica of one region on this store: its Raft node, its storage, and the requests that wait for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from flaredb.engine.base import Engine
from flaredb.model.commands import Operation, Request
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.region import Peer as PeerMeta
from flaredb.model.region import Region
from flaredb.raft import Config, Message, RawNode, StateRole
from flaredb.store.config import StoreConfig
from flaredb.store.raft_storage import RaftStorage
from flaredb.store.read_queue import ReadQueue


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
class Traffic:
    """What a peer moved since it last reported to PD."""

    bytes_written: int = 0
    keys_written: int = 0
    bytes_read: int = 0
    keys_read: int = 0
    since_s: int = 0


@dataclass(slots=True)
class Unsynced:
    """A Ready whose contents are written but not durable yet, and the messages that promise them."""

    sequence: int
    ready_number: int
    applied_index: int
    messages: list[Message] = field(default_factory=list)


class Peer:
    """State only; the steps that change it are in ready.py, reads.py, applier.py and commands/.

    Invariants: ``unsynced`` ascends by sequence and Ready number; ``applied_index`` equals the storage's apply state;
    ``synced_applied_index <= applied_index``; requests in ``writes`` have passed the gate in this step.
    """

    __slots__ = (
        "applied_index",
        "approximate_keys",
        "approximate_size_bytes",
        "eager",
        "grown_bytes",
        "last_heard_ms",
        "leader_id",
        "meta",
        "next_report_ms",
        "node",
        "parked",
        "proposals",
        "reads",
        "region",
        "split",
        "storage",
        "store_of",
        "synced_applied_index",
        "traffic",
        "unsynced",
        "writes",
    )

    def __init__(
        self, config: StoreConfig, store_id: StoreId, region: Region, engine: Engine, rng: Random, first_start: bool
    ) -> None:
        """Load the replica of ``region`` on ``store_id``. Errors: StateCorrupted; asserts that the region has one."""
        meta = region.peer_on(store_id)
        assert meta is not None, f"region {region.id} has no peer on store {store_id}"
        self.region = region
        self.meta: PeerMeta = meta
        self.storage = RaftStorage(engine, region, config.log_cache_bytes_max)
        self.applied_index = self.storage.apply_state.applied_index
        self.synced_applied_index = self.applied_index
        self.node = RawNode(_raft_config(config, meta.id, self.applied_index, first_start), self.storage, rng)
        self.store_of: dict[int, StoreId] = {peer.id: peer.store_id for peer in region.peers}
        self.leader_id = 0
        """As of the last Ready handled; 0 while unknown."""
        self.eager = False
        """True on the peer that should lead a region that was just created: it campaigns without waiting."""
        self.writes: list[Request] = []
        """Writes of this step, to be proposed at its end."""
        self.proposals: dict[int, list[Proposal]] = {}
        """By index, all above the applied one; several for one index if this peer led in several terms."""
        self.reads = ReadQueue(rng.getrandbits(64))
        self.parked: list[Request] = []
        """Requests that wait for a leader to be known."""
        self.unsynced: deque[Unsynced] = deque()
        self.last_heard_ms: dict[int, int] = {}
        self.next_report_ms = 0
        self.traffic = Traffic()
        self.approximate_size_bytes = 0
        self.approximate_keys = 0
        self.grown_bytes = 0
        """Written since the region was last looked at by a split check."""
        self.split: SplitUnderWay | None = None

    @property
    def is_leader(self) -> bool:
        """True while the Raft node leads; what it says may be stale until a quorum confirms it."""
        return self.node.raft.state is StateRole.Leader

    @property
    def term(self) -> int:
        """The Raft node's current term."""
        return self.node.raft.term

    def leader(self) -> PeerMeta | None:
        """The leader that this peer believes in."""
        leader_id = self.node.raft.leader_id
        return self.region.peer(PeerId(leader_id)) if leader_id else None

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
        }


def _raft_config(config: StoreConfig, peer_id: PeerId, applied: int, first_start: bool) -> Config:
    return Config(
        id=peer_id,
        election_tick=config.election_ticks,
        heartbeat_tick=config.heartbeat_ticks,
        min_election_tick=config.election_ticks,
        max_election_tick=config.election_ticks_max,
        applied=applied,
        max_size_per_msg=config.message_size_bytes_max,
        max_inflight_msgs=config.inflight_messages_max,
        max_committed_size_per_ready=config.apply_size_bytes_max,
        check_quorum=True,
        pre_vote=True,
        skip_bcast_commit=True,
        batch_append=True,
        disable_proposal_forwarding=True,
        first_start=first_start,
    )
