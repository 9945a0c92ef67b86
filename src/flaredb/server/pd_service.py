"""The gRPC face of PD: converts calls, checks the cluster id, puts the header on every answer (wire facts 3.1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from flaredb.model.ids import RegionId, StoreId
from flaredb.pd import messages as m
from flaredb.pd.messages import PdError
from flaredb.server import pd_requests
from flaredb.server.order_streams import OrderStream, OrderStreams
from flaredb.server.pd_loop import PdLoop
from flaredb.server.pd_scheduling import SchedulingCalls, TimedUnary, wait_ms_of
from flaredb.wire import pd_convert
from flaredb.wire.convert import region_from_pb, store_from_pb, store_to_pb
from flaredb.wire.pb import metapb_pb2, pdpb_pb2
from flaredb.wire.services import PD_METHODS

SERVICE = "pdpb.PD"
QUERY_ITEMS_MAX = 10_000

_ANY_CLUSTER = frozenset({"GetMembers", "GetClusterInfo", "IsSnapshotRecovering"})
"""Calls by which a client learns the cluster id."""

Unary = Callable[[Any], Awaitable[Any]]


class PdService:
    """Handlers of /pdpb.PD/*. One member, which leads."""

    def __init__(self, loop: PdLoop, name: str, client_url: str, version: str) -> None:
        """``client_url`` is what clients are told to use, with its scheme."""
        self._loop = loop
        self._cluster_id = loop.core.cluster_id
        self.member = pdpb_pb2.Member(
            name=name,
            member_id=loop.core.member_id,
            client_urls=[client_url],
            peer_urls=[client_url],
            binary_version=version,
        )
        self._unary: dict[str, Unary] = {
            "GetMembers": self._get_members,
            "GetClusterInfo": self._get_cluster_info,
            "IsSnapshotRecovering": self._is_snapshot_recovering,
            "IsBootstrapped": self._is_bootstrapped,
            "Bootstrap": self._bootstrap,
            "AllocID": self._alloc_id,
            "PutStore": self._put_store,
            "GetStore": self._get_store,
            "GetAllStores": self._get_all_stores,
            "StoreHeartbeat": self._store_heartbeat,
            "GetRegion": self._get_region,
            "GetPrevRegion": self._get_previous_region,
            "GetRegionByID": self._get_region_by_id,
            "ScanRegions": self._scan_regions,
            "BatchScanRegions": self._batch_scan_regions,
            "GetClusterConfig": self._get_cluster_config,
            "PutClusterConfig": self._put_cluster_config,
            "GetGCSafePoint": self._get_gc_safe_point,
            "UpdateGCSafePoint": self._update_gc_safe_point,
            "UpdateServiceGCSafePoint": self._update_service_gc_safe_point,
            "GetGCState": self._get_gc_state,
            "GetMinTS": self._get_min_ts,
            "AskBatchSplit": self._ask_batch_split,
            "ReportBatchSplit": self._report_batch_split,
        }
        self._timed: dict[str, TimedUnary] = SchedulingCalls(loop).table()
        self.orders = OrderStreams()
        loop.on_order = self.orders.send
        self._streams: dict[str, Any] = {
            "Tso": self._tso,
            "QueryRegion": self._query_region,
            "RegionHeartbeat": self._region_heartbeat,
        }

    def handlers(self) -> grpc.GenericRpcHandler:
        """Generic handlers of the whole service; what is not built answers UNIMPLEMENTED with a text."""
        return grpc.method_handlers_generic_handler(SERVICE, {name: self._handler(name) for name in PD_METHODS})

    def _handler(self, name: str) -> Any:
        method = PD_METHODS[name]
        make = getattr(grpc, f"{method.arity}_rpc_method_handler")
        if name in self._unary or name in self._timed:
            return make(pd_requests.unary(self._checked(name)), pd_requests.reader(method.request), _serialize)
        if name in self._streams:
            return make(pd_requests.stream(self._streams[name]), pd_requests.reader(method.request), _serialize)
        return make(_refuse(name))

    def _checked(self, name: str) -> Any:
        unary, timed = self._unary.get(name), self._timed.get(name)
        response_class = PD_METHODS[name].response

        async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if name not in _ANY_CLUSTER:
                await self._check_cluster(request, context)
            try:
                if timed is not None:
                    result = await timed(request, wait_ms_of(context.time_remaining()))
                else:
                    assert unary is not None
                    result = await unary(request)
            except ValueError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{name}: {error}")
            response = response_class() if isinstance(result, PdError) else result
            self._put_header(response, result if isinstance(result, PdError) else None)
            return response

        return handle

    async def _check_cluster(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        mismatch = self._cluster_mismatch(request)
        if mismatch is not None:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, mismatch)

    def _cluster_mismatch(self, request: Any) -> str | None:
        asked = request.header.cluster_id
        if asked == self._cluster_id:
            return None
        return f"mismatch cluster id, need {self._cluster_id} but got {asked}"

    def _put_header(self, response: Any, error: PdError | None = None) -> None:
        """The error stays unset on success: old clients take any present error for a failure."""
        response.header.cluster_id = self._cluster_id
        if error is not None:
            response.header.error.type = int(error.kind)
            response.header.error.message = error.message

    # ------------------------------------------------ members

    async def _get_members(self, _: Any) -> Any:
        return pdpb_pb2.GetMembersResponse(members=[self.member], leader=self.member, etcd_leader=self.member)

    async def _get_cluster_info(self, _: Any) -> Any:
        return pdpb_pb2.GetClusterInfoResponse(serviceModes=[pdpb_pb2.PD_SVC_MODE])

    async def _is_snapshot_recovering(self, _: Any) -> Any:
        return pdpb_pb2.IsSnapshotRecoveringResponse()

    # ------------------------------------------------ cluster and stores

    async def _is_bootstrapped(self, _: Any) -> Any:
        return pdpb_pb2.IsBootstrappedResponse(bootstrapped=await self._loop.call(m.IsBootstrapped()))

    async def _bootstrap(self, request: pdpb_pb2.BootstrapRequest) -> Any:
        call = m.Bootstrap(store_from_pb(request.store), region_from_pb(request.region))
        return await self._loop.call(call) or pdpb_pb2.BootstrapResponse()

    async def _alloc_id(self, request: pdpb_pb2.AllocIDRequest) -> Any:
        count = max(request.count, 1)
        last = await self._loop.call(m.AllocIds(count))
        if isinstance(last, PdError):
            return last
        return pdpb_pb2.AllocIDResponse(id=last, count=count if count > 1 else 0)

    async def _put_store(self, request: pdpb_pb2.PutStoreRequest) -> Any:
        return await self._loop.call(m.PutStore(store_from_pb(request.store))) or pdpb_pb2.PutStoreResponse()

    async def _get_store(self, request: pdpb_pb2.GetStoreRequest) -> Any:
        found = await self._loop.call(m.GetStore(StoreId(request.store_id)))
        if isinstance(found, PdError):
            return found
        response = pdpb_pb2.GetStoreResponse(store=store_to_pb(found.meta))
        if found.stats is not None:
            response.stats.CopyFrom(pd_convert.stats_to_pb(found.stats))
        return response

    async def _get_all_stores(self, request: pdpb_pb2.GetAllStoresRequest) -> Any:
        stores = await self._loop.call(m.GetAllStores(request.exclude_tombstone_stores))
        if isinstance(stores, PdError):
            return stores
        return pdpb_pb2.GetAllStoresResponse(stores=[store_to_pb(store) for store in stores])

    async def _store_heartbeat(self, request: pdpb_pb2.StoreHeartbeatRequest) -> Any:
        orders = await self._loop.call(m.ReportStore(pd_convert.stats_from_pb(request.stats)))
        if isinstance(orders, PdError):
            return orders
        return pdpb_pb2.StoreHeartbeatResponse(
            cluster_version=orders.cluster_version,
            state=int(orders.node_state),  # type: ignore[arg-type]
        )

    async def _get_cluster_config(self, _: Any) -> Any:
        count = await self._loop.call(m.GetClusterConfig())
        cluster = metapb_pb2.Cluster(id=self._cluster_id, max_peer_count=count)
        return pdpb_pb2.GetClusterConfigResponse(cluster=cluster)

    async def _put_cluster_config(self, request: pdpb_pb2.PutClusterConfigRequest) -> Any:
        answer = await self._loop.call(m.PutClusterConfig(request.cluster.max_peer_count))
        return answer or pdpb_pb2.PutClusterConfigResponse()

    # ------------------------------------------------ regions

    async def _region_response(self, call: m.Call) -> Any:
        route = await self._loop.call(call)
        if isinstance(route, PdError):
            return route
        response = pdpb_pb2.GetRegionResponse()
        pd_convert.fill_region_response(response, route)
        return response

    async def _get_region(self, request: pdpb_pb2.GetRegionRequest) -> Any:
        return await self._region_response(m.GetRegion(request.region_key))

    async def _get_previous_region(self, request: pdpb_pb2.GetRegionRequest) -> Any:
        return await self._region_response(m.GetPrevRegion(request.region_key))

    async def _get_region_by_id(self, request: pdpb_pb2.GetRegionByIDRequest) -> Any:
        return await self._region_response(m.GetRegionById(RegionId(request.region_id)))

    async def _scan_regions(self, request: pdpb_pb2.ScanRegionsRequest) -> Any:
        routes = await self._loop.call(
            m.ScanRegions((m.KeyRange(request.start_key, request.end_key),), max(request.limit, 0))
        )
        if isinstance(routes, PdError):
            return routes
        regions = [pd_convert.route_to_pb(route) for route in routes]
        return pdpb_pb2.ScanRegionsResponse(
            region_metas=[region.region for region in regions],
            leaders=[region.leader for region in regions],
            regions=regions,
        )

    async def _batch_scan_regions(self, request: pdpb_pb2.BatchScanRegionsRequest) -> Any:
        ranges = tuple(m.KeyRange(part.start_key, part.end_key) for part in request.ranges)
        call = m.ScanRegions(ranges, max(request.limit, 0), request.contain_all_key_range)
        routes = await self._loop.call(call)
        if isinstance(routes, PdError):
            return routes
        return pdpb_pb2.BatchScanRegionsResponse(regions=[pd_convert.route_to_pb(route) for route in routes])

    async def _ask_batch_split(self, request: pdpb_pb2.AskBatchSplitRequest) -> Any:
        ids = await self._loop.call(m.AskBatchSplit(region_from_pb(request.region), request.split_count))
        if isinstance(ids, PdError):
            return ids
        return pdpb_pb2.AskBatchSplitResponse(
            ids=[pdpb_pb2.SplitID(new_region_id=split.region_id, new_peer_ids=split.peer_ids) for split in ids]
        )

    async def _report_batch_split(self, request: pdpb_pb2.ReportBatchSplitRequest) -> Any:
        call = m.ReportBatchSplit(tuple(region_from_pb(region) for region in request.regions))
        return await self._loop.call(call) or pdpb_pb2.ReportBatchSplitResponse()

    # ------------------------------------------------ timestamps and GC

    async def _get_min_ts(self, _: Any) -> Any:
        stamp = await self._loop.call(m.TakeTimestamps(1))
        return pdpb_pb2.GetMinTSResponse(timestamp=_timestamp(stamp))

    async def _get_gc_safe_point(self, _: Any) -> Any:
        return pdpb_pb2.GetGCSafePointResponse(safe_point=await self._loop.call(m.GetGcSafePoint()))

    async def _update_gc_safe_point(self, request: pdpb_pb2.UpdateGCSafePointRequest) -> Any:
        value = await self._loop.call(m.UpdateGcSafePoint(request.safe_point))
        return pdpb_pb2.UpdateGCSafePointResponse(new_safe_point=value)

    async def _update_service_gc_safe_point(self, request: pdpb_pb2.UpdateServiceGCSafePointRequest) -> Any:
        call = m.UpdateServiceSafePoint(request.service_id, request.TTL, request.safe_point)
        lowest = await self._loop.call(call)
        if isinstance(lowest, PdError):
            return lowest
        return pdpb_pb2.UpdateServiceGCSafePointResponse(
            service_id=lowest.service_id, TTL=lowest.ttl_s, min_safe_point=lowest.safe_point
        )

    async def _get_gc_state(self, request: pdpb_pb2.GetGCStateRequest) -> Any:
        known = await self._loop.call(m.GetGcState())
        state = pdpb_pb2.GCState(
            keyspace_scope=request.keyspace_scope, txn_safe_point=known.safe_point, gc_safe_point=known.safe_point
        )
        if not request.exclude_gc_barriers:
            state.gc_barriers.extend(
                pd_convert.barrier_to_pb(claim.service_id, claim.safe_point, claim.ttl_s) for claim in known.services
            )
        return pdpb_pb2.GetGCStateResponse(gc_state=state)

    # ------------------------------------------------ streams: one answer per request, in order

    async def _tso(
        self, requests: AsyncIterator[pdpb_pb2.TsoRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pdpb_pb2.TsoResponse]:
        async for request in requests:
            await self._check_cluster(request, context)
            stamp = await self._loop.call(m.TakeTimestamps(request.count))
            if isinstance(stamp, PdError):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, stamp.message)
            response = pdpb_pb2.TsoResponse(count=request.count, timestamp=_timestamp(stamp))
            self._put_header(response)
            yield response

    async def _query_region(
        self, requests: AsyncIterator[pdpb_pb2.QueryRegionRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pdpb_pb2.QueryRegionResponse]:
        async for request in requests:
            await self._check_cluster(request, context)
            items = len(request.keys) + len(request.prev_keys) + len(request.ids)
            if items > QUERY_ITEMS_MAX:
                text = f"{items} regions asked for at once, the limit is {QUERY_ITEMS_MAX}"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
            ids = tuple(RegionId(region_id) for region_id in request.ids)
            found = await self._loop.call(m.QueryRegions(tuple(request.keys), tuple(request.prev_keys), ids))
            response = pdpb_pb2.QueryRegionResponse()
            error = found if isinstance(found, PdError) else None
            if error is None:
                response.key_id_map.extend(found.key_ids)
                response.prev_key_id_map.extend(found.prev_key_ids)
                for route in found.routes:
                    response.regions_by_id[route.region.id].CopyFrom(pd_convert.route_to_response(route))
            self._put_header(response, error)
            yield response

    async def _region_heartbeat(
        self, requests: AsyncIterator[pdpb_pb2.RegionHeartbeatRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pdpb_pb2.RegionHeartbeatResponse]:
        """Heartbeats come in, refusals and orders go out. A refusal does not end the stream (wire facts 4.4)."""
        stream = OrderStream()
        reader = asyncio.get_running_loop().create_task(self._read_heartbeats(requests, stream))
        try:
            async for response in stream.responses():
                response.header.cluster_id = self._cluster_id
                yield response
            refusal = await reader
            if refusal is not None:
                await context.abort(*refusal)
        finally:
            self.orders.forget(stream)
            reader.cancel()

    async def _read_heartbeats(
        self, requests: AsyncIterator[pdpb_pb2.RegionHeartbeatRequest], stream: OrderStream
    ) -> tuple[grpc.StatusCode, str] | None:
        """Until the store has no more to say; the status that ends the stream, if one does."""
        try:
            async for request in requests:
                mismatch = self._cluster_mismatch(request)
                if mismatch is not None:
                    return grpc.StatusCode.FAILED_PRECONDITION, mismatch
                try:
                    heartbeat = pd_convert.heartbeat_from_pb(request)
                except ValueError as error:
                    return grpc.StatusCode.INVALID_ARGUMENT, str(error)
                self.orders.bind(heartbeat.leader.store_id, stream)
                refused = await self._loop.call(m.ReportRegion(heartbeat))
                if refused is not None:
                    response = pdpb_pb2.RegionHeartbeatResponse(region_id=request.region.id, target_peer=request.leader)
                    self._put_header(response, refused)
                    stream.put_refusal(response)
        finally:
            stream.end()
        return None


def _timestamp(stamp: m.Timestamps) -> pdpb_pb2.Timestamp:
    return pdpb_pb2.Timestamp(physical=stamp.physical_ms, logical=stamp.logical)


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _refuse(name: str) -> Any:
    async def refuse(_request: Any, context: grpc.aio.ServicerContext) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"FlareDB's PD does not offer {name} yet")

    return refuse
