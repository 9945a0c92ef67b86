"""Chunks of a snapshot: rows of one column family in key order, as MessagePack.

A snapshot is a sequence of chunks that holds every row of a region, column family by column family. Whoever carries or
stores chunks adds length and checksum; here they are only made and read.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from flaredb.model.commands import DATA_CFS
from flaredb.model.limits import MIB
from flaredb.wire.records import StateCorrupted

CHUNK_ROWS_BYTES = 256 * 1024
"""A chunk is ended once its keys and values reach this size."""

CHUNK_BYTES_MAX = 16 * MIB
"""No chunk is longer: one row of the largest key and value, on top of a chunk about to end, still fits."""

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(
    tuple[Annotated[int, msgspec.Meta(ge=0, lt=len(DATA_CFS))], list[tuple[bytes, bytes]]]
)

Rows = list[tuple[bytes, bytes]]


def encode_chunk(cf: int, rows: Rows) -> bytes:
    """Rows of the column family ``DATA_CFS[cf]``."""
    return _encode((cf, rows))


def decode_chunk(data: bytes | memoryview) -> tuple[int, Rows]:
    """What :func:`encode_chunk` was given. Errors: StateCorrupted."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise StateCorrupted(f"a snapshot chunk of {len(data)} bytes does not decode: {error}") from error
