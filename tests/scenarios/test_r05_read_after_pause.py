"""R5. A member was stopped inside a ReadIndex round; leader and data changed; when it went on, its retry met the answer
to the first try (etcd 20418), and a read that had begun after the write was confirmed by it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from flaredb.model.commands import Get
from flaredb.model.errors import RegionError
from flaredb.model.orders import TransferLeader
from flaredb.raft import MessageType
from flaredb.raft.raft import Raft
from flaredb.store import reads, ready
from flaredb.store.messages import RaftReceived, RequestsReceived
from flaredb.store.read_queue import RoundNames
from tests.raft import test_historic
from tests.scenarios.promises import breaks, promise
from tests.store.harness import CONFIG, Cluster, Node, region

M = MessageType
FOUND = region(1)
PAUSE_MS = 3_000


def retry_under_the_old_name() -> AbstractContextManager[Any]:
    """Every round of a replica has the same name."""
    return patch.object(RoundNames, "next", lambda self: b"the one and only")


def answers_of_any_term() -> AbstractContextManager[Any]:
    """Answers of an older term are taken like those of this one."""
    whole = Raft._adopt_term
    answers = (M.MsgReadIndexResp, M.MsgHeartbeatResponse)

    def adopt_term(self: Raft, m: Any) -> bool:
        return (m.term < self.term and m.msg_type in answers) or whole(self, m)

    return patch.object(Raft, "_adopt_term", adopt_term)


class Paused:
    """A follower that was stopped when its leader's answer to its round was about to arrive; meanwhile another store
    leads, and a client was told that k is new. What has been sent to the follower waits in its sockets.
    """

    def __init__(self) -> None:
        self.cluster = made = Cluster([FOUND])
        assert made.put(FOUND, b"k", b"old") is None
        made.run_for(300)
        leader = made.await_leader(1)
        self.node, heir = (node for node in made.nodes.values() if node is not leader)
        made.drop = lambda envelope: envelope.message.msg_type is M.MsgReadIndexResp
        self.first = made.send(self.node, FOUND, Get(0, b"k"), replica_read=True)
        made.run_until(lambda: made.sent[-1].message.msg_type is M.MsgReadIndexResp)
        self.late_answer = made.sent[-1]
        self.node.alive = False
        made.order(1, TransferLeader((FOUND.peers[heir.id - 1],)))
        made.run_until(lambda: made.leader_of(1) is heir)
        assert made.put(FOUND, b"k", b"new") is None
        made.run_for(PAUSE_MS)
        self.node.alive = True
        self.node.inbox.clear()

    def read_again(self) -> Any:
        """A read that begins only now."""
        request = self.cluster.request(self.node, FOUND, Get(0, b"k"), replica_read=True)
        self.cluster.step_node(self.node, [RequestsReceived([request])])
        return request.token

    def meet_late_answer(self) -> None:
        self.cluster.step_node(self.node, [RaftReceived([self.late_answer])])

    def check(self, token: Any) -> None:
        made, node = self.cluster, self.node
        made.drop = lambda envelope: False
        made.run_until(lambda: token in node.answers and self.first in node.answers)
        answer = node.answers[token]
        stale = f"store {node.id} read {answer!r}, which was overwritten before the read began"
        promise(answer == b"new" or isinstance(answer, RegionError), stale)


def the_retry_meets_the_old_answer() -> None:
    """The follower goes on: a new read, its patience with the first round is over, and then comes the old answer."""
    paused = Paused()
    token = paused.read_again()
    name = _round_of(paused.node)
    assert name is not None, "the retry is under way, for both reads"
    paused.meet_late_answer()
    paused.check(token)


def _round_of(node: Node) -> bytes | None:
    current = node.store.peers[FOUND.id].reads.round
    return current.name if current is not None else None


def test_r05_a_retry_takes_no_answer_to_an_earlier_try() -> None:
    the_retry_meets_the_old_answer()


def test_r05_without_a_new_name_for_each_try_a_read_is_stale() -> None:
    breaks(the_retry_meets_the_old_answer, retry_under_the_old_name, "read b'old', which was overwritten")


def test_r05_an_answer_given_in_an_older_term_confirms_nothing() -> None:
    test_historic.test_an_answered_read_of_an_older_leadership_does_not_count()


def test_r05_without_the_term_of_an_answer_an_older_leadership_confirms_a_read() -> None:
    replay = test_historic.test_an_answered_read_of_an_older_leadership_does_not_count
    breaks(replay, answers_of_any_term, r"ReadState\(.* == \[\]")


def leader_paused_inside_a_round() -> None:
    """The leader itself is stopped while the answers to its round are in its sockets. A read that begins after its
    successor's write was acknowledged must not ride on them.
    """
    made = Cluster([FOUND], config=replace(CONFIG, lease_reads=False))
    assert made.put(FOUND, b"k", b"old") is None
    made.run_for(300)
    old = made.await_leader(1)
    made.send(old, FOUND, Get(0, b"k"))
    made.run_until(lambda: _round_of(old) and any(e.message.context == _round_of(old) for e in _answers_to(old)))
    waiting, old.inbox = list(old.inbox), []
    old.alive = False
    made.run_until(lambda: (leader := made.leader_of(1)) is not None and leader is not old)
    assert made.put(FOUND, b"k", b"new") is None
    old.alive = True
    request = made.request(old, FOUND, Get(0, b"k"))
    made.step_node(old, [RequestsReceived([request]), *waiting])
    made.run_until(lambda: request.token in old.answers)
    answer = old.answers[request.token]
    promise(answer == b"new" or isinstance(answer, RegionError), f"the old leader read {answer!r} after its time")


def _answers_to(node: Node) -> list[Any]:
    received = [item for item in node.inbox if isinstance(item, RaftReceived)]
    return [e for item in received for e in item.envelopes if e.message.msg_type is M.MsgHeartbeatResponse]


@contextlib.contextmanager
def later_reads_join_old_rounds() -> Iterator[None]:
    """A read that arrives while a round is under way counts as confirmed by it, and no round is ever given up."""
    whole = reads.on_read_states

    def on_read_states(peer: Any, read_states: Any) -> None:
        if peer.reads.round is not None:
            peer.reads.round.requests += peer.reads.waiting
            peer.reads.waiting = []
        whole(peer, read_states)

    never = patch.object(reads, "repeat_lost_round", lambda peer, now_ms, patience_ms: False)
    with never, patch.object(ready, "on_read_states", on_read_states):
        yield


def test_r05_a_leader_stopped_inside_a_round_confirms_no_later_read_by_it() -> None:
    leader_paused_inside_a_round()


def test_r05_without_rounds_of_their_own_later_reads_are_stale() -> None:
    breaks(leader_paused_inside_a_round, later_reads_join_old_rounds, "the old leader read b'old' after its time")
