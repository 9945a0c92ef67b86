"""The placement core's whole vocabulary: what it is told (inputs) and what it asks for (effects).

``PdCore.step(now_ms, wall_ms, inputs) -> list[Effect]`` runs to completion. Each call says what answers it; any
call may be answered by a PdError instead. An answer leaves only when everything written before it is durable.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from flaredb.model.cluster import NodeState, RegionHeartbeat, StoreMeta, StoreStats
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Region
from flaredb.pd.schedule_messages import AddLearnerOp as AddLearnerOp
from flaredb.pd.schedule_messages import AddOperator as AddOperator
from flaredb.pd.schedule_messages import AddPeerOp as AddPeerOp
from flaredb.pd.schedule_messages import AddScheduler as AddScheduler
from flaredb.pd.schedule_messages import CancelOperator as CancelOperator
from flaredb.pd.schedule_messages import CancelRemoveStore as CancelRemoveStore
from flaredb.pd.schedule_messages import GetOperator as GetOperator
from flaredb.pd.schedule_messages import GetScheduleConfig as GetScheduleConfig
from flaredb.pd.schedule_messages import GetStoreStatus as GetStoreStatus
from flaredb.pd.schedule_messages import ListOperators as ListOperators
from flaredb.pd.schedule_messages import ListSchedulers as ListSchedulers
from flaredb.pd.schedule_messages import OperatorSpec as OperatorSpec
from flaredb.pd.schedule_messages import OperatorStatus as OperatorStatus
from flaredb.pd.schedule_messages import OperatorView as OperatorView
from flaredb.pd.schedule_messages import PauseScheduler as PauseScheduler
from flaredb.pd.schedule_messages import RemovePeerOp as RemovePeerOp
from flaredb.pd.schedule_messages import RemoveScheduler as RemoveScheduler
from flaredb.pd.schedule_messages import RemoveStore as RemoveStore
from flaredb.pd.schedule_messages import RemoveTombstones as RemoveTombstones
from flaredb.pd.schedule_messages import ScatterRegion as ScatterRegion
from flaredb.pd.schedule_messages import ScatterRegionOp as ScatterRegionOp
from flaredb.pd.schedule_messages import ScatterResult as ScatterResult
from flaredb.pd.schedule_messages import SchedulerView as SchedulerView
from flaredb.pd.schedule_messages import SchedulingCall as SchedulingCall
from flaredb.pd.schedule_messages import SendOrder as SendOrder
from flaredb.pd.schedule_messages import SetScheduleConfig as SetScheduleConfig
from flaredb.pd.schedule_messages import SetStoreLabels as SetStoreLabels
from flaredb.pd.schedule_messages import SetStoreLimit as SetStoreLimit
from flaredb.pd.schedule_messages import SetStoreWeight as SetStoreWeight
from flaredb.pd.schedule_messages import SplitAndScatterRegions as SplitAndScatterRegions
from flaredb.pd.schedule_messages import SplitRegionOp as SplitRegionOp
from flaredb.pd.schedule_messages import SplitRegions as SplitRegions
from flaredb.pd.schedule_messages import SplitResult as SplitResult
from flaredb.pd.schedule_messages import StoreStatus as StoreStatus
from flaredb.pd.schedule_messages import TransferLeaderOp as TransferLeaderOp
from flaredb.pd.schedule_messages import TransferPeerOp as TransferPeerOp
from flaredb.pd.schedule_messages import Why as Why

# ---------------------------------------------------------------- errors


class PdErrorKind(IntEnum):
    """Why a call failed; numbers of pdpb.ErrorType (wire facts 2.10)."""

    UNKNOWN = 1
    NOT_BOOTSTRAPPED = 2
    STORE_TOMBSTONE = 3
    ALREADY_BOOTSTRAPPED = 4
    INCOMPATIBLE_VERSION = 5
    REGION_NOT_FOUND = 6
    INVALID_VALUE = 10
    REGIONS_NOT_CONTAIN_ALL_KEY_RANGE = 12


class PdError(Exception):
    """A refusal, with the cure in its message. Raised inside the core, and returned as an answer's result."""

    def __init__(self, kind: PdErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PdError) and (self.kind, self.message) == (other.kind, other.message)

    def __hash__(self) -> int:
        return hash((self.kind, self.message))

    def __repr__(self) -> str:
        return f"PdError({self.kind.name}, {self.message!r})"


# ---------------------------------------------------------------- calls


@dataclass(frozen=True, slots=True)
class IsBootstrapped:
    """Answer: bool; true also while PD itself waits for stores to place its initial layout on."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The first store brings itself and the first region. Answer: None."""

    store: StoreMeta
    region: Region


@dataclass(frozen=True, slots=True)
class AllocIds:
    """Answer: the last of ``count`` new ids, which are consecutive (int)."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class PutStore:
    """A store registers, or reports new addresses, labels or version. Answer: None."""

    store: StoreMeta


@dataclass(frozen=True, slots=True)
class GetStore:
    """Answer: StoreView."""

    store_id: StoreId


@dataclass(frozen=True, slots=True)
class GetAllStores:
    """Answer: tuple of StoreMeta, by id."""

    exclude_tombstones: bool = False


@dataclass(frozen=True, slots=True)
class ReportStore:
    """A store's heartbeat. Answer: StoreOrders."""

    stats: StoreStats


@dataclass(frozen=True, slots=True)
class ReportRegion:
    """A leader's heartbeat. Answer: None if taken over; PdError if stale. SendOrder effects may follow it."""

    heartbeat: RegionHeartbeat


@dataclass(frozen=True, slots=True)
class GetRegion:
    """The region that holds ``key``. Answer: RegionRoute with a leader (maybe guessed), or None."""

    key: bytes


@dataclass(frozen=True, slots=True)
class GetPrevRegion:
    """The region before the one that holds ``key``. Answer: as GetRegion."""

    key: bytes


@dataclass(frozen=True, slots=True)
class GetRegionById:
    """Answer: as GetRegion."""

    region_id: RegionId


@dataclass(frozen=True, slots=True)
class QueryRegions:
    """Many lookups at once. Answer: RegionsFound."""

    keys: tuple[bytes, ...] = ()
    prev_keys: tuple[bytes, ...] = ()
    ids: tuple[RegionId, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyRange:
    """[start, end); an empty end is no bound."""

    start: bytes
    end: bytes


@dataclass(frozen=True, slots=True)
class ScanRegions:
    """Regions that overlap the ranges, ascending, each once. Answer: tuple of RegionRoute, leader None if unknown."""

    ranges: tuple[KeyRange, ...]
    limit: int = 0
    """Most regions to return; 0: all."""

    must_cover: bool = False
    """Refuse if some key of the ranges lies in none of the regions."""


@dataclass(frozen=True, slots=True)
class TakeTimestamps:
    """Answer: Timestamps."""

    count: int


@dataclass(frozen=True, slots=True)
class GetClusterConfig:
    """Answer: the replicas wanted per region (int)."""


@dataclass(frozen=True, slots=True)
class PutClusterConfig:
    """Answer: None."""

    max_replicas: int


@dataclass(frozen=True, slots=True)
class GetGcSafePoint:
    """Answer: the safe point in force (int); 0: never set."""


@dataclass(frozen=True, slots=True)
class GetGcState:
    """Answer: GcState."""


@dataclass(frozen=True, slots=True)
class UpdateGcSafePoint:
    """Answer: the safe point in force (int), which never goes back."""

    safe_point: int


@dataclass(frozen=True, slots=True)
class UpdateServiceSafePoint:
    """A service protects data from ``safe_point`` on for ``ttl_s`` seconds; 0 or less ends it.

    Answer: the oldest ServiceSafePoint of all services.
    """

    service_id: bytes
    ttl_s: int
    safe_point: int


@dataclass(frozen=True, slots=True)
class AskBatchSplit:
    """Ids for ``count`` new regions that ``region`` is about to give birth to. Answer: tuple of SplitIds."""

    region: Region
    count: int


@dataclass(frozen=True, slots=True)
class ReportBatchSplit:
    """A split was applied: its results, ascending and adjoining. Answer: None."""

    regions: tuple[Region, ...]


Call = (
    IsBootstrapped
    | Bootstrap
    | AllocIds
    | PutStore
    | GetStore
    | GetAllStores
    | ReportStore
    | ReportRegion
    | GetRegion
    | GetPrevRegion
    | GetRegionById
    | QueryRegions
    | ScanRegions
    | TakeTimestamps
    | GetClusterConfig
    | PutClusterConfig
    | GetGcSafePoint
    | GetGcState
    | UpdateGcSafePoint
    | UpdateServiceSafePoint
    | AskBatchSplit
    | ReportBatchSplit
    | SchedulingCall
)

# ---------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class StoreView:
    """A store and its last report, None before the first one."""

    meta: StoreMeta
    stats: StoreStats | None


@dataclass(frozen=True, slots=True)
class StoreOrders:
    """What a store is told after its heartbeat."""

    cluster_version: str
    node_state: NodeState


@dataclass(frozen=True, slots=True)
class RegionsFound:
    """Region ids in the order asked, 0 where there is none, and the routes of all that were found."""

    key_ids: tuple[int, ...]
    prev_key_ids: tuple[int, ...]
    routes: tuple[Any, ...]
    """RegionRoute, each region once, with a leader (maybe guessed)."""


@dataclass(frozen=True, slots=True)
class Timestamps:
    """``count`` timestamps of one millisecond, the last of which has this counter."""

    physical_ms: int
    logical: int
    count: int


@dataclass(frozen=True, slots=True)
class ServiceSafePoint:
    """One service's claim. ``ttl_s`` is what remains of it."""

    service_id: bytes
    safe_point: int
    ttl_s: int


@dataclass(frozen=True, slots=True)
class GcState:
    """The safe point and the claims that hold it back, by service."""

    safe_point: int
    services: tuple[ServiceSafePoint, ...]


# ---------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class Called:
    """Somebody asks; ``token`` comes back with the answer, exactly once."""

    token: Any
    call: Call


@dataclass(frozen=True, slots=True)
class SyncDone:
    """Everything written before the Sync effect of this sequence number is durable."""

    sequence: int


Input = Called | SyncDone

# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call: what it documents, or a PdError (returned, not raised)."""

    token: Any
    result: Any


@dataclass(frozen=True, slots=True)
class Sync:
    """Make everything written so far durable, then tell SyncDone with the same sequence."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a log line. ``fields`` hold plain values."""

    event: str
    fields: tuple[tuple[str, Any], ...] = ()
    level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Fatal:
    """The environment is bad (the engine failed): stop the process with this exit status."""

    reason: str
    exit_status: int = 74


Effect = Answer | Sync | Note | SendOrder | Fatal
