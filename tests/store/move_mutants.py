"""Known mistakes in moving regions, put back one at a time. Each is a context manager that breaks one guard."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from flaredb.engine.base import CF_META, WriteBatch
from flaredb.model.region import Region
from flaredb.raft import Snapshot
from flaredb.store import applier, incoming, install, lifecycle, ready, snapshot_desk, store
from flaredb.store.commands import compact_log, conf_change
from flaredb.store.peer import Peer
from flaredb.store.region_map import RegionMap

Mutant = Callable[[], AbstractContextManager[Any]]
MUTANTS: dict[str, Mutant] = {}


def mutant(make: Mutant) -> Mutant:
    MUTANTS[make.__name__] = make
    return make


@mutant
def tombstone_forgotten() -> AbstractContextManager[Any]:
    return patch.object(incoming, "read_tombstone", lambda engine, region_id: None)


@mutant
def split_takes_a_vote_back() -> AbstractContextManager[Any]:
    return patch.object(store, "may_be_born_by_split", lambda here, region_id: region_id not in here.peers)


@mutant
@contextlib.contextmanager
def snapshot_over_a_neighbour() -> Iterator[None]:
    whole = incoming.snapshot_refusal

    def refusal(here: Any, envelope: Any) -> str | None:
        reason = whole(here, envelope)
        return None if reason and "holds keys of it" in reason else reason

    with patch.object(incoming, "snapshot_refusal", refusal), patch.object(store, "snapshot_refusal", refusal):
        yield


@mutant
def replica_over_a_neighbour() -> AbstractContextManager[Any]:
    whole = incoming._birth

    class Blind(RegionMap):
        def overlapping(self, start_key: bytes, end_key: bytes) -> list[Region]:
            return []

    def birth(here: Any, envelope: Any) -> Peer | None:
        with patch.object(here, "region_map", Blind()):
            return whole(here, envelope)

    return patch.object(incoming, "_birth", birth)


@mutant
def read_while_filling() -> AbstractContextManager[Any]:
    whole = store.Store._run_reads

    def run_reads(self: Any) -> None:
        fills = {region_id: peer.fill for region_id, peer in self.peers.items()}
        for peer in self.peers.values():
            peer.fill = None
        try:
            whole(self)
        finally:
            for region_id, peer in self.peers.items():
                peer.fill = fills.get(region_id)

    return patch.object(store.Store, "_run_reads", run_reads)


@mutant
def apply_while_filling() -> AbstractContextManager[Any]:
    return patch.object(ready.ReadyStep, "_apply", lambda self, peer, entries: self.applier.apply(peer, entries))


@mutant
def install_without_mark() -> AbstractContextManager[Any]:
    whole = install.begin_install

    def begin(peer: Peer, snapshot: Snapshot, batch: WriteBatch) -> install.InstallBegun:
        begun = whole(peer, snapshot, batch)
        batch.delete(CF_META, install.install_key(peer.region.id))
        return begun

    return patch.object(ready, "begin_install", begin)


@mutant
def file_gone_before_the_sync() -> AbstractContextManager[Any]:
    whole = store.Store._run_fills

    def run_fills(self: Any) -> None:
        whole(self)
        for name in self.fills.finished:
            self.files.discard(name)

    return patch.object(store.Store, "_run_fills", run_fills)


@mutant
def snapshot_acknowledged_before_the_sync() -> AbstractContextManager[Any]:
    whole = ready.ReadyStep._await_sync

    def await_sync(self: Any, peer: Peer, done: Any) -> None:
        if done.snapshot is None:
            whole(self, peer, done)
            return
        self.must_sync = True
        peer.node.on_persist_ready(done.number)
        self._outbox.add(peer, done.persisted_messages)

    return patch.object(ready.ReadyStep, "_await_sync", await_sync)


@mutant
def old_rows_under_a_snapshot() -> AbstractContextManager[Any]:
    return patch.object(install, "wipe_range", lambda start_key, end_key, batch: None)


@mutant
def snapshot_ahead_of_its_rows() -> AbstractContextManager[Any]:
    whole = snapshot_desk._describe

    def describe(snapshot: Any, region_id: Any) -> Any:
        made = whole(snapshot, region_id)
        if made is not None:
            made[1].index += 1
        return made

    return patch.object(snapshot_desk, "_describe", describe)


@mutant
def rows_of_a_removed_replica_stay() -> AbstractContextManager[Any]:
    return patch.object(lifecycle, "wipe_range", lambda start_key, end_key, batch: None)


@mutant
def removed_replica_is_not_told() -> AbstractContextManager[Any]:
    return patch.object(incoming, "_tell_removed", lambda here, envelope, own_id, region: None)


@mutant
@contextlib.contextmanager
def change_of_another_epoch() -> Iterator[None]:
    def apply_anyway(peer: Peer, entry: Any, batch: Any, request: Any) -> Any:
        whole = conf_change.decode_change_peers

        def decode(context: bytes) -> Any:
            return peer.region.epoch, whole(context)[1]

        with patch.object(conf_change, "decode_change_peers", decode):
            return apply(peer, entry, batch, request)

    apply = conf_change.apply_change
    with patch.object(conf_change, "apply_change", apply_anyway), patch.object(applier, "apply_change", apply_anyway):
        yield


@mutant
def quorum_not_looked_at() -> AbstractContextManager[Any]:
    return patch.object(conf_change, "_check_quorum_lives", lambda peer, after: None)


@mutant
def promotion_too_early() -> AbstractContextManager[Any]:
    return patch.object(conf_change, "_check_promotions", lambda peer, after: None)


@mutant
def leader_removed() -> AbstractContextManager[Any]:
    return patch.object(conf_change, "_check_leader_stays", lambda peer, after: None)


@mutant
def log_cut_under_a_slow_replica() -> AbstractContextManager[Any]:
    return patch.object(compact_log, "compactable_index", lambda config, peer: peer.applied_index)
