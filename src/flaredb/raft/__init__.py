"""One Raft group, no I/O: elections, replication, membership, snapshots, reads.

Start with raw_node.RawNode. Imports nothing of the rest of FlareDB and only the standard library; has no clock and no
random generator of its own. Names and meanings follow tikv/raft-rs.
"""

from .confchange_codec import (
    decode_conf_change,
    decode_conf_change_v2,
    decode_entry,
    encode_conf_change,
    encode_conf_change_v2,
)
from .config import Config, LeaseClock, ReadOnlyOption
from .describe import describe
from .election import CAMPAIGN_ELECTION, CAMPAIGN_PRE_ELECTION, CAMPAIGN_TRANSFER
from .errors import (
    CodecError,
    Compacted,
    ConfChangeError,
    ConfigInvalid,
    ProposalDropped,
    RaftError,
    RaftInvariantError,
    RequestSnapshotDropped,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    StepLocalMsg,
    StepPeerNotFound,
    StorageError,
    Unavailable,
)
from .invariants import check_invariants
from .progress import Inflights, Progress, ProgressState
from .quiet import Rest
from .quorum import JointConfig, VoteResult, majority
from .raft import Raft
from .raft_log import RaftLog
from .raw_node import LightReady, RawNode, Ready, Status, is_local_msg
from .read_only import ReadOnly
from .storage import MemStorage, RaftState, Storage
from .tracker import Configuration, ProgressTracker
from .types import (
    INVALID_ID,
    INVALID_INDEX,
    NO_LIMIT,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Snapshot,
    SnapshotMetadata,
    SnapshotStatus,
    SoftState,
    StateRole,
)
from .unstable import Unstable

__all__ = [
    "CAMPAIGN_ELECTION",
    "CAMPAIGN_PRE_ELECTION",
    "CAMPAIGN_TRANSFER",
    "INVALID_ID",
    "INVALID_INDEX",
    "NO_LIMIT",
    "CodecError",
    "Compacted",
    "ConfChange",
    "ConfChangeError",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Config",
    "ConfigInvalid",
    "Configuration",
    "Entry",
    "EntryType",
    "HardState",
    "Inflights",
    "JointConfig",
    "LeaseClock",
    "LightReady",
    "MemStorage",
    "Message",
    "MessageType",
    "Progress",
    "ProgressState",
    "ProgressTracker",
    "ProposalDropped",
    "Raft",
    "RaftError",
    "RaftInvariantError",
    "RaftLog",
    "RaftState",
    "RawNode",
    "ReadOnly",
    "ReadOnlyOption",
    "ReadState",
    "Ready",
    "RequestSnapshotDropped",
    "Rest",
    "Snapshot",
    "SnapshotMetadata",
    "SnapshotOutOfDate",
    "SnapshotStatus",
    "SnapshotTemporarilyUnavailable",
    "SoftState",
    "StateRole",
    "Status",
    "StepLocalMsg",
    "StepPeerNotFound",
    "Storage",
    "StorageError",
    "Unavailable",
    "Unstable",
    "VoteResult",
    "check_invariants",
    "decode_conf_change",
    "decode_conf_change_v2",
    "decode_entry",
    "describe",
    "encode_conf_change",
    "encode_conf_change_v2",
    "is_local_msg",
    "majority",
]
