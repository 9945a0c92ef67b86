"""The log as the core sees it: the storage, then the unstable tail, and the three marks on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .errors import Compacted, RaftInvariantError, StorageError
from .storage import Storage, limit_size
from .types import Entry, Snapshot
from .unstable import Unstable


class RaftLog:
    """One node's log.

    Invariants: applied <= committed <= tail_index, persisted < unstable.offset, persisted <= tail_index (after a
    restart applied may lead committed, if the application had applied unpersisted entries). committed never decreases.
    applied <= persisted unless max_apply_unpersisted_log_limit lets a leader run ahead. tail_index and tail_term are
    the position of the last entry, kept here because every message needs them.
    """

    __slots__ = (
        "applied",
        "committed",
        "max_apply_unpersisted_log_limit",
        "persisted",
        "store",
        "tail_index",
        "tail_term",
        "unstable",
    )

    def __init__(self, store: Storage, max_apply_unpersisted_log_limit: int = 0) -> None:
        first, last = store.first_index(), store.last_index()
        self.store = store
        self.unstable = Unstable(last + 1)
        self.committed = first - 1
        self.persisted = last
        self.applied = first - 1
        self.max_apply_unpersisted_log_limit = max_apply_unpersisted_log_limit
        self.tail_index = last
        self.tail_term = store.term(last)

    # Reading.

    def first_index(self) -> int:
        """Index of the first entry that can be read."""
        snapshot = self.unstable.snapshot
        return self.store.first_index() if snapshot is None else snapshot.metadata.index + 1

    def last_index(self) -> int:
        """Index of the last entry."""
        return self.tail_index

    def last_term(self) -> int:
        """Term of the last entry."""
        return self.tail_term

    def term(self, idx: int) -> int:
        """The term of the entry at idx; 0 outside first_index - 1 .. last_index.

        Errors: Compacted or Unavailable when the storage changed its mind about that range.
        """
        if idx == self.tail_index:
            return self.tail_term
        unstable = self.unstable
        at = idx - unstable.offset
        if at >= 0:
            return unstable.entries[at].term if idx < self.tail_index else 0
        snapshot = unstable.snapshot
        if snapshot is not None and snapshot.metadata.index == idx:
            return snapshot.metadata.term
        if idx < self.first_index() - 1:
            return 0
        return self.store.term(idx)

    def match_term(self, idx: int, term: int) -> bool:
        """True when the entry at idx is known to have this term (log matching, paper section 5.3)."""
        if idx == self.tail_index:
            return term == self.tail_term
        try:
            return self.term(idx) == term
        except StorageError:
            return False

    def is_up_to_date(self, last_index: int, term: int) -> bool:
        """True when a log that ends at (last_index, term) is at least as up to date as this one.

        Source: Raft paper section 5.4.1.
        """
        return term > self.tail_term or (term == self.tail_term and last_index >= self.tail_index)

    def entries(self, idx: int, max_size: int | None) -> list[Entry]:
        """Entries from idx to the end, at most max_size bytes but at least one if there is one.

        Errors: Compacted when idx is below the first index.
        """
        if idx > self.tail_index:
            return []
        return self.slice(idx, self.tail_index + 1, max_size)

    def slice(self, low: int, high: int, max_size: int | None) -> list[Entry]:
        """Entries low <= index < high, at most max_size bytes but at least one if there is one.

        Errors: Compacted when low is below the first index.
        """
        unstable = self.unstable
        offset = unstable.offset
        if low >= offset:
            return limit_size(unstable.slice(low, high), max_size)
        if unstable.snapshot is not None:
            # Whatever the storage holds, it is from before the snapshot.
            raise Compacted(f"entry {low} is below first index {self.first_index()}")
        found = self.store.entries(low, min(high, offset), max_size)
        if high <= offset or len(found) < offset - low:
            return found
        return limit_size(found + unstable.slice(offset, high), max_size)

    def scan(self, low: int, high: int, page_bytes: int, visit: Callable[[Sequence[Entry]], bool]) -> None:
        """Show entries low <= index < high page by page until `visit` returns False."""
        while low < high:
            page = self.slice(low, high, page_bytes)
            low += len(page)
            if not visit(page):
                return

    def find_conflict(self, entries: list[Entry]) -> int:
        """The index of the first given entry that is new or differs in term; 0 when the log holds all of them."""
        for entry in entries:
            if not self.match_term(entry.index, entry.term):
                return entry.index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """The largest position at or below index whose term is at most `term`, as (index, its term).

        A term of 0 means that the term there is unknown (compacted). It lets both sides skip a whole term of
        disagreement with one message (paper, end of section 5.3).
        """
        index = min(index, self.tail_index)
        floor = self.first_index() - 1
        while index > floor:
            found = self.term(index)
            if found <= term:
                return index, found
            index -= 1
        try:
            found = self.term(index)
        except StorageError:
            return index, 0
        return (index, found) if found <= term else (index - 1, 0)

    # Writing.

    def append(self, entries: list[Entry]) -> None:
        """Add entries, replacing what stands from the first one's index on. Committed entries never give way."""
        if not entries:
            return
        if entries[0].index <= self.committed:
            raise RaftInvariantError(f"append at {entries[0].index} would replace committed {self.committed}")
        self.unstable.truncate_and_append(entries)
        last = entries[-1]
        self.tail_index, self.tail_term = last.index, last.term

    def maybe_append(self, idx: int, term: int, committed: int, entries: list[Entry]) -> int | None:
        """A follower's append: the index of the last entry of the message, or None when (idx, term) does not match.

        Entries that are there already stay, and with them what follows them: a late message must not shorten the log
        (paper figure 2, AppendEntries receiver rule 3: only a conflict truncates).
        """
        if not self.match_term(idx, term):
            return None
        last_new = idx + len(entries)
        if entries:
            # A message that continues exactly at the end cannot conflict.
            conflict = idx + 1 if idx == self.tail_index else self.find_conflict(entries)
            if conflict:
                if conflict <= self.committed:
                    raise RaftInvariantError(f"entry {conflict} conflicts with committed {self.committed}")
                self.append(entries[conflict - idx - 1 :] if conflict > idx + 1 else entries)
                if self.persisted >= conflict:
                    self.persisted = conflict - 1
        if committed > self.committed:
            self.commit_to(min(committed, last_new))
        return last_new

    def commit_to(self, to_commit: int) -> None:
        """Raise the commit index; lower values are ignored."""
        if to_commit > self.committed:
            if to_commit > self.tail_index:
                raise RaftInvariantError(f"commit {to_commit} is beyond the last entry {self.tail_index}")
            self.committed = to_commit

    def maybe_commit(self, max_index: int, term: int) -> bool:
        """Commit up to max_index if the entry there is of this term (paper section 5.4.2)."""
        if max_index > self.committed and self.match_term(max_index, term):
            self.commit_to(max_index)
            return True
        return False

    def maybe_persist(self, index: int, term: int) -> bool:
        """Entries up to (index, term) survive a crash; True if the persisted mark moved.

        It does not move into what has been replaced since: the position must be below everything unstable and still
        hold that term.
        """
        snap = self.unstable.snapshot
        limit = self.unstable.offset if snap is None else snap.metadata.index
        if self.persisted < index < limit and self.match_term(index, term):
            self.persisted = index
            return True
        return False

    def maybe_persist_snap(self, index: int) -> bool:
        """A snapshot at index survives a crash; True if the persisted mark moved."""
        if index <= self.persisted:
            return False
        if index > self.committed or index >= self.unstable.offset:
            raise RaftInvariantError(f"persisted snapshot {index}, committed {self.committed}")
        self.persisted = index
        return True

    def applied_to(self, idx: int) -> None:
        """The application has applied up to idx.

        Pre: applied <= idx <= committed.
        """
        if idx == 0:
            return
        if idx > self.committed or idx < self.applied:
            raise RaftInvariantError(f"applied {idx} outside [{self.applied},{self.committed}]")
        self.applied = idx

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the log by a snapshot. Never goes back: the snapshot must reach the commit index."""
        meta = snapshot.metadata
        if meta.index < self.committed:
            raise RaftInvariantError(f"snapshot {meta.index} is before committed {self.committed}")
        # Only committed entries are known to agree with the snapshot, so only they still count as persisted.
        self.persisted = min(self.persisted, self.committed)
        self.committed = meta.index
        self.unstable.restore(snapshot)
        self.tail_index, self.tail_term = meta.index, meta.term

    # For Ready.

    def _applicable_to(self) -> int:
        """How far entries may be handed out for applying."""
        durable = self.persisted + self.max_apply_unpersisted_log_limit
        return durable if durable < self.committed else self.committed

    def next_entries_since(self, since_idx: int, max_size: int | None) -> list[Entry]:
        """Committed and persisted entries after since_idx, at most max_size bytes but at least one if any."""
        high = self._applicable_to() + 1
        low = since_idx + 1
        if high <= low:
            return []
        first = self.first_index()
        if low < first:
            low = first
        return self.slice(low, high, max_size) if high > low else []

    def has_next_entries_since(self, since_idx: int) -> bool:
        """True when next_entries_since would return something."""
        high = self._applicable_to() + 1
        return high > since_idx + 1 and high > self.first_index()

    def all_entries(self) -> list[Entry]:
        """Every entry that can be read; for tests."""
        return self.entries(self.first_index(), None)
