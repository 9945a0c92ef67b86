"""What a cluster looks like from outside: plain calls to PD and stores, nothing cached, no retries inside.

Used to tell when a cluster serves, and by the tour to look beside the client.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import grpc

from flaredb.cli.waiting import pause
from flaredb.model.errors import FlareDBError
from flaredb.model.keys import format_range
from flaredb.wire.pb import kvrpcpb_pb2, metapb_pb2, pdpb_pb2
from flaredb.wire.services import PD_METHODS, TIKV_METHODS, Method

_T = TypeVar("_T")

CALL_TIMEOUT_S = 2.0
CHECKSUM_TIMEOUT_S = 30.0
"""A store reads a whole region for a checksum, some MiB a second on a busy machine."""

PROBE_KEY_SUFFIX = b"\x00flaredb.probe"
"""Appended to a region's start key: the key that is written and deleted to see whether the region takes writes."""


class ProbeFailed(FlareDBError):
    """The cluster did not answer, or not what was hoped for; asking again may help."""

    retryable = True


@dataclass(frozen=True, slots=True)
class RegionView:
    """A region as PD describes it; store id 0: no leader known."""

    meta: metapb_pb2.Region
    leader: metapb_pb2.Peer

    @property
    def id(self) -> int:
        """Region id."""
        return self.meta.id

    @property
    def leader_store_id(self) -> int:
        """The leader's store, 0 if PD knows none."""
        return self.leader.store_id

    @property
    def range_text(self) -> str:
        """The bounds as people read them."""
        return format_range(self.meta.start_key, self.meta.end_key)

    def contains(self, key: bytes) -> bool:
        """True if ``key`` lies in the region."""
        return self.meta.start_key <= key and (not self.meta.end_key or key < self.meta.end_key)


@dataclass(frozen=True, slots=True)
class RangeChecksum:
    """What RawChecksum tells of a range: CRC-64/XZ of all pairs, XORed; how many; bytes of keys and values."""

    checksum: int
    rows: int
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows, checksum {self.checksum:016x}"


class Probe:
    """Calls to one cluster. Not thread-safe; as a context manager it closes its channels."""

    def __init__(self, pd_address: str) -> None:
        self._pd_address = pd_address
        self._channels: dict[str, grpc.Channel] = {}
        self._cluster_id = 0

    def regions(self) -> list[RegionView]:
        """All regions in key order.

        Errors: ProbeFailed if PD does not answer or is not bootstrapped.
        """
        request = pdpb_pb2.ScanRegionsRequest(header=self._header())
        answer = self._call(self._pd_address, PD_METHODS["ScanRegions"], request)
        if answer.header.HasField("error"):
            raise ProbeFailed(f"PD: {answer.header.error.message or 'no regions yet'}")
        return [RegionView(found.region, found.leader) for found in answer.regions]

    def store_address(self, store_id: int) -> str:
        """Where clients reach a store, according to PD.

        Errors: ProbeFailed for a store that PD does not know.
        """
        request = pdpb_pb2.GetStoreRequest(header=self._header(), store_id=store_id)
        answer = self._call(self._pd_address, PD_METHODS["GetStore"], request)
        if not answer.store.address:
            raise ProbeFailed(f"PD knows no address of store {store_id}")
        return str(answer.store.address)

    def check_serving(self) -> list[RegionView]:
        """The regions, after a write was accepted (and taken back) by each.

        Errors: ProbeFailed saying what is missing: regions, a leader, or a write.
        """
        regions = self.regions()
        _check_tiled(regions)
        for region in regions:
            self.try_write(region)
        return regions

    def try_write(self, region: RegionView) -> None:
        """Write a reserved key to the region's leader and delete it again.

        Errors: ProbeFailed if the leader is unknown or refuses.
        """
        key = region.meta.start_key + PROBE_KEY_SUFFIX
        if not region.contains(key):
            return
        if not region.leader_store_id:
            raise ProbeFailed(f"region {region.id} {region.range_text} has no leader yet")
        address = self.store_address(region.leader_store_id)
        context = kvrpcpb_pb2.Context(region_id=region.id, region_epoch=region.meta.region_epoch, peer=region.leader)
        put = kvrpcpb_pb2.RawPutRequest(context=context, key=key, value=b"probe")
        delete = kvrpcpb_pb2.RawDeleteRequest(context=context, key=key)
        for method, request in (("RawPut", put), ("RawDelete", delete)):
            answer = self._call(address, TIKV_METHODS[method], request)
            if answer.HasField("region_error") or answer.error:
                reason = answer.error or answer.region_error.message or "a region error"
                raise ProbeFailed(f"region {region.id} {region.range_text} refuses a write: {reason}")

    def checksum(self, region: RegionView, store_id: int) -> RangeChecksum:
        """The checksum of a region's replica on one store, read there once it has caught up with its leader.

        Errors: ProbeFailed if the store refuses, or the region has changed.
        """
        peer = next((peer for peer in region.meta.peers if peer.store_id == store_id), None)
        if peer is None:
            raise ProbeFailed(f"region {region.id} has no replica on store {store_id}")
        context = kvrpcpb_pb2.Context(
            region_id=region.id, region_epoch=region.meta.region_epoch, peer=peer, replica_read=True
        )
        bounds = kvrpcpb_pb2.KeyRange(start_key=region.meta.start_key, end_key=region.meta.end_key)
        request = kvrpcpb_pb2.RawChecksumRequest(context=context, ranges=[bounds])
        address = self.store_address(store_id)
        answer = self._call(address, TIKV_METHODS["RawChecksum"], request, CHECKSUM_TIMEOUT_S)
        if answer.HasField("region_error") or answer.error:
            reason = answer.error or answer.region_error.message or "a region error"
            raise ProbeFailed(f"region {region.id} gives no checksum on store {store_id}: {reason}")
        return RangeChecksum(answer.checksum, answer.total_kvs, answer.total_bytes)

    def close(self) -> None:
        """Close every channel."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _header(self) -> pdpb_pb2.RequestHeader:
        if not self._cluster_id:
            members = self._call(self._pd_address, PD_METHODS["GetMembers"], pdpb_pb2.GetMembersRequest())
            self._cluster_id = members.header.cluster_id
        return pdpb_pb2.RequestHeader(cluster_id=self._cluster_id)

    def _call(self, address: str, method: Method, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        call = self._channel(address).unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            return call(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise ProbeFailed(
                f"{address} does not answer {method.name}: {error.code().name} {error.details()}"
            ) from error

    def _channel(self, address: str) -> grpc.Channel:
        if address not in self._channels:
            # A process that has just been restarted is to be found again at once, not after gRPC's usual second.
            options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
            self._channels[address] = grpc.insecure_channel(address, options=options)
        return self._channels[address]


def asked_again(question: Callable[[], _T], deadline_s: float) -> _T:
    """The answer, asked again while there is none: a leader may be changing. Errors: ProbeFailed after the deadline."""
    end_s = time.monotonic() + deadline_s
    while True:
        try:
            return question()
        except ProbeFailed:
            if time.monotonic() >= end_s:
                raise
        pause()


def applied_index(status_address: str, region_id: int) -> int:
    """How far a store has applied a region's log, asked at its status address; 0 if it has no such region.

    Errors: ProbeFailed if the status server does not answer.
    """
    path = f"/region/{region_id}"
    facts = status_json(status_address, path)
    if facts is None:
        return 0
    index = _find(facts, "applied_index")
    if index is None:
        raise ProbeFailed(f"http://{status_address}{path} does not tell the applied index")
    return int(index)


def status_json(status_address: str, path: str) -> Any:
    """The JSON at a path of a status server; None for 404.

    Errors: ProbeFailed for any other answer, or none.
    """
    connection = http.client.HTTPConnection(status_address, timeout=CALL_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ProbeFailed(f"http://{status_address}{path} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status == http.client.NOT_FOUND:
        return None
    if answer.status != http.client.OK:
        raise ProbeFailed(f"http://{status_address}{path} answers {answer.status} {answer.reason}")
    return json.loads(body)


def _find(facts: Any, name: str) -> Any:
    """The value of the first field of this name at any depth; None if there is none."""
    if not isinstance(facts, dict):
        return None
    if name in facts:
        return facts[name]
    return next((found for below in facts.values() if (found := _find(below, name)) is not None), None)


def _check_tiled(regions: list[RegionView]) -> None:
    """Raise ProbeFailed unless the regions cover every key without a gap."""
    if not regions:
        raise ProbeFailed("PD knows no region yet")
    bounds = [regions[0].meta.start_key, *(region.meta.end_key for region in regions)]
    starts = [region.meta.start_key for region in regions]
    if bounds[0] or bounds[-1] or starts != bounds[:-1]:
        raise ProbeFailed("PD's regions do not cover every key yet")
