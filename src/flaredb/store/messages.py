"""The store core's whole vocabulary: what it is told (inputs) and what it asks for (effects).

Inputs end in a past participle, effects are imperatives.

``Store.step(now_ms, inputs) -> list[Effect]`` runs to completion. The rim performs effects in the order given:
a leader's appends (SendRaft) come before the Sync that makes its own copy durable, and whatever waits for that sync is
only returned by the step that is told SyncDone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flaredb.model.cluster import RegionHeartbeat, RegionRoute, SplitIds
from flaredb.model.commands import Request
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Region
from flaredb.raft import Message

# ---------------------------------------------------------------- inputs


@dataclass(slots=True)
class RaftEnvelope:
    """A Raft message and where it goes. Stores may drop, delay, repeat or reorder envelopes between each other."""

    region_id: RegionId
    from_peer: PeerId
    from_store: StoreId
    to_peer: PeerId
    to_store: StoreId
    conf_ver: int
    """Sender's epoch, so that the receiver can tell a stale sender."""

    version: int
    message: Message


@dataclass(slots=True)
class RaftReceived:
    """Envelopes from another store, in the order of its stream."""

    envelopes: list[RaftEnvelope]


@dataclass(slots=True)
class RequestsReceived:
    """Client requests that arrived together: one unary call, or a whole BatchCommands frame."""

    requests: list[Request]


@dataclass(frozen=True, slots=True)
class SyncDone:
    """Everything written before the Sync effect of this sequence number is durable."""

    sequence: int


@dataclass(frozen=True, slots=True)
class StoreUnreached:
    """Messages to this store were lost: connection refused, broken, or its queue was full."""

    store_id: StoreId


@dataclass(frozen=True, slots=True)
class StoreReached:
    """A connection to this store was made, for the first time or again."""

    store_id: StoreId


@dataclass(frozen=True, slots=True)
class RegionsListed:
    """PD's initial regions: those with a peer here are created, if nothing is on this store's disk yet."""

    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class RoutesLearned:
    """What PD knows of regions and their leaders; refreshes the routing cache."""

    routes: tuple[RegionRoute, ...]


@dataclass(frozen=True, slots=True)
class SplitRequested:
    """Split a region that is led here, on the store's own or PD's behalf; clients send a Request with a Split.

    Whatever does not fit the region as it is now is dropped, or answered to ``token`` with a RegionError.
    """

    token: Any
    """As Request.token; None: nobody waits for the outcome."""

    region_id: RegionId
    version: int
    conf_ver: int
    keys: tuple[bytes, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SplitIdsGranted:
    """PD's answer to AskSplit: one SplitIds per new region, or why there are none."""

    region_id: RegionId
    version: int
    """Region epoch version that AskSplit named."""

    ids: tuple[SplitIds, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class HeartbeatsWanted:
    """The link to PD is new: report every region led here at once."""


@dataclass(frozen=True, slots=True)
class ShutdownStarted:
    """The process is asked to stop: refuse new requests, answer those that wait."""


Input = (
    RaftReceived
    | RequestsReceived
    | SyncDone
    | StoreUnreached
    | StoreReached
    | RegionsListed
    | RoutesLearned
    | SplitRequested
    | SplitIdsGranted
    | HeartbeatsWanted
    | ShutdownStarted
)

# ---------------------------------------------------------------- effects


@dataclass(slots=True)
class SendRaft:
    """Send to one store, in order, without waiting; may be dropped when its queue is full."""

    to_store: StoreId
    envelopes: list[RaftEnvelope]


@dataclass(frozen=True, slots=True)
class Sync:
    """Make everything written so far durable, then tell SyncDone with the same sequence."""

    sequence: int


@dataclass(slots=True)
class Reply:
    """Answers of this step: (token of the request, its result or a RegionError instance)."""

    answers: list[tuple[Any, Any]]


@dataclass(slots=True)
class ReportRegion:
    """Send a region heartbeat to PD."""

    heartbeat: RegionHeartbeat


@dataclass(frozen=True, slots=True)
class AskSplit:
    """Ask PD for the ids of ``count`` new regions out of ``region``, then tell SplitIdsGranted."""

    region: Region
    count: int


@dataclass(frozen=True, slots=True)
class ReportSplit:
    """Tell PD the results of a split, in key order. May be lost: the leaders' heartbeats say the same."""

    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class RefreshRoutes:
    """Ask PD for its regions: a request named one that this store does not know."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a log line and a count. ``fields`` hold plain values."""

    event: str
    fields: tuple[tuple[str, Any], ...] = ()
    level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Fatal:
    """The environment is bad (engine failed, state corrupt): stop the process with this exit status."""

    reason: str
    exit_status: int = 70


Effect = SendRaft | Sync | Reply | ReportRegion | AskSplit | ReportSplit | RefreshRoutes | Note | Fatal
