"""Requests to PD that are no messages: gRPC would end such a call as an unknown error, with a trace in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message


class Unreadable(Exception):
    """Stands in the place of a request whose bytes are no message of its type; the text says which."""


def reader(request: type[Message]) -> Callable[[bytes], Any]:
    """A deserializer for gRPC: the request, or an Unreadable."""

    def read(data: bytes) -> Any:
        try:
            return request.FromString(data)
        except DecodeError as error:
            return Unreadable(f"the request is no {request.DESCRIPTOR.full_name}: {error}")

    return read


def unary(behaviour: Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]) -> Any:
    """The behaviour for readable requests; others end the call with INVALID_ARGUMENT."""

    async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
        if isinstance(request, Unreadable):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(request))
        return await behaviour(request, context)

    return handle


def stream(behaviour: Callable[[AsyncIterator[Any], grpc.aio.ServicerContext], AsyncIterator[Any]]) -> Any:
    """The same for a stream, which its first unreadable request ends."""

    async def handle(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(_readable(requests), context):
                yield response
        except Unreadable as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    return handle


async def _readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, Unreadable):
            raise request
        yield request
