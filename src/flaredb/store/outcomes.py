"""What a step's batch did to regions, made true in memory once the batch is written: splits, changes, snapshots."""

from __future__ import annotations

from flaredb.store.admission import admit, admit_held
from flaredb.store.applier import Outcome
from flaredb.store.commands.conf_change import ChangeApplied, on_change_applied
from flaredb.store.commands.split import SplitApplied
from flaredb.store.install import InstallBegun
from flaredb.store.lifecycle import finish_destruction
from flaredb.store.reads import take_unconfirmed
from flaredb.store.splitting import finish_split
from flaredb.store.state import StoreState


def finish(store: StoreState, outcome: Outcome, sequence: int) -> None:
    """Pre: the batch that staged it is written; outcomes are finished in the order they were staged. ``sequence`` names
    the sync that will make that batch durable."""
    if isinstance(outcome, SplitApplied):
        peer = outcome.parent
        finish_split(store, outcome)
        again = take_unconfirmed(peer)
        admit_held(store, peer)
        for request in again:
            admit(store, request)
    elif isinstance(outcome, ChangeApplied):
        _finish_change(store, outcome, sequence)
    else:
        _finish_install(store, outcome)


def _finish_change(store: StoreState, applied: ChangeApplied, sequence: int) -> None:
    peer, after = applied.peer, applied.after
    store.contacts.is_stale = True
    if applied.request is not None:
        store.answer(applied.request, after)
    if after.peer(peer.meta.id) is None:
        finish_destruction(store, peer, applied.before, "it was removed from its region")
        return
    store.region_map.replace(applied.before, after)
    store.unsaved_changes[after.id] = sequence
    store.must_sync = True
    on_change_applied(applied, store.now_ms)
    if peer.is_leader:
        peer.has_pending = True
        peer.node.ping()
        store.touched.add(after.id)
    peers = [f"{meta.id}@{meta.store_id}:{meta.role.name.lower()}" for meta in after.peers]
    store.note("members changed", region_id=after.id, conf_ver=after.epoch.conf_ver, peers=peers)


def tell_changes(store: StoreState, synced: int) -> None:
    """Tell PD of changes of members that are durable, now that this sync is done."""
    for region_id in [each for each, sequence in store.unsaved_changes.items() if sequence <= synced]:
        del store.unsaved_changes[region_id]
        peer = store.peers[region_id]
        if peer.is_leader:
            store.report(peer)


def _finish_install(store: StoreState, begun: InstallBegun) -> None:
    """The replica has its range now; whoever asked for the old one hears so, its rows follow."""
    peer, after = begun.peer, begun.after
    meta = after.peer(peer.meta.id)
    assert meta is not None, "a snapshot without this replica is refused"
    assert peer.incoming is not None, "begin_install needs its rows"
    if begun.before.peers:
        store.region_map.remove(begun.before)
    store.region_map.insert(after)
    peer.meta = meta
    peer.store_of = {other.id: other.store_id for other in after.peers}
    store.contacts.is_stale = True
    store.answer_undetermined(peer, peer.take_proposed(up_to_index=peer.applied_index))
    store.fills.start(peer, peer.incoming)
    peer.incoming = None
    store.note("snapshot is being installed", region_id=after.id, peer_id=meta.id, index=peer.applied_index)
