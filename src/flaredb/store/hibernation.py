"""Regions that sleep: without ticks, heartbeats or steps, they cost nothing but memory (docs/adr/0017).

To sleep. A leader whose region had nothing to do for ``idle_elections`` election timeouts, and whose log all members on
living stores hold, marks its heartbeats as drowsy. A follower agrees if it has nothing to do either and its log ends at
the leader's commit index: it falls asleep at once and says so in its answer. Once every member on a living store, and
with the leader a quorum, has said so, the leader falls asleep too. Drowsy heartbeats and their answers wake nobody.

To wake. Whatever concerns a sleeping replica wakes it first: a request, any other Raft message, an order or answer of
PD, the store's leaving; and news of a store (contacts.py): that of its leader, or for a leader that of any member, fell
silent, speaks again, or has restarted. A follower that wakes tells its leader, by an answer to no heartbeat, and a
leader that wakes sends heartbeats at its next tick, which wake the rest: where one wakes, all do.

Nothing depends on who sleeps but how soon something is noticed. A sleeping leader that was deposed serves nothing: its
requests wake it, its lease is over (raft/quiet.py), its reads go through a round. A follower that wakes counts the
ticks since it heard its leader's store as ticks without its leader, which is what it would have counted awake, so its
region gets a new leader as soon as if it had never slept.

Rare duties remain. A sleeping leader reports its region to PD at PD's interval. And the store asks PD now and then
whether its sleepers still belong to their regions: one that lost the message by which its leader woke, and was removed
right after it, would sleep for ever, because nobody writes to it and its leader's store lives.
"""

from __future__ import annotations

from heapq import heappop, heappush

from flaredb.model.ids import PeerId, StoreId
from flaredb.store.commands.compact_log import is_compactable
from flaredb.store.messages import Beat, CheckRegion
from flaredb.store.peer import Peer
from flaredb.store.split_check import outgrown
from flaredb.store.state import StoreState

REPORTS_PER_TICK_MIN = 16
CHECK_INTERVAL_MS_MIN = 1_000
"""Between two sleepers of which PD is asked."""

WAKES_PER_STEP_MAX = 256
"""About 20 ms."""


# ------------------------------------------------ to sleep


def count_idle(store: StoreState, peer: Peer) -> None:
    """One more tick in which this leader had nothing to do."""
    peer.idle_ticks += 1
    if peer.idle_ticks >= store.config.idle_elections * store.config.election_ticks:
        peer.is_drowsy = _could_sleep(store, peer) and peer.node.is_matched_by(_living(store, peer))
        _sleep_if_agreed(store, peer)


def agree(store: StoreState, peer: Peer, commit: int) -> bool:
    """Answer a drowsy heartbeat, which said that this replica holds everything up to ``commit``. True: it sleeps."""
    raft = peer.node.raft
    if raft.raft_log.tail_index != commit or peer.is_leader or not _could_sleep(store, peer):
        return False
    if store.contacts.is_silent(peer.store_of.get(raft.leader_id)):
        return False
    _fall_asleep(store, peer)
    return True


def on_agreed(store: StoreState, peer: Peer, member: int) -> None:
    """A member sleeps already."""
    if peer.is_drowsy:
        peer.agreed |= {member}
        _sleep_if_agreed(store, peer)


def _sleep_if_agreed(store: StoreState, peer: Peer) -> None:
    if not peer.is_drowsy:
        return
    living = _living(store, peer)
    if peer.agreed.issuperset(living) and _could_sleep(store, peer) and peer.node.is_matched_by(living):
        _fall_asleep(store, peer)


def _living(store: StoreState, peer: Peer) -> list[int]:
    """The other members, but those on silent stores."""
    own = peer.meta.id
    return [meta.id for meta in peer.region.peers if meta.id != own and not store.contacts.is_silent(meta.store_id)]


def _could_sleep(store: StoreState, peer: Peer) -> bool:
    """True if nothing here waits for a tick, a message or a sync."""
    region_id = peer.region.id
    return (
        store.config.hibernate_regions
        and not store.is_leaving
        and peer.is_initialised
        and peer.fill is None
        and not peer.held_to
        and not peer.proposals
        and not peer.writes
        and not peer.parked
        and not peer.unsynced
        and peer.split is None
        and not peer.transfer_was_running
        and peer.reads.is_idle()
        and region_id not in store.touched
        and region_id not in store.awaiting_sync
        and region_id not in store.unsaved_changes
        and peer.node.is_settled()
        and not (peer.is_leader and (is_compactable(store.config, peer) or outgrown(store.config, peer)))
    )


def _fall_asleep(store: StoreState, peer: Peer) -> None:
    peer.is_asleep = True
    peer.stir()
    del store.awake[peer.region.id]
    if peer.is_leader and len(_living(store, peer)) + 1 < len(peer.region.peers):
        # How far the others are, and since when they are silent, cannot be made anew.
        peer.storage.forget()
    else:
        peer.fold()
    if peer.is_leader and not peer.is_report_queued:
        peer.is_report_queued = True
        heappush(store.rare_reports, (peer.next_report_ms, peer.region.id))


# ------------------------------------------------ to wake


def wake(store: StoreState, peer: Peer, from_peer: int = 0) -> None:
    """Wake a replica, before anything is done for it. ``from_peer``: who wrote to it, if that is why."""
    if not peer.is_asleep:
        return
    node = peer.node
    peer.is_asleep = False
    peer.rest = None
    store.awake[peer.region.id] = peer
    contacts = store.contacts
    if peer.is_leader:
        hear_through_stores(store, peer)
        silent = [meta.id for meta in peer.region.peers if contacts.is_silent(meta.store_id)]
        node.resume(0, silent)
        return
    leader_id = node.raft.leader_id
    leader_store = peer.store_of.get(leader_id)
    node.resume(contacts.silent_ticks(leader_store))
    if leader_id != from_peer and leader_store is not None and not contacts.is_silent(leader_store):
        store.outbox.put(_answer_to_nothing(peer, leader_id, leader_store))


def _answer_to_nothing(peer: Peer, leader_id: int, leader_store: StoreId) -> Beat:
    """Tells a leader that this member is awake: it says nothing but that all is as before."""
    epoch, meta, raft = peer.region.epoch, peer.meta, peer.node.raft
    to = (PeerId(leader_id), leader_store)
    commit = raft.raft_log.committed
    return Beat(peer.region.id, meta.id, meta.store_id, *to, epoch.conf_ver, epoch.version, True, raft.term, 0, commit)


def answer_to(peer: Peer, beat: Beat, commit: int, is_drowsy: bool) -> Beat:
    """The answer to a leader's beat."""
    epoch = peer.region.epoch
    return Beat(
        beat.region_id,
        beat.to_peer,
        beat.to_store,
        beat.from_peer,
        beat.from_store,
        epoch.conf_ver,
        epoch.version,
        True,
        beat.term,
        beat.index,
        commit,
        is_drowsy,
    )


def is_of_this_sleep(peer: Peer, beat: Beat) -> bool:
    """True if a drowsy beat says nothing that this sleeping replica does not know: it goes on sleeping."""
    if beat.term != peer.term or peer.is_leader is not beat.is_answer:
        return False
    return beat.is_answer or (beat.from_peer == peer.leader_id and beat.commit == peer.applied_index)


def wake_all(store: StoreState) -> None:
    """Wake every replica."""
    for peer in store.peers.values():
        wake(store, peer)


def hear_news(store: StoreState) -> None:
    """Wake the sleepers that count on a store that fell silent, speaks again or restarted, WAKES_PER_STEP_MAX at once:
    a store may lead thousands.
    """
    news = set(store.contacts.take_news())
    if news and len(store.awake) < len(store.peers):
        store.to_wake.update(dict.fromkeys(peer.region.id for peer in store.peers.values() if _counts_on(peer, news)))
    for _ in range(min(len(store.to_wake), WAKES_PER_STEP_MAX)):
        region_id, _ = store.to_wake.popitem(last=False)
        if region_id in store.peers:
            wake(store, store.peers[region_id])


def _counts_on(peer: Peer, stores: set[StoreId]) -> bool:
    if not peer.is_asleep:
        return False
    if peer.is_leader:
        return any(meta.store_id in stores for meta in peer.region.peers)
    leader = peer.region.peer(PeerId(peer.leader_id))
    return leader is not None and leader.store_id in stores


# ------------------------------------------------ by the clock


def tick_contacts(store: StoreState) -> None:
    """Count the silence of other stores."""
    if store.contacts.is_stale:
        partners = {meta.store_id for peer in store.peers.values() for meta in peer.region.peers}
        store.contacts.set_partners(partners - {store.store_id})
    store.contacts.tick()


def hear_through_stores(store: StoreState, peer: Peer) -> None:
    """Members of a sleeping region are as alive as their stores: nothing is heard of them by themselves."""
    for meta in peer.region.peers:
        if not store.contacts.is_silent(meta.store_id):
            peer.last_heard_ms[meta.id] = store.now_ms


def report_rarely(store: StoreState) -> None:
    """Report the sleeping regions that are due to PD: a share of them per tick, so that they spread over time."""
    queue, now_ms, config = store.rare_reports, store.now_ms, store.config
    share = 2 * len(queue) * config.tick_ms // max(config.region_heartbeat_ms, 1)
    for _ in range(max(share, REPORTS_PER_TICK_MIN)):
        if not queue or queue[0][0] > now_ms:
            return
        _, region_id = heappop(queue)
        peer = store.peers.get(region_id)
        if peer is None or not peer.is_report_queued:
            continue
        peer.is_report_queued = False
        if not peer.is_asleep or not peer.is_leader:
            continue
        if peer.next_report_ms <= now_ms:
            hear_through_stores(store, peer)
            store.report(peer)
            if peer.rest is not None:
                peer.fold()
        peer.is_report_queued = True
        heappush(queue, (peer.next_report_ms, region_id))


def check_rarely(store: StoreState) -> None:
    """Ask PD, of one sleeper after the other, whether it is a member still (incoming.on_region_checked). Each has its
    turn every ``leader_missing_ms``, or as often as CHECK_INTERVAL_MS_MIN lets all of them.
    """
    if store.now_ms < store.next_check_ms:
        return
    if not store.to_check:
        store.to_check = [region_id for region_id, peer in store.peers.items() if _could_be_removed(peer)]
        pause_ms = store.config.leader_missing_ms // max(len(store.to_check), 1)
        store.check_interval_ms = max(pause_ms, CHECK_INTERVAL_MS_MIN)
    store.next_check_ms = store.now_ms + store.check_interval_ms
    if store.to_check:
        region_id = store.to_check.pop()
        peer = store.peers.get(region_id)
        if peer is not None and peer.is_asleep:
            store.emit(CheckRegion(region_id))


def _could_be_removed(peer: Peer) -> bool:
    return peer.is_asleep and len(peer.region.peers) > 1
