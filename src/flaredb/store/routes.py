"""What this store knows of regions elsewhere, refreshed by PD: enough to tell a lost client where to go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from flaredb.model.cluster import RegionRoute
from flaredb.model.ids import RegionId

ROUTES_MAX = 65_536


class RouteCache:
    """Bounded; the routes learned longest ago go first. A newer epoch is never replaced by an older one."""

    __slots__ = ("_routes",)

    def __init__(self) -> None:
        self._routes: OrderedDict[RegionId, RegionRoute] = OrderedDict()

    def __len__(self) -> int:
        return len(self._routes)

    def learn(self, routes: Iterable[RegionRoute]) -> None:
        """Take over what PD knows."""
        for route in routes:
            known = self._routes.get(route.region.id)
            if known is not None and route.region.epoch.is_older_than(known.region.epoch):
                continue
            self._routes[route.region.id] = route
            self._routes.move_to_end(route.region.id)
        while len(self._routes) > ROUTES_MAX:
            self._routes.popitem(last=False)

    def find(self, region_id: RegionId) -> RegionRoute | None:
        """The last known route of a region."""
        return self._routes.get(region_id)

    def describe(self, region_id: RegionId) -> str:
        """One clause for an error message; empty if nothing is known."""
        route = self._routes.get(region_id)
        if route is None:
            return ""
        stores = ", ".join(str(peer.store_id) for peer in route.region.peers)
        leader = f", led by store {route.leader.store_id}" if route.leader else ""
        return f"PD last placed it on stores {stores}{leader}"
