"""Stores, regions, operators, schedulers and settings in the JSON shapes that pd-ctl reads (wire facts 5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flaredb.model.cluster import StoreMeta
from flaredb.model.region import Peer, PeerRole
from flaredb.pd.messages import OperatorView, SchedulerView, StoreStatus
from flaredb.pd.region_tree import RegionRecord

MIB = 1024 * 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_ROLE_NAMES = {
    PeerRole.VOTER: "Voter",
    PeerRole.LEARNER: "Learner",
    PeerRole.INCOMING_VOTER: "IncomingVoter",
    PeerRole.DEMOTING_VOTER: "DemotingVoter",
}

# ---------------------------------------------------------------- stores


def store_shape(status: StoreStatus) -> dict[str, Any]:
    """A store object: what it is, and how it does."""
    meta, stats = status.meta, status.stats
    heard_at_s = meta.last_heartbeat_ns / 1_000_000_000
    shown: dict[str, Any] = {
        "capacity": size_text(stats.capacity_bytes if stats else 0),
        "available": size_text(stats.available_bytes if stats else 0),
        "used_size": size_text(stats.used_size_bytes if stats else 0),
        "leader_count": status.leader_count,
        "leader_weight": _number(status.leader_weight),
        "leader_score": _number(status.leader_score),
        "leader_size": size_mib(status.leader_size_bytes),
        "region_count": status.region_count,
        "region_weight": _number(status.region_weight),
        "region_score": _number(status.region_score),
        "region_size": size_mib(status.region_size_bytes),
        "slow_score": 1,
        "start_ts": rfc3339(meta.start_timestamp_s),
        "last_heartbeat_ts": rfc3339(heard_at_s),
        "uptime": _uptime(int(heard_at_s) - (meta.start_timestamp_s or int(heard_at_s))),
    }
    optional = {
        "learner_count": status.learner_count,
        "pending_peer_count": status.pending_peer_count,
        "sending_snap_count": stats.sending_snap_count if stats else 0,
        "receiving_snap_count": stats.receiving_snap_count if stats else 0,
        "applying_snap_count": stats.applying_snap_count if stats else 0,
        "is_busy": stats.is_busy if stats else False,
    }
    shown.update({name: value for name, value in optional.items() if value})
    return {"store": _store_meta(meta, status.state_name), "status": shown}


def limit_shape(status: StoreStatus) -> dict[str, float]:
    """Peers per minute that may come to a store and leave it."""
    return {"add-peer": _number(status.add_peer_limit), "remove-peer": _number(status.remove_peer_limit)}


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


# ---------------------------------------------------------------- regions


def region_shape(record: RegionRecord) -> dict[str, Any]:
    """A region object, with what its leader last reported."""
    region = record.region
    shown: dict[str, Any] = {
        "id": region.id,
        "start_key": region.start_key.hex().upper(),
        "end_key": region.end_key.hex().upper(),
        "epoch": {"conf_ver": region.epoch.conf_ver, "version": region.epoch.version},
        "peers": [peer_shape(peer) for peer in region.peers],
        "leader": peer_shape(record.leader) if record.leader is not None else {"role_name": "Voter"},
        "cpu_usage": 0,
        "written_bytes": record.bytes_written,
        "read_bytes": record.bytes_read,
        "written_keys": record.keys_written,
        "read_keys": record.keys_read,
        "approximate_size": size_mib(record.approximate_size_bytes),
        "approximate_keys": record.approximate_keys,
    }
    if record.down_peers:
        shown["down_peers"] = [
            {"down_seconds": down.down_seconds, "peer": peer_shape(down.peer)} for down in record.down_peers
        ]
    if record.pending_peers:
        shown["pending_peers"] = [peer_shape(peer) for peer in record.pending_peers]
    return shown


def peer_shape(peer: Peer) -> dict[str, Any]:
    """A replica."""
    shown: dict[str, Any] = {"id": peer.id, "store_id": peer.store_id, "role_name": _ROLE_NAMES[peer.role]}
    if peer.role:
        shown["role"] = int(peer.role)
    if peer.role == PeerRole.LEARNER:
        shown["is_learner"] = True
    return shown


# ---------------------------------------------------------------- operators


def operator_text(view: OperatorView) -> str:
    """An operator in the one line that stock PD shows it in."""
    steps = ", ".join(f"{number}:{{{step}}}" for number, step in enumerate(view.steps))
    timeouts = ", ".join(f"{seconds}s" for seconds in view.step_timeouts_s)
    return (
        f"{view.desc} {{{view.brief}}} (kind:{view.kind}, region:{view.region_id}({view.epoch.version}, "
        f"{view.epoch.conf_ver}), createAt:{_at(view.created_at_ms)}, startAt:{_at(view.started_at_ms)}, "
        f"currentStep:{view.current_step}, size:{size_mib(view.size_bytes)}, steps:[{steps}], timeout:[{timeouts}])"
    )


def operator_status_text(view: OperatorView) -> str:
    """An operator and how it stands; a reason follows where stock PD has none to give."""
    reason = f", reason: {view.reason}" if view.reason else ""
    return f"status: {view.status.name}, operator: {operator_text(view)}{reason}"


def operator_record_text(view: OperatorView) -> str:
    """An operator that ended, with the time it took."""
    took_s = max(0, view.ended_at_ms - view.started_at_ms) / 1_000
    outcome = view.status.name + (f": {view.reason}" if view.reason else "")
    return f"{operator_text(view)} (finishAt:{_at(view.ended_at_ms)}, duration:{took_s:g}s, {outcome})"


def operator_object(view: OperatorView) -> dict[str, Any]:
    """An operator as an object; times in RFC 3339."""
    return {
        "desc": view.desc,
        "brief": view.brief,
        "kind": view.kind,
        "region_id": view.region_id,
        "region_epoch": {"conf_ver": view.epoch.conf_ver, "version": view.epoch.version},
        "status": view.status.name,
        "reason": view.reason,
        "steps": list(view.steps),
        "current_step": view.current_step,
        "approximate_size": size_mib(view.size_bytes),
        "create_time": rfc3339(view.created_at_ms / 1_000),
        "start_time": rfc3339(view.started_at_ms / 1_000),
        "finish_time": rfc3339(view.ended_at_ms / 1_000) if view.ended_at_ms else None,
    }


# ---------------------------------------------------------------- schedulers, settings


def scheduler_pause_shape(view: SchedulerView) -> dict[str, Any]:
    """Since when and until when a scheduler is paused."""
    return {
        "name": view.name,
        "paused_at": rfc3339(view.paused_at_ms / 1_000),
        "resume_at": rfc3339(view.resume_at_ms / 1_000),
    }


def settings_shape(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as PD writes them: truth values are texts."""
    return {name: _setting(value) for name, value in settings.items()}


def _setting(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return _number(value) if isinstance(value, float) else value


# ---------------------------------------------------------------- values


def size_mib(size_bytes: int) -> int:
    """As PD counts: anything between 1 byte and 1 MiB is 1."""
    return max(1, size_bytes // MIB) if size_bytes else 0


def size_text(size_bytes: int) -> str:
    """As pd-ctl shows sizes: "931.5GiB"."""
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.4g}{_UNITS[unit]}"


def rfc3339(unix_s: float) -> str:
    """A moment as PD writes it, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")


def _number(value: float) -> float:
    """As Go writes numbers: 15, not 15.0."""
    return int(value) if value == int(value) else value


def _at(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " +0000 UTC"


def _uptime(seconds: int) -> str:
    hours, rest = divmod(max(0, seconds), 3600)
    return f"{hours}h{rest // 60}m{rest % 60}s"
