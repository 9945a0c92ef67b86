"""R2. An acknowledgement left before its sync (tikv 994, etcd 14370, etcd 14140): the power went, and with it what the
leader counted on, what a client was told, or a vote.
"""

from __future__ import annotations

import pytest

from flaredb.model.ids import StoreId
from flaredb.raft import Message, MessageType
from flaredb.store.incoming import CONTRADICTION
from flaredb.store.messages import RaftEnvelope, RaftReceived
from tests.scenarios.promises import breaks, promise, put_back
from tests.store.harness import Cluster, put, region

M = MessageType
HELD_MS = 300
"""So long no sync ends: shorter than an election."""

PROMISES_BEFORE_THE_SYNC = put_back("an answer before the sync")


def settled(stores: int = 3) -> Cluster:
    made = Cluster([region(1, stores=range(1, stores + 1))], stores=stores)
    assert made.put(made.regions[0], b"k", b"old") is None
    made.run_for(200)
    return made


def hold_syncs(made: Cluster) -> None:
    for node in made.nodes.values():
        node.sync_at_once = False


def sync_all(made: Cluster) -> None:
    """The disks are done with everything written so far, and say so when they are asked again."""
    for node in made.nodes.values():
        node.sync_at_once = True
        node.engine.sync()
        node.store.must_sync = True


# ------------------------------------------------ a client's answer


def client_is_answered(stores: int) -> None:
    """A put while no disk syncs. As soon as its client is answered, the power of all stores goes."""
    made = settled(stores)
    leader, found = made.await_leader(1), made.regions[0]
    hold_syncs(made)
    token = made.send(leader, found, put(b"k", b"new"))
    made.run_for(HELD_MS)
    if token not in leader.answers:
        sync_all(made)
        made.run_until(lambda: token in leader.answers)
    assert leader.answers[token] is None
    for store_id in made.nodes:
        made.crash(store_id)
    for store_id in made.nodes:
        made.restart(store_id)
    promise(made.get(found, b"k") == b"new", "an acknowledged write is gone after the power cut")


@pytest.mark.parametrize("stores", [3, 1], ids=["three stores", "a single member"])
def test_r02_a_client_is_answered_only_for_what_a_power_cut_leaves(stores: int) -> None:
    client_is_answered(stores)


@pytest.mark.parametrize("stores", [3, 1], ids=["three stores", "a single member"])
def test_r02_without_waiting_for_the_sync_an_acknowledged_write_is_gone(stores: int) -> None:
    breaks(lambda: client_is_answered(stores), PROMISES_BEFORE_THE_SYNC, "acknowledged write is gone")


# ------------------------------------------------ a follower's acknowledgement


def follower_acknowledges() -> None:
    """One follower is cut off, the other takes entries that its disk does not sync, and loses its power; when it is
    back the leader tells it of its commit index.
    """
    made = settled()
    leader, found = made.await_leader(1), made.regions[0]
    weak, away = (node for node in made.nodes.values() if node is not leader)
    made.drop = lambda envelope: away.id in (envelope.to_store, envelope.from_store)
    weak.sync_at_once = False
    tokens = [made.send(leader, found, put(b"k", b"%d" % number)) for number in range(10)]
    made.run_for(HELD_MS)
    acknowledged = leader.store.peers[found.id].node.raft.prs.progress[found.peers[weak.id - 1].id].matched
    made.crash(weak.id)
    weak = made.restart(weak.id)
    has = weak.store.peers[found.id].node.raft.raft_log.tail_index
    made.run_for(HELD_MS)
    told = [dict(note.fields)["reason"] for note in weak.notes if note.event == CONTRADICTION]
    promise(not told, f"it acknowledged {acknowledged} and has {has}: {told[:1]}")
    promise(acknowledged <= has, f"it acknowledged {acknowledged} and has {has}")
    made.run_until(lambda: all(token in leader.answers for token in tokens))


def test_r02_a_follower_acknowledges_only_what_a_power_cut_leaves() -> None:
    follower_acknowledges()


def test_r02_without_waiting_for_the_sync_the_leader_counts_on_what_is_lost() -> None:
    breaks(follower_acknowledges, PROMISES_BEFORE_THE_SYNC, r"it acknowledged \d+ and has \d+: .*the log ends at")


# ------------------------------------------------ a vote


def ask_for_a_vote(made: Cluster, candidate: int, voter: StoreId, term: int) -> None:
    found = made.regions[0]
    asks, asked = found.peers[candidate - 1], found.peers[voter - 1]
    message = Message(M.MsgRequestVote, asked.id, asks.id, term, 100, 100)
    envelope = RaftEnvelope(found.id, asks.id, asks.store_id, asked.id, asked.store_id, 1, 1, message, (b"", b""))
    made.nodes[voter].inbox.append(RaftReceived([envelope]))


def votes_of(made: Cluster, voter: StoreId, term: int) -> set[int]:
    """The stores that this one has given its vote of a term to."""
    return {
        int(sent.to_store)
        for sent in made.sent
        if sent.from_store == voter
        and sent.message.msg_type is M.MsgRequestVoteResponse
        and sent.message.term == term
        and not sent.message.reject
    }


def one_vote_over_a_power_cut() -> None:
    """A member whose disk does not sync is asked for its vote, loses its power, and is asked by another candidate."""
    made = settled()
    voter, term = StoreId(3), 50
    made.run_until(lambda: made.await_leader(1).id != voter)
    for store_id in (StoreId(1), StoreId(2)):
        made.crash(store_id)
    made.run_for(1_000)
    hold_syncs(made)
    ask_for_a_vote(made, 1, voter, term)
    made.run_for(20)
    made.crash(voter)
    made.restart(voter)
    made.run_for(1_000)  # for an election timeout it votes for nobody: it may have followed a leader until now
    ask_for_a_vote(made, 2, voter, term)
    made.run_for(20)
    promise(len(votes_of(made, voter, term)) <= 1, "one member voted for two candidates in one term")
    assert votes_of(made, voter, term), "it votes at all"


def test_r02_a_vote_leaves_only_once_a_power_cut_leaves_it() -> None:
    one_vote_over_a_power_cut()


def test_r02_without_waiting_for_the_sync_two_candidates_get_one_vote() -> None:
    breaks(one_vote_over_a_power_cut, PROMISES_BEFORE_THE_SYNC, "voted for two candidates")
