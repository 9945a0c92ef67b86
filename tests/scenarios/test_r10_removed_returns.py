"""R10. A removed replica came back by an old message and voted: two leaders (tikv 10533, where the tombstone of a
later, empty replica had taken the place of its own; tikv 1262).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from flaredb.engine.base import CF_META
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import tombstone_key
from flaredb.model.orders import ChangePeers, PeerChange, TransferLeader
from flaredb.model.region import Peer, PeerRole
from flaredb.raft import MessageType
from flaredb.store import incoming, lifecycle
from flaredb.store.messages import RaftEnvelope
from flaredb.store.store import Store
from tests.scenarios.promises import breaks, promise, put_back
from tests.store.harness import CONFIG, Cluster, region
from tests.store.move_rig import LEARNER, R1, REMOVE, fill

M = MessageType
FOUND = region(1, stores=(1, 2, 3, 4))
A, C = (FOUND.peers[at] for at in (0, 2))
E = Peer(PeerId(2003), StoreId(3), PeerRole.LEARNER)

TOMBSTONE_FORGOTTEN = put_back("a forgotten tombstone")


def epochs_only() -> AbstractContextManager[Any]:
    """Tombstones are judged by the region that they hold alone, and that of an empty replica holds none."""

    def read(engine: Any, region_id: RegionId) -> Any:
        grave = lifecycle.read_tombstone(engine, region_id)
        return grave if grave is not None and grave[1].peers else None

    return patch.object(incoming, "read_tombstone", read)


@contextlib.contextmanager
def tombstone_apart_from_the_change() -> Iterator[None]:
    """The tombstone is written in the step after the one whose batch removes the replica."""
    whole, step = lifecycle.stage_destruction, Store.step
    late: list[tuple[Any, bytes, bytes]] = []

    class WithoutTombstone:
        def __init__(self, batch: Any, engine: Any) -> None:
            self._batch, self._engine = batch, engine

        def put(self, cf: str, key: bytes, value: bytes) -> None:
            late.append((self._engine, key, value))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._batch, name)

    def stage(peer: Any, batch: Any) -> None:
        whole(peer, WithoutTombstone(batch, peer.storage._engine))

    def next_step(self: Store, now_ms: int, inputs: Any) -> Any:
        for engine, key, value in [row for row in late if row[0] is self.engine]:
            late.remove((engine, key, value))
            batch = engine.batch()
            batch.put(CF_META, key, value)
            engine.write(batch)
        return step(self, now_ms, inputs)

    with (
        patch.object(lifecycle, "stage_destruction", stage),
        patch("flaredb.store.applier.stage_destruction", stage),
        patch.object(Store, "step", next_step),
    ):
        yield


def four_stores() -> Cluster:
    """Region 1 on four stores, led by the second; store 1 is cut off from now on."""
    made = Cluster([FOUND], stores=4, config=replace(CONFIG, leader_missing_ms=1_000))
    made.await_leader(1)
    fill(made, 5)
    made.order(1, TransferLeader((FOUND.peers[1],)))
    made.run_until(lambda: (leader := made.leader_of(1)) is not None and leader.id == 2)
    made.drop = lambda envelope: between_a_and(envelope, (2, 3, 4))
    return made


def between_a_and(envelope: RaftEnvelope, stores: tuple[int, ...]) -> bool:
    ends = {int(envelope.from_store), int(envelope.to_store)}
    return 1 in ends and not ends.isdisjoint(stores)


def removed_then_another_came_and_went() -> None:
    """a is cut off; c is removed; e comes to c's store and is removed, as PD tells it, before it has anything, so
    that it leaves a tombstone without a range; then a can reach c's store, and asks c for its vote.
    """
    made = four_stores()
    made.change(1, (REMOVE, C))
    made.run_until(lambda: R1 not in made.nodes[C.store_id].store.peers)
    made.carry = lambda node, effect: effect.source.close()
    made.change(1, (LEARNER, E))
    made.run_until(lambda: R1 in made.nodes[E.store_id].store.peers)
    made.change(1, (REMOVE, E))
    made.run_until(lambda: R1 not in made.nodes[E.store_id].store.peers)
    made.drop = lambda envelope: between_a_and(envelope, (2, 4))
    back = made.nodes[C.store_id].store.peers
    limit_ms = made.now_ms + 3_000
    while made.now_ms < limit_ms:
        made.round()
        here = back.get(R1)
        promise(here is None or here.meta.id != C.id, "a removed replica is back on its store")
    asked = [sent for sent in made.sent if sent.from_peer == A.id and sent.to_peer == C.id]
    assert any(sent.message.msg_type in (M.MsgRequestVote, M.MsgRequestPreVote) for sent in asked), "a asks c at all"


def test_r10_a_removed_replica_stays_away_when_another_came_and_went() -> None:
    removed_then_another_came_and_went()


def test_r10_without_tombstones_a_removed_replica_is_back() -> None:
    breaks(removed_then_another_came_and_went, TOMBSTONE_FORGOTTEN, "a removed replica is back on its store")


def test_r10_without_the_peer_id_in_tombstones_an_empty_one_hides_who_was_removed() -> None:
    breaks(removed_then_another_came_and_went, epochs_only, "a removed replica is back on its store")


# ------------------------------------------------ the tombstone and the change are one


def power_cut_at_the_removal() -> None:
    """c's store loses its power right after the batch that removes c is durable; then the cut-off a asks c."""
    made = four_stores()
    node = made.nodes[C.store_id]
    made.order(1, ChangePeers((PeerChange(REMOVE, C),)))
    made.run_until(lambda: R1 not in node.store.peers)
    node.engine.sync()
    made.crash(C.store_id)
    node = made.restart(C.store_id)
    gone = R1 not in node.store.peers
    buried = node.engine.get(CF_META, tombstone_key(RegionId(1))) is not None
    promise(not gone or buried, "a replica is gone and nothing says that it was removed")
    made.drop = lambda envelope: between_a_and(envelope, (2, 4))
    made.run_for(2_000)
    promise(R1 not in node.store.peers, "a removed replica is back on its store")


def test_r10_the_tombstone_is_durable_with_the_removal() -> None:
    power_cut_at_the_removal()


def test_r10_without_one_batch_for_both_nothing_says_that_it_was_removed() -> None:
    breaks(power_cut_at_the_removal, tombstone_apart_from_the_change, "nothing says that it was removed")
