"""Rows of a snapshot as chunks: all of them, in order, and never much of them in memory at once."""

from __future__ import annotations

from typing import Any

import pytest

from flaredb.engine.base import CF_DEFAULT, CF_WRITE
from flaredb.engine.memory import MemoryEngine
from flaredb.model.limits import KIB, MIB
from flaredb.store.snapshot_desk import RegionSnapshot
from flaredb.wire.snapshots import CHUNK_ROWS_BYTES, decode_chunk


class Counting:
    """A range reader that notes the largest page it was asked to hold, in bytes."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.page_bytes_max = 0
        self.pages = 0

    def take(self, cf: str, count: int) -> list[tuple[bytes, bytes]]:
        page: list[tuple[bytes, bytes]] = self._reader.take(cf, count)
        self.pages += 1
        self.page_bytes_max = max(self.page_bytes_max, sum(len(key) + len(value) for key, value in page))
        return page

    def close(self) -> None:
        self._reader.close()


def read(rows: list[tuple[str, bytes, bytes]]) -> tuple[list[tuple[str, bytes, bytes]], Counting]:
    engine = MemoryEngine()
    batch = engine.batch()
    for cf, key, value in rows:
        batch.put(cf, key, value)
    engine.write(batch)
    counting: Any = Counting(engine.range_reader(b"b", b"y"))
    source = RegionSnapshot(counting, 0)
    found = []
    for chunk in source.chunks():
        number, pairs = decode_chunk(chunk)
        found += [((CF_DEFAULT, "lock", CF_WRITE)[number], key, value) for key, value in pairs]
    source.close()
    source.close()
    return found, counting


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 511, 512, 513, 5_000])
def test_every_row_of_the_region_and_no_other(count: int) -> None:
    inside = [(CF_DEFAULT, b"k%06d" % number, b"value") for number in range(count)]
    inside += [(CF_WRITE, b"b", b"first"), (CF_WRITE, b"x\xff", b"last")]
    outside = [(CF_DEFAULT, b"a", b""), (CF_WRITE, b"y", b""), (CF_DEFAULT, b"z", b"")]
    found, counting = read(inside + outside)
    assert found == inside
    assert counting.pages < 10 + count / 100


@pytest.mark.parametrize("size_bytes", [128, 64 * KIB, 2 * MIB])
def test_a_page_holds_about_one_chunk_however_large_its_rows_are(size_bytes: int) -> None:
    rows = [(CF_DEFAULT, b"k%06d" % number, b"v" * size_bytes) for number in range(32)]
    found, counting = read(rows)
    assert found == rows
    assert counting.page_bytes_max <= max(CHUNK_ROWS_BYTES, 4 * (size_bytes + 10))
