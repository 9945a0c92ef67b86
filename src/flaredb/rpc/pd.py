"""PD's client as stores use it: finds the leader, follows it, retries what is worth retrying, speaks the model's types.

Every call has a deadline of its own and a window in which it is tried again while PD cannot be reached; an answer that
says no is raised at once. The errors are in ``pd_errors``, the region heartbeat stream in ``pd_heartbeats``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import grpc

from flaredb.model.cluster import NodeState, RegionRoute, SplitIds, StoreMeta, StoreState, StoreStats
from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.region import Region
from flaredb.rpc.channels import address_of_url, open_channel
from flaredb.rpc.outage import Outage
from flaredb.rpc.pd_errors import (
    PdAlreadyBootstrapped,
    PdClusterMismatch,
    PdError,
    PdNotBootstrapped,
    PdRefused,
    PdRegionNotFound,
    PdStoreTombstone,
    PdUnavailable,
    error_of_header,
    error_of_status,
)
from flaredb.rpc.pd_results import RegionOperator, RegionsScattered, RegionsSplit
from flaredb.wire.convert import region_to_pb, store_from_pb, store_to_pb
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.pd_convert import route_from_pb, stats_to_pb
from flaredb.wire.services import PD_METHODS

if TYPE_CHECKING:
    from flaredb.rpc.pd_heartbeats import HeartbeatStream

__all__ = [
    "PdAlreadyBootstrapped",
    "PdClient",
    "PdClientTimes",
    "PdClusterMismatch",
    "PdError",
    "PdNotBootstrapped",
    "PdRefused",
    "PdRegionNotFound",
    "PdStoreTombstone",
    "PdUnavailable",
    "RegionOperator",
    "RegionsScattered",
    "RegionsSplit",
    "SplitIds",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PdClientTimes:
    """How long to wait for PD, in milliseconds."""

    call_timeout_ms: int = 3_000
    """Of one attempt; PD itself may hold a call for about a second."""

    retry_window_ms: int = 5_000
    """A call is tried again for this long while PD cannot be reached."""

    connect_window_ms: int = 60_000
    """The same for ``connect``: PD may be started after its stores."""

    retry_delay_ms_min: int = 50
    retry_delay_ms_max: int = 1_000


class PdClient:
    """Asks the PD cluster behind ``endpoints`` (host:port or URLs). Methods raise PdError; see ``pd_errors``.

    Invariant: once connected, the cluster id never changes; a PD of another cluster is refused.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        times: PdClientTimes | None = None,
        on_called: Callable[[str, float], None] = lambda _method, _took_seconds: None,
    ) -> None:
        """``on_called`` is told of each attempt that has ended: the method's name and its seconds."""
        self._on_called = on_called
        self.times = times or PdClientTimes()
        self._endpoints = [address_of_url(endpoint) for endpoint in endpoints]
        self._members: list[str] = []
        self._leader_address = ""
        self._cluster_id = 0
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._finding = asyncio.Lock()
        self._outage = Outage(log, "reaching PD")

    @cached_property
    def heartbeats(self) -> HeartbeatStream:
        """The stream of region heartbeats. Only stores have one: clients start without the code for it."""
        from flaredb.rpc.pd_heartbeats import HeartbeatStream

        return HeartbeatStream(self)

    # ------------------------------------------------ connection

    @property
    def cluster_id(self) -> ClusterId:
        """The cluster that PD belongs to. Pre: connected."""
        assert self._cluster_id, "connect() first"
        return ClusterId(self._cluster_id)

    async def connect(self) -> None:
        """Learn the cluster id and the leader; waits for PD to come up.

        Errors: PdUnavailable when no member answered in ``connect_window_ms``.
        """
        await self._retry(self.times.connect_window_ms, self.leader)

    async def close(self) -> None:
        """End the heartbeat stream and all connections."""
        if "heartbeats" in self.__dict__:
            await self.heartbeats.stop()
        channels = list(self._channels.values())
        self._channels.clear()
        await asyncio.gather(*(channel.close() for channel in channels))

    async def leader(self) -> str:
        """host:port of the leader, asked for if not known.

        Errors: PdUnavailable when no member names one; PdClusterMismatch.
        """
        async with self._finding:
            if not self._leader_address:
                self._leader_address = await self._find_leader()
                self._outage.recovered()
            return self._leader_address

    def forget_leader(self, address: str) -> None:
        """The leader at ``address`` failed: the next call looks for it again."""
        if self._leader_address == address:
            self._leader_address = ""

    def channel(self, address: str) -> grpc.aio.Channel:
        """The connection to a member; one per address, kept until close."""
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = open_channel(address)
        return channel

    async def _find_leader(self) -> str:
        troubles = []
        for address in dict.fromkeys(self._members + self._endpoints):
            try:
                return await self._leader_named_by(address)
            except PdUnavailable as error:
                troubles.append(str(error))
        raise PdUnavailable(f"no PD member can be reached: {'; '.join(troubles)}")

    async def _leader_named_by(self, address: str) -> str:
        members = await self._get_members(address)
        named = [address_of_url(url) for url in members.leader.client_urls]
        if not named:
            raise PdUnavailable(f"PD {address} knows no leader")
        self._members = [address_of_url(url) for member in members.members for url in member.client_urls]
        if address in named:
            return address
        try:
            await self._get_members(named[0])
        except PdUnavailable:
            # A lone PD that advertises an address which is not reachable from here still answers where it was asked.
            if len(members.members) > 1:
                raise
            return address
        return named[0]

    async def _get_members(self, address: str) -> Any:
        response = await self._attempt(address, "GetMembers", {})
        cluster_id = response.header.cluster_id
        if self._cluster_id and cluster_id != self._cluster_id:
            raise PdClusterMismatch(
                f"PD {address} belongs to cluster {cluster_id}, this process to cluster {self._cluster_id}; "
                "check the PD endpoints"
            )
        self._cluster_id = cluster_id
        return response

    # ------------------------------------------------ calls

    async def alloc_id(self) -> int:
        """An id that was never given to anyone."""
        return int((await self._call("AllocID")).id)

    async def is_bootstrapped(self) -> bool:
        """True once the cluster has, or is about to create, its first regions."""
        return bool((await self._call("IsBootstrapped")).bootstrapped)

    async def bootstrap(self, store: StoreMeta, region: Region) -> bool:
        """Make ``store`` the first store, holding the one first region. False if the cluster has one already."""
        try:
            await self._call("Bootstrap", store=_fresh_store(store), region=region_to_pb(region))
        except PdAlreadyBootstrapped:
            return False
        return True

    async def put_store(self, store: StoreMeta) -> None:
        """Register the store, or update its addresses and labels (wire facts 4.2)."""
        await self._call("PutStore", store=_fresh_store(store))

    async def get_store(self, store_id: StoreId) -> StoreMeta:
        """One store. Errors: PdRefused for an id that PD does not know."""
        return store_from_pb((await self._call("GetStore", store_id=store_id)).store)

    async def get_all_stores(self, exclude_tombstones: bool = False) -> list[StoreMeta]:
        """All stores."""
        response = await self._call("GetAllStores", exclude_tombstone_stores=exclude_tombstones)
        return [store_from_pb(store) for store in response.stores]

    async def scan_regions(self, start_key: bytes, end_key: bytes, limit: int) -> list[RegionRoute]:
        """Up to ``limit`` regions from the one that holds ``start_key`` on; those that start before ``end_key``."""
        response = await self._call("ScanRegions", start_key=start_key, end_key=end_key, limit=limit)
        return _routes(response)

    async def store_heartbeat(self, stats: StoreStats) -> None:
        """Report the store. Errors: PdRefused for a store that PD does not know, PdStoreTombstone."""
        await self._call("StoreHeartbeat", stats=stats_to_pb(stats))

    async def ask_batch_split(self, region: Region, count: int) -> list[SplitIds]:
        """Ids for ``count`` new regions out of ``region``."""
        response = await self._call("AskBatchSplit", region=region_to_pb(region), split_count=count)
        return [SplitIds(RegionId(ids.new_region_id), tuple(map(PeerId, ids.new_peer_ids))) for ids in response.ids]

    async def report_batch_split(self, regions: Sequence[Region]) -> None:
        """Tell PD the results of a split: at least two, ascending, adjoining."""
        await self._call("ReportBatchSplit", regions=[region_to_pb(region) for region in regions])

    async def get_region(self, key: bytes) -> RegionRoute | None:
        """The region that holds ``key`` as PD knows it; None: it knows none."""
        response = await self._call("GetRegion", region_key=key)
        return route_from_pb(response) if response.HasField("region") else None

    async def get_region_below(self, key: bytes) -> RegionRoute | None:
        """The region that holds the keys just below ``key``; None: PD knows none."""
        found = await self.get_region(key)
        if found is None or found.region.start_key != key:
            return found
        response = await self._call("GetPrevRegion", region_key=key)
        return route_from_pb(response) if response.HasField("region") else None

    async def get_region_by_id(self, region_id: RegionId) -> RegionRoute | None:
        """The region as PD knows it; None: it knows no such region."""
        response = await self._call("GetRegionByID", region_id=region_id)
        return route_from_pb(response) if response.HasField("region") else None

    async def split_regions(
        self, keys: Sequence[bytes], *, scatter_group: str | None = None, timeout_ms: int = 60_000
    ) -> RegionsSplit:
        """Cut the regions that hold ``keys`` (as PD knows keys) at them; with a group the new ones are scattered.

        Answers when all is done, or with what is done shortly before ``timeout_ms``; PD goes on with the rest.
        """
        if scatter_group is None:
            response = await self._call("SplitRegions", timeout_ms, split_keys=keys)
            return RegionsSplit(response.finished_percentage, _region_ids(response.regions_id))
        response = await self._call("SplitAndScatterRegions", timeout_ms, split_keys=keys, group=scatter_group)
        return RegionsSplit(
            response.split_finished_percentage,
            _region_ids(response.regions_id),
            response.scatter_finished_percentage,
        )

    async def scatter_regions(self, region_ids: Sequence[RegionId], group: str = "") -> RegionsScattered:
        """Have these regions spread over the stores; the moves go on after the answer."""
        response = await self._call("ScatterRegion", regions_id=region_ids, group=group)
        return RegionsScattered(response.finished_percentage, _region_ids(response.failed_regions_id))

    async def get_operator(self, region_id: RegionId) -> RegionOperator | None:
        """What PD does or last did with a region; None: nothing lately."""
        try:
            response = await self._call("GetOperator", region_id=region_id)
        except PdRegionNotFound:
            return None
        status = pdpb.OperatorStatus.Name(response.status)
        return RegionOperator(region_id, response.desc.decode(), status.lower(), response.kind.decode())

    async def _call(self, name: str, timeout_ms: int = 0, /, **fields: Any) -> Any:
        """``timeout_ms`` of one attempt; 0: as most calls have it."""
        return await self._retry(self.times.retry_window_ms, lambda: self._call_leader(name, timeout_ms, fields))

    async def _call_leader(self, name: str, timeout_ms: int, fields: dict[str, Any]) -> Any:
        address = await self.leader()
        try:
            return await self._attempt(address, name, fields, timeout_ms)
        except PdUnavailable:
            self.forget_leader(address)
            raise

    async def _retry(self, window_ms: int, attempt: Any) -> Any:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + window_ms / 1000
        delay_ms = self.times.retry_delay_ms_min
        while True:
            try:
                return await attempt()
            except PdUnavailable as error:
                self._outage.failed(error)
                if loop.time() + delay_ms / 1000 >= deadline_s:
                    raise
            await asyncio.sleep(delay_ms / 1000)
            delay_ms = min(delay_ms * 2, self.times.retry_delay_ms_max)

    async def _attempt(self, address: str, name: str, fields: dict[str, Any], timeout_ms: int = 0) -> Any:
        method = PD_METHODS[name]
        header = pdpb.RequestHeader(cluster_id=self._cluster_id)
        request = method.request(header=header, **fields)
        call = self.channel(address).unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            response = await call(request, timeout=(timeout_ms or self.times.call_timeout_ms) / 1000)
        except grpc.aio.AioRpcError as error:
            raise error_of_status(name, address, error) from error
        finally:
            self._on_called(name, loop.time() - began_s)
        refusal = error_of_header(name, response.header)
        if refusal is not None:
            raise refusal
        return response


def _region_ids(ids: Iterable[int]) -> tuple[RegionId, ...]:
    return tuple(map(RegionId, ids))


def _fresh_store(store: StoreMeta) -> Any:
    """A store's own registration leaves its life cycle to PD (wire facts 4.2)."""
    return store_to_pb(replace(store, state=StoreState.UP, node_state=NodeState.PREPARING, last_heartbeat_ns=0))


def _routes(response: pdpb.ScanRegionsResponse) -> list[RegionRoute]:
    """The regions of a scan, in key order; from the old parallel lists if PD fills only those."""
    if response.regions:
        return [route_from_pb(found) for found in response.regions]
    pairs = zip_longest(response.region_metas, response.leaders[: len(response.region_metas)])
    return [route_from_pb(pdpb.Region(region=region, leader=leader)) for region, leader in pairs]
