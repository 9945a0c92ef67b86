"""Region lookups: what is known now, and whether waiting may tell more."""

from __future__ import annotations

from collections.abc import Iterable

from flaredb.model.cluster import RegionRoute
from flaredb.pd.messages import (
    GetPrevRegion,
    GetRegion,
    GetRegionById,
    KeyRange,
    PdError,
    PdErrorKind,
    QueryRegions,
    RegionsFound,
    ScanRegions,
)
from flaredb.pd.region_tree import RegionRecord, RegionTree

Lookup = GetRegion | GetPrevRegion | GetRegionById


def find(tree: RegionTree, lookup: Lookup) -> tuple[RegionRoute | None, bool]:
    """The best answer now, and True if a later one may be better: no leader yet, or nobody holds the key yet.

    An unknown id is not waited for: its region may be gone for good.
    """
    match lookup:
        case GetRegion(key):
            record = tree.by_key(key)
            may_improve = _leaderless(record)
        case GetPrevRegion(key):
            record = tree.before(key)
            may_improve = _leaderless(tree.by_key(key)) or (record is not None and record.leader is None)
        case GetRegionById(region_id):
            record = tree.by_id(region_id)
            may_improve = record is not None and record.leader is None
    return (record.best_route() if record else None), may_improve


def query(tree: RegionTree, request: QueryRegions) -> tuple[RegionsFound, bool]:
    """As ``find``, for many lookups: worth waiting if it is for one of them."""
    lookups: list[list[Lookup]] = [
        [GetRegion(key) for key in request.keys],
        [GetPrevRegion(key) for key in request.prev_keys],
        [GetRegionById(region_id) for region_id in request.ids],
    ]
    routes: dict[int, RegionRoute] = {}
    ids: list[tuple[int, ...]] = []
    may_improve = False
    for kind in lookups:
        found = [find(tree, lookup) for lookup in kind]
        may_improve = may_improve or any(improvable for _, improvable in found)
        routes.update((route.region.id, route) for route, _ in found if route)
        ids.append(tuple(route.region.id if route else 0 for route, _ in found))
    return RegionsFound(ids[0], ids[1], tuple(routes.values())), may_improve


def scan(tree: RegionTree, request: ScanRegions) -> tuple[RegionRoute, ...]:
    """Regions of the ranges, ascending, each once, leaders as known.

    Errors: PdError REGIONS_NOT_CONTAIN_ALL_KEY_RANGE for a hole, if the request does not want one.
    """
    routes: dict[int, RegionRoute] = {}
    for wanted in request.ranges:
        left = request.limit - len(routes) if request.limit else 0
        if request.limit and left <= 0:
            break
        records = tree.scan(wanted.start, wanted.end, left + 1 if left else 0)
        if request.must_cover:
            _check_covered(wanted, records, cut=bool(left) and len(records) > left)
        for record in records:
            if not request.limit or len(routes) < request.limit:
                routes.setdefault(record.region.id, record.route())
    return tuple(routes.values())


def _leaderless(record: RegionRecord | None) -> bool:
    return record is None or record.leader is None


def _check_covered(wanted: KeyRange, records: Iterable[RegionRecord], cut: bool) -> None:
    """``cut``: a limit ended the records early, so the end need not be reached."""
    reached: bytes | None = wanted.start
    for record in records:
        if reached is None or record.region.start_key > reached:
            break
        reached = record.region.end_key or None
    else:
        if cut or reached is None or (wanted.end and reached >= wanted.end):
            return
    raise PdError(
        PdErrorKind.REGIONS_NOT_CONTAIN_ALL_KEY_RANGE,
        f"found regions not contain all key range: no region is known from {reached!r} on",
    )
