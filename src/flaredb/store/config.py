"""Settings of the store core. Times in milliseconds, sizes in bytes; every queue has its bound here."""

from __future__ import annotations

from dataclasses import dataclass

from flaredb.model.errors import ConfigError
from flaredb.model.limits import ENTRY_SIZE_BYTES_MAX, MIB


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

    write_timeout_ms: int = 10_000
    """After this the fate of a proposed write is reported as unknown."""

    requests_max: int = 100_000
    """raftstore.max-waiting-requests: requests waiting in this store; beyond it ServerIsBusy."""

    write_bytes_max: int = 256 * MIB
    """raftstore.max-waiting-writes-size: bytes of writes waiting in this store; beyond it ServerIsBusy."""

    scan_slice_rows: int = 1024
    """Rows of a long scan read per step."""

    log_gc_interval_ms: int = 3000
    """raftstore.raft-log-gc-tick-interval"""

    log_gc_threshold: int = 1024
    """Entries that all replicas hold before the log is compacted; raftstore.raft-log-gc-threshold is 50 in TiKV."""

    log_cache_bytes_max: int = 8 * MIB
    """Recent log entries of one region kept in memory."""

    region_heartbeat_ms: int = 60_000
    """raftstore.pd-heartbeat-tick-interval"""

    peer_down_ms: int = 600_000
    """raftstore.max-peer-down-duration"""

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
            (self.batch_entry_size_bytes <= self.entry_size_bytes_max, "raftstore.raft-entry-max-size is below 1 MiB"),
            (self.scan_slice_rows > 0, "scan_slice_rows must be positive"),
        )
        for holds, message in rules:
            if not holds:
                raise ConfigError(message)
