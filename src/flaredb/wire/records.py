"""The form of every record on disk: one version byte, then MessagePack. Stores and PD share it."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

RECORD_VERSION: Final = b"\x01"
_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()


class StateCorrupted(Exception):
    """A record on disk does not decode; the process must not serve from it."""


def dump_record(record: object) -> bytes:
    """The record's bytes."""
    return RECORD_VERSION + _encoder.encode(record)


def load_record(data: bytes, kind: type[_T]) -> _T:
    """The record in ``data``. Errors: StateCorrupted."""
    if data[:1] != RECORD_VERSION:
        raise StateCorrupted(f"{kind.__name__} record has version {data[:1]!r}, this build reads {RECORD_VERSION!r}")
    try:
        return msgspec.msgpack.decode(data[1:], type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateCorrupted(f"{kind.__name__} record does not decode: {error}") from error
