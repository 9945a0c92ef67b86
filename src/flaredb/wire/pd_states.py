"""What PD keeps on disk, encoder beside decoder: MessagePack arrays behind one version byte.

Regions are encoded as stores do (wire/states.py).
"""

from __future__ import annotations

import msgspec

from flaredb.model.cluster import NodeState, StoreMeta, StoreState
from flaredb.model.ids import StoreId
from flaredb.wire.records import StateCorrupted, dump_record, load_record


class PdIdent(msgspec.Struct, array_like=True, frozen=True):
    """Which cluster this is, and who this member is. Both are random, never 0, and never change."""

    cluster_id: int
    member_id: int


class ClusterRecord(msgspec.Struct, array_like=True, frozen=True):
    """Exists once the cluster has its first regions."""

    bootstrapped_at_ms: int
    """Unix milliseconds."""

    max_replicas: int
    cluster_version: str


class ServiceClaim(msgspec.Struct, array_like=True, frozen=True):
    """A service's safe point and when it lapses, in unix seconds; 0: never."""

    safe_point: int
    expires_at_s: int


class GcRecord(msgspec.Struct, array_like=True, frozen=True):
    """Garbage collection: the safe point and the claims of services on older data."""

    safe_point: int = 0
    services: dict[bytes, ServiceClaim] = {}  # msgspec copies the default


class ScheduleRecord(msgspec.Struct, array_like=True, frozen=True):
    """What people changed about scheduling while PD ran."""

    settings: dict[str, str | bool | int | float] = {}
    """Kebab-case name -> value as people write it; only what was changed."""

    schedulers: dict[str, list[int]] | None = None
    """Name -> stores it is for, if it is for some; None: as PD comes."""

    store_limits: dict[int, tuple[float, float]] = {}
    """Store -> peers a minute to add, to remove."""

    store_weights: dict[int, tuple[float, float]] = {}
    """Store -> weight for leaders, for regions."""

    kept_learners: list[int] = []
    """Peers that a person added as learners."""

    buried_stores: list[int] = []
    """Stores that were removed and forgotten; their ids never come back."""


class _Store(msgspec.Struct, array_like=True, frozen=True):
    id: int
    address: str
    peer_address: str
    status_address: str
    version: str
    labels: list[tuple[str, str]]
    state: int
    node_state: int
    start_timestamp_s: int
    deploy_path: str
    git_hash: str


def encode_ident(ident: PdIdent) -> bytes:
    return dump_record(ident)


def decode_ident(data: bytes) -> PdIdent:
    """Errors: StateCorrupted."""
    return load_record(data, PdIdent)


def encode_cluster(record: ClusterRecord) -> bytes:
    return dump_record(record)


def decode_cluster(data: bytes) -> ClusterRecord:
    """Errors: StateCorrupted."""
    return load_record(data, ClusterRecord)


def encode_gc(record: GcRecord) -> bytes:
    return dump_record(record)


def decode_gc(data: bytes) -> GcRecord:
    """Errors: StateCorrupted."""
    return load_record(data, GcRecord)


def encode_schedule(record: ScheduleRecord) -> bytes:
    return dump_record(record)


def decode_schedule(data: bytes) -> ScheduleRecord:
    """Errors: StateCorrupted."""
    return load_record(data, ScheduleRecord)


def encode_bound(bound: int) -> bytes:
    """An upper bound of what was handed out: ids, or milliseconds of timestamps."""
    return dump_record(bound)


def decode_bound(data: bytes) -> int:
    """Errors: StateCorrupted."""
    return load_record(data, int)


def encode_store(store: StoreMeta) -> bytes:
    """The store without its last heartbeat, which is not kept."""
    return dump_record(
        _Store(
            store.id,
            store.address,
            store.peer_address,
            store.status_address,
            store.version,
            list(store.labels),
            int(store.state),
            int(store.node_state),
            store.start_timestamp_s,
            store.deploy_path,
            store.git_hash,
        )
    )


def decode_store(data: bytes) -> StoreMeta:
    """Errors: StateCorrupted."""
    record = load_record(data, _Store)
    try:
        state, node_state = StoreState(record.state), NodeState(record.node_state)
    except ValueError as error:
        raise StateCorrupted(f"store record {record.id}: {error}") from error
    return StoreMeta(
        StoreId(record.id),
        record.address,
        record.peer_address,
        record.status_address,
        record.version,
        tuple(record.labels),
        state,
        node_state,
        record.start_timestamp_s,
        0,
        record.deploy_path,
        record.git_hash,
    )
