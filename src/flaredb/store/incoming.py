"""Messages of other stores: whose they are, whether they are of this time, and what they bring to life or end.

Order of decisions for one envelope: what no replica would send (sanity.py); a tombstone notice; a replica of a later or
an earlier life of its region on this store; a sender that was removed and does not know; an empty replica to be made;
what cannot be true here (sanity.py); then Raft.
"""

from __future__ import annotations

from flaredb.model.ids import PeerId
from flaredb.model.region import Region
from flaredb.raft import Message, MessageType, RaftError, SnapshotStatus
from flaredb.store.contacts import NO_REGION
from flaredb.store.hibernation import agree, answer_to, is_of_this_sleep, on_agreed, wake
from flaredb.store.lease_trust import heed_clocks
from flaredb.store.lifecycle import destroy, empty_region, empty_replica, last_commit, read_tombstone
from flaredb.store.messages import Beat, RaftEnvelope, RegionChecked, SnapshotReceived, SnapshotSent
from flaredb.store.peer import Peer
from flaredb.store.sanity import contradiction, malformed, malformed_snapshot
from flaredb.store.state import StoreState
from flaredb.wire.records import StateCorrupted
from flaredb.wire.states import decode_region

CONTRADICTION = "raft message contradicts what is stored here"
"""A Note's event; the simulator, where nobody lies, takes it for a violation."""

_APPEND = MessageType.MsgAppend
_VOTES = (MessageType.MsgRequestVote, MessageType.MsgRequestPreVote)
_REFUSALS = {
    MessageType.MsgRequestVote: MessageType.MsgRequestVoteResponse,
    MessageType.MsgRequestPreVote: MessageType.MsgRequestPreVoteResponse,
}


def take_envelope(store: StoreState, envelope: RaftEnvelope) -> None:
    """Hand a message to the replica that it is for. What fits none is dropped, as if the network had lost it."""
    if type(envelope) is Beat:
        if envelope.region_id == NO_REGION:
            if store.contacts.heard_beat(envelope, store.now_ms):
                heed_clocks(store)
            return
        if _take_beat(store, envelope):
            return
    if envelope.is_tombstone:
        _take_tombstone(store, envelope)
        return
    reason = malformed(envelope)
    if reason is not None:
        _refuse(store, envelope, reason)
        return
    peer = _receiver(store, envelope)
    if peer is not None:
        _step(store, peer, envelope)


def _refuse(store: StoreState, envelope: RaftEnvelope, reason: str) -> None:
    store.messages_refused += 1
    store.note("raft message refused", level="DEBUG", region_id=envelope.region_id, error=reason)


def _contradict(store: StoreState, envelope: RaftEnvelope, reason: str) -> None:
    """Dropped as well, but loudly: one of the two stores has lost something that it promised to keep, or lies."""
    store.messages_refused += 1
    fields = {"region_id": envelope.region_id, "store_id": envelope.from_store, "reason": reason}
    store.note(CONTRADICTION, level="ERROR", **fields)


def collect(store: StoreState, peer: Peer) -> None:
    """What a message or a tick has brought: mere messages leave with this step, anything else makes a Ready."""
    messages = peer.node.take_messages()
    if messages is None:
        store.touched.add(peer.region.id)
    elif messages:
        store.outbox.add(peer, messages)


def _take_beat(store: StoreState, beat: Beat) -> bool:
    """Take a beat between two replicas that know each other, if it changes nothing; else it is a message like others.

    Post: an answer leaves with this step, as it would from Raft.
    """
    peer = store.peers.get(beat.region_id)
    if peer is None or beat.to_peer != peer.meta.id:
        return False
    epoch = peer.region.epoch
    if beat.conf_ver < epoch.conf_ver:
        return False
    if peer.is_asleep:
        if beat.is_drowsy and is_of_this_sleep(peer, beat):
            if not beat.is_answer:
                store.outbox.put(answer_to(peer, beat, beat.commit, is_drowsy=True))
            return True
        wake(store, peer, beat.from_peer)
    if beat.from_peer not in peer.last_heard_ms:
        return False
    if beat.is_answer:
        if not peer.node.hear_follower(beat.from_peer, beat.term, beat.index):
            return False
        if beat.is_drowsy:
            on_agreed(store, peer, beat.from_peer)
    else:
        commit = peer.node.hear_leader(beat.from_peer, beat.term, beat.commit)
        if commit is None:
            return False
        is_drowsy = beat.is_drowsy and agree(store, peer, beat.commit)
        store.outbox.put(answer_to(peer, beat, commit, is_drowsy))
    if not peer.is_asleep:
        peer.last_heard_ms[beat.from_peer] = store.now_ms
    return True


def _step(store: StoreState, peer: Peer, envelope: RaftEnvelope) -> None:
    node, message, sender = peer.node, envelope.message, envelope.from_peer
    reason = contradiction(node.raft, message)
    if reason is not None:
        _contradict(store, envelope, reason)
        return
    if store.unsynced_bytes > store.config.unsynced_bytes_max and _brings_entries(message):
        # As if the network had lost it: its leader sends it again, one at a time, until the disk has caught up.
        store.appends_dropped += 1
        return
    if peer.is_asleep:
        wake(store, peer, sender)
    if sender not in peer.store_of:
        peer.store_of[sender] = envelope.from_store
    if envelope.conf_ver > peer.heard_conf_ver:
        peer.heard_conf_ver = envelope.conf_ver
    peer.last_heard_ms[sender] = store.now_ms
    try:
        node.step(message)
    except RaftError as error:
        _refuse(store, envelope, str(error))
    collect(store, peer)


def _brings_entries(message: Message) -> bool:
    return message.msg_type is _APPEND and bool(message.entries)


def _receiver(store: StoreState, envelope: RaftEnvelope) -> Peer | None:
    peer = store.peers.get(envelope.region_id)
    if peer is None:
        return _birth(store, envelope)
    if envelope.to_peer > peer.meta.id:
        destroy(store, peer, f"replica {envelope.to_peer}, which is later, is addressed here")
        return _birth(store, envelope)
    region = peer.region
    if region.peers and envelope.conf_ver < region.epoch.conf_ver and region.peer(envelope.from_peer) is None:
        if region.id not in store.unsaved_changes:
            _tell_removed(store, envelope, peer.meta.id, region)
        return None
    return peer if envelope.to_peer == peer.meta.id else None


# ------------------------------------------------ births


def _birth(store: StoreState, envelope: RaftEnvelope) -> Peer | None:
    """An empty replica for a message that may make one; otherwise the message waits, or is dropped."""
    grave = read_tombstone(store.engine, envelope.region_id)
    if grave is not None and envelope.to_peer <= grave[0]:
        peer_id, region = grave
        if region.peers and envelope.conf_ver < region.epoch.conf_ver:
            if region.peer(envelope.from_peer) is None:
                _tell_removed(store, envelope, peer_id, region)
            else:
                _tell_committed(store, envelope, region)
        return None
    span = envelope.sender_range
    if span is None or not store.is_started or store.region_map.overlapping(*span):
        store.early.keep(envelope)
        return None
    peer = store.add_peer(
        empty_region(envelope.region_id), first_start=False, meta=empty_replica(envelope.to_peer, store.store_id)
    )
    store.note("replica created", region_id=envelope.region_id, peer_id=envelope.to_peer)
    return peer


# ------------------------------------------------ removed replicas


def _tell_removed(store: StoreState, envelope: RaftEnvelope, own_id: PeerId, region: Region) -> None:
    """A replica that was removed while it could not hear asks for votes for ever, unless it is told."""
    if envelope.message.msg_type not in _VOTES:
        return
    notice = RaftEnvelope(
        region.id,
        own_id,
        store.store_id,
        envelope.from_peer,
        envelope.from_store,
        region.epoch.conf_ver,
        region.epoch.version,
        Message(to=envelope.from_peer, from_=own_id),
        is_tombstone=True,
    )
    store.outbox.put(notice)


def _tell_committed(store: StoreState, envelope: RaftEnvelope, region: Region) -> None:
    """A member asks for a vote because it does not know that the removal of the replica that was here is committed, as
    when it lost power before that was on its disk. If it needs the vote, nobody else can ever tell it: so it is refused
    as the replica would, with the last entry known to be committed.
    """
    request = envelope.message
    answer = _REFUSALS.get(request.msg_type)
    index, term = last_commit(store.engine, envelope.region_id)
    if answer is None or not index:
        return
    own_term = request.term - 1 if request.msg_type is MessageType.MsgRequestPreVote else request.term
    refusal = RaftEnvelope(
        region.id,
        envelope.to_peer,
        store.store_id,
        envelope.from_peer,
        envelope.from_store,
        region.epoch.conf_ver,
        region.epoch.version,
        Message(answer, envelope.from_peer, envelope.to_peer, own_term, log_term=term, commit=index, reject=True),
    )
    store.outbox.put(refusal)


def _take_tombstone(store: StoreState, envelope: RaftEnvelope) -> None:
    peer = store.peers.get(envelope.region_id)
    if peer is None or peer.meta.id != envelope.to_peer:
        return
    if envelope.conf_ver > peer.region.epoch.conf_ver:
        destroy(store, peer, f"store {envelope.from_store} says that it was removed")


def on_region_checked(store: StoreState, checked: RegionChecked) -> None:
    """PD knows a later membership without the replica here: it was removed and never heard of it (traps C4)."""
    peer, region = store.peers.get(checked.region_id), checked.region
    if peer is not None and region is not None and peer.was_removed_by(region):
        destroy(store, peer, "PD says that it was removed")


# ------------------------------------------------ snapshots


def snapshot_refusal(store: StoreState, envelope: RaftEnvelope) -> str | None:
    """Why a snapshot would not be taken now; None if it may be. Asked before its rows travel, and again after."""
    snapshot = envelope.message.snapshot
    if snapshot is None:
        return "the message holds no snapshot"
    try:
        region = decode_region(snapshot.data)
    except StateCorrupted as error:
        return f"the snapshot's region cannot be read: {error}"
    wrong = malformed_snapshot(envelope, region)
    if wrong is not None:
        return wrong
    member = region.peer(envelope.to_peer)
    if region.id != envelope.region_id or member is None or member.store_id != store.store_id:
        return f"the snapshot of region {region.id} is not for this store"
    grave = read_tombstone(store.engine, region.id)
    if grave is not None and envelope.to_peer <= grave[0]:
        return f"peer {envelope.to_peer} of region {region.id} was removed from store {store.store_id}"
    peer = store.peers.get(region.id)
    if peer is not None and peer.meta.id > envelope.to_peer:
        return f"region {region.id} has the later peer {peer.meta.id} on store {store.store_id}"
    for other in (*store.region_map.overlapping(region.start_key, region.end_key), *store.reserved.values()):
        if other.id != region.id and other.overlaps(region):
            return f"region {other.id} of store {store.store_id} holds keys of it"
    return None


def on_snapshot_received(store: StoreState, received: SnapshotReceived) -> None:
    """Offer a snapshot to Raft, unless another region holds keys of it; what is not taken is deleted.

    Post: if Raft took it, its Ready follows in this step and its range is reserved until then (traps C1).
    """
    envelope = received.envelope
    refusal = snapshot_refusal(store, envelope)
    peer = _receiver(store, envelope) if refusal is None else None
    if peer is not None:
        _step(store, peer, envelope)
        if peer.node.snap() is envelope.message.snapshot:
            if peer.incoming is not None:
                store.files.discard(peer.incoming.name)
            peer.incoming = received.file
            assert envelope.message.snapshot is not None, "checked by snapshot_refusal"
            store.reserved[peer.region.id] = decode_region(envelope.message.snapshot.data)
            return
    store.files.discard(received.file.name)
    reason = refusal or "Raft has no use for it"
    store.note("snapshot not taken", level="DEBUG", region_id=envelope.region_id, reason=reason)


def on_snapshot_sent(store: StoreState, sent: SnapshotSent) -> None:
    """Tell Raft what became of a snapshot; after a failure the next one waits a little."""
    store.desk.finished(sent.region_id, sent.to_peer, sent.succeeded)
    peer = store.peers.get(sent.region_id)
    if peer is not None:
        wake(store, peer)
        peer.node.report_snapshot(sent.to_peer, SnapshotStatus.Finish if sent.succeeded else SnapshotStatus.Failure)
        store.touched.add(sent.region_id)
