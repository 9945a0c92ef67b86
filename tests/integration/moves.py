"""Orders to PD, and looks at where replicas are and whether they are equal, for tests of moves on real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import grpc

from flaredb.cli.ctl.http import Pd, PdRefused
from flaredb.cli.probe import Probe, ProbeFailed, RangeChecksum, RegionView, status_json
from tests.integration.calls import Calls
from tests.integration.cluster import Cluster

MOVE_DEADLINE_S = 60.0
QUICK_SCHEDULE = {"store-limit": 100_000_000, "max-store-down-time": "10m"}
"""A store that stands still for a few seconds is not down: replicas would leave it that no test has moved."""

SOON_DOWN = {"max-store-down-time": "3s"}
"""For tests in which a store is to be replaced."""


class Orders:
    """What people ask of PD, by its HTTP API."""

    def __init__(self, cluster: Cluster, calls: Calls) -> None:
        self.cluster = cluster
        self.calls = calls
        self.pd = Pd(cluster.pd_address)

    def set(self, **settings: Any) -> None:
        """Change settings of PD; underscores stand for dashes."""
        self.pd.post("/config", {name.replace("_", "-"): value for name, value in settings.items()})

    def settle_down(self) -> None:
        """Nothing moves by itself, so that a test sees its own moves only; what moves now comes to its end."""
        self.set(leader_schedule_limit=0, region_schedule_limit=0)
        self.wait_idle()

    def add(self, name: str, region_id: int, **fields: Any) -> None:
        """Start an operator. Errors: PdRefused with PD's reason."""
        self.pd.post("/operators", {"name": name, "region_id": region_id, **fields})

    def add_when_free(self, name: str, region_id: int, **fields: Any) -> None:
        """Start an operator as soon as PD takes one for the region."""

        def added() -> bool:
            try:
                self.add(name, region_id, **fields)
            except PdRefused:
                return False
            return True

        self.cluster.wait_for(added, MOVE_DEADLINE_S)

    def region(self, region_id: int) -> RegionView:
        """The region as PD has it now."""
        return next(region for region in self.calls.regions() if region.id == region_id)

    def stores_of(self, region_id: int) -> dict[int, int]:
        """Role number of each replica by the number of its store process."""
        return {self.cluster.number_of(peer.store_id): peer.role for peer in self.region(region_id).meta.peers}

    def wait_placed(self, region_id: int, numbers: set[int], deadline_s: float = MOVE_DEADLINE_S) -> None:
        """Wait until exactly these store processes hold a voter of the region."""

        def is_placed() -> bool:
            try:
                return self.stores_of(region_id) == dict.fromkeys(numbers, 0)
            except (ProbeFailed, StopIteration):
                return False

        self.cluster.wait_for(is_placed, deadline_s)

    def wait_idle(self, deadline_s: float = MOVE_DEADLINE_S) -> None:
        """Wait until PD has no operator running."""
        self.cluster.wait_for(lambda: not self.pd.get("/operators"), deadline_s)


def holds(cluster: Cluster, number: int) -> list[int]:
    """The regions that a store process says it has."""
    return list(insist(lambda: status_json(cluster.store(number).ports.status_address, "/regions")))


def wait_gone(cluster: Cluster, number: int, region_id: int) -> None:
    """Wait until a store no longer has a replica of the region."""

    def is_gone() -> bool:
        return region_id not in holds(cluster, number)

    cluster.wait_for(is_gone, MOVE_DEADLINE_S)


def settled(cluster: Cluster) -> Cluster:
    """The same cluster, in which PD moves nothing by itself any more."""
    with Calls(cluster.pd_address) as calls:
        Orders(cluster, calls).settle_down()
    return cluster


def checksum(cluster: Cluster, region: RegionView, store_id: int) -> RangeChecksum:
    """The checksum of one replica, read there after it has caught up with its leader. Errors: ProbeFailed."""
    with Probe(cluster.pd_address) as probe:
        return probe.checksum(region, store_id)


def equal_checksums(calls: Calls, cluster: Cluster) -> dict[int, RangeChecksum]:
    """The checksum of every region, once all its replicas have the same; AssertionError if they never agree."""
    found: dict[int, RangeChecksum] = {}

    def all_agree() -> bool:
        found.clear()
        try:
            for region in calls.regions():
                sums = {checksum(cluster, region, peer.store_id) for peer in region.meta.peers}
                if len(sums) != 1:
                    return False
                found[region.id] = sums.pop()
        except (ProbeFailed, grpc.RpcError):
            return False
        return True

    cluster.wait_for(all_agree, MOVE_DEADLINE_S)
    return found


def insist(call: Callable[[], Any], deadline_s: float = MOVE_DEADLINE_S) -> Any:
    """The result of a call that may fail while leaders change."""
    results: list[Any] = []

    def answered() -> bool:
        try:
            results.append(call())
        except Exception:
            return False
        return True

    Cluster.wait_for(answered, deadline_s)
    return results[0]


def ctl(cluster: Cluster, *arguments: str, timeout_s: float = 100.0) -> subprocess.CompletedProcess[str]:
    """`flaredb ctl` as a person runs it, in a pipe."""
    command = [sys.executable, "-P", "-m", "flaredb", "ctl", "--pd", cluster.pd_address, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
