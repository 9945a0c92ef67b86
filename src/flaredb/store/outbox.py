"""Raft messages on their way out of a step: addressed, and told apart from snapshots, which travel differently."""

from __future__ import annotations

from flaredb.model.ids import PeerId, StoreId
from flaredb.raft import Message, MessageType, SnapshotStatus
from flaredb.store.messages import Beat, RaftEnvelope, SendSnapshot
from flaredb.store.peer import Peer
from flaredb.store.snapshot_desk import SnapshotDesk

_SNAPSHOT = MessageType.MsgSnapshot
_HEARTBEAT = MessageType.MsgHeartbeat
_HEARTBEAT_RESPONSE = MessageType.MsgHeartbeatResponse
_VOTES = (MessageType.MsgRequestVote, MessageType.MsgRequestPreVote)


class Outbox:
    """Raft messages of one step, by receiving store, and the snapshots among them."""

    __slots__ = ("_desk", "by_store", "snapshots")

    def __init__(self, desk: SnapshotDesk) -> None:
        self._desk = desk
        self.by_store: dict[StoreId, list[RaftEnvelope]] = {}
        self.snapshots: list[SendSnapshot] = []

    def put(self, envelope: RaftEnvelope) -> None:
        """Add an envelope that is addressed already."""
        self.by_store.setdefault(envelope.to_store, []).append(envelope)

    def add(self, peer: Peer, messages: list[Message]) -> None:
        """Address messages of a peer's node; one to an unknown peer id is dropped, as a network may do."""
        if not messages:
            return
        region, meta = peer.region, peer.meta
        region_id, peer_id, own_store_id = region.id, meta.id, meta.store_id
        conf_ver, version = region.epoch.conf_ver, region.epoch.version
        by_store, store_of = self.by_store, peer.store_of
        for message in messages:
            to_peer: PeerId = message.to  # type: ignore[assignment]  # Raft's ids are peer ids
            store_id = store_of.get(to_peer)
            kind = message.msg_type
            if kind is _SNAPSHOT:
                self._add_snapshot(peer, store_id, message)
                continue
            if store_id is None:
                continue
            is_answer = kind is _HEARTBEAT_RESPONSE
            if (is_answer or (kind is _HEARTBEAT and message.commit)) and not message.context:
                envelope: RaftEnvelope = Beat(
                    region_id,
                    peer_id,
                    own_store_id,
                    to_peer,
                    store_id,
                    conf_ver,
                    version,
                    is_answer,
                    message.term,
                    message.index,
                    message.commit,
                    peer.is_drowsy and not is_answer,
                )
            else:
                envelope = RaftEnvelope(region_id, peer_id, own_store_id, to_peer, store_id, conf_ver, version, message)
                if kind in _VOTES or kind is _HEARTBEAT:
                    # To whom nothing is known to have arrived: these may make the replica that they are for.
                    envelope.sender_range = (region.start_key, region.end_key)
            if store_id in by_store:
                by_store[store_id].append(envelope)
            else:
                by_store[store_id] = [envelope]

    def _add_snapshot(self, peer: Peer, store_id: StoreId | None, message: Message) -> None:
        region, meta = peer.region, peer.meta
        source = self._desk.hand_out(region.id, message.to)
        if source is None or store_id is None or message.snapshot is None:
            if source is not None:
                source.close()
                self._desk.finished(region.id, message.to, succeeded=False)
            peer.node.report_snapshot(message.to, SnapshotStatus.Failure)
            return
        envelope = RaftEnvelope(
            region.id,
            meta.id,
            meta.store_id,
            PeerId(message.to),
            store_id,
            region.epoch.conf_ver,
            region.epoch.version,
            message,
            (region.start_key, region.end_key),
        )
        self.snapshots.append(SendSnapshot(store_id, envelope, source))
