"""A scan in pages: each page comes from one region, and the next begins where it ended, whatever has split since."""

from __future__ import annotations

from dataclasses import dataclass

from flaredb.client.plan import Core
from flaredb.client.results import Row
from flaredb.client.steps import Plan
from flaredb.model.commands import Scan
from flaredb.model.limits import KEY_SIZE_BYTES_MAX
from flaredb.model.region import Region

FIRST_PAGE_ROWS = 64
GROWTH = 4
BEYOND_ALL_KEYS = b"\xff" * (KEY_SIZE_BYTES_MAX + 1)
"""An upper bound for reverse scans that have none: the protocol takes none there (wire facts 3.6)."""


@dataclass(slots=True)
class Cursor:
    """What is left of a scan: rows of [low, high), at most ``rows_left``; high b"" is no bound."""

    cf: int
    low: bytes
    high: bytes
    rows_left: int | None
    reverse: bool = False
    keys_only: bool = False
    page_rows: int = FIRST_PAGE_ROWS
    finished: bool = False

    def __post_init__(self) -> None:
        if self.reverse and not self.high:
            self.high = BEYOND_ALL_KEYS
        if self.rows_left == 0 or (self.high and self.low >= self.high):
            self.finished = True


def next_page(core: Core, cursor: Cursor, deadline_ms: int) -> Plan:
    """The next rows, in the scan's order; [] once there are no more. Moves the cursor.

    Result: list of Row. Errors: ClientError; the cursor is then where it was, so the page can be asked for again.
    """
    while not cursor.finished:
        asked = _Asked(cursor)
        if cursor.reverse:
            rows = yield from core.pursue(cursor.high, asked.make, deadline_ms, below=True)
        else:
            rows = yield from core.pursue(cursor.low, asked.make, deadline_ms)
        _advance(cursor, asked, rows)
        if rows:
            _resize(core, cursor, rows)
            return rows
    return []


class _Asked:
    """Makes the request for one page and remembers the region that it went to last."""

    __slots__ = ("_cursor", "limit", "region")

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.limit = cursor.page_rows if cursor.rows_left is None else min(cursor.page_rows, cursor.rows_left)
        self.region: Region | None = None

    def make(self, region: Region) -> Scan:
        self.region = region
        cursor = self._cursor
        low = max(cursor.low, region.start_key)
        high = cursor.high
        if region.end_key and (not high or region.end_key < high):
            high = region.end_key
        return Scan(cursor.cf, low, high, self.limit, cursor.reverse, cursor.keys_only)


def _advance(cursor: Cursor, asked: _Asked, rows: list[Row]) -> None:
    region = asked.region
    assert region is not None
    if cursor.rows_left is not None:
        cursor.rows_left -= len(rows)
    if len(rows) >= asked.limit:
        last = rows[-1][0]
        if cursor.reverse:
            cursor.high = last
        else:
            cursor.low = last + b"\x00"
    elif cursor.reverse:
        cursor.high = region.start_key
        cursor.finished = not region.start_key
    else:
        cursor.low = region.end_key
        cursor.finished = not region.end_key
    if cursor.rows_left == 0 or (cursor.high and cursor.low >= cursor.high):
        cursor.finished = True


def _resize(core: Core, cursor: Cursor, rows: list[Row]) -> None:
    """The next page grows, as far as rows of this size fit its bytes."""
    row_bytes = max(1, sum(len(key) + len(value) for key, value in rows) // len(rows))
    options = core.options
    fitting = max(1, options.page_bytes // row_bytes)
    cursor.page_rows = min(cursor.page_rows * GROWTH, options.page_rows_max, fitting)
