"""Rules that every set of regions must obey: the ranges tile the key space and every replica is on a known store."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence

from flaredb.model.errors import ConfigError
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import format_range
from flaredb.model.region import Region


def validate_layout(regions: Sequence[Region], store_ids: Collection[StoreId]) -> None:
    """Refuse an initial layout that cannot work.

    Errors: ConfigError naming both regions and their bounds for an overlap or a gap; the region and peer for a replica
    on an unknown store, for an id used twice, and for a region without replicas or with two on one store.
    """
    if not regions:
        raise ConfigError("the initial layout has no regions")
    in_order = sorted(regions, key=lambda region: region.start_key)
    check_no_overlap(in_order)
    if in_order[0].start_key:
        raise ConfigError(f"gap before {_name(in_order[0])}: no region holds the keys below it")
    for left, right in itertools.pairwise(in_order):
        if left.end_key != right.start_key:
            raise ConfigError(f"gap between {_name(left)} and {_name(right)}")
    if in_order[-1].end_key:
        raise ConfigError(f"gap after {_name(in_order[-1])}: no region holds the keys from its end on")
    _check_ids(in_order)
    for region in in_order:
        _check_peers(region, store_ids)


def check_no_overlap(regions: Iterable[Region]) -> None:
    """Raise ConfigError, naming both regions and their bounds, if two ranges share a key."""
    in_order = sorted(regions, key=lambda region: region.start_key)
    for left, right in itertools.pairwise(in_order):
        if left.overlaps(right):
            raise ConfigError(f"{_name(left)} overlaps {_name(right)}")


def _check_ids(regions: Sequence[Region]) -> None:
    seen_regions: set[RegionId] = set()
    seen_peers: set[PeerId] = set()
    for region in regions:
        if region.id in seen_regions:
            raise ConfigError(f"region id {region.id} is used twice")
        seen_regions.add(region.id)
        for peer in region.peers:
            if peer.id in seen_peers:
                raise ConfigError(f"peer id {peer.id} is used twice, the second time in {_name(region)}")
            seen_peers.add(peer.id)


def _check_peers(region: Region, store_ids: Collection[StoreId]) -> None:
    if not region.peers:
        raise ConfigError(f"{_name(region)} has no replicas")
    stores: set[StoreId] = set()
    for peer in region.peers:
        if peer.store_id not in store_ids:
            raise ConfigError(f"{_name(region)} lists peer {peer.id} on store {peer.store_id}, which does not exist")
        if peer.store_id in stores:
            raise ConfigError(f"{_name(region)} has two peers on store {peer.store_id}")
        stores.add(peer.store_id)


def _name(region: Region) -> str:
    return f"region {region.id} {format_range(region.start_key, region.end_key)}"
