"""Snapshots between stores: built, installed over crashes, and kept clear of other regions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaredb.model.commands import DELETE, Get, Write
from flaredb.model.errors import RegionError
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.keys import hard_state_key
from flaredb.model.orders import ChangePeers, PeerChange
from flaredb.model.region import Peer
from flaredb.raft import (
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from flaredb.store.messages import (
    RaftEnvelope,
    RaftReceived,
    SendSnapshot,
    SnapshotReceived,
    SnapshotSent,
)
from flaredb.store.roles import conf_state_of
from flaredb.wire.states import encode_hard_state, encode_region
from tests.store.harness import CONFIG, Cluster, Node, cut_chunks, region
from tests.store.move_rig import LEARNER, NEW, R1, REMOVE, cluster, fill, follower_of

# ------------------------------------------------ snapshots and crashes


def begin_fill(made: Cluster, rows: int = 40) -> Node:
    """A new replica on store 4 whose snapshot has arrived and whose rows are half written."""
    fill(made, rows, value_bytes=50)
    node = made.nodes[StoreId(4)]
    made.order(1, ChangePeers((PeerChange(LEARNER, NEW),)))
    made.run_until(lambda: R1 in node.store.peers and node.store.peers[R1].fill is not None)
    return node


def test_a_crash_while_rows_are_written_begins_the_filling_again() -> None:
    made = cluster(fill_slice_bytes=200)
    node = begin_fill(made)
    made.round()
    made.crash(4, "prefix")
    made.run_for(100)
    restarted = made.restart(4)
    assert restarted.store.peers[R1].fill is not None
    assert made.snapshots_sent == 1
    made.await_caught_up(1, NEW)
    assert made.rows(4) == made.rows(made.await_leader(1).id)
    made.run_until(lambda: not restarted.files.files)
    assert made.snapshots_sent == 1, "the file was there: nothing was sent again"
    assert node.files is restarted.files


@pytest.mark.parametrize("rounds", range(12))
@pytest.mark.parametrize("keep", ["synced", "prefix"])
@pytest.mark.parametrize("bulk_load_bytes_min", [0, 1 << 20], ids=["tables", "batches"])
def test_a_crash_at_any_round_of_an_install_loses_nothing(rounds: int, keep: str, bulk_load_bytes_min: int) -> None:
    made = cluster(fill_slice_bytes=600, bulk_load_bytes_min=bulk_load_bytes_min)
    fill(made, 20, value_bytes=50)
    made.order(1, ChangePeers((PeerChange(LEARNER, NEW),)))
    for _ in range(rounds):
        made.round()
    made.crash(4, keep)
    made.run_for(50)
    made.restart(4)
    fill(made, 22, value_bytes=51)
    made.run_until(lambda: made.newest(1).peer(NEW.id) is not None)
    made.await_caught_up(1, NEW)
    assert made.rows(4) == made.rows(made.await_leader(1).id)


def test_a_large_snapshot_is_taken_in_as_a_whole_and_a_small_one_in_batches() -> None:
    for bulk_load_bytes_min, half_way in ((0, 0), (1 << 20, 1)):
        made = cluster(fill_slice_bytes=200, bulk_load_bytes_min=bulk_load_bytes_min)
        node = begin_fill(made)
        made.round()
        assert node.store.peers[R1].fill is not None
        assert bool(made.rows(4)) == bool(half_way)
        made.await_caught_up(1, NEW)
        assert made.rows(4) == made.rows(made.await_leader(1).id)


def test_a_replica_removed_while_it_is_loaded_leaves_no_row() -> None:
    made = cluster(fill_slice_bytes=100, bulk_load_bytes_min=0)
    node = begin_fill(made)
    made.order(1, ChangePeers((PeerChange(REMOVE, NEW),)))
    made.run_until(lambda: R1 not in node.store.peers)
    made.run_for(200)
    assert not made.rows(4)
    assert not node.files.files


def test_nothing_is_applied_or_served_while_rows_are_written() -> None:
    made = cluster(fill_slice_bytes=100)
    node = begin_fill(made)
    made.put(made.newest(1), b"later", b"1")
    peer = node.store.peers[R1]
    assert peer.fill is not None
    made.run_until(lambda: peer.held_to)
    assert node.engine.get("default", b"later") is None
    made.await_caught_up(1, NEW)
    assert node.engine.get("default", b"later") == b"1"
    assert peer.held_to == 0


def test_a_follower_whose_log_is_gone_gets_a_snapshot() -> None:
    made = cluster(stores=3, log_count_max=30, log_gc_threshold=10)
    slow = follower_of(made, 1)
    made.crash(slow.store_id)
    fill(made, 60)
    leader = made.await_leader(1)
    made.run_until(lambda: leader.store.peers[R1].storage.apply_state.truncated_index > 40)
    made.restart(slow.store_id)
    made.await_caught_up(1, slow)
    assert made.snapshots_sent == 1
    assert made.rows(slow.store_id) == made.rows(leader.id)


def test_a_log_within_its_limits_is_kept_for_the_slowest_replica() -> None:
    made = cluster(stores=3, log_gc_threshold=10)
    slow = follower_of(made, 1)
    made.crash(slow.store_id)
    fill(made, 60)
    made.run_for(1000)
    made.restart(slow.store_id)
    made.await_caught_up(1, slow)
    assert made.snapshots_sent == 0


def test_a_failed_snapshot_is_sent_again_after_a_while() -> None:
    made = cluster()
    fill(made, 5)
    made.drop = lambda envelope: envelope.message.msg_type is MessageType.MsgSnapshot
    made.order(1, ChangePeers((PeerChange(LEARNER, NEW),)))
    made.run_until(lambda: made.snapshots_sent == 1)
    made.run_for(CONFIG.snapshot_retry_ms // 2)
    assert made.snapshots_sent == 1
    made.run_until(lambda: made.snapshots_sent == 2)
    made.drop = lambda envelope: False
    made.await_caught_up(1, NEW)


def test_engine_snapshots_for_sending_are_bounded() -> None:
    regions = [region(number, bytes([number]), bytes([number + 1])) for number in range(2, 8)]
    regions = [region(1, b"", b"\x02"), *regions, region(8, b"\x08", b"")]
    made = Cluster(regions, stores=4, config=replace(CONFIG, snapshots_sending_max=2))
    held: list[Any] = []
    made.carry = lambda node, effect: held.append((node, effect))
    for found in regions:
        made.change(found.id, (LEARNER, Peer(PeerId(found.id * 10 + 4), StoreId(4))))
    made.run_for(2000)
    by_store: dict[int, int] = {}
    for node, _ in held:
        by_store[node.id] = by_store.get(node.id, 0) + 1
    assert max(by_store.values()) == 2
    for node, effect in held:
        effect.source.close()
        node.inbox.append(SnapshotSent(effect.envelope.region_id, effect.envelope.to_peer, False))


# ------------------------------------------------ snapshots against splits (traps C1, C2)


def test_a_snapshot_over_a_neighbour_that_has_not_split_yet_is_refused() -> None:
    """Store 3 still holds [-inf, +inf) of region 1; a snapshot of the newborn [-inf, m) must wait for the split."""
    made = Cluster([region(1)], stores=3, config=replace(CONFIG, log_count_max=10, log_gc_threshold=5))
    leader = made.await_leader(1)
    slow = follower_of(made, 1)
    fill(made, 3)
    made.drop = lambda envelope: envelope.to_store == slow.store_id and envelope.region_id == 1
    made.split(made.newest(1), b"m")
    newborn = made.newest(101)
    for number in range(40):
        made.put(newborn, b"a%d" % number, b"v")
    made.run_until(lambda: leader.store.peers[newborn.id].storage.apply_state.truncated_index > 20)
    made.run_for(3000)
    node = made.nodes[slow.store_id]
    assert newborn.id not in node.store.peers, "no replica while region 1 owns the range"
    made.drop = lambda envelope: False
    made.await_caught_up(101, newborn.peer_on(slow.store_id))
    assert made.rows(slow.store_id) == made.rows(leader.id)


def test_a_split_that_meets_an_empty_replica_of_its_newborn_leaves_it_to_its_snapshot() -> None:
    """A replica that may have voted must not get the initial state, which would take its vote back."""
    made = Cluster([region(1)], stores=3)
    made.await_leader(1)
    slow = follower_of(made, 1)
    made.drop = lambda envelope: envelope.to_store == slow.store_id
    made.split(made.newest(1), b"m")
    node = made.nodes[slow.store_id]
    newborn = made.newest(101)
    here = newborn.peer_on(slow.store_id)
    ask = Message(MessageType.MsgRequestVote, here.id, newborn.peers[0].id, 50, 50, 50)
    envelope = RaftEnvelope(
        newborn.id, newborn.peers[0].id, newborn.peers[0].store_id, here.id, slow.store_id, 1, 2, ask, (b"", b"")
    )
    node.store.region_map.remove(node.store.peers[R1].region)  # as if region 1 were not here yet
    made.step_free(node, [RaftReceived([envelope])])
    node.store.region_map.insert(node.store.peers[R1].region)
    assert node.store.peers[newborn.id].node.raft.vote == newborn.peers[0].id
    made.drop = lambda envelope: False
    made.await_caught_up(101, here)
    assert node.store.peers[newborn.id].term >= 50, "the term it voted in is not forgotten"


def test_a_vote_survives_a_restart_and_the_split_that_would_make_its_replica_anew() -> None:
    """An empty replica is not in memory after a restart, but its vote is on disk: the split must not take it back."""
    made = Cluster([region(1)], stores=3)
    made.await_leader(1)
    slow = follower_of(made, 1)
    made.drop = lambda envelope: envelope.to_store == slow.store_id
    made.split(made.newest(1), b"m")
    newborn = made.newest(101)
    here = newborn.peer_on(slow.store_id)
    node = made.nodes[slow.store_id]
    batch = node.engine.batch()
    batch.put("raft", hard_state_key(newborn.id), encode_hard_state(HardState(50, newborn.peers[0].id, 0)))
    node.engine.write(batch)
    node.engine.sync()
    made.crash(slow.store_id)
    made.restart(slow.store_id)
    made.drop = lambda envelope: envelope.to_store == slow.store_id and envelope.region_id == newborn.id
    node = made.nodes[slow.store_id]
    made.run_until(lambda: node.store.peers[R1].region.epoch.version == 2)
    assert newborn.id not in node.store.peers, "it comes by a snapshot"
    made.drop = lambda envelope: False
    made.await_caught_up(101, here)
    assert node.store.peers[newborn.id].term >= 50


def test_a_snapshot_that_arrives_over_an_unsplit_neighbour_is_dropped_with_its_file() -> None:
    """Asked before the rows travelled, the store might have said yes; what counts is what it holds now."""
    made = Cluster([region(1)], stores=3)
    made.await_leader(1)
    slow = follower_of(made, 1)
    made.drop = lambda envelope: envelope.to_store == slow.store_id
    made.split(made.newest(1), b"m")
    newborn, leader = made.newest(101), made.await_leader(101)
    here = newborn.peer_on(slow.store_id)
    metadata = SnapshotMetadata(conf_state_of(newborn), 8, 6)
    message = Message(
        MessageType.MsgSnapshot,
        here.id,
        leader.store.peers[newborn.id].meta.id,
        6,
        snapshot=Snapshot(encode_region(newborn), metadata),
    )
    envelope = RaftEnvelope(
        newborn.id, PeerId(message.from_), leader.id, here.id, slow.store_id, 1, 2, message, (b"", b"m")
    )
    node = made.nodes[slow.store_id]
    made.step_node(node, [SnapshotReceived(envelope, node.files.save([]))])
    assert newborn.id not in node.store.peers
    assert node.files.files == {}


def test_a_replica_that_is_being_filled_serves_no_read() -> None:
    made = cluster(fill_slice_bytes=100)
    node = begin_fill(made)
    found = made.newest(1)
    made.run_until(lambda: node.store.peers[R1].leader_id)
    token = made.send(node, found, Get(0, b"key0039"), replica_read=True)
    made.run_until(lambda: token in node.answers or node.store.peers[R1].fill is None)
    made.run_until(lambda: token in node.answers)
    assert node.answers[token] in (b"x" * 50,) or isinstance(node.answers[token], RegionError)


def test_the_file_of_a_snapshot_stays_until_its_rows_are_synced() -> None:
    made = cluster(fill_slice_bytes=200)
    node = begin_fill(made)
    node.sync_at_once = False
    made.run_until(lambda: node.store.peers[R1].fill is None)
    made.run_for(100)
    assert len(node.files.files) == 1
    made.crash(4)
    made.restart(4)
    made.await_caught_up(1, NEW)
    assert made.rows(4) == made.rows(made.await_leader(1).id)


def test_what_was_deleted_meanwhile_does_not_survive_a_snapshot() -> None:
    made = cluster(stores=3, log_count_max=30, log_gc_threshold=10)
    slow = follower_of(made, 1)
    made.put(made.newest(1), b"doomed", b"v")
    made.await_caught_up(1, slow)
    made.crash(slow.store_id)
    doomed = Write([(DELETE, 0, b"doomed")], 6)
    assert made.call(made.await_leader(1), made.newest(1), doomed) is None
    fill(made, 60)
    leader = made.await_leader(1)
    made.run_until(lambda: leader.store.peers[R1].storage.apply_state.truncated_index > 30)
    made.restart(slow.store_id)
    made.await_caught_up(1, slow)
    assert made.snapshots_sent == 1
    assert made.rows(slow.store_id) == made.rows(leader.id)


def test_a_snapshot_is_acknowledged_only_once_its_first_batch_is_synced() -> None:
    made = cluster(fill_slice_bytes=200)
    fill(made, 40, value_bytes=50)
    node = made.nodes[StoreId(4)]
    made.change(1, (LEARNER, NEW))
    made.run_until(lambda: R1 in node.store.peers)
    node.sync_at_once = False
    made.run_until(lambda: node.store.peers[R1].is_initialised)
    leader = made.await_leader(1)
    made.run_for(300)
    progress = leader.store.peers[R1].node.raft.prs.progress[NEW.id]
    assert progress.matched == 0
    made.crash(4)
    made.restart(4)
    made.await_caught_up(1, NEW)


def test_a_snapshot_is_refused_when_a_neighbour_took_its_range_after_its_replica_was_made() -> None:
    """The newborn's empty replica is made while its range is free; then an old snapshot of its parent is installed.

    The newborn's own snapshot must wait until the parent has split here too, or two replicas would own the range.
    """
    made = Cluster([region(1)], stores=4)
    made.await_leader(1)
    fill(made, 4)
    late: list[tuple[Node, SendSnapshot]] = []
    made.carry = lambda node, effect: late.append((node, effect))
    made.change(1, (LEARNER, NEW))
    made.run_until(lambda: late)
    made.split(made.newest(1), b"key0002")
    node, newborn = made.nodes[StoreId(4)], made.newest(101)
    del node.store.awake[R1]
    parent = node.store.peers.pop(R1)  # as if the parent's replica had not been made yet
    made.drop = lambda envelope: envelope.region_id == 1 and envelope.to_store == 4
    made.run_until(lambda: newborn.id in node.store.peers and len(late) == 2)
    node.store.peers[R1] = node.store.awake[R1] = parent
    for sender, effect in late:
        node.inbox.append(SnapshotReceived(effect.envelope, node.files.save(cut_chunks(effect))))
        sender.inbox.append(SnapshotSent(effect.envelope.region_id, effect.envelope.to_peer, True))
        made.round()
    assert node.store.peers[R1].is_initialised
    assert not node.store.peers[newborn.id].is_initialised
    del made.carry
    made.drop = lambda envelope: False
    made.await_caught_up(1, NEW)
    made.await_caught_up(101, newborn.peer_on(StoreId(4)))
    assert made.rows(4) == made.rows(made.await_leader(1).id)


def test_a_replica_removed_in_the_step_that_took_its_snapshot_leaves_no_file() -> None:
    made = cluster()
    fill(made, 4)
    late: list[SendSnapshot] = []
    made.carry = lambda node, effect: late.append(effect)  # type: ignore[method-assign]
    made.change(1, (LEARNER, NEW))
    made.run_until(lambda: late)
    node, envelope = made.nodes[StoreId(4)], late[0].envelope
    file = node.files.save(cut_chunks(late[0]))
    message = Message(to=NEW.id, from_=envelope.from_peer)
    ids = (envelope.region_id, envelope.from_peer, envelope.from_store, NEW.id, NEW.store_id)
    notice = RaftEnvelope(*ids, envelope.conf_ver + 1, envelope.version, message, is_tombstone=True)
    made.step_node(node, [SnapshotReceived(envelope, file), RaftReceived([notice])])
    assert R1 not in node.store.peers
    assert not node.files.files
