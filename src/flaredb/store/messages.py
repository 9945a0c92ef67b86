"""The store core's whole vocabulary: what it is told (inputs) and what it asks for (effects).

Inputs end in a past participle, effects are imperatives.

``Store.step(now_ms, inputs) -> list[Effect]`` runs to completion. The rim performs effects in the order given:
a leader's appends (SendRaft) come before the Sync that makes its own copy durable, and whatever waits for that sync is
only returned by the step that is told SyncDone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

import msgspec

from flaredb.model.cluster import RegionHeartbeat, RegionRoute, SplitIds
from flaredb.model.commands import Request
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import RegionOrder
from flaredb.model.region import Region
from flaredb.raft import Message, MessageType

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
    sender_range: tuple[bytes, bytes] | None = None
    """The sender's [start, end), on messages that may create the replica they are for."""

    is_tombstone: bool = False
    """No Raft message: the receiver is no member at the sender's newer epoch, and must destroy itself."""


NUMBER_MAX = 2**63 - 1
"""Ids, terms, indexes and epochs between stores are 0 to this; what is greater comes from no working store."""

_COUNT = msgspec.Meta(ge=0, le=NUMBER_MAX)

_HEARTBEAT = MessageType.MsgHeartbeat
_HEARTBEAT_RESPONSE = MessageType.MsgHeartbeatResponse

if TYPE_CHECKING:
    _BeatBase = RaftEnvelope
else:

    class _BeatBase(msgspec.Struct, array_like=True, gc=False):
        """Made, written and read by compiled code."""


class Beat(_BeatBase):
    """A RaftEnvelope whose message is a heartbeat, or the answer to one, that says nothing but that all is as before.

    Most of what thousands of idle regions say. It has every attribute of a RaftEnvelope; its message is made when
    asked for, its receiver may take it without.

    One of region 0 is from a store itself: that it lives, and in ``term`` which of its lives this is, and in
    ``index``, ``commit`` and ``version`` three readings of clocks (contacts.py).
    """

    region_id: Annotated[RegionId, _COUNT]
    from_peer: Annotated[PeerId, _COUNT]
    from_store: Annotated[StoreId, _COUNT]
    to_peer: Annotated[PeerId, _COUNT]
    to_store: Annotated[StoreId, _COUNT]
    conf_ver: Annotated[int, _COUNT]
    version: Annotated[int, _COUNT]
    is_answer: bool
    term: Annotated[int, _COUNT]
    index: Annotated[int, _COUNT]
    """As Message.index: the leader's tick count where leases are in use."""

    commit: Annotated[int, _COUNT]

    is_drowsy: bool = False
    """On a heartbeat: the leader would put the region to sleep. On its answer: the sender sleeps (hibernation.py)."""

    if TYPE_CHECKING:

        def __init__(
            self,
            region_id: RegionId,
            from_peer: PeerId,
            from_store: StoreId,
            to_peer: PeerId,
            to_store: StoreId,
            conf_ver: int,
            version: int,
            is_answer: bool,
            term: int,
            index: int,
            commit: int,
            is_drowsy: bool = False,
        ) -> None: ...

    else:
        sender_range: ClassVar[None] = None
        is_tombstone: ClassVar[bool] = False

        @property
        def message(self) -> Message:
            """The Raft message."""
            kind = _HEARTBEAT_RESPONSE if self.is_answer else _HEARTBEAT
            return Message(kind, self.to_peer, self.from_peer, self.term, 0, self.index, [], self.commit)


class SnapshotSource(Protocol):
    """A region's rows at the index of its MsgSnapshot. One thread, of the rim's choice, reads and closes it."""

    @property
    def size_bytes(self) -> int:
        """About how many bytes of keys and values there are; for progress and timeouts only."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The rows as chunks (wire/snapshots.py), each made when asked for and at most CHUNK_BYTES_MAX long."""
        ...

    def close(self) -> None:
        """Let go of the engine's snapshot; closing twice is allowed."""
        ...


class ReceivedSnapshot(Protocol):
    """A whole snapshot from another store, durable under its name until it is discarded."""

    @property
    def name(self) -> str:
        """Under which ``SnapshotFiles.open`` finds it again, after a restart too."""
        ...

    @property
    def size_bytes(self) -> int:
        """About how large it is. Errors: StateCorrupted if it is gone."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Its chunks in order, from the first. Errors: StateCorrupted for one that fails its check."""
        ...


class SnapshotFiles(Protocol):
    """The received snapshots of a store."""

    def open(self, name: str) -> ReceivedSnapshot | None:
        """The snapshot of that name, None if it is gone."""
        ...

    def discard(self, name: str) -> None:
        """Delete a snapshot that is installed or not wanted; one that is gone is fine."""
        ...


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


@dataclass(slots=True)
class SnapshotReceived:
    """A snapshot is here, whole, checked and durable. Who does not take it discards it."""

    envelope: RaftEnvelope
    """Its MsgSnapshot, whose data is the region (wire/states.encode_region)."""

    file: ReceivedSnapshot


@dataclass(frozen=True, slots=True)
class SnapshotSent:
    """What became of a SendSnapshot: the receiver has it, or it was refused, broken off or too slow."""

    region_id: RegionId
    to_peer: PeerId
    succeeded: bool


@dataclass(frozen=True, slots=True)
class OrderReceived:
    """PD's order to a region led here; dropped if it does not fit the region as it is now (wire facts 4.5)."""

    order: RegionOrder


@dataclass(frozen=True, slots=True)
class RegionChecked:
    """PD's answer to CheckRegion; None: PD knows no such region."""

    region_id: RegionId
    region: Region | None


@dataclass(frozen=True, slots=True)
class LeadersHandedOver:
    """The process is about to stop: hand every leadership to another store, and go on serving meanwhile."""


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
    | SnapshotReceived
    | SnapshotSent
    | OrderReceived
    | RegionChecked
    | LeadersHandedOver
    | HeartbeatsWanted
    | ShutdownStarted
)

# ---------------------------------------------------------------- effects


@dataclass(slots=True)
class SendRaft:
    """Send to one store, in order, without waiting; may be dropped when its queue is full."""

    to_store: StoreId
    envelopes: list[RaftEnvelope]


@dataclass(slots=True)
class SendSnapshot:
    """Stream a snapshot to one store, then tell SnapshotSent, in any case and once. The rim closes ``source``."""

    to_store: StoreId
    envelope: RaftEnvelope
    source: SnapshotSource


@dataclass(frozen=True, slots=True)
class CheckRegion:
    """Ask PD for this region: its replica here has had no leader for long. Then tell RegionChecked, or nothing."""

    region_id: RegionId


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


Effect = (
    SendRaft
    | SendSnapshot
    | Sync
    | Reply
    | ReportRegion
    | AskSplit
    | ReportSplit
    | RefreshRoutes
    | CheckRegion
    | Note
    | Fatal
)
