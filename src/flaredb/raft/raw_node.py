"""The face of the core: inputs as method calls, outputs as Readys.

The contract of a Ready, in this order: 1 stage snapshot, entries and hard state, so that the Storage shows them;
2 send `messages`; 3 sync if must_sync; 4 when this Ready and all earlier ones are persisted, send `persisted_messages`;
5 apply `committed_entries`.

Synchronous use: `ready()`, 1 to 5, `advance(rd)`, handle the LightReady, `advance_apply()`. Asynchronous use:
`ready()`, 1, 2, `advance_append_async(rd)`, and when the sync is done `on_persist_ready(rd.number)`, 4; further Readys
may come in between.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from . import leader, quiet
from .confchange_codec import encode
from .config import Config
from .errors import RaftInvariantError, StepLocalMsg, StepPeerNotFound
from .quiet import Rest
from .raft import Raft
from .storage import Storage
from .tracker import ProgressTracker
from .types import (
    ConfChange,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Snapshot,
    SnapshotStatus,
    SoftState,
    StateRole,
)

_LEADER: Final = StateRole.Leader
_FOLLOWER: Final = StateRole.Follower
_NORMAL: Final = EntryType.EntryNormal

_LOCAL: Final = frozenset(
    {
        MessageType.MsgHup,
        MessageType.MsgBeat,
        MessageType.MsgUnreachable,
        MessageType.MsgSnapStatus,
        MessageType.MsgCheckQuorum,
    }
)
_RESPONSES: Final = frozenset(
    {
        MessageType.MsgAppendResponse,
        MessageType.MsgRequestVoteResponse,
        MessageType.MsgHeartbeatResponse,
        MessageType.MsgRequestPreVoteResponse,
    }
)


def is_local_msg(kind: MessageType) -> bool:
    """True for messages that only the node itself may produce."""
    return kind in _LOCAL


@dataclass(slots=True)
class Ready:
    """What is to be done now; see the order above."""

    number: int
    """Counts Readys from 1; on_persist_ready takes it."""
    ss: SoftState | None
    """Set when leader or role changed; need not be stored."""
    hs: HardState | None
    """Set when term, vote or commit changed; to be stored."""
    entries: list[Entry]
    """To be appended to the storage, replacing what stands from the first one's index on."""
    snapshot: Snapshot | None
    """To be installed in the storage before the entries."""
    read_states: list[ReadState]
    """Reads that may be served once their index is applied."""
    persisted_messages: list[Message]
    """To be sent only after this Ready and all earlier ones are persisted: they promise what those contain."""
    messages: list[Message]
    """To be sent at once: a leader's, which promise nothing of its own disk (dissertation section 10.2.1)."""
    committed_entries: list[Entry]
    """Committed and (unless max_apply_unpersisted_log_limit) persisted here: to be applied."""
    must_sync: bool
    """True exactly when term, vote, entries or a snapshot are to be stored. A commit index alone needs no sync."""


@dataclass(slots=True)
class LightReady:
    """What became possible because a Ready was persisted."""

    commit_index: int | None
    """The new commit index, if it moved; need not be stored."""
    committed_entries: list[Entry]
    """To be applied."""
    messages: list[Message]
    """To be sent."""


@dataclass(slots=True)
class Status:
    """A look at a node."""

    id: int
    hs: HardState
    ss: SoftState
    applied: int
    progress: ProgressTracker | None = field(repr=False)
    """The members' progress; leaders only. Live, not a copy."""


@dataclass(slots=True)
class _ReadyRecord:
    """What a Ready that is not persisted yet holds. last_index and snap_index are 0 for none."""

    number: int
    last_index: int
    last_term: int
    snap_index: int


class RawNode:
    """One replica of one group. Not thread-safe; call nothing between `ready()` and its `advance*` but
    `apply_conf_change`.

    Invariants: _records are the Readys not persisted yet, by ascending number; _advanced is the last Ready given back;
    _since_index is the last entry handed out for applying and never decreases; _unsynced_vote is the youngest
    unpersisted Ready that holds a term or vote.
    """

    __slots__ = (
        "_advanced",
        "_number",
        "_prev_commit",
        "_prev_leader",
        "_prev_state",
        "_prev_term",
        "_prev_vote",
        "_records",
        "_since_index",
        "_unsynced_vote",
        "raft",
    )

    def __init__(
        self, config: Config, storage: Storage, rng: Random, trace: Callable[[str], None] | None = None
    ) -> None:
        """Start a replica from what its storage holds. `rng` draws election timeouts and may be shared; `trace` gets
        one line per decision.

        Errors: ConfigInvalid.
        """
        raft = self.raft = Raft(config, storage, rng, trace)
        self._number = 0
        self._advanced = 0
        self._records: list[_ReadyRecord] = []
        self._since_index = max(config.applied, raft.raft_log.applied)
        self._unsynced_vote = 0
        self._prev_term = raft.term
        self._prev_vote = raft.vote
        self._prev_commit = raft.raft_log.committed
        self._prev_leader = raft.leader_id
        self._prev_state = raft.state

    @classmethod
    def rested(cls, config: Config, storage: Storage, rng: Random, rest: Rest) -> RawNode:
        """The node whose ``rest()`` this is, on the same storage. Call ``resume`` before anything else."""
        node = cls(config, storage, rng)
        quiet.restore(node.raft, rest)
        node._prev_leader = node.raft.leader_id
        node._prev_state = node.raft.state
        return node

    # Inputs.

    def tick(self) -> bool:
        """One tick has passed; True when there is probably a Ready."""
        return self.raft.tick()

    def campaign(self) -> None:
        """Stand for election now."""
        self.raft.step(Message(MessageType.MsgHup))

    def ping(self) -> None:
        """Send heartbeats now, if leader."""
        if self.raft.state is _LEADER:
            self.raft.step(Message(MessageType.MsgBeat))

    def propose(self, context: bytes, data: bytes) -> None:
        """Propose an entry. It may still be lost with its leader: wait for it among the committed entries.

        Errors: ProposalDropped.
        """
        self._propose([Entry(_NORMAL, 0, 0, data, context)])

    def propose_batch(self, datas: Iterable[bytes], context: bytes = b"") -> None:
        """Propose an entry per item, all or none of them, in one go.

        Errors: ProposalDropped.
        """
        self._propose([Entry(_NORMAL, 0, 0, data, context) for data in datas])

    def propose_conf_change(self, context: bytes, cc: ConfChange | ConfChangeV2) -> None:
        """Propose a configuration change. If one is pending, or the change does not fit a joint configuration, an
        empty entry takes its place.

        Errors: ProposalDropped; ConfChangeError on a leader when the resulting configuration would break a rule.
        """
        kind, data = encode(cc)
        self._propose([Entry(kind, 0, 0, data, context)])

    def _propose(self, entries: list[Entry]) -> None:
        raft = self.raft
        if raft.state is _LEADER:
            leader.propose(raft, entries, local=True)
        else:
            raft.step(Message(MessageType.MsgPropose, from_=raft.id, entries=entries))

    def apply_conf_change(self, cc: ConfChange | ConfChangeV2) -> ConfState:
        """Switch to a committed configuration change; store the result with the applied index. Not to be called for a
        change that the application vetoes.

        Errors: ConfChangeError when the change does not fit; nothing changed then.
        """
        return self.raft.apply_conf_change(cc.as_v2())

    def step(self, m: Message) -> None:
        """Take a message of another replica.

        Errors: StepLocalMsg, StepPeerNotFound; for forwarded proposals ProposalDropped.
        """
        kind = m.msg_type
        if kind in _LOCAL:
            raise StepLocalMsg(f"{kind.name} from {m.from_}")
        raft = self.raft
        if kind in _RESPONSES and m.from_ not in raft.prs.progress:
            raise StepPeerNotFound(f"{kind.name} from {m.from_}, which is not a member")
        raft.step(m)

    def hear_leader(self, from_: int, term: int, commit: int) -> int | None:
        """Take a heartbeat without a read round that changes nothing but the clock. Post: the commit index to answer
        with; None: it was not taken, and is to be stepped.
        """
        raft = self.raft
        committed = raft.raft_log.committed
        if (
            raft.state is not _FOLLOWER
            or term != raft.term
            or term != self._prev_term
            or from_ != raft.leader_id
            or commit > committed
            or self._records
            or raft.vote != self._prev_vote
            or raft.pending_request_snapshot
        ):
            return None
        raft.election_elapsed = 0
        raft.ticks_since_leader = 0
        return committed

    def hear_follower(self, from_: int, term: int, tick: int) -> bool:
        """Take the answer to a heartbeat of a member that lacks nothing; False: it was not taken, and is to be stepped.
        ``tick`` is the leader's at that heartbeat.
        """
        raft = self.raft
        if raft.state is not _LEADER or term != raft.term:
            return False
        pr = raft.prs.progress.get(from_)
        if pr is None or pr.matched < raft.raft_log.tail_index or pr.pending_request_snapshot or pr.ins.count():
            return False
        leader.hear(raft, pr, tick)
        return True

    def is_settled(self) -> bool:
        """True when this replica, which leads or knows its leader, has nothing to do until somebody wants something."""
        return not self._records and not self._is_changed() and quiet.is_settled(self.raft)

    def is_matched_by(self, members: Iterable[int]) -> bool:
        """True when these members hold all of this leader's log, and make a quorum together with it."""
        return quiet.is_matched_by(self.raft, members)

    def rest(self) -> Rest:
        """What it takes to make this node anew. Pre: is_settled, and for a leader is_matched_by all other members."""
        return quiet.rest_of(self.raft)

    def resume(self, missed_ticks: int, silent: Container[int] = ()) -> None:
        """Go on after a time without ticks, of which so many are counted; no lease from before holds (quiet.py)."""
        quiet.resume(self.raft, missed_ticks, silent)

    def read_index(self, rctx: bytes) -> None:
        """Ask for a linearizable read; the answer comes as a ReadState with the same rctx, or never: repeat with
        another rctx (a late answer to the first would otherwise pass for the repetition's)."""
        self.raft.step(Message(MessageType.MsgReadIndex, entries=[Entry(data=rctx)]))

    def transfer_leader(self, transferee: int) -> None:
        """Hand leadership over; given up after an election timeout. Refused for anyone but a voter."""
        self.raft.step(Message(MessageType.MsgTransferLeader, from_=transferee))

    def request_snapshot(self) -> None:
        """Ask the leader for a snapshot because the state machine here is damaged.

        Errors: RequestSnapshotDropped.
        """
        self.raft.request_snapshot()

    def report_unreachable(self, id: int) -> None:
        """The last message to a member was probably lost."""
        self.raft.step(Message(MessageType.MsgUnreachable, from_=id))

    def report_snapshot(self, id: int, status: SnapshotStatus) -> None:
        """What became of a snapshot that was sent to a member. To be called for every MsgSnapshot handed out."""
        self.raft.step(Message(MessageType.MsgSnapStatus, from_=id, reject=status == SnapshotStatus.Failure))

    # Outputs.

    def has_ready(self) -> bool:
        """True when `ready()` has something to do."""
        return bool(self.raft.msgs) or self._is_changed()

    def _is_changed(self) -> bool:
        """True when a Ready would hold more than messages."""
        raft = self.raft
        log = raft.raft_log
        committed = log.committed
        unstable = log.unstable
        return (
            committed != self._prev_commit
            or bool(unstable.entries)
            or raft.term != self._prev_term
            or raft.vote != self._prev_vote
            or raft.leader_id != self._prev_leader
            or raft.state is not self._prev_state
            or bool(raft.read_states)
            or unstable.snapshot is not None
            or (committed > self._since_index and log.has_next_entries_since(self._since_index))
        )

    def take_messages(self) -> list[Message] | None:
        """The messages that wait, if they are all there is to do and promise nothing that is not persisted; None if
        there is more to do, which takes a Ready.

        For what most Readys of a quiet group are, heartbeats and their answers, without the rest of a Ready.
        """
        raft = self.raft
        if self._is_changed() or (raft.msgs and self._records):
            return None
        messages, raft.msgs = raft.msgs, []
        return messages

    def ready(self) -> Ready:
        """Everything that is to be done now. Hand it to one of the advance functions before the next input."""
        raft = self.raft
        log = raft.raft_log
        term, vote, commit, state = raft.term, raft.vote, log.committed, raft.state
        self._number = number = self._number + 1
        must_sync = term != self._prev_term or vote != self._prev_vote
        hs = None
        if must_sync or commit != self._prev_commit:
            hs = HardState(term, vote, commit)
            if must_sync:
                self._unsynced_vote = number
        ss = None
        if state is not self._prev_state or raft.leader_id != self._prev_leader:
            ss = SoftState(raft.leader_id, state)
        # Own lists, even when empty: a Ready may be kept until its sync, while the node goes on.
        entries = log.unstable.entries[:]
        snapshot = log.unstable.snapshot
        last_index = last_term = snap_index = 0
        if snapshot is not None:
            must_sync = True
            snap_index = snapshot.metadata.index
            if self._since_index > snap_index:
                raise RaftInvariantError(f"snapshot {snap_index} is before applied {self._since_index}")
            self._since_index = snap_index
        if entries:
            must_sync = True
            last_index, last_term = log.tail_index, log.tail_term
        self._records.append(_ReadyRecord(number, last_index, last_term, snap_index))
        committed = self._take_committed() if commit > self._since_index else []
        read_states, raft.read_states = raft.read_states, []
        messages, raft.msgs = raft.msgs, []
        persisted_messages: list[Message] = []
        if messages and self._must_wait():
            persisted_messages, messages = messages, persisted_messages
        return Ready(number, ss, hs, entries, snapshot, read_states, persisted_messages, messages, committed, must_sync)

    def _must_wait(self) -> bool:
        """True when messages leave only after the sync.

        A leader's need not wait, except while its own term or vote is not persisted: a leader that is its only voter
        leads before its vote is stored, and could lead the same term again after a crash.
        """
        return self.raft.state is not _LEADER or self._unsynced_vote > 0

    def _take_committed(self) -> list[Entry]:
        raft = self.raft
        entries = raft.raft_log.next_entries_since(self._since_index, raft.max_committed_size_per_ready)
        if entries:
            self._since_index = entries[-1].index
            leader.reduce_uncommitted_size(raft, entries)
        return entries

    def advance_append_async(self, rd: Ready) -> None:
        """The Ready's contents are in the storage: no longer unstable, though they may not survive a crash yet;
        on_persist_ready follows.
        """
        record = self._records[-1] if self._records else None
        if record is None or record.number != rd.number:
            raise RaftInvariantError(f"Ready {rd.number} advanced, but {record and record.number} is the last")
        self._advanced = rd.number
        if rd.ss is not None:
            self._prev_leader, self._prev_state = rd.ss.leader_id, rd.ss.raft_state
        if rd.hs is not None:
            self._prev_term, self._prev_vote, self._prev_commit = rd.hs.term, rd.hs.vote, rd.hs.commit
        unstable = self.raft.raft_log.unstable
        if record.snap_index:
            unstable.stable_snap(record.snap_index)
        if record.last_index:
            unstable.stable_entries(record.last_index, record.last_term)

    def on_persist_ready(self, number: int) -> None:
        """The Ready of this number, and so every earlier one, survives a crash. Ask `has_ready()` afterwards."""
        if number > self._advanced:
            raise RaftInvariantError(f"Ready {number} reported persisted, advanced is {self._advanced}")
        records = self._records
        count = snap_index = index = term = 0
        for record in records:
            if record.number > number:
                break
            count += 1
            if record.snap_index:
                snap_index, index, term = record.snap_index, 0, 0
            if record.last_index:
                index, term = record.last_index, record.last_term
        del records[:count]
        if number >= self._unsynced_vote:
            self._unsynced_vote = 0
        if snap_index:
            self.raft.on_persist_snap(snap_index)
        if index:
            self.raft.on_persist_entries(index, term)

    def advance_append(self, rd: Ready) -> LightReady:
        """The Ready, and with it every earlier one, is persisted; advance_apply_to follows for what was applied."""
        self.advance_append_async(rd)
        self.on_persist_ready(rd.number)
        raft = self.raft
        committed = self._take_committed()
        messages: list[Message] = []
        # Whoever lost leadership meanwhile (a change that removed it) has its messages in the next Ready.
        if raft.msgs and raft.state is _LEADER and raft.term == self._prev_term and raft.vote == self._prev_vote:
            messages, raft.msgs = raft.msgs, messages
        commit_index = None
        if raft.raft_log.committed > self._prev_commit:
            commit_index = self._prev_commit = raft.raft_log.committed
        return LightReady(commit_index, committed, messages)

    def advance(self, rd: Ready) -> LightReady:
        """As advance_append, and what the Ready handed out is applied too; advance_apply follows for the rest."""
        applied = self._since_index
        light = self.advance_append(rd)
        self.advance_apply_to(applied)
        return light

    def advance_apply(self) -> None:
        """Everything handed out is applied."""
        self.raft.commit_apply(self._since_index)

    def advance_apply_to(self, applied: int) -> None:
        """Everything up to this index is applied.

        Pre: not below what was reported before, not above the commit index.
        """
        self.raft.commit_apply(applied)

    # Looking.

    def status(self) -> Status:
        """The node's state now."""
        raft = self.raft
        return Status(
            raft.id,
            raft.hard_state(),
            raft.soft_state(),
            raft.raft_log.applied,
            raft.prs if raft.state is _LEADER else None,
        )

    def snap(self) -> Snapshot | None:
        """The received snapshot that waits to be stored."""
        return self.raft.snap()

    def store(self) -> Storage:
        """The storage given at the start."""
        return self.raft.store()

    def set_priority(self, priority: int) -> None:
        """Change this node's election priority."""
        self.raft.priority = priority

    def skip_bcast_commit(self, skip: bool) -> None:
        """Change Config.skip_bcast_commit of the running node."""
        self.raft.skip_bcast_commit = skip

    def set_batch_append(self, batch_append: bool) -> None:
        """Change Config.batch_append of the running node."""
        self.raft.batch_append = batch_append
