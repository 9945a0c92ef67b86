"""A PD of a few lines over real gRPC, whose answers and failures a test decides."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from flaredb.cli.ports import PortPicker
from flaredb.model.cluster import RegionRoute
from flaredb.model.region import Region
from flaredb.wire.convert import region_from_pb, region_to_pb
from flaredb.wire.pb import metapb_pb2 as metapb
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.pd_convert import fill_region_response, route_to_pb
from flaredb.wire.services import PD_METHODS, Method


async def eventually(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait until ``condition`` is true. Errors: TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


class FakePd:
    """State is public; ``refuse[name]`` makes a method answer a header error, ``abort[name]`` a gRPC status."""

    def __init__(self, cluster_id: int = 77) -> None:
        self.cluster_id = cluster_id
        self.address = ""
        self.advertised: list[str] | None = None
        self.bootstrapped = False
        self.next_id = 100
        self.stores: dict[int, metapb.Store] = {}
        self.regions: list[Region] = []
        self.store_heartbeats: list[pdpb.StoreStats] = []
        self.region_heartbeats: list[pdpb.RegionHeartbeatRequest] = []
        self.orders: list[pdpb.RegionHeartbeatResponse] = []
        """Sent, each once, when the next region heartbeat comes."""

        self.refuse: dict[str, tuple[int, str]] = {}
        self.abort: dict[str, tuple[grpc.StatusCode, str]] = {}
        self.calls: Counter[str] = Counter()
        self.order: list[str] = []
        self.only_old_lists = False
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int = 0) -> FakePd:
        """Serve on ``port``; 0: on one that stays this PD's while it is stopped, as nobody is given it by chance."""
        port = port or PortPicker().pick()
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = {name: self._handler(PD_METHODS[name]) for name in dir(self) if name in PD_METHODS}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pdpb.PD", handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        await self._server.start()
        return self

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def _handler(self, method: Method) -> Any:
        make = getattr(grpc, f"{method.arity}_rpc_method_handler")
        behaviour = self.RegionHeartbeat if method.client_streaming else self._unary(method)
        return make(
            behaviour,
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )

    def _unary(self, method: Method) -> Any:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            self.calls[method.name] += 1
            self.order.append(method.name)
            if method.name in self.abort:
                await context.abort(*self.abort[method.name])
            if method.name != "GetMembers" and request.header.cluster_id != self.cluster_id:
                text = f"mismatch cluster id, need {self.cluster_id} but got {request.header.cluster_id}"
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)
            response = method.response(header=pdpb.ResponseHeader(cluster_id=self.cluster_id))
            error = self.refuse.get(method.name) or getattr(self, method.name)(request, response)
            if error is not None:
                response.header.error.type, response.header.error.message = error
            return response

        return answer

    def GetMembers(self, request: Any, response: Any) -> Any:
        urls = [f"http://{self.address}"] if self.advertised is None else self.advertised
        if urls:
            member = pdpb.Member(name="fake", member_id=1, client_urls=urls)
            response.leader.CopyFrom(member)
            response.members.append(member)

    def AllocID(self, request: Any, response: Any) -> Any:
        self.next_id += 1
        response.id = self.next_id

    def IsBootstrapped(self, request: Any, response: Any) -> Any:
        response.bootstrapped = self.bootstrapped

    def Bootstrap(self, request: Any, response: Any) -> Any:
        if self.bootstrapped:
            return pdpb.ALREADY_BOOTSTRAPPED, "cluster already bootstrapped"
        self.bootstrapped = True
        self.stores[request.store.id] = request.store
        self.regions = [region_from_pb(request.region)]
        return None

    def PutStore(self, request: Any, response: Any) -> Any:
        if not self.bootstrapped:
            return pdpb.NOT_BOOTSTRAPPED, "cluster is not bootstrapped"
        self.stores[request.store.id] = request.store
        return None

    def GetStore(self, request: Any, response: Any) -> Any:
        if request.store_id not in self.stores:
            return pdpb.UNKNOWN, f"invalid store ID {request.store_id}, not found"
        response.store.CopyFrom(self.stores[request.store_id])
        return None

    def GetAllStores(self, request: Any, response: Any) -> Any:
        response.stores.extend(self.stores.values())

    def ScanRegions(self, request: Any, response: Any) -> Any:
        found = [region for region in self.regions if not region.end_key or region.end_key > request.start_key]
        for region in found[: request.limit]:
            if self.only_old_lists:
                response.region_metas.append(region_to_pb(region))
                response.leaders.append(metapb.Peer())
            else:
                response.regions.append(route_to_pb(RegionRoute(region, region.peers[0])))

    def GetRegion(self, request: Any, response: Any) -> Any:
        for region in self.regions:
            if region.contains(request.region_key):
                fill_region_response(response, RegionRoute(region, region.peers[0]))

    def GetPrevRegion(self, request: Any, response: Any) -> Any:
        for region in self.regions:
            if region.end_key and region.end_key <= request.region_key:
                fill_region_response(response, RegionRoute(region, region.peers[0]))

    def GetRegionByID(self, request: Any, response: Any) -> Any:
        for region in self.regions:
            if region.id == request.region_id:
                fill_region_response(response, RegionRoute(region, region.peers[0]))

    def SplitRegions(self, request: Any, response: Any) -> Any:
        response.finished_percentage = 100
        response.regions_id.extend(range(500, 500 + len(request.split_keys)))

    def SplitAndScatterRegions(self, request: Any, response: Any) -> Any:
        response.split_finished_percentage, response.scatter_finished_percentage = 100, 40
        response.regions_id.append(len(request.group))

    def ScatterRegion(self, request: Any, response: Any) -> Any:
        response.finished_percentage = 50
        response.failed_regions_id.append(request.regions_id[-1])

    def GetOperator(self, request: Any, response: Any) -> Any:
        if request.region_id != 7:
            return pdpb.REGION_NOT_FOUND, "no operator"
        response.region_id, response.desc, response.status, response.kind = 7, b"balance-region", 4, b"region"
        return None

    def StoreHeartbeat(self, request: Any, response: Any) -> Any:
        if request.stats.store_id not in self.stores:
            return pdpb.UNKNOWN, f"invalid store ID {request.stats.store_id}, not found"
        self.store_heartbeats.append(request.stats)
        return None

    def AskBatchSplit(self, request: Any, response: Any) -> Any:
        for number in range(request.split_count):
            peer_ids = [1000 * (number + 1) + peer.id for peer in request.region.peers]
            response.ids.append(pdpb.SplitID(new_region_id=500 + number, new_peer_ids=peer_ids))

    def ReportBatchSplit(self, request: Any, response: Any) -> Any:
        self.regions = [region_from_pb(region) for region in request.regions]

    async def RegionHeartbeat(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.calls["RegionHeartbeat"] += 1
        async for request in requests:
            self.region_heartbeats.append(request)
            if "RegionHeartbeat" in self.refuse:
                error_type, message = self.refuse["RegionHeartbeat"]
                error = pdpb.Error(type=error_type, message=message)
                yield pdpb.RegionHeartbeatResponse(header=pdpb.ResponseHeader(cluster_id=self.cluster_id, error=error))
            while self.orders:
                yield self.orders.pop(0)
