"""R1. The applied index was saved apart from the data it stands for (etcd 13766, the data inconsistency of v3.5).

Another committer made everything durable that was written so far, between the index and the data; then the power went.
The replica took the entry for applied and never got its data.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from flaredb.model.commands import DELETE, Split, Write
from flaredb.model.ids import StoreId
from flaredb.store.raft_storage import RaftStorage
from tests.scenarios.promises import breaks, promise
from tests.store.harness import Cluster, put, region

LEFT, RIGHT = region(1, b"", b"m"), region(2, b"m", b"")
VICTIM = StoreId(3)


def index_apart_from_data() -> AbstractContextManager[Any]:
    """The applied index goes into a batch of its own, ahead of the step's."""
    whole = RaftStorage.set_apply_state

    def set_apply_state(self: RaftStorage, batch: Any) -> None:
        own = self._engine.batch()
        whole(self, own)
        self._engine.write(own)

    return patch.object(RaftStorage, "set_apply_state", set_apply_state)


def settled() -> Cluster:
    """Two regions on three stores, led elsewhere than on the victim, with some rows."""
    made = Cluster([LEFT, RIGHT])
    for found, key in ((LEFT, b"a"), (LEFT, b"gone"), (RIGHT, b"x")):
        assert made.put(found, key, b"old") is None
    assert VICTIM not in (made.await_leader(1).id, made.await_leader(2).id), "the rig's seed"
    made.run_for(300)
    return made


def play(durable: int) -> bool:
    """The victim applies a put and a delete in one region while the other is split. ``durable``: so many of the batches
    written since then are durable, by whoever's sync, when it loses its power. False: there are not so many.
    """
    made = settled()
    victim = made.nodes[VICTIM]
    left, right = made.await_leader(1), made.await_leader(2)
    log_ends = victim.store.peers[LEFT.id].node.raft.raft_log.tail_index
    made.send(left, LEFT, put(b"a", b"new"))
    made.send(left, LEFT, Write([(DELETE, 0, b"gone")], 4))
    made.send(right, RIGHT, Split((b"s",), RIGHT.epoch.conf_ver))
    made.run_until(lambda: victim.store.peers[LEFT.id].node.raft.raft_log.persisted > log_ends)
    victim.sync_at_once = False
    began = victim.engine.last_sequence
    made.run_until(lambda: victim.engine.get("default", b"a") == b"new" and len(made.regions_of(VICTIM)) == 3)
    if began + durable > victim.engine.last_sequence:
        return False
    victim.engine.sync_through(max(began + durable, victim.engine.synced_sequence))
    made.crash(VICTIM)
    made.restart(VICTIM)
    for found in made.regions_of(left.id):
        here = found.peer_on(VICTIM)
        assert here is not None
        made.await_caught_up(found.id, here)
    promise(made.rows(VICTIM) == made.rows(left.id), f"with {durable} batches durable, rows are missing on store 3")
    return True


def replay() -> None:
    durable = 0
    while play(durable):
        durable += 1
    assert durable >= 2, "before and after, at least"


def test_r01_a_power_cut_between_any_two_batches_leaves_index_and_data_in_step() -> None:
    replay()


def test_r01_without_one_batch_for_both_rows_get_lost() -> None:
    breaks(replay, index_apart_from_data, "rows are missing on store 3")
