"""Every key of the database, encoder beside decoder, and how keys are shown to people.

Column families ``default``, ``lock`` and ``write`` hold users' keys as they are. ``raft`` and ``meta`` hold keys that
start with the region id, so that one region's log, hard state and metadata can never be mistaken for another's:

    meta   01                                   store ident
           02                                   bootstrap marker: this store has been given its first regions
           03 region_id:u64be                   region, as its replica here last applied it
           04 region_id:u64be                   tombstone: this store had a replica that was removed
           05 region_id:u64be                   snapshot being installed: the region's rows are not whole
    raft   region_id:u64be 01                   hard state
           region_id:u64be 02                   apply state
           region_id:u64be 03 index:u64be       log entry
"""

from __future__ import annotations

import binascii
import re
import struct

from flaredb.model.ids import RegionId

STORE_IDENT_KEY = b"\x01"
BOOTSTRAP_MARKER_KEY = b"\x02"
_REGION_STATE_PREFIX = b"\x03"
REGION_STATES_START = _REGION_STATE_PREFIX
REGION_STATES_END = b"\x04"
_TOMBSTONE_PREFIX = b"\x04"
_INSTALL_PREFIX = b"\x05"
INSTALLS_START = _INSTALL_PREFIX
INSTALLS_END = b"\x06"

_HARD_STATE_SUFFIX = b"\x01"
_APPLY_STATE_SUFFIX = b"\x02"
_LOG_SUFFIX = b"\x03"

_pack_region = struct.Struct(">Q").pack
_pack_log = struct.Struct(">QcQ").pack
_unpack_log = struct.Struct(">QcQ").unpack


def region_state_key(region_id: RegionId) -> bytes:
    """Key in ``meta`` of a region's local state."""
    return _REGION_STATE_PREFIX + _pack_region(region_id)


def tombstone_key(region_id: RegionId) -> bytes:
    """Key in ``meta`` of what this store remembers of a replica that was removed."""
    return _TOMBSTONE_PREFIX + _pack_region(region_id)


def install_key(region_id: RegionId) -> bytes:
    """Key in ``meta`` of the snapshot that is being installed; absent once the region's rows are whole."""
    return _INSTALL_PREFIX + _pack_region(region_id)


def raft_range(region_id: RegionId) -> tuple[bytes, bytes]:
    """[start, end) in ``raft`` of everything kept for a region: states and log."""
    return _pack_region(region_id), _pack_region(region_id + 1)


def decode_region_state_key(key: bytes) -> RegionId:
    """The region id of a key made by :func:`region_state_key`; ValueError otherwise."""
    if len(key) != 9 or key[:1] != _REGION_STATE_PREFIX:
        raise ValueError(f"not a region state key: {format_key(key)}")
    return RegionId(int.from_bytes(key[1:], "big"))


def hard_state_key(region_id: RegionId) -> bytes:
    """Key in ``raft`` of a region's term, vote and commit."""
    return _pack_region(region_id) + _HARD_STATE_SUFFIX


def apply_state_key(region_id: RegionId) -> bytes:
    """Key in ``raft`` of a region's applied and truncated position."""
    return _pack_region(region_id) + _APPLY_STATE_SUFFIX


def log_key(region_id: RegionId, index: int) -> bytes:
    """Key in ``raft`` of one log entry; keys of one region sort by index."""
    return _pack_log(region_id, _LOG_SUFFIX, index)


def decode_log_key(key: bytes) -> tuple[RegionId, int]:
    """Region id and index of a key made by :func:`log_key`; ValueError otherwise."""
    if len(key) != 17:
        raise ValueError(f"not a log key: {format_key(key)}")
    region_id, suffix, index = _unpack_log(key)
    if suffix != _LOG_SUFFIX:
        raise ValueError(f"not a log key: {format_key(key)}")
    return RegionId(region_id), index


_GROUP = 8
_MARKER = 0xFF


def encode_memcomparable(key: bytes) -> bytes:
    """Order-preserving encoding in groups of eight bytes, each followed by 0xFF minus its padding (wire facts 3.7)."""
    out = bytearray()
    for start in range(0, len(key) + 1, _GROUP):
        group = key[start : start + _GROUP]
        padding = _GROUP - len(group)
        out += group + bytes(padding)
        out.append(_MARKER - padding)
    return bytes(out)


def decode_memcomparable(encoded: bytes) -> bytes:
    """Inverse of :func:`encode_memcomparable`; ValueError if ``encoded`` is not exactly one encoded key."""
    out = bytearray()
    for start in range(0, len(encoded), _GROUP + 1):
        chunk = encoded[start : start + _GROUP + 1]
        if len(chunk) != _GROUP + 1:
            break
        padding = _MARKER - chunk[_GROUP]
        if padding > _GROUP or any(chunk[_GROUP - padding : _GROUP]):
            raise ValueError(f"invalid encoded key {format_key(encoded)}: bad group at byte {start}")
        out += chunk[: _GROUP - padding]
        if padding:
            if start + _GROUP + 1 != len(encoded):
                raise ValueError(f"invalid encoded key {format_key(encoded)}: bytes after its end")
            return bytes(out)
    raise ValueError(f"invalid encoded key {format_key(encoded)}: it ends within a group")


def format_key(key: bytes) -> str:
    """The one notation for keys in logs, errors and tables: a Python bytes literal."""
    return repr(bytes(key))


def parse_key(text: str) -> bytes:
    """A key as people write it: what :func:`format_key` shows, ``hex:`` or ``b64:`` and digits, or plain text (UTF-8).

    Plain text that starts with one of these marks is written as a literal: ``b'hex:61'``.
    Errors: ValueError saying what does not fit.
    """
    if text.startswith("hex:"):
        try:
            return bytes.fromhex(text[4:])
        except ValueError as error:
            raise ValueError(
                f'"{text}" is not a key: after hex: come pairs of hexadecimal digits, such as hex:00ff'
            ) from error
    if text.startswith("b64:"):
        try:
            return binascii.a2b_base64(text[4:], strict_mode=True)
        except ValueError as error:
            raise ValueError(
                f'"{text}" is not a key: after b64: comes base64 with its padding, such as b64:AP8='
            ) from error
    if text[:2] in ("b'", 'b"'):
        return _parse_literal(text)
    return text.encode("utf-8", "surrogateescape")


def _parse_literal(text: str) -> bytes:
    import ast  # only where a literal is read: they take milliseconds to load
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an escape that Python only warns of
            value = ast.literal_eval(text)
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"{text} is not a key: it starts like a Python bytes literal, such as b'a\\x00', but is none"
        ) from error
    assert isinstance(value, bytes)
    return value


_LISTED_KEY = re.compile(r"""\s*(b'(?:\\.|[^'\\])*'|b"(?:\\.|[^"\\])*"|[^,]*)\s*(,|$)""")


def parse_key_list(text: str) -> tuple[bytes, ...]:
    """Keys with commas between them, in the order given; a comma inside of b'...' belongs to the key.

    Errors: ValueError as :func:`parse_key`, and for an empty place between two commas.
    """
    keys: list[bytes] = []
    position = 0
    while position <= len(text):
        match = _LISTED_KEY.match(text, position)
        if match is None or not match[1].strip():
            raise ValueError(f'"{text}" is no list of keys: write them with one comma between two, such as b,hex:00ff')
        keys.append(parse_key(match[1].strip()))
        if not match[2]:
            break
        position = match.end()
    return tuple(keys)


def format_range(start_key: bytes, end_key: bytes) -> str:
    """[start, end) as people read it; an open end is written as ``..``."""
    start = format_key(start_key) if start_key else "-inf"
    end = format_key(end_key) if end_key else "+inf"
    return f"[{start}, {end})"
