"""Records on disk that do not decode are StateCorrupted, whatever the damage is."""

from __future__ import annotations

import msgspec
import pytest

from flaredb.wire.records import StateCorrupted
from flaredb.wire.states import decode_log_entry, decode_region, decode_store_ident


def _record(*fields: object) -> bytes:
    return b"\x01" + msgspec.msgpack.encode(fields)


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x01", b"\x01\xff", _record(1), _record("a", "b")])
def test_a_damaged_ident(data: bytes) -> None:
    with pytest.raises(StateCorrupted):
        decode_store_ident(data)


def test_a_region_with_a_role_that_does_not_exist() -> None:
    decode_region(_record(4, b"", b"", 1, 1, [(5, 1, 0)]))
    with pytest.raises(StateCorrupted, match="region record 4"):
        decode_region(_record(4, b"", b"", 1, 1, [(5, 1, 99)]))


@pytest.mark.parametrize("value", [b"", b"\x00" * 8, b"\x00" * 8 + b"\x63"])
def test_a_log_entry_that_is_short_or_of_no_known_type(value: bytes) -> None:
    with pytest.raises(StateCorrupted, match="log entry 7"):
        decode_log_entry(7, value)
