"""A store's life with PD: registration, first regions, store heartbeats, region heartbeats, routes, addresses.

PD may be away for any time: the store keeps serving, and everything here tries again. The steps of joining are in
``registration``, peer addresses in ``store_addresses``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from flaredb.model.cluster import RegionHeartbeat, StoreMeta, StoreStats
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Region
from flaredb.rpc.outage import Outage
from flaredb.rpc.pd import PdClient, PdError, PdStoreTombstone
from flaredb.server.logs import log_event
from flaredb.server.registration import first_regions, register
from flaredb.server.store_addresses import StoreAddresses
from flaredb.store.messages import (
    HeartbeatsWanted,
    Input,
    OrderReceived,
    RegionChecked,
    RegionsListed,
    RoutesLearned,
    SplitIdsGranted,
)

STORE_HEARTBEAT_MS = 10_000
ROUTES_PER_REFRESH = 1_024
ROUTES_REFRESH_MS_MIN = 200
ROUTES_INTERVAL_MS = 60_000
"""Between two refreshes that nobody asked for: reading a thousand routes takes tens of milliseconds of the loop."""

RETRY_DELAY_MS_MIN = 100
RETRY_DELAY_MS_MAX = 2_000

log = logging.getLogger(__name__)


class PdLink:
    """Joins one store with PD. Tells the store core what PD says as inputs, through ``submit``."""

    def __init__(
        self,
        client: PdClient,
        store_meta: StoreMeta,
        stats_provider: Callable[[], StoreStats],
        submit: Callable[[Input], None],
        *,
        has_regions: bool,
        store_heartbeat_ms: int = STORE_HEARTBEAT_MS,
        routes_refresh_ms_min: int = ROUTES_REFRESH_MS_MIN,
        routes_interval_ms: int = ROUTES_INTERVAL_MS,
    ) -> None:
        self._client = client
        self._meta = store_meta
        self._stats_provider = stats_provider
        self._submit = submit
        self._has_regions = has_regions
        """The core was given its first regions before; then its disk wins and no list is asked for."""

        self._store_heartbeat_ms = store_heartbeat_ms
        self._routes_refresh_ms_min = routes_refresh_ms_min
        self._routes_interval_ms = routes_interval_ms
        self._addresses = StoreAddresses(client.get_store)
        self._routes_wanted = asyncio.Event()
        self._routes_cursor = b""
        self._registered = asyncio.Event()
        self._beat_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: set[asyncio.Task[None]] = set()
        """Under way for single regions: at most one question per region, as the core asks, and a report each."""

    async def start(self) -> None:
        """Register, then go on in the background. If PD goes away meanwhile, registration goes on in the background.

        Pre:    the client is connected.
        Errors: PdError that PD will repeat for ever, such as a removed store or an address of another store.
        """
        created: Region | None = None
        try:
            created = await self._register()
        except PdError as error:
            if not error.retryable:
                raise
            log_event(log, logging.WARNING, "registration goes on in the background", error=str(error))
        self._spawn(self._bring_first_regions(created), "first regions")
        self._spawn(self._beat(), "store heartbeats")
        self._spawn(self._refresh_routes(), "routes")

    async def stop(self) -> None:
        """End everything that start began. The client stays open."""
        tasks = [*self._tasks, *self._calls]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._tasks.clear()
        await self._client.heartbeats.stop()

    def report(self, heartbeat: RegionHeartbeat) -> None:
        """Send a region heartbeat; never blocks."""
        self._client.heartbeats.send(heartbeat)

    def ask_split(self, region: Region, count: int) -> None:
        """Ask PD for the ids of ``count`` new regions; the store is told SplitIdsGranted either way. Never blocks."""
        self._spawn_call(self._ask_split(region, count), "asking for split ids")

    def report_split(self, regions: tuple[Region, ...]) -> None:
        """Tell PD the results of a split; lost if PD is away, as the region heartbeats say the same. Never blocks."""
        self._spawn_call(self._report_split(regions), "reporting a split")

    def check_region(self, region_id: RegionId) -> None:
        """Ask PD for a region; the store is told RegionChecked, or nothing if PD does not answer. Never blocks."""
        self._spawn_call(self._check_region(region_id), "asking for a region")

    @property
    def questions(self) -> int:
        """Calls about single regions that are under way."""
        return len(self._calls)

    def beat_soon(self) -> None:
        """Send a store heartbeat now instead of when it is due."""
        self._beat_wanted.set()

    def refresh_soon(self) -> None:
        """Ask PD for routes, at most once per ``routes_refresh_ms_min``."""
        self._routes_wanted.set()

    async def resolve(self, store_id: StoreId) -> str:
        """Where ``store_id`` takes Raft messages; see StoreAddresses.resolve."""
        return await self._addresses.resolve(store_id)

    async def _ask_split(self, region: Region, count: int) -> None:
        version = region.epoch.version
        try:
            ids = await self._client.ask_batch_split(region, count)
        except PdError as error:
            self._submit(SplitIdsGranted(region.id, version, (), str(error)))
        else:
            self._submit(SplitIdsGranted(region.id, version, tuple(ids)))

    async def _report_split(self, regions: tuple[Region, ...]) -> None:
        with suppress(PdError):
            await self._client.report_batch_split(regions)

    async def _check_region(self, region_id: RegionId) -> None:
        with suppress(PdError):
            route = await self._client.get_region_by_id(region_id)
            self._submit(RegionChecked(region_id, route.region if route is not None else None))

    async def _register(self) -> Region | None:
        created = await register(self._client, self._meta, self._has_regions)
        if not self._registered.is_set():
            self._registered.set()
            self._client.heartbeats.start(
                lambda: self._submit(HeartbeatsWanted()), lambda order: self._submit(OrderReceived(order))
            )
        return created

    async def _bring_first_regions(self, created: Region | None) -> None:
        outage = Outage(log, "registering this store with PD")
        while not self._registered.is_set():
            try:
                created = await self._register()
            except PdError as error:
                outage.failed(error)
                await asyncio.sleep(RETRY_DELAY_MS_MIN / 1000)
        outage.recovered()
        if not self._has_regions:
            regions = (created,) if created is not None else await self._ask_first_regions()
            self._submit(RegionsListed(regions))

    async def _ask_first_regions(self) -> tuple[Region, ...]:
        outage = Outage(log, "asking PD for the first regions")
        delay_ms = RETRY_DELAY_MS_MIN
        while True:
            try:
                regions = await first_regions(self._client, self._meta.id)
            except PdError as error:
                outage.failed(error)
            else:
                outage.recovered()
                return regions
            await asyncio.sleep(delay_ms / 1000)
            delay_ms = min(delay_ms * 2, RETRY_DELAY_MS_MAX)

    async def _beat(self) -> None:
        outage = Outage(log, "the store heartbeat to PD")
        loop = asyncio.get_running_loop()
        next_routes_s = loop.time()
        await self._registered.wait()
        while True:
            try:
                await self._client.store_heartbeat(self._stats_provider())
                outage.recovered()
                if loop.time() >= next_routes_s:
                    next_routes_s = loop.time() + self._routes_interval_ms / 1000
                    self.refresh_soon()
            except PdError as error:
                outage.failed(error)
                await self._register_again(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._store_heartbeat_ms / 1000):
                    await self._beat_wanted.wait()
            self._beat_wanted.clear()

    async def _register_again(self, error: PdError) -> None:
        """PD answers but does not want this heartbeat: it may have lost the store, as after a restore."""
        if not error.retryable and not isinstance(error, PdStoreTombstone):
            with suppress(PdError):
                await self._client.put_store(self._meta)

    async def _refresh_routes(self) -> None:
        outage = Outage(log, "asking PD for routes")
        while True:
            await self._routes_wanted.wait()
            self._routes_wanted.clear()
            try:
                routes = await self._client.scan_regions(self._routes_cursor, b"", ROUTES_PER_REFRESH)
            except PdError as error:
                outage.failed(error)
            else:
                outage.recovered()
                is_end = len(routes) < ROUTES_PER_REFRESH
                self._routes_cursor = b"" if is_end else routes[-1].region.end_key
                if routes:
                    self._submit(RoutesLearned(tuple(routes)))
            await asyncio.sleep(self._routes_refresh_ms_min / 1000)

    def _spawn_call(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        task.add_done_callback(_log_bug)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_log_bug)
        self._tasks.append(task)


def _log_bug(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("the link to PD lost its part %r", task.get_name(), exc_info=task.exception())
