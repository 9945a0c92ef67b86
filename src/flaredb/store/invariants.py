"""What must hold after every step. Run by tests and the simulator; a broken one stops the process (AssertionError)."""

from __future__ import annotations

from itertools import pairwise

from flaredb.store.peer import Peer
from flaredb.store.roles import conf_state_of
from flaredb.store.state import StoreState


def check_store(store: StoreState) -> None:
    """Assert every invariant of the store and its peers."""
    regions = store.region_map.regions()
    for left, right in pairwise(regions):
        assert not left.overlaps(right), f"regions {left.id} and {right.id} overlap on store {store.store_id}"
    known = {peer.region.id: peer.region for peer in store.peers.values() if peer.is_initialised}
    assert {region.id: region for region in regions} == known, "region map and peers disagree"
    assert not store.arrived_early, "messages for new peers were not delivered"
    assert not store.reserved, "a range is reserved beyond its step"
    assert store.waiting_requests >= 0, "more answers than requests"
    assert store.waiting_write_bytes >= 0, "more write bytes answered than taken"
    awake = {region_id for region_id, peer in store.peers.items() if not peer.is_asleep}
    assert awake == store.awake.keys(), "peers awake and peers ticked differ"
    assert store.unsaved_changes.keys() <= awake, "a change waits for the disk of a region that sleeps, or is none"
    for region_id in store.gathering:
        assert store.peers[region_id].writes, f"region {region_id} keeps back writes and has none"
    for peer in store.peers.values():
        assert not peer.is_asleep or peer.region.id not in store.touched, f"region {peer.region.id} works in its sleep"
        kept = peer.region.id in store.touched or peer.region.id in store.gathering
        assert not peer.writes or kept, f"region {peer.region.id}: writes left over"
        check_peer(peer)
        check_members(peer)


def check_peer(peer: Peer) -> None:
    """Assert every invariant of one peer but that of its members; one at rest has given up most of what is asked."""
    if peer.rest is not None:
        rest = peer.rest
        assert peer.is_asleep, f"region {peer.region.id}: at rest, but not asleep"
        assert rest.index == peer.applied_index, f"region {peer.region.id}: at rest at {rest.index}"
        assert rest.leader_id == peer.leader_id, f"region {peer.region.id}: at rest under {rest.leader_id}"
        return
    log = peer.node.raft.raft_log
    state = peer.storage.apply_state
    name = f"region {peer.region.id}"
    assert state.truncated_index <= peer.applied_index <= log.committed, f"{name}: applied {peer.applied_index}"
    assert peer.applied_index == state.applied_index, f"{name}: applied index in memory and staged differ"
    assert peer.synced_applied_index <= peer.applied_index, f"{name}: synced beyond applied"
    numbers = [entry.ready_number for entry in peer.unsynced]
    assert numbers == sorted(numbers), f"{name}: unsynced Readys out of order"
    if peer.proposals:
        assert min(peer.proposals) > peer.applied_index, f"{name}: a proposal below the applied index"
    for index, proposals in peer.proposals.items():
        terms = [proposal.term for proposal in proposals]
        assert len(set(terms)) == len(terms), f"{name}: two proposals for entry {index} of one term"
    assert not peer.is_initialised or peer.meta in peer.region.peers, f"{name}: this peer is not in its region"
    assert not peer.is_destroyed, f"{name}: a destroyed replica is still here"
    assert peer.incoming is None, f"{name}: a snapshot that Raft took was not installed"
    assert not peer.held_to or peer.held_to > peer.applied_index, f"{name}: held entries are applied"
    if peer.is_asleep:
        idle = not (peer.writes or peer.parked or peer.proposals or peer.unsynced) and peer.reads.is_idle()
        assert idle, f"{name}: something waits for a replica that sleeps"
        assert peer.node.is_settled(), f"{name}: asleep with something on its way"


def check_members(peer: Peer) -> None:
    """Assert that Raft counts the members that the region names. Neither changes without being replaced."""
    if peer.is_initialised and peer.rest is None:
        state_now = conf_state_of(peer.region)
        raft_now = peer.node.raft.prs.conf.to_conf_state()
        assert raft_now.equivalent(state_now), f"region {peer.region.id}: members {state_now}, Raft has {raft_now}"
