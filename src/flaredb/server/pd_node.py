"""Composition root of a PD process."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Callable
from typing import Any

from flaredb.engine.rocks import open_rocks
from flaredb.engine.rocks_options import RocksOptions
from flaredb.model.errors import ConfigError
from flaredb.pd.config import PdConfig
from flaredb.pd.core import PdCore
from flaredb.server.addresses import split_address
from flaredb.server.counters import Histogram
from flaredb.server.etcd_service import EtcdService
from flaredb.server.grpc_server import make_server
from flaredb.server.health import HealthService
from flaredb.server.logs import log_event, setup_logging
from flaredb.server.pd_loop import PdLoop
from flaredb.server.pd_service import PdService
from flaredb.server.ready_file import write_ready_file
from flaredb.server.run import run_until_told
from flaredb.server.settings import PdSettings
from flaredb.server.syncer import INLINE_SYNC_SECONDS_MAX, Syncer, measure_sync_seconds

PD_VERSION = "6.5.0"
"""The PD version whose protocol this one speaks."""

_MIB = 1024 * 1024
_ROCKS = RocksOptions(
    block_cache_size_bytes=8 * _MIB, write_buffers_size_bytes=8 * _MIB, write_buffer_size_bytes=4 * _MIB
)
"""PD holds little: a few hundred bytes per region."""

log = logging.getLogger(__name__)


class PdNode:
    """One running PD. ``start`` returns when it serves."""

    def __init__(self, settings: PdSettings, exit_process: Callable[[int], Any] = os._exit) -> None:
        self.settings = settings
        self.address = ""
        self._exit_process = exit_process
        self._closers: list[Callable[[], Any]] = []

    async def start(self) -> None:
        """Serve. Errors: ConfigError for what the operator must change; EngineError."""
        settings = self.settings
        engine = open_rocks(settings.data_path, _ROCKS)
        self._closers.append(engine.close)
        core = PdCore(_core_config(settings), engine, random.SystemRandom())
        syncer = Syncer(engine, measure_sync_seconds(engine) <= INLINE_SYNC_SECONDS_MAX, Histogram())
        self._closers.append(syncer.close)
        self.loop = PdLoop(core, syncer, self._fatal)
        self._closers.append(self.loop.stop)
        await self._open_port()
        write_ready_file(settings.ready_file, address=self.address)
        log_event(log, logging.INFO, "PD is serving", address=self.address, cluster_id=core.cluster_id)

    async def _open_port(self) -> None:
        """Clients are told the advertised address, which for port 0 is only known once bound."""
        settings = self.settings
        host, port = split_address(settings.address, "client-urls")
        handlers = _LateHandlers()
        try:
            server, port = make_server([handlers], f"{host}:{port}")
        except ConfigError as error:
            raise ConfigError(f"client-urls: {error}") from error
        advertised = settings.advertise_addresses
        self.address = advertised[0] if advertised else f"{host}:{port}"
        url = f"http://{self.address}"
        health = HealthService("pdpb.PD")
        self.service = PdService(self.loop, settings.name, url, PD_VERSION)
        etcd = EtcdService(self.loop, settings.name, url, self.loop.core.member_id)
        handlers.parts = [self.service.handlers(), health.handlers(), *etcd.handlers()]
        await server.start()

        async def stop() -> None:
            health.stop_serving()
            await server.stop(0.5)

        self._closers.append(stop)

    async def stop(self) -> None:
        """Undo what start did, last first."""
        for close in reversed(self._closers):
            result = close()
            if result is not None:
                await result
        self._closers.clear()

    def _fatal(self, reason: str, exit_status: int) -> None:
        log_event(log, logging.CRITICAL, "PD stops", reason=reason, exit_status=exit_status)
        for handler in logging.getLogger().handlers:
            handler.flush()
        self._exit_process(exit_status)


class _LateHandlers:
    """Handlers filled in after the port is bound and before the server starts."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def service(self, call_details: Any) -> Any:
        """grpc.GenericRpcHandler: the first part that knows the method."""
        for part in self.parts:
            found = part.service(call_details)
            if found is not None:
                return found
        return None


def _core_config(settings: PdSettings) -> PdConfig:
    bootstrap = settings.bootstrap
    return PdConfig(
        max_replicas=settings.replication.max_replicas,
        split_keys=bootstrap.keys,
        initial_stores=settings.stores_wanted if bootstrap.has_layout else 0,
        tso_save_interval_ms=settings.tso_save_interval_ms,
    )


def run_pd(settings: PdSettings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Errors: ConfigError, EngineError before serving."""
    setup_logging(settings.log.level, settings.log.file.filename or None)
    return run_until_told(_serve(settings))


async def _serve(settings: PdSettings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    node = PdNode(settings)
    try:
        await node.start()
        await stop.wait()
    finally:
        await node.stop()
    return 0
