"""Facts for the verdict, out of PD's HTTP API and what the stores answer themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from flaredb.cli.ctl.http import Pd, PdRefused
from flaredb.cli.ctl.operator_view import ended_at_s, parse_operator
from flaredb.cli.status.facts import ClusterFacts, Move, Reach, RegionFacts, StoreFacts
from flaredb.cli.store_pages import Page, ask_stores, is_loopback
from flaredb.model.units import parse_duration_ms, parse_size_bytes

HISTORY_S = 300
NEVER_S = 1e9
"""How long a store that was never heard is silent."""


def gather(pd: Pd) -> ClusterFacts:
    """Ask PD, and every store that was not removed. Errors: PdUnreachable, PdRefused."""
    listed = list_stores(pd)
    pages = ask_stores(status_addresses(listed, pd.hosts), "/status")
    regions = (pd.get("/regions") or {}).get("regions") or []
    return facts_of(pd, listed, reaches(listed, pages, pd.hosts), regions)


def list_stores(pd: Pd) -> list[dict[str, Any]]:
    """PD's store objects; none while the cluster has no regions. Errors: PdUnreachable, PdRefused."""
    try:
        return pd.get("/stores").get("stores") or []
    except PdRefused:
        if _is_bootstrapped(pd):
            raise
        return []


def facts_of(
    pd: Pd, listed: Sequence[Mapping[str, Any]], reach: Mapping[int, Reach], regions: Sequence[Mapping[str, Any]]
) -> ClusterFacts:
    """The same, where these were asked for already. ``listed`` and ``regions``: PD's objects."""
    if not _is_bootstrapped(pd):
        return ClusterFacts((), (), has_regions=False)
    now_s = pd.now_s()
    schedule = pd.get("/config/schedule") or {}
    replicas = (pd.get("/config/replicate") or {}).get("max-replicas", 3)
    moves = (move_of(line) for line in pd.get("/operators") or [])
    since_s = int(now_s) - HISTORY_S
    ended = pd.get(f"/operators/records?from={since_s}") or []
    return ClusterFacts(
        stores=tuple(sorted((store_of(item, reach, now_s) for item in listed), key=lambda store: store.id)),
        regions=tuple(region_of(item) for item in regions),
        moves=tuple(move for move in moves if move is not None),
        ended_s_ago=tuple(ended_ages(ended, now_s)),
        replicas_wanted=int(replicas),
        replace_after_s=_seconds(schedule.get("max-store-down-time", "30m")),
        halted=str(schedule.get("halt-scheduling", "false")).lower() == "true",
    )


def status_addresses(listed: Iterable[Mapping[str, Any]], pd_hosts: Collection[str]) -> dict[int, str]:
    """Where stores tell of themselves, by id. One that advertises a loopback address is not asked from elsewhere."""
    here = any(is_loopback(host) for host in pd_hosts)
    found = {}
    for item in listed:
        address = item["store"].get("status_address") or ""
        if address and (here or not is_loopback(address.rpartition(":")[0])):
            found[int(item["store"]["id"])] = address
    return found


def reaches(
    listed: Iterable[Mapping[str, Any]], pages: Mapping[int, Page], pd_hosts: Collection[str]
) -> dict[int, Reach]:
    """What the answers prove. That nobody listens proves a store gone only if this is a place that would see it: some
    other store answers, or it is on PD's own host."""
    some_answer = any(page.answered for page in pages.values())
    found = {}
    for item in listed:
        store_id, page = int(item["store"]["id"]), pages.get(int(item["store"]["id"]), Page())
        host = (item["store"].get("status_address") or "").rpartition(":")[0]
        if page.answered:
            found[store_id] = Reach.ANSWERS
        elif page.refused and (some_answer or host in pd_hosts):
            found[store_id] = Reach.GONE
        else:
            found[store_id] = Reach.UNKNOWN
    return found


def store_of(item: Mapping[str, Any], reach: Mapping[int, Reach], now_s: float) -> StoreFacts:
    """A store, from PD's object; ``now_s`` is PD's time."""
    meta, status = item["store"], item.get("status") or {}
    heard_s = meta.get("last_heartbeat", 0) / 1e9
    return StoreFacts(
        id=int(meta["id"]),
        address=meta.get("address", ""),
        state=meta.get("state_name", "Up"),
        reach=reach.get(int(meta["id"]), Reach.UNKNOWN),
        silent_s=max(0.0, now_s - heard_s) if heard_s else NEVER_S,
        leaders=status.get("leader_count", 0),
        regions=status.get("region_count", 0),
        size_mib=status.get("region_size", 0),
        pending=status.get("pending_peer_count", 0),
        available_bytes=_bytes(status.get("available", "0")),
        capacity_bytes=_bytes(status.get("capacity", "0")),
        version=meta.get("version", ""),
        is_busy=bool(status.get("is_busy")),
    )


def region_of(item: Mapping[str, Any]) -> RegionFacts:
    """A region, from PD's object."""
    roles: dict[str, list[int]] = {}
    for peer in item.get("peers") or []:
        roles.setdefault(peer.get("role_name", "Voter"), []).append(int(peer["store_id"]))
    voters, incoming, demoting = (roles.get(name, []) for name in ("Voter", "IncomingVoter", "DemotingVoter"))
    return RegionFacts(
        id=int(item["id"]),
        voters=(*voters, *incoming),
        voters_before=(*voters, *demoting) if incoming or demoting else (),
        learners=tuple(roles.get("Learner", [])),
        leader=int((item.get("leader") or {}).get("store_id", 0)),
        down=frozenset(int(entry["peer"]["store_id"]) for entry in item.get("down_peers") or []),
        pending=frozenset(int(peer["store_id"]) for peer in item.get("pending_peers") or []),
    )


def move_of(line: str) -> Move | None:
    """An operator that runs, from PD's line."""
    found = parse_operator(line)
    if found is None:
        return None
    return Move(int(found.region_id), found.name, found.brief, found.step, len(found.steps), found.now, found.kind)


def ended_ages(lines: Iterable[str], now_s: float) -> Iterable[float]:
    """How long ago operators that changed replicas ended well, in seconds."""
    for line in lines:
        found = parse_operator(line)
        at_s = ended_at_s(line)
        if found is None or at_s is None or not {"replica", "region"} & set(found.kind.split(",")):
            continue
        yield max(0.0, now_s - at_s)


def _is_bootstrapped(pd: Pd) -> bool:
    try:
        return bool(pd.get("/cluster/status").get("is_initialized"))
    except PdRefused:
        return True


def _seconds(text: str) -> float:
    try:
        return parse_duration_ms(str(text)) / 1_000
    except ValueError:
        return 1800.0


def _bytes(text: str) -> int:
    try:
        return parse_size_bytes(text)
    except ValueError:
        # A fraction of a byte, by rounding: "1.234KiB".
        digits = text.rstrip("KMGTPEiB")
        unit = text[len(digits) :]
        return int(float(digits or 0)) * parse_size_bytes(f"1{unit}" if unit else "1")
