"""Counters and their text, read back with the official parser."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.raft import MessageType
from flaredb.server.counters import (
    CALL_TYPES,
    DURATION_BOUNDS_SECONDS,
    RAFT_MESSAGE_TYPES,
    Counters,
    Histogram,
    add,
    durations,
)
from flaredb.server.metrics import CONTENT_TYPE, counter, plain_histogram, render_metrics
from flaredb.server.store_metrics import render_store_metrics
from flaredb.wire.raw_calls import RAW_CALLS

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _parse(text: str) -> Series:
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@given(st.lists(st.floats(0, 100), max_size=50))
@settings(deadline=None)
def test_histogram_counts_each_duration_in_the_first_bound_that_holds_it(seconds: list[float]) -> None:
    histogram = Histogram()
    for value in seconds:
        histogram.observe(value)
    series = _parse(render_metrics([plain_histogram("x_seconds", "text", histogram)]))
    for bound in DURATION_BOUNDS_SECONDS:
        expected = sum(value <= bound for value in seconds)
        assert series["x_seconds_bucket", (("le", f"{bound:.9g}"),)] == expected
    assert series["x_seconds_bucket", (("le", "+Inf"),)] == len(seconds)
    assert series["x_seconds_count", ()] == len(seconds)
    assert series["x_seconds_sum", ()] == pytest.approx(sum(seconds))


def test_many_equal_durations_are_one_call() -> None:
    histogram = Histogram()
    histogram.observe(0.002, times=64)
    assert histogram.count == sum(histogram.buckets) == 64
    assert histogram.sum_seconds == pytest.approx(0.128)


def test_bounds_are_told_exactly() -> None:
    for bound in DURATION_BOUNDS_SECONDS:
        assert float(f"{bound:.9g}") == bound


def test_large_counts_keep_every_digit() -> None:
    assert _parse(render_metrics([counter("x_total", "text", {"a": 123_456_789_012})])) == {
        ("x_total", (("type", "a"),)): 123_456_789_012
    }


def test_labels_are_escaped() -> None:
    text = 'a "quoted" \\ back\nslash'
    assert _parse(render_metrics([counter("x_total", "text", {text: 1})])) == {("x_total", (("type", text),)): 1}


def test_types_cover_what_is_counted() -> None:
    assert set(RAW_CALLS) <= set(CALL_TYPES)
    assert len(RAFT_MESSAGE_TYPES) == max(MessageType) + 1
    assert RAFT_MESSAGE_TYPES[MessageType.MsgAppend] == "append"
    assert RAFT_MESSAGE_TYPES[MessageType.MsgRequestPreVoteResponse] == "prevote_resp"


def test_a_store_is_told_under_the_names_of_tikv() -> None:
    counters = Counters(region_count=3, leader_count=1, capacity_bytes=1 << 40, available_bytes=5, used_bytes=6)
    durations(counters.calls, "raw_put").observe(0.001, times=2)
    add(counters.failures, "raw_get")
    add(counters.raft_sent, "append", 7)
    counters.peers.messages_dropped = 8
    add(counters.channel_full, "unary")
    add(counters.pd_heartbeats, "send", 4)
    counters.unreached[2] = 11
    counters.snapshots.sent, counters.snapshots.bytes_received = 12, 13
    counters.snapshots.send_seconds.observe(0.5)
    counters.snapshot_traffic = {"sending": 1, "receiving": 2, "applying": 3}
    counters.append_log.observe(0.001)
    counters.count_pd_call("AllocID", 0.1)
    counters.count_pd_call("StoreHeartbeat", 0.1)
    series = _parse(render_store_metrics(counters))
    for name, labels, value in (
        ("tikv_grpc_msg_duration_seconds_count", {"type": "raw_put"}, 2),
        ("tikv_grpc_msg_fail_total", {"type": "raw_get"}, 1),
        ("tikv_raftstore_region_count", {"type": "region"}, 3),
        ("tikv_raftstore_region_count", {"type": "leader"}, 1),
        ("tikv_store_size_bytes", {"type": "capacity"}, 1 << 40),
        ("tikv_store_size_bytes", {"type": "available"}, 5),
        ("tikv_store_size_bytes", {"type": "used"}, 6),
        ("tikv_raftstore_append_log_duration_seconds_count", {}, 1),
        ("tikv_raftstore_raft_sent_message_total", {"status": "accept", "type": "append"}, 7),
        ("tikv_raftstore_raft_sent_message_total", {"status": "drop", "type": "any"}, 8),
        ("flaredb_snapshots_total", {"outcome": "sent"}, 12),
        ("tikv_snapshot_limit_transport_bytes_total", {"type": "recv"}, 13),
        ("tikv_server_snapshot_duration_seconds_count", {"type": "send"}, 1),
        ("tikv_raftstore_snapshot_traffic_total", {"type": "applying"}, 3),
        ("tikv_channel_full_total", {"type": "unary"}, 1),
        ("tikv_server_report_failure_msg_total", {"store_id": "2", "type": "unreachable"}, 11),
        ("tikv_pd_request_duration_seconds_count", {"type": "alloc_id"}, 1),
        ("tikv_pd_request_duration_seconds_count", {"type": "store_heartbeat"}, 1),
        ("tikv_pd_heartbeat_message_total", {"type": "send"}, 4),
    ):
        assert series[name, tuple(sorted(labels.items()))] == value, name


def test_the_process_tells_what_it_uses() -> None:
    series = _parse(render_store_metrics(Counters()))
    assert series["process_cpu_seconds_total", ()] > 0
    if os.path.exists("/proc/self/stat"):
        assert 10 << 20 < series["process_resident_memory_bytes", ()] < 10 << 30
        assert time.time() - 24 * 3600 < series["process_start_time_seconds", ()] <= time.time() + 1
        assert series["process_open_fds", ()] >= 3


def test_names_follow_the_rules_of_the_format() -> None:
    text = render_store_metrics(Counters())
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE") and line.endswith("counter"):
            assert line.split()[2].endswith("_total"), line


def test_a_full_scrape_is_cheap() -> None:
    counters = Counters()
    for name in CALL_TYPES.values():
        durations(counters.calls, name).observe(0.001)
    took_s = []
    for _ in range(10):
        began_s = time.thread_time()
        render_store_metrics(counters)
        took_s.append(time.thread_time() - began_s)
    assert min(took_s) < 0.005
