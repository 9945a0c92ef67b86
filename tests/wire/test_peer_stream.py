"""Frames are found again however the network cut the stream."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.model.ids import ClusterId, StoreId
from flaredb.wire.frames import FrameError
from flaredb.wire.peer_stream import FrameReader, Hello, encode_frame

frames = st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=60)), max_size=6)


@given(frames, st.lists(st.integers(1, 40), max_size=20))
def test_any_chunking_gives_the_same_frames(sent: list[tuple[int, bytes]], chunk_lengths: list[int]) -> None:
    stream = b"".join(encode_frame(kind, body) for kind, body in sent)
    reader = FrameReader(100)
    got: list[tuple[int, bytes]] = []
    for length in [*chunk_lengths, len(stream)]:
        chunk, stream = stream[:length], stream[length:]
        got += [(kind, bytes(body)) for kind, body in reader.feed(chunk)]
    assert got == sent


@given(st.binary(max_size=200))
def test_garbage_gives_frames_or_a_frame_error(garbage: bytes) -> None:
    with suppress(FrameError):
        assert all(len(body) < 50 for _, body in FrameReader(50).feed(garbage))


def test_the_longest_frame_passes_and_one_byte_more_does_not() -> None:
    assert len(FrameReader(10).feed(encode_frame(4, b"x" * 9))) == 1
    with pytest.raises(FrameError, match="11 bytes where at most 10"):
        FrameReader(10).feed(encode_frame(4, b"x" * 10))


def test_hello_round_trip() -> None:
    hello = Hello(ClusterId(2**64 - 1), StoreId(1), StoreId(2**63))
    [(_, body)] = FrameReader().feed(hello.encode())
    assert Hello.decode(bytes(body)) == hello


@pytest.mark.parametrize(
    ("sentence", "hello", "text"),
    [
        ("right store", Hello(ClusterId(9), StoreId(1), StoreId(2)), None),
        ("newer protocol", Hello(ClusterId(9), StoreId(1), StoreId(2), 2), "speaks version 2"),
        ("other cluster", Hello(ClusterId(8), StoreId(1), StoreId(2)), "cluster 8, store 2 to cluster 9"),
        ("other store", Hello(ClusterId(9), StoreId(1), StoreId(3)), "address has changed hands"),
        ("own id", Hello(ClusterId(9), StoreId(2), StoreId(2)), "share one store id"),
    ],
)
def test_who_is_refused(sentence: str, hello: Hello, text: str | None) -> None:
    refusal = hello.refusal(ClusterId(9), StoreId(2))
    assert (refusal is None) if text is None else (refusal is not None and text in refusal)
