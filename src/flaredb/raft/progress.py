"""What a leader believes of one member: how far its log matches, and how fast it may be sent more."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from .errors import RaftInvariantError
from .types import INVALID_INDEX, NO_LIMIT

NEVER: Final = -(2**62)
"""A tick before any lease."""


class ProgressState(IntEnum):
    """Probe: at most one append per heartbeat until one is accepted. Replicate: optimistic, windowed stream.
    Snapshot: nothing until the snapshot is reported or overtaken."""

    Probe = 0
    Replicate = 1
    Snapshot = 2


_PROBE: Final = ProgressState.Probe
_REPLICATE: Final = ProgressState.Replicate
_SNAPSHOT: Final = ProgressState.Snapshot


class Inflights:
    """The window of append messages that were sent and not answered, by count and by bytes.

    Invariants: the indexes strictly increase; count() <= capacity; used_bytes is the sum of the sizes held.
    """

    __slots__ = ("_indexes", "_sizes", "capacity", "capacity_bytes", "used_bytes")

    def __init__(self, capacity: int, capacity_bytes: int = NO_LIMIT) -> None:
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self._indexes: list[int] = []
        self._sizes: list[int] = []

    def count(self) -> int:
        """Messages in flight."""
        return len(self._indexes)

    def full(self) -> bool:
        """True when nothing more may be sent."""
        return len(self._indexes) >= self.capacity or self.used_bytes >= self.capacity_bytes

    def add(self, last_index: int, size_bytes: int = 0) -> None:
        """A message whose last entry is last_index was sent.

        Pre: not full.
        """
        if self.full():
            raise RaftInvariantError("message added to a full window")
        self._indexes.append(last_index)
        self._sizes.append(size_bytes)
        self.used_bytes += size_bytes

    def free_to(self, index: int) -> None:
        """Everything up to index was answered."""
        indexes = self._indexes
        if not indexes or indexes[0] > index:
            return
        if indexes[-1] <= index:
            self.reset()
            return
        count = 1
        while indexes[count] <= index:
            count += 1
        self._free(count)

    def free_first_one(self) -> None:
        """Let one message more be sent although nothing was answered."""
        if self._indexes:
            self._free(1)

    def _free(self, count: int) -> None:
        del self._indexes[:count]
        self.used_bytes -= sum(self._sizes[:count])
        del self._sizes[:count]

    def reset(self) -> None:
        """Forget all."""
        self._indexes.clear()
        self._sizes.clear()
        self.used_bytes = 0


class Progress:
    """A leader's view of one member.

    Invariants: matched < next_idx; matched only rises within a term (except on reset); in Probe at most one append is
    unanswered per heartbeat (paused); in Snapshot nothing is sent; pending_snapshot is 0 outside Snapshot.
    """

    __slots__ = (
        "ins",
        "lease_tick",
        "matched",
        "next_idx",
        "paused",
        "pending_request_snapshot",
        "pending_snapshot",
        "recent_active",
        "state",
        "was_active",
    )

    def __init__(self, next_idx: int, ins_size: int, ins_bytes: int = NO_LIMIT) -> None:
        self.ins = Inflights(ins_size, ins_bytes)
        self.reset(next_idx)

    def reset(self, next_idx: int) -> None:
        """Forget everything: a new term begins."""
        self.matched = 0
        """Highest index known to be persisted there with the leader's entry."""
        self.next_idx = next_idx
        """Index the next append starts with."""
        self.state = _PROBE
        self.paused = False
        """Probe only: wait for an answer or a heartbeat."""
        self.pending_snapshot = 0
        """Snapshot only: index of the snapshot on its way."""
        self.pending_request_snapshot = INVALID_INDEX
        """The member asked for a snapshot at or after this index."""
        self.recent_active = False
        """Something was heard from it since the last quorum check."""
        self.was_active = False
        """Something was heard from it between the last two quorum checks."""
        self.lease_tick = NEVER
        """Leader's time (Raft.lease_now) when the newest heartbeat it answered was sent."""
        self.ins.reset()

    def _enter(self, state: ProgressState) -> None:
        self.paused = False
        self.pending_snapshot = 0
        self.state = state
        self.ins.reset()

    def become_probe(self) -> None:
        """Find out where the log matches; after a snapshot, assume it arrived."""
        after_snapshot = self.pending_snapshot + 1 if self.state is _SNAPSHOT else 0
        self._enter(_PROBE)
        self.next_idx = max(self.matched + 1, after_snapshot)

    def become_replicate(self) -> None:
        """Stream entries."""
        self._enter(_REPLICATE)
        self.next_idx = self.matched + 1

    def become_snapshot(self, snapshot_index: int) -> None:
        """A snapshot was sent: wait for its end."""
        self._enter(_SNAPSHOT)
        self.pending_snapshot = snapshot_index

    def snapshot_failure(self) -> None:
        """The snapshot did not arrive."""
        self.pending_snapshot = 0

    def is_alive(self) -> bool:
        """True when it was heard in the last election timeout or two: right after a quorum check, too."""
        return self.recent_active or self.was_active

    def is_snapshot_caught_up(self) -> bool:
        """True when the log there has reached what the snapshot would bring."""
        return self.state is _SNAPSHOT and self.matched >= self.pending_snapshot

    def maybe_update(self, index: int) -> bool:
        """The member has acknowledged up to index; False when that is not news."""
        if self.next_idx <= index:
            self.next_idx = index + 1
        if self.matched >= index:
            return False
        self.matched = index
        self.paused = False
        return True

    def maybe_decr_to(self, rejected: int, match_hint: int, request_snapshot: int) -> bool:
        """The member refused an append after `rejected`; False when the refusal is out of date.

        The next append starts after match_hint, where the logs may agree. With request_snapshot the member does not
        want entries but a snapshot at or after that index.
        """
        wants_snapshot = request_snapshot != INVALID_INDEX
        if self.state is _REPLICATE:
            if wants_snapshot:
                self.pending_request_snapshot = request_snapshot
                return True
            if rejected <= self.matched:
                return False
            self.next_idx = self.matched + 1
            return True
        if self.next_idx - 1 != rejected and not wants_snapshot:
            return False
        if not wants_snapshot:
            self.next_idx = max(min(rejected, match_hint + 1), self.matched + 1)
        elif self.pending_request_snapshot == INVALID_INDEX:
            self.pending_request_snapshot = request_snapshot
        self.paused = False
        return True

    def is_paused(self) -> bool:
        """True when nothing may be sent now."""
        state = self.state
        if state is _REPLICATE:
            return self.ins.full()
        return state is _SNAPSHOT or self.paused

    def pause(self) -> None:
        """Wait for an answer or a heartbeat."""
        self.paused = True

    def resume(self) -> None:
        """Send again."""
        self.paused = False

    def sent_entries(self, last_index: int, size_bytes: int) -> None:
        """Entries up to last_index were sent."""
        if self.state is _REPLICATE:
            self.next_idx = last_index + 1
            self.ins.add(last_index, size_bytes)
        elif self.state is _PROBE:
            self.paused = True
        else:
            raise RaftInvariantError("entries sent to a member that waits for a snapshot")
