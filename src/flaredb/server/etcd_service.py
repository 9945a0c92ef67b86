"""The two questions of etcd's API that Go's transactional clients ask on the PD port (wire facts 1.6)."""

from __future__ import annotations

from typing import Any

import grpc

from flaredb.pd import messages as m
from flaredb.server.pd_loop import PdLoop
from flaredb.server.pd_requests import reader, unary
from flaredb.wire.pb import etcdserverpb_pb2, mvccpb_pb2

SAFE_POINT_KEY = b"/tidb/store/gcworker/saved_safe_point"


class EtcdService:
    """MemberList names PD itself; Range knows the GC safe point and answers empty for every other key."""

    def __init__(self, loop: PdLoop, name: str, client_url: str, member_id: int) -> None:
        self._loop = loop
        self._header = etcdserverpb_pb2.ResponseHeader(
            cluster_id=loop.core.cluster_id, member_id=member_id, revision=1, raft_term=1
        )
        self._member = etcdserverpb_pb2.Member(ID=member_id, name=name, clientURLs=[client_url], peerURLs=[client_url])

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Both services."""
        return [
            grpc.method_handlers_generic_handler(
                "etcdserverpb.Cluster",
                {
                    "MemberList": grpc.unary_unary_rpc_method_handler(
                        unary(self._member_list),
                        reader(etcdserverpb_pb2.MemberListRequest),
                        etcdserverpb_pb2.MemberListResponse.SerializeToString,
                    )
                },
            ),
            grpc.method_handlers_generic_handler(
                "etcdserverpb.KV",
                {
                    "Range": grpc.unary_unary_rpc_method_handler(
                        unary(self._range),
                        reader(etcdserverpb_pb2.RangeRequest),
                        etcdserverpb_pb2.RangeResponse.SerializeToString,
                    )
                },
            ),
        ]

    async def _member_list(self, _request: Any, _context: grpc.aio.ServicerContext) -> Any:
        return etcdserverpb_pb2.MemberListResponse(header=self._header, members=[self._member])

    async def _range(self, request: etcdserverpb_pb2.RangeRequest, _context: grpc.aio.ServicerContext) -> Any:
        response = etcdserverpb_pb2.RangeResponse(header=self._header)
        if request.key == SAFE_POINT_KEY:
            safe_point = await self._loop.call(m.GetGcSafePoint())
            response.kvs.append(
                mvccpb_pb2.KeyValue(
                    key=SAFE_POINT_KEY, value=str(safe_point).encode(), create_revision=1, mod_revision=1, version=1
                )
            )
            response.count = 1
        return response
