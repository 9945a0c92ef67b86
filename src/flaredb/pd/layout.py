"""The first regions of a cluster: one from the first store, or several that PD places by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flaredb.model.errors import ConfigError
from flaredb.model.ids import INVALID_ID, PeerId, RegionId, StoreId
from flaredb.model.layout import validate_layout
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.pd.messages import Bootstrap, PdError, PdErrorKind


def initial_regions(
    split_keys: Sequence[bytes], store_ids: Sequence[StoreId], max_replicas: int, take_id: Callable[[], int]
) -> list[Region]:
    """Regions between the split keys, their peers spread evenly over the stores.

    The first peer of a region campaigns first, so it moves on from store to store with the regions.

    Pre:    split keys ascend; at least ``max_replicas`` stores.
    Errors: ConfigError from validate_layout, should the result not tile the key space.
    """
    borders = [b"", *split_keys, b""]
    regions = []
    for index in range(len(borders) - 1):
        region_id = RegionId(take_id())
        stores = [store_ids[(index + replica) % len(store_ids)] for replica in range(max_replicas)]
        peers = tuple(Peer(PeerId(take_id()), store_id) for store_id in stores)
        regions.append(Region(region_id, borders[index], borders[index + 1], INITIAL_EPOCH, peers))
    validate_layout(regions, store_ids)
    return regions


def check_bootstrap(request: Bootstrap) -> None:
    """Refuse a first region that is not the whole key space with one peer on its store (wire facts 4.1).

    Errors: PdError UNKNOWN.
    """
    region, store = request.region, request.store
    if INVALID_ID in (region.id, store.id, *(peer.id for peer in region.peers)):
        raise PdError(PdErrorKind.UNKNOWN, "bootstrap needs ids other than 0 for store, region and peer")
    if len(region.peers) != 1:
        raise PdError(PdErrorKind.UNKNOWN, f"the first region must have one peer, not {len(region.peers)}")
    try:
        validate_layout([region], [store.id])
    except ConfigError as error:
        raise PdError(PdErrorKind.UNKNOWN, f"this first region cannot be: {error}") from error
