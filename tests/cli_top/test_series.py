"""From a store's metrics to rates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flaredb.cli.top.series import Rates, Sample, parse_sample, quantile, rates
from flaredb.server.counters import Counters, add, durations
from flaredb.server.store_metrics import render_store_metrics


def test_a_store_s_own_text_is_understood() -> None:
    counters = Counters()
    durations(counters.calls, "raw_get").observe(0.001, 30)
    durations(counters.calls, "raw_scan").observe(0.001, 10)
    durations(counters.calls, "raw_put").observe(0.004, 5)
    durations(counters.calls, "raw_delete").observe(0.004, 1)
    durations(counters.calls, "batch_commands").observe(0.5, 7)
    counters.append_log.observe(0.002, 3)
    add(counters.failures, "raw_get", 2)
    add(counters.region_errors, "NotLeader", 3)
    counters.bytes_moved.update(read=4_000, written=500)
    sample = parse_sample(render_store_metrics(counters), 7.0)
    assert (sample.at_s, sample.reads, sample.writes, sample.failures) == (7.0, 40, 6, 5)
    assert (sample.bytes_read, sample.bytes_written) == (4_000, 500)
    assert (sample.syncs, sample.sync_s) == (3, pytest.approx(0.006))
    assert sample.buckets[float("inf")] == 46, "a frame of calls is not a call"
    assert sample.memory_bytes > 0
    assert sample.cpu_s is not None


TEXTS = [
    ("nothing", "", Sample(0.0)),
    ("comments and what is no metric", "# HELP x\n\n<html>\nx{y} z\n", Sample(0.0)),
    (
        "TiKV's transactional calls",
        'tikv_grpc_msg_duration_seconds_count{priority="normal",type="kv_prewrite"} 4\n'
        'tikv_grpc_msg_duration_seconds_count{priority="normal",type="coprocessor"} 6\n',
        Sample(0.0, reads=6, writes=4),
    ),
    ("numbers as Go writes them", "process_resident_memory_bytes 1.5e+08\n", Sample(0.0, memory_bytes=1.5e8)),
    ("a number that is none", "process_resident_memory_bytes lots\n", Sample(0.0)),
]


@pytest.mark.parametrize(("case", "text", "sample"), TEXTS, ids=[row[0] for row in TEXTS])
def test_texts(case: str, text: str, sample: Sample) -> None:
    assert parse_sample(text, 0.0) == sample


BEFORE = Sample(10.0, reads=100, writes=50, bytes_read=1_000, bytes_written=0, cpu_s=5.0, syncs=10, sync_s=0.1)
NOW = Sample(
    12.0, reads=140, writes=60, bytes_read=5_000, bytes_written=200, cpu_s=5.5, memory_bytes=7, syncs=20, sync_s=0.15
)


def test_rates_are_of_the_time_between() -> None:
    found = rates(BEFORE, NOW)
    assert found == Rates(20, 5, 0, 2_000, 100, None, 0.25, pytest.approx(0.005), 7)


NO_RATES = [
    ("restarted: its counts began again", NOW, BEFORE),
    ("restarted, and as busy as before", BEFORE, replace(NOW, cpu_s=0.2)),
    ("asked twice at once", NOW, NOW),
]


@pytest.mark.parametrize(("case", "before", "now"), NO_RATES, ids=[row[0] for row in NO_RATES])
def test_no_rates(case: str, before: Sample, now: Sample) -> None:
    assert rates(before, now) is None


def test_a_store_that_tells_less_is_shown_with_what_it_tells() -> None:
    found = rates(replace(BEFORE, bytes_read=None, cpu_s=None), replace(NOW, bytes_read=None, cpu_s=None, syncs=10))
    assert found is not None
    assert (found.bytes_read_per_s, found.cpu_share, found.sync_s, found.reads_per_s) == (None, None, None, 20)


INF = float("inf")
QUANTILES = [
    ("nothing was done", {1.0: 5.0, INF: 5.0}, {1.0: 5.0, INF: 5.0}, None),
    ("no buckets", {}, {}, None),
    ("all in the first bucket", {}, {1.0: 10.0, INF: 10.0}, 0.5),
    ("half of them in the second", {}, {1.0: 5.0, 3.0: 10.0, INF: 10.0}, 1.0),
    ("only what came between counts", {1.0: 100.0, 3.0: 100.0, INF: 100.0}, {1.0: 100.0, 3.0: 110.0, INF: 110.0}, 2.0),
    ("beyond every bound", {}, {1.0: 0.0, INF: 10.0}, 1.0),
]


@pytest.mark.parametrize(("case", "before", "now", "median"), QUANTILES, ids=[row[0] for row in QUANTILES])
def test_quantile(case: str, before: dict[float, float], now: dict[float, float], median: float | None) -> None:
    assert quantile(before, now, 0.5) == median
