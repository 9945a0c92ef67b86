"""Composition root of a PD process."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from typing import Any

import msgspec

from flaredb.engine.base import EngineLocked
from flaredb.engine.rocks import RocksEngine, open_rocks
from flaredb.engine.rocks_options import RocksOptions
from flaredb.model.errors import ConfigError
from flaredb.pd.config import PdConfig
from flaredb.pd.core import PdCore
from flaredb.pd.schedule_config import ScheduleConfig
from flaredb.server.addresses import split_address
from flaredb.server.counters import Histogram
from flaredb.server.etcd_service import EtcdService
from flaredb.server.grpc_server import make_server
from flaredb.server.health import HealthService
from flaredb.server.keyspace_service import keyspace_handlers
from flaredb.server.logs import log_event, setup_logging
from flaredb.server.loop import monotonic_ms
from flaredb.server.pd_api import PdApi
from flaredb.server.pd_front import MakeHttpProtocol, PdFront
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

STOP_SECONDS_MAX = 0.5
_SOCKET_PATH_BYTES_MAX = 100
"""Some systems allow 103 bytes."""

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
        engine = _open_engine(settings.data_path)
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
        grpc_socket = self._grpc_socket()
        front = PdFront(grpc_socket, self._load_pages)
        self._closers.append(front.stop)
        port = await front.bind(host, port, "client-urls")
        advertised = settings.advertise_addresses
        self.address = advertised[0] if advertised else f"{host}:{port}"
        url = f"http://{self.address}"
        core = self.loop.core
        service = self.service = PdService(self.loop, settings.name, url, PD_VERSION)
        self._api = PdApi(
            core,
            service.orders,
            name=settings.name,
            client_url=url,
            version=PD_VERSION,
            now_ms=monotonic_ms,
            started_at_s=int(time.time()),
        )
        health = HealthService("pdpb.PD")
        etcd = EtcdService(self.loop, settings.name, url, core.member_id)
        handlers = [service.handlers(), keyspace_handlers(), health.handlers(), *etcd.handlers()]
        server, _ = make_server(handlers, f"unix:{grpc_socket}")
        await server.start()
        await front.serve()

        async def stop() -> None:
            health.stop_serving()
            front.stop_accepting()
            await server.stop(STOP_SECONDS_MAX)

        self._closers.append(stop)

    def _grpc_socket(self) -> str:
        """In the data directory, which is this process's own, unless its path is too long for a Unix socket."""
        path = os.path.join(os.path.abspath(self.settings.data_path), "grpc.sock")
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES_MAX:
            directory = tempfile.mkdtemp(prefix="flaredb-pd-")
            self._closers.append(lambda: shutil.rmtree(directory, ignore_errors=True))
            path = os.path.join(directory, "grpc.sock")
        return path

    async def _load_pages(self) -> MakeHttpProtocol:
        """Called by the first HTTP request: what nobody asks for is never loaded."""

        def load() -> Any:
            from flaredb.server.pd_pages import make_runner

            return make_runner(self._api, self.loop.call)

        runner = await asyncio.get_running_loop().run_in_executor(None, load)
        await runner.setup()
        self._closers.append(runner.cleanup)
        make: MakeHttpProtocol = runner.server
        return make

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


def _open_engine(path: str) -> RocksEngine:
    try:
        return open_rocks(path, _ROCKS)
    except EngineLocked as error:
        raise ConfigError(f"{error}; stop the other process, or give this one a data-dir of its own") from error


def _core_config(settings: PdSettings) -> PdConfig:
    bootstrap = settings.bootstrap
    return PdConfig(
        max_replicas=settings.replication.max_replicas,
        split_keys=bootstrap.keys,
        initial_stores=settings.stores_wanted if bootstrap.has_layout else 0,
        tso_save_interval_ms=settings.tso_save_interval_ms,
        schedule=ScheduleConfig(
            location_labels=settings.replication.location_labels, **msgspec.structs.asdict(settings.schedule)
        ),
    )


def run_pd(settings: PdSettings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Errors: ConfigError, EngineError before serving."""
    setup_logging(settings.log.level, settings.log.file.filename or None, settings.log.format)
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
