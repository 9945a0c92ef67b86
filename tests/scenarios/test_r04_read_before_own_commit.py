"""R4. A new leader answered reads with its old commit index, behind what its predecessor had acknowledged (etcd 7331,
tikv 9208).
"""

from __future__ import annotations

from flaredb.model.commands import Get
from flaredb.model.errors import RegionError
from flaredb.model.orders import TransferLeader
from flaredb.raft import MessageType, StateRole
from tests.raft import test_historic
from tests.scenarios.promises import breaks, promise, put_back
from tests.store.harness import Cluster, put, region

M = MessageType
FOUND = region(1)

READS_BEFORE_OWN_COMMIT = put_back("a read before the leader's own commit")


def read_in_the_gap() -> None:
    """Leadership is transferred while the followers do not know yet that a write is committed; the new leader's first
    entry is held back; meanwhile the third store reads as a replica.
    """
    made = Cluster([FOUND])
    assert made.put(FOUND, b"k", b"old") is None
    made.run_for(300)
    old = made.await_leader(1)
    heir, reader = (node for node in made.nodes.values() if node is not old)
    held_back = {(old.id, M.MsgHeartbeat), (heir.id, M.MsgAppend)}
    made.drop = lambda envelope: (envelope.from_store, envelope.message.msg_type) in held_back
    assert made.call(old, FOUND, put(b"k", b"new")) is None
    assert heir.engine.get("default", b"k") == reader.engine.get("default", b"k") == b"old"
    made.order(1, TransferLeader((FOUND.peers[heir.id - 1],)))
    raft = heir.store.peers[FOUND.id].node.raft
    made.run_until(lambda: raft.state is StateRole.Leader)
    made.run_for(150)
    assert not raft.raft_log.match_term(raft.raft_log.committed, raft.term), "the gap"
    tokens = [(node, made.send(node, FOUND, Get(0, b"k"), replica_read=node is reader)) for node in (reader, heir)]
    made.run_for(200)
    made.drop = lambda envelope: False
    made.run_until(lambda: all(token in node.answers for node, token in tokens))
    for node, token in tokens:
        answer = node.answers[token]
        stale = f"store {node.id} read {answer!r} after b'new' was acknowledged"
        promise(answer == b"new" or isinstance(answer, RegionError), stale)


def test_r04_a_new_leader_answers_no_read_before_its_first_commit() -> None:
    read_in_the_gap()
    test_historic.test_reads_wait_for_the_first_commit_of_a_term()


def test_r04_without_waiting_for_the_own_commit_an_old_value_is_read() -> None:
    breaks(read_in_the_gap, READS_BEFORE_OWN_COMMIT, "read b'old' after b'new' was acknowledged")
    breaks(test_historic.test_reads_wait_for_the_first_commit_of_a_term, READS_BEFORE_OWN_COMMIT, "== 0")
