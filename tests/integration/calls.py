"""Plain calls to PD and stores, as a client without cache and retries makes them; tests decide every field."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import grpc

from flaredb.cli.probe import Probe, ProbeFailed, RegionView, asked_again
from flaredb.wire.pb import kvrpcpb_pb2, pdpb_pb2
from flaredb.wire.services import PD_METHODS, TIKV_METHODS, Method

CALL_DEADLINE_S = 20.0
PATIENCE_S = 20.0
"""For PD to answer: it, too, may stand still for some seconds on a busy machine."""
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def _holding(regions: list[RegionView], key: bytes) -> RegionView:
    for region in regions:
        if region.contains(key):
            return region
    raise ProbeFailed(f"PD knows no region that holds {key!r}")


class Calls:
    """Channels to one cluster; as a context manager it closes them. Its calls may be made from any thread."""

    def __init__(self, pd_address: str) -> None:
        self.pd_address = pd_address
        self._channels: dict[str, grpc.Channel] = {}

    def regions(self, patience_s: float = PATIENCE_S) -> list[RegionView]:
        """All regions in key order, as PD knows them now, asked again for so long. Errors: ProbeFailed."""
        with Probe(self.pd_address) as probe:
            return asked_again(probe.regions, patience_s)

    def region_of(self, key: bytes) -> RegionView:
        """The region that holds ``key``, as PD knows it now; asked again while there is none (a moment in a split).
        Errors: ProbeFailed.
        """
        with Probe(self.pd_address) as probe:
            return asked_again(lambda: _holding(probe.regions(), key), PATIENCE_S)

    def store(self, address: str, name: str, timeout_s: float = CALL_DEADLINE_S, **fields: Any) -> Any:
        """Call a store. Errors: grpc.RpcError."""
        method = TIKV_METHODS[name]
        return self._unary(address, method)(method.request(**fields), timeout=timeout_s)

    def pd(self, name: str, **fields: Any) -> Any:
        """Call PD with the right cluster id, unless a header is given. Errors: grpc.RpcError."""
        method = PD_METHODS[name]
        if name != "GetMembers":
            fields.setdefault("header", pdpb_pb2.RequestHeader(cluster_id=self.cluster_id()))
        call = self._unary(self.pd_address, method)
        return call(method.request(**fields), timeout=CALL_DEADLINE_S, wait_for_ready=True)

    def cluster_id(self) -> int:
        """The cluster's id, which PD tells anyone."""
        return int(self.pd("GetMembers").header.cluster_id)

    def timestamp(self) -> int:
        """A timestamp from PD: physical milliseconds << 18 | logical."""
        request = pdpb_pb2.TsoRequest(header=pdpb_pb2.RequestHeader(cluster_id=self.cluster_id()), count=1)
        stamp = next(self.stream(self.pd_address, PD_METHODS["Tso"], [request])).timestamp
        return int(stamp.physical << 18 | stamp.logical)

    def stream(self, address: str, method: Method, requests: list[Any]) -> Iterator[Any]:
        """The answers of a bidirectional stream on which ``requests`` are sent."""
        return self._stub(address, method, "stream_stream")(iter(requests), timeout=CALL_DEADLINE_S)

    def batch(self, address: str, requests: list[Any]) -> list[Any]:
        """One BatchCommands frame and its answers, in the order of the requests."""
        method = TIKV_METHODS["BatchCommands"]
        ids = list(range(1, len(requests) + 1))
        found: dict[int, Any] = {}
        for answer in self.stream(address, method, [method.request(requests=requests, request_ids=ids)]):
            found |= dict(zip(answer.request_ids, answer.responses, strict=True))
        return [found[number] for number in ids]

    def close(self) -> None:
        """Close every channel."""
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _unary(self, address: str, method: Method) -> Any:
        return self._stub(address, method, "unary_unary")

    def _stub(self, address: str, method: Method, arity: str) -> Any:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels.setdefault(address, grpc.insecure_channel(address, options=_OPTIONS))
        return getattr(channel, arity)(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )


def context_for(region: RegionView, store_id: int = 0, **fields: Any) -> kvrpcpb_pb2.Context:
    """What a client sends along that knows the region and takes its replica on ``store_id`` (0: PD's leader)."""
    peer = next(peer for peer in region.meta.peers if peer.store_id == (store_id or region.leader_store_id))
    values: dict[str, Any] = {"region_id": region.id, "region_epoch": region.meta.region_epoch, "peer": peer}
    return kvrpcpb_pb2.Context(**{**values, **fields})


def status_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Code and text of a failed call."""
    assert isinstance(error, grpc.Call)
    return error.code(), error.details()


@contextlib.contextmanager
def calls_to(pd_address: str) -> Iterator[Calls]:
    """Calls to one cluster for the time of a test."""
    with Calls(pd_address) as calls:
        yield calls
