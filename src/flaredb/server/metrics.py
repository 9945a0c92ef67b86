"""Prometheus text (exposition format 0.0.4) from plain numbers.

Rendered by hand: a few hundred lines cost under a millisecond on the event loop, and there is nothing to import.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping

from flaredb.server.counters import DURATION_BOUNDS_SECONDS, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]
Metric = tuple[str, str, str, list[Sample]]
"""name, kind (counter, gauge, histogram), help, samples. A histogram's samples carry the suffix in label ``__name``."""

_BOUND_NAMES = (*(f"{bound:.9g}" for bound in DURATION_BOUNDS_SECONDS), "+Inf")


def render_metrics(metrics: Iterable[Metric]) -> str:
    """The text of the metrics in their order; one without samples is left out."""
    lines: list[str] = []
    for name, kind, text, samples in metrics:
        if not samples:
            continue
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {kind}")
        for labels, value in samples:
            suffix = labels.get("__name", "")
            shown = ",".join(f'{key}="{_escape(item)}"' for key, item in labels.items() if key != "__name")
            lines.append(f"{name}{suffix}{{{shown}}} {value!r}" if shown else f"{name}{suffix} {value!r}")
    return "\n".join(lines) + "\n"


def counter(name: str, text: str, values: Mapping[str, float], label: str = "type") -> Metric:
    """A counter with one label; ``values`` by that label."""
    return name, "counter", text, [({label: str(of)}, value) for of, value in values.items()]


def gauge(name: str, text: str, values: Mapping[str, float], label: str = "type") -> Metric:
    """A gauge with one label; ``values`` by that label."""
    return name, "gauge", text, [({label: str(of)}, value) for of, value in values.items()]


def plain(name: str, kind: str, text: str, value: float) -> Metric:
    """A counter or gauge without labels."""
    return name, kind, text, [({}, value)]


def histogram(name: str, text: str, histograms: Mapping[str, Histogram], label: str = "type") -> Metric:
    """Histograms with one label, by that label."""
    samples = [sample for of, item in histograms.items() for sample in histogram_samples({label: of}, item)]
    return name, "histogram", text, samples


def plain_histogram(name: str, text: str, item: Histogram) -> Metric:
    """A histogram without labels."""
    return name, "histogram", text, histogram_samples({}, item)


def histogram_samples(labels: dict[str, str], item: Histogram) -> list[Sample]:
    """The bucket, sum and count samples of one histogram; buckets are cumulative, as the format wants them."""
    samples: list[Sample] = []
    total = 0
    for bound, count in zip(_BOUND_NAMES, item.buckets, strict=True):
        total += count
        samples.append(({"__name": "_bucket", **labels, "le": bound}, total))
    samples.append(({"__name": "_sum", **labels}, item.sum_seconds))
    samples.append(({"__name": "_count", **labels}, item.count))
    return samples


def process_metrics() -> list[Metric]:
    """What every exporter tells of its process; on systems without /proc only the CPU time."""
    metrics = [plain("process_cpu_seconds_total", "counter", "CPU time of user and system", time.process_time())]
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            resident_pages = int(statm.read().split()[1])
        with open("/proc/self/stat", encoding="utf-8") as stat:
            started_ticks = int(stat.read().rpartition(")")[2].split()[19])
        open_files = len(os.listdir("/proc/self/fd"))
    except OSError:
        return metrics
    resident_bytes = resident_pages * os.sysconf("SC_PAGE_SIZE")
    running_s = time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / os.sysconf("SC_CLK_TCK")
    return [
        *metrics,
        plain("process_resident_memory_bytes", "gauge", "Memory in use", resident_bytes),
        plain("process_start_time_seconds", "gauge", "Start of the process, unix time", time.time() - running_s),
        plain("process_open_fds", "gauge", "Open file descriptors", open_files),
    ]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
