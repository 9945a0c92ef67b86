"""What calls return that is not plain bytes."""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[bytes, bytes]
"""(key, value); the value is b"" in scans of keys only."""


@dataclass(frozen=True, slots=True)
class SwapResult:
    """Outcome of compare_and_swap; true where it swapped."""

    swapped: bool
    previous: bytes | None
    """The value before, None if there was none; told whether or not it swapped."""

    def __bool__(self) -> bool:
        return self.swapped


@dataclass(frozen=True, slots=True)
class RangeChecksum:
    """CRC-64/XZ over key and value of each row, XORed: equal for equal rows, in whatever regions they are."""

    checksum: int
    rows: int
    size_bytes: int
    """Keys and values together."""
