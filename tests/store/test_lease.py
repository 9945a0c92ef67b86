"""Reads by lease: what a valid lease saves, and every way in which it must end before another leader can be elected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaredb.model.commands import Get, Split
from flaredb.model.errors import ConfigError
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.limits import CLOCK_RATE_PERCENT
from flaredb.model.orders import TransferLeader
from flaredb.raft import Message, MessageType, StateRole
from flaredb.store.config import StoreConfig
from flaredb.store.messages import (
    Effect,
    Note,
    RaftEnvelope,
    RaftReceived,
    Reply,
    RequestsReceived,
    SendRaft,
    SyncDone,
)
from flaredb.store.peer import Peer
from tests.store.harness import CONFIG, TICK_MS, Cluster, Node, put, region

REGION = region(1)
EARLY = replace(CONFIG, election_ticks_max=CONFIG.election_ticks + 1)
"""Followers stand for election as early as they ever may."""

LEASE_MS = CONFIG.lease_length_ms
PROMISE_MS = CONFIG.election_ticks * TICK_MS
_HEARTBEATS = (MessageType.MsgHeartbeat, MessageType.MsgHeartbeatResponse)


class DriftingCluster(Cluster):
    """Stores whose clocks run at other rates, and who may stand still."""

    def __init__(self, *, config: StoreConfig = CONFIG, stores: int = 3, **kind: Any) -> None:
        self.rates: dict[int, float] = {}
        self.still: set[int] = set()
        super().__init__(kind.pop("regions", (REGION,)), stores, config, **kind)

    def time_of(self, node: Node) -> int:
        return int(self.now_ms * self.rates.get(node.id, 1.0))

    def runs(self, node: Node) -> bool:
        return super().runs(node) and node.id not in self.still


def make_cluster(config: StoreConfig = CONFIG, **kind: Any) -> tuple[DriftingCluster, Node]:
    """A cluster where store 1 leads, its lease is valid and b"a" is b"1"; the store."""
    cluster = DriftingCluster(config=config, **kind)
    cluster.run_until(lambda: cluster.leader_of(1))
    assert cluster.put(REGION, b"a", b"1") is None
    leader = cluster.await_leader(1)
    assert leader.id == 1, "the first peer campaigns at once"
    if config.lease_reads:
        cluster.run_until(lambda: in_lease(leader))
    return cluster, leader


def peer_of(node: Node, region_id: int = 1) -> Peer:
    return node.store.peers[RegionId(region_id)]


def in_lease(node: Node, region_id: int = 1) -> bool:
    return peer_of(node, region_id).node.raft.in_lease()


def ask(cluster: Cluster, node: Node) -> list[Effect]:
    """The effects of the one step that takes a read of b"a" at a store, without its other inputs."""
    request = cluster.request(node, REGION, Get(0, b"a"))
    return node.store.step(cluster.time_of(node), [RequestsReceived([request])])


def answers(effects: list[Effect]) -> list[Any]:
    return [result for effect in effects if isinstance(effect, Reply) for _, result in effect.answers]


def rounds(effects: list[Effect]) -> int:
    """Heartbeats of ReadIndex rounds among the effects."""
    return sum(bool(message.context) for message in messages(effects))


def messages(effects: list[Effect]) -> list[Message]:
    return [envelope.message for effect in effects if isinstance(effect, SendRaft) for envelope in effect.envelopes]


def kinds(effects: list[Effect]) -> list[MessageType]:
    return [message.msg_type for message in messages(effects)]


def cut_off(*stores: int) -> Any:
    """Loses all messages from and to these stores."""
    return lambda envelope: bool({envelope.from_store, envelope.to_store} & set(stores))


def elect_another(cluster: Cluster) -> Node:
    """Wait until stores 2 and 3 have elected one of them."""

    def elected() -> Node | None:
        found = cluster.leader_of(1)
        return found if found is not None and found.id != 1 else None

    return cluster.run_until(elected)


# ------------------------------------------------ what it saves


def test_a_read_under_a_valid_lease_is_answered_by_the_step_that_takes_it() -> None:
    cluster, leader = make_cluster()
    effects = ask(cluster, leader)
    assert [type(effect) for effect in effects] == [Reply], "no message, no sync"
    assert answers(effects) == [b"1"]
    counts = leader.store.read_counts
    assert (counts.by_lease, counts.by_round) == (1, 0)


def test_without_leases_each_read_takes_a_round() -> None:
    cluster, leader = make_cluster(replace(CONFIG, lease_reads=False))
    effects = ask(cluster, leader)
    assert (answers(effects), rounds(effects)) == ([], 2)
    assert cluster.get(REGION, b"a") == b"1"
    counts = leader.store.read_counts
    assert (counts.by_lease, counts.by_round) == (0, 2)


def test_a_region_at_rest_keeps_its_lease_by_heartbeats_alone() -> None:
    cluster, leader = make_cluster()
    for _ in range(200):
        cluster.round()
        assert in_lease(leader)


def test_a_leader_without_heartbeats_reads_by_a_round_which_renews_its_lease() -> None:
    """As a region that sleeps: its lease runs out, and nothing else depends on heartbeats."""
    cluster, leader = make_cluster()
    sends_beats = peer_of(leader).node.raft
    sends_beats.heartbeat_timeout = 10**6
    for node in cluster.nodes.values():
        peer_of(node).node.raft.set_randomized_election_timeout(CONFIG.election_ticks_max - 1)
    cluster.run_for(LEASE_MS + 10)
    assert not in_lease(leader)
    effects = ask(cluster, leader)
    assert (answers(effects), rounds(effects)) == ([], 2)
    for effect in effects:
        cluster._perform(leader, effect)
    cluster.round()
    cluster.round()
    assert leader.store.read_counts.by_round == 1
    assert answers(ask(cluster, leader)) == [b"1"]


def test_a_read_waits_until_what_is_committed_is_applied() -> None:
    """The leader has committed a write that it cannot apply yet, its disk being slow: the write's quorum is others."""
    cluster, leader = make_cluster()
    leader.sync_at_once = False
    peer = peer_of(leader)
    cluster.send(leader, REGION, put(b"a", b"2"))
    cluster.run_until(lambda: peer.node.raft.raft_log.committed > peer.applied_index)
    assert answers(ask(cluster, leader)) == [], "a follower may have told of the write already"
    leader.sync_at_once = True
    leader.engine.sync()
    effects = leader.store.step(cluster.now_ms, [SyncDone(leader.store._sequence)])
    assert b"2" in answers(effects)


def test_followers_still_ask_their_leader() -> None:
    cluster, _ = make_cluster()
    follower = cluster.nodes[StoreId(2)]
    request = cluster.request(follower, REGION, Get(0, b"a"), replica_read=True)
    effects = cluster.step_node(follower, [RequestsReceived([request])])
    assert kinds(effects) == [MessageType.MsgReadIndex]
    cluster.run_until(lambda: request.token in follower.answers)
    assert follower.answers[request.token] == b"1"
    assert (follower.store.read_counts.by_lease, follower.store.read_counts.by_round) == (0, 1)


# ------------------------------------------------ how it ends


def test_a_lease_counts_from_the_sending_of_the_round_that_was_answered() -> None:
    """Answers that come late renew it from the heartbeat they answer, not from their coming."""
    cluster, leader = make_cluster()
    held: list[RaftEnvelope] = []
    sent_ms = cluster.now_ms

    def hold(envelope: RaftEnvelope) -> bool:
        if envelope.message.msg_type is MessageType.MsgHeartbeatResponse:
            held.append(envelope)
            return True
        return False

    cluster.run_for(2 * CONFIG.heartbeat_ticks * TICK_MS)
    cluster.drop = hold
    cluster.run_until(lambda: held)
    sent_ms = max(envelope.message.index for envelope in held)
    late = list(held)
    cluster.drop = lambda envelope: envelope.message.msg_type in _HEARTBEATS
    cluster.run_until(lambda: cluster.now_ms >= sent_ms + LEASE_MS - 30)
    leader.inbox.append(RaftReceived(late))
    cluster.round()
    assert in_lease(leader)
    cluster.now_ms = sent_ms + LEASE_MS - 1
    assert answers(ask(cluster, leader)) == [b"1"]
    cluster.now_ms = sent_ms + LEASE_MS
    effects = ask(cluster, leader)
    assert (answers(effects), rounds(effects)) == ([], 2)


def test_no_other_leader_is_elected_while_a_lease_is_valid_though_clocks_differ() -> None:
    """The leader's clock is as slow, and the others' are as fast, as is allowed."""
    slow, fast = 1 - CLOCK_RATE_PERCENT / 100, 1 + CLOCK_RATE_PERCENT / 100
    for offset_ms in range(0, 2 * TICK_MS, 7):
        cluster = DriftingCluster(config=EARLY)
        cluster.rates = {1: slow, 2: fast, 3: fast}
        leader = cluster.await_leader(1)
        assert leader.id == 1
        cluster.run_until(lambda leader=leader: in_lease(leader))
        cluster.run_for(300)
        for _ in range(offset_ms):
            cluster.round(1)
        cluster.drop = cut_off(1)
        stale_ms = 0
        while cluster.leader_of(1) in (leader, None):
            cluster.round(1)
            stale_ms += 1
        assert not in_lease(leader), f"two leaders read after {stale_ms} ms"


def test_a_leader_that_stood_still_reads_by_a_round() -> None:
    cluster, leader = make_cluster()
    cluster.still = {1}
    assert elect_another(cluster).id != 1
    assert cluster.put(REGION, b"a", b"2") is None
    effects = ask(cluster, leader)
    assert b"1" not in answers(effects)
    cluster.still = set()
    assert cluster.get(REGION, b"a") == b"2"


def test_a_lease_is_void_from_the_start_of_a_transfer() -> None:
    """The heir is elected in spite of all promises, and the old leader does not hear of it (openraft issue 1749)."""
    cluster, leader = make_cluster()
    heir = REGION.peer_on(StoreId(2))
    assert heir is not None
    cluster.order(1, TransferLeader((heir,)))
    cluster.run_until(lambda: any(e.message.msg_type is MessageType.MsgTimeoutNow for e in cluster.sent))
    cluster.drop = cut_off(1)
    elect_another(cluster)
    assert cluster.put(REGION, b"a", b"2") is None
    assert peer_of(leader).node.raft.state is StateRole.Leader, "it does not know"
    assert peer_of(leader).node.raft.lead_transferee is not None
    assert answers(ask(cluster, leader)) == []


def test_a_lease_stays_void_after_a_transfer_was_given_up() -> None:
    """TimeoutNow may still arrive, and whoever gets it is elected in spite of all promises."""
    cluster, leader = make_cluster(replace(CONFIG, election_ticks_max=40))
    late: list[RaftEnvelope] = []

    def hold(envelope: RaftEnvelope) -> bool:
        if envelope.message.msg_type is MessageType.MsgTimeoutNow:
            late.append(envelope)
            return True
        return False

    cluster.drop = hold
    heir = REGION.peer_on(StoreId(2))
    assert heir is not None
    cluster.order(1, TransferLeader((heir,)))
    raft = peer_of(leader).node.raft
    cluster.run_until(lambda: late)
    cluster.run_until(lambda: raft.lead_transferee is None)
    cluster.run_for(300)
    assert raft.state is StateRole.Leader
    cluster.drop = cut_off(1)
    cluster.nodes[StoreId(2)].inbox.append(RaftReceived(late))
    for _ in range(10):
        cluster.round(1)
    assert cluster.leader_of(1).id == 2  # type: ignore[union-attr]
    assert cluster.put(REGION, b"a", b"2") is None
    assert answers(ask(cluster, leader)) == []


def test_a_split_makes_the_parents_lease_void_and_gives_its_children_none() -> None:
    cluster, leader = make_cluster()
    token = cluster.send(leader, REGION, Split((b"m",), REGION.epoch.conf_ver))
    cluster.run_until(lambda: token in leader.answers)
    assert not in_lease(leader), "until a round after the split is answered"
    child = leader.answers[token][0]
    assert not in_lease(leader, child.id)
    cluster.run_until(lambda: in_lease(leader) and in_lease(leader, child.id))


def test_a_clock_that_goes_back_makes_every_lease_void() -> None:
    """Nothing can be said of how much time has passed (tikv issue 14518)."""
    cluster, leader = make_cluster()
    effects = leader.store.step(cluster.now_ms - 3_600_000, [])
    notes = [effect for effect in effects if isinstance(effect, Note)]
    assert [(note.event, dict(note.fields)) for note in notes] == [
        ("the monotonic clock went back", {"by_ms": 3_600_000})
    ]
    assert not in_lease(leader)
    assert cluster.now_ms - 3_600_000 <= leader.store.next_deadline_ms() <= cluster.now_ms - 3_600_000 + TICK_MS
    cluster.rates = {}
    cluster.time_of = lambda node: cluster.now_ms - 3_600_000 * (node.id == 1)  # type: ignore[method-assign]
    late = [envelope for envelope in cluster.sent if envelope.message.msg_type is MessageType.MsgHeartbeatResponse][-2:]
    leader.inbox.append(RaftReceived(late))
    cluster.round()
    assert not in_lease(leader), "answers to what was sent before count no more"
    cluster.run_until(lambda: in_lease(leader))
    assert answers(ask(cluster, leader)) == [b"1"]


def test_a_leader_that_steps_down_has_no_lease() -> None:
    cluster, leader = make_cluster()
    peer = peer_of(leader)
    peer.node.raft.become_follower(peer.term + 1, 0)
    effects = ask(cluster, leader)
    assert answers(effects) == []


def test_a_new_leader_reads_nothing_before_it_has_committed_in_its_own_term() -> None:
    """It may not know what its predecessor has acknowledged, however many hear it (tikv issue 9208)."""
    cluster, old = make_cluster()
    appends = (MessageType.MsgAppend, MessageType.MsgAppendResponse)
    cluster.drop = lambda envelope: cut_off(1)(envelope) or envelope.message.msg_type in appends

    def leading() -> Node | None:
        return next((node for node in cluster.live() if node.id != 1 and in_lease(node)), None)

    new = cluster.run_until(leading)
    assert answers(ask(cluster, new)) == []
    assert peer_of(old).term < peer_of(new).term
    cluster.drop = cut_off(1)
    cluster.run_until(lambda: peer_of(new).node.raft.commit_to_current_term())
    assert answers(ask(cluster, new)) == [b"1"]


# ------------------------------------------------ the promise


@pytest.mark.parametrize("lease_reads", [True, False], ids=["by lease", "by ReadIndex itself"])
def test_a_restarted_follower_withholds_its_vote_for_an_election_timeout(lease_reads: bool) -> None:
    """It may have answered a heartbeat just before it stopped, and the leader counts on that."""
    cluster, leader = make_cluster()
    cluster.drop = cut_off(3)
    cluster.run_for(2 * PROMISE_MS)
    cluster.crash(2)
    cluster.config = replace(CONFIG, lease_reads=lease_reads)
    cluster.drop = cut_off(1)
    restarted_ms = cluster.now_ms
    second = cluster.restart(2)
    while in_lease(leader):
        cluster.round(1)
        ahead = cluster.leader_of(1)
        assert ahead is leader, f"another was elected {cluster.now_ms - restarted_ms} ms after the start"
        assert not in_lease(leader) or answers(ask(cluster, leader)) == [b"1"]
    elect_another(cluster)
    assert cluster.now_ms - restarted_ms >= PROMISE_MS
    assert second.alive


def test_a_region_of_one_voter_waits_for_nobody_after_a_restart() -> None:
    alone = region(1, stores=(1,))
    cluster = Cluster([alone], stores=1)
    assert cluster.put(alone, b"a", b"1") is None
    cluster.crash(1)
    node = cluster.restart(1)
    restarted_ms = cluster.now_ms
    cluster.run_until(lambda: cluster.leader_of(1))
    assert cluster.now_ms - restarted_ms < TICK_MS
    assert cluster.get(alone, b"a") == b"1"
    assert in_lease(node)


def test_a_new_region_votes_at_once() -> None:
    cluster = Cluster([REGION])
    cluster.await_leader(1)
    assert cluster.now_ms - 1000 < PROMISE_MS


# ------------------------------------------------ settings


def test_a_lease_is_shorter_than_a_promise_by_what_clocks_may_differ() -> None:
    config = StoreConfig()
    assert config.lease_length_ms == (8 * 1000 - 1) * 95 // 105 == 7_237
    assert replace(config, lease_ms=500).lease_length_ms == 500
    assert replace(config, lease_ms=9_000).lease_length_ms == 7_237, "TiKV's 9s is a maximum"
    assert replace(config, lease_reads=False).lease_length_ms == 0
    assert replace(config, heartbeat_ticks=1, election_ticks=2).lease_length_ms == 0, "no time for one"
    with pytest.raises(ConfigError, match="raft-store-max-leader-lease"):
        replace(config, lease_ms=10_000).validate()
