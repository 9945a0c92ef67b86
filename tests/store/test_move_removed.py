"""Replicas that were removed and do not know it, and old messages for them (traps C4, C5)."""

from __future__ import annotations

from flaredb.model.ids import PeerId, StoreId
from flaredb.model.orders import ChangePeers, PeerChange
from flaredb.model.region import Peer, PeerRole
from flaredb.raft import (
    MessageType,
)
from flaredb.store.messages import (
    RaftEnvelope,
    RaftReceived,
)
from tests.store.harness import Cluster
from tests.store.move_rig import (
    LEARNER,
    NEW,
    R1,
    REMOVE,
    cluster,
    fill,
    follower_of,
    removed_but_not_synced,
    syncs_again,
)

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


def test_an_empty_replica_outlives_what_pd_knew_before_it_was_added() -> None:
    """PD hears of a change from the leader's heartbeat, which may come after the new replica has long waited."""
    made = cluster(leader_missing_ms=300)
    old = made.newest(1)
    made.carry = lambda node, effect: None
    made.newest = lambda region_id: old
    made.order(1, ChangePeers((PeerChange(LEARNER, NEW),)))
    node = made.nodes[StoreId(4)]
    made.run_until(lambda: R1 in node.store.peers)
    made.drop = lambda envelope: envelope.to_store == 4
    made.run_until(lambda: node.checked)
    made.run_for(100)
    assert R1 in node.store.peers


def test_pd_hears_of_a_change_once_it_is_durable() -> None:
    """PD has a removed replica deleted. A leader that lost the change again in a crash would need its vote."""
    made = cluster(stores=3)
    leader, before = removed_but_not_synced(made)
    made.run_for(300)

    def told() -> list[int]:
        return [report.heartbeat.region.epoch.conf_ver for report in leader.reports]

    assert before + 1 not in told()
    syncs_again(leader)
    made.run_until(lambda: told()[-1:] == [before + 1])
