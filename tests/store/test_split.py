"""Splits of the store core: exact effects, races, crashes between any two steps, and ranges that always tile."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.model.cluster import SplitIds
from flaredb.model.commands import DELETE_RANGE, Get, Request, Scan, Split, Write
from flaredb.model.errors import (
    EpochNotMatch,
    InvalidSplitKeys,
    KeyNotInRegion,
    NotLeader,
    RegionError,
    ServerIsBusy,
)
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.raft import MessageType
from flaredb.store.commands.split import split_region
from flaredb.store.messages import (
    AskSplit,
    Effect,
    Note,
    Reply,
    ReportRegion,
    ReportSplit,
    RequestsReceived,
    SendRaft,
    SplitIdsGranted,
    SplitRequested,
    Sync,
)
from flaredb.wire.entries import EntryCorrupted, SplitEntry, SplitPiece, decode_entry, decode_split, encode_split
from tests.store.harness import Cluster, Node, put, region
from tests.store.noting import NotingEngine

WHOLE = region(1)
VERSION = WHOLE.epoch.version


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster([WHOLE])
    cluster.await_leader(1)
    cluster.run_for(20)
    return cluster


def assert_tiled(regions: list[Region]) -> None:
    assert regions[0].start_key == b""
    assert regions[-1].end_key == b""
    for left, right in pairwise(regions):
        assert left.end_key == right.start_key != b""


def settle(cluster: Cluster, count: int) -> list[Region]:
    """Wait until every store has the same ``count`` regions, each with a leader; they tile the key space."""

    def agree() -> bool:
        lists = [node.store.region_map.regions() for node in cluster.nodes.values() if node.alive]
        return len(lists[0]) == count and all(found == lists[0] for found in lists)

    cluster.run_until(agree)
    live = next(node for node in cluster.nodes.values() if node.alive)
    regions = live.store.region_map.regions()
    assert_tiled(regions)
    for found in regions:
        cluster.await_leader(found.id)
    return regions


def split_request(cluster: Cluster, node: Node, of: Region, *keys: bytes) -> Request:
    return cluster.request(node, of, Split(keys, of.epoch.conf_ver))


# ------------------------------------------------ the pure part


def test_results_of_a_split() -> None:
    """Version grows by the number of new regions, the rightmost keeps the id, peers and roles in order."""
    peers = (Peer(PeerId(11), StoreId(1)), Peer(PeerId(12), StoreId(2), PeerRole.LEARNER))
    parent = Region(RegionId(1), b"a", b"z", RegionEpoch(version=7, conf_ver=3), peers)
    pieces = (
        SplitPiece(b"g", RegionId(2), (PeerId(21), PeerId(22))),
        SplitPiece(b"m", RegionId(3), (PeerId(31), PeerId(32))),
    )
    left, middle, right = split_region(parent, SplitEntry(parent.epoch, pieces))
    assert [(r.id, r.start_key, r.end_key) for r in (left, middle, right)] == [
        (2, b"a", b"g"),
        (3, b"g", b"m"),
        (1, b"m", b"z"),
    ]
    assert {r.epoch for r in (left, middle, right)} == {RegionEpoch(version=9, conf_ver=3)}
    assert left.peers == (Peer(PeerId(21), StoreId(1)), Peer(PeerId(22), StoreId(2), PeerRole.LEARNER))
    assert right.peers == peers


def test_split_entry_round_trip_and_corruption() -> None:
    entry = SplitEntry(RegionEpoch(version=4, conf_ver=2), (SplitPiece(b"k", RegionId(9), (PeerId(1), PeerId(2))),))
    payload = decode_entry(encode_split(entry))
    assert decode_split(payload) == entry
    for broken in ([3, 1], [3, 4, 2, False, []], [3, 4, 2, True, [[b"k", 9]]], [3, 4, 2, True, 5]):
        with pytest.raises(EntryCorrupted):
            decode_split(broken)


@pytest.mark.parametrize(
    ("why", "keys", "error"),
    [
        ("no key", (), InvalidSplitKeys),
        ("an empty key", (b"",), InvalidSplitKeys),
        ("the border", (b"d",), InvalidSplitKeys),
        ("the end, which belongs to the next region", (b"m",), KeyNotInRegion),
        ("outside", (b"z",), KeyNotInRegion),
        ("the same twice", (b"e", b"e"), InvalidSplitKeys),
        ("descending", (b"f", b"e"), InvalidSplitKeys),
        ("more than PD grants at once", tuple(b"e%04d" % i for i in range(1025)), InvalidSplitKeys),
    ],
)
def test_keys_that_cut_nothing_are_refused(why: str, keys: tuple[bytes, ...], error: type[RegionError]) -> None:
    middle = region(2, b"d", b"m")
    cluster = Cluster([region(1, b"", b"d"), middle, region(3, b"m", b"")])
    refused = cluster.split(middle, *keys)
    assert type(refused) is error, why
    assert cluster.await_leader(2).store.peers[middle.id].split is None


# ------------------------------------------------ exact effects


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]


def test_effects_of_asking_and_proposing(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    cluster.grants_ids = False
    request = split_request(cluster, leader, WHOLE, b"g", b"m")
    assert cluster.step_node(leader, [RequestsReceived([request])]) == [AskSplit(WHOLE, 2)]
    before = leader.store.peers[WHOLE.id].node.raft.raft_log.last_index()
    ids = tuple(SplitIds(RegionId(n), tuple(PeerId(n * 10 + s) for s in (1, 2, 3))) for n in (7, 8))
    effects = cluster.step_node(leader, [SplitIdsGranted(WHOLE.id, VERSION, ids)])
    assert kinds(effects) == [SendRaft, SendRaft, Sync]
    log = leader.store.peers[WHOLE.id].node.raft.raft_log
    assert log.last_index() == before + 1
    entry = log.entries(before + 1, None)[0]
    assert decode_split(decode_entry(entry.data)) == SplitEntry(
        WHOLE.epoch,
        (SplitPiece(b"g", ids[0].region_id, ids[0].peer_ids), SplitPiece(b"m", ids[1].region_id, ids[1].peer_ids)),
    )
    assert cluster.step_node(leader, [SplitIdsGranted(WHOLE.id, VERSION, ids)]) == [], "granted twice, proposed once"


def test_effects_of_the_step_that_applies(cluster: Cluster) -> None:
    """One step: regions replaced, answered, reported; the newcomer campaigns in the very next one."""
    leader = cluster.await_leader(1)
    token = cluster.send(leader, WHOLE, Split((b"m",), 1))
    applied: list[Effect] = []
    while not any(isinstance(effect, ReportSplit) for effect in applied):
        cluster.now_ms += 1
        for node in cluster.nodes.values():
            inputs, node.inbox = node.inbox, []
            effects = cluster.step_node(node, inputs)
            if node is leader:
                applied = effects
    results = leader.answers[token]
    left, right = results
    assert (left.id, right.id) == (101, 1)
    shown = [effect for effect in applied if not isinstance(effect, SendRaft)]
    assert kinds(shown) == [ReportSplit, ReportRegion, Note, Reply]
    assert shown[0] == ReportSplit(results)
    assert shown[1].heartbeat.region == right  # type: ignore[union-attr]
    assert shown[3] == Reply([(token, results)])
    assert leader.store.region_map.regions() == [left, right]
    newcomer = leader.store.peers[left.id]
    assert newcomer.applied_index == 5
    assert newcomer.storage.apply_state.truncated_term == 5
    assert not newcomer.is_leader
    sent = [
        envelope
        for effect in cluster.step_node(leader, [])
        if isinstance(effect, SendRaft)
        for envelope in effect.envelopes
    ]
    votes = [e for e in sent if e.region_id == left.id]
    assert {e.message.msg_type for e in votes} == {MessageType.MsgRequestPreVote}
    assert {e.to_store for e in votes} == {2, 3}
    pings = [e for e in sent if e.region_id == right.id and e.message.msg_type is MessageType.MsgHeartbeat]
    assert {e.to_store for e in pings} == {2, 3}, "followers hear of the commit at once"


def test_all_states_of_a_split_are_in_one_batch_on_every_store(cluster: Cluster) -> None:
    engines = [NotingEngine(node.engine) for node in cluster.nodes.values()]
    for node, engine in zip(cluster.nodes.values(), engines, strict=True):
        node.store.engine = engine
    cluster.split(WHOLE, b"g", b"m")
    settle(cluster, 3)
    for engine in engines:
        with_region_state = [batch for batch in engine.batches if any(cf == "meta" for cf, _ in batch)]
        assert len(with_region_state) == 1
        by_cf = [(cf, key) for cf, key in with_region_state[0]]
        meta = {int.from_bytes(key[1:], "big") for cf, key in by_cf if cf == "meta"}
        assert meta == {1, 101, 102}
        states = {(int.from_bytes(key[:8], "big"), key[8:]) for cf, key in by_cf if cf == "raft"}
        assert {(101, b"\x01"), (101, b"\x02"), (102, b"\x01"), (102, b"\x02"), (1, b"\x02")} <= states


# ------------------------------------------------ data and routing after a split


def test_split_keeps_the_data_and_the_newcomer_leads_at_once(cluster: Cluster) -> None:
    for key in (b"a", b"g", b"m", b"z"):
        cluster.put(WHOLE, key, key * 2)
    leader = cluster.await_leader(1)
    left, middle, right = cluster.split(WHOLE, b"g", b"m")
    began_ms = cluster.now_ms
    assert cluster.await_leader(left.id) is leader
    assert cluster.await_leader(middle.id) is leader
    assert cluster.now_ms - began_ms < 100, "without an election timeout"
    assert settle(cluster, 3) == [left, middle, right]
    assert cluster.scan(left) == [(b"a", b"aa")]
    assert cluster.scan(middle, b"g") == [(b"g", b"gg")]
    assert cluster.scan(right, b"m") == [(b"m", b"mm"), (b"z", b"zz")]
    for piece, key in ((left, b"b"), (middle, b"h"), (right, b"y")):
        assert cluster.put(piece, key, b"new") is None
        assert cluster.get(piece, key) == b"new"
    reported = {report.heartbeat.region.id: report.heartbeat for report in leader.reports}
    assert [reported[piece.id].region for piece in (left, middle, right)] == [left, middle, right]
    assert leader.split_reports == [ReportSplit((left, middle, right))]
    assert not [r for node in cluster.nodes.values() if node is not leader for r in node.split_reports]


def test_old_version_is_told_all_regions_that_cover_the_old_range(cluster: Cluster) -> None:
    left, right = cluster.split(WHOLE, b"m")
    cluster.await_leader(left.id)
    first, second = cluster.split(left, b"g")
    leader = cluster.await_leader(1)
    refused = cluster.call(leader, WHOLE, Get(0, b"a"))
    assert isinstance(refused, EpochNotMatch)
    assert refused.current_regions == (right, first, second)
    newer = cluster.call(leader, WHOLE, Get(0, b"z"), version=99)
    assert newer.current_regions == (right,)


def test_range_delete_and_scan_across_the_border(cluster: Cluster) -> None:
    for key in (b"a", b"l", b"m", b"z"):
        cluster.put(WHOLE, key, key)
    left, right = cluster.split(WHOLE, b"m")
    leader = cluster.await_leader(left.id)
    across = cluster.call(leader, left, Write([(DELETE_RANGE, 0, b"b", b"n")], 2))
    assert isinstance(across, KeyNotInRegion)
    assert cluster.call(leader, left, Write([(DELETE_RANGE, 0, b"b", b"m")], 2)) is None
    assert cluster.scan(left, b"", b"zz") == [(b"a", b"a")], "a scan ends with its region"
    assert cluster.scan(right, b"m") == [(b"m", b"m"), (b"z", b"z")]


# ------------------------------------------------ proposals and reads around a split


def test_writes_behind_a_split_in_the_log_are_refused_with_all_regions_and_applied_nowhere(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    cluster.grants_ids = False
    cluster.step_node(leader, [RequestsReceived([split_request(cluster, leader, WHOLE, b"g", b"m")])])
    before = cluster.request(leader, WHOLE, put(b"before", b"1"))
    cluster.step_node(leader, [RequestsReceived([before])])
    granted = cluster.grant(AskSplit(WHOLE, 2))
    behind = [cluster.request(leader, WHOLE, put(key, b"2")) for key in (b"a", b"h", b"z")]
    cluster.step_node(leader, [granted, RequestsReceived(behind)])
    assert leader.store.peers[WHOLE.id].region.epoch.version == VERSION, "still unsplit when they are proposed"
    cluster.run_until(lambda: all(request.token in leader.answers for request in [before, *behind]))
    assert leader.answers[before.token] is None
    pieces = settle(cluster, 3)
    for request in behind:
        refused = leader.answers[request.token]
        assert isinstance(refused, EpochNotMatch)
        assert sorted(refused.current_regions, key=lambda found: found.start_key) == pieces
    for node in cluster.nodes.values():
        cluster.run_until(lambda node=node: node.engine.get("default", b"before") == b"1")
        assert [node.engine.get("default", key) for key in (b"a", b"h", b"z")] == [None] * 3


def test_reads_held_over_a_split_are_refused_never_cut_short(cluster: Cluster) -> None:
    """A reverse scan confirmed for the whole region must not come back with the rows of the right half."""
    for key in (b"a", b"z"):
        cluster.put(WHOLE, key, key)
    leader = cluster.await_leader(1)
    cluster.drop = lambda envelope: (
        envelope.message.msg_type is MessageType.MsgHeartbeatResponse and bool(envelope.message.context)
    )
    tokens = [
        cluster.send(leader, WHOLE, command)
        for command in (Scan(0, b"", b"", 10, reverse=True), Get(0, b"a"), Scan(0, b"", b"", 10))
    ]
    cluster.round()
    results = cluster.split(WHOLE, b"m")
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: all(token in leader.answers for token in tokens))
    for token in tokens:
        assert isinstance(leader.answers[token], EpochNotMatch)
        assert set(leader.answers[token].current_regions) == set(results)


def test_a_follower_read_confirmed_before_it_applied_the_split_is_refused(cluster: Cluster) -> None:
    """The leader's answer brings the commit of the split with it; the rows of the right half are no answer then."""
    cluster.put(WHOLE, b"a", b"1")
    leader = cluster.await_leader(1)
    slow = next(node for node in cluster.nodes.values() if node is not leader)
    cluster.run_for(200)
    cluster.drop = lambda envelope: (
        envelope.to_store == slow.id and envelope.message.msg_type is MessageType.MsgHeartbeat
    )
    cluster.split(WHOLE, b"m")
    assert cluster.regions_of(slow.id) == [WHOLE]
    token = cluster.send(slow, WHOLE, Scan(0, b"", b"", 10, reverse=True), replica_read=True)
    cluster.run_until(lambda: token in slow.answers)
    assert isinstance(slow.answers[token], EpochNotMatch)


def test_of_two_splits_in_the_log_for_one_epoch_the_second_happens_nowhere(cluster: Cluster) -> None:
    """As two leaders one after the other could propose them: the epoch is compared again when applied."""
    leader = cluster.await_leader(1)
    for number, key in ((7, b"m"), (8, b"g")):
        piece = SplitPiece(key, RegionId(number), tuple(PeerId(number * 10 + s) for s in (1, 2, 3)))
        leader.store.peers[WHOLE.id].node.propose(b"", encode_split(SplitEntry(WHOLE.epoch, (piece,))))
    cluster.put(region(1), b"x", b"1")
    assert [found.id for found in settle(cluster, 2)] == [7, 1]
    cluster.run_for(200)
    assert all(len(cluster.regions_of(store)) == 2 for store in (1, 2, 3))


def test_requests_parked_without_a_leader_pass_the_gate_again(cluster: Cluster) -> None:
    """Held by a follower that applies the split meanwhile, and refused by its new epoch once a leader is known."""
    cluster.split(WHOLE, b"m")
    settle(cluster, 2)
    cluster.crash(cluster.await_leader(1).id)
    survivors = [node for node in cluster.nodes.values() if node.alive]
    cluster.run_until(lambda: not survivors[0].store.peers[WHOLE.id].node.raft.leader_id)
    token = cluster.send(survivors[0], WHOLE, Get(0, b"a"))
    cluster.run_until(lambda: token in survivors[0].answers)
    assert isinstance(survivors[0].answers[token], EpochNotMatch | NotLeader)


def test_two_splits_at_once(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    one, two = (cluster.send(leader, WHOLE, Split((key,), 1)) for key in (b"g", b"m"))
    cluster.run_until(lambda: one in leader.answers and two in leader.answers)
    assert isinstance(leader.answers[two], ServerIsBusy)
    left, right = leader.answers[one]
    assert isinstance(cluster.split(WHOLE, b"m"), EpochNotMatch), "the region has moved on"
    assert [found.id for found in cluster.split(right, b"m")] == [102, 1]
    assert settle(cluster, 3)[0] == left


def test_two_splits_of_one_region_in_one_batch(cluster: Cluster) -> None:
    """A follower that was away applies several splits and the writes between them in one step."""
    leader = cluster.await_leader(1)
    slow = next(node for node in cluster.nodes.values() if node is not leader)
    cluster.drop = lambda envelope: slow.id in (envelope.to_store, envelope.from_store)
    _, right = cluster.split(WHOLE, b"d")
    cluster.put(right, b"e", b"1")
    cluster.split(right, b"k", b"p")
    assert len(cluster.regions_of(slow.id)) == 1
    cluster.drop = lambda envelope: False
    assert len(settle(cluster, 4)) == 4
    assert slow.engine.get("default", b"e") == b"1"


def test_split_asked_before_and_granted_after_another_is_dropped(cluster: Cluster) -> None:
    """The epoch is checked again when PD's ids arrive: here leadership went to and fro and another split was first."""
    leader = cluster.await_leader(1)
    cluster.grants_ids = False
    first = split_request(cluster, leader, WHOLE, b"m")
    cluster.step_node(leader, [RequestsReceived([first])])
    late = cluster.grant(AskSplit(WHOLE, 1))
    cluster.now_ms += leader.config.write_timeout_ms + 1
    cluster.step_node(leader, [])
    assert isinstance(leader.answers[first.token], ServerIsBusy)
    assert cluster.step_node(leader, [late]) == []
    cluster.grants_ids = True
    cluster.split(WHOLE, b"g")
    cluster.step_node(leader, [late])
    assert len(settle(cluster, 2)) == 2


def test_conf_ver_is_compared_too(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    assert isinstance(cluster.call(leader, WHOLE, Split((b"m",), conf_ver=9)), EpochNotMatch)


def test_refusal_of_pd_and_unfitting_ids_are_answered(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    cluster.grants_ids = False
    short = SplitIds(RegionId(7), (PeerId(71),))
    own = SplitIds(WHOLE.id, (PeerId(71), PeerId(72), PeerId(73)))
    for answer in (
        SplitIdsGranted(WHOLE.id, VERSION, (), "the region is stale"),
        SplitIdsGranted(WHOLE.id, VERSION, (short,)),
        SplitIdsGranted(WHOLE.id, VERSION, (own,)),
    ):
        request = split_request(cluster, leader, WHOLE, b"m")
        cluster.step_node(leader, [RequestsReceived([request])])
        cluster.step_node(leader, [answer])
        assert isinstance(leader.answers[request.token], ServerIsBusy)
    assert cluster.regions_of(leader.id) == [WHOLE]


def test_order_without_anyone_waiting(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    follower = next(node for node in cluster.nodes.values() if node is not leader)
    order = SplitRequested(None, WHOLE.id, VERSION, 1, (b"m",), "admin")
    for unfit in (
        SplitRequested(None, RegionId(99), 1, 1, (b"m",), "admin"),
        SplitRequested(None, WHOLE.id, 9, 1, (b"m",), ""),
    ):
        assert not [e for e in cluster.step_node(leader, [unfit]) if isinstance(e, AskSplit | Reply)]
    assert not [e for e in cluster.step_node(follower, [order]) if isinstance(e, AskSplit | Reply)]
    cluster.step_node(leader, [order])
    settle(cluster, 2)
    assert all(node.store.waiting_requests == 0 for node in cluster.nodes.values())


# ------------------------------------------------ slow followers, leader changes, crashes


def test_votes_that_come_before_the_split_are_kept_and_answered(cluster: Cluster) -> None:
    """One follower is down, the other has not applied the split when the newcomer asks for its vote."""
    leader = cluster.await_leader(1)
    down, slow = (node for node in cluster.nodes.values() if node is not leader)
    cluster.run_for(20)
    cluster.crash(down.id)
    # The slow one acknowledges entries, but hears of no commit.
    cluster.drop = lambda envelope: (
        envelope.to_store == slow.id
        and envelope.region_id == WHOLE.id
        and envelope.message.msg_type is MessageType.MsgHeartbeat
    )
    left, _ = cluster.split(WHOLE, b"m")
    cluster.run_for(20)
    assert cluster.regions_of(slow.id) == [WHOLE]
    assert len(slow.store.early) == 1
    cluster.drop = lambda envelope: False
    healed_ms = cluster.now_ms
    cluster.await_leader(left.id)
    assert cluster.now_ms - healed_ms <= 200, "by the vote that was kept, before any election timeout"
    assert len(slow.store.early) == 0
    settle(cluster, 2)


def test_leader_lost_before_anyone_else_applied_the_split(cluster: Cluster) -> None:
    cluster.put(WHOLE, b"a", b"1")
    leader = cluster.await_leader(1)
    cluster.drop = lambda envelope: (
        envelope.from_store == leader.id and envelope.message.msg_type is MessageType.MsgHeartbeat
    )
    left, right = cluster.split(WHOLE, b"m")
    cluster.crash(leader.id)
    cluster.drop = lambda envelope: False
    assert settle(cluster, 2) == [left, right]
    assert cluster.get(left, b"a") == b"1"
    cluster.restart(leader.id)
    assert settle(cluster, 2) == [left, right]


def test_leader_that_loses_its_place_while_pd_is_asked_gives_up(cluster: Cluster) -> None:
    leader = cluster.await_leader(1)
    cluster.grants_ids = False
    request = split_request(cluster, leader, WHOLE, b"m")
    cluster.step_node(leader, [RequestsReceived([request])])
    cluster.drop = lambda envelope: leader.id in (envelope.to_store, envelope.from_store)
    cluster.run_until(lambda: request.token in leader.answers)
    assert isinstance(leader.answers[request.token], NotLeader)
    cluster.step_node(leader, [cluster.grant(AskSplit(WHOLE, 1))])
    cluster.drop = lambda envelope: False
    cluster.run_for(500)
    assert all(cluster.regions_of(store) == [WHOLE] for store in (1, 2, 3))


def test_split_that_a_new_leader_overwrites_happens_nowhere(cluster: Cluster) -> None:
    old = cluster.await_leader(1)
    cluster.drop = lambda envelope: old.id in (envelope.to_store, envelope.from_store)
    token = cluster.send(old, WHOLE, Split((b"m",), 1))
    others = [node for node in cluster.nodes.values() if node is not old]
    cluster.run_until(lambda: any(node.store.peers[WHOLE.id].is_leader for node in others))
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: token in old.answers)
    assert isinstance(old.answers[token], RegionError)
    left, right = cluster.split(WHOLE, b"g")
    assert settle(cluster, 2) == [left, right]


@pytest.mark.parametrize("keep", ["synced", "prefix"])
@pytest.mark.parametrize("victims", ["leader", "follower", "all"])
def test_crash_between_any_two_steps_of_a_split(victims: str, keep: str) -> None:
    """Stop before the n-th round for every n of a split: after the restart nothing is lost, doubled or torn."""
    rounds = 0
    is_over = False
    while not is_over:
        rounds += 1
        cluster = Cluster([WHOLE], seed=rounds)
        cluster.put(WHOLE, b"a", b"1")
        cluster.put(WHOLE, b"z", b"2")
        leader = cluster.await_leader(1)
        cluster.send(leader, WHOLE, Split((b"m",), 1))
        for _ in range(rounds):
            cluster.round(1)
        is_over = all(len(cluster.regions_of(store)) == 2 for store in (1, 2, 3)) and rounds > 12
        followers = [node.id for node in cluster.nodes.values() if node is not leader]
        stopped = {"leader": [leader.id], "follower": followers[:1], "all": [leader.id, *followers]}[victims]
        for store_id in stopped:
            cluster.crash(store_id, keep)
        for store_id in stopped:
            cluster.restart(store_id)
        cluster.run_for(1500)
        count = len(cluster.regions_of(1))
        regions = settle(cluster, count)
        assert count in (1, 2)
        assert cluster.get(regions[0], b"a") == b"1"
        assert cluster.get(regions[-1], b"z") == b"2"
        assert cluster.put(regions[0], b"b", b"3") is None


def test_restart_brings_back_the_regions_with_their_epochs(cluster: Cluster) -> None:
    results = cluster.split(WHOLE, b"g", b"m")
    cluster.put(results[0], b"a", b"1")
    settle(cluster, 3)
    for store_id in (1, 2, 3):
        cluster.crash(store_id)
    for store_id in (1, 2, 3):
        cluster.restart(store_id)
        assert cluster.regions_of(store_id) == list(results)
    assert settle(cluster, 3) == list(results)
    assert cluster.get(results[0], b"a") == b"1"


def test_single_replica_splits_too() -> None:
    alone = region(1, stores=(1,))
    cluster = Cluster([alone], stores=1)
    left, right = cluster.split(alone, b"m")
    assert cluster.put(left, b"a", b"1") is None
    assert cluster.put(right, b"z", b"1") is None


# ------------------------------------------------ any sequence


@given(
    keys=st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=12),
    group=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_any_sequence_of_splits_leaves_a_tiling_with_all_data_in_place(
    keys: list[bytes], group: int, seed: int
) -> None:
    cluster = Cluster([WHOLE], seed=seed)
    rng = Random(seed)
    node = cluster.await_leader(1)
    data = {key: key[::-1] for key in keys}
    tokens = [cluster.send(node, WHOLE, put(key, value)) for key, value in data.items()]
    cluster.run_until(lambda: all(token in node.answers for token in tokens))
    borders: set[bytes] = set()
    while keys:
        some, keys = keys[:group], keys[group:]
        of = node.store.region_map.find(rng.choice(some))
        assert of is not None
        wanted = tuple(sorted({key for key in some if of.contains(key)}))
        done = cluster.split(of, *wanted)
        if borders & set(wanted):
            assert isinstance(done, InvalidSplitKeys)
        else:
            assert [found.start_key for found in done[1:]] == list(wanted)
            borders |= set(wanted)
    regions = settle(cluster, len(borders) + 1)
    assert [found.start_key for found in regions] == [b"", *sorted(borders)]
    assert len({peer.id for found in regions for peer in found.peers}) == 3 * len(regions)
    rows = [row for found in regions for row in cluster.scan(found, found.start_key)]
    assert rows == sorted(data.items())
