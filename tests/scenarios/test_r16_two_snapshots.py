"""R16. A second snapshot came while the first was being applied (etcd 18055). They are installed one after the other,
each over a clean range, and one that is older than what is here by its index is dropped.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest

from flaredb.model.commands import DELETE, Write
from flaredb.model.ids import StoreId
from flaredb.model.orders import ChangePeers, PeerChange
from flaredb.raft import follower
from flaredb.store.install import Fills
from flaredb.store.messages import RaftEnvelope, SnapshotReceived, SnapshotSent
from tests.raft import test_historic
from tests.scenarios.promises import breaks, promise
from tests.store.harness import Cluster, cut_chunks
from tests.store.move_mutants import MUTANTS
from tests.store.move_rig import LEARNER, NEW, R1, cluster, fill

ROWS = 30
Taken = tuple[RaftEnvelope, list[bytes]]


def older_ones_are_taken() -> AbstractContextManager[Any]:
    """A snapshot is restored whatever is committed here already."""
    whole = follower.restore

    def restore(r: Any, snap: Any) -> bool:
        log = r.raft_log
        committed, log.committed = log.committed, 0
        taken = whole(r, snap)
        if not taken:
            log.committed = committed
        return taken

    return patch.object(follower, "restore", restore)


def both_are_filled() -> AbstractContextManager[Any]:
    """The rows of the first go on being written although a second one has come."""
    whole = Fills.start

    def start(self: Fills, peer: Any, file: Any) -> None:
        if peer.fill is None:
            whole(self, peer, file)

    return patch.object(Fills, "start", start)


class TwoSnapshots:
    """A new replica on store 4, and two snapshots for it that are on their way: between them rows were changed and
    deleted, and their log is gone.
    """

    def __init__(self) -> None:
        self.cluster: Cluster = cluster(fill_slice_bytes=100, log_count_max=10, log_gc_threshold=5)
        made = self.cluster
        fill(made, ROWS, value_bytes=20)
        self.node = made.nodes[StoreId(4)]
        self.taken: list[Taken] = []
        made.carry = self._lose
        made.order(1, ChangePeers((PeerChange(LEARNER, NEW),)))
        made.run_until(lambda: len(self.taken) == 1)
        found = made.newest(1)
        assert made.call(made.await_leader(1), found, Write([(DELETE, 0, b"key0000")], 7)) is None
        fill(made, ROWS - 1, value_bytes=21)
        assert made.call(made.await_leader(1), found, Write([(DELETE, 0, b"key0001")], 7)) is None
        made.run_until(lambda: len(self.taken) >= 2 and self._index(-1) > self._index(0) + ROWS)

    def _lose(self, node: Any, effect: Any) -> None:
        """The sender thinks that it was lost; so a second one is made."""
        self.taken.append((effect.envelope, cut_chunks(effect)))
        node.inbox.append(SnapshotSent(effect.envelope.region_id, effect.envelope.to_peer, False))

    def _index(self, at: int) -> int:
        snapshot = self.taken[at][0].message.snapshot
        assert snapshot is not None
        return snapshot.metadata.index

    def deliver(self, at: int) -> None:
        """One of them arrives, and a slice of its rows is written."""
        envelope, chunks = self.taken[at]
        self.cluster.step_node(self.node, [SnapshotReceived(envelope, self.node.files.save(chunks))])

    def check(self) -> None:
        made, node = self.cluster, self.node
        made.run_until(lambda: node.store.peers[R1].fill is None)
        del made.carry
        made.await_caught_up(1, NEW)
        leads = made.rows(made.await_leader(1).id)
        here = made.rows(4)
        wrong = sorted({key for key, _ in set(here) ^ set(leads)})
        promise(not wrong, f"after two snapshots {len(wrong)} rows are wrong, the first is {wrong[:1]}")
        made.run_until(lambda: not node.files.files)


def second_while_the_first_is_written() -> None:
    rig = TwoSnapshots()
    rig.deliver(0)
    rig.cluster.round()
    fill_now = rig.node.store.peers[R1].fill
    assert fill_now is not None
    assert 0 < fill_now.keys < ROWS, "half-way"
    rig.deliver(-1)
    rig.check()


def first_once_more_behind_the_second() -> None:
    rig = TwoSnapshots()
    rig.deliver(0)
    rig.deliver(-1)
    rig.deliver(0)
    rig.check()


def crash_between_them() -> None:
    """The store loses its power while the second is being written over the first."""
    rig = TwoSnapshots()
    rig.deliver(0)
    rig.cluster.round()
    rig.deliver(-1)
    rig.cluster.round()
    rig.cluster.crash(4)
    rig.node = rig.cluster.restart(4)
    assert rig.node.store.peers[R1].fill is not None
    rig.check()


REPLAYS = [second_while_the_first_is_written, first_once_more_behind_the_second, crash_between_them]


@pytest.mark.parametrize("replay", REPLAYS, ids=lambda replay: replay.__name__)
def test_r16_two_snapshots_leave_what_the_second_holds(replay: Any) -> None:
    replay()


def test_r16_in_the_core_the_second_counts() -> None:
    test_historic.test_two_snapshots_in_a_short_time()
    test_historic.test_a_snapshot_does_not_overwrite_newer_entries()


def test_r16_without_a_clean_range_rows_of_the_first_stay() -> None:
    breaks(second_while_the_first_is_written, MUTANTS["old_rows_under_a_snapshot"], r"rows are wrong, .*key0001")


def test_r16_without_giving_up_the_first_its_rows_are_taken_for_the_seconds() -> None:
    breaks(second_while_the_first_is_written, both_are_filled, "rows are wrong")


def test_r16_without_looking_at_the_index_an_older_one_goes_back() -> None:
    breaks(first_once_more_behind_the_second, older_ones_are_taken, "is before applied")
