"""The handlers behind grpc.aio: each call gets a future, which its reply sets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from flaredb.server.call import Route, Status, UnaryHandler
from flaredb.server.front import abort

CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
AioHandler = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]


class AioReply:
    """call.Reply of one call."""

    __slots__ = ("_context", "future")

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self._context = context
        self.future: asyncio.Future[bytes | tuple[Status, str]] = asyncio.get_running_loop().create_future()

    @property
    def user_agent(self) -> str:
        for key, value in self._context.invocation_metadata() or ():
            if key == "user-agent":
                return value if isinstance(value, str) else bytes(value).decode("ascii", "replace")
        return ""

    @property
    def is_over(self) -> bool:
        return self.future.done()

    def answer(self, data: bytes) -> None:
        if not self.future.done():
            self.future.set_result(data)

    def fail(self, status: Status, text: str) -> None:
        if not self.future.done():
            self.future.set_result((status, text))


def aio_unary(serve: UnaryHandler) -> AioHandler:
    """``serve`` as grpc.aio calls its handlers."""

    async def handle(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        reply = AioReply(context)
        serve(data, reply)
        result = await reply.future
        if not isinstance(result, bytes):
            await abort(context, CODES[result[0]], result[1])
        return result

    return handle


def aio_refusal(route: Route) -> Any:
    """A handler, of any shape, of a method that nothing serves."""

    async def refuse(_request: Any, context: grpc.aio.ServicerContext) -> bytes:
        await abort(context, grpc.StatusCode.UNIMPLEMENTED, route.refusal)

    return refuse
