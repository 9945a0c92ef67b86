"""Regions move between stores: learners, snapshots, promotion, removal, tombstones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flaredb.model.errors import RegionError, RegionNotFound, UndeterminedResult
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.orders import ChangePeers, PeerChange, SplitOrder, SplitPolicy, TransferLeader
from flaredb.model.region import Peer, PeerRole, RegionEpoch
from flaredb.raft import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    EntryType,
    MessageType,
    encode_conf_change_v2,
)
from flaredb.store.commands import conf_change
from flaredb.store.lifecycle import read_tombstone
from flaredb.store.messages import (
    Effect,
    LeadersHandedOver,
    OrderReceived,
    RegionsListed,
    Sync,
)
from flaredb.wire.entries import encode_change_peers
from tests.store.harness import Cluster, Node, put, region
from tests.store.move_rig import ADD, LEARNER, NEW, R1, REMOVE, cluster, fill, follower_of, roles

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


def test_a_voter_that_lost_the_commit_of_a_removal_hears_of_it_from_the_tombstone() -> None:
    """Of two voters one is removed and gone; the other loses power before its disk knows that. It needs both votes."""
    made = cluster()
    fill(made, 5)
    made.change(1, (REMOVE, follower_of(made, 1)))
    made.run_for(300)
    leader, gone = made.await_leader(1), follower_of(made, 1)
    before = leader.store.peers[R1].region.epoch.conf_ver
    perform = made._perform

    def without_the_last_sync(node: Node, effect: Effect) -> None:
        peer = leader.store.peers[R1]
        if not (isinstance(effect, Sync) and node is leader and peer.region.epoch.conf_ver > before):
            perform(node, effect)

    made._perform = without_the_last_sync
    made.change(1, (REMOVE, gone))
    made.run_until(lambda: R1 not in made.nodes[gone.store_id].store.peers)
    made.crash(leader.id)
    made._perform = perform
    made.run_for(50)
    made.restart(leader.id)
    assert made.nodes[leader.id].store.peers[R1].region.epoch.conf_ver == before, "it has forgotten"
    assert list(roles(made.await_leader(1).store.peers[R1].region)) == [leader.id]
    assert made.await_leader(1).store.peers[R1].region.epoch.conf_ver == before + 1


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


def test_a_quorum_check_in_the_same_step_makes_nobody_look_dead() -> None:
    """PD answers heartbeats, which leave with ticks: its orders come again and again right after a quorum check."""
    made = cluster()
    made.change(1, (LEARNER, NEW))
    made.await_caught_up(1, NEW)
    leader = made.await_leader(1)
    raft = leader.store.peers[R1].node.raft
    made.run_until(lambda: all(each.recent_active and each.matched for each in raft.prs.progress.values()))
    leader.inbox.clear()
    raft.prs.quorum_recently_active(raft.id)
    made.order(1, ChangePeers((PeerChange(ADD, NEW),)))
    made.step_node(leader, [leader.inbox.pop()])
    assert not [note for note in leader.notes if note.event == "order refused"]


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


def test_a_change_made_for_another_epoch_counts_nowhere_when_applied() -> None:
    made = cluster(stores=3)
    peer = made.await_leader(1).store.peers[R1]
    before = peer.region
    change = ChangePeers((PeerChange(LEARNER, NEW),))
    context = encode_change_peers(RegionEpoch(version=1, conf_ver=7), change)
    steps = [ConfChangeSingle(ConfChangeType.AddLearnerNode, NEW.id)]
    data = encode_conf_change_v2(ConfChangeV2(ConfChangeTransition.Auto, steps, context))
    batch = made.nodes[StoreId(1)].engine.batch()
    assert conf_change.apply_change(peer, Entry(EntryType.EntryConfChangeV2, 6, 7, data), batch, None) is None
    assert peer.region == before
    assert NEW.id not in peer.node.raft.prs.progress


def test_a_store_calls_itself_busy_when_little_more_may_wait() -> None:
    made = cluster(stores=3, requests_max=8)
    leader, found = made.await_leader(1), made.newest(1)
    assert not leader.store.is_busy
    made.drop = lambda envelope: True
    for number in range(7):
        made.send(leader, found, put(b"k%d" % number, b"v"))
    made.round()
    assert leader.store.is_busy
