"""Calls to PD and its answers as they come out of the real encoders: what protobuf cannot say, PD never hears."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flaredb.model.cluster import RegionRoute
from flaredb.model.orders import RegionOrder
from flaredb.model.region import Region
from flaredb.pd.messages import AskBatchSplit, Bootstrap, Call, PutStore, ReportBatchSplit, ReportRegion, ReportStore
from flaredb.wire import convert, pd_convert, pd_orders


def call_over_wire(call: Call) -> Call:
    """The call as PD decodes it."""
    if isinstance(call, ReportRegion):
        message = pd_convert.heartbeat_to_pb(call.heartbeat)
        return ReportRegion(pd_convert.heartbeat_from_pb(_copied(message)))
    if isinstance(call, ReportStore):
        return ReportStore(pd_convert.stats_from_pb(_copied(pd_convert.stats_to_pb(call.stats))))
    if isinstance(call, PutStore):
        return PutStore(convert.store_from_pb(_copied(convert.store_to_pb(call.store))))
    if isinstance(call, Bootstrap):
        return Bootstrap(convert.store_from_pb(_copied(convert.store_to_pb(call.store))), _region(call.region))
    if isinstance(call, AskBatchSplit):
        return AskBatchSplit(_region(call.region), call.count)
    if isinstance(call, ReportBatchSplit):
        return ReportBatchSplit(tuple(_region(region) for region in call.regions))
    return call


def answer_over_wire(answer: Any) -> Any:
    """The answer as the caller decodes it."""
    if isinstance(answer, RegionRoute):
        return _route(answer)
    if isinstance(answer, tuple) and answer and isinstance(answer[0], RegionRoute):
        return tuple(_route(route) for route in answer)
    return answer


def order_over_wire(order: RegionOrder) -> RegionOrder:
    """An order of PD's as the store decodes it."""
    decoded = pd_orders.order_from_pb(_copied(pd_orders.order_to_pb(order)))
    assert isinstance(decoded, RegionOrder), f"{order} becomes {decoded} on the wire"
    return decoded


@lru_cache(maxsize=1_024)
def _route(route: RegionRoute) -> RegionRoute:
    """Frozen values: one that went over the wire unchanged does so again."""
    return pd_convert.route_from_pb(_copied(pd_convert.route_to_pb(route)))


@lru_cache(maxsize=1_024)
def _region(region: Region) -> Region:
    return convert.region_from_pb(_copied(convert.region_to_pb(region)))


def _copied(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())
