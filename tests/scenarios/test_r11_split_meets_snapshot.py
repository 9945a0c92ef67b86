"""R11. A split met a snapshot of what it makes (tikv 866): two replicas of one store owned the same keys and one wiped
the other's rows (tikv 6366), or a replica that was replaced went on running (tikv 17535).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flaredb.model.region import Region
from flaredb.raft import Message, MessageType
from flaredb.store.messages import RaftEnvelope, SendSnapshot, SnapshotReceived
from tests.scenarios.promises import breaks, promise, put_back
from tests.store import test_move_snapshots
from tests.store.harness import CONFIG, Cluster, cut_chunks, region
from tests.store.move_mutants import MUTANTS
from tests.store.move_rig import REMOVE, follower_of

NO_OWNERS_LOOKED_UP = put_back("a snapshot over a neighbour")
SHORT_LOGS = replace(CONFIG, log_count_max=10, log_gc_threshold=5, fill_slice_bytes=40)

Taken = tuple[RaftEnvelope, list[bytes]]
"""A snapshot on its way: its message, and its rows in chunks."""


class DelayedSplit:
    """Region 1 was split while one follower heard nothing; both halves have been written to since, and their logs are
    gone. A snapshot of each is about to arrive at the follower's store.
    """

    def __init__(self) -> None:
        self.cluster = made = Cluster([region(1)], config=SHORT_LOGS)
        made.await_leader(1)
        for key in (b"a", b"z"):
            assert made.put(made.regions[0], key, b"before") is None
        made.run_for(300)
        self.slow = made.nodes[follower_of(made, 1).store_id]
        made.drop = lambda envelope: self.slow.id in (envelope.to_store, envelope.from_store)
        self.left, self.right = made.split(made.newest(1), b"m")
        for number in range(20):
            assert made.put(self.left, b"a%02d" % number, b"after") is None
            assert made.put(self.right, b"z%02d" % number, b"after") is None
        assert self.slow.store.region_map.regions() == list(made.regions), "it has not split"

    def take(self, found: Region) -> Taken:
        """A snapshot of a half as its leader has it now, for the replica on the slow store."""
        leader = self.cluster.await_leader(found.id)
        peer, here = leader.store.peers[found.id], found.peer_on(self.slow.id)
        assert here is not None
        snapshot = peer.storage.snapshot(0, here.id)
        source = leader.store.desk.hand_out(found.id, here.id)
        assert snapshot is not None
        assert source is not None
        message = Message(MessageType.MsgSnapshot, here.id, peer.meta.id, peer.term, snapshot=snapshot)
        ends = (peer.meta.id, leader.id, here.id, self.slow.id)
        epoch = found.epoch
        span = (found.start_key, found.end_key)
        envelope = RaftEnvelope(found.id, *ends, epoch.conf_ver, epoch.version, message, span)
        chunks = cut_chunks(SendSnapshot(self.slow.id, envelope, source))
        leader.store.desk.finished(found.id, here.id, succeeded=True)
        return envelope, chunks

    def deliver(self, taken: Taken) -> bool:
        """A snapshot arrives. True if it was taken in."""
        envelope, chunks = taken
        received = SnapshotReceived(envelope, self.slow.files.save(chunks))
        self.cluster.step_node(self.slow, [received])
        peer = self.slow.store.peers.get(envelope.region_id)
        return peer is not None and peer.region.epoch.version == envelope.version

    def check(self) -> None:
        """Every replica there holds what its leader holds, and nothing else is there."""
        made, slow = self.cluster, self.slow
        made.drop = lambda envelope: False
        for found in (self.left, self.right):
            here = found.peer_on(slow.id)
            assert here is not None
            made.await_caught_up(found.id, here)
        promise(made.rows(slow.id) == made.rows(made.await_leader(1).id), "rows are missing after split and snapshots")


def newborn_first() -> None:
    """The newborn's snapshot comes while its parent owns the keys, then the parent's, then the newborn's again."""
    rig = DelayedSplit()
    left, right = rig.take(rig.left), rig.take(rig.right)
    promise(not rig.deliver(left), "two replicas of one store own the same keys")
    assert rig.deliver(right)
    assert rig.deliver(left)
    rig.check()


def parent_first() -> None:
    rig = DelayedSplit()
    left, right = rig.take(rig.left), rig.take(rig.right)
    assert rig.deliver(right)
    assert rig.deliver(left)
    rig.check()


def newborn_removed_at_once() -> None:
    """The newborn's replica is removed while its rows are being written, and its snapshot comes once more."""
    rig = DelayedSplit()
    made, slow = rig.cluster, rig.slow
    left, right = rig.take(rig.left), rig.take(rig.right)
    assert rig.deliver(right)
    assert rig.deliver(left)
    here = rig.left.peer_on(slow.id)
    assert here is not None
    made.drop = lambda envelope: False
    made.change(rig.left.id, (REMOVE, here))
    made.run_until(lambda: rig.left.id not in slow.store.peers)
    promise(not rig.deliver(left), "a removed replica was taken in again")
    made.run_for(500)
    left_over = [key for key, _ in made.rows(slow.id) if key < b"m"]
    promise(not left_over, f"a removed replica left rows behind: {left_over[:3]}")
    assert made.put(rig.right, b"zz", b"on") is None
    made.await_caught_up(rig.right.id, rig.right.peer_on(slow.id))


@pytest.mark.parametrize("replay", [newborn_first, parent_first, newborn_removed_at_once], ids=lambda f: f.__name__)
def test_r11_no_two_replicas_of_a_store_own_the_same_keys(replay: Callable[[], None]) -> None:
    replay()


def test_r11_what_other_tests_have_of_it() -> None:
    test_move_snapshots.test_a_snapshot_over_a_neighbour_that_has_not_split_yet_is_refused()
    test_move_snapshots.test_a_snapshot_is_refused_when_a_neighbour_took_its_range_after_its_replica_was_made()


def test_r11_without_looking_up_who_owns_the_range_two_replicas_do() -> None:
    breaks(newborn_first, NO_OWNERS_LOOKED_UP, r"regions \d+ and \d+ overlap on store")
    replay = test_move_snapshots.test_a_snapshot_is_refused_when_a_neighbour_took_its_range_after_its_replica_was_made
    breaks(replay, MUTANTS["snapshot_over_a_neighbour"], "overlaps region 1 on the same store")


def test_r11_without_wiping_a_replaced_replica_its_rows_stay() -> None:
    breaks(newborn_removed_at_once, MUTANTS["rows_of_a_removed_replica_stay"], "left rows behind")


def test_r11_without_its_tombstone_a_replaced_replica_runs_on() -> None:
    breaks(newborn_removed_at_once, put_back("a forgotten tombstone"), "a removed replica was taken in again")
