"""What travels between Raft nodes and what is kept of them. Names and numbers follow eraftpb.

Ids are cluster-wide replica ids, 0 means "none". Indexes count log entries from 1, 0 means "before the first".
Hot types are slotted and mutable for speed; after an Entry has been appended or a Message has been handed out, nobody
changes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

INVALID_ID: Final = 0
"""No node has id 0."""
INVALID_INDEX: Final = 0
"""No log entry has index 0."""
NO_LIMIT: Final = 2**64 - 1
"""A size limit, in bytes, that never binds."""
ENTRY_OVERHEAD_BYTES: Final = 12
"""Bytes counted for an entry beside its data and context when messages are sized."""


class EntryType(IntEnum):
    """What an entry's data means."""

    EntryNormal = 0
    EntryConfChange = 1
    EntryConfChangeV2 = 2


class MessageType(IntEnum):
    """Every message. Hup, Beat, Unreachable, SnapStatus and CheckQuorum are local: they never cross the network."""

    MsgHup = 0
    MsgBeat = 1
    MsgPropose = 2
    MsgAppend = 3
    MsgAppendResponse = 4
    MsgRequestVote = 5
    MsgRequestVoteResponse = 6
    MsgSnapshot = 7
    MsgHeartbeat = 8
    MsgHeartbeatResponse = 9
    MsgUnreachable = 10
    MsgSnapStatus = 11
    MsgCheckQuorum = 12
    MsgTransferLeader = 13
    MsgTimeoutNow = 14
    MsgReadIndex = 15
    MsgReadIndexResp = 16
    MsgRequestPreVote = 17
    MsgRequestPreVoteResponse = 18


class ConfChangeType(IntEnum):
    """One step of a membership change."""

    AddNode = 0
    RemoveNode = 1
    AddLearnerNode = 2


class ConfChangeTransition(IntEnum):
    """How a ConfChangeV2 passes through a joint configuration (dissertation section 4.3).

    Auto: joint only when more than one step is asked for, left automatically. Implicit: always joint, left
    automatically. Explicit: always joint, left by proposing an empty ConfChangeV2.
    """

    Auto = 0
    Implicit = 1
    Explicit = 2


class StateRole(IntEnum):
    """The role a node plays in its term."""

    Follower = 0
    Candidate = 1
    Leader = 2
    PreCandidate = 3


class SnapshotStatus(IntEnum):
    """What became of a snapshot that was handed out for sending."""

    Finish = 0
    Failure = 1


@dataclass(slots=True)
class Entry:
    """One log entry. Two entries of equal index and term are equal in everything (log matching, paper section 5.3)."""

    entry_type: EntryType = EntryType.EntryNormal
    term: int = 0
    index: int = 0
    data: bytes = b""
    context: bytes = b""


def entry_size_bytes(entry: Entry) -> int:
    """The bytes an entry counts for in message and ready limits."""
    return len(entry.data) + len(entry.context) + ENTRY_OVERHEAD_BYTES


@dataclass(slots=True)
class HardState:
    """What must survive a crash, beside the log. Invariant: term and commit never decrease; vote changes only with
    the term, except from none to someone."""

    term: int = 0
    vote: int = INVALID_ID
    commit: int = 0


@dataclass(slots=True)
class SoftState:
    """What need not survive a crash."""

    leader_id: int = INVALID_ID
    raft_state: StateRole = StateRole.Follower


def _ids(ids: list[int]) -> str:
    return "(" + " ".join(str(i) for i in sorted(ids)) + ")"


@dataclass(slots=True)
class ConfState:
    """A configuration as stored with snapshots. `voters` is the incoming half while joint."""

    voters: list[int] = field(default_factory=list)
    learners: list[int] = field(default_factory=list)
    voters_outgoing: list[int] = field(default_factory=list)
    learners_next: list[int] = field(default_factory=list)
    auto_leave: bool = False

    def __str__(self) -> str:
        halves = [self.voters, self.voters_outgoing] if self.voters_outgoing else [self.voters]
        parts = ["voters=" + "&&".join(_ids(half) for half in halves)]
        if self.learners:
            parts.append(f"learners={_ids(self.learners)}")
        if self.learners_next:
            parts.append(f"learners_next={_ids(self.learners_next)}")
        if self.auto_leave:
            parts.append("auto_leave")
        return " ".join(parts)

    def equivalent(self, other: ConfState) -> bool:
        """True when both name the same sets, in whatever order."""
        return self == other or (
            sorted(self.voters) == sorted(other.voters)
            and sorted(self.learners) == sorted(other.learners)
            and sorted(self.voters_outgoing) == sorted(other.voters_outgoing)
            and sorted(self.learners_next) == sorted(other.learners_next)
            and self.auto_leave == other.auto_leave
        )

    def copy(self) -> ConfState:
        """A copy that shares nothing."""
        return ConfState(
            list(self.voters),
            list(self.learners),
            list(self.voters_outgoing),
            list(self.learners_next),
            self.auto_leave,
        )


@dataclass(slots=True)
class SnapshotMetadata:
    """Where a snapshot ends: the last entry it covers, and the configuration as of that entry."""

    conf_state: ConfState = field(default_factory=ConfState)
    index: int = 0
    term: int = 0


@dataclass(slots=True)
class Snapshot:
    """State machine contents up to metadata.index. The core never looks into `data`."""

    data: bytes = b""
    metadata: SnapshotMetadata = field(default_factory=SnapshotMetadata)

    def is_empty(self) -> bool:
        """True for a snapshot that covers nothing."""
        return self.metadata.index == 0


@dataclass(slots=True)
class Message:
    """One message. Which fields count depends on `msg_type`:

    - MsgAppend: (index, log_term) is the entry before `entries`; `commit` is the leader's commit index.
    - MsgAppendResponse: `index` is the matched index, or with `reject` the refused one; then (reject_hint, log_term)
      is where the follower's log may agree. `request_snapshot` asks for a snapshot at or after that index.
    - MsgHeartbeat: `commit` never exceeds what the receiver is known to hold; `context` names a read round; `index` is
      the leader's tick count where leases are in use. MsgHeartbeatResponse returns `context` and `index`.
    - MsgRequestVote, MsgRequestPreVote: (index, log_term) is the candidate's last entry; `term` the term asked for.
      A refusal carries the refuser's `commit` with the term of that entry in `log_term`.
    - MsgReadIndex: `entries[0].data` names the request; MsgReadIndexResp returns it with `index`.
    - MsgPropose, MsgReadIndex and local messages carry term 0.
    """

    msg_type: MessageType = MessageType.MsgHup
    to: int = INVALID_ID
    from_: int = INVALID_ID
    term: int = 0
    log_term: int = 0
    index: int = 0
    entries: list[Entry] = field(default_factory=list)
    commit: int = 0
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    request_snapshot: int = INVALID_INDEX
    priority: int = 0


@dataclass(slots=True)
class ReadState:
    """Answer to `read_index`: once `index` is applied, the read named `request_ctx` is linearizable."""

    index: int
    request_ctx: bytes


@dataclass(slots=True)
class ConfChangeSingle:
    """One step of a ConfChangeV2. node_id 0 is ignored: the application vetoed it."""

    change_type: ConfChangeType = ConfChangeType.AddNode
    node_id: int = INVALID_ID


@dataclass(slots=True)
class ConfChangeV2:
    """A membership change of any number of steps. Without steps and with transition Auto it leaves a joint
    configuration."""

    transition: ConfChangeTransition = ConfChangeTransition.Auto
    changes: list[ConfChangeSingle] = field(default_factory=list)
    context: bytes = b""

    def as_v2(self) -> ConfChangeV2:
        """This change itself."""
        return self

    def leave_joint(self) -> bool:
        """True when the change asks to leave a joint configuration."""
        return self.transition is ConfChangeTransition.Auto and not self.changes

    def enter_joint(self) -> bool | None:
        """None when no joint configuration is needed, else whether it is to be left automatically."""
        if self.transition is ConfChangeTransition.Auto and len(self.changes) <= 1:
            return None
        return self.transition is not ConfChangeTransition.Explicit


@dataclass(slots=True)
class ConfChange:
    """A membership change of one step, without a joint configuration. `id` is unused by Raft."""

    change_type: ConfChangeType = ConfChangeType.AddNode
    node_id: int = INVALID_ID
    context: bytes = b""
    id: int = 0

    def as_v2(self) -> ConfChangeV2:
        """The same change as a ConfChangeV2."""
        return ConfChangeV2(changes=[ConfChangeSingle(self.change_type, self.node_id)], context=self.context)
