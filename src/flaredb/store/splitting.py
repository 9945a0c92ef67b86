"""A store's part in splits around the log entry: who wants one, PD's ids, and what follows once it is applied."""

from __future__ import annotations

from flaredb.model.commands import Request, Split
from flaredb.model.errors import RegionError, ServerIsBusy
from flaredb.model.ids import PeerId
from flaredb.model.region import Region
from flaredb.store.checks import check
from flaredb.store.commands.split import SplitApplied, on_split_applied, propose_split
from flaredb.store.config import BUSY_BACKOFF_MS
from flaredb.store.messages import ReportSplit, SplitIdsGranted, SplitRequested
from flaredb.store.peer import Peer
from flaredb.store.split_check import CheckDone
from flaredb.store.state import StoreState


def split_request(store: StoreState, asked: SplitRequested) -> Request:
    """The request that stands for a split on the store's own or PD's behalf."""
    peer = store.peers.get(asked.region_id)
    peer_id = peer.meta.id if peer is not None else PeerId(0)
    command = Split(asked.keys, asked.conf_ver, asked.reason)
    return Request(asked.token, command, asked.region_id, asked.version, peer_id, store.store_id)


def on_split_ids(store: StoreState, granted: SplitIdsGranted) -> None:
    """The region may have changed while PD was asked: the gate again, then the log."""
    peer = store.peers.get(granted.region_id)
    if peer is None or peer.split is None or peer.split.is_proposed:
        return
    request = peer.split.request
    if request.version != granted.version:
        return
    try:
        if granted.error:
            raise ServerIsBusy(f"PD granted no ids for a split: {granted.error}", BUSY_BACKOFF_MS)
        check(peer, store.store_id, request, store.region_map)
        propose_split(store.config, peer, granted.ids, store.now_ms)
    except RegionError as error:
        give_up_split(store, peer, error)
    store.touched.add(peer.region.id)


def give_up_split(store: StoreState, peer: Peer, error: RegionError) -> None:
    """Forget the split under way. One that was proposed may still be applied; its proposal answers for it."""
    if peer.split is not None and not peer.split.is_proposed:
        store.answer(peer.split.request, error)
        peer.grown_bytes = store.config.region_split_size_bytes
    peer.split = None


def finish_split(store: StoreState, applied: SplitApplied) -> None:
    """Make an applied split true in memory; tell PD and whoever asked for it."""
    peer = applied.parent

    def add_newcomer(region: Region, campaigns: bool) -> Peer:
        return store.add_peer(region, first_start=True, eager=campaigns)

    on_split_applied(applied, store.region_map, store.config, add_newcomer)
    store.touched.add(peer.region.id)
    if peer.is_leader:
        store.emit(ReportSplit(applied.results))
        store.report(peer)
    if applied.request is not None:
        store.answer(applied.request, applied.results)
    new_ids = [region.id for region in applied.results[:-1]]
    store.note("region split", region_id=peer.region.id, region_ids=new_ids, index=peer.applied_index)


def wanted_by_check(peer: Peer, done: CheckDone) -> SplitRequested | None:
    """Take over what a check has counted; the split that it wants, if any."""
    if done.is_whole:
        peer.approximate_size_bytes, peer.approximate_keys = done.size_bytes, done.key_count
    if not done.keys or not peer.is_leader:
        return None
    epoch = peer.region.epoch
    return SplitRequested(None, peer.region.id, epoch.version, epoch.conf_ver, done.keys, done.reason)
