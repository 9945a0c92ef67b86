"""Decoders of what arrives from stores, PD and disks: any bytes give a value or the one documented error."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from flaredb.model.cluster import RegionRoute
from flaredb.model.commands import COMPARE_AND_SWAP, DELETE, DELETE_RANGE, PUT
from flaredb.model.ids import ClusterId, PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange
from flaredb.model.region import Peer, RegionEpoch
from flaredb.raft import Entry, EntryType, HardState
from flaredb.wire import entries, pd_convert, pd_states, snapshot_stream, states
from flaredb.wire.convert import region_from_pb, store_from_pb
from flaredb.wire.frames import FrameError, decode_envelopes, encode_envelopes
from flaredb.wire.pb import metapb_pb2, pdpb_pb2
from flaredb.wire.pd_orders import order_from_pb
from flaredb.wire.peer_stream import FrameKind, FrameReader, Hello, encode_frame
from flaredb.wire.records import StateCorrupted, dump_record
from flaredb.wire.snapshots import decode_chunk, encode_chunk
from tests.fuzz.mutate import Hints, Mutator
from tests.store.harness import region

Decoder = Callable[[bytes], Any]
Case = tuple[Decoder, tuple[type[Exception], ...], list[bytes]]
_EPOCH = RegionEpoch(version=1, conf_ver=1)
_REGION = region(1, b"a", b"m")
_STORE = store_from_pb(metapb_pb2.Store(id=1, address="h:1", version="6.5.0"))


def _reader(data: bytes) -> Any:
    reader = FrameReader(512)
    for at in range(0, len(data), 7):
        reader.feed(data[at : at + 7])


def _log_entry(data: bytes) -> Any:
    return states.decode_log_entry(7, data)


def _split(data: bytes) -> Any:
    payload = entries.decode_entry(data)
    return entries.decode_split(payload) if payload[0] == entries.SPLIT else payload


_WRITE = entries.encode_write(
    1, [(PUT, 0, b"k", b"v"), (DELETE, 1, b"k"), (DELETE_RANGE, 2, b"a", b""), (COMPARE_AND_SWAP, 0, b"k", None, b"v")]
)
_SPLIT = entries.encode_split(
    entries.SplitEntry(_EPOCH, (entries.SplitPiece(b"k", RegionId(7), (PeerId(8), PeerId(9))),))
)
_CHANGE = entries.encode_change_peers(
    _EPOCH, ChangePeers((PeerChange(ChangeKind.ADD_NODE, Peer(PeerId(3), StoreId(4))),))
)
_HELLO = Hello(ClusterId(5), StoreId(1), StoreId(2)).encode()

CASES: dict[str, Case] = {
    "entry": (_split, (entries.EntryCorrupted,), [_WRITE, _SPLIT, entries.encode_compact_log(9)]),
    "change of members": (entries.decode_change_peers, (entries.EntryCorrupted,), [_CHANGE]),
    "envelopes": (decode_envelopes, (FrameError,), [encode_envelopes([])]),
    "frames": (_reader, (FrameError,), [_HELLO, encode_frame(FrameKind.ENVELOPES, b"x" * 30) * 3]),
    "hello": (Hello.decode, (FrameError,), [_HELLO[5:]]),
    "snapshot head": (snapshot_stream.SnapshotHead.decode, (FrameError,), [b"\x00" * 8 + encode_envelopes([])]),
    "snapshot totals": (snapshot_stream.SnapshotTotals.decode, (FrameError,), [b"\x00" * 20]),
    "chunk frame": (lambda data: snapshot_stream.decode_chunk_frame(memoryview(data)), (FrameError,), [b"1234abc"]),
    "chunk": (decode_chunk, (StateCorrupted,), [encode_chunk(0, [(b"k", b"v"), (b"l", b"")])]),
    "store ident": (
        states.decode_store_ident,
        (StateCorrupted,),
        [states.encode_store_ident(ClusterId(5), StoreId(1))],
    ),
    "hard state": (states.decode_hard_state, (StateCorrupted,), [states.encode_hard_state(HardState(6, 11, 9))]),
    "apply state": (
        states.decode_apply_state,
        (StateCorrupted,),
        [states.encode_apply_state(states.ApplyState(9, 5, 5))],
    ),
    "region": (states.decode_region, (StateCorrupted,), [states.encode_region(_REGION)]),
    "tombstone": (states.decode_tombstone, (StateCorrupted,), [states.encode_tombstone(PeerId(11), _REGION)]),
    "install": (states.decode_install, (StateCorrupted,), [states.encode_install("1_2_3")]),
    "log entry": (
        _log_entry,
        (StateCorrupted,),
        [states.encode_log_entry(Entry(EntryType.EntryNormal, 6, 7, _WRITE))],
    ),
    "pd ident": (pd_states.decode_ident, (StateCorrupted,), [pd_states.encode_ident(pd_states.PdIdent(1, 2))]),
    "pd cluster": (
        pd_states.decode_cluster,
        (StateCorrupted,),
        [pd_states.encode_cluster(pd_states.ClusterRecord(1, 3, "6.5.0"))],
    ),
    "pd gc": (
        pd_states.decode_gc,
        (StateCorrupted,),
        [pd_states.encode_gc(pd_states.GcRecord(4, {b"a": pd_states.ServiceClaim(1, 2)}))],
    ),
    "pd schedule": (
        pd_states.decode_schedule,
        (StateCorrupted,),
        [pd_states.encode_schedule(pd_states.ScheduleRecord({"a": 1}, {"b": [1]}, {1: (1.0, 2.0)}))],
    ),
    "pd bound": (pd_states.decode_bound, (StateCorrupted,), [pd_states.encode_bound(9)]),
    "pd store": (pd_states.decode_store, (StateCorrupted,), [pd_states.encode_store(_STORE)]),
}

PD_ANSWERS: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (pdpb_pb2.RegionHeartbeatResponse, order_from_pb),
    (pdpb_pb2.GetRegionResponse, pd_convert.route_from_pb),
    (pdpb_pb2.Region, pd_convert.route_from_pb),
    (pdpb_pb2.RegionHeartbeatRequest, pd_convert.heartbeat_from_pb),
    (pdpb_pb2.StoreStats, pd_convert.stats_from_pb),
    (metapb_pb2.Region, region_from_pb),
    (metapb_pb2.Store, store_from_pb),
)
"""What a store reads of PD's messages, and PD of a store's: any message gives a value or a ValueError."""


class BytesTarget:
    """One decoder and one input at a time."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.mutator = Mutator(self.rng, Hints({}, (b"", b"a", b"m")))

    def one(self, name: str | None = None) -> None:
        """Damaged bytes, foreign MessagePack or noise into a decoder."""
        if name is None and self.rng.random() < 0.2:
            self._pd_answer()
            return
        decode, errors, seeds = CASES[name or self.rng.choice(tuple(CASES))]
        draw = self.rng.random()
        if draw < 0.7:
            data = self.mutator.mutated(self.rng.choice(seeds))
        elif draw < 0.9:
            data = self._foreign(self.rng.choice(seeds))
        else:
            data = self.rng.randbytes(self.rng.choice((0, 1, 9, 64)))
        try:
            decode(data)
        except errors as error:
            told = str(error)
        else:
            return
        assert told, "an error without a text"

    def _foreign(self, seed: bytes) -> bytes:
        """A sound record of the wrong shape."""
        value = self._value(0)
        return dump_record(value) if seed[:1] == b"\x01" else msgspec.msgpack.encode(value)

    def _value(self, depth: int) -> Any:
        rng = self.rng
        if depth < 3 and rng.random() < 0.6:
            return [self._value(depth + 1) for _ in range(rng.choice((0, 1, 2, 3, 5)))]
        return rng.choice((None, True, 0, 1, 2, 3, -1, 2**64 - 1, 1.5, b"", b"k", "", "x", {}, {"a": 1}))

    def _pd_answer(self) -> None:
        kind, convert = self.rng.choice(PD_ANSWERS)
        try:
            found = convert(self.mutator.message(kind))
        except ValueError:
            return
        if isinstance(found, RegionRoute):
            pd_convert.route_to_pb(found)
