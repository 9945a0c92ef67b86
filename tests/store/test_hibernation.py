"""Regions that sleep, and everything that wakes them. The rules are hibernation.py's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from flaredb.model.commands import Get
from flaredb.model.errors import NotLeader
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import ChangeKind, TransferLeader
from flaredb.raft import RawNode
from flaredb.store import contacts, hibernation
from flaredb.store.contacts import Contacts
from flaredb.store.messages import Beat, HeartbeatsWanted, LeadersHandedOver, RaftEnvelope
from tests.store.harness import CONFIG, TICK_MS, Cluster, Node, put, region
from tests.store.move_rig import NEW, cluster, removed_but_not_synced, syncs_again

R1 = RegionId(1)
ELECTION_MS = CONFIG.election_ticks * TICK_MS
ELECTION_MS_MAX = CONFIG.election_ticks_max * TICK_MS
SLEEPY_MS = (CONFIG.idle_elections + 2) * ELECTION_MS


def peer_of(node: Node, region_id: int = 1) -> Any:
    return node.store.peers[RegionId(region_id)]


def asleep(cluster: Cluster, region_id: int = 1) -> set[int]:
    """The stores whose replica sleeps."""
    found = RegionId(region_id)
    return {n.id for n in cluster.live() if found in n.store.peers and n.store.peers[found].is_asleep}


def sleeping(stores: int = 3, **config: Any) -> Cluster:
    """One region on three stores, asleep everywhere; its key k is 1."""
    cluster = Cluster([region(1)], stores=stores, config=replace(CONFIG, **config))
    assert cluster.put(region(1), b"k", b"1") is None
    cluster.run_until(lambda: asleep(cluster) == {1, 2, 3}, limit_ms=SLEEPY_MS)
    cluster.sent.clear()
    return cluster


def region_messages(cluster: Cluster) -> list[RaftEnvelope]:
    return [envelope for envelope in cluster.sent if envelope.region_id]


def followers(cluster: Cluster) -> list[Node]:
    leader = cluster.await_leader(1)
    return [node for node in cluster.live() if node is not leader and R1 in node.store.peers]


# ------------------------------------------------ to sleep


def test_an_idle_region_sends_nothing_and_elects_nobody() -> None:
    cluster = sleeping()
    term = peer_of(cluster.nodes[StoreId(1)]).term
    cluster.run_for(10 * ELECTION_MS_MAX)
    assert region_messages(cluster) == []
    assert asleep(cluster) == {1, 2, 3}
    assert {peer_of(node).term for node in cluster.live()} == {term}


def test_no_region_sleeps_while_its_change_waits_for_the_disk() -> None:
    """PD is to hear of it then, and from a leader that knows who is alive."""
    made = cluster(stores=3)
    leader, _ = removed_but_not_synced(made)
    peer = leader.store.peers[R1]
    made.run_for(SLEEPY_MS)
    assert not peer.is_asleep
    syncs_again(leader)
    made.run_until(lambda: peer.is_asleep, limit_ms=SLEEPY_MS)


def test_stores_beat_once_per_heartbeat_interval_however_many_regions_they_share() -> None:
    borders = [b"", *(b"%02d" % number for number in range(1, 20)), b""]
    regions = [region(number + 1, borders[number], borders[number + 1]) for number in range(20)]
    cluster = Cluster(regions)
    for each in regions:
        cluster.await_leader(each.id)
    cluster.run_until(lambda: not any(node.store.awake for node in cluster.live()), limit_ms=2 * SLEEPY_MS)
    cluster.sent.clear()
    cluster.run_for(40 * TICK_MS)
    assert region_messages(cluster) == []
    pairs = 3 * 2
    assert len(cluster.sent) in range(pairs * 18, pairs * 21 + 1)
    assert all(type(envelope) is Beat for envelope in cluster.sent)


def test_a_single_replica_sleeps_alone_and_still_answers() -> None:
    cluster = Cluster([region(1, stores=(1,))], stores=1)
    assert cluster.put(region(1, stores=(1,)), b"k", b"1") is None
    cluster.run_until(lambda: asleep(cluster) == {1})
    assert cluster.get(region(1, stores=(1,)), b"k") == b"1"


def test_nobody_sleeps_where_it_is_switched_off() -> None:
    cluster = Cluster([region(1)], config=replace(CONFIG, hibernate_regions=False, lease_reads=False))
    cluster.await_leader(1)
    cluster.run_for(2 * SLEEPY_MS)
    assert asleep(cluster) == set()
    assert all(envelope.region_id for envelope in cluster.sent), "stores beat although nobody sleeps or reads by lease"


def test_a_leader_does_not_sleep_while_a_follower_lacks_something() -> None:
    cluster = sleeping()
    lagging = followers(cluster)[0]
    appends = lambda e: e.to_store == lagging.id and bool(e.message.entries)  # noqa: E731
    cluster.drop = appends
    assert cluster.put(region(1), b"k", b"2") is None
    cluster.run_for(2 * SLEEPY_MS)
    assert cluster.await_leader(1).id not in asleep(cluster)
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: asleep(cluster) == {1, 2, 3}, limit_ms=2 * SLEEPY_MS)
    assert len({peer_of(node).applied_index for node in cluster.live()}) == 1


def test_a_leader_does_not_sleep_while_a_living_store_lacks_its_replica() -> None:
    """The store shares no other region with the leader's, so it has no reason of its own to say that it lives."""
    cluster = sleeping(stores=4)
    cluster.drop = lambda e: e.region_id == R1 and e.to_store == 4
    cluster.change(1, (ChangeKind.ADD_LEARNER_NODE, NEW))
    cluster.run_for(4 * SLEEPY_MS)
    assert cluster.await_leader(1).id not in asleep(cluster)
    cluster.drop = lambda envelope: False
    cluster.await_caught_up(1, NEW)
    cluster.run_until(lambda: asleep(cluster) == {1, 2, 3, 4}, limit_ms=2 * SLEEPY_MS)


def test_a_leader_does_not_sleep_before_every_living_follower_does() -> None:
    cluster = sleeping()
    leader = cluster.await_leader(1)
    loud = followers(cluster)[0]
    cluster.drop = lambda e: e.from_store == loud.id and type(e) is Beat and e.is_answer
    assert cluster.put(region(1), b"k", b"2") is None
    term = peer_of(leader).term
    cluster.run_for(2 * SLEEPY_MS)
    assert leader.id not in asleep(cluster)
    assert peer_of(leader).term == term
    assert peer_of(leader).is_leader


def test_a_follower_with_an_unsynced_log_does_not_agree() -> None:
    cluster = sleeping()
    slow = followers(cluster)[0]
    slow.sync_at_once = False
    assert cluster.put(region(1), b"k", b"2") is None
    cluster.run_for(2 * SLEEPY_MS)
    assert asleep(cluster) & {slow.id, cluster.await_leader(1).id} == set()


def test_members_on_a_dead_store_are_not_waited_for_and_wake_the_region_when_back() -> None:
    cluster = sleeping()
    dead = followers(cluster)[0].id
    cluster.crash(dead)
    cluster.run_until(lambda: not asleep(cluster), limit_ms=2 * ELECTION_MS)
    living = {1, 2, 3} - {dead}
    cluster.run_until(lambda: asleep(cluster) == living, limit_ms=2 * SLEEPY_MS)
    assert cluster.put(region(1), b"k", b"2") is None
    cluster.run_until(lambda: asleep(cluster) == living, limit_ms=2 * SLEEPY_MS)
    cluster.restart(dead)
    cluster.run_until(lambda: asleep(cluster) == {1, 2, 3}, limit_ms=3 * SLEEPY_MS)
    assert [cluster.rows(store) for store in (1, 2, 3)] == [[(b"k", b"2")]] * 3


# ------------------------------------------------ removed in their sleep


MISSING_MS = 3_000


def removed_in_its_sleep() -> tuple[Cluster, Node]:
    """A follower that was removed, and lost the one message that would have woken it."""
    made = sleeping(leader_missing_ms=MISSING_MS)
    victim = followers(made)[0]
    made.drop = lambda envelope: envelope.to_store == victim.id and envelope.region_id == R1
    made.change(1, (ChangeKind.REMOVE_NODE, peer_of(victim).meta))
    made.drop = lambda envelope: False
    made.run_for(ELECTION_MS_MAX)
    assert peer_of(victim).is_asleep, "nobody writes to it any more, and its leader's store lives"
    return made, victim


def test_a_replica_that_was_removed_in_its_sleep_hears_of_it_from_pd() -> None:
    made, victim = removed_in_its_sleep()
    made.run_until(lambda: R1 not in victim.store.peers, limit_ms=MISSING_MS + ELECTION_MS_MAX)
    assert made.rows(victim.id) == []


def test_sleepers_that_are_members_go_on_sleeping_when_pd_was_asked() -> None:
    made = sleeping(leader_missing_ms=MISSING_MS)
    made.run_for(5 * MISSING_MS)
    assert asleep(made) == {1, 2, 3}
    assert region_messages(made) == []
    for node in made.live():
        assert len(node.checked) in range(4, 7), "about once in the time after which a leader is missed"


def test_pd_is_asked_of_one_sleeper_a_second_however_many_there_are() -> None:
    borders = [b"", *(b"%02d" % number for number in range(1, 20)), b""]
    regions = [region(number + 1, borders[number], borders[number + 1]) for number in range(20)]
    made = Cluster(regions, config=replace(CONFIG, leader_missing_ms=1_000))
    made.run_until(lambda: not any(node.store.awake for node in made.live()), limit_ms=3 * SLEEPY_MS)
    for node in made.live():
        node.checked.clear()
    made.run_for(20_500)
    for node in made.live():
        assert len(node.checked) in range(19, 22)
        assert len(set(node.checked)) >= 19, "in turn"


def test_pd_is_not_asked_of_a_region_that_nobody_else_holds() -> None:
    alone = region(1, stores=(1,))
    made = Cluster([alone], stores=1, config=replace(CONFIG, leader_missing_ms=1_000))
    made.run_until(lambda: asleep(made) == {1})
    made.run_for(5_000)
    assert made.nodes[StoreId(1)].checked == []


# ------------------------------------------------ to wake


def test_a_write_wakes_everybody_and_is_answered_in_a_few_rounds() -> None:
    cluster = sleeping()
    began_ms = cluster.now_ms
    assert cluster.put(region(1), b"k", b"2") is None
    assert cluster.now_ms - began_ms <= 30, "rounds of 5 ms: propose, append, acknowledge, apply"
    assert asleep(cluster) == set()


def test_a_read_wakes_its_leader_and_needs_a_round() -> None:
    cluster = sleeping()
    leader = cluster.await_leader(1)
    assert cluster.get(region(1), b"k") == b"1"
    assert leader.id not in asleep(cluster)
    assert any(envelope.message.context for envelope in region_messages(cluster))


def test_a_read_of_a_replica_wakes_its_leader() -> None:
    cluster = sleeping()
    leader, follower = cluster.await_leader(1), followers(cluster)[0]
    assert cluster.call(follower, region(1), Get(0, b"k"), replica_read=True) == b"1"
    assert asleep(cluster) & {leader.id, follower.id} == set()


def test_a_request_to_a_follower_wakes_the_region_by_way_of_its_leader() -> None:
    cluster = sleeping()
    follower = followers(cluster)[0]
    assert isinstance(cluster.call(follower, region(1), put(b"k", b"2")), NotLeader)
    cluster.run_until(lambda: asleep(cluster) == set(), limit_ms=3 * TICK_MS)


def test_an_order_of_pd_wakes_the_region() -> None:
    cluster = sleeping()
    heir = peer_of(followers(cluster)[0]).meta
    cluster.order(1, TransferLeader((heir,)))
    cluster.run_until(lambda: cluster.leader_of(1) is cluster.nodes[heir.store_id], limit_ms=ELECTION_MS)


def test_a_change_of_members_wakes_the_region_and_the_new_member_sleeps_with_it() -> None:
    cluster = sleeping(stores=4)
    cluster.change(1, (ChangeKind.ADD_LEARNER_NODE, NEW))
    cluster.await_caught_up(1, NEW)
    cluster.run_until(lambda: asleep(cluster) == {1, 2, 3, 4}, limit_ms=2 * SLEEPY_MS)


def test_a_leader_whose_store_falls_silent_is_replaced_as_soon_as_if_nobody_had_slept() -> None:
    cluster = sleeping()
    old = cluster.await_leader(1)
    cluster.crash(old.id)
    new = cluster.run_until(lambda: cluster.leader_of(1), limit_ms=ELECTION_MS_MAX + 4 * TICK_MS)
    assert new is not old
    assert cluster.put(region(1), b"k", b"2") is None


def test_a_leader_that_restarts_before_anybody_missed_it_does_not_leave_sleepers_behind() -> None:
    cluster = sleeping()
    old = cluster.await_leader(1)
    cluster.crash(old.id)
    cluster.run_for(2 * TICK_MS)
    restarted = cluster.restart(old.id)
    assert not peer_of(restarted).is_asleep
    cluster.run_until(lambda: asleep(cluster) == set(), limit_ms=4 * TICK_MS)
    cluster.await_leader(1)
    assert cluster.get(region(1), b"k") == b"1"


def test_a_leader_that_lost_sight_of_a_quorum_steps_down() -> None:
    cluster = sleeping()
    old = cluster.await_leader(1)
    cluster.drop = lambda e: old.id in (e.from_store, e.to_store)
    cluster.run_until(lambda: not peer_of(old).is_leader, limit_ms=3 * ELECTION_MS)
    new = cluster.run_until(lambda: cluster.leader_of(1), limit_ms=ELECTION_MS_MAX)
    assert new is not old


def test_a_sleeping_leader_that_was_deposed_serves_nothing_old() -> None:
    """Its store still hears the others, but not the other way round: they elect a leader, and it does not know."""
    cluster = sleeping()
    old = cluster.await_leader(1)
    cluster.drop = lambda e: e.from_store == old.id or (e.to_store == old.id and bool(e.region_id))
    new = cluster.run_until(lambda: other_leader(cluster, old), limit_ms=2 * ELECTION_MS_MAX)
    assert cluster.call(new, region(1), put(b"k", b"2")) is None
    assert peer_of(old).is_asleep
    assert peer_of(old).is_leader
    token = cluster.send(old, region(1), Get(0, b"k"))
    cluster.run_for(ELECTION_MS)
    assert old.answers.get(token) != b"1"
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: not peer_of(old).is_leader, limit_ms=2 * ELECTION_MS)
    cluster.run_until(lambda: token in old.answers)
    assert old.answers[token] != b"1"


def other_leader(cluster: Cluster, old: Node) -> Node | None:
    leading = (node for node in cluster.live() if node is not old and peer_of(node).is_leader)
    return next((node for node in leading if peer_of(node).node.raft.commit_to_current_term()), None)


def test_two_stores_that_lose_sight_of_each_other_alone_do_not_stop_the_region() -> None:
    cluster = sleeping()
    old = cluster.await_leader(1)
    cut = {old.id, followers(cluster)[0].id}
    cluster.drop = lambda e: {e.from_store, e.to_store} == cut
    for value in range(2, 8):
        cluster.run_for(SLEEPY_MS)
        cluster.run_until(lambda: cluster.leader_of(1), limit_ms=2 * ELECTION_MS_MAX)
        assert cluster.put(region(1), b"k", b"%d" % value) is None
    cluster.drop = lambda envelope: False
    cluster.run_until(lambda: asleep(cluster) == {1, 2, 3}, limit_ms=4 * SLEEPY_MS)
    assert [cluster.rows(store) for store in (1, 2, 3)] == [[(b"k", b"7")]] * 3


def test_a_store_that_is_about_to_stop_hands_over_what_sleeps() -> None:
    cluster = sleeping()
    old = cluster.await_leader(1)
    old.inbox.append(LeadersHandedOver())
    cluster.run_until(lambda: not peer_of(old).is_leader, limit_ms=ELECTION_MS)


# ------------------------------------------------ rare duties


def test_a_sleeping_region_is_reported_at_pds_interval_with_nobody_down() -> None:
    cluster = sleeping(region_heartbeat_ms=1_000, peer_down_ms=2_000)
    leader = cluster.await_leader(1)
    leader.reports.clear()
    cluster.run_for(10_000)
    assert asleep(cluster) == {1, 2, 3}
    assert len(leader.reports) in (9, 10, 11)
    assert all(not report.heartbeat.down_peers for report in leader.reports)


def test_a_member_on_a_dead_store_is_reported_down_though_the_others_sleep() -> None:
    cluster = sleeping(region_heartbeat_ms=1_000, peer_down_ms=2_000)
    leader, dead = cluster.await_leader(1), followers(cluster)[0]
    down = peer_of(dead).meta
    cluster.crash(dead.id)
    cluster.run_until(lambda: not asleep(cluster), limit_ms=2 * ELECTION_MS)
    cluster.run_until(lambda: len(asleep(cluster)) == 2, limit_ms=2 * SLEEPY_MS)
    cluster.run_for(4_000)
    assert len(asleep(cluster)) == 2
    assert [one.peer.id for one in leader.reports[-1].heartbeat.down_peers] == [down.id]


def test_a_new_link_to_pd_is_told_of_sleeping_regions_without_waking_them() -> None:
    cluster = sleeping()
    leader = cluster.await_leader(1)
    leader.reports.clear()
    leader.inbox.append(HeartbeatsWanted())
    cluster.round()
    assert [report.heartbeat.region.id for report in leader.reports] == [1]
    assert asleep(cluster) == {1, 2, 3}


def test_a_sleeping_replica_keeps_one_entry_of_its_log_in_memory() -> None:
    cluster = sleeping()
    storage = peer_of(cluster.nodes[StoreId(1)]).storage
    assert len(storage._cache) == 1
    assert len(storage.entries(storage.first_index(), storage.last_index() + 1, None)) > 1


# ------------------------------------------------ mistakes put back

Mutant = Callable[[], AbstractContextManager[Any]]


def silent_store_does_not_wake() -> AbstractContextManager[Any]:
    return patch.object(Contacts, "take_news", lambda self: [])


@contextmanager
def sleeps_with_an_unmatched_follower() -> Iterator[None]:
    """Two guards see to it: what the leader knows of its members, and that it takes no drowsy word of one that lags."""
    with (
        patch.object(RawNode, "is_matched_by", lambda self, members: True),
        patch.object(RawNode, "hear_follower", lambda self, from_, term, tick: True),
    ):
        yield


def leader_sleeps_though_a_follower_does_not() -> AbstractContextManager[Any]:
    whole = hibernation._sleep_if_agreed

    def sleep(store: Any, peer: Any) -> None:
        peer.agreed = frozenset(meta.id for meta in peer.region.peers)
        whole(store, peer)

    return patch.object(hibernation, "_sleep_if_agreed", sleep)


def waking_follower_keeps_it_to_itself() -> AbstractContextManager[Any]:
    return patch("flaredb.store.outbox.Outbox.put", lambda self, envelope: None)


def restart_goes_unnoticed() -> AbstractContextManager[Any]:
    return patch.object(Contacts, "heard_beat", lambda self, beat, now_ms: self.heard(beat.from_store))


def strangers_are_not_answered() -> AbstractContextManager[Any]:
    return patch.object(contacts, "ASKERS_MAX", 0)


CAUGHT_BY: list[tuple[Mutant, Callable[[], None]]] = [
    (
        silent_store_does_not_wake,
        test_a_leader_whose_store_falls_silent_is_replaced_as_soon_as_if_nobody_had_slept,
    ),
    (sleeps_with_an_unmatched_follower, test_a_leader_does_not_sleep_while_a_follower_lacks_something),
    (strangers_are_not_answered, test_a_leader_does_not_sleep_while_a_living_store_lacks_its_replica),
    (leader_sleeps_though_a_follower_does_not, test_a_leader_does_not_sleep_before_every_living_follower_does),
    (waking_follower_keeps_it_to_itself, test_a_request_to_a_follower_wakes_the_region_by_way_of_its_leader),
    (restart_goes_unnoticed, test_a_leader_that_restarts_before_anybody_missed_it_does_not_leave_sleepers_behind),
]


@pytest.mark.parametrize(("make", "test"), CAUGHT_BY, ids=lambda value: value.__name__)
def test_a_mistake_put_back_is_caught(make: Mutant, test: Callable[[], None]) -> None:
    with make(), pytest.raises(AssertionError):
        test()
