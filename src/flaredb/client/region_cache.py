"""Which region holds a key and which of its replicas to ask, as far as this client knows.

Routes are never changed, only replaced: a call that holds an old one cannot undo what another call has learned since.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from flaredb.model.cluster import RegionRoute
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region

ROUTE_AGE_MS_MAX = 600_000
ROUTES_MAX = 500_000
"""About 1 KB each; beyond it everything is forgotten and learned again."""


class Route:
    """A region and the replica to ask, until ``expires_ms``."""

    __slots__ = ("context", "end_key", "expires_ms", "peer", "region", "start_key", "store_id")

    def __init__(self, region: Region, peer: Peer, expires_ms: int) -> None:
        self.region = region
        self.peer = peer
        self.expires_ms = expires_ms
        self.start_key = region.start_key
        self.end_key = region.end_key
        self.store_id: StoreId = peer.store_id
        self.context: bytes | None = None
        """The rim keeps its encoding of region and peer here."""


class RegionCache:
    """Routes by start key. Invariant: no two ranges overlap; ``_starts`` are the routes' start keys, ascending."""

    __slots__ = ("_by_id", "_routes", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._routes: list[Route] = []
        self._by_id: dict[RegionId, Route] = {}

    def __len__(self) -> int:
        return len(self._routes)

    def find(self, key: bytes, now_ms: int) -> Route | None:
        """The route of the region that holds ``key``; None if it is not known, or not any more."""
        at = bisect_right(self._starts, key) - 1
        if at < 0:
            return None
        route = self._routes[at]
        end = route.end_key
        if end and key >= end:
            return None
        if now_ms >= route.expires_ms:
            self.drop(route)
            return None
        return route

    def find_below(self, key: bytes, now_ms: int) -> Route | None:
        """The route of the region that holds the keys just below ``key``: start < key <= end."""
        at = bisect_left(self._starts, key) - 1
        if at < 0:
            return None
        route = self._routes[at]
        end = route.end_key
        if end and key > end:
            return None
        if now_ms >= route.expires_ms:
            self.drop(route)
            return None
        return route

    def learn(self, found: RegionRoute, now_ms: int) -> None:
        """Remember a region in place of what it overlaps, unless that is newer."""
        region = found.region
        leader = found.leader
        peer = (leader and _peer_of(region, leader)) or first_peer(found)
        if peer is None:
            return
        first, last = self._overlapped(region)
        stale = self._routes[first:last]
        known = self._by_id.get(region.id)
        if any(
            region.epoch.is_older_than(route.region.epoch) for route in stale if route.region.id == region.id
        ) or any(route.region.epoch.version > region.epoch.version for route in stale):
            return
        if known is not None and known not in stale:
            if known.region.epoch.version > region.epoch.version:
                return
            self.drop(known)
            first, last = self._overlapped(region)
            stale = self._routes[first:last]
        if len(self._routes) >= ROUTES_MAX:
            self.clear()
            first = last = 0
            stale = []
        for route in stale:
            del self._by_id[route.region.id]
        route = Route(region, peer, now_ms + ROUTE_AGE_MS_MAX)
        self._routes[first:last] = [route]
        self._starts[first:last] = [region.start_key]
        self._by_id[region.id] = route

    def switch(self, route: Route, leader: Peer) -> bool:
        """The region of ``route`` is led by ``leader``; False if that is no peer of the region as it is known."""
        peer = _peer_of(route.region, leader)
        if peer is None:
            return False
        self._replace(route, peer)
        return True

    def try_next(self, route: Route) -> bool:
        """Ask the replica after the one of ``route``; False if there is no other. After the last comes the first."""
        voters = [peer for peer in route.region.peers if peer.role is not PeerRole.LEARNER]
        if len(voters) < 2:
            return False
        at = next((number for number, peer in enumerate(voters) if peer.id == route.peer.id), -1)
        self._replace(route, voters[(at + 1) % len(voters)])
        return True

    def drop(self, route: Route) -> None:
        """Forget a route; nothing happens if it was replaced since."""
        if self._by_id.get(route.region.id) is not route:
            return
        del self._by_id[route.region.id]
        at = bisect_left(self._starts, route.start_key)
        del self._starts[at], self._routes[at]

    def drop_store(self, store_id: StoreId) -> None:
        """Forget every route to a store."""
        for route in [route for route in self._routes if route.store_id == store_id]:
            self.drop(route)

    def clear(self) -> None:
        """Forget everything."""
        self._starts.clear()
        self._routes.clear()
        self._by_id.clear()

    def _replace(self, route: Route, peer: Peer) -> None:
        if self._by_id.get(route.region.id) is not route:
            return
        newer = Route(route.region, peer, route.expires_ms)
        self._by_id[route.region.id] = newer
        self._routes[bisect_left(self._starts, route.start_key)] = newer

    def _overlapped(self, region: Region) -> tuple[int, int]:
        """The slice of routes whose ranges overlap the region's."""
        first = max(bisect_right(self._starts, region.start_key) - 1, 0)
        if first < len(self._routes):
            end = self._routes[first].end_key
            if end and end <= region.start_key:
                first += 1
        last = bisect_left(self._starts, region.end_key) if region.end_key else len(self._starts)
        return first, max(first, last)

    def check_invariants(self) -> None:
        """Raise AssertionError if ranges overlap or the indexes disagree."""
        assert self._starts == [route.start_key for route in self._routes]
        assert sorted(self._starts) == self._starts
        assert {route.region.id: route for route in self._routes} == self._by_id
        for left, right in zip(self._routes, self._routes[1:], strict=False):
            assert left.end_key, "only the last region has no end"
            assert left.end_key <= right.start_key, "ranges overlap"


def first_peer(found: RegionRoute) -> Peer | None:
    """The replica to ask where nobody says who leads: the first voter that PD does not call down."""
    down: set[PeerId] = {item.peer.id for item in found.down_peers}
    voters = [peer for peer in found.region.peers if peer.role is not PeerRole.LEARNER]
    return next((peer for peer in voters if peer.id not in down), voters[0] if voters else None)


def _peer_of(region: Region, named: Peer) -> Peer | None:
    """The region's own peer that is meant: by id, since a store can have got another replica since."""
    return next((peer for peer in region.peers if peer.id == named.id), None)
