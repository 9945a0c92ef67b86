"""Regions move between stores: learners, snapshots, promotion, removal, tombstones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaredb.model.errors import RegionError, RegionNotFound, UndeterminedResult
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange, SplitOrder, SplitPolicy, TransferLeader
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.raft import Message, MessageType
from flaredb.store.lifecycle import read_tombstone
from flaredb.store.messages import (
    LeadersHandedOver,
    OrderReceived,
    RaftEnvelope,
    RaftReceived,
    RegionsListed,
    SnapshotSent,
)
from tests.store.harness import CONFIG, Cluster, Node, put, region

ADD, REMOVE, LEARNER = ChangeKind.ADD_NODE, ChangeKind.REMOVE_NODE, ChangeKind.ADD_LEARNER_NODE
R1 = RegionId(1)
NEW = Peer(PeerId(1004), StoreId(4), PeerRole.LEARNER)


def cluster(stores: int = 4, **config: Any) -> Cluster:
    """One region on stores 1 to 3, and further stores that hold nothing."""
    made = Cluster([region(1)], stores=stores, config=replace(CONFIG, **config))
    made.await_leader(1)
    return made


def fill(made: Cluster, count: int, value_bytes: int = 10) -> None:
    for number in range(count):
        assert made.put(made.newest(1), b"key%04d" % number, b"x" * value_bytes) is None


def follower_of(made: Cluster, region_id: int) -> Peer:
    leader = made.await_leader(region_id)
    peer = leader.store.peers[RegionId(region_id)]
    return next(meta for meta in peer.region.peers if meta.id != peer.meta.id and meta.role is PeerRole.VOTER)


def roles(found: Region) -> dict[int, str]:
    return {peer.store_id: peer.role.name for peer in found.peers}


# ------------------------------------------------ the whole way


def test_a_replica_moves_and_takes_every_row_along() -> None:
    made = cluster()
    fill(made, 30)
    gone = follower_of(made, 1)
    after = made.move(1, NEW, gone)
    assert set(roles(after)) == {1, 2, 3, 4} - {gone.store_id}
    assert after.epoch == RegionEpoch(version=1, conf_ver=4), "one for each simple change"
    made.await_caught_up(1, after.peer_on(StoreId(4)))
    leader = made.await_leader(1)
    assert made.rows(4) == made.rows(leader.id)
    assert len(made.rows(4)) == 30


def test_the_removed_replica_leaves_nothing_but_a_tombstone() -> None:
    made = cluster()
    fill(made, 5)
    gone = follower_of(made, 1)
    made.move(1, NEW, gone)
    node = made.nodes[gone.store_id]
    made.run_until(lambda: R1 not in node.store.peers)
    assert made.rows(gone.store_id) == []
    assert list(node.engine.scan("raft", b"", None)) == []
    peer_id, last = read_tombstone(node.engine, R1)
    assert peer_id == gone.id
    assert last.peer(gone.id) is None
    assert last.epoch.conf_ver == 4


def test_the_new_store_is_reported_pending_until_it_has_its_snapshot() -> None:
    made = cluster()
    fill(made, 3)
    leader = made.await_leader(1)
    leader.reports.clear()
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    made.run_until(lambda: leader.reports and not leader.reports[-1].heartbeat.pending_peers)
    pending = [[meta.id for meta in report.heartbeat.pending_peers] for report in leader.reports]
    assert pending[0] == [NEW.id], "at once after the change"
    assert pending[-1] == [], "as soon as it has caught up, not at the next regular report"


def test_a_range_may_come_back_to_a_store_with_a_higher_peer_id() -> None:
    made = cluster()
    fill(made, 5)
    gone = follower_of(made, 1)
    made.move(1, NEW, gone)
    made.run_until(lambda: R1 not in made.nodes[gone.store_id].store.peers)
    back = Peer(PeerId(2000), gone.store_id, PeerRole.LEARNER)
    made.change(1, (LEARNER, back))
    made.await_caught_up(1, back)
    assert made.rows(gone.store_id) == made.rows(4)


def test_a_store_takes_a_region_that_was_moved_to_it_before_it_had_its_first_list() -> None:
    """PD ordered a replica to it before its list arrived: that region is not one of the beginning."""
    made = Cluster([region(1)], stores=4)
    late = made.nodes[StoreId(4)]
    late.inbox.clear()
    made.change(1, (LEARNER, NEW))
    assert not late.store.is_started
    late.inbox.append(RegionsListed((made.newest(1),)))
    fill(made, 5)
    made.await_caught_up(1, NEW)
    assert made.rows(4) == made.rows(made.await_leader(1).id)


# ------------------------------------------------ refusals


def refused(made: Cluster, *changes: PeerChange) -> str:
    """Why the leader did not carry out an order."""
    leader = made.order(1, ChangePeers(changes))
    before = leader.store.peers[R1].region
    made.run_until(lambda: any(note.event == "order refused" for note in leader.notes))
    assert leader.store.peers[R1].region == before
    return str(dict(next(note for note in leader.notes if note.event == "order refused").fields)["reason"])


def refusals() -> list[tuple[str, str]]:
    return [
        ("the leader's own removal", "transfer leadership first"),
        ("the leader's own demotion", "transfer leadership first"),
        ("a voter that is new", "add it as a learner first"),
        ("a second replica on one store", "has its peer"),
        ("the removal of a stranger", "has no peer 999"),
        ("a peer that is a voter already", "is a voter already"),
        ("leaving a joint configuration that is none", "no joint configuration to leave"),
        ("the direct removal of a voter among several changes", "must be demoted"),
        ("several changes of learners only", "must change voters"),
    ]


def wanted_changes(made: Cluster, what: str) -> tuple[PeerChange, ...]:
    leader = made.await_leader(1).store.peers[R1].meta
    follower = follower_of(made, 1)
    return {
        "the leader's own removal": (PeerChange(REMOVE, leader),),
        "the leader's own demotion": (PeerChange(LEARNER, leader),),
        "a voter that is new": (PeerChange(ADD, NEW),),
        "a second replica on one store": (PeerChange(LEARNER, Peer(PeerId(999), follower.store_id)),),
        "the removal of a stranger": (PeerChange(REMOVE, Peer(PeerId(999), StoreId(4))),),
        "a peer that is a voter already": (PeerChange(ADD, follower),),
        "leaving a joint configuration that is none": (),
        "the direct removal of a voter among several changes": (PeerChange(LEARNER, NEW), PeerChange(REMOVE, follower)),
        "several changes of learners only": (
            PeerChange(LEARNER, NEW),
            PeerChange(LEARNER, Peer(PeerId(1005), StoreId(5))),
        ),
    }[what]


@pytest.mark.parametrize(("what", "reason"), refusals(), ids=[what for what, _ in refusals()])
def test_a_change_is_refused(what: str, reason: str) -> None:
    made = cluster()
    assert reason in refused(made, *wanted_changes(made, what))


def test_a_learner_that_has_not_caught_up_is_not_promoted() -> None:
    made = cluster()
    made.drop = lambda envelope: envelope.to_store == 4
    made.change(1, (LEARNER, NEW))
    assert "has not caught up" in refused(made, PeerChange(ADD, NEW))


def test_a_promotion_is_taken_in_the_moment_after_a_check_of_the_quorum() -> None:
    """Raft has just cleared its marks of who was heard; everyone was heard a moment ago."""
    made = cluster()
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    leader = made.await_leader(1)
    for progress in leader.store.peers[R1].node.raft.prs.progress.values():
        progress.recent_active = False
    made.order(1, ChangePeers((PeerChange(ADD, NEW),)))
    made.run_until(lambda: leader.store.peers[R1].region.peer(NEW.id).role is PeerRole.VOTER)
    assert not [note for note in leader.notes if note.event == "order refused"]


def test_a_removal_that_would_leave_no_living_quorum_is_refused() -> None:
    made = cluster(stores=3)
    leader = made.await_leader(1)
    alive, dead = [peer for peer in leader.store.peers[R1].region.peers if peer.store_id != leader.id]
    made.crash(dead.store_id)
    made.run_for(1500)
    assert "alive and up to date enough" in refused(made, PeerChange(REMOVE, alive))
    made.change(1, (REMOVE, dead))


def test_an_order_for_another_epoch_or_another_leader_is_dropped() -> None:
    made = cluster()
    leader = made.order(1, ChangePeers((PeerChange(LEARNER, NEW),)))
    order = leader.inbox.pop().order
    stale = replace(order, epoch=RegionEpoch(version=1, conf_ver=7))
    misdirected = replace(order, target=follower_of(made, 1))
    for wrong in (stale, misdirected):
        leader.inbox.append(OrderReceived(wrong))
    made.run_for(300)
    assert leader.store.peers[R1].region.epoch == RegionEpoch(version=1, conf_ver=1)


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
    assert made.rows(4) == {} or not made.rows(4)
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


# ------------------------------------------------ removed and unaware (traps C4, C5)


def removed_while_cut_off(made: Cluster) -> Peer:
    """A follower that was removed while it heard nothing; it is cut off still."""
    fill(made, 5)
    gone = follower_of(made, 1)
    made.drop = lambda envelope: gone.store_id in (envelope.from_store, envelope.to_store)
    made.move(1, NEW, gone)
    return gone


def test_a_peer_removed_while_cut_off_learns_of_it_from_its_peers() -> None:
    made = cluster()
    gone = removed_while_cut_off(made)
    node = made.nodes[gone.store_id]
    term = made.await_leader(1).store.peers[R1].term
    made.drop = lambda envelope: False
    made.run_until(lambda: R1 not in node.store.peers)
    assert made.rows(gone.store_id) == []
    assert node.checked == [], "PD need not be asked"
    assert made.await_leader(1).store.peers[R1].term == term, "it deposed nobody"


def test_a_peer_removed_while_cut_off_learns_of_it_from_pd() -> None:
    made = cluster(leader_missing_ms=2_000)
    gone = removed_while_cut_off(made)
    node = made.nodes[gone.store_id]
    made.run_until(lambda: R1 not in node.store.peers)
    assert node.checked == [R1]


def test_a_learner_removed_while_cut_off_learns_of_it_from_pd() -> None:
    """It asks nobody for votes, and its last leader is its leader for ever: only PD can tell it."""
    made = cluster(leader_missing_ms=1_000)
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    made.drop = lambda envelope: envelope.to_store == 4
    made.change(1, (REMOVE, NEW))
    node = made.nodes[StoreId(4)]
    made.run_until(lambda: R1 not in node.store.peers)


def test_a_peer_that_pd_does_not_know_stays() -> None:
    made = cluster(leader_missing_ms=500)
    lonely = follower_of(made, 1)
    made.newest = lambda region_id: None
    made.drop = lambda envelope: lonely.store_id in (envelope.from_store, envelope.to_store)
    made.run_for(3000)
    assert R1 in made.nodes[lonely.store_id].store.peers


def with_range(sent: RaftEnvelope, start_key: bytes, end_key: bytes) -> RaftEnvelope:
    """The same message as one that may create its receiver."""
    return RaftEnvelope(
        sent.region_id,
        sent.from_peer,
        sent.from_store,
        sent.to_peer,
        sent.to_store,
        sent.conf_ver,
        sent.version,
        sent.message,
        (start_key, end_key),
    )


def test_no_old_message_revives_a_removed_replica() -> None:
    made = cluster()
    fill(made, 5)
    gone = follower_of(made, 1)
    made.move(1, NEW, gone)
    node = made.nodes[gone.store_id]
    made.run_until(lambda: R1 not in node.store.peers)
    old = [with_range(envelope, b"", b"") for envelope in made.sent if envelope.to_peer == gone.id]
    for envelope in old:
        node.inbox.append(RaftReceived([envelope]))
    made.run_for(500)
    assert R1 not in node.store.peers
    made.crash(gone.store_id)
    restarted = made.restart(gone.store_id)
    for envelope in old:
        restarted.inbox.append(RaftReceived([envelope]))
    made.run_for(500)
    assert R1 not in restarted.store.peers


def test_a_later_replica_takes_the_place_of_one_that_was_removed_unheard() -> None:
    made = cluster()
    gone = removed_while_cut_off(made)
    later = Peer(PeerId(3000), gone.store_id, PeerRole.LEARNER)
    made.change(1, (LEARNER, later))
    node = made.nodes[gone.store_id]
    made.drop = lambda envelope: (
        envelope.message.msg_type
        in (
            MessageType.MsgRequestPreVote,
            MessageType.MsgRequestVote,
        )
        or envelope.is_tombstone
    )
    made.await_caught_up(1, later)
    assert node.store.peers[R1].meta.id == later.id
    assert made.rows(gone.store_id) == made.rows(4)


# ------------------------------------------------ joint changes


def test_a_joint_change_swaps_a_voter_and_keeps_two_quorums() -> None:
    made = cluster()
    fill(made, 5)
    gone = follower_of(made, 1)
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    joint = made.change(1, (ADD, NEW), (LEARNER, gone))
    assert roles(joint)[4] == "INCOMING_VOTER"
    assert roles(joint)[gone.store_id] == "DEMOTING_VOTER"
    assert joint.epoch.conf_ver == 4, "one for the learner, two for the two changes"
    left = made.change(1)
    assert roles(left)[4] == "VOTER"
    assert roles(left)[gone.store_id] == "LEARNER"
    assert left.epoch.conf_ver == 6, "two roles were settled"
    made.change(1, (REMOVE, gone))
    made.run_until(lambda: made.rows(gone.store_id) == [])


def test_a_joint_change_is_left_by_the_next_leader_after_a_restart() -> None:
    made = cluster()
    fill(made, 5)
    gone = follower_of(made, 1)
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    made.change(1, (ADD, NEW), (LEARNER, gone))
    leader = made.await_leader(1)
    made.run_for(300)
    made.crash(leader.id)
    made.run_for(50)
    made.restart(leader.id)
    found = made.newest(1)
    assert {"INCOMING_VOTER", "DEMOTING_VOTER"} <= set(roles(found).values())
    if made.await_leader(1).id == gone.store_id:
        assert "would demote the leader" in refused(made)
        heir = next(peer for peer in found.peers if peer.role is PeerRole.VOTER)
        made.order(1, TransferLeader((heir,)))
        made.run_until(lambda: (now := made.leader_of(1)) and now.id == heir.store_id)
    left = made.change(1)
    assert "DEMOTING_VOTER" not in roles(left).values()


def test_a_learner_counts_in_no_quorum() -> None:
    made = cluster(write_timeout_ms=600)
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    found = made.newest(1)
    leader = made.await_leader(1)
    for peer in found.peers:
        if peer.role is PeerRole.VOTER and peer.store_id != leader.id:
            made.crash(peer.store_id)
    answer = made.call(leader, found, put(b"k", b"v"))
    assert isinstance(answer, (UndeterminedResult, RegionError))


# ------------------------------------------------ leaders


def test_leadership_goes_where_pd_wants_it() -> None:
    made = cluster(stores=3)
    fill(made, 5)
    heir = follower_of(made, 1)
    made.order(1, TransferLeader((heir,)))
    made.run_until(lambda: (leader := made.leader_of(1)) and leader.id == heir.store_id)


def test_leadership_is_not_handed_to_a_learner() -> None:
    made = cluster()
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    leader = made.order(1, TransferLeader((NEW,)))
    made.run_until(lambda: any(note.event == "leadership is not transferred" for note in leader.notes))
    made.run_for(500)
    assert made.await_leader(1) is leader


def test_writes_held_by_a_transfer_that_fails_go_on_with_the_old_leader() -> None:
    made = cluster(stores=3, hold_ms=3_000)
    heir = follower_of(made, 1)
    made.drop = lambda envelope: envelope.message.msg_type is MessageType.MsgTimeoutNow
    leader = made.order(1, TransferLeader((heir,)))
    made.round()
    token = made.send(leader, made.newest(1), put(b"k", b"v"))
    made.run_until(lambda: token in leader.answers, limit_ms=2_000)
    assert leader.answers[token] is None


def test_a_store_that_is_about_to_stop_hands_every_leadership_over() -> None:
    regions = [region(1, b"", b"m"), region(2, b"m", b"")]
    made = Cluster(regions, stores=3)
    leader = made.await_leader(1)
    made.await_leader(2)
    made.order(2, TransferLeader((regions[1].peer_on(leader.id),)))
    made.run_until(lambda: leader.store.led_count == 2)
    leader.inbox.append(LeadersHandedOver())
    made.run_until(lambda: leader.store.led_count == 0)
    made.run_for(1000)
    assert leader.store.led_count == 0, "it does not win them back"
    assert made.put(regions[0], b"a", b"1") is None


# ------------------------------------------------ splits by order


@pytest.mark.parametrize("policy", [SplitPolicy.SCAN, SplitPolicy.APPROXIMATE])
def test_an_ordered_split_halves_the_region(policy: SplitPolicy) -> None:
    made = cluster(stores=3)
    fill(made, 41, value_bytes=100)
    made.order(1, SplitOrder(policy))
    made.run_until(lambda: len(made.regions_of(1)) == 2)
    assert made.newest(1).start_key in (b"key0019", b"key0020", b"key0021")


def test_an_ordered_split_cuts_at_the_keys_given() -> None:
    made = cluster(stores=3)
    made.order(1, SplitOrder(SplitPolicy.USEKEY, (b"t", b"g")))
    made.run_until(lambda: len(made.regions_of(1)) == 3)
    assert [found.start_key for found in made.regions_of(1)] == [b"", b"g", b"t"]


def test_requests_for_a_destroyed_replica_are_told_that_it_is_gone() -> None:
    made = cluster()
    fill(made, 3)
    gone = follower_of(made, 1)
    before = made.newest(1)
    made.move(1, NEW, gone)
    node = made.nodes[gone.store_id]
    made.run_until(lambda: R1 not in node.store.peers)
    answer = made.call(node, before, put(b"k", b"v"))
    assert isinstance(answer, RegionNotFound)
