"""A store's series for Prometheus, under TiKV's names where the meaning is the same (wire facts 6)."""

from __future__ import annotations

from flaredb.server.counters import Counters
from flaredb.server.metrics import (
    Metric,
    counter,
    gauge,
    histogram,
    plain,
    plain_histogram,
    process_metrics,
    render_metrics,
)


def render_store_metrics(counters: Counters) -> str:
    """All series of a store process as Prometheus text, in a fixed order."""
    return render_metrics(
        [
            *_requests(counters),
            *_raft(counters),
            *_traffic(counters),
            *_snapshots(counters),
            *_pd(counters),
            *_store(counters),
            *process_metrics(),
        ]
    )


def _requests(counters: Counters) -> list[Metric]:
    return [
        histogram("tikv_grpc_msg_duration_seconds", "Time from a request's arrival to its answer", counters.calls),
        counter("tikv_grpc_msg_fail_total", "Requests that failed", counters.failures),
        counter("flaredb_region_errors_total", "Answers that were region errors", counters.region_errors),
        counter(
            "flaredb_region_keys_total", "Keys read and written in regions led here", counters.keys_moved, "direction"
        ),
        counter("flaredb_region_bytes_total", "Keys and values of them, in bytes", counters.bytes_moved, "direction"),
    ]


def _raft(counters: Counters) -> list[Metric]:
    return [
        gauge(
            "tikv_raftstore_region_count",
            "Replicas on this store, and how many of them lead",
            {"region": counters.region_count, "leader": counters.leader_count},
        ),
        counter("flaredb_busy_total", "Requests refused with ServerIsBusy", counters.busy, label="full"),
        plain("flaredb_admitted_share", "gauge", "Share of writes let in", counters.admitted_share),
        plain("flaredb_appends_dropped_total", "counter", "Entries not taken", counters.appends_dropped),
        counter("flaredb_reads_total", "Reads by what proved their leader", counters.reads, label="by"),
        plain("flaredb_leases_suspended", "gauge", "1: clocks differ too much for leases", counters.leases_suspended),
        plain("flaredb_lease_suspensions_total", "counter", "Times it began", counters.lease_suspensions),
        plain_histogram(
            "tikv_raftstore_append_log_duration_seconds", "Making log entries durable", counters.append_log
        ),
        histogram(
            "tikv_raftstore_raft_process_duration_secs", "Steps of the store, with effects", {"ready": counters.step}
        ),
        plain("flaredb_idle_poll_seconds_total", "counter", "Time awake to be there at once", counters.idle_poll_s),
    ]


def _traffic(counters: Counters) -> list[Metric]:
    peers = counters.peers
    sent = [({"type": kind, "status": "accept"}, float(count)) for kind, count in counters.raft_sent.items()]
    sent.append(({"type": "any", "status": "drop"}, peers.messages_dropped))
    unreached = [({"type": "unreachable", "store_id": str(to)}, float(n)) for to, n in counters.unreached.items()]
    return [
        ("tikv_raftstore_raft_sent_message_total", "counter", "Raft messages to other stores", sent),
        plain("tikv_server_raft_message_recv_total", "counter", "Raft messages received", peers.messages_received),
        plain("flaredb_raft_messages_refused_total", "counter", "Raft messages refused", counters.messages_refused),
        ("tikv_server_report_failure_msg_total", "counter", "Losses of messages to a store", unreached),
        counter(
            "flaredb_peer_link_bytes_total",
            "Bytes between stores",
            {"sent": peers.bytes_sent, "received": peers.bytes_received},
            label="direction",
        ),
        counter(
            "flaredb_peer_link_connections_total",
            "Connections between stores",
            {"made": peers.connects, "made_again": peers.reconnects, "refused": peers.refused_inbound},
        ),
        counter("tikv_channel_full_total", "Refusals of a full queue", counters.channel_full),
    ]


def _snapshots(counters: Counters) -> list[Metric]:
    snapshots = counters.snapshots
    return [
        gauge("tikv_raftstore_snapshot_traffic_total", "Snapshots on their way right now", counters.snapshot_traffic),
        histogram(
            "tikv_server_snapshot_duration_seconds",
            "Whole snapshots, from the first byte to the last answer",
            {"send": snapshots.send_seconds, "recv": snapshots.receive_seconds},
        ),
        counter(
            "tikv_snapshot_limit_transport_bytes_total",
            "Bytes of snapshots",
            {"send": snapshots.bytes_sent, "recv": snapshots.bytes_received},
        ),
        counter(
            "flaredb_snapshots_total",
            "Snapshots to and from other stores",
            {
                "sent": snapshots.sent,
                "send_failed": snapshots.send_failed,
                "received": snapshots.received,
                "receive_failed": snapshots.receive_failed,
                "refused": snapshots.refused,
            },
            label="outcome",
        ),
    ]


def _pd(counters: Counters) -> list[Metric]:
    return [
        histogram("tikv_pd_request_duration_seconds", "Calls of PD", counters.pd_calls),
        counter("tikv_pd_heartbeat_message_total", "Region heartbeats", counters.pd_heartbeats),
    ]


def _store(counters: Counters) -> list[Metric]:
    return [
        gauge(
            "tikv_store_size_bytes",
            "The disk that holds the data, and the data",
            {"capacity": counters.capacity_bytes, "available": counters.available_bytes, "used": counters.used_bytes},
        ),
        gauge("flaredb_engine_stats", "What the storage engine tells of itself", counters.engine),
    ]
