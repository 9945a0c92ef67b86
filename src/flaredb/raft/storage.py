"""What the core reads of a log that others keep, and a storage in memory.

The core never writes a Storage: the application does, with what a Ready hands it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from .errors import Compacted, SnapshotOutOfDate, SnapshotTemporarilyUnavailable, Unavailable
from .types import ConfState, Entry, HardState, Snapshot, SnapshotMetadata, entry_size_bytes


@dataclass(slots=True)
class RaftState:
    """What a node starts from."""

    hard_state: HardState = field(default_factory=HardState)
    conf_state: ConfState = field(default_factory=ConfState)

    def initialized(self) -> bool:
        """True when a configuration is known."""
        return bool(self.conf_state.voters)


class Storage(Protocol):
    """The log as written so far. Everything a Ready handed out is readable here before `advance_append_async`."""

    def initial_state(self) -> RaftState:
        """The hard state and the configuration as of the applied index; read once, when the node is created."""
        ...

    def entries(self, low: int, high: int, max_size: int | None) -> list[Entry]:
        """Entries low <= index < high, cut after max_size bytes but never to nothing; None is no limit.

        Errors: Compacted when low is below first_index, Unavailable when high is beyond last_index + 1.
        """
        ...

    def term(self, idx: int) -> int:
        """The term of the entry at idx, for first_index - 1 <= idx <= last_index.

        Errors: Compacted below that range, Unavailable above it.
        """
        ...

    def first_index(self) -> int:
        """Index of the first entry that is not covered by compaction or a snapshot."""
        ...

    def last_index(self) -> int:
        """Index of the last entry, first_index - 1 when there is none."""
        ...

    def snapshot(self, request_index: int, to: int) -> Snapshot | None:
        """A snapshot at or after request_index for replica `to`, or None while one is being made.

        Errors: SnapshotTemporarilyUnavailable means the same as None.
        """
        ...


def limit_size(entries: list[Entry], max_size: int | None) -> list[Entry]:
    """The longest prefix of at most max_size bytes, at least one entry; None is no limit."""
    if max_size is None or len(entries) <= 1:
        return entries
    size = 0
    for count, entry in enumerate(entries):
        size += entry_size_bytes(entry)
        if size > max_size and count > 0:
            return entries[:count]
    return entries


class MemStorage:
    """A Storage in memory, for tests and examples.

    Invariant: `_entries[i].index == _dummy_index + 1 + i`; the dummy is the last entry that compaction or a snapshot
    took away.
    """

    __slots__ = (
        "_conf_state",
        "_dummy_index",
        "_dummy_term",
        "_entries",
        "_hard_state",
        "_snap_unavailable",
        "_snapshot",
    )

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._conf_state = ConfState()
        self._entries: list[Entry] = []
        self._dummy_index = 0
        self._dummy_term = 0
        self._snapshot: Snapshot | None = None
        self._snap_unavailable = False

    @classmethod
    def new_with_conf_state(cls, conf_state: ConfState) -> MemStorage:
        """A storage of a group that starts with this configuration; use the same one on every node."""
        store = cls()
        store.initialize_with_conf_state(conf_state)
        return store

    def initialize_with_conf_state(self, conf_state: ConfState) -> None:
        """Set the configuration of a storage that has none.

        Pre: not initialized (asserted).
        """
        assert not self.initial_state().initialized(), "storage already has a configuration"
        self._conf_state = conf_state.copy()

    # What the application writes.

    def set_hardstate(self, hs: HardState) -> None:
        """Save the hard state."""
        self._hard_state = hs

    def hard_state(self) -> HardState:
        """The hard state as saved; changing it changes the storage."""
        return self._hard_state

    def set_conf_state(self, cs: ConfState) -> None:
        """Save the configuration that `apply_conf_change` returned."""
        self._conf_state = cs

    def conf_state(self) -> ConfState:
        """The configuration as saved."""
        return self._conf_state

    def append(self, entries: list[Entry]) -> None:
        """Write entries; whatever the log held from the first one's index on is gone.

        Pre: no gap before them and none of them compacted (asserted).
        """
        if not entries:
            return
        keep = entries[0].index - self._dummy_index - 1
        assert 0 <= keep <= len(self._entries), f"append at {entries[0].index} to a log ending {self.last_index()}"
        if keep < len(self._entries):
            del self._entries[keep:]
        self._entries += entries

    def compact(self, compact_index: int) -> None:
        """Forget the entries below compact_index.

        Pre: compact_index <= last_index + 1 and <= the applied index + 1.
        """
        if compact_index <= self.first_index():
            return
        assert compact_index <= self.last_index() + 1, f"compact to {compact_index} beyond {self.last_index()}"
        drop = compact_index - self.first_index()
        last = self._entries[drop - 1]
        del self._entries[:drop]
        self._dummy_index, self._dummy_term = last.index, last.term

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace the whole log by a snapshot.

        Errors: SnapshotOutOfDate when it ends before the storage's first index.
        """
        meta = snapshot.metadata
        if meta.index < self._dummy_index:
            raise SnapshotOutOfDate(f"snapshot {meta.index} is before first index {self.first_index()}")
        self._entries = []
        self._dummy_index, self._dummy_term = meta.index, meta.term
        hs = self._hard_state
        self._hard_state = HardState(max(hs.term, meta.term), hs.vote, max(hs.commit, meta.index))
        self._conf_state = meta.conf_state.copy()
        self._snapshot = snapshot

    def create_snapshot(self, index: int, conf_state: ConfState, data: bytes = b"") -> Snapshot:
        """Make and keep the snapshot that `snapshot()` returns: state as of an applied index, with its configuration.

        Errors: Compacted or Unavailable when the term of index is unknown.
        """
        self._snapshot = Snapshot(data, SnapshotMetadata(conf_state.copy(), index, self.term(index)))
        return self._snapshot

    def commit_to(self, index: int) -> None:
        """Set the saved commit index and term to an entry's."""
        self._hard_state = HardState(self.term(index), self._hard_state.vote, index)

    def trigger_snap_unavailable(self) -> None:
        """Let the next `snapshot()` answer that none is ready."""
        self._snap_unavailable = True

    # What the core reads.

    def initial_state(self) -> RaftState:
        """See Storage."""
        hs = self._hard_state
        return RaftState(HardState(hs.term, hs.vote, hs.commit), self._conf_state.copy())

    def entries(self, low: int, high: int, max_size: int | None) -> list[Entry]:
        """See Storage."""
        base = self._dummy_index + 1
        if low < base:
            raise Compacted(f"entry {low} is below first index {base}")
        if high > base + len(self._entries):
            raise Unavailable(f"entry {high - 1} is beyond last index {self.last_index()}")
        found = self._entries[low - base : high - base]
        return found if max_size is None else limit_size(found, max_size)

    def term(self, idx: int) -> int:
        """See Storage."""
        at = idx - self._dummy_index - 1
        if at == -1:
            return self._dummy_term
        if at < 0:
            raise Compacted(f"entry {idx} is below first index {self._dummy_index + 1}")
        if at >= len(self._entries):
            raise Unavailable(f"entry {idx} is beyond last index {self.last_index()}")
        return self._entries[at].term

    def first_index(self) -> int:
        """See Storage."""
        return self._dummy_index + 1

    def last_index(self) -> int:
        """See Storage."""
        return self._dummy_index + len(self._entries)

    def snapshot(self, request_index: int, to: int) -> Snapshot | None:
        """The kept snapshot, or else an empty one at the saved commit index with the saved configuration.

        Pre: for the latter, everything up to the saved commit index is applied.
        Errors: SnapshotTemporarilyUnavailable when triggered, or when it would end before request_index.
        """
        if self._snap_unavailable:
            self._snap_unavailable = False
            raise SnapshotTemporarilyUnavailable(f"no snapshot for {to} yet")
        kept = self._snapshot
        if kept is None or kept.metadata.index < max(request_index, self._dummy_index):
            commit = self._hard_state.commit
            if commit < request_index:
                raise SnapshotTemporarilyUnavailable(f"snapshot would end at {commit}, before {request_index}")
            kept = Snapshot(b"", SnapshotMetadata(self._conf_state.copy(), commit, self.term(commit)))
        return kept
