"""Raw calls made one at a time. gRPC's own cost dominates here, so each handler does as little as it can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from flaredb.model.commands import Command, Request
from flaredb.model.errors import InvalidRequest, RegionError, ServerIsBusy
from flaredb.server.client_kind import scan_loses_rows
from flaredb.server.front import Front, abort
from flaredb.store.messages import RequestsReceived
from flaredb.wire.raw_calls import RawCall
from flaredb.wire.requests import Known, Route, WrongCluster

UnaryHandler = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]

_BUSY_BACKOFF_MS = 100
_ROWS_ENCODED_IN_LOOP_MAX = 20_000
"""About 10 ms of encoding; more is left to a thread, so that health answers and other clients do not wait."""


class UnaryCalls:
    """Handlers of raw calls, and the sink of their answers; a slot is (future, request bytes).

    Invariant: ``_waiting`` and ``_waiting_bytes`` count the requests given to the store and not yet answered, whether
    or not their callers still wait.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._waiting = 0
        self._waiting_bytes = 0

    def handler(self, call: RawCall) -> UnaryHandler:
        """The handler of one call, from encoded request to encoded response."""
        return self._scan_handler(call) if call.name == "RawScan" else self._plain_handler(call)

    # ------------------------------------------------------------ sink

    def answer(self, slot: tuple[asyncio.Future[Any], int], result: Any) -> None:
        """Hands the result to the call that waits; a caller that gave up is not told."""
        future, size_bytes = slot
        self._waiting -= 1
        self._waiting_bytes -= size_bytes
        if not future.done():
            future.set_result(result)

    def flush(self) -> None:
        """Nothing is held back: each answer is a message of its own."""

    # ------------------------------------------------------------ handlers

    def _plain_handler(self, call: RawCall) -> UnaryHandler:
        counts = self._front.counts

        async def handle(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            arrived_s = counts.now_s()
            try:
                route, command = self._read(call, data)
            except InvalidRequest as error:
                counts.failed(call.name)
                return call.refuse(str(error))
            except (WrongCluster, DecodeError) as error:
                counts.failed(call.name)
                await abort(context, grpc.StatusCode.INVALID_ARGUMENT, _status_text(call, error))
            result = command.result if type(command) is Known else await self.ask(command, route, len(data))
            answer = await _encode(call, result)
            counts.answered(call.name, arrived_s)
            return answer

        return handle

    def _scan_handler(self, call: RawCall) -> UnaryHandler:
        """RawScan, whose errors must be loud for clients that would otherwise lose rows.

        For them any replica may serve the scan, which leaves few errors to be told, and what is left is a status.
        """

        counts = self._front.counts

        async def handle(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            arrived_s = counts.now_s()
            loud = self._is_loud(context)
            try:
                route, command = self._read(call, data)
            except InvalidRequest as error:
                counts.failed(call.name)
                if loud:
                    await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
                return call.refuse(str(error))
            except (WrongCluster, DecodeError) as error:
                counts.failed(call.name)
                await abort(context, grpc.StatusCode.INVALID_ARGUMENT, _status_text(call, error))
            if type(command) is Known:
                counts.answered(call.name, arrived_s)
                return call.answer(command.result)
            if loud:
                route = route._replace(replica_read=True)
            result = await self.ask(command, route, len(data))
            if loud and isinstance(result, RegionError):
                counts.failed(call.name)
                await abort(context, grpc.StatusCode.UNAVAILABLE, str(result))
            answer = await _encode(call, result)
            counts.answered(call.name, arrived_s)
            return answer

        return handle

    def _read(self, call: RawCall, data: bytes) -> tuple[Route, Any]:
        request: Any = call.request.FromString(data)
        return self._front.routes.read(request.context), call.read(request, self._front.rules)

    async def ask(self, command: Command, route: Route, size_bytes: int) -> Any:
        """Hand a command to the store and wait for its result; ServerIsBusy if too many calls wait already."""
        settings, counts = self._front.settings, self._front.counts
        if self._waiting and (
            self._waiting >= settings.unary_calls_max or self._waiting_bytes + size_bytes > settings.unary_bytes_max
        ):
            counts.queue_full("unary")
            busy = ServerIsBusy(f"{self._waiting} calls wait for this store already", _BUSY_BACKOFF_MS)
            counts.region_error(busy)
            return busy
        future = asyncio.get_running_loop().create_future()
        self._waiting += 1
        self._waiting_bytes += size_bytes
        self._front.submit(RequestsReceived([Request((self, (future, size_bytes)), command, *route)]))
        result = await future
        if isinstance(result, RegionError):
            counts.region_error(result)
        return result

    def _is_loud(self, context: grpc.aio.ServicerContext) -> bool:
        setting = self._front.settings.raw_scan_region_error
        return setting == "status" or (setting == "auto" and scan_loses_rows(_user_agent(context)))


async def _encode(call: RawCall, result: Any) -> bytes:
    if call.returns_rows and type(result) is list and len(result) > _ROWS_ENCODED_IN_LOOP_MAX:
        return await asyncio.get_running_loop().run_in_executor(None, call.answer, result)
    return call.answer(result)


def _status_text(call: RawCall, error: Exception) -> str:
    if isinstance(error, DecodeError):
        return f"the request is no valid {call.request_name}: {error}"
    return str(error)


def _user_agent(context: grpc.aio.ServicerContext) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "user-agent":
            return value if isinstance(value, str) else bytes(value).decode("ascii", "replace")
    return ""
