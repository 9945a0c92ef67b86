"""Whatever bytes come, in whatever pieces: no exception, and valid conversations mean the same however they are cut."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.server.http2 import frames as f
from flaredb.server.http2.frames import ErrorCode as E
from tests.rim.http2.peer import ECHO, HOLD, REFUSED, TALK, Peer, check_sums, message


def conversation(peer: Peer) -> bytes:
    """A bit of everything that is allowed."""
    parts = [f.PREFACE, f.settings({f.INITIAL_WINDOW_SIZE: 1 << 20, f.MAX_FRAME_SIZE: 20_000}), f.SETTINGS_ACK]
    parts += [peer.call(1, b"first"), peer.open(3, TALK), f.frame(f.DATA, 0, 3, message(b"a") + message(b"b")[:3])]
    parts += [peer.call(5, bytes(3000), grpc_timeout="1S"), f.frame(f.PING, 0, 0, b"12345678"), peer.call(7, b"", HOLD)]
    parts += [f.frame(f.DATA, f.PADDED, 3, b"\x02" + message(b"b")[3:] + bytes(2)), f.window_update(0, 1 << 20)]
    parts += [peer.open(9, REFUSED), f.frame(f.DATA, f.END_STREAM, 9, message(b"x")), f.reset(7, E.CANCEL)]
    block = peer.block(path=ECHO.decode(), x_more="1")
    parts += [f.frame(f.HEADERS, 0, 11, block[:4]), f.frame(f.CONTINUATION, f.END_HEADERS, 11, block[4:])]
    parts += [f.frame(f.PRIORITY, 0, 11, bytes(5)), f.frame(f.DATA, f.END_STREAM, 11, message(b"last"))]
    parts += [f.frame(f.DATA, f.END_STREAM, 3), f.frame(0x77, 0, 0, b"?")]
    return b"".join(parts)


def played(pieces: list[bytes]) -> tuple[Any, Any]:
    """What the handlers saw, and what the client was answered."""
    peer = Peer(greet=False)
    frames = [frame for piece in pieces for frame in peer.give(piece)]
    outcomes = {}
    for stream in (1, 3, 5, 7, 9, 11):
        mine = [frame for frame in frames if frame.stream == stream]
        data = b"".join(frame.body for frame in mine if frame.kind == f.DATA)
        outcomes[stream] = (data, [(frame.kind, frame.body) for frame in mine if frame.kind != f.DATA])
    # A call that is reset may or may not have reached its handler before.
    return [entry for entry in peer.log if entry[0] not in ("ease", "hold")], outcomes


WHOLE = conversation(Peer(greet=False))
MEANT = played([WHOLE])


def test_the_conversation_is_a_valid_one() -> None:
    log, outcomes = MEANT
    assert [entry[0] for entry in log] == ["echo", "open", "message", "echo", "message", "echo", "end"]
    assert outcomes[3][0] == message(b"a") + message(b"b")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=30))
@settings(deadline=None)
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    assert played([WHOLE[a:b] for a, b in itertools.pairwise(places)]) == MEANT


def test_byte_by_byte() -> None:
    assert played([WHOLE[at : at + 1] for at in range(len(WHOLE))]) == MEANT


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_after_a_greeting(data: bytes) -> None:
    peer = Peer()
    peer.give(data)
    peer.give(data)


FRAMES = st.tuples(
    st.integers(0, 10), st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 0xFF]), st.integers(0, 6), st.binary(max_size=40)
)


@given(st.lists(FRAMES, max_size=30))
@settings(deadline=None)
def test_any_frames(frames: list[tuple[int, int, int, bytes]]) -> None:
    peer = Peer()
    for kind, flags, stream, body in frames:
        peer.give(f.frame(kind, flags, stream, body))
    check_sums(peer)


@given(st.integers(), st.integers(1, 8))
@settings(deadline=None)
def test_mutated_conversations(seed: int, changes: int) -> None:
    rng = random.Random(seed)
    data = bytearray(WHOLE)
    for _ in range(changes):
        at = rng.randrange(len(data))
        kind = rng.random()
        if kind < 0.5:
            data[at] = rng.randrange(256)
        elif kind < 0.75:
            del data[at : at + rng.randrange(1, 20)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
    peer = Peer(greet=False)
    peer.give(bytes(data))
    check_sums(peer)
    for stream in peer.held:
        stream.answer(b"late")
    peer.read()
