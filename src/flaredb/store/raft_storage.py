"""One region's Raft log and states on the shared engine, under keys that start with the region id (model/keys.py).

What a Ready hands out is staged into the step's batch and shown here at once: the core may read it back before the
batch is written, and nothing promises durability before the Sync that follows.
"""

from __future__ import annotations

from flaredb.engine.base import CF_RAFT, Engine, WriteBatch
from flaredb.model.ids import RegionId
from flaredb.model.keys import apply_state_key, hard_state_key, log_key, raft_range
from flaredb.model.region import Region
from flaredb.raft import Compacted, Entry, HardState, RaftState, Snapshot, Unavailable
from flaredb.raft.storage import limit_size
from flaredb.raft.types import entry_size_bytes
from flaredb.store.roles import conf_state_of
from flaredb.store.snapshot_desk import SnapshotDesk
from flaredb.wire.records import StateCorrupted
from flaredb.wire.states import (
    ApplyState,
    decode_apply_state,
    decode_hard_state,
    decode_log_entry,
    encode_apply_state,
    encode_hard_state,
    encode_log_entry,
)

INITIAL_INDEX = 5
INITIAL_TERM = 5
"""A new region's log starts after (5, 5), so that an empty peer can never pass for one that has it (wire facts 4.9)."""


SIZED_LOG_COUNT = 4096
"""A log of so many entries is asked for its size when it is loaded; what shorter ones take does not matter."""


class RaftStorage:
    """Implements raft.Storage.

    Invariants: entries (truncated_index, last_index] exist; ``_cache`` holds the youngest of them without a gap,
    ``_cache[i].index == _cache_first + i``, and all that the engine does not have yet; apply_state.applied_index <=
    last_index.
    """

    __slots__ = (
        "_cache",
        "_cache_bytes",
        "_cache_bytes_max",
        "_cache_first",
        "_engine",
        "apply_state",
        "desk",
        "hard_state",
        "last",
        "log_size_bytes",
        "region",
    )

    def __init__(self, engine: Engine, region: Region, cache_bytes_max: int, desk: SnapshotDesk) -> None:
        """Load what the engine holds of the region; one without members may hold no more than a vote.

        Errors: StateCorrupted.
        """
        self._engine = engine
        self.region = region
        """Kept current by the peer; gives the configuration at start."""
        self.desk = desk
        self.log_size_bytes = 0
        """About what the log takes on disk: what this process wrote, and what a long one took when it was loaded."""
        self.apply_state, self.hard_state = _load_states(engine, region)
        self._cache: list[Entry] = []
        self._cache_bytes = 0
        self._cache_bytes_max = cache_bytes_max
        self.last = self._load_log()
        self._cache_first = self.last - len(self._cache) + 1
        if self.last < self.hard_state.commit:
            raise StateCorrupted(
                f"region {region.id}: the log ends at {self.last}, before the commit index {self.hard_state.commit}"
            )

    def _load_log(self) -> int:
        """Read what is not applied yet, and at least the youngest entry. Older ones are only looked for: a log may be
        long, who needs one of them reads it, and finds out if it is missing.
        """
        engine, region_id = self._engine, self.region.id
        first = expected = self.apply_state.truncated_index + 1
        start, end = log_key(region_id, first), log_key(region_id, 2**64 - 1)
        youngest = next(engine.scan(CF_RAFT, start, end, reverse=True, limit=1), None)
        if youngest is None:
            return first - 1
        last = int.from_bytes(youngest[0][-8:], "big")
        applied = self.apply_state.applied_index
        if first <= applied < last or first < last == applied:
            if engine.get(CF_RAFT, start) is None:
                raise StateCorrupted(f"region {region_id}: log entry {first} is missing")
            expected = min(applied + 1, last)
        for key, value in engine.scan(CF_RAFT, log_key(region_id, expected), end):
            index = int.from_bytes(key[-8:], "big")
            if index != expected:
                raise StateCorrupted(f"region {region_id}: log entry {expected} is missing, {index} follows")
            self._remember(decode_log_entry(index, value))
            self.written()
            expected += 1
        if last - first >= SIZED_LOG_COUNT:
            self.log_size_bytes = engine.approximate_size_bytes(CF_RAFT, start, end)
        return expected - 1

    def _remember(self, entry: Entry) -> None:
        self._cache.append(entry)
        size_bytes = entry_size_bytes(entry)
        self.log_size_bytes += size_bytes
        self._cache_bytes += size_bytes

    @property
    def cached_bytes(self) -> int:
        """What the cached entries take."""
        return self._cache_bytes

    def written(self) -> None:
        """The engine has everything appended so far: the cache may forget it.

        The older half goes in one go, if there is more than the cache may hold; at least the youngest entry stays.
        """
        if self._cache_bytes > self._cache_bytes_max:
            self.trim_cache(self._cache_bytes_max)

    def trim_cache(self, bytes_max: int) -> None:
        """Forget the older half if the cache holds more than that. Pre: the engine has everything appended."""
        if self._cache_bytes <= bytes_max:
            return
        cache, size, count = self._cache, self._cache_bytes, 0
        while size > bytes_max // 2 and count < len(cache) - 1:
            size -= entry_size_bytes(cache[count])
            count += 1
        del cache[:count]
        self._cache_bytes = size
        if cache:
            self._cache_first = cache[0].index

    def forget(self) -> None:
        """Keep only the youngest entry in memory. Pre: the engine has everything appended so far."""
        del self._cache[:-1]
        self._cache_bytes = sum(entry_size_bytes(entry) for entry in self._cache)
        self._cache_first = self.last - len(self._cache) + 1

    # ------------------------------------------------ raft.Storage

    def initial_state(self) -> RaftState:
        """Hard state and configuration, as of the applied index."""
        hard = self.hard_state
        return RaftState(HardState(hard.term, hard.vote, hard.commit), conf_state_of(self.region))

    def first_index(self) -> int:
        """Index after the last compacted one."""
        return self.apply_state.truncated_index + 1

    def last_index(self) -> int:
        """Index of the last entry written."""
        return self.last

    def term(self, idx: int) -> int:
        """Term at idx. Errors: Compacted, Unavailable."""
        if idx >= self._cache_first and idx <= self.last and self._cache:
            return self._cache[idx - self._cache_first].term
        state = self.apply_state
        if idx == state.truncated_index:
            return state.truncated_term
        return self.entries(idx, idx + 1, None)[0].term

    def entries(self, low: int, high: int, max_size: int | None) -> list[Entry]:
        """Entries [low, high), at most max_size bytes but at least one. Errors: Compacted, Unavailable."""
        if low <= self.apply_state.truncated_index:
            raise Compacted(f"region {self.region.id}: index {low} is compacted")
        if high > self.last + 1:
            raise Unavailable(f"region {self.region.id}: index {high - 1} is beyond the last, {self.last}")
        first = self._cache_first
        if low >= first:
            return limit_size(self._cache[low - first : high - first], max_size)
        return self._read(low, high, max_size)

    def _read(self, low: int, high: int, max_size: int | None) -> list[Entry]:
        found: list[Entry] = []
        size = 0
        region_id = self.region.id
        for key, value in self._engine.scan(CF_RAFT, log_key(region_id, low), log_key(region_id, high)):
            entry = decode_log_entry(int.from_bytes(key[-8:], "big"), value)
            size += entry_size_bytes(entry)
            if found and max_size is not None and size > max_size:
                return found
            if entry.index != low + len(found):
                raise StateCorrupted(f"region {region_id}: log entry {low + len(found)} is missing")
            found.append(entry)
        if not found or (max_size is None and len(found) != high - low):
            raise StateCorrupted(f"region {region_id}: log entries from {low + len(found)} are missing")
        return found

    def snapshot(self, request_index: int, to: int) -> Snapshot | None:
        """A snapshot of the region as the engine has it now; None while there are too many or rows lack here."""
        return self.desk.take(self.region.id, request_index, to)

    # ------------------------------------------------ what a step writes

    def append(self, entries: list[Entry], batch: WriteBatch) -> None:
        """Stage entries, replacing what stands from the first one's index on."""
        first, last = entries[0].index, self.last
        region_id: RegionId = self.region.id
        assert self.apply_state.applied_index < first <= last + 1, f"region {region_id}: append at {first}"
        if first <= last:
            self._truncate_cache(first)
            if entries[-1].index < last:
                self._delete_log(entries[-1].index + 1, last, batch)
        if not self._cache:
            self._cache_first = first
        size_bytes = 0
        for entry in entries:
            batch.put(CF_RAFT, log_key(region_id, entry.index), encode_log_entry(entry))
            size_bytes += entry_size_bytes(entry)
        self._cache += entries
        self._cache_bytes += size_bytes
        self.log_size_bytes += size_bytes
        self.last = entries[-1].index

    def _delete_log(self, first: int, last: int, batch: WriteBatch) -> None:
        batch.delete_range(CF_RAFT, log_key(self.region.id, first), log_key(self.region.id, last + 1))

    def _truncate_cache(self, first: int) -> None:
        keep = max(first - self._cache_first, 0)
        del self._cache[keep:]
        self._cache_bytes = sum(entry_size_bytes(entry) for entry in self._cache)

    def set_hard_state(self, state: HardState, batch: WriteBatch) -> None:
        """Stage term, vote and commit. A commit index alone is not staged: it is learned again, and after a restart
        what is applied counts as committed.
        """
        known, self.hard_state = self.hard_state, state
        if state.term == known.term and state.vote == known.vote:
            return
        batch.put(CF_RAFT, hard_state_key(self.region.id), encode_hard_state(state))

    def set_apply_state(self, batch: WriteBatch) -> None:
        """Stage the apply state as it stands."""
        batch.put(CF_RAFT, apply_state_key(self.region.id), encode_apply_state(self.apply_state))

    def install(self, index: int, term: int, batch: WriteBatch) -> None:
        """Stage a log that begins behind a snapshot at (index, term), which counts as applied; the old log goes."""
        start, end = raft_range(self.region.id)
        batch.delete_range(CF_RAFT, start, end)
        self._cache.clear()
        self._cache_bytes = self.log_size_bytes = 0
        self._cache_first = index + 1
        self.last = index
        self.apply_state = ApplyState(index, index, term)
        self.set_apply_state(batch)
        hard = self.hard_state
        self.hard_state = HardState(hard.term, hard.vote, max(hard.commit, index))
        batch.put(CF_RAFT, hard_state_key(self.region.id), encode_hard_state(self.hard_state))

    def compact_to(self, index: int, batch: WriteBatch) -> None:
        """Stage dropping the log up to ``index``. Pre: index is applied (asserted); the apply state is staged after."""
        state = self.apply_state
        assert index <= state.applied_index, f"compacting to {index} past the applied {state.applied_index}"
        if index <= state.truncated_index:
            return
        state.truncated_term = self.term(index)
        kept = (self.last - index) / (self.last - state.truncated_index)
        self.log_size_bytes = int(self.log_size_bytes * kept)
        self._delete_log(state.truncated_index + 1, index, batch)
        state.truncated_index = index
        if index >= self._cache_first:
            del self._cache[: index + 1 - self._cache_first]
            self._cache_first = index + 1
            self._cache_bytes = sum(entry_size_bytes(entry) for entry in self._cache)


def _load_states(engine: Engine, region: Region) -> tuple[ApplyState, HardState]:
    apply_data = engine.get(CF_RAFT, apply_state_key(region.id))
    hard_data = engine.get(CF_RAFT, hard_state_key(region.id))
    if not region.peers:
        return ApplyState(0, 0, 0), decode_hard_state(hard_data) if hard_data is not None else HardState()
    if apply_data is None or hard_data is None:
        raise StateCorrupted(f"region {region.id} has no Raft state on disk")
    apply_state, hard_state = decode_apply_state(apply_data), decode_hard_state(hard_data)
    if not 0 <= apply_state.truncated_index <= apply_state.applied_index or min(hard_state.term, hard_state.vote) < 0:
        raise StateCorrupted(f"region {region.id} has a Raft state on disk that cannot be: {apply_state}, {hard_state}")
    hard_state.commit = max(hard_state.commit, apply_state.applied_index)
    return apply_state, hard_state


def write_initial_state(region: Region, batch: WriteBatch) -> None:
    """Stage the first Raft and apply state of a region that starts from nothing (index 5, term 5)."""
    hard_state = HardState(INITIAL_TERM, 0, INITIAL_INDEX)
    apply_state = ApplyState(INITIAL_INDEX, INITIAL_INDEX, INITIAL_TERM)
    batch.put(CF_RAFT, hard_state_key(region.id), encode_hard_state(hard_state))
    batch.put(CF_RAFT, apply_state_key(region.id), encode_apply_state(apply_state))
