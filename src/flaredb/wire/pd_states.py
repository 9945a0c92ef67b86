"""What PD keeps on disk, encoder beside decoder: MessagePack arrays behind one version byte.

Regions are encoded as stores do (wire/states.py).
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from flaredb.model.cluster import NodeState, StoreMeta, StoreState
from flaredb.model.ids import StoreId
from flaredb.wire.states import StateCorrupted

_VERSION = b"\x01"
_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()


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


def _dump(record: object) -> bytes:
    return _VERSION + _encoder.encode(record)


def _load(data: bytes, kind: type[_T]) -> _T:
    if data[:1] != _VERSION:
        raise StateCorrupted(f"{kind.__name__} record has version {data[:1]!r}, this build reads {_VERSION!r}")
    try:
        return msgspec.msgpack.decode(data[1:], type=kind)
    except msgspec.MsgspecError as error:
        raise StateCorrupted(f"{kind.__name__} record does not decode: {error}") from error


def encode_ident(ident: PdIdent) -> bytes:
    return _dump(ident)


def decode_ident(data: bytes) -> PdIdent:
    """Errors: StateCorrupted."""
    return _load(data, PdIdent)


def encode_cluster(record: ClusterRecord) -> bytes:
    return _dump(record)


def decode_cluster(data: bytes) -> ClusterRecord:
    """Errors: StateCorrupted."""
    return _load(data, ClusterRecord)


def encode_gc(record: GcRecord) -> bytes:
    return _dump(record)


def decode_gc(data: bytes) -> GcRecord:
    """Errors: StateCorrupted."""
    return _load(data, GcRecord)


def encode_bound(bound: int) -> bytes:
    """An upper bound of what was handed out: ids, or milliseconds of timestamps."""
    return _dump(bound)


def decode_bound(data: bytes) -> int:
    """Errors: StateCorrupted."""
    return _load(data, int)


def encode_store(store: StoreMeta) -> bytes:
    """The store without its last heartbeat, which is not kept."""
    return _dump(
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
    record = _load(data, _Store)
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
