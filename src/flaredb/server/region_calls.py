"""Calls about a region as a whole rather than its data: SplitRegion (wire facts 2.6)."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from flaredb.model.errors import InvalidRequest
from flaredb.server.call import Reply, Status
from flaredb.server.front import Front
from flaredb.server.unary import UnaryCalls
from flaredb.wire.requests import WrongCluster
from flaredb.wire.split_calls import encode_split_result, read_split


class RegionCalls:
    """Handlers that take and give bytes. The store answers them through ``unary``, like any call made alone."""

    def __init__(self, front: Front, unary: UnaryCalls) -> None:
        self._front = front
        self._unary = unary

    def split_region(self, data: bytes, reply: Reply) -> None:
        """SplitRegion: cut a region at the keys named. A response has no member for a request that is wrong in
        itself, so that is a status.
        """
        try:
            encoded_context, command = read_split(data)
            route = self._front.routes.read(encoded_context)
        except (WrongCluster, DecodeError, InvalidRequest) as error:
            reply.fail(Status.INVALID_ARGUMENT, f"SplitRegion: {error}")
            return
        self._unary.ask(command, route, len(data), _finish_split, reply, 0.0)


def _finish_split(reply: Reply, result: Any, _arrived_s: float) -> None:
    reply.answer(encode_split_result(result))
