"""The KV service: the front door of a store, as TiKV clients know it (wire facts 1.1).

`unary` serves raw calls made one at a time, `batch_commands` whole frames of them; both turn requests into one input
of the store and its results into bytes. Handlers take and give bytes (`call`); grpc.aio is one front end to them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from flaredb.model.ids import ClusterId, StoreId
from flaredb.server.aio_batch import BatchStream
from flaredb.server.aio_calls import aio_refusal, aio_unary
from flaredb.server.call import Reply, Route, RouteKind, Status
from flaredb.server.counters import Counters
from flaredb.server.front import Front
from flaredb.server.http2.calls import BatchCalls
from flaredb.server.not_built import not_built_text
from flaredb.server.region_calls import RegionCalls
from flaredb.server.service_settings import KvServiceSettings
from flaredb.server.unary import UnaryCalls
from flaredb.store.messages import Input
from flaredb.wire.pb import kvrpcpb_pb2
from flaredb.wire.raw_calls import RAW_CALLS
from flaredb.wire.requests import WrongCluster
from flaredb.wire.services import TIKV_METHODS, Method

SERVICE = "tikvpb.Tikv"

_STORE_SAFE_TS_NONE = b""
"""StoreSafeTSResponse with safe_ts 0: nothing can be read stale."""


def wall_clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class KvService:
    """Handlers of /tikvpb.Tikv/*. What is not built answers UNIMPLEMENTED with a text that says what works.

    ``submit`` takes an input of the store without waiting and is called on the event loop's thread. The token of a
    request is ``(sink, slot)``: ``sink.answer(slot, result)`` exactly once, then ``sink.flush()`` once per step.
    """

    def __init__(
        self,
        submit: Callable[[Input], None],
        cluster_id: ClusterId,
        store_id: StoreId,
        settings: KvServiceSettings | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
        counters: Counters | None = None,
    ) -> None:
        self._front = Front(submit, cluster_id, store_id, settings or KvServiceSettings(), now_ms, counters)
        self._unary = UnaryCalls(self._front)
        self._regions = RegionCalls(self._front, self._unary)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Generic handlers of the whole service, for grpc_server.make_server."""
        return grpc.method_handlers_generic_handler(
            SERVICE, {name: self._handler(method) for name, method in TIKV_METHODS.items()}
        )

    def _handler(self, method: Method) -> Any:
        if method.name == "BatchCommands":
            return grpc.stream_stream_rpc_method_handler(self._batch_commands)
        route = self._route(method)
        make = getattr(grpc, f"{method.arity}_rpc_method_handler")
        return make(aio_refusal(route) if route.serve is None else aio_unary(route.serve))

    def _route(self, method: Method) -> Route:
        if method.name in RAW_CALLS:
            return Route("unary", self._unary.handler(RAW_CALLS[method.name]))
        served: dict[str, Any] = {
            "GetHealthFeedback": self._get_health_feedback,
            "GetStoreSafeTS": self._get_store_safe_ts,
            "CheckLeader": self._check_leader,
            "SplitRegion": self._regions.split_region,
        }
        kind: RouteKind = "unary" if method.arity == "unary_unary" else "stream"
        return Route(kind, served.get(method.name), not_built_text(method.name))

    def routes(self) -> dict[str, Route]:
        """The whole service by path, for http2.Http2Server; ``submit_gathered`` then gives calls to the store.

        Pre: not used together with ``handlers``.
        """
        self._unary.gathers = True
        routes = {method.path: self._route(method) for method in TIKV_METHODS.values()}
        routes[TIKV_METHODS["BatchCommands"].path] = Route("stream", partial(BatchCalls, self._front))
        return routes

    def submit_gathered(self) -> None:
        """Give the store the calls that came since the last time, as one input."""
        self._unary.submit_gathered()

    async def _batch_commands(self, _frames: Any, context: grpc.aio.ServicerContext) -> None:
        await BatchStream(self._front).serve(context)

    def _get_health_feedback(self, data: bytes, reply: Reply) -> None:
        try:
            request = kvrpcpb_pb2.GetHealthFeedbackRequest.FromString(data)
            self._front.routes.check_cluster(request.context)
        except (DecodeError, WrongCluster) as error:
            reply.fail(Status.INVALID_ARGUMENT, str(error))
            return
        reply.answer(self._front.health_feedback().SerializeToString())

    def _get_store_safe_ts(self, _data: bytes, reply: Reply) -> None:
        reply.answer(_STORE_SAFE_TS_NONE)

    def _check_leader(self, data: bytes, reply: Reply) -> None:
        """Confirms no leader: nobody here advances a safe timestamp by it."""
        try:
            request = kvrpcpb_pb2.CheckLeaderRequest.FromString(data)
        except DecodeError as error:
            reply.fail(Status.INVALID_ARGUMENT, str(error))
            return
        reply.answer(kvrpcpb_pb2.CheckLeaderResponse(ts=request.ts).SerializeToString())
