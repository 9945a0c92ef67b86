"""grpc.health.v1 on the port of the service. Clients drop a server that does not answer within a second, so an answer
is a constant and waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

SERVICE = "grpc.health.v1.Health"

_SERVING: bytes = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()
_NOT_SERVING: bytes = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING).SerializeToString()
_UNKNOWN = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()


class HealthService:
    """Health of one process: the same for all services on its port, which are named once."""

    def __init__(self, *services: str) -> None:
        self._services = frozenset(services)
        self._status: bytes = _SERVING
        self._changed = asyncio.Event()

    def stop_serving(self) -> None:
        """From now on the answer is NOT_SERVING; said once, before the server closes."""
        self._status = _NOT_SERVING
        self._changed.set()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Check and Watch."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self._check),
                "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            },
        )

    def _knows(self, request: bytes) -> bool:
        if not request:
            return True
        try:
            service = health_pb2.HealthCheckRequest.FromString(request).service
        except DecodeError:
            return False
        return service == "" or service in self._services

    async def _check(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if not self._knows(request):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"this server has {', '.join(sorted(self._services))}")
        return self._status

    async def _watch(self, request: bytes, _context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        if not self._knows(request):
            yield _UNKNOWN
            await asyncio.Event().wait()
        if not self._changed.is_set():
            yield self._status
            await self._changed.wait()
        yield self._status
        await asyncio.Event().wait()
