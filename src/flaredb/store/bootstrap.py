"""How a store comes to its first regions, and back to those it has.

An empty store creates the peers that PD's initial layout lists for it; once anything is on disk, the disk wins: a
region list can never overwrite or revive what this store already knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from flaredb.engine.base import CF_META, Engine, WriteBatch
from flaredb.model.errors import ConfigError
from flaredb.model.ids import ClusterId, StoreId
from flaredb.model.keys import (
    BOOTSTRAP_MARKER_KEY,
    REGION_STATES_END,
    REGION_STATES_START,
    STORE_IDENT_KEY,
    region_state_key,
)
from flaredb.model.layout import check_no_overlap, validate_layout
from flaredb.model.region import INITIAL_EPOCH, Region
from flaredb.store.raft_storage import write_initial_state
from flaredb.wire.records import StateCorrupted
from flaredb.wire.states import decode_region, decode_store_ident, encode_region, encode_store_ident


def read_store_ident(engine: Engine) -> tuple[ClusterId, StoreId] | None:
    """Whose data the engine holds; None for an empty one. Errors: StateCorrupted."""
    data = engine.get(CF_META, STORE_IDENT_KEY)
    return decode_store_ident(data) if data is not None else None


def write_store_ident(engine: Engine, cluster_id: ClusterId, store_id: StoreId) -> None:
    """Claim the engine for this store, durably."""
    batch = engine.batch()
    batch.put(CF_META, STORE_IDENT_KEY, encode_store_ident(cluster_id, store_id))
    engine.write(batch)
    engine.sync()


def check_store_ident(engine: Engine, cluster_id: ClusterId) -> StoreId | None:
    """The store id on disk, None for an empty engine. Errors: ConfigError if the data is another cluster's."""
    ident = read_store_ident(engine)
    if ident is None:
        return None
    if ident[0] != cluster_id:
        raise ConfigError(
            f"{engine.path} holds store {ident[1]} of cluster {ident[0]}, but PD belongs to cluster {cluster_id}; "
            "check --pd-endpoints, or use an empty --data-dir"
        )
    return ident[1]


def is_bootstrapped(engine: Engine) -> bool:
    """True once this store has been given its first regions, even if it holds none now."""
    return engine.get(CF_META, BOOTSTRAP_MARKER_KEY) is not None


def load_regions(engine: Engine, store_id: StoreId) -> list[Region]:
    """The regions on disk, in id order. Errors: StateCorrupted, naming both, if two overlap or one has no peer here."""
    regions = []
    for key, value in engine.scan(CF_META, REGION_STATES_START, REGION_STATES_END):
        region = decode_region(value)
        if key != region_state_key(region.id):
            raise StateCorrupted(f"{engine.path}: region {region.id} is on disk under the key {key!r} of another")
        regions.append(region)
    try:
        check_no_overlap(regions)
    except ConfigError as error:
        raise StateCorrupted(f"{engine.path}: {error}") from error
    for region in regions:
        if region.peer_on(store_id) is None:
            raise StateCorrupted(f"{engine.path}: region {region.id} on disk has no peer on store {store_id}")
    return regions


def write_region(region: Region, batch: WriteBatch) -> None:
    """Stage a region's metadata."""
    batch.put(CF_META, region_state_key(region.id), encode_region(region))


def create_regions(engine: Engine, store_id: StoreId, listed: Sequence[Region]) -> list[Region]:
    """Create, durably and all at once, the listed regions that begin with a peer on this store. Returns them by id.

    A region that is past its initial epoch is left out: its group has moved on, or has just added this store, and its
    replica comes by a snapshot. This store has never spoken for it: whoever has lost its disk gets a new store id.

    Pre: the store is not bootstrapped (asserted).
    Errors: ConfigError if the list overlaps or, as an initial layout, has a gap.
    """
    assert not is_bootstrapped(engine), "a bootstrapped store takes no initial regions"
    _check_list(listed)
    begun = (region for region in listed if region.peer_on(store_id) and region.epoch == INITIAL_EPOCH)
    mine = sorted(begun, key=lambda region: region.id)
    batch = engine.batch()
    for region in mine:
        write_region(region, batch)
        write_initial_state(region, batch)
    batch.put(CF_META, BOOTSTRAP_MARKER_KEY, b"\x01")
    engine.write(batch)
    engine.sync()
    return mine


def _check_list(listed: Sequence[Region]) -> None:
    """An initial layout tiles the key space; a list read later may have a gap for a moment, while regions split."""
    if listed and all(region.epoch == INITIAL_EPOCH for region in listed):
        validate_layout(listed, {peer.store_id for region in listed for peer in region.peers})
    else:
        check_no_overlap(listed)
