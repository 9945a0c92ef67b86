"""A store's metrics as numbers: what ``top`` needs of the Prometheus text. Pure. TiKV's own text will do as well."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LINE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_READS = ("get", "scan", "checksum", "coprocessor")
_WRITES = ("put", "delete", "compare", "prewrite", "commit", "rollback", "lock")
CALLS = "tikv_grpc_msg_duration_seconds"


@dataclass(slots=True)
class Sample:
    """Counts since the store's start, and a few numbers of the moment; ``at_s`` of a monotonic clock."""

    at_s: float
    reads: float = 0.0
    """Calls that were answered; requests of a batch frame one by one."""

    writes: float = 0.0
    failures: float = 0.0
    """Failed calls, and answers that were region errors."""

    bytes_read: float | None = None
    """Keys and values; None if the store does not tell."""

    bytes_written: float | None = None
    buckets: dict[float, float] = field(default_factory=dict)
    """Calls that took at most so many seconds, over all kinds; infinity is all."""

    cpu_s: float | None = None
    memory_bytes: float = 0.0
    syncs: float = 0.0
    sync_s: float = 0.0


def parse_sample(text: str, at_s: float) -> Sample:
    """The numbers in a store's /metrics; lines that are not understood count for nothing."""
    sample = Sample(at_s)
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = _LINE.match(line)
        if found is None:
            continue
        try:
            value = float(found["value"])
        except ValueError:
            continue
        _take(sample, found["name"], dict(_LABEL.findall(found["labels"] or "")), value)
    return sample


def _take(sample: Sample, name: str, labels: dict[str, str], value: float) -> None:
    kind = labels.get("type", "")
    if name == f"{CALLS}_count":
        if _is_a(kind, _WRITES):
            sample.writes += value
        elif _is_a(kind, _READS):
            sample.reads += value
    elif name == f"{CALLS}_bucket":
        if _is_a(kind, _WRITES) or _is_a(kind, _READS):
            bound = float(labels.get("le", "inf"))
            sample.buckets[bound] = sample.buckets.get(bound, 0.0) + value
    elif name in ("tikv_grpc_msg_fail_total", "flaredb_region_errors_total"):
        sample.failures += value
    elif name == "flaredb_region_bytes_total":
        if labels.get("direction") == "read":
            sample.bytes_read = value
        else:
            sample.bytes_written = value
    elif name == "process_cpu_seconds_total":
        sample.cpu_s = value
    elif name == "process_resident_memory_bytes":
        sample.memory_bytes = value
    elif name == "tikv_raftstore_append_log_duration_seconds_count":
        sample.syncs += value
    elif name == "tikv_raftstore_append_log_duration_seconds_sum":
        sample.sync_s += value


def _is_a(kind: str, words: tuple[str, ...]) -> bool:
    return any(word in kind for word in words)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a store does, between two samples. None: not known."""

    reads_per_s: float
    writes_per_s: float
    failures_per_s: float
    bytes_read_per_s: float | None
    bytes_written_per_s: float | None
    p99_s: float | None
    """Within which 99 % of its calls were answered; None if there were none."""

    cpu_share: float | None
    """Of one processor."""

    sync_s: float | None
    """What one synced append to the log took."""

    memory_bytes: float


def rates(before: Sample, now: Sample) -> Rates | None:
    """None if there is nothing to compare, or the store was restarted between."""
    passed_s = now.at_s - before.at_s
    moved = (now.reads - before.reads, now.writes - before.writes, now.failures - before.failures)
    if passed_s <= 0 or min(moved) < 0 or (now.cpu_s or 0) < (before.cpu_s or 0):
        return None
    syncs = now.syncs - before.syncs
    return Rates(
        moved[0] / passed_s,
        moved[1] / passed_s,
        moved[2] / passed_s,
        _per_s(before.bytes_read, now.bytes_read, passed_s),
        _per_s(before.bytes_written, now.bytes_written, passed_s),
        quantile(before.buckets, now.buckets, 0.99),
        _per_s(before.cpu_s, now.cpu_s, passed_s),
        (now.sync_s - before.sync_s) / syncs if syncs > 0 else None,
        now.memory_bytes,
    )


def quantile(before: dict[float, float], now: dict[float, float], share: float) -> float | None:
    """Seconds within which a share of what came between was done, even within a bucket; None if nothing came."""
    bounds = sorted(now)
    counts = [now[bound] - before.get(bound, 0.0) for bound in bounds]
    if not bounds or counts[-1] <= 0:
        return None
    wanted = share * counts[-1]
    lower_s = below = 0.0
    for bound, upto in zip(bounds, counts, strict=True):
        if upto >= wanted:
            if bound == float("inf"):
                return lower_s
            return lower_s + (bound - lower_s) * (wanted - below) / max(upto - below, 1e-9)
        lower_s, below = bound, upto
    return lower_s


def _per_s(before: float | None, now: float | None, passed_s: float) -> float | None:
    return None if before is None or now is None else max(0.0, now - before) / passed_s
