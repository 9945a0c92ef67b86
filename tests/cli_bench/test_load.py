"""Latencies, loads and reports: what is counted, and how it is told."""

from __future__ import annotations

import random

import pytest

from flaredb.cli.bench.latency import GROWTH, Latencies
from flaredb.cli.bench.load import Calls, Load, Results, batches
from flaredb.cli.bench.report import describe, millis, remarks, result_json, result_table, second_line


def test_percentiles_are_at_most_a_hundredth_above_the_truth() -> None:
    rng = random.Random(7)
    values = [rng.lognormvariate(-6, 1) for _ in range(5_000)]
    found = Latencies()
    for value in values:
        found.add(value)
    values.sort()
    for percent in (1, 50, 90, 99, 99.9, 100):
        truth = values[-(-len(values) * percent // 100).__int__() - 1]
        assert truth <= found.percentile(percent) * 1.000001
        assert found.percentile(percent) <= truth * GROWTH * 1.000001
    assert found.max_s == found.percentile(100) == values[-1]
    assert found.mean_s == pytest.approx(sum(values) / len(values))


def test_latencies_of_nothing_and_of_two() -> None:
    assert (Latencies().percentile(99), Latencies().mean_s, Latencies().count) == (0.0, 0.0, 0)
    one, other = Latencies(), Latencies()
    one.add(0.001)
    other.add(0.1)
    one.merge(other)
    assert (one.count, one.max_s) == (2, 0.1)
    assert one.percentile(50) == pytest.approx(0.001, rel=0.01)


def test_same_seed_same_calls() -> None:
    load = Load("mixed", keys=50, value_bytes=16, read_percent=30)
    first, again = Calls(load), Calls(load)
    calls = [first.next() for _ in range(2_000)]
    assert calls == [again.next() for _ in range(2_000)]
    reads = sum(call.kind == "get" for call in calls)
    assert 500 < reads < 700
    assert all(call.key.startswith(b"flaredb-bench/default/") for call in calls)
    assert {len(call.value) for call in calls if call.kind == "put"} == {16}
    assert len({call.key for call in calls}) == 50


KINDS = [("put", {"put"}, False), ("get", {"get"}, True), ("scan", {"scan"}, True), ("mixed", {"get", "put"}, True)]


@pytest.mark.parametrize(("workload", "kinds", "needs_rows"), KINDS)
def test_workloads(workload: str, kinds: set[str], needs_rows: bool) -> None:
    load = Load(workload)
    calls = Calls(load)
    assert {calls.next().kind for _ in range(100)} == kinds
    assert load.needs_rows == needs_rows


def test_every_row_is_written_once_in_pieces_of_bounded_size() -> None:
    load = Load("get", keys=1_000, value_bytes=4_096, name="n")
    pieces = list(batches(load, Calls(load)))
    rows = [key for piece in pieces for key, _ in piece]
    assert rows == [b"flaredb-bench/n/%012d" % index for index in range(1_000)]
    assert max(sum(len(value) for _, value in piece) for piece in pieces) <= 1 << 20
    assert max(map(len, pieces)) <= 512


def results_of_two_seconds() -> Results:
    results = Results()
    for _ in range(99):
        results.succeeded("get", 0.001, 0.5)
    results.succeeded("put", 0.1, 1.5)
    results.failed_of("TimeoutError", 1.5)
    results.failed_of("TimeoutError", 1.5)
    results.failed_of("BusyError", 1.5)
    results.measured_s = 2.0
    return results


def test_table_has_a_row_for_each_kind_and_one_for_all() -> None:
    table = result_table(results_of_two_seconds())
    assert [row[:3] for row in table.rows] == [["get", "99", "50"], ["put", "1", "0"], ["all", "100", "50"]]
    assert table.rows[2][-1] == "100"
    assert len(result_table(Results()).rows) == 0


def test_json_has_units_in_its_names() -> None:
    found = result_json(Load("mixed", rate=50, seconds=2, warm_up_s=0), results_of_two_seconds())
    assert found["calls"]["all"]["done"] == 100
    assert found["calls"]["all"]["per_s"] == 50.0
    assert found["calls"]["put"]["max_ms"] == 100.0
    assert found["done_each_second"] == [99, 1]
    assert found["failed_each_second"] == [0, 3]
    assert (found["errors"], found["failed"]) == ({"TimeoutError": 2, "BusyError": 1}, 3)
    assert found["load"]["loop"] == "open"


def test_failures_are_told_with_the_most_frequent_first() -> None:
    bad = [text for text, is_bad in remarks(Load("put"), results_of_two_seconds()) if is_bad]
    assert bad == ["3 calls failed: 2x TimeoutError, 1x BusyError."]


def test_calls_that_were_never_sent_are_told() -> None:
    results = results_of_two_seconds()
    results.unsent = 40
    bad = [text for text, is_bad in remarks(Load("put", rate=100, concurrency=8), results) if is_bad]
    assert bad[1].startswith("40 calls that were due could not be sent in time, and are in no figure above")


def test_lateness_of_the_load_itself_is_told() -> None:
    results = Results()
    results.late.add(0.02)
    (told,) = [text for text, is_bad in remarks(Load("put", rate=100), results) if is_bad]
    assert told == "1 % of the calls began more than 20.0 ms after they were due."


def test_sentences_for_people() -> None:
    assert describe(Load("scan", scan_rows=10)) == (
        "scans of 10 rows of 128 B; 10,000 keys; 64 callers at a time, for 10 s after 2 s of warm-up"
    )
    assert "2,000 calls due a second" in describe(Load("mixed", rate=2_000))
    second = results_of_two_seconds().seconds[1]
    words = "2 s 1 calls/s p50 100 ms p99 100 ms max 100 ms 3 failed"
    assert " ".join(second_line(2, second).split()) == words


MILLIS = [(0.0003421, "0.342"), (0.00342, "3.42"), (0.0342, "34.2"), (0.342, "342"), (3.42, "3,420")]


@pytest.mark.parametrize(("seconds", "text"), MILLIS)
def test_milliseconds(seconds: float, text: str) -> None:
    assert millis(seconds) == text
