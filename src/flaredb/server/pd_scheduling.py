"""The calls of pdpb.PD by which clients ask for splits and moves, and look at an operator (wire facts 2.16)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from flaredb.model.ids import RegionId
from flaredb.pd import messages as m
from flaredb.pd.messages import PdError, PdErrorKind
from flaredb.server.pd_loop import PdLoop
from flaredb.wire.pb import pdpb_pb2

WAIT_MS_MAX = 180_000
WAY_BACK_MS = 500
"""Of a client's deadline this much is left for the answer."""

TimedUnary = Callable[[Any, int], Awaitable[Any]]
"""Takes the request and for how many milliseconds its answer may be held."""


class SchedulingCalls:
    """Answers as pd_service expects them: a response without a header, or a PdError."""

    def __init__(self, loop: PdLoop) -> None:
        self._loop = loop

    def table(self) -> dict[str, TimedUnary]:
        """Handlers by method name."""
        return {
            "SplitRegions": self._split_regions,
            "SplitAndScatterRegions": self._split_and_scatter_regions,
            "ScatterRegion": self._scatter_region,
            "GetOperator": self._get_operator,
        }

    async def _split_regions(self, request: pdpb_pb2.SplitRegionsRequest, wait_ms: int) -> Any:
        result = await self._loop.call(m.SplitRegions(tuple(request.split_keys), wait_ms))
        if isinstance(result, PdError):
            return result
        return pdpb_pb2.SplitRegionsResponse(
            finished_percentage=result.finished_percentage, regions_id=result.region_ids
        )

    async def _split_and_scatter_regions(self, request: pdpb_pb2.SplitAndScatterRegionsRequest, wait_ms: int) -> Any:
        call = m.SplitAndScatterRegions(tuple(request.split_keys), request.group, wait_ms)
        result = await self._loop.call(call)
        if isinstance(result, PdError):
            return result
        return pdpb_pb2.SplitAndScatterRegionsResponse(
            split_finished_percentage=result.finished_percentage,
            scatter_finished_percentage=result.scatter_finished_percentage,
            regions_id=result.region_ids,
        )

    async def _scatter_region(self, request: pdpb_pb2.ScatterRegionRequest, _wait_ms: int) -> Any:
        """Old clients name one region and look for an error in the header; others name several and read the rest."""
        ids = tuple(RegionId(region_id) for region_id in request.regions_id or [request.region_id])
        result = await self._loop.call(m.ScatterRegion(ids, request.group, request.skip_store_limit))
        if isinstance(result, PdError):
            return result
        if not request.regions_id and result.failed_region_ids:
            return PdError(PdErrorKind.UNKNOWN, f"region {ids[0]} cannot be scattered now; try again")
        return pdpb_pb2.ScatterRegionResponse(
            finished_percentage=result.finished_percentage, failed_regions_id=result.failed_region_ids
        )

    async def _get_operator(self, request: pdpb_pb2.GetOperatorRequest, _wait_ms: int) -> Any:
        found = await self._loop.call(m.GetOperator(RegionId(request.region_id)))
        if isinstance(found, PdError):
            return found
        return pdpb_pb2.GetOperatorResponse(
            region_id=found.region_id,
            desc=found.desc.encode(),
            status=int(found.status),  # type: ignore[arg-type]
            kind=found.kind.encode(),
        )


def wait_ms_of(remaining_seconds: float | None) -> int:
    """How long an answer may be held for a caller with so much time left; None: it set no deadline."""
    if remaining_seconds is None:
        return WAIT_MS_MAX
    return max(min(int(remaining_seconds * 1000) - WAY_BACK_MS, WAIT_MS_MAX), 0)
