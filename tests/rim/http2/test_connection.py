"""The pure connection: calls, headers, messages, ends, what a client may not send."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flaredb.server.call import Status
from flaredb.server.http2 import frames as f
from flaredb.server.http2.frames import ErrorCode as E
from tests.rim.http2.peer import ECHO, HOLD, OK, REFUSED, TALK, Peer, goaway_code, message, resets

KIB = 1024


def test_the_server_greets_with_its_settings_and_a_window() -> None:
    peer = Peer(greet=False)
    assert [(frame.kind, frame.stream) for frame in peer.first] == [(f.SETTINGS, 0), (f.WINDOW_UPDATE, 0)]
    body = peer.first[0].body
    told = {int.from_bytes(body[at : at + 2]): int.from_bytes(body[at + 2 : at + 6]) for at in range(0, len(body), 6)}
    assert told[f.INITIAL_WINDOW_SIZE] >= 1 << 20
    assert told[f.MAX_CONCURRENT_STREAMS] == peer.limits.streams_max


def test_a_unary_call_is_headers_message_trailers() -> None:
    peer = Peer()
    frames = peer.give(peer.call(1, b"hello"))
    assert [(frame.kind, frame.flags) for frame in frames] == [
        (f.HEADERS, f.END_HEADERS),
        (f.DATA, 0),
        (f.HEADERS, f.END_HEADERS | f.END_STREAM),
    ]
    assert peer.fields(frames[0]) == {":status": "200", "content-type": "application/grpc"}
    assert peer.outcome(frames, 1) == (message(b"hello"), OK, "")
    assert not peer.connection.streams


def test_calls_that_come_together_are_answered_together() -> None:
    peer = Peer()
    frames = peer.give(b"".join(peer.call(1 + 2 * n, b"%d" % n) for n in range(50)))
    assert [peer.outcome(frames, 1 + 2 * n)[0] for n in range(50)] == [message(b"%d" % n) for n in range(50)]


def test_headers_that_change_the_table_are_never_taken_from_the_cache() -> None:
    peer = Peer()
    for number in range(40):
        path = ECHO if number % 3 else HOLD
        extra = {"x_trace": f"{number // 2}"} if number % 5 == 0 else {}
        peer.give(peer.call(1 + 2 * number, b"x", path, **extra))
    assert [entry[0] for entry in peer.log] == ["echo" if number % 3 else "hold" for number in range(40)]


PIECES: list[tuple[str, Callable[[bytes], list[bytes]]]] = [
    ("in one frame", lambda data: [data]),
    ("byte by byte", lambda data: [data[at : at + 1] for at in range(len(data))]),
    ("with the head alone", lambda data: [data[:5], data[5:]]),
    ("cut within the head", lambda data: [data[:2], data[2:9], data[9:]]),
    ("ended by an empty frame", lambda data: [data, b""]),
]


@pytest.mark.parametrize("cut", [case[1] for case in PIECES], ids=[case[0] for case in PIECES])
def test_a_message_may_come_in_pieces(cut: Callable[[bytes], list[bytes]]) -> None:
    peer = Peer()
    pieces = cut(message(b"in pieces"))
    frames = peer.give(peer.open(1))
    for piece in pieces[:-1]:
        frames += peer.give(f.frame(f.DATA, 0, 1, piece))
    frames += peer.give(f.frame(f.DATA, f.END_STREAM, 1, pieces[-1]))
    assert peer.outcome(frames, 1) == (message(b"in pieces"), OK, "")


def test_padding_and_priority_are_taken_off() -> None:
    peer = Peer()
    block = peer.block()
    body = bytes((3,)) + bytes(5) + block + bytes(3)
    flags = f.END_HEADERS | f.PADDED | f.HAS_PRIORITY
    data = bytes((200,)) + message(b"x") + bytes(200)
    frames = peer.give(f.frame(f.HEADERS, flags, 1, body) + f.frame(f.DATA, f.PADDED | f.END_STREAM, 1, data))
    assert peer.outcome(frames, 1) == (message(b"x"), OK, "")


def test_a_header_block_may_come_in_three_frames() -> None:
    peer = Peer()
    block = peer.block()
    given = f.frame(f.HEADERS, 0, 1, block[:3]) + f.frame(f.CONTINUATION, 0, 1, block[3:9])
    given += f.frame(f.CONTINUATION, f.END_HEADERS, 1, block[9:]) + f.frame(f.DATA, f.END_STREAM, 1, message(b"x"))
    assert peer.outcome(peer.give(given), 1) == (message(b"x"), OK, "")


def test_trailers_of_a_client_end_its_side() -> None:
    peer = Peer()
    peer.give(peer.open(1) + f.frame(f.DATA, 0, 1, message(b"x")))
    trailer = f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, peer.encoder.encode([("x-end", "1")]))
    assert peer.outcome(peer.give(trailer), 1) == (message(b"x"), OK, "")


def test_a_stream_of_messages_and_its_half_close() -> None:
    peer = Peer()
    assert peer.give(peer.open(1, TALK)) == []
    frames = peer.give(f.frame(f.DATA, 0, 1, message(b"a") + message(b"b") + message(b"c")[:4]))
    assert peer.outcome(frames, 1) == (message(b"a") + message(b"b"), None, "")
    frames = peer.give(f.frame(f.DATA, f.END_STREAM, 1, message(b"c")[4:]))
    assert peer.outcome(frames, 1) == (message(b"c"), OK, "")
    assert peer.log == [("open", 1), ("message", 1, b"a"), ("message", 1, b"b"), ("message", 1, b"c"), ("end", 1)]


def test_a_stream_without_messages_ends_in_one_frame() -> None:
    peer = Peer()
    frames = peer.give(peer.open(1, TALK, f.END_STREAM))
    assert len(frames) == 1
    assert peer.outcome(frames, 1) == (b"", OK, "")


REFUSALS = [
    ("a method that nobody knows", {"path": "/s/Nope"}, Status.UNIMPLEMENTED, "Method not found!"),
    ("a method that is not built", {"path": REFUSED.decode()}, Status.UNIMPLEMENTED, "Refused is not built"),
    ("a compression", {"grpc_encoding": "gzip"}, Status.UNIMPLEMENTED, "compression 'gzip' is not supported"),
    ("a strange timeout", {"grpc_timeout": "soon"}, Status.INTERNAL, "is not understood"),
    ("a GET", {"method": "GET"}, -1, "405"),
    ("a browser's content", {"content_type": "text/html"}, -1, "415"),
    ("a content like gRPC's", {"content_type": "application/grpc2"}, -1, "415"),
]


@pytest.mark.parametrize(("changes", "status", "text"), [c[1:] for c in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_calls_that_are_refused_by_their_headers(changes: dict[str, str], status: int, text: str) -> None:
    peer = Peer()
    frames = peer.give(f.frame(f.HEADERS, f.END_HEADERS, 1, peer.block(**changes)))
    data, found, told = peer.outcome(frames, 1)
    assert (data, found) == (b"", status)
    assert text in told
    assert resets(frames) == {1: E.NO_ERROR}
    assert peer.outcome(peer.give(peer.call(3, b"x")), 3)[1] == OK


def test_a_refused_compression_names_what_is_taken() -> None:
    peer = Peer()
    frames = peer.give(peer.open(1, grpc_encoding="gzip"))
    assert peer.fields(frames[0])["grpc-accept-encoding"] == "identity"


@pytest.mark.parametrize("subtype", ["application/grpc+proto", "application/grpc;charset=utf-8"])
def test_subtypes_of_grpc_are_taken(subtype: str) -> None:
    peer = Peer()
    assert peer.outcome(peer.give(peer.call(1, b"x", content_type=subtype)), 1)[1] == OK


def test_a_status_text_is_percent_encoded() -> None:
    peer = Peer()
    peer.give(peer.call(1, b"x", HOLD))
    peer.held[0].fail(Status.UNAVAILABLE, "50 % of ü\n")
    frames = peer.read()
    assert peer.outcome(frames, 1) == (b"", Status.UNAVAILABLE, "50 %25 of %C3%BC%0A")


BAD_MESSAGES = [
    ("no message", b"", Status.UNIMPLEMENTED),
    ("two messages", message(b"a") + message(b"b"), Status.UNIMPLEMENTED),
    ("a message that stops short", message(b"abc")[:-1], Status.INTERNAL),
    ("a compressed message", message(b"abc", compressed=1), Status.INTERNAL),
    ("a message beyond the limit", message(b"abc" * 400), Status.RESOURCE_EXHAUSTED),
]


@pytest.mark.parametrize(("data", "status"), [c[1:] for c in BAD_MESSAGES], ids=[c[0] for c in BAD_MESSAGES])
def test_unary_calls_with_bad_messages(data: bytes, status: Status) -> None:
    peer = Peer(message_bytes_max=KIB)
    frames = peer.give(peer.open(1))
    for at in range(0, len(data), 100):
        frames += peer.give(f.frame(f.DATA, 0, 1, data[at : at + 100]))
    frames += peer.give(f.frame(f.DATA, f.END_STREAM, 1, b""))
    assert peer.outcome(frames, 1)[1] == status
    assert not peer.log
    assert (peer.connection._part_bytes, peer.connection.streams) == (0, {})
    assert peer.outcome(peer.give(peer.call(3, b"x")), 3)[1] == OK


def test_many_half_messages_are_bounded() -> None:
    peer = Peer(message_bytes_max=KIB)
    frames = []
    for stream in (1, 3, 5):
        frames += peer.give(peer.open(stream) + f.frame(f.DATA, 0, stream, message(bytes(1000))[:500]))
    assert [peer.outcome(frames, stream)[1] for stream in (1, 3, 5)] == [None, None, Status.RESOURCE_EXHAUSTED]


# ---------------------------------------------------------------- time, ends


def test_calls_end_at_their_deadline() -> None:
    peer = Peer()
    peer.give(peer.call(1, b"x", HOLD, grpc_timeout="50m") + peer.call(3, b"x", HOLD, grpc_timeout="2S"))
    assert peer.connection.earliest_s == pytest.approx(100.05)
    peer.connection.expire(100.049)
    assert peer.read() == []
    peer.connection.expire(100.06)
    assert peer.outcome(peer.read(), 1) == (b"", Status.DEADLINE_EXCEEDED, "Deadline Exceeded")
    assert peer.connection.earliest_s == pytest.approx(102.0)
    peer.held[0].answer(b"late")
    peer.held[1].answer(b"in time")
    assert peer.outcome(peer.read(), 3)[1] == OK


def test_a_reset_ends_a_call_and_its_answer_is_dropped() -> None:
    peer = Peer()
    peer.give(peer.call(1, b"x", HOLD) + peer.open(3, TALK))
    assert peer.give(f.reset(1, E.CANCEL) + f.reset(3, E.CANCEL)) == []
    assert peer.log[-1] == ("cancel", 3)
    assert peer.held[0].is_over
    peer.held[0].answer(b"late")
    assert peer.read() == []
    late = f.frame(f.DATA, 0, 3, message(b"x")) + f.window_update(3, 5) + f.reset(3, E.CANCEL)
    assert peer.give(late) == []


def test_a_ping_is_answered_with_its_content() -> None:
    peer = Peer()
    (answer,) = peer.give(f.frame(f.PING, 0, 0, b"12345678"))
    assert (answer.kind, answer.flags, answer.body) == (f.PING, f.ACK, b"12345678")
    assert peer.give(f.frame(f.PING, f.ACK, 0, b"12345678")) == []


def test_leaving_finishes_what_is_under_way_and_takes_no_more() -> None:
    peer = Peer()
    peer.give(peer.call(1, b"x", HOLD))
    peer.connection.leave()
    (frame,) = peer.read()
    assert (frame.kind, int.from_bytes(frame.body[:4]), goaway_code([frame])) == (f.GOAWAY, 1, E.NO_ERROR)
    assert peer.give(peer.call(3, b"too late")) == []
    peer.held[0].answer(b"y")
    assert peer.outcome(peer.read(), 1)[1] == OK
    assert len(peer.log) == 1


def test_a_lost_connection_cancels_its_calls() -> None:
    peer = Peer()
    peer.give(peer.call(1, b"x", HOLD) + peer.open(3, TALK))
    peer.connection.lose()
    peer.dispatcher.dispatch()
    assert peer.log[-1] == ("cancel", 3)
    peer.held[0].answer(b"late")
    assert peer.give(peer.call(5, b"x")) == []
    assert len(peer.log) == 3


# ---------------------------------------------------------------- what breaks a stream, what a connection

Script = Callable[[Peer], bytes]


def plain(kind: int, flags: int, stream: int, body: bytes = b"") -> Script:
    return lambda peer: f.frame(kind, flags, stream, body)


STREAM_FAULTS: list[tuple[str, Script, int]] = [
    ("no path", lambda p: f.frame(f.HEADERS, 5, 1, p.block(path=None)), E.PROTOCOL_ERROR),
    ("no method", lambda p: f.frame(f.HEADERS, 5, 1, p.block(method=None)), E.PROTOCOL_ERROR),
    ("a header of one connection", lambda p: p.open(1, connection="close"), E.PROTOCOL_ERROR),
    ("other transfers", lambda p: p.open(1, te="gzip"), E.PROTOCOL_ERROR),
    ("an upper case name", lambda p: f.frame(f.HEADERS, 5, 1, f.literal(b"X-Y", b"1")), E.PROTOCOL_ERROR),
    ("data after the end", lambda p: p.call(1, b"x", HOLD) + f.frame(f.DATA, 0, 1, b"y"), E.STREAM_CLOSED),
    ("data after everything", lambda p: p.call(1, b"x") + f.frame(f.DATA, 0, 1, b"y"), E.STREAM_CLOSED),
    ("a window update of nothing", lambda p: p.open(1) + f.window_update(1, 0), E.PROTOCOL_ERROR),
    ("a window too large", lambda p: p.open(1) + f.window_update(1, 2**31 - 1), E.FLOW_CONTROL_ERROR),
    (
        "more than the stream's window",
        lambda p: p.open(1) + f.frame(f.DATA, 0, 1, bytes(17 * KIB)),
        E.FLOW_CONTROL_ERROR,
    ),
]


@pytest.mark.parametrize(("script", "code"), [c[1:] for c in STREAM_FAULTS], ids=[c[0] for c in STREAM_FAULTS])
def test_faults_of_one_stream(script: Script, code: int) -> None:
    peer = Peer(stream_window_bytes=16 * KIB)
    frames = peer.give(script(peer))
    assert resets(frames) == {1: code}
    assert goaway_code(frames) is None
    assert peer.outcome(peer.give(peer.call(3, b"x")), 3)[1] == OK


CONNECTION_FAULTS: list[tuple[str, Script, int]] = [
    ("a frame that is too long", plain(f.DATA, 0, 1, bytes(65_537)), E.FRAME_SIZE_ERROR),
    ("data on no stream", plain(f.DATA, 0, 0, b"x"), E.PROTOCOL_ERROR),
    ("data on a stream to come", plain(f.DATA, 0, 7, b"x"), E.PROTOCOL_ERROR),
    ("padding longer than the data", lambda p: p.open(1) + f.frame(f.DATA, f.PADDED, 1, b"\x05abcd"), E.PROTOCOL_ERROR),
    ("headers on a server's stream", lambda p: p.open(2), E.PROTOCOL_ERROR),
    ("headers on no stream", lambda p: p.open(0), E.PROTOCOL_ERROR),
    ("a stream twice", lambda p: p.open(1, TALK) + p.open(1), E.STREAM_CLOSED),
    ("streams out of order", lambda p: p.call(5, b"x") + p.call(3, b"x"), E.STREAM_CLOSED),
    ("headers shorter than their priority", plain(f.HEADERS, 0x24, 1, b"abc"), E.FRAME_SIZE_ERROR),
    ("headers that are no block", plain(f.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff"), E.COMPRESSION_ERROR),
    ("an index beyond the table", plain(f.HEADERS, 5, 1, b"\xfe"), E.COMPRESSION_ERROR),
    ("a block that is interrupted", lambda p: f.frame(f.HEADERS, 0, 1, b"") + f.reset(1, E.CANCEL), E.PROTOCOL_ERROR),
    ("a block continued elsewhere", lambda p: f.frame(f.HEADERS, 0, 1) + f.frame(9, 4, 3), E.PROTOCOL_ERROR),
    ("a continuation of nothing", plain(f.CONTINUATION, 4, 1), E.PROTOCOL_ERROR),
    ("endless headers", lambda p: f.frame(1, 0, 1) + f.frame(9, 0, 1, bytes(9000)) * 2, E.ENHANCE_YOUR_CALM),
    ("many continuations", lambda p: f.frame(1, 0, 1) + f.frame(9, 0, 1) * 100, E.ENHANCE_YOUR_CALM),
    ("priority of the wrong size", plain(f.PRIORITY, 0, 1, b"abc"), E.FRAME_SIZE_ERROR),
    ("priority of no stream", plain(f.PRIORITY, 0, 0, b"abcde"), E.PROTOCOL_ERROR),
    ("a reset of the wrong size", plain(f.RST_STREAM, 0, 1, b"abc"), E.FRAME_SIZE_ERROR),
    ("a reset of no stream", plain(f.RST_STREAM, 0, 0, b"abcd"), E.PROTOCOL_ERROR),
    ("a reset of a stream to come", plain(f.RST_STREAM, 0, 9, b"abcd"), E.PROTOCOL_ERROR),
    ("settings on a stream", plain(f.SETTINGS, 0, 1), E.PROTOCOL_ERROR),
    ("settings of the wrong size", plain(f.SETTINGS, 0, 0, b"abc"), E.FRAME_SIZE_ERROR),
    ("settings acknowledged with content", plain(f.SETTINGS, f.ACK, 0, bytes(6)), E.FRAME_SIZE_ERROR),
    ("push neither on nor off", lambda p: f.settings({f.ENABLE_PUSH: 2}), E.PROTOCOL_ERROR),
    ("a window beyond 2^31", lambda p: f.settings({f.INITIAL_WINDOW_SIZE: 2**31}), E.FLOW_CONTROL_ERROR),
    ("frames that are too short", lambda p: f.settings({f.MAX_FRAME_SIZE: 100}), E.PROTOCOL_ERROR),
    ("too many settings", lambda p: f.settings(dict.fromkeys(range(100, 200), 1)), E.ENHANCE_YOUR_CALM),
    ("a promise", plain(f.PUSH_PROMISE, 4, 1, bytes(4)), E.PROTOCOL_ERROR),
    ("a ping of the wrong size", plain(f.PING, 0, 0, b"1"), E.FRAME_SIZE_ERROR),
    ("a ping on a stream", plain(f.PING, 0, 1, bytes(8)), E.PROTOCOL_ERROR),
    ("a farewell on a stream", plain(f.GOAWAY, 0, 1, bytes(8)), E.PROTOCOL_ERROR),
    ("a short farewell", plain(f.GOAWAY, 0, 0, bytes(7)), E.FRAME_SIZE_ERROR),
    ("a window update of the wrong size", plain(f.WINDOW_UPDATE, 0, 0, bytes(3)), E.FRAME_SIZE_ERROR),
    ("a window update of nothing", lambda p: f.window_update(0, 0), E.PROTOCOL_ERROR),
    ("a window too large", lambda p: f.window_update(0, 2**31 - 1), E.FLOW_CONTROL_ERROR),
    ("a window update to come", lambda p: f.window_update(5, 1), E.PROTOCOL_ERROR),
    ("a flood of pings", lambda p: f.frame(f.PING, 0, 0, bytes(8)) * 1001, E.ENHANCE_YOUR_CALM),
    ("a flood of settings", lambda p: f.settings({}) * 1001, E.ENHANCE_YOUR_CALM),
    ("a flood of empty data", lambda p: p.open(1) + f.frame(f.DATA, 0, 1) * 1001, E.ENHANCE_YOUR_CALM),
    (
        "calls begun and cancelled",
        lambda p: b"".join(p.open(1 + 2 * n) + f.reset(1 + 2 * n, E.CANCEL) for n in range(16_385)),
        E.ENHANCE_YOUR_CALM,
    ),
]


@pytest.mark.parametrize(("script", "code"), [c[1:] for c in CONNECTION_FAULTS], ids=[c[0] for c in CONNECTION_FAULTS])
def test_faults_of_the_connection(script: Script, code: int) -> None:
    peer = Peer()
    frames = peer.give(script(peer))
    assert goaway_code(frames) == code
    assert peer.connection.is_closed
    assert peer.give(peer.call(31, b"x")) == []


GREETINGS = [
    ("another protocol", b"GET / HTTP/1.1\r\n\r\n"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01"),
    ("no settings", f.PREFACE + f.frame(f.PING, 0, 0, bytes(8))),
    ("settings that answer nothing", f.PREFACE + f.SETTINGS_ACK),
]


@pytest.mark.parametrize("data", [case[1] for case in GREETINGS], ids=[case[0] for case in GREETINGS])
def test_strangers_are_sent_away(data: bytes) -> None:
    peer = Peer(greet=False)
    assert goaway_code(peer.give(data)) == E.PROTOCOL_ERROR


def test_a_call_that_is_over_cannot_begin_again() -> None:
    peer = Peer()
    peer.give(peer.call(1, b"x"))
    assert goaway_code(peer.give(peer.open(1, flags=f.END_STREAM))) == E.STREAM_CLOSED


def test_what_a_client_sends_before_it_knows_that_its_call_is_over_is_ignored() -> None:
    peer = Peer()
    frames = peer.give(peer.open(1, REFUSED) + peer.open(3, TALK) + f.frame(f.DATA, 0, 3, message(b"x", compressed=1)))
    assert [peer.outcome(frames, stream)[1] for stream in (1, 3)] == [Status.UNIMPLEMENTED, Status.INTERNAL]
    late = f.frame(f.DATA, 0, 1, message(b"y")) + f.frame(f.DATA, f.END_STREAM, 1, b"")
    late += f.frame(f.DATA, 0, 3, message(b"y"))
    late += f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 3, peer.encoder.encode([("x-end", "1")]))
    assert peer.give(late) == []


def test_pings_between_calls_are_no_flood() -> None:
    peer = Peer()
    for number in range(5_000):
        peer.give(f.frame(f.PING, 0, 0, bytes(8)) + peer.call(1 + 2 * number, b"x"))
    assert not peer.connection.is_closed


def test_frames_of_unknown_kinds_and_unknown_settings_are_ignored() -> None:
    peer = Peer()
    frames = peer.give(f.frame(0xBE, 0xFF, 77, b"x") + f.settings({0x9999: 1}) + peer.call(1, b"x"))
    assert peer.outcome(frames, 1)[1] == OK


def test_streams_beyond_the_limit_are_refused_and_may_be_repeated() -> None:
    peer = Peer(streams_max=2)
    frames = peer.give(b"".join(peer.call(stream, b"x", HOLD) for stream in (1, 3, 5)))
    assert resets(frames) == {5: E.REFUSED_STREAM}
    peer.held[0].answer(b"y")
    assert peer.give(peer.call(7, b"x", HOLD))[0].kind == f.HEADERS
    assert [stream.id for stream in peer.held] == [1, 3, 7]
