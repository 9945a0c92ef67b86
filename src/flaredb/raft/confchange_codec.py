"""Configuration changes as the bytes of a log entry: compact, deterministic, decoder beside encoder.

ConfChange is <type> <node id> <id> <context>, ConfChangeV2 is <transition> <count> (<type> <node id>)* <context>;
numbers are unsigned LEB128, the context is the rest. Empty bytes are the default value, so an empty entry of type
EntryConfChangeV2 leaves a joint configuration.
"""

from __future__ import annotations

from .errors import CodecError
from .types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    EntryType,
)


def encode_conf_change(cc: ConfChange) -> bytes:
    """The bytes of a ConfChange; decode_conf_change gives it back."""
    if cc == ConfChange():
        return b""
    return _varint(cc.change_type) + _varint(cc.node_id) + _varint(cc.id) + cc.context


def decode_conf_change(data: bytes) -> ConfChange:
    """The ConfChange of these bytes.

    Errors: CodecError when the bytes end early or name an unknown type.
    """
    if not data:
        return ConfChange()
    kind, at = _read_varint(data, 0)
    node_id, at = _read_varint(data, at)
    ident, at = _read_varint(data, at)
    return ConfChange(_change_type(kind), node_id, data[at:], ident)


def encode_conf_change_v2(cc: ConfChangeV2) -> bytes:
    """The bytes of a ConfChangeV2; decode_conf_change_v2 gives it back."""
    if cc == ConfChangeV2():
        return b""
    head = _varint(cc.transition) + _varint(len(cc.changes))
    steps = b"".join(_varint(c.change_type) + _varint(c.node_id) for c in cc.changes)
    return head + steps + cc.context


def decode_conf_change_v2(data: bytes) -> ConfChangeV2:
    """The ConfChangeV2 of these bytes.

    Errors: CodecError when the bytes end early or name an unknown type or transition.
    """
    if not data:
        return ConfChangeV2()
    transition, at = _read_varint(data, 0)
    count, at = _read_varint(data, at)
    changes = []
    for _ in range(count):
        kind, at = _read_varint(data, at)
        node_id, at = _read_varint(data, at)
        changes.append(ConfChangeSingle(_change_type(kind), node_id))
    try:
        how = ConfChangeTransition(transition)
    except ValueError as e:
        raise CodecError(f"unknown transition {transition}") from e
    return ConfChangeV2(how, changes, data[at:])


def encode(cc: ConfChange | ConfChangeV2) -> tuple[EntryType, bytes]:
    """The entry type and data that carry this change."""
    if isinstance(cc, ConfChange):
        return EntryType.EntryConfChange, encode_conf_change(cc)
    return EntryType.EntryConfChangeV2, encode_conf_change_v2(cc)


def decode_entry(entry: Entry) -> ConfChangeV2:
    """The change an entry of type EntryConfChange or EntryConfChangeV2 carries.

    Errors: CodecError when the data does not decode.
    """
    if entry.entry_type == EntryType.EntryConfChange:
        return decode_conf_change(entry.data).as_v2()
    return decode_conf_change_v2(entry.data)


def _change_type(number: int) -> ConfChangeType:
    try:
        return ConfChangeType(number)
    except ValueError as e:
        raise CodecError(f"unknown configuration change type {number}") from e


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise CodecError("configuration change ends early or holds a number above 64 bits")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
