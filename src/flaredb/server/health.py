"""grpc.health.v1 on the port of the service. Clients drop a server that does not answer within a second, so an answer
is a constant and waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakSet

import grpc

from flaredb.server.aio_calls import aio_unary
from flaredb.server.call import Reply, Route, Status
from flaredb.server.http2.stream import Stream

SERVICE = "grpc.health.v1.Health"

# HealthCheckResponse with status (field 1) SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3: three constants, so that
# the service needs no generated code of its own.
_SERVING = b"\x08\x01"
_NOT_SERVING = b"\x08\x02"
_UNKNOWN = b"\x08\x03"


def service_asked_for(request: bytes) -> str:
    """``service`` (field 1, text) of a HealthCheckRequest; "" where it is unset or the message is not understood."""
    if len(request) < 2 or request[0] != 0x0A or request[1] > 127:
        return ""
    return request[2 : 2 + request[1]].decode(errors="replace")


class HealthService:
    """Health of one process: the same for all services on its port, which are named once."""

    def __init__(self, *services: str) -> None:
        self._services = frozenset(services)
        self._status = _SERVING
        self._changed = asyncio.Event()
        self._watchers: WeakSet[Stream] = WeakSet()
        """Calls of Watch; a connection drops its calls when they are over, and so do we."""

    def stop_serving(self) -> None:
        """From now on the answer is NOT_SERVING; said once, before the server closes."""
        self._status = _NOT_SERVING
        self._changed.set()
        for watcher in list(self._watchers):
            watcher.send(self._status)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Check and Watch."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(aio_unary(self.check)),
                "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            },
        )

    def routes(self) -> dict[str, Route]:
        """Check and Watch by path, for http2.Http2Server."""
        return {
            f"/{SERVICE}/Check": Route("unary", self.check),
            f"/{SERVICE}/Watch": Route("server-stream", self.watch),
        }

    def watch(self, request: bytes, stream: Stream) -> None:
        """The status now and, if it is known here, when it changes; never ends."""
        if self._knows(request):
            stream.send(self._status)
            self._watchers.add(stream)
        else:
            stream.send(_UNKNOWN)

    def _knows(self, request: bytes) -> bool:
        return service_asked_for(request) in {"", *self._services}

    def check(self, request: bytes, reply: Reply) -> None:
        """The status now; NOT_FOUND for a service that is not here."""
        if self._knows(request):
            reply.answer(self._status)
        else:
            reply.fail(Status.NOT_FOUND, f"this server has {', '.join(sorted(self._services))}")

    async def _watch(self, request: bytes, _context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        if not self._knows(request):
            yield _UNKNOWN
            await asyncio.Event().wait()
        if not self._changed.is_set():
            yield self._status
            await self._changed.wait()
        yield self._status
        await asyncio.Event().wait()
