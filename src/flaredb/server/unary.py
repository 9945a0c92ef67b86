"""Raw calls made one at a time: at most a few microseconds of ours each, so each handler does as little as it can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from flaredb.model.commands import Command, Request
from flaredb.model.errors import InvalidRequest, RegionError, ServerIsBusy
from flaredb.server.call import Reply, Status, UnaryHandler
from flaredb.server.client_kind import scan_loses_rows
from flaredb.server.front import Front
from flaredb.store.messages import RequestsReceived
from flaredb.wire.raw_calls import RawCall
from flaredb.wire.requests import Known, Route, WrongCluster

Finish = Callable[[Reply, Any, float], None]
"""Makes the answer of a call from the store's result; the number is when the call arrived, in seconds."""

Slot = tuple[Finish, Reply, float, int]
"""Of a call given to the store: the number behind the arrival is its size in bytes."""

_BUSY_BACKOFF_MS = 100
_ROWS_ENCODED_IN_LOOP_MAX = 20_000
"""About 10 ms of encoding; more is left to a thread, so that health answers and other clients do not wait."""


class UnaryCalls:
    """Handlers of raw calls, and the sink of their answers.

    Calls reach the store one by one, or, if ``gathers`` is set, when ``submit_gathered`` is called, as one input.

    Invariant: ``_waiting`` and ``_waiting_bytes`` count the requests given to the store and not yet answered, whether
    or not their callers still wait.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._waiting = 0
        self._waiting_bytes = 0
        self._gathered: list[Request] = []
        self.gathers = False

    def handler(self, call: RawCall) -> UnaryHandler:
        """The handler of one call, from encoded request to encoded response."""
        serve = self._serve_scan if call.name == "RawScan" else self._serve_plain
        return partial(serve, call, partial(self._finish, call))

    def submit_gathered(self) -> None:
        """Give the store what was called since the last time."""
        if self._gathered:
            requests, self._gathered = self._gathered, []
            self._front.submit(RequestsReceived(requests))

    # ------------------------------------------------------------ sink

    def answer(self, slot: Slot, result: Any) -> None:
        """Hands the result to the call that waits; a caller that gave up is not told."""
        finish, reply, arrived_s, size_bytes = slot
        self._waiting -= 1
        self._waiting_bytes -= size_bytes
        if not reply.is_over:
            self._hand(finish, reply, arrived_s, result)

    def flush(self) -> None:
        """Nothing is held back: each answer is a message of its own."""

    # ------------------------------------------------------------ handlers

    def _serve_plain(self, call: RawCall, finish: Finish, data: bytes, reply: Reply) -> None:
        counts = self._front.counts
        arrived_s = counts.now_s()
        try:
            route, command = self._read(call, data)
        except InvalidRequest as error:
            counts.failed(call.name)
            reply.answer(call.refuse(str(error)))
            return
        except (WrongCluster, DecodeError) as error:
            counts.failed(call.name)
            reply.fail(Status.INVALID_ARGUMENT, _status_text(call, error))
            return
        if type(command) is Known:
            finish(reply, command.result, arrived_s)
        else:
            self.ask(command, route, len(data), finish, reply, arrived_s)

    def _serve_scan(self, call: RawCall, finish: Finish, data: bytes, reply: Reply) -> None:
        """RawScan, whose errors must be loud for clients that would otherwise lose rows.

        For them any replica may serve the scan, which leaves few errors to be told, and what is left is a status.
        """
        if not self._is_loud(reply):
            self._serve_plain(call, finish, data, reply)
            return
        counts = self._front.counts
        arrived_s = counts.now_s()
        try:
            route, command = self._read(call, data)
        except (InvalidRequest, WrongCluster, DecodeError) as error:
            counts.failed(call.name)
            reply.fail(Status.INVALID_ARGUMENT, _status_text(call, error))
            return
        if type(command) is Known:
            finish(reply, command.result, arrived_s)
        else:
            route = route._replace(replica_read=True)
            self.ask(command, route, len(data), partial(self._finish_loud, call), reply, arrived_s)

    def _finish(self, call: RawCall, reply: Reply, result: Any, arrived_s: float) -> None:
        if call.returns_rows and type(result) is list and len(result) > _ROWS_ENCODED_IN_LOOP_MAX:
            encoding = asyncio.get_running_loop().run_in_executor(None, call.answer, result)
            encoding.add_done_callback(partial(_answer_encoded, reply))
        else:
            reply.answer(call.answer(result))
        self._front.counts.answered(call.name, arrived_s)

    def _finish_loud(self, call: RawCall, reply: Reply, result: Any, arrived_s: float) -> None:
        if isinstance(result, RegionError):
            self._front.counts.failed(call.name)
            reply.fail(Status.UNAVAILABLE, str(result))
        else:
            self._finish(call, reply, result, arrived_s)

    def _read(self, call: RawCall, data: bytes) -> tuple[Route, Any]:
        request: Any = call.request.FromString(data)
        return self._front.routes.read(request.context), call.read(request, self._front.rules)

    def ask(
        self, command: Command, route: Route, size_bytes: int, finish: Finish, reply: Reply, arrived_s: float
    ) -> None:
        """Hand a command to the store; ``finish`` gets its result, or ServerIsBusy if too many calls wait already."""
        settings = self._front.settings
        if self._waiting and (
            self._waiting >= settings.unary_calls_max or self._waiting_bytes + size_bytes > settings.unary_bytes_max
        ):
            self._front.counts.queue_full("unary")
            busy = ServerIsBusy(f"{self._waiting} calls wait for this store already", _BUSY_BACKOFF_MS)
            self._hand(finish, reply, arrived_s, busy)
            return
        self._waiting += 1
        self._waiting_bytes += size_bytes
        request = Request((self, (finish, reply, arrived_s, size_bytes)), command, *route)
        if self.gathers:
            self._gathered.append(request)
        else:
            self._front.submit(RequestsReceived([request]))

    def _hand(self, finish: Finish, reply: Reply, arrived_s: float, result: Any) -> None:
        if isinstance(result, RegionError):
            self._front.counts.region_error(result)
        finish(reply, result, arrived_s)

    def _is_loud(self, reply: Reply) -> bool:
        setting = self._front.settings.raw_scan_region_error
        return setting == "status" or (setting == "auto" and scan_loses_rows(reply.user_agent))


def _answer_encoded(reply: Reply, done: asyncio.Future[bytes]) -> None:
    if (error := done.exception()) is not None:
        reply.fail(Status.INTERNAL, f"the answer cannot be encoded: {error}")
    else:
        reply.answer(done.result())


def _status_text(call: RawCall, error: Exception) -> str:
    if isinstance(error, DecodeError):
        return f"the request is no valid {call.request_name}: {error}"
    return str(error)
