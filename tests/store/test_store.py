"""Several regions on three stores: election, writes, reads, restart, and the exact effects of a step."""

from __future__ import annotations

import pytest

from flaredb.engine.memory import MemoryEngine
from flaredb.model.commands import (
    COMPARE_AND_SWAP,
    DELETE,
    DELETE_RANGE,
    BatchGet,
    BatchScan,
    CasResult,
    Checksum,
    ChecksumResult,
    Get,
    Scan,
    Write,
)
from flaredb.model.crc64 import crc64_xz
from flaredb.model.errors import (
    EpochNotMatch,
    KeyNotInRegion,
    MismatchPeerId,
    NotLeader,
    RaftEntryTooLarge,
    RegionNotFound,
    ServerIsBusy,
    StaleCommand,
    StoreNotMatch,
)
from flaredb.model.ids import StoreId
from flaredb.model.region import Region
from flaredb.raft import Message, MessageType
from flaredb.store.config import StoreConfig
from flaredb.store.messages import (
    Effect,
    Fatal,
    RaftEnvelope,
    RaftReceived,
    RegionsListed,
    RequestsReceived,
    SendRaft,
    Sync,
    SyncDone,
)
from tests.store.harness import CONFIG, Cluster, Node, put, region

LEFT = region(1, b"", b"m")
RIGHT = region(2, b"m", b"", stores=(2, 3, 1))


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster([LEFT, RIGHT])
    cluster.await_leader(1)
    cluster.await_leader(2)
    return cluster


def test_first_listed_peer_leads_without_waiting_for_an_election_timeout() -> None:
    cluster = Cluster([LEFT, RIGHT])
    start_ms = cluster.now_ms
    assert cluster.await_leader(1).id == 1
    assert cluster.await_leader(2).id == 2
    assert cluster.now_ms - start_ms < CONFIG.election_ticks * CONFIG.tick_ms


def test_regions_do_not_interfere(cluster: Cluster) -> None:
    assert cluster.put(LEFT, b"a", b"1") is None
    assert cluster.put(RIGHT, b"z", b"2") is None
    assert cluster.get(LEFT, b"a") == b"1"
    assert cluster.get(RIGHT, b"z") == b"2"
    assert cluster.scan(LEFT) == [(b"a", b"1")]
    assert cluster.scan(RIGHT) == [(b"z", b"2")]
    for node in cluster.nodes.values():
        for envelope in cluster.sent:
            assert envelope.to_peer // 10 == envelope.region_id
        assert {peer.meta.id // 10 for peer in node.store.peers.values()} == {1, 2}


def test_an_acknowledged_write_is_on_a_majority_of_disks(cluster: Cluster) -> None:
    cluster.put(LEFT, b"a", b"1")
    synced = [node.engine.crash(__import__("random").Random(1), "synced") for node in cluster.nodes.values()]
    with_entry = 0
    for engine in synced:
        rows = list(engine.scan("raft", b"", None))
        with_entry += any(b"\x01a" in value or b"a" in value for key, value in rows if len(key) == 17 and key[7] == 1)
    assert with_entry >= 2


def test_operations_and_column_families(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    for key in (b"a", b"b", b"c", b"d"):
        cluster.put(LEFT, key, key * 2)
    cluster.call(leader, LEFT, put(b"a", b"in lock", cf=1))
    assert cluster.call(leader, LEFT, Get(1, b"a")) == b"in lock"
    assert cluster.call(leader, LEFT, Get(0, b"a")) == b"aa"
    assert cluster.call(leader, LEFT, Write([(DELETE, 0, b"b")], 1)) is None
    assert cluster.call(leader, LEFT, BatchGet(0, [b"d", b"b", b"a", b"d"])) == [
        (b"d", b"dd"),
        (b"a", b"aa"),
        (b"d", b"dd"),
    ]
    assert cluster.scan(LEFT, b"a", b"d") == [(b"a", b"aa"), (b"c", b"cc")]
    assert cluster.scan(LEFT, reverse=True, keys_only=True, limit=2) == [(b"d", b""), (b"c", b"")]
    both = BatchScan([Scan(0, b"a", b"b", 5), Scan(0, b"c", b"", 1)])
    assert cluster.call(leader, LEFT, both) == [(b"a", b"aa"), (b"c", b"cc")]
    cluster.call(leader, LEFT, Write([(DELETE_RANGE, 0, b"a", b"d")], 2))
    assert cluster.scan(LEFT) == [(b"d", b"dd")]
    assert cluster.scan(LEFT, limit=10_000) == [(b"d", b"dd")], "a long scan runs as slices on a snapshot"


def test_checksum_is_crc64_of_key_and_value(cluster: Cluster) -> None:
    cluster.put(LEFT, b"a", b"1")
    cluster.put(LEFT, b"b", b"22")
    result = cluster.call(cluster.await_leader(1), LEFT, Checksum([(b"", b"")]))
    assert result == ChecksumResult(crc64_xz(b"a1") ^ crc64_xz(b"b22"), 2, 5)
    assert crc64_xz(b"123456789") == 0x995DC9BBDF1939FA


def test_compare_and_swap_sees_writes_of_the_same_entry(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    requests = [
        cluster.request(leader, LEFT, put(b"k", b"1")),
        cluster.request(leader, LEFT, Write([(COMPARE_AND_SWAP, 0, b"k", b"1", b"2")], 3)),
        cluster.request(leader, LEFT, Write([(COMPARE_AND_SWAP, 0, b"k", b"1", b"3")], 3)),
        cluster.request(leader, LEFT, Write([(DELETE_RANGE, 0, b"a", b"l")], 2)),
        cluster.request(leader, LEFT, Write([(COMPARE_AND_SWAP, 0, b"k", None, b"4")], 3)),
        cluster.request(leader, LEFT, Write([(COMPARE_AND_SWAP, 0, b"k", b"4", None)], 3)),
    ]
    leader.inbox.append(RequestsReceived(requests))
    before = leader.store.peers[LEFT.id].node.raft.raft_log.last_index()
    cluster.run_until(lambda: all(request.token in leader.answers for request in requests))
    assert [leader.answers[request.token] for request in requests] == [
        None,
        CasResult(True, b"1"),
        CasResult(False, b"2"),
        None,
        CasResult(True, None),
        CasResult(True, b"4"),
    ]
    assert leader.store.peers[LEFT.id].node.raft.raft_log.last_index() == before + 1, "one entry for all of them"
    assert cluster.get(LEFT, b"k") is None


def test_effects_of_a_step_that_writes(cluster: Cluster) -> None:
    """Appends leave before the sync; the answer only when a follower and the own disk, or two followers, have it."""
    leader = cluster.await_leader(1)
    cluster.run_for(20)
    leader.sync_at_once = False
    request = cluster.request(leader, LEFT, put(b"k", b"v"))
    effects = cluster.step_node(leader, [RequestsReceived([request])])
    assert [type(effect) for effect in effects] == [SendRaft, SendRaft, Sync]
    assert {effect.to_store for effect in effects[:2]} == {2, 3}
    for effect in effects[:2]:
        assert [envelope.message.msg_type for envelope in effect.envelopes] == [MessageType.MsgAppend]
    followers = [node for node in cluster.nodes.values() if node is not leader]
    for node in followers:
        inputs, node.inbox = node.inbox, []
        node.sync_at_once = False
        sent = cluster.step_node(node, inputs)
        assert [type(effect) for effect in sent] == [Sync], "a follower acknowledges only after its sync"


def test_gate_in_the_order_of_the_protocol(cluster: Cluster) -> None:
    leader, follower = cluster.await_leader(1), cluster.nodes[StoreId(3)]
    get = Get(0, b"a")
    assert isinstance(cluster.call(leader, LEFT, get, region_id=99, store_id=9), RegionNotFound)
    assert isinstance(cluster.call(leader, LEFT, get, store_id=9, peer_id=1), StoreNotMatch)
    assert isinstance(cluster.call(leader, LEFT, get, peer_id=1, version=9), MismatchPeerId)
    refused = cluster.call(follower, LEFT, get, version=9)
    assert isinstance(refused, NotLeader)
    assert refused.leader == LEFT.peer_on(leader.id)
    leader.store.peers[LEFT.id].node.raft.term += 0
    term = leader.store.peers[LEFT.id].term
    assert isinstance(cluster.call(leader, LEFT, get, term=term - 2 or 1, version=9), StaleCommand)
    wrong = cluster.call(leader, LEFT, Get(0, b"z"), version=9)
    assert isinstance(wrong, EpochNotMatch)
    assert wrong.current_regions == (LEFT,)
    outside = cluster.call(leader, LEFT, Get(0, b"z"))
    assert isinstance(outside, KeyNotInRegion)
    assert (outside.start_key, outside.end_key) == (b"", b"m")


def test_scan_may_start_at_the_end_of_the_region_but_not_beyond(cluster: Cluster) -> None:
    cluster.put(LEFT, b"a", b"1")
    assert cluster.scan(LEFT, b"m", b"z") == []
    assert cluster.scan(LEFT, b"a", b"zz") == [(b"a", b"1")], "an end beyond the region is not an error"
    assert isinstance(cluster.scan(LEFT, b"n"), KeyNotInRegion)
    assert cluster.scan(LEFT, b"", b"m", reverse=True) == [(b"a", b"1")]
    assert isinstance(cluster.scan(LEFT, b"", b"n", reverse=True), KeyNotInRegion)


def test_delete_range_must_stay_inside_the_region(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    for end in (b"n", b""):
        refused = cluster.call(leader, LEFT, Write([(DELETE_RANGE, 0, b"a", end)], 2))
        assert isinstance(refused, KeyNotInRegion), end
    last = cluster.await_leader(2)
    cluster.put(RIGHT, b"z", b"1")
    assert cluster.call(last, RIGHT, Write([(DELETE_RANGE, 0, b"m", b"")], 1)) is None
    assert cluster.scan(RIGHT) == []


def test_a_follower_serves_replica_reads_through_the_leader(cluster: Cluster) -> None:
    cluster.put(LEFT, b"a", b"1")
    follower = cluster.nodes[StoreId(3)]
    assert cluster.call(follower, LEFT, Scan(0, b"", b"", 10), replica_read=True) == [(b"a", b"1")]


def test_a_request_waits_for_a_leader_and_is_refused_at_its_deadline(cluster: Cluster) -> None:
    for store_id in (1, 2):
        cluster.crash(store_id)
    survivor = cluster.nodes[StoreId(3)]
    cluster.run_until(lambda: not survivor.store.peers[LEFT.id].node.raft.leader_id)
    asked_ms = cluster.now_ms
    refused = cluster.call(survivor, LEFT, Get(0, b"a"))
    assert isinstance(refused, NotLeader)
    assert refused.leader is None
    assert CONFIG.hold_ms <= cluster.now_ms - asked_ms <= CONFIG.hold_ms + 200


def test_a_held_write_goes_through_once_a_leader_is_elected(cluster: Cluster) -> None:
    cluster.crash(1)
    survivor = cluster.nodes[StoreId(2)]
    cluster.run_until(lambda: not survivor.store.peers[LEFT.id].node.raft.leader_id)
    tokens = [cluster.send(cluster.nodes[StoreId(s)], LEFT, put(b"k", b"%d" % s)) for s in (2, 3)]
    cluster.run_until(lambda: all(t in cluster.nodes[StoreId(s)].answers for t, s in zip(tokens, (2, 3), strict=True)))
    answers = [cluster.nodes[StoreId(s)].answers[t] for t, s in zip(tokens, (2, 3), strict=True)]
    assert sum(answer is None for answer in answers) == 1
    assert sum(isinstance(answer, NotLeader) and answer.leader is not None for answer in answers) == 1


def test_requests_before_the_first_regions_are_held(cluster: Cluster) -> None:
    del cluster
    fresh = Cluster([LEFT, RIGHT])
    node = fresh.nodes[StoreId(1)]
    listed, node.inbox = node.inbox, []
    token = fresh.send(node, LEFT, put(b"a", b"1"))
    fresh.round()
    assert token not in node.answers
    node.inbox += listed
    fresh.run_until(lambda: token in node.answers)
    assert node.answers[token] is None


def test_restart_of_one_and_of_all_stores_keeps_acknowledged_writes(cluster: Cluster) -> None:
    for i in range(50):
        assert cluster.put(LEFT, b"k%02d" % i, b"%d" % i) is None
        cluster.put(RIGHT, b"z%02d" % i, b"%d" % i)
    cluster.crash(1, "prefix")
    assert cluster.put(LEFT, b"down", b"x") is None
    cluster.restart(1)
    cluster.run_for(1000)
    for store_id in (1, 2, 3):
        cluster.crash(store_id)
    for store_id in (1, 2, 3):
        cluster.restart(store_id)
    assert len(cluster.scan(LEFT)) == 51
    assert cluster.scan(RIGHT) == [(b"z%02d" % i, b"%d" % i) for i in range(50)]
    cluster.put(LEFT, b"after", b"y")
    assert cluster.get(LEFT, b"after") == b"y"


def test_unsynced_follower_never_acknowledges(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    for node in cluster.nodes.values():
        node.sync_at_once = node is leader
    token = cluster.send(leader, LEFT, put(b"k", b"v"))
    cluster.run_for(200)
    assert token not in leader.answers, "one durable copy of three is no majority"


def append_unsynced(cluster: Cluster) -> tuple[Node, Node, Sync]:
    """The leader of the left region, a follower that has written but not synced an entry, and the sync it asked for."""
    leader = cluster.await_leader(1)
    cluster.run_for(100)
    follower = next(node for node in cluster.nodes.values() if node is not leader)
    follower.sync_at_once = False
    cluster.send(leader, LEFT, put(b"k", b"v"))
    cluster.step_node(leader, leader.inbox)
    leader.inbox = []
    inputs, follower.inbox = follower.inbox, []
    effects = cluster.step_node(follower, inputs)
    assert [type(effect) for effect in effects] == [Sync], "no acknowledgement before the sync"
    assert isinstance(effects[0], Sync)
    return leader, follower, effects[0]


def acknowledgements(effects: list[Effect]) -> list[tuple[StoreId, int]]:
    """Receiver and index of each."""
    return [
        (effect.to_store, envelope.message.index)
        for effect in effects
        if isinstance(effect, SendRaft)
        for envelope in effect.envelopes
        if envelope.message.msg_type is MessageType.MsgAppendResponse and not envelope.message.reject
    ]


def test_promises_leave_with_their_sync_and_once(cluster: Cluster) -> None:
    leader, follower, sync = append_unsynced(cluster)
    assert follower.store.take_promises(sync.sequence - 1) == []
    follower.engine.sync()
    effects = follower.store.take_promises(sync.sequence)
    assert [type(effect) for effect in effects] == [SendRaft]
    index = follower.store.peers[LEFT.id].node.raft.raft_log.tail_index
    assert acknowledgements(effects) == [(leader.id, index)]
    assert follower.store.take_promises(sync.sequence) == []
    raft_log = follower.store.peers[LEFT.id].node.raft.raft_log
    assert raft_log.persisted == index - 1, "what follows for the replica itself is the step's"
    assert cluster.step_node(follower, [SyncDone(sync.sequence)]) == []
    assert raft_log.persisted == index


def test_promises_that_nobody_took_leave_in_the_step(cluster: Cluster) -> None:
    leader, follower, sync = append_unsynced(cluster)
    follower.engine.sync()
    index = follower.store.peers[LEFT.id].node.raft.raft_log.tail_index
    assert acknowledgements(cluster.step_node(follower, [SyncDone(sync.sequence)])) == [(leader.id, index)]


def test_leader_has_no_promises_to_give_for_its_own_entries(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    cluster.run_for(100)
    leader.sync_at_once = False
    cluster.send(leader, LEFT, put(b"k", b"v"))
    inputs, leader.inbox = leader.inbox, []
    syncs = [effect for effect in cluster.step_node(leader, inputs) if isinstance(effect, Sync)]
    assert len(syncs) == 1
    assert leader.store.take_promises(syncs[0].sequence) == []


def test_log_is_compacted_but_not_past_a_slow_replica(cluster: Cluster) -> None:
    cluster.crash(3)
    for i in range(60):
        cluster.put(LEFT, b"k", b"%d" % i)
    cluster.run_for(500)
    leader = cluster.await_leader(1)
    assert leader.store.peers[LEFT.id].storage.apply_state.truncated_index < 10
    cluster.restart(3)
    cluster.run_until(lambda: leader.store.peers[LEFT.id].storage.apply_state.truncated_index > 60)
    cluster.run_until(lambda: cluster.nodes[StoreId(3)].store.peers[LEFT.id].storage.apply_state.truncated_index > 60)
    assert len(list(leader.engine.scan("raft", (1).to_bytes(8, "big") + b"\x03", (2).to_bytes(8, "big")))) < 20
    cluster.crash(1)
    cluster.restart(1)
    assert cluster.get(LEFT, b"k") == b"59"


def test_lost_read_index_round_is_repeated(cluster: Cluster) -> None:
    cluster.put(LEFT, b"a", b"1")
    leader = cluster.await_leader(1)
    lost = []

    def drop(envelope: object) -> bool:
        message = envelope.message  # type: ignore[attr-defined]
        if message.msg_type is MessageType.MsgHeartbeat and message.context and len(lost) < 2:
            lost.append(message)
            return True
        return False

    cluster.drop = drop
    assert cluster.call(leader, LEFT, Get(0, b"a")) == b"1"
    assert len(lost) == 2


def test_a_cut_off_leader_answers_no_read(cluster: Cluster) -> None:
    cluster.put(LEFT, b"a", b"old")
    old = cluster.await_leader(1)
    cluster.drop = lambda envelope: old.id in (envelope.from_store, envelope.to_store)
    others = [node for node in cluster.nodes.values() if node is not old]
    cluster.run_until(lambda: any(node.store.peers[LEFT.id].is_leader for node in others))
    new = next(node for node in others if node.store.peers[LEFT.id].is_leader)
    assert cluster.call(new, LEFT, put(b"a", b"new")) is None
    token = cluster.send(old, LEFT, Get(0, b"a"))
    cluster.run_until(lambda: token in old.answers)
    assert old.answers[token] != b"old"


def test_too_large_write_and_full_queues_are_refused_with_the_setting(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    refused = cluster.call(leader, LEFT, put(b"k", b"x" * (8 << 20)))
    assert isinstance(refused, RaftEntryTooLarge)
    assert "raft-entry-max-size" in str(refused)
    small = Cluster([region(1)], config=StoreConfig(tick_ms=50, requests_max=2))
    node = small.await_leader(1)
    small.drop = lambda envelope: True
    tokens = [small.send(node, region(1), put(b"k", b"v")) for _ in range(3)]
    small.round()
    busy = node.answers[tokens[2]]
    assert isinstance(busy, ServerIsBusy)
    assert "raftstore.max-waiting-requests" in str(busy)
    assert node.answers.keys() & set(tokens[:2]) == set()


def test_writes_beyond_the_bytes_that_may_wait_are_refused_with_the_setting() -> None:
    small = Cluster([region(1)], config=StoreConfig(tick_ms=50, write_bytes_max=150))
    node = small.await_leader(1)
    small.drop = lambda envelope: True
    first, second = (small.send(node, LEFT, put(b"k", b"x" * 100)) for _ in range(2))
    small.round()
    busy = node.answers[second]
    assert isinstance(busy, ServerIsBusy)
    assert "raftstore.max-waiting-writes-size = 150" in str(busy)
    assert first not in node.answers


def test_leader_change_is_reported_to_pd_at_once(cluster: Cluster) -> None:
    node = cluster.await_leader(1)
    reports = [report.heartbeat for report in node.reports if report.heartbeat.region.id == LEFT.id]
    assert reports[0].leader == LEFT.peer_on(node.id)
    assert reports[0].term == node.store.peers[LEFT.id].term
    assert reports[0].approximate_size_bytes >= 1


def test_an_answer_to_a_read_of_an_earlier_life_is_not_taken_for_a_new_one(cluster: Cluster) -> None:
    """A follower asks the leader for a read index and dies; the late answer meets the first read of its next life."""
    assert cluster.put(LEFT, b"a", b"old") is None
    late: list[RaftEnvelope] = []

    def hold_answers(envelope: RaftEnvelope) -> bool:
        is_answer = envelope.message.msg_type is MessageType.MsgReadIndexResp
        if is_answer and len(late) < 1:
            late.append(envelope)
        return is_answer

    cluster.drop = hold_answers
    cluster.send(cluster.nodes[StoreId(3)], LEFT, Get(0, b"a"), replica_read=True)
    cluster.run_until(lambda: late)
    cluster.crash(3)
    follower = cluster.restart(3)
    cluster.run_until(lambda: follower.store.peers[LEFT.id].node.raft.leader_id)
    cluster.run_for(200)
    cluster.drop = lambda envelope: envelope.to_store == follower.id
    assert cluster.put(LEFT, b"a", b"new") is None
    token = cluster.send(follower, LEFT, Get(0, b"a"), replica_read=True)
    cluster.round()
    follower.inbox.insert(0, RaftReceived(late))
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: token in follower.answers)
    assert follower.answers[token] == b"new"


def test_writes_lost_with_an_old_leadership_do_not_hide_those_of_the_next(cluster: Cluster) -> None:
    """A cut-off leader's entries are replaced by fewer; leading again, it proposes at indexes it has used before."""
    old = cluster.await_leader(1)
    cluster.drop = lambda envelope: old.id in (envelope.from_store, envelope.to_store)
    lost = []
    for number in range(6):
        lost.append(cluster.send(old, LEFT, put(b"lost", b"%d" % number)))
        cluster.round()
    others = [node for node in cluster.nodes.values() if node is not old]
    cluster.run_until(lambda: any(node.store.peers[LEFT.id].is_leader for node in others))
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: not old.store.peers[LEFT.id].is_leader)
    cluster.run_for(300)
    old.store.peers[LEFT.id].node.raft.step(Message(MessageType.MsgTimeoutNow, term=old.store.peers[LEFT.id].term))
    cluster.run_until(lambda: old.store.peers[LEFT.id].is_leader)
    kept = [cluster.send(old, LEFT, put(b"kept", b"%d" % number)) for number in range(1)]
    cluster.run_until(lambda: all(token in old.answers for token in kept), limit_ms=2_000)
    assert [old.answers[token] for token in kept] == [None]
    for number in range(8):
        assert cluster.put(LEFT, b"later", b"%d" % number) is None
    assert all(isinstance(old.answers[token], StaleCommand) for token in lost)
    assert cluster.get(LEFT, b"lost") is None


@pytest.mark.parametrize(
    ("regions", "complaint"),
    [
        ([region(1, b"", b"n"), region(2, b"m", b"")], "region 1 [-inf, b'n') overlaps region 2 [b'm', +inf)"),
        ([region(1, b"", b"k"), region(2, b"m", b"")], "gap between region 1 [-inf, b'k') and region 2 [b'm', +inf)"),
        ([region(1, b"", b"m")], "gap after region 1 [-inf, b'm')"),
    ],
)
def test_a_layout_that_cannot_work_is_refused_at_start(regions: list[Region], complaint: str) -> None:
    node = Node(1, CONFIG, MemoryEngine(), 1, 1000)
    effects = node.store.step(1000, [RegionsListed(tuple(regions))])
    fatal = [effect for effect in effects if isinstance(effect, Fatal)]
    assert len(fatal) == 1
    assert complaint in fatal[0].reason
    assert not node.store.peers
    assert not node.store.is_started


def test_a_quiet_region_costs_heartbeats_and_nothing_else() -> None:
    """Ticks, heartbeats and their answers leave no region to be handled, and nothing on disk."""
    cluster = Cluster([region(1)])
    cluster.await_leader(1)
    cluster.run_for(500)
    sequences = [node.engine.last_sequence for node in cluster.nodes.values()]
    kinds: set[MessageType] = set()
    for _ in range(100):
        cluster.now_ms += 10
        for node in cluster.nodes.values():
            inputs, node.inbox = node.inbox, []
            for effect in cluster.step_node(node, inputs):
                assert isinstance(effect, SendRaft)
                kinds |= {envelope.message.msg_type for envelope in effect.envelopes}
            assert not node.store.touched
    assert kinds == {MessageType.MsgHeartbeat, MessageType.MsgHeartbeatResponse}
    assert sequences == [node.engine.last_sequence for node in cluster.nodes.values()]
