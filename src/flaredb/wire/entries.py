"""Log entry payloads, encoder beside decoder: MessagePack arrays whose first item names the kind.

    [WRITE, region_version, [operation, ...]]     operations as model/commands.py documents them
    [COMPACT_LOG, compact_index]                  entries up to compact_index may go

A payload of no bytes is a new leader's empty entry. The bytes are what followers store and replay, so a kind never
changes its meaning: a new form takes a new number.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flaredb.model.commands import Operation

WRITE = 1
COMPACT_LOG = 2

WRITE_OVERHEAD_BYTES_MAX = 32
"""What a payload adds to a single operation's own bytes, at most; entry limits allow for it."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class EntryCorrupted(Exception):
    """A log entry does not decode: the disk or another version wrote it; nothing may be applied after it."""


def encode_write(region_version: int, operations: list[Operation]) -> bytes:
    """Payload of the operations of one region in one step, checked against ``region_version`` again when applied."""
    return _encode((WRITE, region_version, operations))


def encode_compact_log(compact_index: int) -> bytes:
    """Payload that lets every replica drop its log up to ``compact_index``."""
    return _encode((COMPACT_LOG, compact_index))


def decode_entry(data: bytes) -> list[Any]:
    """The payload as a list whose first item is its kind. Errors: EntryCorrupted."""
    try:
        payload = _decode(data)
    except msgspec.DecodeError as error:
        raise EntryCorrupted(f"log entry of {len(data)} bytes does not decode: {error}") from error
    if not isinstance(payload, list) or not payload or payload[0] not in (WRITE, COMPACT_LOG):
        raise EntryCorrupted(f"log entry of {len(data)} bytes has an unknown kind; was it written by a newer version?")
    return payload
