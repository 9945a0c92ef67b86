"""The region directory against a model that keeps a plain list and looks at every region each time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.model.cluster import DownPeer
from flaredb.model.region import Region
from flaredb.pd.region_tree import RegionTree, StaleRegion
from tests.pd.helpers import heartbeat, region

KEYS = [b"", b"b", b"d", b"f", b"h"]


def by_ids(tree: RegionTree) -> list[int]:
    return [record.region.id for record in tree]


def test_an_older_term_is_stale_whatever_its_epoch() -> None:
    tree = RegionTree()
    tree.report(heartbeat(region(1, stores=[1, 2]), term=8))
    with pytest.raises(StaleRegion, match="term 7"):
        tree.report(heartbeat(region(1, version=5, stores=[1, 2]), leader=1, term=7))
    change = tree.report(heartbeat(region(1, stores=[1, 2]), leader=1, term=9))
    assert (change.region_changed, change.leader_changed) == (False, True)


def test_either_older_counter_of_the_epoch_is_stale() -> None:
    tree = RegionTree()
    tree.report(heartbeat(region(1, version=3, conf_ver=3)))
    for version, conf_ver in ((2, 3), (3, 2), (9, 2)):
        with pytest.raises(StaleRegion, match="out of date"):
            tree.report(heartbeat(region(1, version=version, conf_ver=conf_ver)))


def test_a_region_over_a_newer_one_is_stale_and_names_both() -> None:
    tree = RegionTree()
    tree.report(heartbeat(region(1, b"b", b"d", version=4)))
    with pytest.raises(StaleRegion, match=r"region 2 .*region 1"):
        tree.report(heartbeat(region(2, b"", b"c", version=3)))
    assert by_ids(tree) == [1]


def test_a_newer_region_replaces_all_it_overlaps() -> None:
    tree = RegionTree()
    for number, (start, end) in enumerate([(b"", b"b"), (b"b", b"d"), (b"d", b"")], 1):
        tree.report(heartbeat(region(number, start, end)))
    change = tree.report(heartbeat(region(9, b"a", b"c", version=2)))
    assert change.removed == [1, 2]
    assert by_ids(tree) == [9, 3]
    assert tree.by_id(region(1).id) is None


def test_a_region_may_move_away_from_where_it_was() -> None:
    tree = RegionTree()
    tree.report(heartbeat(region(1, b"", b"b")))
    tree.report(heartbeat(region(2, b"b", b"")))
    tree.report(heartbeat(region(1, b"x", b"", version=2)))
    assert by_ids(tree) == [1]
    assert tree.by_key(b"a") is None


def test_an_unknown_size_keeps_the_last_one() -> None:
    tree = RegionTree()
    tree.report(heartbeat(region(1), approximate_size_bytes=77))
    tree.report(heartbeat(region(1), approximate_size_bytes=0))
    record = tree.by_id(region(1).id)
    assert record is not None
    assert record.approximate_size_bytes == 77


def test_the_leader_is_never_listed_as_down() -> None:
    tree = RegionTree()
    known = region(1, stores=[1, 2])
    tree.report(heartbeat(known, down_peers=[DownPeer(known.peers[0], 9), DownPeer(known.peers[1], 9)]))
    record = tree.by_key(b"")
    assert record is not None
    assert [down.peer for down in record.down_peers] == [known.peers[1]]


class ListedRegions:
    """The directory's rules over a plain list."""

    def __init__(self) -> None:
        self.regions: list[Region] = []

    def report(self, new: Region) -> bool:
        for old in self.regions:
            if old.id == new.id and new.epoch.is_older_than(old.epoch):
                return False
            if old.id != new.id and old.overlaps(new) and old.epoch.version > new.epoch.version:
                return False
        self.regions = [old for old in self.regions if old.id != new.id and not old.overlaps(new)] + [new]
        return True

    def sorted(self) -> list[Region]:
        return sorted(self.regions, key=lambda region: region.start_key)


RANGES = st.tuples(st.sampled_from(KEYS), st.sampled_from([*KEYS[1:], b""])).filter(
    lambda pair: not pair[1] or pair[0] < pair[1]
)
REPORTS = st.builds(
    lambda number, bounds, version, conf_ver: region(number, *bounds, version=version, conf_ver=conf_ver),
    st.integers(1, 5),
    RANGES,
    st.integers(1, 4),
    st.integers(1, 3),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(REPORTS, max_size=25))
def test_any_reports_leave_the_tree_as_the_list(reports: list[Region]) -> None:
    tree, model = RegionTree(), ListedRegions()
    for report in reports:
        taken = model.report(report)
        if taken:
            tree.report(heartbeat(report))
        else:
            with pytest.raises(StaleRegion):
                tree.report(heartbeat(report))
        expected = model.sorted()
        assert [record.region for record in tree] == expected
        for key in (b"", b"a", b"b", b"c", b"d", b"g", b"h", b"z"):
            holder = next((old for old in expected if old.contains(key)), None)
            found = tree.by_key(key)
            assert (found.region if found else None) == holder
        for start, end in ((b"", b""), (b"a", b"c"), (b"b", b"d"), (b"d", b""), (b"c", b"f")):
            wanted = region(99, start, end)
            hits = [old for old in expected if old.overlaps(wanted)]
            assert [record.region for record in tree.scan(start, end)] == hits
            assert [record.region for record in tree.scan(start, end, 1)] == hits[:1]
        for old in expected:
            record = tree.by_id(old.id)
            assert record is not None
            assert record.region == old
        for left, right in zip([None, *expected], expected, strict=False):
            joined = left if left is not None and left.end_key == right.start_key else None
            before = tree.before(right.start_key)
            assert (before.region if before else None) == joined
