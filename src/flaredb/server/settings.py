"""Every setting of a store and of PD: name, unit, default, and the relations between them.

Keys and defaults are TiKV's and PD's where the meaning is the same. A setting exists only if some code obeys it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from flaredb.model import keys
from flaredb.model.errors import ConfigError
from flaredb.model.limits import ENTRY_SIZE_BYTES_MAX, KEY_SIZE_BYTES_MAX, KIB, MIB
from flaredb.server import toml_file, toml_text
from flaredb.server.addresses import ANY_HOST, from_url, shifted, split_address
from flaredb.server.flow_settings import FlowControlSettings
from flaredb.server.profiles import profile_tables
from flaredb.server.toml_file import AnySection, Section

Positive = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
LogLevel = Literal["trace", "debug", "info", "warn", "error", "fatal"]

PEER_PORT_OFFSET = 10
"""A store listens for other stores this many ports above its gRPC port, unless server.peer-addr says otherwise."""


class LogFile(Section, frozen=True, kw_only=True):
    """[log.file]"""

    filename: str = ""
    """Where the log goes; empty: standard error."""


class LogSettings(Section, frozen=True, kw_only=True):
    """[log]"""

    level: LogLevel = "info"
    """The least important lines that are written."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""

    file: LogFile = LogFile()


class ServerSettings(Section, frozen=True, kw_only=True):
    """[server]: what the store listens on and how it is called by others. Empty advertised address: as bound."""

    addr: Text = "127.0.0.1:20160"
    """gRPC, for clients."""

    advertise_addr: str = ""
    """What clients are told to dial instead of addr; empty: addr."""

    status_addr: Text = "127.0.0.1:20180"
    """HTTP: metrics, status, configuration."""

    advertise_status_addr: str = ""
    """Likewise for status-addr."""

    peer_addr: str = ""
    """Raft traffic of other stores; empty: the host of addr, ten ports further on."""

    advertise_peer_addr: str = ""
    """What other stores are told to dial instead of peer-addr; empty: peer-addr."""

    grpc_server: Literal["built-in", "library"] = "built-in"
    """What serves addr: FlareDB's own gRPC server, which spends a tenth of the time on a call and takes uncompressed
    messages only, or that of the gRPC library. No setting of TiKV's."""

    idle_poll_ms: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    """The longest that a store which serves one caller at a time looks at its sockets again instead of sleeping: a put
    alone takes a tenth less time, and a third more of the CPU's. Not done where waits have lately been longer, where
    others want the core, where a sync takes more than 1 ms, or with grpc-server = "library". 0: never. No setting of
    TiKV's."""

    labels: dict[str, str] = {}
    """Where the store stands, for the placement of replicas."""

    concurrent_send_snap_limit: Positive = 3
    """Snapshots sent to other stores at a time; others wait. TiKV: 32, for many threads; here each costs a thread that
    shares one interpreter with everything else."""

    concurrent_recv_snap_limit: Positive = 3
    """Snapshots received at a time; others are refused, and sent again later. TiKV: 32."""

    snap_io_max_bytes_per_sec_bytes: Count = 100 * MIB
    """Bytes of snapshots a second, sent and received together; 0: no limit."""

    graceful_shutdown_timeout_ms: Count = 20_000
    """How long a store that is told to stop (SIGTERM) goes on serving while it hands its leaders to other stores; 0: it
    stops at once."""

    raw_scan_region_error: Literal["auto", "status", "region-error"] = "auto"
    """How RawScan reports a region error: as gRPC status UNAVAILABLE, in the response, or by what the client can read.
    The official Python client takes the second for an empty range and loses rows (wire facts 3.5)."""


class StorageSettings(Section, frozen=True, kw_only=True):
    """[storage]"""

    flow_control: FlowControlSettings = FlowControlSettings()

    data_dir: Text = "flaredb-store"
    """Where the store keeps everything. One store each: a second process on it is refused."""

    max_key_size_bytes: Annotated[int, msgspec.Meta(ge=1, le=KEY_SIZE_BYTES_MAX)] = KEY_SIZE_BYTES_MAX
    """Longer keys are refused."""


class PdClientSettings(Section, frozen=True, kw_only=True):
    """[pd]: where the store finds PD."""

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)
    """host:port or URL of PD; several: the first that answers."""


class RaftstoreSettings(Section, frozen=True, kw_only=True):
    """[raftstore]: the Raft groups of a store."""

    raft_base_tick_interval_ms: Positive = 1_000
    """The unit of the times below that are counted in ticks."""

    raft_heartbeat_ticks: Positive = 2
    """Between two heartbeats of a leader to its followers."""

    raft_election_timeout_ticks: Positive = 10
    """A follower that hears nothing for at least so long starts an election; a leader without a quorum for so long
    steps down."""

    raft_min_election_timeout_ticks: Count = 0
    """Shortest randomised election timeout; 0: raft-election-timeout-ticks."""

    raft_max_election_timeout_ticks: Count = 0
    """Longest randomised election timeout, exclusive; 0: twice the shortest."""

    read_mode: Literal["lease", "read-index"] = "lease"
    """How a leader makes sure that it still leads before it answers a read: by a lease, which its heartbeats renew, as
    TiKV does, or by a round of messages for the reads of each moment, which assumes nothing of clocks."""

    raft_store_max_leader_lease_ms: Count = 0
    """How long a lease lasts at most; 0, and whatever is longer than is safe: as long as is safe, which is the election
    timeout less two ticks and less what clocks may differ. TiKV: 9s."""

    raft_entry_max_size_bytes: Positive = ENTRY_SIZE_BYTES_MAX
    """A larger write is refused with RaftEntryTooLarge."""

    raft_max_size_per_msg_bytes: Positive = MIB
    """Entries that one append message carries, in bytes; a single larger entry goes alone."""

    raft_max_inflight_msgs: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 256
    """Append messages that a follower has not answered yet, for each region; more wait."""

    raft_log_gc_tick_interval_ms: Positive = 3_000
    """Between two looks at which logs can be compacted."""

    raft_log_gc_threshold: Positive = 1_024
    """Entries that all replicas hold before the log is compacted. TiKV's default is 50; here each compaction costs an
    entry of its own and a range deletion in the loop that serves all regions, so it is done less often."""

    raft_log_gc_count_limit: Positive = 73_728
    """A longer log is compacted although a replica lacks its entries; that replica then needs a snapshot."""

    raft_log_gc_size_limit_bytes: Positive = 72 * MIB
    """Likewise for a larger log."""

    pd_heartbeat_tick_interval_ms: Positive = 60_000
    """Between two reports of a region by its leader, without a change to report."""

    pd_store_heartbeat_tick_interval_ms: Positive = 10_000
    """Between two reports of the store itself."""

    max_peer_down_duration_ms: Positive = 600_000
    """Silence after which a leader reports a replica as down."""

    abnormal_leader_missing_duration_ms: Positive = 120_000
    """A replica without a leader for so long asks PD whether it still belongs to its region. TiKV: 10m."""

    split_region_check_tick_interval_ms: Positive = 1_000
    """Between two looks at which regions have outgrown their size; a look is cheap. TiKV: 10s."""

    hibernate_regions: bool = True
    """Regions without anything to do sleep: they are not ticked and exchange no heartbeats."""

    messages_per_tick: Positive = 4_096
    """Inputs that one step takes at most."""

    max_waiting_requests: Positive = 100_000
    """Requests that wait in this store; one more is answered ServerIsBusy. No setting of TiKV's."""

    max_waiting_writes_size_bytes: Positive = 256 * MIB
    """Bytes of writes that wait in this store; more are answered ServerIsBusy. No setting of TiKV's."""

    max_unsynced_size_bytes: Positive = 64 * MIB
    """Bytes written and not yet on disk; beyond it writes are answered ServerIsBusy and other leaders' entries are not
    taken. No setting of TiKV's."""

    region_max_waiting_writes_size_bytes: Positive = 32 * MIB
    """Bytes of one region's writes that wait to be applied; more are answered ServerIsBusy. No setting of TiKV's."""

    region_max_unapplied_entries: Positive = 4_096
    """Entries of one region's log that wait to be applied by its leader; likewise. No setting of TiKV's."""

    @property
    def election_timeout_ticks_min(self) -> int:
        """Shortest randomised election timeout in ticks, inclusive."""
        return self.raft_min_election_timeout_ticks or self.raft_election_timeout_ticks

    @property
    def election_timeout_ticks_max(self) -> int:
        """Longest randomised election timeout in ticks, exclusive."""
        return self.raft_max_election_timeout_ticks or 2 * self.election_timeout_ticks_min

    def problems(self) -> Iterator[str]:
        """What contradicts itself, each with both values."""
        heartbeat, election = self.raft_heartbeat_ticks, self.raft_election_timeout_ticks
        low, high = self.election_timeout_ticks_min, self.election_timeout_ticks_max
        if heartbeat >= election:
            yield (
                f"raftstore.raft-heartbeat-ticks = {heartbeat} must be less than raftstore.raft-election-timeout-ticks "
                f"= {election}: followers would start elections between two heartbeats"
            )
        if low < election:
            yield (
                f"raftstore.raft-min-election-timeout-ticks = {low} must not be less than "
                f"raftstore.raft-election-timeout-ticks = {election}"
            )
        if high <= low:
            yield (
                f"raftstore.raft-max-election-timeout-ticks = {high} must be greater than the shortest timeout of "
                f"{low} ticks: equal timeouts make candidates split the vote"
            )
        lease_ms, timeout_ms = self.raft_store_max_leader_lease_ms, low * self.raft_base_tick_interval_ms
        if lease_ms >= timeout_ms:
            yield (
                f"raftstore.raft-store-max-leader-lease = {lease_ms} ms must be less than the shortest election "
                f"timeout of {timeout_ms} ms: after that another leader may have been elected"
            )
        if self.raft_log_gc_count_limit <= self.raft_log_gc_threshold:
            yield (
                f"raftstore.raft-log-gc-count-limit = {self.raft_log_gc_count_limit} must be greater than "
                f"raftstore.raft-log-gc-threshold = {self.raft_log_gc_threshold}: replicas that are only a little "
                "behind would need snapshots"
            )
        if self.abnormal_leader_missing_duration_ms <= high * self.raft_base_tick_interval_ms:
            yield (
                f"raftstore.abnormal-leader-missing-duration = {self.abnormal_leader_missing_duration_ms} ms must be "
                f"greater than the longest election timeout of {high * self.raft_base_tick_interval_ms} ms"
            )
        if self.max_waiting_writes_size_bytes < self.raft_entry_max_size_bytes:
            yield (
                f"raftstore.max-waiting-writes-size = {self.max_waiting_writes_size_bytes} bytes must not be less than "
                f"raftstore.raft-entry-max-size = {self.raft_entry_max_size_bytes} bytes: a write of that size would "
                "always be refused"
            )
        if self.region_max_waiting_writes_size_bytes < self.raft_entry_max_size_bytes:
            yield (
                f"raftstore.region-max-waiting-writes-size = {self.region_max_waiting_writes_size_bytes} bytes must "
                f"not be less than raftstore.raft-entry-max-size = {self.raft_entry_max_size_bytes} bytes"
            )


class CoprocessorSettings(Section, frozen=True, kw_only=True):
    """[coprocessor]: when regions split. TiKV keeps these keys here; its own sizes are 256MiB and 384MiB."""

    region_split_size_bytes: Count = 32 * MIB
    """What a piece of a split should hold; 0: no region splits by itself."""

    region_max_size_bytes: Count = 0
    """A region larger than this is split; 0: one and a half times region-split-size."""

    region_split_keys: Count = 0
    """Keys that a piece should hold at most; 0: 10,000 for each MiB of region-split-size."""

    region_max_keys: Count = 0
    """A region of more keys is split; 0: one and a half times region-split-keys."""

    batch_split_limit: Positive = 10
    """Keys at which a region that has outgrown its size is cut at once, at most."""

    @property
    def max_size_bytes(self) -> int:
        """region-max-size, or what stands for it."""
        return self.region_max_size_bytes or self.region_split_size_bytes * 3 // 2

    @property
    def split_keys(self) -> int:
        """region-split-keys, or what stands for it."""
        return self.region_split_keys or max(self.region_split_size_bytes * 10_000 // MIB, 1)

    @property
    def max_keys(self) -> int:
        """region-max-keys, or what stands for it."""
        return self.region_max_keys or self.split_keys * 3 // 2

    def problems(self) -> Iterator[str]:
        """What contradicts itself, each with both values."""
        if self.max_size_bytes < self.region_split_size_bytes:
            yield (
                f"coprocessor.region-max-size = {self.max_size_bytes} must not be less than "
                f"coprocessor.region-split-size = {self.region_split_size_bytes} (bytes)"
            )
        if self.max_keys < self.split_keys:
            yield (
                f"coprocessor.region-max-keys = {self.max_keys} must not be less than "
                f"coprocessor.region-split-keys = {self.split_keys}"
            )


class RocksSettings(Section, frozen=True, kw_only=True):
    """[rocksdb]"""

    max_background_jobs: Annotated[int, msgspec.Meta(ge=2)] = 2
    """Threads of RocksDB's own for flushes and compactions."""

    max_open_files: Annotated[int, msgspec.Meta(ge=-1)] = 512
    """-1: no bound of RocksDB's own."""

    write_buffer_size_bytes: Positive = 64 * MIB
    """All memtables of all column families together; reaching it flushes the largest. In TiKV the key of this name
    belongs to one column family."""

    block_cache_size_bytes: Positive = 64 * MIB
    """Uncompressed blocks kept in memory for reads."""


class StoreSettings(Section, frozen=True, kw_only=True):
    """All settings of one store process."""

    profile: str = "default"
    """A set of settings by name, under what else is said; see Profiles."""

    ready_file: str = ""
    """A file with the process's addresses as JSON, written once it serves; empty: none."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    pd: PdClientSettings = PdClientSettings()
    raftstore: RaftstoreSettings = RaftstoreSettings()
    coprocessor: CoprocessorSettings = CoprocessorSettings()
    rocksdb: RocksSettings = RocksSettings()
    log: LogSettings = LogSettings()

    @property
    def peer_addr(self) -> str:
        """host:port to bind for Raft traffic."""
        return self.server.peer_addr or shifted(self.server.addr, PEER_PORT_OFFSET, "server.peer-addr")

    @property
    def pd_addresses(self) -> tuple[str, ...]:
        """host:port of every PD named."""
        return tuple(from_url(endpoint, "pd.endpoints") for endpoint in self.pd.endpoints)

    def validate(self) -> None:
        """Raise ConfigError for the first thing that cannot work, naming the keys and what to change."""
        server = self.server
        _check_listener("server.addr", server.addr, server.advertise_addr)
        _check_listener("server.status-addr", server.status_addr, server.advertise_status_addr)
        _check_listener("server.peer-addr", self.peer_addr, server.advertise_peer_addr)
        _check_ports_differ(
            {"server.addr": server.addr, "server.status-addr": server.status_addr, "server.peer-addr": self.peer_addr}
        )
        if not self.pd_addresses:
            raise ConfigError("pd.endpoints is empty: name at least one PD, such as 127.0.0.1:2379")
        for problem in (
            *self.storage.flow_control.problems(),
            *self.raftstore.problems(),
            *self.coprocessor.problems(),
        ):
            raise ConfigError(problem)

    def to_dict(self) -> dict[str, Any]:
        """Kebab-case tables, as GET /config shows them."""
        return toml_file.to_dict(self)


class ReplicationSettings(Section, frozen=True, kw_only=True):
    """[replication]"""

    max_replicas: Positive = 3
    """Replicas of each region."""

    location_labels: tuple[str, ...] = ()
    """Store labels from the widest place to the narrowest; replicas are kept apart by them."""


class ScheduleSettings(Section, frozen=True, kw_only=True):
    """[schedule]: what the cluster starts with. What is set while PD runs is kept and goes before it."""

    max_store_down_time_ms: Positive = 30 * 60_000
    """Silence after which a store counts as down."""

    leader_schedule_limit: Count = 4
    """Transfers of leaders under way at a time, for balance; 0: none."""

    region_schedule_limit: Count = 2_048
    """Moves of replicas under way at a time, for balance; 0: none."""

    replica_schedule_limit: Count = 64
    """Repairs of replicas under way at a time; 0: none."""

    max_snapshot_count: Count = 64
    """A store that sends or receives so many snapshots gets no further replicas meanwhile."""

    max_pending_peer_count: Count = 64
    """A store with so many replicas that are behind gets no further ones meanwhile."""

    store_limit: Count = 15
    """Peers a minute to a store, and as many from it."""

    low_space_ratio: Share = 0.8
    """A store fuller than this gets no further replicas."""

    patrol_region_interval_ms: Positive = 10
    """Between two looks of the checkers at a piece of all regions."""

    enable_joint_consensus: bool = True
    """Exchange replicas in one joint step; false: one member after the other."""


class BootstrapSettings(Section, frozen=True, kw_only=True):
    """[bootstrap]: the initial layout of a new cluster. With neither key the first store bootstraps one region."""

    split_keys: tuple[str, ...] = ()
    """Borders of the first regions, as people write keys: text, b'a\\x00', hex:6100 or b64:YQA=."""

    stores: Count = 0
    """Stores to wait for before the regions are placed; 0: as many as replication.max-replicas."""

    @property
    def has_layout(self) -> bool:
        """True if PD makes the first regions (one more than split keys), spread over the stores it waits for."""
        return bool(self.split_keys) or self.stores > 0

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The split keys as bytes, ascending."""
        return tuple(sorted(parse_key(text) for text in self.split_keys))

    def validate(self) -> None:
        """Raise ConfigError for a key that cannot be read, is empty, too long or named twice."""
        keys = self.keys
        for key in keys:
            if not key or len(key) > KEY_SIZE_BYTES_MAX:
                raise ConfigError(
                    f"bootstrap.split-keys: a key has 1 to {KEY_SIZE_BYTES_MAX // KIB} KiB, not {len(key)}"
                )
            if keys.count(key) > 1:
                raise ConfigError(f"bootstrap.split-keys names {key!r} twice; leave one out")


class PdSettings(Section, frozen=True, kw_only=True):
    """All settings of one PD process."""

    ready_file: str = ""
    """A file with the process's addresses as JSON, written once it serves; empty: none."""

    name: Text = "pd"
    """The name of this PD among its members."""

    data_dir: str = ""
    """Empty: default.NAME."""

    client_urls: Text = "http://127.0.0.1:2379"
    """What to listen on: one URL."""

    advertise_client_urls: str = ""
    """What clients and stores are told to use; empty: client-urls."""

    tso_save_interval_ms: Positive = 3_000
    """How far ahead of the clock the upper bound of all timestamps is stored."""

    replication: ReplicationSettings = ReplicationSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    bootstrap: BootstrapSettings = BootstrapSettings()
    log: LogSettings = LogSettings()

    @property
    def data_path(self) -> str:
        """The directory PD keeps its state in."""
        return self.data_dir or f"default.{self.name}"

    @property
    def address(self) -> str:
        """host:port to bind."""
        return from_url(self.client_urls, "client-urls")

    @property
    def advertise_addresses(self) -> tuple[str, ...]:
        """host:port of every advertised URL; empty: as bound."""
        return tuple(from_url(url, "advertise-client-urls") for url in self.advertise_client_urls.split(",") if url)

    @property
    def stores_wanted(self) -> int:
        """Stores that must have registered before the initial layout is made."""
        return self.bootstrap.stores or self.replication.max_replicas

    def validate(self) -> None:
        """Raise ConfigError for the first thing that cannot work, naming the keys and what to change."""
        if "," in self.client_urls:
            raise ConfigError(
                f'client-urls = "{self.client_urls}" names several URLs: one is served; '
                "http://0.0.0.0:2379 stands for every interface"
            )
        advertised = self.advertise_addresses
        _check_listener("client-urls", self.address, advertised[0] if advertised else "")
        self.bootstrap.validate()
        if self.bootstrap.has_layout and self.stores_wanted < self.replication.max_replicas:
            raise ConfigError(
                f"bootstrap.stores = {self.bootstrap.stores} is less than replication.max-replicas = "
                f"{self.replication.max_replicas}: each replica needs a store of its own"
            )

    def to_dict(self) -> dict[str, Any]:
        """Kebab-case tables, as PD's configuration shows them."""
        return toml_file.to_dict(self)


def load_store_settings(path: Path | None, flags: Mapping[str, Any]) -> StoreSettings:
    """Settings of a store: ``flags`` (nested tables, as in the file) over the file over its profile over the defaults.

    Errors: ConfigError naming the file for anything that is not right.
    """
    named = flags.get("profile") or (toml_file.read_toml(path).get("profile") if path is not None else None)
    settings = _load(StoreSettings, path, flags, profile_tables(named or "default"))
    settings.validate()
    return settings


def load_pd_settings(path: Path | None, flags: Mapping[str, Any]) -> PdSettings:
    """Settings of PD: ``flags`` (nested tables, as in the file) over the file over the defaults.

    Errors: ConfigError naming the file for anything that is not right.
    """
    settings = _load(PdSettings, path, flags)
    settings.validate()
    return settings


def parse_key(text: str) -> bytes:
    """A key as people write it (model/keys.py). Errors: ConfigError for one that cannot be read."""
    try:
        return keys.parse_key(text)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _load(
    kind: type[AnySection], path: Path | None, flags: Mapping[str, Any], under: Mapping[str, Any] | None = None
) -> AnySection:
    """``under``: tables that stand under the file."""
    if path is None:
        return toml_file.build(kind, toml_text.merge(under or {}, flags))
    tables = toml_file.read_toml(path)
    try:
        toml_file.build(kind, tables)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return toml_file.build(kind, toml_text.merge(toml_text.merge(under or {}, tables), flags))


def _check_listener(key: str, bound: str, advertised: str) -> None:
    host, _ = split_address(bound, key)
    if advertised:
        host, port = split_address(advertised, _advertise_key(key))
        if host in ANY_HOST or port == 0:
            raise ConfigError(f'{_advertise_key(key)} = "{advertised}" is no address that others can dial')
    elif host in ANY_HOST:
        raise ConfigError(f'{key} = "{bound}" is no address that others can dial: set {_advertise_key(key)} too')


def _advertise_key(key: str) -> str:
    section, dot, name = key.rpartition(".")
    return f"{section}{dot}advertise-{name}"


def _check_ports_differ(listeners: Mapping[str, str]) -> None:
    seen: dict[int, str] = {}
    for key, address in listeners.items():
        port = split_address(address, key)[1]
        if port and port in seen:
            raise ConfigError(f"{key} and {seen[port]} both use port {port}: give them different ports")
        seen[port] = key
