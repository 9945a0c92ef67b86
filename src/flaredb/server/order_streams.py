"""PD's ends of the stores' region heartbeat streams: refusals and orders go out on them, and a sign of life.

A stream belongs to the store whose regions it reports (wire facts 4.4). Orders never wait for a stream: PD repeats what
shows no effect, so an order to a store without a stream, or beyond the bound of its queue, is dropped.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator

from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import RegionOrder
from flaredb.wire.pb import pdpb_pb2
from flaredb.wire.pd_orders import order_to_pb

QUEUED_MAX = 1_024
"""Orders, and refusals, that wait on one stream at most."""

KEEP_ALIVE_SECONDS = 60.0


class OrderStream:
    """What waits to be sent to one store. Of two orders to a region the newer one is sent."""

    def __init__(self) -> None:
        self.store_id: StoreId | None = None
        """Whose regions it reports; None until the first heartbeat."""

        self._orders: OrderedDict[RegionId, RegionOrder] = OrderedDict()
        self._refusals: list[pdpb_pb2.RegionHeartbeatResponse] = []
        self._news = asyncio.Event()
        self._is_ended = False

    def put_order(self, order: RegionOrder) -> bool:
        """Queue it; False: dropped, the queue is full."""
        if order.region_id not in self._orders and len(self._orders) >= QUEUED_MAX:
            return False
        self._orders.pop(order.region_id, None)
        self._orders[order.region_id] = order
        self._news.set()
        return True

    def put_refusal(self, response: pdpb_pb2.RegionHeartbeatResponse) -> None:
        """Queue the refusal of a heartbeat; the oldest give way."""
        self._refusals.append(response)
        del self._refusals[:-QUEUED_MAX]
        self._news.set()

    def end(self) -> None:
        """No more comes: what waits is still sent."""
        self._is_ended = True
        self._news.set()

    async def responses(self) -> AsyncIterator[pdpb_pb2.RegionHeartbeatResponse]:
        """What to send, without headers, until ``end``; an empty one when nothing else was sent for long."""
        while True:
            while self._refusals:
                yield self._refusals.pop(0)
            while self._orders:
                _, order = self._orders.popitem(last=False)
                yield order_to_pb(order)
            if self._refusals or self._orders:
                continue
            if self._is_ended:
                return
            self._news.clear()
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                yield pdpb_pb2.RegionHeartbeatResponse()


class OrderStreams:
    """The stream of each store. Use it on the event loop's thread only."""

    def __init__(self) -> None:
        self.sent = 0
        """Orders put on a stream."""

        self.dropped = 0
        """Orders to a store without a stream, or with too many waiting."""

        self._streams: dict[StoreId, OrderStream] = {}

    def bind(self, store_id: StoreId, stream: OrderStream) -> None:
        """Orders to this store go out here from now on; the store's newest stream wins."""
        if stream.store_id not in (None, store_id):
            self.forget(stream)
        stream.store_id = store_id
        self._streams[store_id] = stream

    def forget(self, stream: OrderStream) -> None:
        """The stream has ended."""
        if stream.store_id is not None and self._streams.get(stream.store_id) is stream:
            del self._streams[stream.store_id]

    def bound(self) -> set[StoreId]:
        """The stores that have a stream."""
        return set(self._streams)

    def send(self, store_id: StoreId, order: RegionOrder) -> None:
        """Put an order on its store's stream, or drop it. Never waits."""
        stream = self._streams.get(store_id)
        if stream is not None and stream.put_order(order):
            self.sent += 1
        else:
            self.dropped += 1
