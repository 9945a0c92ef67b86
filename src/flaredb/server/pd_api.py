"""What PD's HTTP API shows of PD itself and of the cluster as a whole (wire facts 5); and its metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flaredb.pd.core import PdCore
from flaredb.server.metrics import Metric, counter, gauge, plain, process_metrics, render_metrics
from flaredb.server.order_streams import OrderStreams
from flaredb.server.pd_shapes import rfc3339


class PdApi:
    """Read only. Used on the event loop's thread; every method returns at once."""

    def __init__(
        self,
        core: PdCore,
        orders: OrderStreams,
        *,
        name: str,
        client_url: str,
        version: str,
        now_ms: Callable[[], int],
        started_at_s: int,
    ) -> None:
        """``now_ms`` is the core's clock; ``started_at_s`` unix seconds."""
        self._core = core
        self._orders = orders
        self._name = name
        self._client_url = client_url
        self._version = version
        self._now_ms = now_ms
        self._started_at_s = started_at_s

    @property
    def core(self) -> PdCore:
        """The core, to be read only."""
        return self._core

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
            "raft_bootstrap_time": rfc3339(at_ms / 1_000 if at_ms else 0),
            "is_initialized": at_ms is not None,
            "replication_status": "majority",
        }

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
            counter(
                "flaredb_pd_orders_total",
                "Orders to stores: on their streams, or dropped for want of one",
                {"sent": self._orders.sent, "dropped": self._orders.dropped},
                label="outcome",
            ),
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
