"""How a store joins the cluster, and how an empty one comes to its first regions (wire facts 4.1).

Our PD may hold an initial layout: it then says that the cluster is bootstrapped from the start, and lists regions once
enough stores have registered. Without a layout the first store makes the one region of the whole key space.
"""

from __future__ import annotations

import asyncio

from flaredb.model.cluster import StoreMeta
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.rpc.pd import PdClient, PdNotBootstrapped

SCAN_PAGE_REGIONS = 1_024
POLL_DELAY_MS = 100
"""Between two looks at an empty region list; PD may also hold each call for up to a second."""


async def register(client: PdClient, store: StoreMeta, has_regions: bool) -> Region | None:
    """Bootstrap the cluster if this store may be its first, then put the store. Returns the region it created, if any.

    A store that holds regions never bootstraps: it belongs to a cluster that had begun.

    Errors: PdError; safe to call again after any.
    """
    created = None
    if not has_regions and not await client.is_bootstrapped():
        region = _first_region(RegionId(await client.alloc_id()), PeerId(await client.alloc_id()), store.id)
        if await client.bootstrap(store, region):
            created = region
    await client.put_store(store)
    return created


async def first_regions(client: PdClient, store_id: StoreId) -> tuple[Region, ...]:
    """All regions of the cluster once there are any; empty if none of them has a peer on this store.

    Errors: PdError; safe to call again after any.
    """
    while True:
        regions = await _list_regions(client)
        if regions:
            return regions if any(region.peer_on(store_id) for region in regions) else ()
        await asyncio.sleep(POLL_DELAY_MS / 1000)


async def _list_regions(client: PdClient) -> tuple[Region, ...]:
    regions: list[Region] = []
    start_key = b""
    while True:
        try:
            page = await client.scan_regions(start_key, b"", SCAN_PAGE_REGIONS)
        except PdNotBootstrapped:
            return ()
        regions += [route.region for route in page]
        if len(page) < SCAN_PAGE_REGIONS or not page[-1].region.end_key:
            return tuple(regions)
        start_key = page[-1].region.end_key


def _first_region(region_id: RegionId, peer_id: PeerId, store_id: StoreId) -> Region:
    return Region(region_id, b"", b"", INITIAL_EPOCH, (Peer(peer_id, store_id),))
