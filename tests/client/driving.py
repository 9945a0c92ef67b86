"""Drives a plan by hand: a test says what each step's outcome is, time passes only where it says so."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from flaredb.client.limits import ClientOptions
from flaredb.client.plan import Core
from flaredb.client.steps import AskPd, AskStore, Plan, Together, Wait
from flaredb.model.cluster import RegionRoute
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, Region, RegionEpoch


def region(region_id: int, start: bytes = b"", end: bytes = b"", version: int = 1, conf_ver: int = 1) -> Region:
    """A region with peers on stores 1, 2 and 3; peer ids are 10 * region + store."""
    peers = tuple(Peer(PeerId(10 * region_id + store), StoreId(store)) for store in (1, 2, 3))
    return Region(RegionId(region_id), start, end, RegionEpoch(version, conf_ver), peers)


def route(region_: Region, leader_store: int = 1) -> RegionRoute:
    return RegionRoute(region_, region_.peer_on(StoreId(leader_store)))


class Script:
    """A core at a time that a test sets, and one plan after the other."""

    def __init__(self, *known: RegionRoute, **options: Any) -> None:
        self.now_ms = 1_000
        self.dropped: list[int] = []
        self.core = Core(ClientOptions(**options), lambda: self.now_ms, random.Random(1), self.dropped.append)
        self.core.learn(list(known))
        self.plan: Plan | None = None

    def start(self, plan: Plan) -> Any:
        """The first step."""
        self.plan = plan
        return self._step(lambda: plan.send(None))

    def say(self, outcome: Any) -> Any:
        """Send an outcome; the next step, or ("done", result)."""
        assert self.plan is not None
        plan = self.plan
        return self._step(lambda: plan.send(outcome))

    def skip_waits(self, step: Any) -> Any:
        """Let time pass until the plan wants something else."""
        while isinstance(step, Wait):
            self.now_ms += step.duration_ms
            step = self.say(None)
        return step

    @staticmethod
    def _step(advance: Callable[[], Any]) -> Any:
        try:
            return advance()
        except StopIteration as stop:
            return "done", stop.value


def store_of(step: Any) -> int:
    """The store that a step asks."""
    assert isinstance(step, AskStore), step
    return int(step.route.store_id)


__all__ = ["AskPd", "AskStore", "Script", "Together", "Wait", "region", "route", "store_of"]
