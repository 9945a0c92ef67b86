"""Layouts that cannot work are refused by names, numbers and bounds."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.model.errors import ConfigError
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.layout import check_no_overlap, validate_layout
from flaredb.model.region import INITIAL_EPOCH, Peer, Region

STORES = [StoreId(1), StoreId(2), StoreId(3)]


def _region(number: int, start: bytes, end: bytes, stores: tuple[int, ...] = (1, 2, 3), first_peer: int = 0) -> Region:
    first_peer = first_peer or number * 100
    peers = tuple(Peer(PeerId(first_peer + place), StoreId(store)) for place, store in enumerate(stores))
    return Region(RegionId(number), start, end, INITIAL_EPOCH, peers)


@given(st.sets(st.binary(min_size=1, max_size=4), max_size=8), st.randoms())
def test_ranges_that_tile_the_space_are_accepted_in_any_order(split_keys: set[bytes], rng: random.Random) -> None:
    bounds = [b"", *sorted(split_keys), b""]
    regions = [_region(number, bounds[number - 1], bounds[number]) for number in range(1, len(bounds))]
    rng.shuffle(regions)
    validate_layout(regions, STORES)


@pytest.mark.parametrize(
    ("case", "regions", "words"),
    [
        ("none at all", [], ["no regions"]),
        (
            "two share keys",
            [_region(1, b"", b"n"), _region(2, b"m", b"")],
            ["region 1 [-inf, b'n')", "overlaps", "region 2 [b'm', +inf)"],
        ),
        (
            "one inside another",
            [_region(1, b"", b""), _region(2, b"m", b"n")],
            ["region 1 [-inf, +inf)", "overlaps", "region 2 [b'm', b'n')"],
        ),
        (
            "the same range twice",
            [_region(1, b"", b"m"), _region(2, b"", b"m"), _region(3, b"m", b"")],
            ["region 1 [-inf, b'm')", "overlaps", "region 2 [-inf, b'm')"],
        ),
        (
            "keys between two",
            [_region(1, b"", b"m"), _region(2, b"m\x00", b"")],
            ["gap between", "region 1 [-inf, b'm')", r"region 2 [b'm\x00', +inf)"],
        ),
        ("keys before the first", [_region(1, b"a", b"")], ["gap before", "region 1 [b'a', +inf)"]),
        ("keys after the last", [_region(1, b"", b"z")], ["gap after", "region 1 [-inf, b'z')"]),
        (
            "a replica on an unknown store",
            [_region(1, b"", b"", (1, 2, 9))],
            ["region 1 [-inf, +inf)", "peer 102", "store 9", "does not exist"],
        ),
        ("two replicas on one store", [_region(1, b"", b"", (1, 2, 2))], ["region 1", "two peers on store 2"]),
        ("no replicas", [_region(1, b"", b"", ())], ["region 1", "no replicas"]),
        (
            "a region id used twice",
            [_region(1, b"", b"m"), _region(1, b"m", b"", first_peer=900)],
            ["region id 1 is used twice"],
        ),
        (
            "a peer id used twice",
            [_region(1, b"", b"m"), _region(2, b"m", b"", first_peer=102)],
            ["peer id 102 is used twice", "region 2 [b'm', +inf)"],
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_bounds(case: str, regions: list[Region], words: list[str]) -> None:
    for order in (regions, regions[::-1]):
        with pytest.raises(ConfigError) as error:
            validate_layout(order, STORES)
        if case != "the same range twice":
            assert all(word in str(error.value) for word in words), f"{case}: {error.value}"
    assert re.match(r"(region|gap|peer|the initial layout) ", str(error.value))


def test_ranges_with_gaps_can_still_be_checked_for_overlaps() -> None:
    """A store holds only some regions of the cluster."""
    apart = [_region(3, b"x", b""), _region(1, b"a", b"b")]
    check_no_overlap(apart)
    with pytest.raises(ConfigError, match=r"region 1 \[b'a', b'b'\) overlaps region 2 \[b'a\\x00', b'c'\)"):
        check_no_overlap([*apart, _region(2, b"a\x00", b"c")])


@given(st.lists(st.tuples(st.binary(max_size=2), st.binary(max_size=2)), min_size=2, max_size=5))
def test_an_overlap_of_any_two_is_found(bounds: list[tuple[bytes, bytes]]) -> None:
    regions = [_region(number, start, end) for number, (start, end) in enumerate(bounds, 1) if not end or start < end]
    some_overlap = any(one.overlaps(other) for one in regions for other in regions if one is not other)
    try:
        check_no_overlap(regions)
    except ConfigError:
        assert some_overlap
    else:
        assert not some_overlap
