"""What a store process counts: plain numbers that hot paths add to; store_metrics.py turns them into series when asked.

Everything here is touched on the event loop's thread only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flaredb.server.histogram import DURATION_BOUNDS_SECONDS as DURATION_BOUNDS_SECONDS
from flaredb.server.histogram import Histogram as Histogram
from flaredb.server.peer_counters import PeerCounters, SnapshotCounters

CALL_TYPES = {
    "RawGet": "raw_get",
    "RawBatchGet": "raw_batch_get",
    "RawPut": "raw_put",
    "RawBatchPut": "raw_batch_put",
    "RawDelete": "raw_delete",
    "RawBatchDelete": "raw_batch_delete",
    "RawScan": "raw_scan",
    "RawBatchScan": "raw_batch_scan",
    "RawDeleteRange": "raw_delete_range",
    "RawCompareAndSwap": "raw_compare_and_swap",
    "RawGetKeyTTL": "raw_get_key_ttl",
    "RawChecksum": "raw_checksum",
    "BatchCommands": "batch_commands",
}
"""gRPC method -> the type that it is counted under, in TiKV's spelling."""

RAFT_MESSAGE_TYPES = (
    "hup",
    "beat",
    "propose",
    "append",
    "append_resp",
    "vote",
    "vote_resp",
    "snapshot",
    "heartbeat",
    "heartbeat_resp",
    "unreachable",
    "snapshot_status",
    "check_quorum",
    "transfer_leader",
    "timeout_now",
    "read_index",
    "read_index_resp",
    "prevote",
    "prevote_resp",
)
"""The type that a Raft message is counted under, at the number of its raft.MessageType; TiKV's spelling."""


_WORD_BORDER = re.compile("(?<=[a-z])(?=[A-Z])")


@dataclass(slots=True)
class Counters:
    """One per process. Tables by name grow with ``add`` or ``durations``; keep the names few, each becomes a series."""

    calls: dict[str, Histogram] = field(default_factory=dict)
    """Answered KV calls by type (CALL_TYPES), with the time from arrival to answer. The requests of a BatchCommands
    frame count one by one under their own type."""

    failures: dict[str, int] = field(default_factory=dict)
    """Calls that ended in a gRPC status or an error text, by type. Region errors are counted below. What is not built
    is refused before anybody counts."""

    region_errors: dict[str, int] = field(default_factory=dict)
    """Answers that were region errors, by class name."""

    raft_sent: dict[str, int] = field(default_factory=dict)
    """Raft messages handed to the links, by type (RAFT_MESSAGE_TYPES)."""

    step: Histogram = field(default_factory=Histogram)
    """Steps of the store core, with their effects."""

    idle_poll_s: float = 0.0
    """So long the loop was kept awake instead of sleeping (server/idle_poll.py). Sources.measure sets it."""

    append_log: Histogram = field(default_factory=Histogram)
    """From the request for a sync to its end: what durability costs here."""

    peers: PeerCounters = field(default_factory=PeerCounters)
    """Traffic between stores; hand it to PeerServer and PeerLinks."""

    snapshots: SnapshotCounters = field(default_factory=SnapshotCounters)
    """Snapshots to and from other stores."""

    unreached: dict[int, int] = field(default_factory=dict)
    """By store id: how often messages to it were lost."""

    pd_calls: dict[str, Histogram] = field(default_factory=dict)
    """Attempts to call PD by type, answered or not: alloc_id, put_store, store_heartbeat, scan_regions ..."""

    pd_heartbeats: dict[str, int] = field(default_factory=dict)
    """Region heartbeats by type: send, and rejected by PD; and orders of PD received. Sources.measure sets it."""

    channel_full: dict[str, int] = field(default_factory=dict)
    """By queue: what was refused or dropped because it was full. unary: calls that wait for the store; pd_heartbeat:
    region heartbeats not yet sent, set by Sources.measure."""

    # Gauges: Sources.measure sets them before each scrape.
    messages_refused: int = 0
    """Raft messages that no working store sends (store/sanity.py)."""
    keys_moved: dict[str, int] = field(default_factory=dict)
    """Keys read and written in regions led here, since the start."""

    bytes_moved: dict[str, int] = field(default_factory=dict)
    """Keys and values of them, in bytes."""

    reads: dict[str, int] = field(default_factory=dict)
    """Reads that became consistent: by the leader's lease, and by a ReadIndex round."""
    leases_suspended: int = 0
    """1 while clocks of stores differ by more than leases allow."""
    lease_suspensions: int = 0
    busy: dict[str, int] = field(default_factory=dict)
    """Requests the store refused with ServerIsBusy, by what was full."""
    appends_dropped: int = 0
    """Entries of other leaders not taken because too much waits for the disk."""
    admitted_share: float = 1.0
    """Of the writes, by flow control."""
    region_count: int = 0
    leader_count: int = 0
    capacity_bytes: int = 0
    available_bytes: int = 0
    used_bytes: int = 0
    snapshot_traffic: dict[str, int] = field(default_factory=dict)
    """Snapshots sending, receiving and applying right now."""

    engine: dict[str, int] = field(default_factory=dict)
    """Engine.stats()."""

    def count_pd_call(self, method: str, took_seconds: float) -> None:
        """An attempt to call PD has ended; ``method`` is the gRPC method's name."""
        durations(self.pd_calls, _WORD_BORDER.sub("_", method).lower()).observe(took_seconds)


def rise(counts: dict[str, int], name: str, to: int) -> None:
    """Set a count that must never fall, though its source may be behind for a moment."""
    counts[name] = max(counts.get(name, 0), to)


def add(counts: dict[str, int], name: str, times: int = 1) -> None:
    """Count ``times`` more under ``name``."""
    counts[name] = counts.get(name, 0) + times


def durations(histograms: dict[str, Histogram], name: str) -> Histogram:
    """The histogram of ``name``, made at its first use; look it up once and keep it."""
    found = histograms.get(name)
    if found is None:
        found = histograms[name] = Histogram()
    return found
