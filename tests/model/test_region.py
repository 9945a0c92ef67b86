"""Regions: which keys they hold, which ranges meet, which epochs are out of date."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import INITIAL_EPOCH, Peer, PeerRole, Region, RegionEpoch, ranges_overlap

LETTERS = b"\x00am\xff"
short_keys = st.lists(st.sampled_from(LETTERS), max_size=3).map(bytes)
ALL_SHORT_KEYS = sorted(
    bytes(key)
    for key in {
        *((a,) for a in LETTERS),
        *((a, b) for a in LETTERS for b in LETTERS),
        *((a, b, c) for a in LETTERS for b in LETTERS for c in LETTERS),
        *((a, b, c, d) for a in LETTERS for b in LETTERS for c in LETTERS for d in (0, 0xFF)),
    }
)


def _region(start: bytes = b"", end: bytes = b"") -> Region:
    peers = (
        Peer(PeerId(11), StoreId(1)),
        Peer(PeerId(12), StoreId(2)),
        Peer(PeerId(13), StoreId(3), PeerRole.LEARNER),
    )
    return Region(RegionId(7), start, end, INITIAL_EPOCH, peers)


@pytest.mark.parametrize(
    ("case", "start", "end", "key", "inside"),
    [
        ("the start belongs to it", b"b", b"d", b"b", True),
        ("below the start", b"b", b"d", b"a\xff", False),
        ("inside", b"b", b"d", b"c", True),
        ("the last before the end", b"b", b"d", b"c\xff\xff", True),
        ("the end does not", b"b", b"d", b"d", False),
        ("no end holds everything above", b"b", b"", b"\xff\xff", True),
        ("no start holds the first key", b"", b"d", b"\x00", True),
        ("no start holds the empty key", b"", b"d", b"", True),
        ("the whole space", b"", b"", b"x", True),
    ],
)
def test_contains(case: str, start: bytes, end: bytes, key: bytes, inside: bool) -> None:
    assert _region(start, end).contains(key) is inside, case


@pytest.mark.parametrize(
    ("case", "start", "end", "key", "allowed"),
    [
        ("its own end", b"b", b"d", b"d", True),
        ("beyond its end", b"b", b"d", b"d\x00", False),
        ("inside", b"b", b"d", b"c", True),
        ("its start would be an empty range", b"b", b"d", b"b", False),
        ("no bound, though the region has one", b"b", b"d", b"", False),
        ("no bound for a region without an end", b"b", b"", b"", True),
        ("some key of a region without an end", b"b", b"", b"\xff", True),
    ],
)
def test_contains_as_end(case: str, start: bytes, end: bytes, key: bytes, allowed: bool) -> None:
    assert _region(start, end).contains_as_end(key) is allowed, case


@given(short_keys, short_keys, short_keys, short_keys)
def test_ranges_overlap_if_some_key_lies_in_both(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    """Compared with trying every short key: enough, for the bounds are shorter than the longest key tried."""
    assume((not b or a < b) and (not d or c < d))
    one, other = _region(a, b), _region(c, d)
    shared = any(one.contains(key) and other.contains(key) for key in (b"", *ALL_SHORT_KEYS, b"\xff" * 5))
    assert ranges_overlap(a, b, c, d) == shared
    assert one.overlaps(other) == other.overlaps(one) == shared


def test_neighbours_do_not_overlap() -> None:
    assert not _region(b"", b"m").overlaps(_region(b"m", b""))


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ((1, 1), (1, 1), False),
        ((1, 1), (2, 1), True),
        ((1, 1), (1, 2), True),
        ((2, 1), (1, 2), True),
        ((2, 2), (1, 1), False),
    ],
)
def test_an_epoch_is_older_if_either_counter_is_behind(
    one: tuple[int, int], other: tuple[int, int], older: bool
) -> None:
    assert RegionEpoch(*one).is_older_than(RegionEpoch(*other)) is older


def test_peers_are_found_by_store_and_by_id() -> None:
    region = _region()
    assert region.peer_on(StoreId(2)) == region.peer(PeerId(12)) == region.peers[1]
    assert region.peer_on(StoreId(9)) is None
    assert region.peer(PeerId(99)) is None


def test_another_epoch_makes_another_region() -> None:
    region = _region(b"a", b"b")
    newer = region.with_epoch(RegionEpoch(version=2, conf_ver=1))
    assert region.epoch == INITIAL_EPOCH == RegionEpoch(version=1, conf_ver=1)
    assert newer == dataclasses.replace(region, epoch=RegionEpoch(2, 1))


def test_a_region_cannot_be_changed_by_accident() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _region().start_key = b"x"  # type: ignore[misc]


def test_roles_have_the_numbers_of_the_protocol() -> None:
    assert [role.value for role in (PeerRole.VOTER, PeerRole.LEARNER)] == [0, 1]
    assert [role.value for role in (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER)] == [2, 3]
