"""What a store says that clients read and wrote: on the leader, once, over reports to PD."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flaredb.model.commands import BatchGet, Command, Get, Scan
from flaredb.server.counters import Counters, rise
from tests.store.harness import CONFIG, Cluster, put, region

ALL = region(1)
ROWS = [(b"a", b"1"), (b"b", b"22"), (b"c", b"333")]
READS: list[tuple[str, Command, int, int]] = [
    ("one key", Get(0, b"b"), 1, 3),
    ("one that has no value", Get(0, b"zz"), 1, 2),
    ("some keys, of which one has no value", BatchGet(0, [b"a", b"zz"]), 2, 2),
    ("a short scan", Scan(0, b"", b"", 2), 2, 5),
    ("a scan that takes several steps", Scan(0, b"", b"", 100), 3, 9),
]


@pytest.mark.parametrize(("case", "command", "keys", "size"), READS, ids=[row[0] for row in READS])
def test_reads_are_counted_with_their_bytes(case: str, command: Command, keys: int, size: int) -> None:
    cluster = Cluster([ALL], config=replace(CONFIG, scan_slice_rows=2))
    leader = cluster.await_leader(1)
    for key, value in ROWS:
        cluster.put(ALL, key, value)
    before = leader.store.traffic()
    cluster.call(leader, ALL, command)
    after = leader.store.traffic()
    assert (after.keys_read - before.keys_read, after.bytes_read - before.bytes_read) == (keys, size)


def test_writes_are_counted_where_the_region_is_led_and_go_on_over_reports() -> None:
    cluster = Cluster([ALL])
    leader = cluster.await_leader(1)
    for _ in range(2):
        cluster.call(leader, ALL, put(b"k", b"123456789"))
        leader.store.report(leader.store.peers[ALL.id])
    cluster.run_for(200)
    found = [(node.store.traffic().keys_written, node.store.traffic().bytes_written) for node in cluster.live()]
    assert sorted(found) == [(0, 0), (0, 0), (2, 20)]


def test_series_never_fall() -> None:
    counters = Counters()
    for count in (5, 3, 7):
        rise(counters.keys_moved, "read", count)
        assert counters.keys_moved["read"] in (5, 7)
