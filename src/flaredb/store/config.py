"""Settings of the store core. Times in milliseconds, sizes in bytes; every queue has its bound here."""

from __future__ import annotations

from dataclasses import dataclass

from flaredb.model.errors import ConfigError
from flaredb.model.limits import ENTRY_SIZE_BYTES_MAX, KIB, MIB, lease_ms_max

BUSY_BACKOFF_MS = 100
"""After how long whoever is told that the store or a region is busy should ask again."""


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """What the engine may owe before writes are refused (flow.py): [storage.flow-control], as in TiKV.

    A figure holds writes off from its threshold on, and all of them from twice the threshold on, which must be below
    the engine's own brakes (engine/rocks_options.py).
    """

    memtables: int = 5
    """memtables-threshold"""

    level0_files: int = 20
    """l0-files-threshold"""

    pending_bytes_soft: int = 16 * 1024 * MIB
    """soft-pending-compaction-bytes-limit; TiKV: 192GiB, for larger disks."""

    pending_bytes_hard: int = 64 * 1024 * MIB
    """hard-pending-compaction-bytes-limit: from here on nothing is let in; TiKV: 1TiB."""


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Defaults are TiKV's where the meaning is the same."""

    tick_ms: int = 1000
    """raftstore.raft-base-tick-interval"""

    heartbeat_ticks: int = 2
    """raftstore.raft-heartbeat-ticks"""

    election_ticks: int = 10
    """raftstore.raft-election-timeout-ticks; the lease of votes, and the shortest time without a leader."""

    election_ticks_max: int = 20
    """raftstore.raft-max-election-timeout-ticks, exclusive."""

    entry_size_bytes_max: int = ENTRY_SIZE_BYTES_MAX
    """raftstore.raft-entry-max-size: what one request may write at most."""

    batch_entry_size_bytes: int = 1 * MIB
    """Writes of one region in one step share entries of about this size."""

    gather_crowd: int = 16
    """While so many requests wait in this store, few writes of a region wait for each other (proposing.py)."""

    gather_writes: int = 16
    gather_bytes: int = 16 * KIB
    """So many of a region never wait, nor so large ones."""

    gather_ms: int = 5
    """How long they wait at most for the region's last entry to be committed; 0: not at all."""

    message_size_bytes_max: int = 1 * MIB
    """raftstore.raft-max-size-per-msg"""

    inflight_messages_max: int = 256
    """raftstore.raft-max-inflight-msgs, per follower."""

    apply_size_bytes_max: int = 4 * MIB
    """Committed entries that one region applies in one step at most, so that a batch stays small."""

    hold_ms: int = 1000
    """How long a request may wait for what is merely not known yet (a leader, a region being created)."""

    read_timeout_ms: int = 2000
    """How long a read may wait for its ReadIndex round and for the apply."""

    lease_reads: bool = True
    """raftstore.read-mode: True: leaders read by lease where they can; False: by a ReadIndex round always."""

    lease_ms: int = 0
    """raftstore.raft-store-max-leader-lease; 0: as long as is safe."""

    write_timeout_ms: int = 10_000
    """After this the fate of a proposed write is reported as unknown."""

    requests_max: int = 100_000
    """raftstore.max-waiting-requests: requests waiting in this store; beyond it ServerIsBusy."""

    write_bytes_max: int = 256 * MIB
    """raftstore.max-waiting-writes-size: bytes of writes waiting in this store; beyond it ServerIsBusy."""

    region_write_bytes_max: int = 32 * MIB
    """raftstore.region-max-waiting-writes-size: bytes of writes of one region that are not applied; beyond it
    ServerIsBusy."""

    region_entries_max: int = 4096
    """raftstore.region-max-unapplied-entries: entries of one region's log that are not applied here; beyond it its
    leader answers writes with ServerIsBusy."""

    unsynced_bytes_max: int = 64 * MIB
    """raftstore.max-unsynced-size: bytes written and not yet synced; beyond it writes are answered ServerIsBusy, and
    entries of other leaders are dropped, to be sent again."""

    inflight_bytes_max: int = 32 * MIB
    """Entries on their way to one follower of one region, or unanswered by it."""

    log_caches_bytes_max: int = 128 * MIB
    """Log entries of all regions kept in memory."""

    flow: FlowLimits = FlowLimits()
    """When the engine is too far behind to take more writes."""

    scan_slice_rows: int = 1024
    """Rows of a long scan read per step."""

    hibernate_regions: bool = True
    """raftstore.hibernate-regions: regions without anything to do sleep (hibernation.py)."""

    idle_elections: int = 3
    """Election timeouts without anything to do before a region goes to sleep."""

    log_gc_interval_ms: int = 3000
    """raftstore.raft-log-gc-tick-interval"""

    log_gc_threshold: int = 1024
    """Entries that all replicas hold before the log is compacted; raftstore.raft-log-gc-threshold is 50 in TiKV."""

    log_count_max: int = 73_728
    """raftstore.raft-log-gc-count-limit: a longer log is dropped although a replica lacks it and needs a snapshot."""

    log_size_bytes_max: int = 72 * MIB
    """raftstore.raft-log-gc-size-limit: likewise for a larger one."""

    log_cache_bytes_max: int = 8 * MIB
    """Recent log entries of one region kept in memory."""

    region_heartbeat_ms: int = 60_000
    """raftstore.pd-heartbeat-tick-interval"""

    peer_down_ms: int = 600_000
    """raftstore.max-peer-down-duration"""

    leader_missing_ms: int = 120_000
    """raftstore.abnormal-leader-missing-duration: a replica without a leader for so long asks PD whether it still
    belongs to its region (TiKV waits 10 min)."""

    snapshots_sending_max: int = 3
    """server.concurrent-send-snap-limit: snapshots of the engine held for sending at once."""

    snapshot_retry_ms: int = 1_000
    """How long a replica whose snapshot failed waits for the next one."""

    fill_slice_bytes: int = 256 * KIB
    """Bytes of a received snapshot written per step: one chunk, about a millisecond."""

    bulk_load_bytes_min: int = 4 * MIB
    """Snapshots of at least this size are loaded as table files (bench/README.md), smaller ones written in batches."""

    region_split_size_bytes: int = 32 * MIB
    """coprocessor.region-split-size: what a piece of a split should hold; 0: no region splits by itself. The default
    is an eighth of TiKV's, because the rows of a region are read by Python before it is split (docs/adr/0011)."""

    region_max_size_bytes: int = 48 * MIB
    """coprocessor.region-max-size: a region larger than this is split."""

    region_split_keys: int = 320_000
    """coprocessor.region-split-keys: keys that a piece should hold at most."""

    region_max_keys: int = 480_000
    """coprocessor.region-max-keys: a region of more keys is split."""

    batch_split_limit: int = 10
    """coprocessor.batch-split-limit: keys that one split check finds at most."""

    split_region_check_tick_interval_ms: int = 1_000
    """raftstore.split-region-check-tick-interval"""

    @property
    def lease_length_ms(self) -> int:
        """How long a lease lasts: not longer than is safe, whatever is set. 0: reads are never by lease."""
        longest_ms = max(lease_ms_max(self.election_ticks, self.tick_ms), 0)
        return min(self.lease_ms or longest_ms, longest_ms) if self.lease_reads else 0

    def validate(self) -> None:
        """Check relations. Errors: ConfigError naming both settings."""
        rules = (
            (self.tick_ms > 0, "raftstore.raft-base-tick-interval must be positive"),
            (
                0 < self.heartbeat_ticks < self.election_ticks,
                f"raftstore.raft-heartbeat-ticks ({self.heartbeat_ticks}) must be below "
                f"raftstore.raft-election-timeout-ticks ({self.election_ticks})",
            ),
            (
                self.election_ticks < self.election_ticks_max,
                f"raftstore.raft-election-timeout-ticks ({self.election_ticks}) must be below "
                f"raftstore.raft-max-election-timeout-ticks ({self.election_ticks_max})",
            ),
            (
                self.lease_ms < self.election_ticks * self.tick_ms,
                f"raftstore.raft-store-max-leader-lease ({self.lease_ms} ms) must be below "
                f"raftstore.raft-election-timeout-ticks ({self.election_ticks} of {self.tick_ms} ms)",
            ),
            (self.batch_entry_size_bytes <= self.entry_size_bytes_max, "raftstore.raft-entry-max-size is below 1 MiB"),
            (
                self.region_split_size_bytes <= self.region_max_size_bytes,
                f"coprocessor.region-split-size ({self.region_split_size_bytes}) must not exceed "
                f"coprocessor.region-max-size ({self.region_max_size_bytes})",
            ),
            (
                0 < self.region_split_keys <= self.region_max_keys,
                f"coprocessor.region-split-keys ({self.region_split_keys}) must be positive and must not exceed "
                f"coprocessor.region-max-keys ({self.region_max_keys})",
            ),
            (
                self.inflight_bytes_max >= self.message_size_bytes_max,
                f"raftstore.raft-max-size-per-msg ({self.message_size_bytes_max}) must not exceed "
                f"{self.inflight_bytes_max} bytes",
            ),
            (
                self.region_write_bytes_max >= self.entry_size_bytes_max,
                f"raftstore.region-max-waiting-writes-size ({self.region_write_bytes_max}) must not be below "
                f"raftstore.raft-entry-max-size ({self.entry_size_bytes_max})",
            ),
            (self.region_entries_max > 0, "raftstore.region-max-unapplied-entries must be positive"),
            (self.unsynced_bytes_max > 0, "raftstore.max-unsynced-size must be positive"),
            (
                self.flow.memtables > 0 and self.flow.level0_files > 0,
                "storage.flow-control: thresholds must be positive",
            ),
            (
                0 < self.flow.pending_bytes_soft < self.flow.pending_bytes_hard,
                "storage.flow-control.soft-pending-compaction-bytes-limit must be below "
                "storage.flow-control.hard-pending-compaction-bytes-limit",
            ),
            (self.batch_split_limit > 0, "coprocessor.batch-split-limit must be positive"),
            (self.scan_slice_rows > 0, "scan_slice_rows must be positive"),
        )
        for holds, message in rules:
            if not holds:
                raise ConfigError(message)
