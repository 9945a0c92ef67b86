"""Clusters to judge: five lines make one."""

from __future__ import annotations

from dataclasses import replace

from flaredb.cli.status.facts import ClusterFacts, Move, RegionFacts, StoreFacts

MOVE = Move(1, "balance-region", "mv peer: store [1] to [4]", 1, 4, kind="region")


def store(store_id: int, state: str = "Up", **more: object) -> StoreFacts:
    return replace(StoreFacts(store_id, state=state, regions=2, silent_s=1.0), **more)  # type: ignore[arg-type]


def region(region_id: int, *voters: int, leader: int | None = None, **more: object) -> RegionFacts:
    facts = RegionFacts(region_id, voters, leader=voters[0] if leader is None else leader)
    return replace(facts, **more)  # type: ignore[arg-type]


def cluster(
    stores: tuple[StoreFacts, ...] = (store(1), store(2), store(3)),
    regions: tuple[RegionFacts, ...] = (region(1, 1, 2, 3), region(2, 2, 3, 1)),
    **more: object,
) -> ClusterFacts:
    return replace(ClusterFacts(stores, regions), **more)  # type: ignore[arg-type]
