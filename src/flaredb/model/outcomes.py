"""What a client learns of a request that it sent and that did not simply succeed.

Made by the wire (Refusal, Failed) and by connections (Lost, NotSent); judged by ``client/backoff.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flaredb.model.region import Peer, Region


class Cause(StrEnum):
    """Why a request has to be tried again, or cannot be; region errors are called as in errorpb (wire facts 2.2)."""

    NOT_LEADER = "NotLeader"
    REGION_NOT_FOUND = "RegionNotFound"
    KEY_NOT_IN_REGION = "KeyNotInRegion"
    EPOCH_NOT_MATCH = "EpochNotMatch"
    SERVER_IS_BUSY = "ServerIsBusy"
    STALE_COMMAND = "StaleCommand"
    STORE_NOT_MATCH = "StoreNotMatch"
    RAFT_ENTRY_TOO_LARGE = "RaftEntryTooLarge"
    MAX_TIMESTAMP_NOT_SYNCED = "MaxTimestampNotSynced"
    READ_INDEX_NOT_READY = "ReadIndexNotReady"
    PROPOSAL_IN_MERGING_MODE = "ProposalInMergingMode"
    DATA_IS_NOT_READY = "DataIsNotReady"
    REGION_NOT_INITIALIZED = "RegionNotInitialized"
    DISK_FULL = "DiskFull"
    RECOVERY_IN_PROGRESS = "RecoveryInProgress"
    FLASHBACK_IN_PROGRESS = "FlashbackInProgress"
    FLASHBACK_NOT_PREPARED = "FlashbackNotPrepared"
    IS_WITNESS = "IsWitness"
    MISMATCH_PEER_ID = "MismatchPeerId"
    BUCKET_VERSION_NOT_MATCH = "BucketVersionNotMatch"
    UNDETERMINED_RESULT = "UndeterminedResult"
    OTHER_REGION_ERROR = "RegionError"
    """Only a message is set, such as that of a store which is closing."""

    STORE_UNREACHABLE = "store unreachable"
    STORE_SLOW = "store slow"
    """The request waited for its turn to be sent until it was too late."""

    ANSWER_LOST = "answer lost"
    PD_UNREACHABLE = "PD unreachable"
    REGION_UNKNOWN = "region unknown to PD"


@dataclass(slots=True)
class Refusal:
    """A region error: the request had no effect, unless the cause is UNDETERMINED_RESULT."""

    cause: Cause
    message: str
    leader: Peer | None = None
    """NOT_LEADER: who leads, as far as that peer knows."""

    regions: tuple[Region, ...] = ()
    """EPOCH_NOT_MATCH: what is true there."""

    backoff_ms: int = 0
    """SERVER_IS_BUSY: how long to wait, 0 if not said."""

    size_bytes: int = 0
    """RAFT_ENTRY_TOO_LARGE: the entry that does not fit."""


@dataclass(slots=True)
class Failed:
    """The server understood the request and says that it cannot be done; the same request never can."""

    message: str


@dataclass(slots=True)
class Lost:
    """The request was sent and no answer came: it may have had its effect, or have it still."""

    reason: str


@dataclass(slots=True)
class NotSent:
    """The request never left, so it had no effect."""

    reason: str
    cause: Cause = Cause.STORE_UNREACHABLE


Trouble = Refusal | Failed | Lost | NotSent
TROUBLES = frozenset((Refusal, Failed, Lost, NotSent))
"""The types of Trouble; anything else is a command's result."""
