"""The region heartbeat stream of a store: one stream to PD's leader, opened again whenever it ends. PD's orders come
back on it.

Heartbeats wait in a bounded queue that keeps only the newest of each region; what a broken stream lost is made good by
``on_connected``, upon which the store reports all regions it leads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import grpc

from flaredb.model.cluster import RegionHeartbeat
from flaredb.model.ids import ClusterId, RegionId
from flaredb.model.orders import RegionOrder
from flaredb.rpc.log_event import log_event
from flaredb.rpc.outage import Outage
from flaredb.rpc.pd_errors import PdError, PdUnavailable, error_of_header, error_of_status
from flaredb.wire.pd_convert import heartbeat_to_pb
from flaredb.wire.pd_orders import UnknownOrder, order_from_pb
from flaredb.wire.services import PD_METHODS

QUEUED_REGIONS_MAX = 100_000
REOPEN_DELAY_MS_MIN = 50
REOPEN_DELAY_MS_MAX = 2_000
UNKNOWN_ORDERS_LOGGED_MAX = 16
LASTING_STREAM_MS = 1_000
"""A stream that lived this long was a good one: the next delay starts small again."""

log = logging.getLogger(__name__)


class LeaderSource(Protocol):
    """What the stream needs of the client it belongs to."""

    @property
    def cluster_id(self) -> ClusterId: ...

    async def leader(self) -> str: ...

    def forget_leader(self, address: str) -> None: ...

    def channel(self, address: str) -> grpc.aio.Channel: ...


class HeartbeatStream:
    """Sends region heartbeats in the order they came. Counters only grow."""

    def __init__(self, client: LeaderSource, queued_regions_max: int = QUEUED_REGIONS_MAX) -> None:
        self.sent = 0
        self.dropped = 0
        """Never sent because the queue was full."""

        self.rejected = 0
        """Answered by PD with an error: stale, or overlapping a newer region."""

        self.orders = 0
        """Received; those that this version does not carry out included."""

        self.connects = 0
        self._client = client
        self._queued_regions_max = queued_regions_max
        self._queue: OrderedDict[RegionId, RegionHeartbeat] = OrderedDict()
        """Taken from its front, which in a plain dict takes longer with each one taken."""
        self._queued = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._on_connected: Callable[[], None] = lambda: None
        self._outage = Outage(log, "the region heartbeat stream to PD")
        self._last_rejection = ""
        self._on_order: Callable[[RegionOrder], None] = lambda _order: None
        self._unknown_orders: set[str] = set()
        """Those that were logged; there are few names."""

    def send(self, heartbeat: RegionHeartbeat) -> None:
        """Queue a heartbeat; it replaces an unsent one of the same region. Never blocks."""
        region_id = heartbeat.region.id
        if region_id not in self._queue and len(self._queue) >= self._queued_regions_max:
            self._queue.popitem(last=False)
            self.dropped += 1
        self._queue[region_id] = heartbeat
        self._queued.set()

    def start(
        self, on_connected: Callable[[], None], on_order: Callable[[RegionOrder], None] = lambda _order: None
    ) -> None:
        """Open the stream and keep it open; ``on_connected`` is called for each new one, ``on_order`` for each order.

        Pre: client connected.
        """
        assert self._task is None, "started twice"
        self._on_order = on_order
        self._on_connected = on_connected
        self._task = asyncio.get_running_loop().create_task(self._keep_open())

    async def stop(self) -> None:
        """Close the stream; queued heartbeats are not sent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _keep_open(self) -> None:
        loop = asyncio.get_running_loop()
        delay_ms = REOPEN_DELAY_MS_MIN
        while True:
            opened_at_s = loop.time()
            try:
                await self._stream_once()
            except PdError as error:
                self._outage.failed(error)
            if loop.time() - opened_at_s >= LASTING_STREAM_MS / 1000:
                delay_ms = REOPEN_DELAY_MS_MIN
            await asyncio.sleep(delay_ms / 1000)
            delay_ms = min(delay_ms * 2, REOPEN_DELAY_MS_MAX)

    async def _stream_once(self) -> None:
        """One stream from opening to its end, which is always a PdError."""
        address = await self._client.leader()
        method = PD_METHODS["RegionHeartbeat"]
        call = self._client.channel(address).stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )()
        self.connects += 1
        self._on_connected()
        halves = [asyncio.create_task(self._write(call)), asyncio.create_task(self._read(call))]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
            raise _reason_of_end(address, halves)
        finally:
            self._client.forget_leader(address)
            for half in halves:
                half.cancel()
            call.cancel()
            await asyncio.gather(*halves, return_exceptions=True)

    async def _write(self, call: Any) -> None:
        while True:
            await self._queued.wait()
            while self._queue:
                _, heartbeat = self._queue.popitem(last=False)
                request = heartbeat_to_pb(heartbeat)
                request.header.cluster_id = self._client.cluster_id
                await call.write(request)
                self.sent += 1
                self._outage.recovered()
            self._queued.clear()

    async def _read(self, call: Any) -> None:
        async for response in call:
            self._outage.recovered()
            rejection = error_of_header("a region heartbeat", response.header)
            if rejection is not None:
                self._on_rejected(str(rejection))
            else:
                self._take_order(response)

    def _take_order(self, response: Any) -> None:
        """Keep-alives are no orders; what this version does not carry out is logged once a kind."""
        try:
            order = order_from_pb(response)
        except ValueError as error:
            order = UnknownOrder(str(error), response.region_id)
        if order is None:
            return
        self.orders += 1
        if isinstance(order, RegionOrder):
            self._on_order(order)
        elif order.name not in self._unknown_orders and len(self._unknown_orders) < UNKNOWN_ORDERS_LOGGED_MAX:
            self._unknown_orders.add(order.name)
            log_event(
                log,
                logging.WARNING,
                "PD gives an order that this version does not carry out",
                region_id=order.region_id,
                reason=order.name,
            )

    def _on_rejected(self, reason: str) -> None:
        self.rejected += 1
        if reason != self._last_rejection:
            self._last_rejection = reason
            log_event(log, logging.WARNING, "PD refuses a region heartbeat", error=reason)


def _reason_of_end(address: str, halves: list[asyncio.Task[None]]) -> PdError:
    """Why the stream is over: the reader's error is the server's own, the writer's only follows from it."""
    for half in reversed(halves):
        if half.done() and not half.cancelled():
            error = half.exception()
            if isinstance(error, grpc.aio.AioRpcError):
                return error_of_status("the region heartbeat stream", address, error)
            if error is not None and not isinstance(error, (asyncio.InvalidStateError, grpc.aio.UsageError)):
                raise error
    return PdUnavailable(f"PD {address} closed the region heartbeat stream")
