"""What fuzzing has found, one case each: every one of these once ended the process."""

from __future__ import annotations

import gc
from typing import Any

import msgspec
import pytest

from flaredb.engine.base import CF_META, CF_RAFT
from flaredb.engine.memory import MemoryEngine
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import apply_state_key, region_state_key
from flaredb.model.limits import MIB
from flaredb.raft import ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata
from flaredb.store.bootstrap import load_regions
from flaredb.store.messages import Beat, RaftEnvelope, RaftReceived
from flaredb.wire.convert import region_from_pb
from flaredb.wire.entries import EntryCorrupted, decode_entry
from flaredb.wire.frames import FrameError, decode_envelopes, encode_envelopes
from flaredb.wire.pb import kvrpcpb_pb2, metapb_pb2
from flaredb.wire.pd_states import decode_cluster
from flaredb.wire.records import StateCorrupted, dump_record
from flaredb.wire.snapshots import decode_chunk
from flaredb.wire.states import (
    ApplyState,
    decode_apply_state,
    decode_install,
    decode_region,
    encode_apply_state,
    encode_region,
)
from tests.fuzz.disk_target import DiskTarget
from tests.fuzz.kv_target import KvTarget
from tests.fuzz.peer_target import STORE_ID, PeerTarget
from tests.fuzz.run import resident_bytes
from tests.store.harness import region

RAFT_ENTRY_BYTES_MAX = 8 * MIB


@pytest.fixture
def target() -> PeerTarget:
    """A follower of region 1, whose log ends at index 5, term 5."""
    return PeerTarget(1)


def envelope(target: PeerTarget, kind: MessageType, **fields: Any) -> RaftEnvelope:
    peer = target.store.peers[RegionId(1)]
    message = Message(kind, to=11, from_=12, term=peer.term, log_term=5, index=5, commit=5)
    for name, value in fields.items():
        setattr(message, name, value)
    epoch = peer.region.epoch
    return RaftEnvelope(
        RegionId(1), PeerId(12), StoreId(2), PeerId(11), STORE_ID, epoch.conf_ver, epoch.version, message
    )


def entry(index: int = 6, term: int = 5, data: bytes = b"", context: bytes = b"", kind: int = 0) -> Entry:
    return Entry(EntryType(kind), term, index, data, context)


K = MessageType
REFUSED: list[tuple[str, MessageType, dict[str, Any]]] = [
    ("a heartbeat that takes a lost entry for stored", K.MsgHeartbeat, {"commit": 6}),
    ("a vote without a term", K.MsgRequestVote, {"term": 0}),
    ("a pre-vote without a term", K.MsgRequestPreVote, {"term": 0}),
    ("a term out of the blue", K.MsgAppend, {"term": 2**63 - 1}),
    ("a message of somebody else", K.MsgHeartbeat, {"from_": 13}),
    ("a message to somebody else", K.MsgHeartbeat, {"to": 13}),
    (
        "a snapshot without its rows",
        K.MsgSnapshot,
        {"snapshot": Snapshot(b"", SnapshotMetadata(ConfState([11]), 9, 5))},
    ),
    ("a proposal, which nobody forwards", K.MsgPropose, {"entries": [entry()]}),
    ("a local message", K.MsgHup, {}),
    ("an append that continues nowhere", K.MsgAppend, {"index": 2**31, "log_term": 0}),
    ("entries with a gap", K.MsgAppend, {"entries": [entry(9)]}),
    ("entries over committed ones", K.MsgAppend, {"entries": [entry(5, 4)]}),
    ("an entry of a later term than its leader", K.MsgAppend, {"entries": [entry(6, 2**40)]}),
    ("an entry with a context", K.MsgAppend, {"entries": [entry(context=b"x")]}),
    ("an entry that is no MessagePack", K.MsgAppend, {"entries": [entry(data=b"\xc1")]}),
    ("an entry that ends early", K.MsgAppend, {"entries": [entry(data=b"\x93\x01\x01")]}),
    ("an entry without its operations", K.MsgAppend, {"entries": [entry(data=b"\x92\x01\x01")]}),
    ("an operation that does not exist", K.MsgAppend, {"entries": [entry(data=b"\x93\x01\x01\x91\x93\x09\x00\xa1a")]}),
    ("a change of members in the first form", K.MsgAppend, {"entries": [entry(data=b"\x00\x01", kind=1)]}),
    ("a change of members that is cut", K.MsgAppend, {"entries": [entry(data=b"\x00\x05", kind=2)]}),
]


@pytest.mark.parametrize(("fields"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_a_message_that_is_dropped_and_counted(target: PeerTarget, fields: tuple[str, MessageType, Any]) -> None:
    _, kind, values = fields
    before = target.store.messages_refused
    target.step([RaftReceived([envelope(target, kind, **values)])])
    target.step([])
    assert target.store.messages_refused == before + 1
    assert target.store.peers[RegionId(1)].applied_index == 5


def test_a_sound_append_is_taken(target: PeerTarget) -> None:
    target.step([RaftReceived([envelope(target, K.MsgAppend, entries=[entry(6, 5)], commit=6)])])
    target.step([])
    assert target.store.messages_refused == 0
    assert target.store.peers[RegionId(1)].node.raft.raft_log.tail_index == 6


@pytest.mark.parametrize("number", [-1, 2**63, 2**64 - 1])
def test_numbers_that_no_key_on_disk_can_hold(number: int, target: PeerTarget) -> None:
    strange = envelope(target, K.MsgAppend, term=number)
    with pytest.raises(FrameError):
        decode_envelopes(encode_envelopes([strange]))
    beat: Any = Beat(number, 12, 2, 11, 1, 1, 1, False, 6, 0, 5)  # type: ignore[arg-type]
    with pytest.raises(FrameError):
        decode_envelopes(encode_envelopes([beat]))


@pytest.mark.parametrize(
    ("sentence", "data", "voters", "term"),
    [
        ("no region", b"", [11, 12, 13], 5),
        ("a region that does not decode", b"\x01\xff", [11, 12, 13], 5),
        ("other members than the region", encode_region(region(1)), [11], 5),
        ("a member twice", encode_region(region(1)), [11, 11, 12, 13, 13], 5),
        ("no term", encode_region(region(1)), [11, 12, 13], 0),
        ("a range that ends before it begins", encode_region(region(1, b"m", b"a")), [11, 12, 13], 5),
    ],
)
def test_a_snapshot_that_is_refused(
    target: PeerTarget, sentence: str, data: bytes, voters: list[int], term: int
) -> None:
    snapshot = Snapshot(data, SnapshotMetadata(ConfState(voters), 9, term))
    assert target.store.snapshot_refusal(envelope(target, K.MsgSnapshot, snapshot=snapshot)) is not None


def test_text_in_records_that_is_no_text() -> None:
    with pytest.raises(StateCorrupted):
        decode_install(b"\x01\xa2\xff\xff")
    with pytest.raises(StateCorrupted):
        decode_cluster(b"\x01\x93\x01\x03\xa1\xff")


def test_a_chunk_of_a_column_family_that_does_not_exist() -> None:
    with pytest.raises(StateCorrupted):
        decode_chunk(msgspec.msgpack.encode((3, [])))


@pytest.mark.parametrize("payload", [(1,), (1, 1), (1, 1, 5), (2, "x"), (3, 1, 1, True, [[1]]), (1, 1, [[0, 9, b"a"]])])
def test_an_entry_of_no_known_shape(payload: Any) -> None:
    with pytest.raises(EntryCorrupted):
        decode_entry(msgspec.msgpack.encode(payload))


def test_a_region_under_the_key_of_another() -> None:
    engine = MemoryEngine()
    batch = engine.batch()
    batch.put(CF_META, region_state_key(RegionId(1)), encode_region(region(2, stores=(1,))))
    engine.write(batch)
    with pytest.raises(StateCorrupted, match="of another"):
        load_regions(engine, StoreId(1))


@pytest.mark.parametrize("number", [-1, -(2**63)])
def test_a_negative_number_in_a_record(number: int) -> None:
    with pytest.raises(StateCorrupted):
        decode_region(dump_record((number, b"", b"", 1, 1, [])))
    with pytest.raises(StateCorrupted):
        decode_apply_state(dump_record((number, 5, 5)))


@pytest.mark.parametrize("member", [(0, 1, 0), (11, 0, 0)], ids=["no id", "no store"])
def test_a_member_that_cannot_be(member: tuple[int, int, int]) -> None:
    with pytest.raises(StateCorrupted, match="member"):
        decode_region(dump_record((1, b"", b"", 1, 1, [member])))


@pytest.mark.parametrize("member", [{"store_id": 1}, {"id": 11}], ids=["no id", "no store"])
def test_a_reported_member_that_cannot_be(member: dict[str, int]) -> None:
    """PD kept it, and could not read it at its next start."""
    with pytest.raises(ValueError, match="member"):
        region_from_pb(metapb_pb2.Region(id=1, peers=[member]))


async def test_a_refused_request_is_not_kept() -> None:
    """Its error knew, by its trace, the request that it answered, for as long as nobody looked for cycles."""
    target = KvTarget(1)
    peer = target.store.peers[RegionId(1)]
    epoch = metapb_pb2.RegionEpoch(version=peer.region.epoch.version, conf_ver=peer.region.epoch.conf_ver)
    member = metapb_pb2.Peer(id=peer.region.peers[0].id, store_id=1)
    context = kvrpcpb_pb2.Context(region_id=1, region_epoch=epoch, peer=member)
    large = kvrpcpb_pb2.RawPutRequest(context=context, key=b"k", value=bytes(RAFT_ENTRY_BYTES_MAX + 1))
    gc.collect()
    gc.disable()
    try:
        before_bytes = resident_bytes(collect=False)
        for _ in range(8):
            answer = await target.call("RawPut", large.SerializeToString())
            assert kvrpcpb_pb2.RawPutResponse.FromString(answer or b"").region_error.HasField("raft_entry_too_large")
        assert resident_bytes(collect=False) < before_bytes + 4 * RAFT_ENTRY_BYTES_MAX
    finally:
        gc.enable()


def test_an_apply_state_that_contradicts_itself() -> None:
    disk = DiskTarget(1)
    engine = MemoryEngine()
    batch = engine.batch()
    for cf, key, value in disk.rows:
        batch.put(cf, key, value)
    batch.put(CF_RAFT, apply_state_key(RegionId(1)), encode_apply_state(ApplyState(3, 7, 5)))
    engine.write(batch)
    with pytest.raises(StateCorrupted, match="cannot be"):
        disk._live(engine)
