"""The region cache: what it finds, what replaces what, and its invariants under any order of lessons."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.client.region_cache import ROUTE_AGE_MS_MAX, RegionCache
from flaredb.model.cluster import DownPeer, RegionRoute
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.region import Peer, Region
from tests.client.driving import region, route


def cache_of(*routes: RegionRoute) -> RegionCache:
    cache = RegionCache()
    for found in routes:
        cache.learn(found, 0)
        cache.check_invariants()
    return cache


def ids(cache: RegionCache) -> list[int]:
    return [found.region.id for found in cache._routes]


def found(cache: RegionCache, key: bytes, now_ms: int = 0) -> int:
    known = cache.find(key, now_ms)
    return known.region.id if known else 0


def found_below(cache: RegionCache, key: bytes) -> int:
    known = cache.find_below(key, 0)
    return known.region.id if known else 0


A, B, C = region(1, b"", b"g"), region(2, b"g", b"p"), region(3, b"p", b"")


def test_keys_are_found_by_their_range() -> None:
    cache = cache_of(route(A), route(C), route(B))
    assert [found(cache, key) for key in (b"", b"f", b"g", b"o\xff", b"p", b"zz")] == [1, 1, 2, 2, 3, 3]
    assert [found_below(cache, key) for key in (b"a", b"g", b"g\x00", b"p", b"q")] == [1, 1, 2, 2, 3]
    assert found_below(cache, b"") == 0


def test_a_gap_is_not_known() -> None:
    cache = cache_of(route(A), route(C))
    assert found(cache, b"h") == 0
    assert found_below(cache, b"p") == 0


WHOLE, LEFT, RIGHT = region(1), region(1, b"", b"g", 2), region(2, b"g", b"", 2)
BARE = replace(WHOLE, peers=())
LESSONS = [
    ("a split replaces the whole", [WHOLE, LEFT, RIGHT], [1, 2]),
    ("an old whole does not replace newer parts", [LEFT, WHOLE], [1]),
    ("an older neighbour goes", [region(2, b"a", b"z"), LEFT], [1]),
    ("the same again changes nothing", [A, B, A], [1, 2]),
    ("a region that shrank leaves no trace", [WHOLE, region(1, b"m", b"", 2)], [1]),
    ("a region without a replica is not remembered", [BARE], []),
]


@pytest.mark.parametrize(("what", "lessons", "expected"), LESSONS, ids=[row[0] for row in LESSONS])
def test_lessons(what: str, lessons: list[Region], expected: list[int]) -> None:
    assert ids(cache_of(*(RegionRoute(lesson, None) for lesson in lessons))) == expected


def test_routes_age() -> None:
    cache = cache_of(route(A))
    assert found(cache, b"a", ROUTE_AGE_MS_MAX - 1) == 1
    assert found(cache, b"a", ROUTE_AGE_MS_MAX) == 0
    assert len(cache) == 0


def test_the_leader_is_asked_else_the_first_peer_that_is_not_down() -> None:
    down = RegionRoute(A, None, (DownPeer(A.peers[0], 60),))
    for lesson, store in ((route(A, 3), 3), (RegionRoute(A, None), 1), (down, 2)):
        known = cache_of(lesson).find(b"a", 0)
        assert known is not None
        assert known.store_id == store


def test_a_call_with_an_old_route_changes_nothing_that_was_learned_since() -> None:
    cache = cache_of(route(A))
    old = cache.find(b"a", 0)
    assert old is not None
    assert cache.switch(old, A.peers[1])
    assert cache.switch(old, A.peers[2])
    cache.drop(old)
    now = cache.find(b"a", 0)
    assert now is not None
    assert now.store_id == 2


def test_a_leader_that_is_no_peer_is_not_taken() -> None:
    cache = cache_of(route(A))
    known = cache.find(b"a", 0)
    assert known is not None
    assert not cache.switch(known, Peer(PeerId(99), StoreId(2)))


def test_a_stores_routes_are_dropped() -> None:
    cache = cache_of(route(A, 1), route(B, 2), route(C, 1))
    cache.drop_store(StoreId(1))
    assert ids(cache) == [2]


@st.composite
def lessons(draw: st.DrawFn) -> RegionRoute:
    start, end = sorted(
        draw(st.lists(st.sampled_from([b"", *(bytes([c]) for c in b"abcdefgh")]), min_size=2, max_size=2))
    )
    if start == end or draw(st.booleans()):
        end = b""
    return route(region(draw(st.integers(1, 5)), start, end, draw(st.integers(1, 4))), draw(st.integers(1, 3)))


@given(st.lists(lessons(), max_size=30))
def test_whatever_is_learned_ranges_never_overlap(given_routes: list[RegionRoute]) -> None:
    cache = cache_of(*given_routes)
    for key in (bytes([c]) for c in b"abcdefgh"):
        known = cache.find(key, 0)
        assert known is None or known.region.contains(key)
        below = cache.find_below(key, 0)
        assert below is None or (below.region.start_key < key and (not below.end_key or key <= below.end_key))
