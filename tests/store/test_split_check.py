"""Where a region is cut: by size, by keys, never at a border or inside a key, in slices, and only once it has grown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.engine.memory import MemoryEngine
from flaredb.model.commands import DATA_CFS, DELETE, DELETE_RANGE, PUT, Operation, Write
from flaredb.model.errors import ConfigError
from flaredb.model.ids import StoreId
from flaredb.model.region import Region
from flaredb.store.config import StoreConfig
from flaredb.store.messages import AskSplit
from flaredb.store.split_check import SLICE_ROWS_MAX, CheckDone, SplitChecks, estimate_size
from tests.store.harness import CONFIG, Cluster, put, region

SMALL = replace(
    CONFIG,
    region_split_size_bytes=1000,
    region_max_size_bytes=1500,
    region_split_keys=100,
    region_max_keys=150,
    split_region_check_tick_interval_ms=50,
)
WHOLE = region(1)
Rows = list[tuple[str, bytes, bytes]]


def rows_of(count: int, size_bytes: int, cf: str = "default") -> Rows:
    """Rows of ``size_bytes`` each, key and value together."""
    return [(cf, b"%06d" % number, b"v" * (size_bytes - 6)) for number in range(count)]


def run_check(rows: Rows, config: StoreConfig = SMALL, of: Region = WHOLE) -> tuple[CheckDone, int]:
    """What a check of the region finds, and in how many slices."""
    engine = MemoryEngine()
    batch = engine.batch()
    for cf, key, value in rows:
        batch.put(cf, key, value)
    engine.write(batch)
    checks = SplitChecks(config, engine)
    assert checks.start(of)
    assert not checks.start(of), "queued once"
    slices = 0
    done = None
    while checks.has_work():
        slices += 1
        done = checks.run_slice()
    assert done is not None
    return done, slices


@pytest.mark.parametrize(
    ("why", "rows", "cuts"),
    [
        ("nothing to cut", [], []),
        ("within the maximum", rows_of(15, 100), []),
        ("just over the maximum", rows_of(16, 100), [b"000010"]),
        ("a last piece that fits its neighbour stays with it", rows_of(25, 100), [b"000010"]),
        ("two and a bit more", rows_of(26, 100), [b"000010", b"000020"]),
        ("one giant key", rows_of(1, 50_000), []),
        (
            "what follows a giant key is no more than the giant, so it is a piece of its own",
            [*rows_of(3, 20), ("default", b"5", b"x" * 9000), ("default", b"6", b"x" * 900)],
            [b"6"],
        ),
        ("ten cuts at most", rows_of(1000, 100), [b"%06d" % (10 * n) for n in range(1, 11)]),
        ("by number of keys where they are tiny", rows_of(400, 6), [b"000100", b"000200", b"000300"]),
    ],
)
def test_cuts(why: str, rows: Rows, cuts: list[bytes]) -> None:
    done, _ = run_check(rows)
    assert list(done.keys) == cuts, why


def test_sizes_are_exact_for_a_region_read_to_its_end() -> None:
    done, _ = run_check(rows_of(26, 100))
    assert (done.is_whole, done.size_bytes, done.key_count) == (True, 2600, 26)
    assert done.pieces == ((1000, 10), (1000, 10), (600, 6))
    merged, _ = run_check(rows_of(25, 100))
    assert merged.pieces == ((1000, 10), (1500, 15))
    cut_short, _ = run_check(rows_of(1000, 100))
    assert not cut_short.is_whole
    assert cut_short.pieces == ()


def test_a_border_is_never_a_cut() -> None:
    done, _ = run_check(rows_of(40, 100), of=replace(WHOLE, start_key=b"000010", end_key=b"000030"))
    assert done.keys == (b"000020",)
    assert done.size_bytes == 2000


def test_rows_of_one_key_in_several_column_families_stay_together() -> None:
    rows = [row for cf in DATA_CFS for row in rows_of(10, 200, cf)]
    done, _ = run_check(rows)
    assert done.key_count == 10
    assert done.size_bytes == 6000
    assert done.keys == (b"000002", b"000004", b"000006", b"000008")


def test_slices_of_several_column_families_count_each_row_once() -> None:
    """The rows of a sparse family reach further than those of a dense one in the same slice."""
    sparse = [("write", b"%06d" % (number * 7), b"v" * 14) for number in range(40)]
    done, _ = run_check([*rows_of(300, 20), *sparse], replace(SMALL, region_max_keys=10**6))
    assert (done.size_bytes, done.key_count) == (340 * 20, 300)


def test_a_check_is_cut_into_slices() -> None:
    config = replace(
        SMALL,
        region_split_size_bytes=10**6,
        region_max_size_bytes=10**7,
        region_split_keys=10**6,
        region_max_keys=10**6,
    )
    done, slices = run_check(rows_of(5000, 20), config)
    assert (done.keys, done.key_count) == ((), 5000)
    assert slices >= 5000 // SLICE_ROWS_MAX
    _, slices = run_check(rows_of(40, 100_000), config)
    assert slices > 10, "slices are bounded in bytes too"


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.integers(0, 600)), max_size=80))
@settings(max_examples=60, deadline=None)
def test_pieces_are_near_the_split_size_whatever_the_rows(sizes: list[tuple[bytes, int]]) -> None:
    rows = {key: b"v" * size for key, size in sizes}
    done, _ = run_check([("default", key, value) for key, value in rows.items()])
    total = sum(len(key) + len(value) for key, value in rows.items())
    cuts = list(done.keys)
    assert cuts == sorted(set(cuts))
    assert len(cuts) <= SMALL.batch_split_limit
    assert set(cuts) <= set(rows)
    assert min(rows, default=b"") not in cuts
    if done.is_whole:
        assert done.size_bytes == total
    for start, end in zip([b"", *cuts], cuts, strict=False):
        piece = sum(len(key) + len(value) for key, value in rows.items() if start <= key < end)
        assert SMALL.region_split_size_bytes <= piece < SMALL.region_split_size_bytes + 700


# ------------------------------------------------ in the store


def fill(cluster: Cluster, keys: list[bytes], size_bytes: int = 100) -> None:
    """Put rows one after another, each where its region is led at that time."""
    store = cluster.nodes[StoreId(1)].store
    cluster.run_until(lambda: store.region_map.regions())
    for key in keys:
        while True:
            of = store.region_map.find(key)
            assert of is not None
            if cluster.put(of, key, b"v" * (size_bytes - len(key))) is None:
                break


def test_region_splits_by_itself_once_it_has_outgrown_its_size() -> None:
    cluster = Cluster([WHOLE], config=SMALL)
    fill(cluster, [b"%06d" % n for n in range(15)])
    cluster.run_for(300)
    assert cluster.regions_of(1) == [WHOLE], "at its maximum, not over it"
    fill(cluster, [b"%06d" % n for n in range(15, 60)])
    cluster.run_until(lambda: all(len(cluster.regions_of(store)) >= 4 for store in (1, 2, 3)))
    cluster.run_for(500)
    for of in cluster.regions_of(1):
        rows = cluster.scan(of, of.start_key)
        assert sum(len(key) + len(value) for key, value in rows) <= SMALL.region_max_size_bytes
    reported = {
        report.heartbeat.region.id: report.heartbeat for node in cluster.nodes.values() for report in node.reports
    }
    assert all(found.approximate_size_bytes <= 1600 for found in reported.values() if found.region.epoch.version > 2)


def test_the_leader_knows_the_size_of_each_piece() -> None:
    cluster = Cluster([WHOLE], config=replace(SMALL, split_region_check_tick_interval_ms=500))
    node = cluster.await_leader(1)
    tokens = [cluster.send(node, WHOLE, put(b"%06d" % number, b"v" * 94)) for number in range(26)]
    cluster.run_until(lambda: all(token in node.answers for token in tokens))
    cluster.run_until(lambda: len(cluster.regions_of(1)) == 3)
    peers = [node.store.peers[of.id] for of in cluster.regions_of(1)]
    assert [(peer.approximate_size_bytes, peer.approximate_keys) for peer in peers] == [
        (1000, 10),
        (1000, 10),
        (600, 6),
    ]


def test_overwriting_the_same_keys_splits_nothing() -> None:
    """The count passes the maximum over and over; the check finds the truth each time."""
    cluster = Cluster([WHOLE], config=SMALL)
    for _ in range(6):
        fill(cluster, [b"%06d" % n for n in range(10)])
    cluster.run_for(300)
    assert cluster.regions_of(1) == [WHOLE]
    leader = cluster.await_leader(1)
    assert leader.store.peers[WHOLE.id].approximate_size_bytes <= SMALL.region_max_size_bytes


def test_overwrites_and_deletes_are_estimated_by_looking_some_of_them_up() -> None:
    """No row is counted: the sizes stay below what would have them read."""
    roomy = replace(SMALL, region_split_size_bytes=10**6, region_max_size_bytes=10**6, region_max_keys=10**6)
    cluster = Cluster([WHOLE], config=roomy)
    node = cluster.await_leader(1)
    peer = node.store.peers[WHOLE.id]

    def write(*operations: Operation) -> None:
        size_bytes = sum(len(operation[2]) + 94 for operation in operations)
        assert cluster.call(node, WHOLE, Write(list(operations), size_bytes)) is None

    keys = [b"%06d" % number for number in range(1000)]
    for _ in range(4):
        write(*((PUT, 0, key, b"v" * 94) for key in keys))
    assert 95_000 <= peer.approximate_size_bytes <= 110_000
    assert 950 <= peer.approximate_keys <= 1_100
    write(*((DELETE, 0, key) for key in keys[:500]))
    assert 43_000 <= peer.approximate_size_bytes <= 60_000
    assert 430 <= peer.approximate_keys <= 600


def test_large_values_are_looked_up_one_by_one() -> None:
    roomy = replace(SMALL, region_split_size_bytes=10**8, region_max_size_bytes=10**8)
    cluster = Cluster([WHOLE], config=roomy)
    for _ in range(5):
        cluster.put(WHOLE, b"large", b"v" * 100_000)
    peer = cluster.await_leader(1).store.peers[WHOLE.id]
    assert (peer.approximate_size_bytes, peer.approximate_keys) == (100_005, 1)


def test_rows_are_counted_again_after_a_range_was_deleted() -> None:
    cluster = Cluster([WHOLE], config=SMALL)
    fill(cluster, [b"%06d" % number for number in range(12)])
    node = cluster.await_leader(1)
    assert cluster.call(node, WHOLE, Write([(DELETE_RANGE, 0, b"000002", b"000012")], 12)) is None
    peer = node.store.peers[WHOLE.id]
    assert peer.approximate_size_bytes == 1200
    cluster.run_until(lambda: peer.approximate_size_bytes == 200)
    assert (peer.approximate_keys, peer.is_miscounted) == (2, False)
    assert cluster.regions_of(1) == [WHOLE]


def test_a_giant_key_is_not_read_again_and_again() -> None:
    cluster = Cluster([WHOLE], config=SMALL)
    cluster.put(WHOLE, b"giant", b"x" * 100_000)
    cluster.run_for(200)
    leader = cluster.await_leader(1)
    peer = leader.store.peers[WHOLE.id]
    assert peer.approximate_size_bytes == 100_005
    assert peer.grown_bytes == 0, "looked at"
    for _ in range(50):
        cluster.round(10)
        assert not leader.store.split_checks.has_work()


def test_size_zero_turns_splits_off() -> None:
    off = replace(SMALL, region_split_size_bytes=0)
    cluster = Cluster([WHOLE], config=off)
    cluster.put(WHOLE, b"a", b"x" * 5000)
    cluster.put(WHOLE, b"b", b"x" * 5000)
    cluster.run_for(300)
    assert cluster.regions_of(1) == [WHOLE]


def test_pd_that_refuses_ids_is_asked_again() -> None:
    cluster = Cluster([WHOLE], config=replace(SMALL, write_timeout_ms=300))
    cluster.grants_ids = False
    fill(cluster, [b"%06d" % n for n in range(40)])
    cluster.run_for(400)
    cluster.grants_ids = True
    cluster.run_until(lambda: len(cluster.regions_of(1)) > 1)


def test_sizes_after_a_restart_are_estimated() -> None:
    cluster = Cluster([WHOLE], config=replace(SMALL, region_split_size_bytes=0))
    fill(cluster, [b"%06d" % n for n in range(40)])
    cluster.run_for(200)
    cluster.crash(1, "all")
    node = cluster.restart(1)
    assert estimate_size(node.engine, WHOLE) == (4000, 40)
    peer = node.store.peers[WHOLE.id]
    assert (peer.approximate_size_bytes, peer.approximate_keys) == (4000, 40)


@pytest.mark.parametrize(
    "fields",
    [
        {"region_max_size_bytes": 999},
        {"region_max_keys": 99},
        {"region_split_keys": 0},
        {"batch_split_limit": 0},
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="coprocessor"):
        replace(SMALL, **fields).validate()


def test_the_store_asks_for_as_many_ids_as_there_are_cuts() -> None:
    alone = region(1, stores=(1,))
    cluster = Cluster([alone], stores=1, config=SMALL)
    cluster.grants_ids = False
    node = cluster.await_leader(1)
    tokens = [cluster.send(node, alone, put(key, b"v" * 1200)) for key in (b"a", b"b", b"c")]
    asked = []
    for _ in range(100):
        cluster.now_ms += 5
        inputs, node.inbox = node.inbox, []
        asked += [effect for effect in cluster.step_node(node, inputs) if isinstance(effect, AskSplit)]
    assert all(node.answers[token] is None for token in tokens)
    assert asked == [AskSplit(alone, 2)]
