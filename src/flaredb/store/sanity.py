"""What a message of another store may say at all: the check before Raft takes its word.

Between stores the word of a peer counts for consensus, as in every Raft system: one that lies well can break it. But
what no replica of a working store ever sends (ids that are none, entries with gaps, payloads of no known shape, a term
out of the blue), and what contradicts what is durable here, is dropped and counted, and never ends the process.
"""

from __future__ import annotations

from flaredb.model.region import Region
from flaredb.raft import (
    CodecError,
    EntryType,
    Message,
    MessageType,
    Raft,
    StateRole,
    decode_conf_change_v2,
)
from flaredb.store.messages import RaftEnvelope
from flaredb.store.roles import conf_state_of
from flaredb.wire.entries import EntryCorrupted, check_payload, decode_change_peers

TERM_JUMP_MAX = 1 << 40
"""No group gets so far ahead of a replica: it would take 30 years of an election per millisecond."""

_APPEND = MessageType.MsgAppend
_HEARTBEAT = MessageType.MsgHeartbeat
_APPEND_RESPONSE = MessageType.MsgAppendResponse
_READ_INDEX = MessageType.MsgReadIndex
_LEADER = StateRole.Leader
_NORMAL = EntryType.EntryNormal
_NEVER_SENT = frozenset({MessageType.MsgPropose, MessageType.MsgSnapshot})
"""Proposals are not forwarded, and a snapshot comes on a connection of its own, with its rows."""

_FORWARDED = frozenset({MessageType.MsgReadIndex, MessageType.MsgTransferLeader})
"""These keep the sender that they first had; the first has no term."""


def malformed(envelope: RaftEnvelope) -> str | None:
    """Why no replica of this version sends such a message, whatever its state; None if one may."""
    message = envelope.message
    kind = message.msg_type
    if envelope.region_id < 1 or envelope.from_peer < 1 or envelope.to_peer < 1:
        return "an id is 0"
    if kind in _NEVER_SENT:
        return f"{kind.name} is not sent like this"
    return _malformed_head(envelope, message) or (_malformed_append(message) if kind is _APPEND else None)


def malformed_snapshot(envelope: RaftEnvelope, region: Region) -> str | None:
    """The same for a MsgSnapshot and the region in its data."""
    snapshot = envelope.message.snapshot
    if snapshot is None:
        return "the message holds no snapshot"
    if region.end_key and region.start_key >= region.end_key:
        return f"region {region.id} would end before it begins"
    if not snapshot.metadata.conf_state.equivalent(conf_state_of(region)):
        return f"the members of region {region.id} and its Raft configuration differ"
    if not 1 <= snapshot.metadata.term <= envelope.message.term or not snapshot.metadata.index:
        return f"region {region.id} cannot be at index {snapshot.metadata.index}, term {snapshot.metadata.term}"
    return _malformed_head(envelope, envelope.message)


def contradiction(raft: Raft, message: Message) -> str | None:
    """Why this replica cannot take the message for true, given what it knows; None if it can.

    A leader that counts on entries which are not here speaks of a log that this replica has lost, or never had.
    """
    if message.term > raft.term + TERM_JUMP_MAX:
        return f"term {message.term} is out of reach of term {raft.term}"
    kind = message.msg_type
    tail_index = raft.raft_log.tail_index
    if kind is _HEARTBEAT:
        if message.commit > tail_index and message.term >= raft.term:
            return f"the leader takes entry {message.commit} for stored here, the log ends at {tail_index}"
    elif kind is _APPEND_RESPONSE and message.term == raft.term and raft.state is _LEADER:
        # Only a leader: one that crashed may have lost entries of its term that others have, and hear of them late.
        if message.request_snapshot > tail_index or (not message.reject and message.index > tail_index):
            return f"a replica acknowledges what does not exist, the log ends at {tail_index}"
    return None


def _malformed_head(envelope: RaftEnvelope, message: Message) -> str | None:
    kind = message.msg_type
    if message.from_ != envelope.from_peer and kind not in _FORWARDED:
        return f"peer {envelope.from_peer} speaks for peer {message.from_}"
    if message.to != envelope.to_peer:
        return f"a message to peer {message.to} is addressed to peer {envelope.to_peer}"
    if not message.term and kind is not _READ_INDEX:
        return f"{kind.name} without a term"
    return None


def _malformed_append(message: Message) -> str | None:
    term = message.log_term
    if message.index < 1 or not 1 <= term <= message.term:
        return f"entries after index {message.index}, term {term}, at term {message.term}"
    for index, entry in enumerate(message.entries, message.index + 1):
        if entry.index != index or not term <= entry.term <= message.term or entry.context:
            return f"entry {entry.index} of term {entry.term} where entry {index} of term {term} or later must stand"
        term = entry.term
        try:
            if entry.entry_type is _NORMAL:
                if entry.data:
                    check_payload(entry.data)
            else:
                _check_change(entry.entry_type, entry.data)
        except (EntryCorrupted, CodecError) as error:
            return f"entry {index}: {error}"
    return None


def _check_change(kind: EntryType, data: bytes) -> None:
    """Errors: EntryCorrupted, CodecError."""
    if kind is not EntryType.EntryConfChangeV2:
        raise EntryCorrupted("changes of members are written in the second form only")
    decode_change_peers(decode_conf_change_v2(data).context)
