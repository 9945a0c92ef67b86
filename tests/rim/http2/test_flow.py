"""Flow control in both directions: answers wait for windows, windows are given back, everything is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from flaredb.model.ids import ClusterId, StoreId
from flaredb.server.call import Route, Status
from flaredb.server.front import Front
from flaredb.server.http2 import frames as f
from flaredb.server.http2.calls import BatchCalls
from flaredb.server.http2.frames import ErrorCode as E
from flaredb.server.service_settings import KvServiceSettings
from tests.rim.http2.peer import HOLD, OK, TALK, Frame, Peer, goaway_code, message
from tests.rim.kv_rig import ToyStore
from tests.rim.test_batch_commands import gets

KIB = 1024


def sizes(frames: list[Frame]) -> list[tuple[int, int]]:
    """Stream and size of every DATA frame."""
    return [(frame.stream, len(frame.body)) for frame in frames if frame.kind == f.DATA]


def window_updates(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(frame.stream, int.from_bytes(frame.body)) for frame in frames if frame.kind == f.WINDOW_UPDATE]


def asked(peer: Peer, *streams: int) -> None:
    peer.give(b"".join(peer.call(stream, b"x", HOLD) for stream in streams))


def test_an_answer_waits_for_the_streams_window_and_its_trailers_with_it() -> None:
    peer = Peer()
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 10}))
    asked(peer, 1)
    peer.held[0].answer(b"0123456789")
    frames = peer.read()
    assert sizes(frames) == [(1, 10)]
    assert peer.connection.unsent_bytes == 5
    frames += peer.give(f.window_update(1, 3))
    assert peer.outcome(frames, 1)[1] is None
    frames += peer.give(f.window_update(1, 3))
    assert sizes(frames) == [(1, 10), (1, 3), (1, 2)]
    assert peer.outcome(frames, 1) == (message(b"0123456789"), OK, "")
    assert peer.connection.unsent_bytes == 0


def test_the_connections_window_is_shared_in_turns_and_small_answers_keep_behind() -> None:
    peer = Peer()
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 1 << 20}))
    asked(peer, 1, 3, 5)
    peer.held[0].answer(bytes(60_000))
    peer.held[1].answer(bytes(60_000))
    peer.held[2].answer(b"small")
    frames = peer.read()
    assert sum(size for _, size in sizes(frames)) == f.DEFAULT_WINDOW_BYTES
    frames += peer.give(f.window_update(0, 100_000))
    assert [peer.outcome(frames, stream)[1] for stream in (1, 3, 5)] == [OK, OK, OK]
    turns = [stream for stream, _ in sizes(frames)]
    assert turns.index(5) < len(turns) - 1, "the small answer need not wait for the large ones' ends"


def test_a_window_that_shrinks_below_nothing_is_waited_for() -> None:
    peer = Peer()
    asked(peer, 1)
    peer.held[0].send(bytes(1000))
    peer.read()
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 100}))
    assert peer.connection.streams[1].send_window == 100 - 1005
    peer.held[0].send(b"more")
    assert peer.read() == []
    assert sizes(peer.give(f.window_update(1, 905))) == []
    assert sizes(peer.give(f.window_update(1, 1))) == [(1, 1)]


def test_frames_are_no_longer_than_the_client_takes() -> None:
    peer = Peer()
    asked(peer, 1)
    peer.held[0].answer(bytes(40_000))
    assert sizes(peer.read()) == [(1, 16_384), (1, 16_384), (1, 40_005 - 2 * 16_384)]
    peer.give(f.settings({f.MAX_FRAME_SIZE: 60_000, f.INITIAL_WINDOW_SIZE: 1 << 20}) + f.window_update(0, 1 << 20))
    asked(peer, 3)
    peer.held[1].answer(bytes(40_000))
    assert sizes(peer.read()) == [(3, 40_005)]


def test_an_error_does_not_wait_behind_what_is_unsent() -> None:
    peer = Peer()
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 0}))
    asked(peer, 1)
    peer.held[0].answer(b"x")
    peer.connection.fail(peer.held[0], Status.DEADLINE_EXCEEDED, "late")
    assert peer.outcome(peer.read(), 1)[1] == Status.DEADLINE_EXCEEDED
    assert peer.connection.unsent_bytes == 0


def test_a_choked_socket_makes_no_data_and_loses_none() -> None:
    peer = Peer()
    peer.connection.choke(True)
    frames = peer.give(peer.call(1, b"x"))
    assert sizes(frames) == []
    peer.connection.choke(False)
    frames += peer.read()
    assert peer.outcome(frames, 1) == (message(b"x"), OK, "")


def test_a_reset_frees_what_waits() -> None:
    peer = Peer()
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 0}))
    asked(peer, 1, 3)
    peer.held[0].answer(b"x")
    peer.held[1].answer(b"yy")
    peer.give(f.reset(1, E.CANCEL))
    assert peer.connection.unsent_bytes == 7
    frames = peer.read() + peer.give(f.window_update(3, 100))
    assert peer.outcome(frames, 3)[1] == OK


# ---------------------------------------------------------------- what the client may send


def test_windows_are_given_back_in_time() -> None:
    peer = Peer(connection_window_bytes=200_000, stream_window_bytes=100_000)
    frames = peer.give(peer.open(1, TALK))
    for _ in range(100):
        frames += peer.give(f.frame(f.DATA, 0, 1, message(bytes(9_995))) + f.window_update(0, 10_000))
    given = window_updates(frames)
    assert sum(size for stream, size in given if stream == 1) >= 1_000_000 - 50_000
    assert sum(size for stream, size in given if stream == 0) >= 1_000_000 - 100_000
    assert goaway_code(frames) is None


def test_more_than_the_connections_window_ends_it() -> None:
    peer = Peer(connection_window_bytes=70_000)
    peer.connection.withhold(True)
    frames = peer.give(peer.open(1, TALK) + f.frame(f.DATA, 0, 1, bytes(40_000)) * 2)
    assert goaway_code(frames) == E.FLOW_CONTROL_ERROR


def test_a_message_larger_than_every_window_arrives() -> None:
    peer = Peer(connection_window_bytes=70_000, stream_window_bytes=66_000)
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 1 << 20}) + f.window_update(0, 1 << 20))
    data = message(bytes(500_000))
    frames = peer.give(peer.open(1))
    for at in range(0, len(data), 10_000):
        frames += peer.give(f.frame(f.DATA, 0, 1, data[at : at + 10_000]))
    frames += peer.give(f.frame(f.DATA, f.END_STREAM, 1, b""))
    assert peer.outcome(frames, 1) == (data, OK, "")


def test_data_of_calls_that_are_over_is_given_back() -> None:
    peer = Peer(connection_window_bytes=70_000)
    frames = peer.give(peer.open(1, b"/s/Refused"))
    for _ in range(20):
        frames += peer.give(f.frame(f.DATA, 0, 1, bytes(10_000)))
    assert sum(size for _, size in window_updates(frames)) >= 200_000 - 35_000


def test_calls_are_held_while_too_many_answers_are_unread() -> None:
    peer = Peer(unsent_bytes_max=1000, connection_window_bytes=70_000)
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 0}))
    peer.give(peer.call(1, bytes(2000)))
    frames = [frame for n in range(10) for frame in peer.give(peer.call(3 + 2 * n, bytes(5000)))]
    assert len(peer.log) == 1
    assert window_updates(frames) == []
    peer.give(f.reset(21, E.CANCEL))
    frames = peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 1 << 20}) + f.window_update(0, 1 << 20))
    assert [entry[1] for entry in peer.log] == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert len(window_updates(frames)) == 1


# ---------------------------------------------------------------- BatchCommands


class BatchPeer(Peer):
    """A client of a BatchCommands stream in front of a toy store."""

    def __init__(self, limits: dict[str, int], **settings: Any) -> None:
        super().__init__(**limits)
        self.store = ToyStore()
        front = Front(self.store.submit, ClusterId(5), StoreId(2), KvServiceSettings(**settings), lambda: 1)
        self.calls: list[BatchCalls] = []

        def serve(stream: Any) -> BatchCalls:
            self.calls.append(BatchCalls(front, stream))
            return self.calls[-1]

        self.connection._heads._routes[TALK] = Route("stream", serve)  # type: ignore[index]
        self.give(self.open(1, TALK))

    def frames_of_gets(self, count: int) -> bytes:
        body = message(gets(10).SerializeToString())
        return f.frame(f.DATA, 0, 1, body) * count


def test_a_client_that_reads_no_answers_is_given_no_window() -> None:
    peer = BatchPeer({"stream_window_bytes": 66_000}, stream_unwritten_bytes_max=50_000)
    peer.store.data[0][b"k"] = b"v" * 1000
    peer.give(f.settings({f.INITIAL_WINDOW_SIZE: 0}))
    frames = peer.give(peer.frames_of_gets(50))
    taken = len(peer.store.inputs)
    assert 4 <= taken <= 6
    assert peer.connection.unsent_bytes < 50_000 + 11_000
    assert window_updates(frames) == []
    frames = peer.give(f.window_update(0, 1 << 20) + f.window_update(1, 1 << 20))
    assert len(peer.store.inputs) == 50
    assert not peer.calls[0]._stream.is_paused


@pytest.mark.parametrize("settings", [{"stream_requests_max": 35}, {"stream_bytes_max": 1000}])
def test_a_store_that_does_not_answer_stops_the_taking(settings: dict[str, int]) -> None:
    peer = BatchPeer({}, **settings)
    peer.store.holds = True
    peer.give(peer.frames_of_gets(20))
    taken = len(peer.store.inputs)
    assert taken < 8
    while len(peer.store.inputs) < 20:
        before = len(peer.store.inputs)
        peer.store.release()
        assert len(peer.store.inputs) > before
    peer.store.release()
    frames = peer.read() + peer.give(f.frame(f.DATA, f.END_STREAM, 1))
    assert peer.outcome(frames, 1)[1] == OK


def test_the_end_waits_for_the_answers() -> None:
    peer = BatchPeer({})
    peer.store.holds = True
    assert peer.give(peer.frames_of_gets(2) + f.frame(f.DATA, f.END_STREAM, 1)) == []
    peer.store.release()
    assert peer.outcome(peer.read(), 1)[1] == OK
    assert peer.connection.streams == {}


def test_a_stream_that_dies_paused_gives_its_window_back() -> None:
    peer = BatchPeer({"connection_window_bytes": 70_000}, stream_requests_max=5)
    peer.store.holds = True
    for _ in range(50):
        peer.give(peer.frames_of_gets(1))
    assert peer.calls[0]._stream.is_paused
    held = 70_000 - peer.connection._receive_window - peer.connection._uncredited_bytes
    assert held > 0
    peer.give(f.reset(1, E.CANCEL))
    assert peer.connection._receive_window + peer.connection._uncredited_bytes == 70_000
