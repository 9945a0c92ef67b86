"""Composition root of a store process: opens the engine, registers with PD, joins core, links and services.

Start-up order (wire facts 4.1): engine -> PD's cluster id -> store ident (claimed once, durably) -> core with what is
on disk -> peer and client ports -> registration, which brings an empty store its first regions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc

from flaredb.engine.base import Engine
from flaredb.engine.rocks import open_rocks
from flaredb.engine.rocks_options import RocksOptions
from flaredb.model.cluster import RegionHeartbeat, StoreMeta, StoreStats
from flaredb.model.errors import ConfigError
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Region
from flaredb.raft import MessageType
from flaredb.rpc.pd import PdClient
from flaredb.server.addresses import check_can_listen, listen_refusal, split_address
from flaredb.server.counters import RAFT_MESSAGE_TYPES, Counters, add, rise
from flaredb.server.grpc_server import make_server
from flaredb.server.health import HealthService
from flaredb.server.http2.front import Http2Server
from flaredb.server.logs import log_event
from flaredb.server.loop import LoopSettings, StoreLoop, monotonic_ms
from flaredb.server.pd_link import PdLink
from flaredb.server.peer_link import PeerLinks
from flaredb.server.peer_server import PeerServer
from flaredb.server.ready_file import write_ready_file
from flaredb.server.service import KvService
from flaredb.server.service_settings import KvServiceSettings
from flaredb.server.settings import StoreSettings
from flaredb.server.status_port import StatusPort
from flaredb.server.store_snapshots import StoreSnapshots
from flaredb.server.syncer import INLINE_SYNC_SECONDS_MAX, Syncer, measure_sync_seconds
from flaredb.store.bootstrap import check_store_ident, write_store_ident
from flaredb.store.config import FlowLimits, StoreConfig
from flaredb.store.messages import (
    Beat,
    LeadersHandedOver,
    Note,
    RaftEnvelope,
    RaftReceived,
    SendSnapshot,
    ShutdownStarted,
    StoreReached,
    StoreUnreached,
)
from flaredb.store.store import Store

STORE_VERSION = "6.5.0"
"""What PD and clients are told: the TiKV version whose protocol this store speaks (wire facts 4.2)."""

SHUTDOWN_GRACE_SECONDS = 2.0
HAND_OVER_LOOK_SECONDS = 0.05

log = logging.getLogger(__name__)


class StoreNode:
    """One running store. ``start`` returns when it serves; ``stopped`` is set when it has to end."""

    def __init__(self, settings: StoreSettings, exit_process: Callable[[int], Any] = os._exit) -> None:
        self.settings = settings
        self.counters = Counters()
        self.store_id = StoreId(0)
        self.address = ""
        self.status_address = ""
        self.peer_address = ""
        self.exit_status = 0
        self._exit_process = exit_process
        self._engine: Engine | None = None
        self._is_stopping = False
        self._flush_answers: Callable[[], None] = lambda: None
        self._started_s = int(time.time())
        self._closers: list[Callable[[], Any]] = []
        """Undo what start did, last first; each may be a coroutine function."""

    # ------------------------------------------------ start and stop

    async def start(self) -> None:
        """Serve. Errors: ConfigError for what the operator must change; EngineError, PdError."""
        settings = self.settings
        engine = self._engine = open_rocks(settings.storage.data_dir, _rocks_options(settings))
        self._closers.append(engine.close)
        client = self._pd_client = PdClient(list(settings.pd_addresses), on_called=self.counters.count_pd_call)
        self._closers.append(client.close)
        await client.connect()
        cluster_id = client.cluster_id
        known = check_store_ident(engine, cluster_id)
        if known is None:
            known = StoreId(await client.alloc_id())
            write_store_ident(engine, cluster_id, known)
        self.store_id = known

        snapshots = self._snapshots = _open_snapshots(settings, self.counters)
        now_ms = monotonic_ms()
        store = Store(_store_config(settings), self.store_id, engine, random.Random(), now_ms, snapshots.files)
        self._closers.append(store.close)
        self._syncer = Syncer(engine, measure_sync_seconds(engine) <= INLINE_SYNC_SECONDS_MAX, self.counters.append_log)
        self._closers.append(self._syncer.close)
        self.loop = StoreLoop(store, self._syncer, self, self.counters.step, _loop_settings(settings))
        self._closers.append(self.loop.stop)

        snapshots.connect(cluster_id, known, store, self.loop.submit, lambda store_id: self.pd_link.resolve(store_id))
        self._closers.append(snapshots.stop)
        await self._open_peer_port(cluster_id)
        await self._open_client_port(cluster_id)
        await self._open_status_port()
        self.pd_link = PdLink(
            client,
            self._meta(),
            stats_provider=self._stats,
            submit=self.loop.submit,
            store_heartbeat_ms=settings.raftstore.pd_store_heartbeat_tick_interval_ms,
            has_regions=store.is_started,
        )
        self._closers.append(self.pd_link.stop)
        self.links = PeerLinks(
            cluster_id,
            self.store_id,
            self.pd_link.resolve,
            on_unreached=self._on_unreached,
            on_reached=lambda store_id: self.loop.submit(StoreReached(store_id)),
            counters=self.counters.peers,
        )
        self._closers.append(self.links.stop)
        await self.pd_link.start()
        self.loop.start()
        write_ready_file(
            settings.ready_file,
            address=self.address,
            status_address=self.status_address,
            peer_address=self.peer_address,
            store_id=self.store_id,
        )
        log_event(
            log,
            logging.INFO,
            "store is serving",
            store_id=self.store_id,
            cluster_id=cluster_id,
            address=self.address,
            status_address=self.status_address,
            sync="inline" if self._syncer.is_inline else "thread",
        )

    async def _open_peer_port(self, cluster_id: Any) -> None:
        host, port = split_address(self.settings.peer_addr, "server.peer-addr")
        server = PeerServer(
            host,
            port,
            cluster_id,
            self.store_id,
            self._on_envelopes,
            on_snapshot=self._snapshots.receiver.accept,
            counters=self.counters.peers,
        )
        try:
            await server.start()
        except OSError as error:
            raise ConfigError(listen_refusal(self.settings.peer_addr, "server.peer-addr", error)) from error
        self._closers.append(server.stop)
        self.peer_address = self.settings.server.advertise_peer_addr or f"{host}:{server.port}"

    async def _open_client_port(self, cluster_id: Any) -> None:
        settings = self.settings
        service_settings = KvServiceSettings(
            key_size_bytes_max=settings.storage.max_key_size_bytes,
            raw_scan_region_error=settings.server.raw_scan_region_error,
        )
        service = KvService(self.loop.submit, cluster_id, self.store_id, service_settings, counters=self.counters)
        health = HealthService("tikvpb.Tikv")
        check_can_listen(settings.server.addr, "server.addr")
        host, wanted_port = split_address(settings.server.addr, "server.addr")
        if settings.server.grpc_server == "built-in":
            port = await self._start_built_in(service, health, host, wanted_port)
        else:
            port = await self._start_library(service, health)
        self.address = settings.server.advertise_addr or f"{host}:{port}"

    async def _start_built_in(self, service: KvService, health: HealthService, host: str, port: int) -> int:
        server = Http2Server({**service.routes(), **health.routes()}, service.submit_gathered)
        self._flush_answers = server.flush
        try:
            port = await server.start(host, port)
        except OSError as error:
            raise ConfigError(listen_refusal(self.settings.server.addr, "server.addr", error)) from error
        self._closers.append(lambda: _stop_grpc(server, health))
        return port

    async def _start_library(self, service: KvService, health: HealthService) -> int:
        try:
            server, port = make_server([service.handlers(), health.handlers()], self.settings.server.addr)
        except ConfigError as error:
            raise ConfigError(f"server.addr: {error}") from error
        await server.start()
        self._closers.append(lambda: _stop_grpc(server, health))
        return port

    async def _open_status_port(self) -> None:
        self._status = StatusPort(self.settings.server.status_addr, self)
        port = await self._status.start()
        self._closers.append(self._status.stop)
        host, _ = split_address(self.settings.server.status_addr, "server.status-addr")
        self.status_address = self.settings.server.advertise_status_addr or f"{host}:{port}"

    async def hand_over(self) -> None:
        """Go on serving while the leaders move to other stores, for ``server.graceful-shutdown-timeout`` at most.

        A store whose regions have no other replica does not wait.
        """
        timeout_ms = self.settings.server.graceful_shutdown_timeout_ms
        if not timeout_ms or not self.loop.store.led_count:
            return
        self._is_stopping = True
        self.loop.submit(LeadersHandedOver())
        self.pd_link.beat_soon()
        log_event(log, logging.INFO, "handing leaders to other stores", count=self.loop.store.led_count)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                while self.loop.store.led_count:
                    await asyncio.sleep(HAND_OVER_LOOK_SECONDS)
        left = self.loop.store.led_count
        if left:
            log_event(log, logging.WARNING, "some leaders could not be handed over in time", count=left)

    async def stop(self) -> None:
        """Refuse new requests, then undo what start did."""
        if hasattr(self, "loop"):
            self.loop.submit(ShutdownStarted())
            await asyncio.sleep(0)
        for close in reversed(self._closers):
            result = close()
            if result is not None:
                await result
        self._closers.clear()

    # ------------------------------------------------ what the loop asks for (loop.Rim)

    def send_raft(self, to_store: StoreId, envelopes: list[RaftEnvelope]) -> None:
        sent = self.counters.raft_sent
        beats = answers = 0
        for envelope in envelopes:
            if type(envelope) is not Beat:
                add(sent, RAFT_MESSAGE_TYPES[envelope.message.msg_type])
            elif envelope.is_answer:
                answers += 1
            else:
                beats += 1
        if beats:
            add(sent, RAFT_MESSAGE_TYPES[MessageType.MsgHeartbeat], beats)
        if answers:
            add(sent, RAFT_MESSAGE_TYPES[MessageType.MsgHeartbeatResponse], answers)
        self.links.send(to_store, envelopes)

    def send_snapshot(self, order: SendSnapshot) -> None:
        self._snapshots.sender.send(order)

    def check_region(self, region_id: RegionId) -> None:
        self.pd_link.check_region(region_id)

    def report_region(self, heartbeat: RegionHeartbeat) -> None:
        self.pd_link.report(heartbeat)

    def ask_split(self, region: Region, count: int) -> None:
        self.pd_link.ask_split(region, count)

    def report_split(self, regions: tuple[Region, ...]) -> None:
        self.pd_link.report_split(regions)

    def refresh_routes(self) -> None:
        self.pd_link.refresh_soon()

    def note(self, note: Note) -> None:
        log_event(log, getattr(logging, note.level), note.event, **dict(note.fields))

    def answers_given(self) -> None:
        self._flush_answers()

    def fatal(self, reason: str, exit_status: int) -> None:
        """End the process at once: whatever it promised is on disk, and nothing else may leave it."""
        self.exit_status = exit_status
        log_event(log, logging.CRITICAL, "store stops", reason=reason, exit_status=exit_status)
        for handler in logging.getLogger().handlers:
            handler.flush()
        self._exit_process(exit_status)

    def _on_unreached(self, store_id: StoreId) -> None:
        self.counters.unreached[store_id] = self.counters.unreached.get(store_id, 0) + 1
        self.loop.submit(StoreUnreached(store_id))

    def _on_envelopes(self, _from_store: StoreId, envelopes: list[RaftEnvelope]) -> None:
        self.loop.submit(RaftReceived(envelopes))

    # ------------------------------------------------ what PD and the status server are told

    def _meta(self) -> StoreMeta:
        return StoreMeta(
            id=self.store_id,
            address=self.address,
            peer_address=self.peer_address,
            status_address=self.status_address,
            version=STORE_VERSION,
            labels=tuple(sorted(self.settings.server.labels.items())),
            start_timestamp_s=self._started_s,
            deploy_path=os.getcwd(),
        )

    def _stats(self) -> StoreStats:
        disk = shutil.disk_usage(self.settings.storage.data_dir)
        assert self._engine is not None
        engine = self._engine.stats()
        used = sum(engine.get(name, 0) for name in ("sst_bytes", "memtable_bytes", "wal_bytes"))
        return StoreStats(
            store_id=self.store_id,
            capacity_bytes=disk.total,
            available_bytes=disk.free,
            used_size_bytes=used,
            region_count=len(self.loop.store.peers),
            start_time_s=self._started_s,
            is_busy=self.loop.store.is_busy,
            sending_snap_count=self._snapshots.sender.count,
            receiving_snap_count=self._snapshots.receiver.count,
            applying_snap_count=self.loop.store.applying_snapshots,
            is_stopping=self._is_stopping,
        )

    def measure(self) -> None:
        """status.Sources: bring the gauges up to date."""
        stats, counters = self._stats(), self.counters
        peers = self.loop.store.peers.values()
        counters.region_count = len(peers)
        counters.idle_poll_s = self.loop.idle_poll.polled_s
        counters.messages_refused = self.loop.store.messages_refused
        reads = self.loop.store.read_counts
        counters.busy = dict(self.loop.store.busy_counts)
        counters.appends_dropped = self.loop.store.appends_dropped
        counters.admitted_share = self.loop.store.flow.share
        counters.leases_suspended = int(not self.loop.store.lease_clock.is_trusted)
        counters.lease_suspensions = self.loop.store.lease_suspensions
        counters.reads = {"lease": reads.by_lease, "read_index": reads.by_round}
        counters.leader_count = sum(peer.is_leader for peer in peers)
        traffic = self.loop.store.traffic()
        for direction, keys, size in (
            ("read", traffic.keys_read, traffic.bytes_read),
            ("written", traffic.keys_written, traffic.bytes_written),
        ):
            rise(counters.keys_moved, direction, keys)
            rise(counters.bytes_moved, direction, size)
        counters.capacity_bytes = stats.capacity_bytes
        counters.available_bytes = stats.available_bytes
        counters.used_bytes = stats.used_size_bytes
        assert self._engine is not None
        counters.snapshot_traffic = {
            "sending": stats.sending_snap_count,
            "receiving": stats.receiving_snap_count,
            "applying": stats.applying_snap_count,
        }
        counters.engine = dict(self._engine.stats())
        heartbeats = self._pd_client.heartbeats
        counters.pd_heartbeats = {
            "send": heartbeats.sent,
            "rejected": heartbeats.rejected,
            "orders": heartbeats.orders,
        }
        counters.channel_full["pd_heartbeat"] = heartbeats.dropped

    def region_status(self, region_id: int) -> dict[str, Any] | None:
        """status.Sources: one region here."""
        return self.loop.store.region_status(RegionId(region_id))

    def region_ids(self) -> list[int]:
        """status.Sources: all regions here."""
        return sorted(self.loop.store.peers)

    def config(self) -> dict[str, Any]:
        """status.Sources: the settings in force."""
        return self.settings.to_dict()

    def ready(self) -> dict[str, bool]:
        """status.Sources: what must hold for this store to serve."""
        store = self.loop.store
        return {
            "has its first regions": store.is_started,
            "every region has a leader": all(peer.leader_id for peer in store.peers.values()),
        }


def _open_snapshots(settings: StoreSettings, counters: Counters) -> StoreSnapshots:
    try:
        return StoreSnapshots(settings, counters.snapshots)
    except OSError as error:
        raise ConfigError(f"storage.data-dir: snapshots cannot be kept there: {error}") from error


def _store_config(settings: StoreSettings) -> StoreConfig:
    raft, split, flow = settings.raftstore, settings.coprocessor, settings.storage.flow_control
    return StoreConfig(
        tick_ms=raft.raft_base_tick_interval_ms,
        heartbeat_ticks=raft.raft_heartbeat_ticks,
        election_ticks=raft.election_timeout_ticks_min,
        election_ticks_max=raft.election_timeout_ticks_max,
        entry_size_bytes_max=raft.raft_entry_max_size_bytes,
        batch_entry_size_bytes=min(StoreConfig().batch_entry_size_bytes, raft.raft_entry_max_size_bytes),
        message_size_bytes_max=raft.raft_max_size_per_msg_bytes,
        inflight_messages_max=raft.raft_max_inflight_msgs,
        hibernate_regions=raft.hibernate_regions,
        lease_reads=raft.read_mode == "lease",
        lease_ms=raft.raft_store_max_leader_lease_ms,
        log_gc_interval_ms=raft.raft_log_gc_tick_interval_ms,
        log_gc_threshold=raft.raft_log_gc_threshold,
        log_count_max=raft.raft_log_gc_count_limit,
        log_size_bytes_max=raft.raft_log_gc_size_limit_bytes,
        leader_missing_ms=raft.abnormal_leader_missing_duration_ms,
        snapshots_sending_max=settings.server.concurrent_send_snap_limit,
        requests_max=raft.max_waiting_requests,
        write_bytes_max=raft.max_waiting_writes_size_bytes,
        region_write_bytes_max=raft.region_max_waiting_writes_size_bytes,
        region_entries_max=raft.region_max_unapplied_entries,
        unsynced_bytes_max=raft.max_unsynced_size_bytes,
        inflight_bytes_max=max(StoreConfig().inflight_bytes_max, raft.raft_max_size_per_msg_bytes),
        flow=FlowLimits(
            flow.memtables_threshold,
            flow.l0_files_threshold,
            flow.soft_pending_compaction_bytes_limit_bytes,
            flow.hard_pending_compaction_bytes_limit_bytes,
        ),
        region_heartbeat_ms=raft.pd_heartbeat_tick_interval_ms,
        peer_down_ms=raft.max_peer_down_duration_ms,
        region_split_size_bytes=split.region_split_size_bytes,
        region_max_size_bytes=split.max_size_bytes,
        region_split_keys=split.split_keys,
        region_max_keys=split.max_keys,
        batch_split_limit=split.batch_split_limit,
        split_region_check_tick_interval_ms=raft.split_region_check_tick_interval_ms,
    )


def _rocks_options(settings: StoreSettings) -> RocksOptions:
    rocks = settings.rocksdb
    buffer_bytes = min(rocks.write_buffer_size_bytes, RocksOptions().write_buffer_size_bytes)
    return RocksOptions(
        block_cache_size_bytes=rocks.block_cache_size_bytes,
        write_buffers_size_bytes=rocks.write_buffer_size_bytes,
        write_buffer_size_bytes=buffer_bytes,
        background_jobs_max=max(rocks.max_background_jobs, 2),
        open_files_max=rocks.max_open_files,
    )


def _loop_settings(settings: StoreSettings) -> LoopSettings:
    """The gRPC library hands over calls one by one, so that waiting for more of them pays; and by a thread of its own,
    which would compete with a loop that stays awake for the interpreter."""
    is_library = settings.server.grpc_server == "library"
    return LoopSettings(
        settings.raftstore.messages_per_tick,
        keeps_pace=is_library,
        idle_poll_s=0.0 if is_library else settings.server.idle_poll_ms / 1000,
    )


async def _stop_grpc(server: grpc.aio.Server | Http2Server, health: HealthService) -> None:
    health.stop_serving()
    await server.stop(SHUTDOWN_GRACE_SECONDS)
