"""R9. A learner was promoted: it did not know and refused to vote (raft-rs 57, etcd 10998); or it was still empty,
voted, forgot its vote in a crash and voted again: two leaders in one term (tikv 8381 and 3572, after a split tikv
9579).
"""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from flaredb.model.ids import StoreId
from flaredb.model.orders import ChangePeers, PeerChange
from flaredb.raft import (
    ConfChange,
    ConfChangeType,
    ConfState,
    HardState,
    MemStorage,
    Message,
    MessageType,
    RawNode,
    StateRole,
    election,
)
from flaredb.store import raft_storage
from flaredb.store.messages import RaftEnvelope, RaftReceived
from flaredb.wire.states import ApplyState
from tests.raft import test_historic
from tests.raft.group import Group, config
from tests.scenarios.promises import breaks, promise
from tests.store import test_move, test_move_snapshots
from tests.store.harness import Cluster, put
from tests.store.move_mutants import MUTANTS
from tests.store.move_rig import ADD, LEARNER, NEW, cluster, follower_of

M = MessageType


# ------------------------------------------------ it does not know


def learners_do_not_vote() -> AbstractContextManager[Any]:
    whole = election.handle_vote_request
    return patch.object(election, "handle_vote_request", lambda r, m: whole(r, m) if r.promotable else None)


def promoted_while_cut_off() -> None:
    """Voters 1 and 2, learner 3. The learner has the log, is cut off, is promoted; then the leader is gone for good."""
    group = Group({i: learner_group_member(i) for i in (1, 2, 3)})
    group.elect(1)
    group[1].propose(b"", b"x")
    group.settle()
    assert group.data(3) == [b"x"]
    group.cut = {(1, 3), (3, 1)}
    group[1].propose_conf_change(b"", ConfChange(ConfChangeType.AddNode, 3))
    group.settle()
    assert group[2].raft.prs.conf.voters.ids() == (1, 2, 3)
    assert group[3].raft.prs.conf.voters.ids() == (1, 2), "it does not know"
    group.isolate(1)
    group.cut -= {(2, 3), (3, 2)}
    for _ in range(3):
        group[2].campaign()
        group.settle()
    leads = group[2].raft.state is StateRole.Leader
    promise(leads, "two of three voters are there, and nobody leads: the promoted learner does not vote")


def learner_group_member(i: int) -> RawNode:
    return RawNode(config(i), MemStorage.new_with_conf_state(ConfState([1, 2], [3])), random.Random(i))


def test_r09_a_promoted_learner_votes_although_it_does_not_know() -> None:
    promoted_while_cut_off()
    test_historic.test_a_promoted_learner_votes_although_it_does_not_know()


def test_r09_without_the_votes_of_learners_nobody_leads() -> None:
    breaks(promoted_while_cut_off, learners_do_not_vote, "nobody leads: the promoted learner does not vote")


# ------------------------------------------------ it is empty and forgets


def vote_of_an_empty_replica_is_forgotten() -> AbstractContextManager[Any]:
    """What is on disk of a replica without members is not read."""
    whole = raft_storage._load_states

    def load_states(engine: Any, found: Any) -> Any:
        return whole(engine, found) if found.peers else (ApplyState(0, 0, 0), HardState())

    return patch.object(raft_storage, "_load_states", load_states)


def ask_for_a_vote(made: Cluster, candidate: int, term: int) -> None:
    """A candidate of region 1 on this store asks the replica that is to be on store 4."""
    asks = made.regions[0].peers[candidate - 1]
    message = Message(M.MsgRequestVote, NEW.id, asks.id, term, 100, 100)
    envelope = RaftEnvelope(1, asks.id, asks.store_id, NEW.id, NEW.store_id, 2, 1, message, (b"", b""))
    made.nodes[StoreId(4)].inbox.append(RaftReceived([envelope]))


def two_candidates_of_one_term() -> None:
    """The empty replica on store 4 is asked by one candidate, crashes, and is asked by another one; for as long as any
    promise to a leader would last.
    """
    made = cluster()
    made.drop = lambda envelope: True
    for candidate in (1, 2):
        for _ in range(10):
            ask_for_a_vote(made, candidate, term=50)
            made.run_for(100)
        made.crash(4)
        made.restart(4)
    answers = [sent for sent in made.sent if sent.from_peer == NEW.id and sent.message.term == 50]
    granted = {int(sent.to_store) for sent in answers if not sent.message.reject}
    assert granted, "it votes at all"
    promise(granted == {1}, f"an empty replica voted in one term for the candidates on stores {sorted(granted)}")


def test_r09_an_empty_replica_votes_once_in_a_term_over_a_crash() -> None:
    two_candidates_of_one_term()


def test_r09_without_the_vote_on_disk_an_empty_replica_votes_twice() -> None:
    breaks(two_candidates_of_one_term, vote_of_an_empty_replica_is_forgotten, r"on stores \[1, 2\]")


def test_r09_a_split_does_not_take_the_vote_of_its_newcomer_back() -> None:
    test_move_snapshots.test_a_vote_survives_a_restart_and_the_split_that_would_make_its_replica_anew()


def test_r09_without_looking_for_a_vote_a_split_takes_it_back() -> None:
    replay = test_move_snapshots.test_a_vote_survives_a_restart_and_the_split_that_would_make_its_replica_anew
    breaks(replay, MUTANTS["split_takes_a_vote_back"], "it comes by a snapshot")


# ------------------------------------------------ it has nothing yet


def promotion_of_an_empty_learner() -> None:
    """PD orders to promote a learner that has heard nothing; then one of the three full replicas goes down."""
    made = cluster()
    assert made.put(made.newest(1), b"k", b"1") is None
    made.drop = lambda envelope: envelope.to_store == NEW.store_id
    made.change(1, (LEARNER, NEW))
    leader = made.order(1, ChangePeers((PeerChange(ADD, NEW),)))
    made.run_for(300)
    made.crash(follower_of(made, 1).store_id)
    token = made.send(leader, made.newest(1), put(b"k", b"2"))
    made.run_for(1_000)
    served = leader.answers.get(token, "nothing") is None
    promise(served, "one of three full replicas is down and no write succeeds: an empty replica counts as a voter")


def test_r09_a_learner_is_promoted_only_once_it_has_caught_up() -> None:
    promotion_of_an_empty_learner()
    test_move.test_a_learner_that_has_not_caught_up_is_not_promoted()


def test_r09_without_that_check_an_empty_learner_stops_writes() -> None:
    breaks(promotion_of_an_empty_learner, MUTANTS["promotion_too_early"], "an empty replica counts as a voter")
