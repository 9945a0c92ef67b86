"""The gRPC port's connections without sockets: any bytes, frames of any content, conversations that go wrong."""

from __future__ import annotations

from random import Random
from typing import Any

from flaredb.server.http2 import frames as f
from tests.rim.http2.peer import ECHO, HOLD, REFUSED, TALK, Peer, check_sums, message

FRAMES_MAX = 12
PATHS = (ECHO, ECHO, HOLD, TALK, TALK, REFUSED, b"/nobody")
VALUES = (0, 1, 5, 100, 65_535, 1 << 20, 2**31 - 1, 2**31, 2**32 - 1)


class Http2Target:
    """One connection at a time; a case is what one read of its socket brings. A closed one is replaced."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self._begin()

    def _begin(self) -> None:
        self.peer = Peer(
            greet=self.rng.random() < 0.9, message_bytes_max=20_000, streams_max=20, unsent_bytes_max=5_000
        )
        self.next_stream = 1

    def one(self) -> None:
        """Some frames, whole or not; handlers answer some of what they hold; time passes."""
        rng, peer = self.rng, self.peer
        data = b"".join(self._frame() for _ in range(rng.randrange(FRAMES_MAX)))
        if rng.random() < 0.1:
            data = self._mutated(data)
        cut = rng.randrange(len(data) + 1)
        peer.give(data[:cut])
        peer.give(data[cut:])
        if rng.random() < 0.3:
            peer.connection.choke(rng.random() < 0.5)
        while peer.held and rng.random() < 0.7:
            stream = peer.held.pop(rng.randrange(len(peer.held)))
            if rng.random() < 0.5:
                stream.answer(bytes(rng.choice((0, 1, 1000, 40_000))))
            else:
                stream.send(b"part")
                stream.finish()
        peer.now_s += rng.random()
        peer.connection.expire(peer.now_s)
        peer.dispatcher.dispatch()
        peer.read()
        check_sums(peer)
        assert len(peer.connection.streams) <= 20
        if peer.connection.is_closed or rng.random() < 0.01:
            peer.connection.lose()
            peer.dispatcher.dispatch()
            assert not peer.connection.streams
            self._begin()

    def _frame(self) -> bytes:
        rng = self.rng
        choice = rng.random()
        if choice < 0.45:
            return self._call()
        stream = rng.choice((0, 1, 3, self.next_stream - 2, self.next_stream - 2, self.next_stream))
        stream = max(stream, 0)
        if choice < 0.6:
            body = rng.choice((b"", message(b"x" * rng.randrange(50)), rng.randbytes(9)))
            return f.frame(f.DATA, rng.choice((0, 0, 0, 1, 8)), stream, body)
        if choice < 0.75:
            return f.window_update(rng.choice((0, stream)), rng.choice(VALUES[1:6]))
        if choice < 0.85:
            return f.reset(stream, f.ErrorCode.CANCEL)
        if choice < 0.95:
            return f.settings({rng.choice((1, 2, 3, 4, 4, 4, 5, 6, 99)): rng.choice(VALUES)})
        if choice < 0.99:
            return f.frame(f.PING, rng.choice((0, 1)), 0, rng.randbytes(8))
        return f.frame(rng.randrange(256), rng.randrange(256), stream, rng.randbytes(rng.randrange(30)))

    def _call(self) -> bytes:
        rng, peer = self.rng, self.peer
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        changes: dict[str, Any] = {}
        if rng.random() < 0.2:
            changes["grpc_timeout"] = rng.choice(("1S", "10m", "x", "0n", "99999999H"))
        if rng.random() < 0.1:
            changes[rng.choice(("x_trace", "te", "content_type", "grpc_encoding"))] = str(rng.random())
        parts = [peer.open(stream, rng.choice(PATHS), 0, **changes)]
        data = b"".join(message(bytes(rng.choice((0, 3, 30, 3000)))) for _ in range(rng.choice((0, 1, 1, 1, 1, 2))))
        cut = rng.randrange(len(data) + 1)
        parts.append(f.frame(f.DATA, 0, stream, data[:cut]))
        parts.append(f.frame(f.DATA, rng.choice((0, 1, 1, 1)), stream, data[cut:]))
        return b"".join(parts)

    def _mutated(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.rng.randrange(1, 4)):
            if changed:
                changed[self.rng.randrange(len(changed))] = self.rng.randrange(256)
        return bytes(changed)
