"""Stores and what they report about themselves and their regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, Region


class StoreState(IntEnum):
    """Life cycle of a store; numbers of metapb.StoreState."""

    UP = 0
    OFFLINE = 1
    TOMBSTONE = 2


class NodeState(IntEnum):
    """Finer life cycle; numbers of metapb.NodeState."""

    PREPARING = 0
    SERVING = 1
    REMOVING = 2
    REMOVED = 3


@dataclass(frozen=True, slots=True)
class StoreMeta:
    """A store as the cluster knows it (metapb.Store, wire facts 2.1)."""

    id: StoreId
    address: str
    """host:port that clients dial."""

    peer_address: str = ""
    """host:port for Raft traffic of other stores."""

    status_address: str = ""
    """host:port of the HTTP status server."""

    version: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    state: StoreState = StoreState.UP
    node_state: NodeState = NodeState.SERVING
    start_timestamp_s: int = 0
    """Process start, unix seconds."""

    last_heartbeat_ns: int = 0
    """Unix nanoseconds of the last store heartbeat; set by PD."""

    deploy_path: str = ""
    git_hash: str = ""


@dataclass(slots=True)
class StoreStats:
    """What a store reports every heartbeat (pdpb.StoreStats). Sizes in bytes, times in unix seconds."""

    store_id: StoreId
    capacity_bytes: int = 0
    available_bytes: int = 0
    used_size_bytes: int = 0
    region_count: int = 0
    start_time_s: int = 0
    is_busy: bool = False
    sending_snap_count: int = 0
    receiving_snap_count: int = 0
    applying_snap_count: int = 0
    is_stopping: bool = False
    """The process is about to end: PD should not give it leaders."""

    bytes_written: int = 0
    keys_written: int = 0
    bytes_read: int = 0
    keys_read: int = 0
    interval_start_s: int = 0
    interval_end_s: int = 0


@dataclass(frozen=True, slots=True)
class DownPeer:
    """A replica that its leader has not heard for ``down_seconds``."""

    peer: Peer
    down_seconds: int


@dataclass(slots=True)
class RegionHeartbeat:
    """What a leader reports about its region (pdpb.RegionHeartbeatRequest)."""

    region: Region
    leader: Peer
    term: int
    down_peers: list[DownPeer] = field(default_factory=list)
    pending_peers: list[Peer] = field(default_factory=list)
    bytes_written: int = 0
    keys_written: int = 0
    bytes_read: int = 0
    keys_read: int = 0
    approximate_size_bytes: int = 1
    """At least 1: the protocol reads 0 as unknown (wire facts 4.4)."""

    approximate_keys: int = 0
    interval_start_s: int = 0
    interval_end_s: int = 0


@dataclass(frozen=True, slots=True)
class SplitIds:
    """Ids for one new region: its own, and one per peer in the order of the region's peers."""

    region_id: RegionId
    peer_ids: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True)
class RegionRoute:
    """A region and who leads it, as PD or a store last knew."""

    region: Region
    leader: Peer | None
    down_peers: tuple[DownPeer, ...] = ()
    pending_peers: tuple[Peer, ...] = ()
