"""Clocks further apart than leases allow: from when to when a read by lease may be old, and nobody could know.

A store notices by the beats of the others (store/clock_watch.py), so not before some have come. Until then, and for as
long as a lease that was renewed meanwhile can last, reads are not held against it. From then on all count again. What
else is promised is checked all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaredb.model.limits import CLOCK_RATE_PERCENT
from flaredb.sim.world import MS

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster
    from flaredb.sim.store_node import StoreNode
    from flaredb.store.store import Store

RATIO_MAX = (100 + CLOCK_RATE_PERCENT) / (100 - CLOCK_RATE_PERCENT)


class Drift:
    """Knows every clock's true rate."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        options = cluster.options
        self._is_possible = options.store.lease_reads and options.clock_drift_max > CLOCK_RATE_PERCENT / 100
        self._grace_us = int(options.store.lease_length_ms * MS / max(1 - options.clock_drift_max, 0.1))
        self._until_us = -1
        self.missed_us = 0
        """When a store last trusted leases that it should not have trusted."""

    def look(self, node: StoreNode, store: Store) -> None:
        """A store is about to make a step, or has made it."""
        if self._is_possible and store.lease_clock.is_trusted and self._is_slow(node, store):
            self.missed_us = self._cluster.world.now_us
            self._until_us = self.missed_us + self._grace_us

    def _is_slow(self, node: StoreNode, store: Store) -> bool:
        """True if a lease here may rest on what a store with a faster clock has promised."""
        bound = node.clock.rate * RATIO_MAX
        fast = {other.store_id for other in self._cluster.stores if other.clock.rate > bound}
        if not fast:
            return False
        partners = {meta.store_id for peer in store.peers.values() for meta in peer.region.peers}
        return any(not store.contacts.is_silent(store_id) for store_id in fast & partners)

    def taints(self, invoked_us: int) -> bool:
        """True if a read that was asked then, and answered now, may be old."""
        return invoked_us <= self._until_us
