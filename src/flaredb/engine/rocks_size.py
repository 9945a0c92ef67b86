"""Estimating how many bytes a key range holds from what RocksDB tells about its files. Pure functions.

The library offers no size query. Known are, per table file, its size and its first and last key; per column
family, the rows in memtables. A file inside the range counts whole; a file that straddles a bound, and the
memtables, count by the range's share of their key span, keys read as numbers. Skewed keys make the share wrong
within one file or memtable; a caller that must know counts rows on a snapshot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FILE_LINE = re.compile(r"^\s*(\d+):\d+\[", re.MULTILINE)
_POSITION_BYTES = 8


@dataclass(frozen=True, slots=True)
class Span:
    """Some bytes spread over the keys first_key .. last_key, both inclusive."""

    first_key: bytes
    last_key: bytes
    size_bytes: int


def file_numbers(sstables_property: str) -> frozenset[int]:
    """File numbers in the text of the property `rocksdb.sstables`, whose lines read ` 11:15394324[1 .. 2]...`."""
    return frozenset(int(number) for number in _FILE_LINE.findall(sstables_property))


def size_in_range(spans: list[Span], start: bytes, end: bytes | None) -> int:
    """Estimated bytes of all spans within [start, end)."""
    return sum(round(span.size_bytes * _share(span, start, end)) for span in spans)


def _share(span: Span, start: bytes, end: bytes | None) -> float:
    if span.last_key < start or (end is not None and span.first_key >= end):
        return 0.0
    low = 0.0 if start <= span.first_key else _position(span, start)
    high = 1.0 if end is None or end > span.last_key else _position(span, end)
    return max(0.0, high - low)


def _position(span: Span, key: bytes) -> float:
    """Where `key`, which lies within the span, is on the way from its first key (0) to its last (1)."""
    skip = _common_prefix_length(span.first_key, span.last_key)
    tails = [each[skip : skip + _POSITION_BYTES] for each in (span.first_key, span.last_key, key)]
    alphabet = [byte for tail in tails for byte in tail] or [0]
    first, last, at = (_number(tail, min(alphabet), max(alphabet)) for tail in tails)
    return (at - first) / (last - first) if last > first else 0.0


def _common_prefix_length(first: bytes, second: bytes) -> int:
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length


def _number(tail: bytes, least: int, greatest: int) -> int:
    """The tail as a number whose digits are the bytes least .. greatest, so that decimal keys count decimally."""
    number = 0
    for place in range(_POSITION_BYTES):
        digit = tail[place] - least if place < len(tail) else 0
        number = number * (greatest - least + 1) + digit
    return number
