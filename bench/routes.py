"""What a load generator needs to know of a cluster: its regions, their leaders and addresses, asked of PD."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from flaredb.wire.pb import kvrpcpb_pb2, metapb_pb2, pdpb_pb2
from flaredb.wire.services import PD_METHODS


@dataclass(frozen=True, slots=True)
class Route:
    """One region as a client addresses it."""

    start_key: bytes
    end_key: bytes
    address: str
    context: kvrpcpb_pb2.Context


def find_routes(pd_address: str) -> list[Route]:
    """All regions in key order. Errors: grpc.RpcError; SystemExit if a region has no leader."""
    with grpc.insecure_channel(pd_address) as channel:

        def call(name: str, request: object) -> object:
            method = PD_METHODS[name]
            send = channel.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
            return send(request, timeout=5)

        members = call("GetMembers", pdpb_pb2.GetMembersRequest())
        header = pdpb_pb2.RequestHeader(cluster_id=members.header.cluster_id)
        stores = call("GetAllStores", pdpb_pb2.GetAllStoresRequest(header=header)).stores
        addresses = {store.id: store.address for store in stores}
        found = call("ScanRegions", pdpb_pb2.ScanRegionsRequest(header=header))
        return [_route(region, addresses) for region in found.regions]


def _route(found: pdpb_pb2.Region, addresses: dict[int, str]) -> Route:
    region = found.region
    if not found.leader.id:
        raise SystemExit(f"region {region.id} has no leader yet")
    peer = metapb_pb2.Peer(id=found.leader.id, store_id=found.leader.store_id)
    context = kvrpcpb_pb2.Context(region_id=region.id, region_epoch=region.region_epoch, peer=peer)
    return Route(region.start_key, region.end_key, addresses[found.leader.store_id], context)
