"""Requests from their arrival to their answer: bounds, the gate, waiting for what is merely not known yet."""

from __future__ import annotations

from typing import Any

from flaredb.model.commands import ChangeMembers, Request, Split, Write
from flaredb.model.errors import (
    NotLeader,
    ReadIndexNotReady,
    RegionError,
    RegionNotFound,
    ServerIsBusy,
    StoreClosing,
    UndeterminedResult,
)
from flaredb.model.ids import RegionId
from flaredb.store import reads
from flaredb.store.checks import LeaderUnknown, check
from flaredb.store.commands.conf_change import propose_change
from flaredb.store.commands.split import ask_split
from flaredb.store.commands.write import collect_write
from flaredb.store.config import BUSY_BACKOFF_MS
from flaredb.store.hibernation import wake
from flaredb.store.messages import RefreshRoutes
from flaredb.store.peer import Peer
from flaredb.store.splitting import give_up_split
from flaredb.store.state import StoreState


def take_request(store: StoreState, request: Request) -> None:
    """Count a request in, or refuse it because too much waits already."""
    if store.is_closing:
        store.reply(request, StoreClosing())
        return
    size_bytes = 0
    if store.waiting_requests >= store.config.requests_max:
        _refuse_busy(
            store,
            request,
            "requests",
            f"{store.waiting_requests} requests wait in store {store.store_id}, which is all that "
            "raftstore.max-waiting-requests allows",
        )
        return
    if isinstance(request.command, Write):
        size_bytes = request.command.size_bytes
        if not _has_room_for_write(store, request, size_bytes):
            return
    store.waiting_requests += 1
    store.waiting_write_bytes += size_bytes
    admit(store, request)


def _has_room_for_write(store: StoreState, request: Request, size_bytes: int) -> bool:
    """False if the write was refused."""
    config = store.config
    if store.waiting_write_bytes + size_bytes > config.write_bytes_max:
        reason = (
            f"{store.waiting_write_bytes} bytes of writes wait in store {store.store_id}; with {size_bytes} more they "
            f"exceed raftstore.max-waiting-writes-size = {config.write_bytes_max}"
        )
        _refuse_busy(store, request, "writes", reason)
    elif store.unsynced_bytes > config.unsynced_bytes_max:
        reason = (
            f"{store.unsynced_bytes} bytes wait for the disk of store {store.store_id}, which is more than "
            f"raftstore.max-unsynced-size = {config.unsynced_bytes_max}"
        )
        _refuse_busy(store, request, "disk", reason)
    elif store.flow.refuses(store.now_ms):
        reason = f"the engine of store {store.store_id} is behind: {store.flow.reason} (storage.flow-control)"
        _refuse_busy(store, request, "engine", reason, store.flow.backoff_ms)
    else:
        return True
    return False


def _refuse_busy(
    store: StoreState, request: Request, what: str, reason: str, backoff_ms: int = BUSY_BACKOFF_MS
) -> None:
    store.busy_counts[what] = store.busy_counts.get(what, 0) + 1
    store.reply(request, ServerIsBusy(reason, backoff_ms))


def admit(store: StoreState, request: Request) -> None:
    """Send a request through the gate: to its region's queue, to wait for a leader, or back with an error."""
    peer = store.peers.get(request.region_id)
    if peer is None or not peer.is_initialised:
        _admit_unknown(store, request)
        return
    if peer.is_asleep:
        wake(store, peer)
    try:
        check(peer, store.store_id, request, store.region_map)
        _queue(store, peer, request)
    except LeaderUnknown as error:
        hold(store, peer.parked, request, error)
    except RegionError as error:
        if isinstance(error, ServerIsBusy):
            store.busy_counts["region"] = store.busy_counts.get("region", 0) + 1
        store.answer(request, error)
    store.touched.add(request.region_id)


def _queue(store: StoreState, peer: Peer, request: Request) -> None:
    command = request.command
    if isinstance(command, Write):
        collect_write(store.config, peer, request)
    elif isinstance(command, Split):
        store.emit(ask_split(store.config, peer, request, store.now_ms))
    elif isinstance(command, ChangeMembers):
        propose_change(peer, request, store.now_ms)
    else:
        if not request.deadline_ms:
            request.deadline_ms = store.now_ms + store.config.read_timeout_ms
        peer.reads.waiting.append(request)


def _admit_unknown(store: StoreState, request: Request) -> None:
    error = RegionNotFound(request.region_id, store.store_id, store.routes.describe(request.region_id))
    if store.is_started:
        store.emit(RefreshRoutes())
        store.answer(request, error)
    else:
        hold(store, store.unstarted, request, error)


def hold(store: StoreState, queue: list[Request], request: Request, error: RegionError) -> None:
    """Keep a request for what is merely not known yet, up to its deadline (wire facts 3.4)."""
    if not request.deadline_ms:
        request.deadline_ms = store.now_ms + store.config.hold_ms
    if request.deadline_ms <= store.now_ms:
        store.answer(request, error)
    else:
        queue.append(request)


def admit_held(store: StoreState, peer: Peer) -> None:
    """Leadership or the region changed: what waited for a leader goes through the gate again."""
    again, peer.parked = peer.parked, []
    for request in again:
        admit(store, request)


# ------------------------------------------------ deadlines


def may_expire(peer: Peer) -> bool:
    """False where nothing waits that has a deadline, as at most replicas most of the time."""
    return bool(peer.proposals or peer.parked or peer.split) or not peer.reads.is_idle()


def expire(store: StoreState, peer: Peer) -> None:
    """Refuse what has waited too long at one replica."""
    if peer.parked:
        peer.parked = refuse_late(store, peer.parked)
    for request in reads.take_expired(peer, store.now_ms):
        store.answer(request, ReadIndexNotReady(peer.region.id, "no quorum confirmed the leader in time"))
    limit_ms = store.now_ms - store.config.write_timeout_ms
    if peer.split is not None and peer.split.asked_ms <= limit_ms:
        give_up_split(store, peer, ServerIsBusy("PD granted no ids for a split in time", BUSY_BACKOFF_MS))
    for proposals in peer.proposals.values():
        for proposal in proposals:
            if proposal.requests and proposal.proposed_ms <= limit_ms:
                for request in proposal.requests:
                    store.answer(request, UndeterminedResult(peer.region.id, store.config.write_timeout_ms))
                proposal.requests = []


def refuse_late(store: StoreState, held: list[Request]) -> list[Request]:
    """Answer the held requests whose deadline has passed; the others."""
    kept = []
    for request in held:
        if request.deadline_ms > store.now_ms:
            kept.append(request)
        elif request.region_id in store.peers:
            store.answer(request, NotLeader(request.region_id, _leader_hint(store, request.region_id)))
        else:
            store.answer(request, RegionNotFound(request.region_id, store.store_id))
    return kept


def _leader_hint(store: StoreState, region_id: RegionId) -> Any:
    """Never a guess: a wrong hint makes old clients spend their retries in milliseconds (wire facts 3.4)."""
    leader = store.peers[region_id].leader()
    return leader if leader is not None and leader.store_id != store.store_id else None
