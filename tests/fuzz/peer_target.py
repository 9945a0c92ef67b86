"""A store whose peers are all fuzz: frames and Raft messages of any content, into the core, in virtual time."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import msgspec

from flaredb.engine.memory import MemoryEngine
from flaredb.model.commands import PUT
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.raft import ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata
from flaredb.store.messages import (
    Beat,
    Fatal,
    Input,
    Note,
    RaftEnvelope,
    RaftReceived,
    RegionsListed,
    SendRaft,
    SendSnapshot,
    SnapshotReceived,
    SnapshotSent,
    Sync,
    SyncDone,
)
from flaredb.store.store import Store
from flaredb.wire.entries import SplitEntry, SplitPiece, encode_compact_log, encode_split, encode_write
from flaredb.wire.frames import FrameError, decode_envelopes, encode_envelopes
from flaredb.wire.records import StateCorrupted
from flaredb.wire.states import encode_region
from tests.fuzz.kv_target import WITNESS_ID, WITNESS_ROWS
from tests.fuzz.mutate import Hints, Mutator
from tests.store.harness import CONFIG, region
from tests.store.snapshot_files import MemorySnapshotFiles

STORE_ID = StoreId(1)
STEP_MS = 10
NUMBERS = (0, 0, 1, 2, 4, 5, 6, 7, 8, 9, 2**31, 2**62, 2**63 - 1)
HINTS = Hints({}, (b"", b"a", b"b", b"m", b"mm", b"t", b"w001"))
KEPT_MAX = 64


class PeerTarget:
    """Regions [,m) and [m,t) with replicas on stores 2 and 3, which are the fuzzer; [t,) is this store's alone.

    Half of the messages fit the state of the replica they are for in all but one or two fields.
    """

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.mutator = Mutator(self.rng, HINTS)
        self.engine = MemoryEngine()
        self.files = MemorySnapshotFiles()
        self.now_ms = 1_000
        self.dropped = 0
        self.sent: deque[RaftEnvelope] = deque(maxlen=KEPT_MAX)
        self.inbox: list[Input] = []
        self.store = Store(CONFIG, STORE_ID, self.engine, Random(seed), self.now_ms, self.files)
        batch = self.engine.batch()
        for key, value in WITNESS_ROWS:
            batch.put("default", key, value)
        self.engine.write(batch)
        regions = (region(1, b"", b"m"), region(2, b"m", b"t"), region(WITNESS_ID, b"t", b"", (1,)))
        self.step([RegionsListed(regions)])
        for _ in range(100):
            self.step([])

    # ------------------------------------------------ the loop

    def step(self, inputs: list[Input]) -> None:
        """One step; syncs end before the next."""
        self.now_ms += STEP_MS
        given, self.inbox = [*self.inbox, *inputs], []
        for effect in self.store.step(self.now_ms, given):
            if isinstance(effect, SendRaft):
                self.sent.extend(effect.envelopes)
            elif isinstance(effect, Sync):
                self.engine.sync()
                self.inbox.append(SyncDone(effect.sequence))
            elif isinstance(effect, SendSnapshot):
                effect.source.close()
                self.inbox.append(SnapshotSent(effect.envelope.region_id, effect.envelope.to_peer, False))
            elif isinstance(effect, Note):
                self.dropped += "message" in effect.event
            assert not isinstance(effect, Fatal), effect

    def one(self) -> None:
        """One message or frame."""
        draw = self.rng.random()
        if draw < 0.1:
            self._frame()
        elif draw < 0.15:
            self._snapshot()
        else:
            self.step([RaftReceived(self._through_the_wire([self.envelope()]))])

    def _frame(self) -> None:
        """The bytes of some messages, damaged: read and taken, or refused as a whole."""
        data = encode_envelopes([self.envelope() for _ in range(self.rng.choice((1, 2)))])
        try:
            envelopes = decode_envelopes(self.mutator.mutated(data))
        except FrameError:
            return
        self.step([RaftReceived(envelopes)])

    def _through_the_wire(self, envelopes: list[RaftEnvelope]) -> list[RaftEnvelope]:
        try:
            return decode_envelopes(encode_envelopes(envelopes))
        except FrameError:
            return []

    def _snapshot(self) -> None:
        """A MsgSnapshot of any content, its rows already here; refused as the rim would ask, or taken."""
        envelope = self.envelope(MessageType.MsgSnapshot)
        (envelope,) = self._through_the_wire([envelope]) or (None,)
        if envelope is None or self.store.snapshot_refusal(envelope) is not None:
            return
        self.step([SnapshotReceived(envelope, self.files.save([]))])

    # ------------------------------------------------ messages

    def envelope(self, kind: MessageType | None = None) -> RaftEnvelope:
        """A message that is nearly right, or far from it."""
        rng = self.rng
        if kind is None and rng.random() < 0.1:
            fields = [self._number(1, 2, 3) for _ in range(11)]
            fields[7] = rng.random() < 0.5
            return Beat(*fields)  # type: ignore[arg-type]
        region_id = RegionId(rng.choice((1, 1, 2, 2, 9, 0)))
        peer = self.store.peers.get(region_id)
        from_store = rng.choice((2, 3))
        from_peer = region_id * 10 + from_store
        to_peer = peer.meta.id if peer is not None else rng.choice((1, 11, 21, 91, 99))
        epoch = peer.region.epoch if peer is not None else RegionEpoch(version=1, conf_ver=1)
        envelope = RaftEnvelope(
            region_id,
            PeerId(from_peer),
            StoreId(from_store),
            PeerId(to_peer),
            STORE_ID,
            epoch.conf_ver,
            epoch.version,
            self._message(kind or rng.choice(tuple(MessageType)), peer, from_peer, to_peer),
            None if rng.random() < 0.8 else (self.mutator.key(), self.mutator.key()),
            rng.random() < 0.01,
        )
        for _ in range(rng.choice((0, 0, 1, 2))):
            name = rng.choice(("region_id", "from_peer", "from_store", "to_peer", "to_store", "conf_ver", "version"))
            if name != "region_id" or rng.random() < 0.2:
                setattr(envelope, name, self._number(1, 2, 11, 12, 21, 93))
        if envelope.region_id == WITNESS_ID:
            envelope.region_id = RegionId(9)
        return envelope

    def _number(self, *known: int) -> int:
        return self.rng.choice((*known, *known, *NUMBERS, self.rng.getrandbits(64) - 2**62))

    def _message(self, kind: MessageType, peer: Any, from_peer: int, to_peer: int) -> Message:
        rng = self.rng
        raft = peer.node.raft if peer is not None else None
        term = raft.term if raft else 6
        log = raft.raft_log if raft else None
        tail = log.tail_index if log else 5
        committed = log.committed if log else 5
        index = rng.choice((tail, tail, tail - 1, committed, tail + 1, 0))
        log_term = log.term(index) if log and committed <= index <= tail else 5
        message = Message(kind, to_peer, from_peer, term + rng.choice((0, 0, 0, 0, 1)), log_term, index)
        message.commit = rng.choice((committed, tail, index, 0))
        message.reject = rng.random() < 0.2
        message.reject_hint = rng.choice((0, index))
        message.context = rng.choice((b"", b"", b"x", b"\x00" * 8))
        if kind is MessageType.MsgAppend or rng.random() < 0.05:
            message.entries = [self._entry(message.term, index + 1 + at) for at in range(rng.choice((0, 1, 1, 3)))]
        if kind is MessageType.MsgSnapshot or rng.random() < 0.02:
            message.snapshot = self._snapshot_of(peer, message.term, tail)
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            name = rng.choice(
                ("to", "from_", "term", "log_term", "index", "commit", "reject_hint", "request_snapshot", "priority")
            )
            setattr(message, name, self._number(term, tail, tail + 1, committed))
        return message

    def _entry(self, term: int, index: int) -> Entry:
        rng = self.rng
        kind = EntryType.EntryNormal if rng.random() < 0.9 else rng.choice(tuple(EntryType))
        entry = Entry(kind, term, index, self._payload())
        if rng.random() < 0.08:
            setattr(entry, rng.choice(("term", "index")), self._number(term, index, index + 1))
        if rng.random() < 0.03:
            entry.context = b"x"
        return entry

    def _payload(self) -> bytes:
        """Mostly what a leader writes; now and then damaged, or of a shape that no version writes."""
        rng = self.rng
        version = rng.choice((1, 1, 1, 2))
        data = rng.choice(
            (
                b"",
                encode_write(version, [(PUT, 0, b"a%d" % rng.randrange(9), b"v")]),
                encode_compact_log(self._number(5, 6)),
                encode_split(
                    SplitEntry(
                        RegionEpoch(version=version, conf_ver=1),
                        (SplitPiece(self.mutator.key(), RegionId(rng.choice((1, 50, 60))), (PeerId(501),) * 3),),
                    )
                ),
                _pack(rng.choice(((1,), (1, 1), (1, 1, 5), (2, "x"), (3, 1, 1, True, [[1]]), (1, 1, [[9, 9, b"a"]])))),
            )
        )
        return self.mutator.mutated(data) if rng.random() < 0.05 else data

    def _snapshot_of(self, peer: Any, term: int, tail: int) -> Snapshot:
        rng = self.rng
        stores = rng.choice(((1, 2, 3), (1, 2, 3), (2, 3), ()))
        base = peer.region if peer is not None else region(9, b"a", b"b")
        ids = [(meta.id, meta.store_id) for meta in base.peers] if rng.random() < 0.7 else [(s, s) for s in stores]
        held = Region(
            base.id if rng.random() < 0.9 else RegionId(4),
            rng.choice((base.start_key, self.mutator.key())),
            rng.choice((base.end_key, self.mutator.key())),
            RegionEpoch(version=rng.choice((1, 1, 2, 2**62)), conf_ver=rng.choice((1, 1, 2, 2**62))),
            tuple(Peer(PeerId(p), StoreId(s), rng.choice(tuple(PeerRole))) for p, s in ids),
        )
        data = encode_region(held)
        if rng.random() < 0.2:
            data = self.mutator.mutated(data)
        voters = [p for p, _ in ids] if rng.random() < 0.7 else [self._number(11) for _ in range(3)]
        conf = ConfState(voters, [] if rng.random() < 0.8 else [self._number(11)])
        index = rng.choice((tail, tail + 1, tail + 9, self._number(5)))
        return Snapshot(data, SnapshotMetadata(conf, index, rng.choice((term, 5, self._number(5)))))

    # ------------------------------------------------ checks

    def check(self) -> None:
        """What no message was about is as it was, led and served by this store alone."""
        assert list(self.engine.scan("default", b"t", None)) == WITNESS_ROWS
        assert self.store.peers[RegionId(WITNESS_ID)].is_leader


def _pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


DECODE_ERRORS = (FrameError, StateCorrupted)
