"""A small client: finds regions by PD, remembers them, and retries what is known to have had no effect.

It decides and never waits: ``plan`` is a generator that yields what it wants next (ask PD, ask a store, wait) and is
sent the outcome. A write whose answer is lost is reported as unknown, never repeated (ARCHITECTURE.md, promises).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from flaredb.model.cluster import RegionRoute
from flaredb.model.commands import Command, Request, Scan, Split, Write
from flaredb.model.errors import (
    EpochNotMatch,
    InvalidSplitKeys,
    NotLeader,
    RaftEntryTooLarge,
    ReadIndexNotReady,
    RegionError,
    ServerIsBusy,
    StaleCommand,
    UndeterminedResult,
)
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Peer, Region

TRY_TIMEOUT_MS = 2_000
BACKOFF_MS = 50


class Lost:
    """An answer that did not come, or came too late: the request may have had its effect."""


class NotSent:
    """The connection was refused: the request had no effect."""


LOST = Lost()
NOT_SENT = NotSent()


@dataclass(frozen=True, slots=True)
class AskPd:
    """Which region holds this key? Outcome: RegionRoute, None, or anything else for 'no answer'."""

    key: bytes


@dataclass(frozen=True, slots=True)
class AskStore:
    """Send a request. Outcome: its result, a RegionError, LOST or NOT_SENT."""

    request: Request


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass. Outcome: None."""

    duration_ms: int


Step = AskPd | AskStore | Wait


@dataclass(frozen=True, slots=True)
class Refused:
    """The operation had no effect, and the client has given up."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The operation may have had its effect, now or later."""


Plan = Generator[Step, Any, Any]


class RegionCache:
    """Routes by start key. Invariant: no two ranges overlap."""

    __slots__ = ("_routes", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._routes: list[RegionRoute] = []

    def find(self, key: bytes) -> RegionRoute | None:
        """The route that holds the key."""
        at = bisect_right(self._starts, key) - 1
        if at >= 0 and self._routes[at].region.contains(key):
            return self._routes[at]
        return None

    def learn(self, route: RegionRoute) -> None:
        """Remember a route in place of those it overlaps, unless one of them is newer."""
        region = route.region
        overlapped = [other for other in self._routes if other.region.overlaps(region)]
        if any(other.region.epoch.version > region.epoch.version for other in overlapped):
            return
        kept = [other for other in self._routes if not other.region.overlaps(region)]
        self._routes = sorted([*kept, route], key=lambda item: item.region.start_key)
        self._starts = [item.region.start_key for item in self._routes]

    def forget(self, region_id: RegionId) -> None:
        """The route was wrong: ask again."""
        self._routes = [route for route in self._routes if route.region.id != region_id]
        self._starts = [route.region.start_key for route in self._routes]


class Client:
    """One client's knowledge, and how it pursues an operation."""

    def __init__(
        self, now_ms: Callable[[], int], only_store: StoreId | None = None, replica_read: bool = False
    ) -> None:
        """``only_store``: ask no other store, and read only. ``replica_read``: take answers of followers."""
        self.cache = RegionCache()
        self._now_ms = now_ms
        self._only_store = only_store
        self._replica_read = replica_read
        self.retries_unknown = False
        """A mistake that some clients make: to repeat a write whose outcome is unknown."""

    def plan(self, key: bytes, command: Callable[[Region], Command], deadline_ms: int) -> Plan:
        """Pursue one operation on the region that holds ``key``; ``command`` makes it for that region.

        Returns (by StopIteration) its result, Refused or Unknown.
        """
        why = "no time"
        while self._now_ms() < deadline_ms:
            route = self.cache.find(key)
            if route is None:
                found = yield AskPd(key)
                if isinstance(found, RegionRoute) and found.region.contains(key):
                    self.cache.learn(found)
                else:
                    why = "PD does not know the region"
                    yield Wait(BACKOFF_MS)
                continue
            peer = self._peer_of(route)
            if peer is None:
                self.cache.forget(route.region.id)
                why = f"no replica on store {self._only_store}"
                yield Wait(4 * BACKOFF_MS)
                continue
            request = self._request(route, peer, command(route.region))
            outcome = yield AskStore(request)
            if outcome is LOST:
                self.cache.forget(route.region.id)
                if isinstance(request.command, Write | Split) and not self.retries_unknown:
                    return Unknown()
                why = "answers were lost"
            elif outcome is NOT_SENT:
                self._try_another(route)
                why = "a store is down"
                yield Wait(BACKOFF_MS)
            elif isinstance(outcome, UndeterminedResult):
                return Unknown()
            elif isinstance(outcome, RegionError):
                why = type(outcome).__name__
                if isinstance(outcome, RaftEntryTooLarge | InvalidSplitKeys):
                    break
                wait_ms = self._on_error(route, outcome)
                if wait_ms:
                    yield Wait(wait_ms)
            else:
                return outcome
        return Refused(why)

    def _peer_of(self, route: RegionRoute) -> Peer | None:
        if self._only_store is not None:
            return route.region.peer_on(self._only_store)
        return route.leader or route.region.peers[0]

    def _request(self, route: RegionRoute, peer: Peer, command: Command) -> Request:
        region = route.region
        return Request(
            None, command, region.id, region.epoch.version, peer.id, peer.store_id, replica_read=self._replica_read
        )

    def _on_error(self, route: RegionRoute, error: RegionError) -> int:
        """Learn from a refusal; how long to wait before the next try."""
        if isinstance(error, NotLeader):
            if self._only_store is not None:
                self.cache.forget(route.region.id)
                return 4 * BACKOFF_MS
            if error.leader is not None and error.leader != route.leader and error.leader in route.region.peers:
                self.cache.learn(replace(route, leader=error.leader))
                return 0
            self._try_another(route)
            return BACKOFF_MS
        if isinstance(error, EpochNotMatch):
            self.cache.forget(route.region.id)
            store_id = route.leader.store_id if route.leader else StoreId(0)
            for region in error.current_regions:
                self.cache.learn(RegionRoute(region, region.peer_on(store_id)))
            return 0 if error.current_regions else BACKOFF_MS
        if isinstance(error, ServerIsBusy):
            return error.backoff_ms
        if isinstance(error, StaleCommand | ReadIndexNotReady):
            return BACKOFF_MS
        self.cache.forget(route.region.id)
        return BACKOFF_MS

    def _try_another(self, route: RegionRoute) -> None:
        """Nobody says who leads: ask PD again, or the next replica."""
        peers = route.region.peers
        at = peers.index(route.leader) if route.leader in peers else -1
        self.cache.forget(route.region.id)
        if at + 1 < len(peers):
            self.cache.learn(replace(route, leader=peers[at + 1]))


def clipped_scan(start: bytes, end: bytes, limit: int) -> Callable[[Region], Scan]:
    """A scan of the part of [start, end) that lies in the region of ``start``."""

    def make(region: Region) -> Scan:
        bound = min(end, region.end_key) if region.end_key else end
        return Scan(0, start, bound, limit)

    return make
