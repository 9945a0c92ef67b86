"""What PD's HTTP API shows, as plain dictionaries in the shapes that pd-ctl reads (wire facts 5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flaredb.model.cluster import StoreMeta, StoreState, StoreStats
from flaredb.model.region import Peer, PeerRole
from flaredb.pd.cluster import StoreRecord
from flaredb.pd.core import PdCore
from flaredb.pd.region_tree import RegionRecord
from flaredb.server.metrics import Metric, gauge, plain, process_metrics, render_metrics

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_ROLE_NAMES = {
    PeerRole.VOTER: "Voter",
    PeerRole.LEARNER: "Learner",
    PeerRole.INCOMING_VOTER: "IncomingVoter",
    PeerRole.DEMOTING_VOTER: "DemotingVoter",
}
_MIB = 1024 * 1024


class PdApi:
    """Read only. Used on the event loop's thread; every method returns at once."""

    def __init__(
        self, core: PdCore, *, name: str, client_url: str, version: str, now_ms: Callable[[], int], started_at_s: int
    ) -> None:
        """``now_ms`` is the core's clock; ``started_at_s`` unix seconds."""
        self._core = core
        self._name = name
        self._client_url = client_url
        self._version = version
        self._now_ms = now_ms
        self._started_at_s = started_at_s

    def members(self) -> dict[str, Any]:
        """The one member, which leads."""
        member = self._member()
        return {
            "header": {"cluster_id": self._core.cluster_id},
            "members": [member],
            "leader": member,
            "etcd_leader": member,
        }

    def leader(self) -> dict[str, Any]:
        """The leading member."""
        return self._member()

    def health(self) -> list[dict[str, Any]]:
        """Every member and whether it is well; who answers is."""
        member = self._member()
        return [{key: member[key] for key in ("name", "member_id", "client_urls")} | {"health": True}]

    def version(self) -> dict[str, Any]:
        """The PD version whose protocol this one speaks."""
        return {"version": self._version}

    def status(self) -> dict[str, Any]:
        """Build and start of this process."""
        return {
            "build_ts": "",
            "version": self._version,
            "git_hash": "",
            "start_timestamp": self._started_at_s,
            "kernel_type": "Classic",
        }

    def cluster(self) -> dict[str, Any]:
        """Id and wanted replicas."""
        return {"id": self._core.cluster_id, "max_peer_count": self._core.max_replicas}

    def cluster_status(self) -> dict[str, Any]:
        """Whether there are regions, and since when."""
        at_ms = self._core.bootstrapped_at_ms
        return {
            "raft_bootstrap_time": _rfc3339(at_ms / 1_000 if at_ms else 0),
            "is_initialized": at_ms is not None,
            "replication_status": "majority",
        }

    def stores(self, states: set[int] | None = None) -> dict[str, Any]:
        """All stores, or those in ``states``; without removed ones unless asked for."""
        wanted = states or {StoreState.UP, StoreState.OFFLINE}
        found = [self._store(record) for record in self._core.stores if record.meta.state in wanted]
        return {"count": len(found), "stores": found}

    def store(self, store_id: int) -> dict[str, Any] | None:
        """One store, None if unknown."""
        for record in self._core.stores:
            if record.meta.id == store_id:
                return self._store(record)
        return None

    def regions(self) -> dict[str, Any]:
        """All regions, by key."""
        found = [_region(record) for record in self._core.regions]
        return {"count": len(found), "regions": found}

    def region(self, region_id: int) -> dict[str, Any] | None:
        """One region, None if unknown."""
        for record in self._core.regions:
            if record.region.id == region_id:
                return _region(record)
        return None

    def region_of(self, key: bytes) -> dict[str, Any] | None:
        """The region that holds ``key``, None if none is known to."""
        record = self._core.regions.by_key(key)
        return None if record is None else _region(record)

    def metrics(self) -> str:
        """Prometheus text, with PD's names (wire facts 6)."""
        return render_metrics([*self._cluster_metrics(), *process_metrics()])

    def _cluster_metrics(self) -> list[Metric]:
        names = [self._core.stores.state_name(record, self._now_ms()) for record in self._core.stores]
        stats = [record.stats for record in self._core.stores if record.stats is not None]
        cluster: dict[str, float] = {
            "store_up_count": names.count("Up"),
            "store_disconnected_count": names.count("Disconnected"),
            "store_down_count": names.count("Down"),
            "store_offline_count": names.count("Offline"),
            "store_tombstone_count": names.count("Tombstone"),
            "storage_capacity": sum(item.capacity_bytes for item in stats),
            "storage_size": sum(item.used_size_bytes for item in stats),
            "region_count": len(self._core.regions),
            "leader_count": sum(record.leader is not None for record in self._core.regions),
        }
        regions: dict[str, float] = {
            "miss-peer-region-count": sum(
                len(record.region.peers) < self._core.max_replicas for record in self._core.regions
            ),
            "down-peer-region-count": sum(bool(record.down_peers) for record in self._core.regions),
            "pending-peer-region-count": sum(bool(record.pending_peers) for record in self._core.regions),
        }
        metadata: dict[str, float] = {"id": self._core.last_id, "cluster_id": self._core.cluster_id}
        return [
            gauge("pd_cluster_status", "State of the cluster", cluster),
            gauge("pd_regions_status", "Regions that need care", regions),
            gauge("pd_cluster_metadata", "Newest id and cluster id", metadata),
            gauge("pd_cluster_tso", "Newest millisecond of timestamps", {"tso": self._core.tso.physical_ms}),
            plain("flaredb_pd_held_calls", "gauge", "Calls that wait for an answer", self._core.held_calls),
        ]

    def _member(self) -> dict[str, Any]:
        return {
            "name": self._name,
            "member_id": self._core.member_id,
            "peer_urls": [self._client_url],
            "client_urls": [self._client_url],
            "deploy_path": "",
            "binary_version": self._version,
            "git_hash": "",
        }

    def _store(self, record: StoreRecord) -> dict[str, Any]:
        meta = record.meta
        state_name = self._core.stores.state_name(record, self._now_ms())
        return {"store": _store_meta(meta, state_name), "status": self._store_status(meta, record.stats)}

    def _store_status(self, meta: StoreMeta, stats: StoreStats | None) -> dict[str, Any]:
        led = [item for item in self._core.regions if item.leader is not None and item.leader.store_id == meta.id]
        held = [item for item in self._core.regions if item.region.peer_on(meta.id) is not None]
        heard_at_s = meta.last_heartbeat_ns / 1_000_000_000
        return {
            "capacity": _size(stats.capacity_bytes if stats else 0),
            "available": _size(stats.available_bytes if stats else 0),
            "used_size": _size(stats.used_size_bytes if stats else 0),
            "leader_count": len(led),
            "leader_weight": 1,
            "leader_score": len(led),
            "leader_size": sum(map(_size_mib, led)),
            "region_count": len(held),
            "region_weight": 1,
            "region_score": sum(map(_size_mib, held)),
            "region_size": sum(map(_size_mib, held)),
            "slow_score": 1,
            **({"is_busy": True} if stats and stats.is_busy else {}),
            "start_ts": _rfc3339(meta.start_timestamp_s),
            "last_heartbeat_ts": _rfc3339(heard_at_s),
            "uptime": _uptime(int(heard_at_s) - meta.start_timestamp_s if heard_at_s else 0),
        }


def _store_meta(meta: StoreMeta, state_name: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": meta.id,
        "address": meta.address,
        "labels": [{"key": key, "value": value} for key, value in meta.labels],
        "version": meta.version,
        "peer_address": meta.peer_address,
        "status_address": meta.status_address,
        "git_hash": meta.git_hash,
        "start_timestamp": meta.start_timestamp_s,
        "deploy_path": meta.deploy_path,
        "last_heartbeat": meta.last_heartbeat_ns,
        "node_state": int(meta.node_state),
        "state_name": state_name,
    }
    if meta.state:
        shown["state"] = int(meta.state)
    return shown


def _region(record: RegionRecord) -> dict[str, Any]:
    region = record.region
    shown: dict[str, Any] = {
        "id": region.id,
        "start_key": region.start_key.hex().upper(),
        "end_key": region.end_key.hex().upper(),
        "epoch": {"conf_ver": region.epoch.conf_ver, "version": region.epoch.version},
        "peers": [_peer(peer) for peer in region.peers],
        "leader": _peer(record.leader) if record.leader is not None else {"role_name": "Voter"},
        "cpu_usage": 0,
        "written_bytes": record.bytes_written,
        "read_bytes": record.bytes_read,
        "written_keys": record.keys_written,
        "read_keys": record.keys_read,
        "approximate_size": _size_mib(record),
        "approximate_keys": record.approximate_keys,
    }
    if record.down_peers:
        shown["down_peers"] = [
            {"down_seconds": down.down_seconds, "peer": _peer(down.peer)} for down in record.down_peers
        ]
    if record.pending_peers:
        shown["pending_peers"] = [_peer(peer) for peer in record.pending_peers]
    return shown


def _peer(peer: Peer) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": peer.id, "store_id": peer.store_id, "role_name": _ROLE_NAMES[peer.role]}
    if peer.role:
        shown["role"] = int(peer.role)
    if peer.role == PeerRole.LEARNER:
        shown["is_learner"] = True
    return shown


def _size_mib(record: RegionRecord) -> int:
    """As PD counts: anything between 1 byte and 1 MiB is 1."""
    size_bytes = record.approximate_size_bytes
    return max(1, size_bytes // _MIB) if size_bytes else 0


def _size(size_bytes: int) -> str:
    """As pd-ctl shows sizes: "931.5GiB"."""
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.4g}{_UNITS[unit]}"


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")


def _uptime(seconds: int) -> str:
    hours, rest = divmod(max(0, seconds), 3600)
    return f"{hours}h{rest // 60}m{rest % 60}s"
