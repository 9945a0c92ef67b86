"""Durations and sizes as people write them in configuration files and orders: "1h30m", "500ms", "8MiB"."""

from __future__ import annotations

import re
from decimal import Decimal

DURATION_EXAMPLES = 'a duration such as "500ms", "1s" or "1h30m"'
SIZE_EXAMPLES = 'a size such as "8KiB", "1MiB" or "2GB"'

_MS_PER_UNIT = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
# As in TiKV, "MB" and "M" mean the same as "MiB": powers of 1024.
_POWER_OF_1024 = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|d|h|m|s)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)


def parse_duration_ms(text: str) -> int:
    """Milliseconds of a duration: numbers with d, h, m, s or ms, largest unit first.

    Errors: ValueError with examples for anything else, and for a fraction of a millisecond.
    """
    total_ms = Decimal(0)
    position = 0
    unit_before = _MS_PER_UNIT["d"] + 1
    while position < len(text):
        part = _DURATION_PART.match(text, position)
        if part is None or _MS_PER_UNIT[part[2]] >= unit_before:
            raise ValueError(DURATION_EXAMPLES)
        unit_before = _MS_PER_UNIT[part[2]]
        total_ms += Decimal(part[1]) * unit_before
        position = part.end()
    if position == 0 or total_ms != int(total_ms):
        raise ValueError(DURATION_EXAMPLES)
    return int(total_ms)


def format_duration(duration_ms: int) -> str:
    """The shortest text that parses back: 90_000 -> "1m30s"."""
    if duration_ms == 0:
        return "0s"
    text = ""
    for unit, unit_ms in _MS_PER_UNIT.items():
        count, duration_ms = divmod(duration_ms, unit_ms)
        if count:
            text += f"{count}{unit}"
    return text


def parse_size_bytes(text: str) -> int:
    """Bytes of a size: a number and B, KB, KiB, MB, MiB, GB, GiB, TB, TiB, PB or PiB; without a unit, bytes.

    Errors: ValueError with examples for anything else, and for a fraction of a byte.
    """
    whole = _SIZE.fullmatch(text.strip())
    if whole is None:
        raise ValueError(SIZE_EXAMPLES)
    size = Decimal(whole[1]) * 1024 ** _POWER_OF_1024[whole[2].upper()]
    if size != int(size):
        raise ValueError(SIZE_EXAMPLES)
    return int(size)


def format_size(size_bytes: int) -> str:
    """The size in the largest unit that keeps it whole: 8_388_608 -> "8MiB"."""
    power = 0
    while size_bytes and size_bytes % 1024 == 0 and power < 5:
        size_bytes //= 1024
        power += 1
    return f"{size_bytes}{('', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi')[power]}B"
