"""The codec of Raft envelopes: nothing is lost, nothing foreign is accepted."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.raft.types import (
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from flaredb.store.messages import NUMBER_MAX, Beat, RaftEnvelope
from flaredb.wire.frames import (
    ENVELOPES_VERSION,
    FrameError,
    decode_envelopes,
    encode_envelopes,
    encode_envelopes_after,
)

count = st.one_of(st.integers(0, 200), st.integers(0, NUMBER_MAX))
i64 = st.integers(-(2**63), 2**63 - 1)
ids = st.lists(count, max_size=4)
blobs = st.binary(max_size=40)
conf_states = st.builds(ConfState, ids, ids, ids, ids, st.booleans())
snapshots = st.builds(Snapshot, blobs, st.builds(SnapshotMetadata, conf_states, count, count))
entries = st.builds(Entry, st.sampled_from(EntryType), count, count, blobs, blobs)
messages = st.builds(
    Message,
    msg_type=st.sampled_from(MessageType),
    to=count,
    from_=count,
    term=count,
    log_term=count,
    index=count,
    entries=st.lists(entries, max_size=3),
    commit=count,
    snapshot=st.none() | snapshots,
    reject=st.booleans(),
    reject_hint=count,
    context=blobs,
    request_snapshot=count,
    priority=i64,
)
envelopes = st.builds(
    RaftEnvelope, count.map(RegionId), count.map(PeerId), count.map(StoreId), count.map(PeerId), count.map(StoreId),
    count, count,
    messages,
)  # fmt: skip


def heartbeat() -> RaftEnvelope:
    message = Message(MessageType.MsgHeartbeat, to=12, from_=11, term=7, commit=40, context=b"round")
    return RaftEnvelope(RegionId(10), PeerId(11), StoreId(1), PeerId(12), StoreId(2), 1, 1, message)


@settings(max_examples=150, deadline=None)
@given(st.lists(envelopes, max_size=4))
def test_every_field_survives_the_round_trip(batch: list[RaftEnvelope]) -> None:
    decoded = decode_envelopes(encode_envelopes(batch))
    assert decoded == batch
    for envelope in decoded:
        assert type(envelope.message.msg_type) is MessageType
        assert all(type(entry.entry_type) is EntryType for entry in envelope.message.entries)


def test_each_message_field_alone_is_carried() -> None:
    """A field that alone differs from its default must not be taken for 'all defaults' and left out."""
    for change in (
        {"reject": True},
        {"reject_hint": 3},
        {"context": b"c"},
        {"request_snapshot": 9},
        {"priority": -1},
        {"snapshot": Snapshot(b"", SnapshotMetadata(index=0))},
    ):
        batch = [heartbeat()]
        batch[0].message = Message(MessageType.MsgAppendResponse, **change)
        assert decode_envelopes(encode_envelopes(batch)) == batch, change


def beat(is_answer: bool = False) -> Beat:
    return Beat(RegionId(10), PeerId(11), StoreId(1), PeerId(12), StoreId(2), 3, 4, is_answer, 7, 5, 40)


@pytest.mark.parametrize("is_answer", [False, True])
def test_a_beat_is_the_envelope_of_a_heartbeat(is_answer: bool) -> None:
    """Whoever treats it as an envelope sees the message that it stands for."""
    [decoded] = decode_envelopes(encode_envelopes([beat(is_answer)]))
    assert type(decoded) is Beat
    assert decoded == beat(is_answer)
    kind = MessageType.MsgHeartbeatResponse if is_answer else MessageType.MsgHeartbeat
    message = Message(kind, to=12, from_=11, term=7, index=5, commit=40)
    whole = RaftEnvelope(RegionId(10), PeerId(11), StoreId(1), PeerId(12), StoreId(2), 3, 4, message)
    for name in RaftEnvelope.__slots__:
        assert getattr(decoded, name) == getattr(whole, name), name


def test_a_drowsy_beat_stays_drowsy_and_one_of_an_earlier_release_is_not() -> None:
    drowsy = beat()
    drowsy.is_drowsy = True
    [decoded] = decode_envelopes(encode_envelopes([drowsy]))
    assert decoded == drowsy
    fields = msgspec.msgpack.decode(encode_envelopes([drowsy])[1:])
    older = msgspec.msgpack.encode(([], [fields[1][0][:-1]]))
    assert decode_envelopes(bytes([ENVELOPES_VERSION]) + older) == [beat()]


def test_the_order_is_kept_but_beats_come_last() -> None:
    append = heartbeat()
    append.message = Message(MessageType.MsgAppend, to=12, from_=11, term=7)
    batch = [beat(), heartbeat(), beat(True), append]
    assert decode_envelopes(encode_envelopes(batch)) == [heartbeat(), append, beat(), beat(True)]


def test_a_head_stays_in_front() -> None:
    encoded = encode_envelopes_after(b"HEAD", [heartbeat()])
    assert encoded[:4] == b"HEAD"
    assert decode_envelopes(memoryview(encoded)[4:]) == [heartbeat()]


def test_data_does_not_borrow_the_receive_buffer() -> None:
    batch = [heartbeat()]
    batch[0].message.entries = [Entry(data=b"d" * 100)]
    buffer = bytearray(encode_envelopes(batch))
    decoded = decode_envelopes(buffer)
    buffer[:] = bytes(len(buffer))
    assert decoded == batch
    assert type(decoded[0].message.entries[0].data) is bytes


def test_an_unknown_version_is_refused_by_number() -> None:
    encoded = bytearray(encode_envelopes([heartbeat()]))
    encoded[0] = ENVELOPES_VERSION + 1
    with pytest.raises(FrameError, match=rf"version {ENVELOPES_VERSION + 1}.*reads version {ENVELOPES_VERSION}"):
        decode_envelopes(encoded)


def test_nothing_is_refused() -> None:
    with pytest.raises(FrameError, match="empty"):
        decode_envelopes(b"")


def test_every_truncation_is_refused() -> None:
    encoded = encode_envelopes([heartbeat(), heartbeat()])
    for length in range(len(encoded)):
        with pytest.raises(FrameError):
            decode_envelopes(encoded[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_garbage_raises_only_frame_errors(garbage: bytes) -> None:
    for data in (garbage, bytes([ENVELOPES_VERSION]) + garbage):
        try:
            decode_envelopes(data)
        except FrameError:
            continue


def test_an_unknown_message_type_is_refused() -> None:
    batch = [heartbeat()]
    batch[0].message.msg_type = 99  # type: ignore[assignment]
    with pytest.raises(FrameError, match="99"):
        decode_envelopes(encode_envelopes(batch))


def test_beats_are_cheap() -> None:
    """A dozen bytes each, so that thousands of idle regions stay affordable."""
    assert len(encode_envelopes([beat()] * 100)) < 100 * 13 + 10
