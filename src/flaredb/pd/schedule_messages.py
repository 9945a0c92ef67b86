"""The scheduling part of the placement core's vocabulary: calls, their answers, and the effect that carries an order.

``pd/messages.py`` names all of it too, so that one import is enough. As there, any call may be answered by a PdError.
Sizes in bytes, times in unix milliseconds unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from flaredb.model.cluster import StoreMeta, StoreStats
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import RegionOrder, SplitPolicy
from flaredb.model.region import RegionEpoch

# ---------------------------------------------------------------- calls: regions and operators


@dataclass(frozen=True, slots=True)
class ScatterRegion:
    """Spread the peers and leaders of these regions evenly over the stores, per ``group``; "" is a group too.

    Answer at once: ScatterResult; the moves themselves are operators with the desc "scatter-region".
    """

    region_ids: tuple[RegionId, ...]
    group: str = ""
    skip_store_limit: bool = False


@dataclass(frozen=True, slots=True)
class SplitRegions:
    """Cut whatever regions hold ``split_keys`` (as PD knows keys) at them.

    Held until all is cut or ``wait_ms`` are over, whichever is first; work goes on after the answer.
    Answer: SplitResult.
    """

    split_keys: tuple[bytes, ...]
    wait_ms: int = 2_500
    """What the caller has left, with a margin for the way back; at most 180 s."""


@dataclass(frozen=True, slots=True)
class SplitAndScatterRegions:
    """As SplitRegions; the new regions are scattered once they are there. Answer: SplitResult."""

    split_keys: tuple[bytes, ...]
    group: str = ""
    wait_ms: int = 2_500


@dataclass(frozen=True, slots=True)
class GetOperator:
    """The running operator of a region, else the last that ended.

    Answer: OperatorView. Errors: REGION_NOT_FOUND if there was none lately.
    """

    region_id: RegionId


@dataclass(frozen=True, slots=True)
class ListOperators:
    """Answer: tuple of OperatorView: those that run, by region id; with ``ended`` those that ended, oldest first."""

    ended: bool = False
    since_ms: int = 0
    """With ``ended``: only those that ended at this time or later."""


@dataclass(frozen=True, slots=True)
class AddOperator:
    """An order by a person. Answer: OperatorView of the new operator. Errors: INVALID_VALUE with the reason."""

    spec: OperatorSpec


@dataclass(frozen=True, slots=True)
class CancelOperator:
    """Answer: OperatorView of the cancelled operator. Errors: REGION_NOT_FOUND if none runs for the region."""

    region_id: RegionId


@dataclass(frozen=True, slots=True)
class AddPeerOp:
    """add-peer: another voter on ``store_id``."""

    region_id: RegionId
    store_id: StoreId


@dataclass(frozen=True, slots=True)
class AddLearnerOp:
    """add-learner: a learner on ``store_id``, which stays one."""

    region_id: RegionId
    store_id: StoreId


@dataclass(frozen=True, slots=True)
class RemovePeerOp:
    """remove-peer: the replica on ``store_id`` goes; a leader moves away first."""

    region_id: RegionId
    store_id: StoreId


@dataclass(frozen=True, slots=True)
class TransferLeaderOp:
    """transfer-leader: to the voter on ``store_id``."""

    region_id: RegionId
    store_id: StoreId


@dataclass(frozen=True, slots=True)
class TransferPeerOp:
    """transfer-peer: the replica moves from one store to the other and keeps its role."""

    region_id: RegionId
    from_store_id: StoreId
    to_store_id: StoreId


@dataclass(frozen=True, slots=True)
class SplitRegionOp:
    """split-region: in halves (SCAN, APPROXIMATE), or at ``keys`` (USEKEY; keys as PD knows them)."""

    region_id: RegionId
    policy: SplitPolicy = SplitPolicy.SCAN
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ScatterRegionOp:
    """scatter-region: as ScatterRegion for one region."""

    region_id: RegionId
    group: str = ""


OperatorSpec = (
    AddPeerOp | AddLearnerOp | RemovePeerOp | TransferLeaderOp | TransferPeerOp | SplitRegionOp | ScatterRegionOp
)

# ---------------------------------------------------------------- calls: schedulers, stores, settings


@dataclass(frozen=True, slots=True)
class ListSchedulers:
    """Answer: tuple of SchedulerView, by name."""


@dataclass(frozen=True, slots=True)
class AddScheduler:
    """``name`` is one of schedulers.KNOWN; evict-leader-scheduler needs a store and may be added for several.

    Answer: None. Errors: INVALID_VALUE, naming the known ones, or if it is there already.
    """

    name: str
    store_id: StoreId | None = None


@dataclass(frozen=True, slots=True)
class RemoveScheduler:
    """``name`` as listed, or "evict-leader-scheduler-7" for one of its stores. Answer: None."""

    name: str


@dataclass(frozen=True, slots=True)
class PauseScheduler:
    """``delay_s`` seconds from now; 0 resumes. ``name`` may be "all". Not kept over a restart. Answer: None."""

    name: str
    delay_s: int


@dataclass(frozen=True, slots=True)
class RemoveStore:
    """Drain a store: Up becomes Offline, its replicas move away, then it is buried (Tombstone).

    Answer: StoreMeta, as it is now; also if it is Offline already.
    Errors: UNKNOWN if the stores that stay Up could not hold max-replicas, naming the numbers; STORE_TOMBSTONE.
    """

    store_id: StoreId


@dataclass(frozen=True, slots=True)
class CancelRemoveStore:
    """Offline becomes Up again. Answer: StoreMeta. Errors: UNKNOWN if it is not Offline; STORE_TOMBSTONE."""

    store_id: StoreId


@dataclass(frozen=True, slots=True)
class RemoveTombstones:
    """Forget the stores that were buried. Answer: tuple of their ids."""


@dataclass(frozen=True, slots=True)
class SetStoreLabels:
    """Answer: StoreMeta. A value "" deletes the label; ``replace_all`` drops the labels not named."""

    store_id: StoreId
    labels: tuple[tuple[str, str], ...]
    replace_all: bool = False


@dataclass(frozen=True, slots=True)
class SetStoreWeight:
    """A store of weight 2 should hold twice as much as one of weight 1. Kept on disk. Answer: None."""

    store_id: StoreId
    leader: float
    region: float


@dataclass(frozen=True, slots=True)
class SetStoreLimit:
    """Peers per minute that may be added to or removed from a store. Kept on disk. Answer: None."""

    store_id: StoreId | None
    """None: every store, also later ones (the setting store-limit)."""

    rate: float
    kind: str = ""
    """"add-peer", "remove-peer" or "": both."""


@dataclass(frozen=True, slots=True)
class GetStoreStatus:
    """Answer: tuple of StoreStatus, by id, of one store or of all, tombstones included."""

    store_id: StoreId | None = None


@dataclass(frozen=True, slots=True)
class GetScheduleConfig:
    """Answer: {"schedule": {...}, "replication": {...}}, kebab-case names, values of their natural types.

    Durations are texts ("30m"), location-labels a comma-separated text, as PD writes them.
    """


@dataclass(frozen=True, slots=True)
class SetScheduleConfig:
    """Change settings while PD runs, all or none; kept on disk. Answer: None.

    ``changes``: name -> value. A name may carry "schedule." or "replication."; a value may be a text that reads as
    what is wanted. Errors: INVALID_VALUE naming the nearest name, or what the value must be.
    """

    changes: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Why:
    """Why something is or is not happening to a region, a store or the region of a key: exactly one is given.

    Answer: one or two sentences (str). Errors: REGION_NOT_FOUND, UNKNOWN for an unknown store.
    """

    region_id: RegionId | None = None
    store_id: StoreId | None = None
    key: bytes | None = None


SchedulingCall = (
    ScatterRegion
    | SplitRegions
    | SplitAndScatterRegions
    | GetOperator
    | ListOperators
    | AddOperator
    | CancelOperator
    | ListSchedulers
    | AddScheduler
    | RemoveScheduler
    | PauseScheduler
    | RemoveStore
    | CancelRemoveStore
    | RemoveTombstones
    | SetStoreLabels
    | SetStoreWeight
    | SetStoreLimit
    | GetStoreStatus
    | GetScheduleConfig
    | SetScheduleConfig
    | Why
)

# ---------------------------------------------------------------- answers


class OperatorStatus(IntEnum):
    """Numbers of pdpb.OperatorStatus."""

    SUCCESS = 0
    TIMEOUT = 1
    CANCEL = 2
    REPLACE = 3
    RUNNING = 4


@dataclass(frozen=True, slots=True)
class OperatorView:
    """An operator as tools show it."""

    region_id: RegionId
    desc: str
    """Its name, such as "balance-region"; official clients compare it to "scatter-region"."""

    brief: str
    """What it changes, such as "move peer: store 1 to store 4"."""

    kind: str
    """Words of PD's, comma-separated: "leader", "region", "replica", "split", "admin"."""

    status: OperatorStatus
    reason: str
    """Why it ended other than by success; "" else."""

    epoch: RegionEpoch
    """The region's when the operator was made."""

    steps: tuple[str, ...]
    step_timeouts_s: tuple[int, ...]
    current_step: int
    """Steps done; len(steps): all."""

    size_bytes: int
    created_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    """0 while it runs."""


@dataclass(frozen=True, slots=True)
class ScatterResult:
    """``finished_percentage`` counts the regions that are, or are on the way to be, where they should be."""

    finished_percentage: int
    failed_region_ids: tuple[RegionId, ...]


@dataclass(frozen=True, slots=True)
class SplitResult:
    """How much of the keys became borders, and the regions that begin or end at them and are new."""

    finished_percentage: int
    region_ids: tuple[RegionId, ...]
    scatter_finished_percentage: int = 0
    """Only of SplitAndScatterRegions."""


@dataclass(frozen=True, slots=True)
class SchedulerView:
    """A scheduler that was added."""

    name: str
    store_ids: tuple[StoreId, ...]
    """Of evict-leader-scheduler; else empty."""

    paused_at_ms: int
    resume_at_ms: int
    """Both 0 unless it is paused."""

    status: str
    """"paused", "pending", "scheduling" or "normal", as PD's diagnosis says it."""

    summary: str
    """A sentence: why it did nothing the last time, or what it did."""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """A store, what it said last, and what PD's directory says of it."""

    meta: StoreMeta
    state_name: str
    """Up, Disconnected, Down, Offline or Tombstone."""

    stats: StoreStats | None
    silence_ms: int | None
    """Since the last heartbeat; None: none since PD started."""

    leader_count: int
    region_count: int
    """Its peers of any role."""

    learner_count: int
    pending_peer_count: int
    leader_size_bytes: int
    region_size_bytes: int
    leader_weight: float
    region_weight: float
    leader_score: float
    region_score: float
    add_peer_limit: float
    """Peers per minute."""

    remove_peer_limit: float


# ---------------------------------------------------------------- the effect


@dataclass(frozen=True, slots=True)
class SendOrder:
    """Put the order on the heartbeat stream of ``store_id``, which leads the region; lost if there is no such stream.

    Loss does no harm: a heartbeat that shows no progress, or a few seconds, repeat it.
    """

    store_id: StoreId
    order: RegionOrder
