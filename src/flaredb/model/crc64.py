"""CRC-64/XZ, the checksum of RawChecksum (wire facts 2.4): reflected polynomial 0x42F0E1EBA9EA3693, inverted ends."""

from __future__ import annotations

_POLYNOMIAL_REFLECTED = 0xC96C5795D7870F42
_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL_REFLECTED if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _make_table()


def crc64_xz(data: bytes) -> int:
    """The checksum of ``data`` as an unsigned 64-bit number; b"123456789" gives 0x995DC9BBDF1939FA."""
    crc = _ALL_ONES
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _ALL_ONES
