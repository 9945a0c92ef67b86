"""The tail of the log that no Ready has handed out yet, and the snapshot that waits likewise."""

from __future__ import annotations

from .errors import RaftInvariantError
from .types import Entry, Snapshot


class Unstable:
    """Entries and a snapshot that are not in the Storage.

    Invariants: entries[i].index == offset + i; with a snapshot, offset > snapshot.metadata.index. offset may be at or
    below the storage's last index: the next write then overwrites that tail.
    """

    __slots__ = ("entries", "offset", "snapshot")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.entries: list[Entry] = []
        self.snapshot: Snapshot | None = None

    def maybe_first_index(self) -> int | None:
        """The first index of the log, if a waiting snapshot decides it."""
        return None if self.snapshot is None else self.snapshot.metadata.index + 1

    def maybe_last_index(self) -> int | None:
        """The last index of the log, if it is here and not in the storage."""
        if self.entries:
            return self.offset + len(self.entries) - 1
        return None if self.snapshot is None else self.snapshot.metadata.index

    def maybe_term(self, idx: int) -> int | None:
        """The term at idx, if it is known here."""
        if idx < self.offset:
            snap = self.snapshot
            return snap.metadata.term if snap is not None and snap.metadata.index == idx else None
        at = idx - self.offset
        return self.entries[at].term if at < len(self.entries) else None

    def stable_entries(self, index: int, term: int) -> None:
        """Everything up to (index, term), which is the last entry here, is readable in the storage now."""
        last = self.entries[-1] if self.entries else None
        if self.snapshot is not None or last is None or last.index != index or last.term != term:
            raise RaftInvariantError(f"entries up to ({index},{term}) reported stable, last is {last}")
        self.offset = index + 1
        self.entries = []

    def stable_snap(self, index: int) -> None:
        """The snapshot at index is in the storage now."""
        if self.snapshot is None or self.snapshot.metadata.index != index:
            raise RaftInvariantError(f"snapshot {index} reported stable, waiting is {self.snapshot}")
        self.snapshot = None

    def restore(self, snapshot: Snapshot) -> None:
        """Start again from a snapshot."""
        self.entries = []
        self.offset = snapshot.metadata.index + 1
        self.snapshot = snapshot

    def truncate_and_append(self, entries: list[Entry]) -> None:
        """Add entries; whatever stood from the first one's index on gives way."""
        after = entries[0].index
        at = after - self.offset
        if at == len(self.entries):
            self.entries += entries
        elif at <= 0:
            self.offset = after
            self.entries = list(entries)
        elif at < len(self.entries):
            self.entries = self.entries[:at] + entries
        else:
            raise RaftInvariantError(f"append at {after} leaves a gap after {self.offset + len(self.entries) - 1}")

    def slice(self, low: int, high: int) -> list[Entry]:
        """Entries low <= index < high, all of which must be here."""
        if low < self.offset or low > high or high > self.offset + len(self.entries):
            raise RaftInvariantError(f"unstable slice [{low},{high}) of [{self.offset},+{len(self.entries)})")
        return self.entries[low - self.offset : high - self.offset]
