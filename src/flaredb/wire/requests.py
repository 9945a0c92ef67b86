"""kvrpcpb requests -> commands of the model; what is wrong in a request itself is refused here.

Every reader takes the request (whose context it leaves alone) and the rules of this server and returns the command, or
``Known`` where the answer needs no look at the data (a scan of no rows). It raises InvalidRequest, whose text goes into
the response. That is the second step of the order in which clients expect checks: cluster id, request, then region
(wire facts 3.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from flaredb.model.commands import (
    COMPARE_AND_SWAP,
    DATA_CFS,
    DELETE,
    DELETE_RANGE,
    PUT,
    BatchGet,
    BatchScan,
    Checksum,
    ChecksumResult,
    Command,
    Get,
    Operation,
    Scan,
    Write,
)
from flaredb.model.errors import FlareDBError, InvalidRequest
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import format_key, format_range
from flaredb.model.limits import KEY_SIZE_BYTES_MAX
from flaredb.wire.pb import kvrpcpb_pb2 as pb

TTL_OFF = (
    "TTL is not enabled: this cluster keeps every value until it is deleted; "
    "write with ttl 0, and delete keys yourself when they expire"
)


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What this server accepts in a request."""

    key_size_bytes_max: int = KEY_SIZE_BYTES_MAX
    """Longest key of a write; setting storage.max-key-size."""


@final
@dataclass(frozen=True, slots=True)
class Known:
    """A request whose result is known without the store; ``result`` is as model.commands documents it."""

    result: Any


# ---------------------------------------------------------------- context


class WrongCluster(FlareDBError):
    """The client believes to talk to another cluster; ends the call, or the whole stream, by a gRPC status."""

    def __init__(self, asked: int, actual: int) -> None:
        super().__init__(
            f"the request is for cluster {asked}, this store belongs to cluster {actual}; "
            "check the PD addresses that the client was given"
        )


class Route(NamedTuple):
    """Where a request goes: the part of kvrpcpb.Context that the store checks, in the order of Request's fields."""

    region_id: RegionId
    version: int
    peer_id: PeerId
    store_id: StoreId
    term: int
    replica_read: bool


class RouteReader:
    """Reads kvrpcpb.Context. Requests of one client to one region carry equal contexts, so routes are remembered.

    Invariant: at most ROUTES_MAX contexts of at most CONTEXT_SIZE_BYTES_MAX each are kept, all of them valid.
    """

    ROUTES_MAX = 4096
    CONTEXT_SIZE_BYTES_MAX = 512

    def __init__(self, cluster_id: int) -> None:
        self._cluster_id = cluster_id
        self._routes: dict[bytes, Route] = {}

    def read(self, encoded: bytes) -> Route:
        """The route in an encoded kvrpcpb.Context (see lazy_context).

        Errors: WrongCluster; InvalidRequest for an API version not served; protobuf's DecodeError.
        """
        route = self._routes.get(encoded)
        return route if route is not None else self._read_new(encoded, pb.Context.FromString(encoded))

    def check_cluster(self, context: pb.Context) -> None:
        """Raises WrongCluster if the context names another cluster; 0 names none."""
        if context.cluster_id not in (0, self._cluster_id):
            raise WrongCluster(context.cluster_id, self._cluster_id)

    def _read_new(self, encoded: bytes, context: pb.Context) -> Route:
        self.check_cluster(context)
        _check_api_version(context.api_version)
        route = Route(
            RegionId(context.region_id),
            context.region_epoch.version,
            PeerId(context.peer.id),
            StoreId(context.peer.store_id),
            context.term,
            # A stale read asks for less than a read of a follower by ReadIndex gives.
            context.replica_read or context.stale_read,
        )
        if len(encoded) <= self.CONTEXT_SIZE_BYTES_MAX:
            if len(self._routes) >= self.ROUTES_MAX:
                self._routes.clear()
            self._routes[encoded] = route
        return route


def _check_api_version(api_version: int) -> None:
    if api_version == pb.APIVersion.V1:
        return
    known = api_version in pb.APIVersion.values()
    name = pb.APIVersion.Name(pb.APIVersion.ValueType(api_version)) if known else str(api_version)
    raise InvalidRequest(
        f"ApiVersionNotMatched: the request has API version {name}, this store serves V1; "
        "create the client without a keyspace and without API V2"
    )


# ---------------------------------------------------------------- checks


_CF_INDEX = {"": 0} | {name: index for index, name in enumerate(DATA_CFS)}


def _cf(name: str) -> int:
    index = _CF_INDEX.get(name)
    if index is None:
        raise InvalidRequest(f"column family {name!r} does not exist; use one of {', '.join(DATA_CFS)}")
    return index


def _check_keys(keys: Iterable[bytes], rules: RequestRules) -> None:
    for key in keys:
        if len(key) > rules.key_size_bytes_max:
            raise InvalidRequest(
                f"key {format_key(key[:16])}... is too long: {len(key)} bytes, at most "
                f"{rules.key_size_bytes_max} are allowed (storage.max-key-size)"
            )


def _check_no_ttl(ttl: int) -> None:
    if ttl:
        raise InvalidRequest(TTL_OFF)


# ---------------------------------------------------------------- writes


def read_put(request: pb.RawPutRequest, rules: RequestRules) -> Write:
    """One PUT. ``for_cas`` needs nothing: all writes of a region pass its log one after the other."""
    key, value = request.key, request.value
    if len(key) > rules.key_size_bytes_max:
        _check_keys((key,), rules)
    cf = _cf(request.cf)
    if request.ttl:
        _check_no_ttl(request.ttl)
    return Write([(PUT, cf, key, value)], len(key) + len(value))


def read_batch_put(request: pb.RawBatchPutRequest, rules: RequestRules) -> Write | Known:
    """One PUT per pair, in the order given, applied together."""
    pairs = [(pair.key, pair.value) for pair in request.pairs]
    _check_keys((key for key, _ in pairs), rules)
    cf = _cf(request.cf)
    if len(request.ttls) not in (0, 1, len(pairs)):
        raise InvalidRequest(f"{len(request.ttls)} ttls do not fit {len(pairs)} pairs; send none, one, or one per pair")
    _check_no_ttl(request.ttl or any(request.ttls))
    operations: list[Operation] = [(PUT, cf, key, value) for key, value in pairs]
    return _write(operations, sum(len(key) + len(value) for key, value in pairs))


def read_delete(request: pb.RawDeleteRequest, rules: RequestRules) -> Write:
    """One DELETE; deleting an absent key succeeds."""
    key = request.key
    _check_keys((key,), rules)
    return Write([(DELETE, _cf(request.cf), key)], len(key))


def read_batch_delete(request: pb.RawBatchDeleteRequest, rules: RequestRules) -> Write | Known:
    """One DELETE per key, applied together."""
    keys = list(request.keys)
    _check_keys(keys, rules)
    cf = _cf(request.cf)
    return _write([(DELETE, cf, key) for key in keys], sum(map(len, keys)))


def read_delete_range(request: pb.RawDeleteRangeRequest, rules: RequestRules) -> Write:
    """A DELETE_RANGE of [start, end); the store holds that an empty end fits only the last region.

    An inverted or empty range is refused here, by a text: as a region error clients would retry it in vain.
    """
    start, end = request.start_key, request.end_key
    _check_keys((start, end), rules)
    cf = _cf(request.cf)
    if end and start >= end:
        raise InvalidRequest(f"the range {format_range(start, end)} is empty; its start must be below its end")
    return Write([(DELETE_RANGE, cf, start, end)], len(start) + len(end))


def read_compare_and_swap(request: pb.RawCASRequest, rules: RequestRules) -> Write:
    """A COMPARE_AND_SWAP; an empty ``previous_value`` means an empty value, not absence."""
    key, value, previous = request.key, request.value, request.previous_value
    _check_keys((key,), rules)
    cf = _cf(request.cf)
    _check_no_ttl(request.ttl)
    expected = None if request.previous_not_exist else previous
    wanted = None if request.delete else value
    size_bytes = len(key) + len(expected or b"") + len(wanted or b"")
    return Write([(COMPARE_AND_SWAP, cf, key, expected, wanted)], size_bytes)


def _write(operations: list[Operation], size_bytes: int) -> Write | Known:
    return Write(operations, size_bytes) if operations else Known(None)


# ---------------------------------------------------------------- reads


def read_get(request: pb.RawGetRequest, _rules: RequestRules) -> Get:
    """A Get; reads have no limit of key size, a longer key is merely absent."""
    return Get(_cf(request.cf), request.key)


def read_get_key_ttl(_request: pb.RawGetKeyTTLRequest, _rules: RequestRules) -> Command:
    """Always refused: values have no TTL here."""
    raise InvalidRequest(TTL_OFF)


def read_batch_get(request: pb.RawBatchGetRequest, _rules: RequestRules) -> BatchGet | Known:
    """A BatchGet in the order of the request, repeated keys included."""
    cf = _cf(request.cf)
    keys = list(request.keys)
    return BatchGet(cf, keys) if keys else Known([])


def read_scan(request: pb.RawScanRequest, _rules: RequestRules) -> Scan | Known:
    """A Scan. In reverse the request's start is the exclusive upper bound and its end the inclusive lower one."""
    cf = _cf(request.cf)
    scan = _scan(cf, request.start_key, request.end_key, request.limit, request.reverse, request.key_only)
    return scan if scan is not None else Known([])


def read_batch_scan(request: pb.RawBatchScanRequest, _rules: RequestRules) -> BatchScan | Known:
    """One Scan of ``each_limit`` rows per range. All ranges must be proper, else the request is refused."""
    cf = _cf(request.cf)
    scans = [
        _scan(cf, start, end, request.each_limit, request.reverse, request.key_only)
        for start, end in _ranges(request.ranges, request.reverse)
    ]
    found = [scan for scan in scans if scan is not None]
    return BatchScan(found) if found else Known([])


def read_checksum(request: pb.RawChecksumRequest, _rules: RequestRules) -> Checksum | Known:
    """A Checksum over ranges of one region."""
    if request.algorithm != pb.ChecksumAlgorithm.Crc64_Xor:
        raise InvalidRequest(f"checksum algorithm {request.algorithm} does not exist; use Crc64_Xor (0)")
    ranges = _ranges(request.ranges, reverse=False)
    return Checksum(ranges) if ranges else Known(ChecksumResult(0, 0, 0))


def _scan(cf: int, start: bytes, end: bytes, limit: int, reverse: bool, keys_only: bool) -> Scan | None:
    """The scan in the model's terms (lower, upper bound), or None where it cannot find a row."""
    if reverse:
        # An empty exclusive upper bound is the lowest key, not 'no bound': nothing lies below it.
        if not start:
            return None
        start, end = end, start
    if not limit or (end and start >= end):
        return None
    return Scan(cf, start, end, limit, reverse, keys_only)


def _ranges(ranges: Iterable[pb.KeyRange], reverse: bool) -> list[tuple[bytes, bytes]]:
    """(start, end) of each range as sent; an empty end that is not the last means the next one's start."""
    listed = list(ranges)
    out = []
    for index, key_range in enumerate(listed):
        start, end = key_range.start_key, key_range.end_key
        if not end and index + 1 < len(listed):
            end = listed[index + 1].start_key
        if end and (start <= end if reverse else start >= end):
            order = "above" if reverse else "below"
            raise InvalidRequest(
                f"range {index}, {format_key(start)} to {format_key(end)}, is invalid: "
                f"its start must be {order} its end{' in a reverse scan' if reverse else ''}"
            )
        out.append((start, end))
    return out
