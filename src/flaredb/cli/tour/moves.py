"""The part of the tour in which regions move: the cluster grows by a store, loses one, and nothing changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flaredb.cli.cluster_plan import next_ports
from flaredb.cli.ctl.http import Pd, PdRefused, PdUnreachable
from flaredb.cli.local_cluster import StoreProcess
from flaredb.cli.ports import PortPicker
from flaredb.cli.probe import ProbeFailed, RangeChecksum, RegionView, asked_again
from flaredb.cli.tour.state import Tour
from flaredb.cli.waiting import pause
from flaredb.model.errors import FlareDBError
from flaredb.model.keys import format_key

MOVE_DEADLINE_S = 60.0
_T = TypeVar("_T")


class MovesFailed(FlareDBError):
    """A move did not end, or changed what it moved; the message says which."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a region's range held before anything moved."""

    start_key: bytes
    end_key: bytes
    checksum: RangeChecksum


def move_regions(tour: Tour) -> None:
    """Grow by one store, drain another, and compare every replica of every region with what was there before."""
    pd = Pd(tour.cluster.plan.pd_address)
    before = [
        Fingerprint(region.meta.start_key, region.meta.end_key, _until(lambda: _leaders(tour, region)))  # noqa: B023
        for region in _until(tour.probe.regions)
    ]
    grow(tour, pd)
    drain(tour, pd, tour.cluster.stores[0])
    compare(tour, before)


def grow(tour: Tour, pd: Pd) -> None:
    """Start a further store; PD gives it its share."""
    with tour.report.part("grow") as part:
        store = tour.cluster.add_store(next_ports(tour.cluster.plan, PortPicker()))
        _wait(lambda: bool(_replicas_on(tour, store)) and _is_idle(pd), f"{store.child.name} was given no region")
        count = len(_replicas_on(tour, store))
        part.say(f"{store.child.name} joined; PD moved {count} replica{'s' * (count != 1)} to it")


def drain(tour: Tour, pd: Pd, leaving: StoreProcess) -> None:
    """Take a store out of the cluster: PD moves what it holds elsewhere, and then it may be stopped."""
    with tour.report.part("drain") as part:
        count = len(_replicas_on(tour, leaving))
        pd.delete(f"/store/{leaving.store_id}")
        _wait(lambda: _state_of(pd, leaving) == "Tombstone", f"{leaving.child.name} still holds regions")
        _follow(tour)
        tour.cluster.stop_store(leaving)
        held = f"its {count} replica{'s were' if count != 1 else ' was'} moved"
        part.say(f"{leaving.child.name} left: {held}, the client followed, then it was stopped")


def _follow(tour: Tour) -> None:
    """One read of each region, so that the client hears from the drained store where its regions are now.

    The official client asks the store that it last knew as leader; once that is stopped, its scans fail.
    """
    for region in _until(tour.probe.regions):
        key = next(key for key in sorted(tour.expected) if region.contains(key))
        if tour.client.get(key) != tour.expected[key]:
            raise MovesFailed(f"region {region.id} lost {format_key(key)} when its leader moved")


def compare(tour: Tour, before: list[Fingerprint]) -> None:
    """Every replica of every region must hold exactly what was there before. Errors: MovesFailed."""
    with tour.report.part("compare") as part:
        names = {store.store_id: store.child.name for store in tour.cluster.stores}
        for region in _until(tour.probe.regions):
            known = next((each for each in before if each.start_key == region.meta.start_key), None)
            if known is None or known.end_key != region.meta.end_key:
                raise MovesFailed(f"region {region.id} {region.range_text} has other borders than before")
            for peer in region.meta.peers:
                found = _until(lambda: tour.probe.checksum(region, peer.store_id))  # noqa: B023
                if found != known.checksum:
                    raise MovesFailed(
                        f"region {region.id} on {names[peer.store_id]} holds {found}, before it was {known.checksum}"
                    )
            where = ", ".join(sorted(names[peer.store_id] for peer in region.meta.peers))
            part.say(f"region {region.id}: {known.checksum} on {where}, as before")


def _leaders(tour: Tour, region: RegionView) -> RangeChecksum:
    """The checksum at whoever leads the region now."""
    now = next(each for each in tour.probe.regions() if each.id == region.id)
    return tour.probe.checksum(now, now.leader_store_id)


def _replicas_on(tour: Tour, store: StoreProcess) -> list[int]:
    regions = _until(tour.probe.regions)
    return [region.id for region in regions for peer in region.meta.peers if peer.store_id == store.store_id]


def _is_idle(pd: Pd) -> bool:
    return not pd.get("/operators")


def _state_of(pd: Pd, store: StoreProcess) -> str:
    answer: dict[str, Any] = pd.get(f"/store/{store.store_id}")
    return str(answer["store"]["state_name"])


def _wait(condition: Callable[[], bool], what: str) -> None:
    """Errors: MovesFailed after the deadline."""
    end_s = time.monotonic() + MOVE_DEADLINE_S
    while True:
        try:
            if condition():
                return
        except (PdRefused, PdUnreachable, ProbeFailed):
            pass
        if time.monotonic() >= end_s:
            raise MovesFailed(f"{what} after {MOVE_DEADLINE_S:g} s")
        pause(0.05)


def _until(question: Callable[[], _T]) -> _T:
    return asked_again(question, MOVE_DEADLINE_S)
