"""Snapshots for other replicas: made when Raft asks, read by whoever carries them, and bounded in number.

A snapshot is one moment of the engine. Region, applied index and its term are read in that moment, between two writes,
so they fit the rows whatever the running step has staged. It costs nothing to make; the rows are read while it is sent.
What is held at once is bounded, because it pins memory and files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from flaredb.engine.base import CF_META, CF_RAFT, Engine, RangeReader, Reader
from flaredb.model.commands import DATA_CFS
from flaredb.model.ids import RegionId
from flaredb.model.keys import apply_state_key, install_key, log_key, region_state_key
from flaredb.model.region import Region
from flaredb.raft import ConfState, Snapshot, SnapshotMetadata
from flaredb.store.config import StoreConfig
from flaredb.store.roles import conf_state_of
from flaredb.wire.snapshots import CHUNK_ROWS_BYTES, encode_chunk
from flaredb.wire.states import ApplyState, decode_apply_state, decode_log_entry, decode_region, encode_region

PAGE_ROWS_MAX = 512
"""Rows taken from the engine at a time; fewer where they are large, so that a page holds about one chunk."""

_FIRST_PAGE_ROWS = 4

_Key = tuple[RegionId, int]
"""Region, and the peer that the snapshot is for."""


class RegionSnapshot:
    """Implements messages.SnapshotSource."""

    __slots__ = ("_reader", "size_bytes")

    def __init__(self, reader: RangeReader, size_bytes: int) -> None:
        self._reader = reader
        self.size_bytes = size_bytes

    def chunks(self) -> Iterator[bytes]:
        """The rows, column family by column family, in key order."""
        for cf in range(len(DATA_CFS)):
            yield from self._chunks_of(cf)

    def _chunks_of(self, cf: int) -> Iterator[bytes]:
        """Page by page where rows are small: looking at each row by itself costs as much as reading it."""
        rows: list[tuple[bytes, bytes]] = []
        size_bytes = 0
        for page, page_bytes in self._pages(DATA_CFS[cf]):
            if page_bytes <= CHUNK_ROWS_BYTES:
                rows += page
                size_bytes += page_bytes
                if size_bytes >= CHUNK_ROWS_BYTES:
                    yield encode_chunk(cf, rows)
                    rows, size_bytes = [], 0
                continue
            for key, value in page:
                rows.append((key, value))
                size_bytes += len(key) + len(value)
                if size_bytes >= CHUNK_ROWS_BYTES:
                    yield encode_chunk(cf, rows)
                    rows, size_bytes = [], 0
        if rows:
            yield encode_chunk(cf, rows)

    def _pages(self, cf: str) -> Iterator[tuple[list[tuple[bytes, bytes]], int]]:
        """Some rows at a time, with their bytes."""
        wanted = _FIRST_PAGE_ROWS
        while True:
            page = self._reader.take(cf, wanted)
            page_bytes = sum(map(len, chain.from_iterable(page)))
            yield page, page_bytes
            if len(page) < wanted:
                return
            fitting = len(page) * CHUNK_ROWS_BYTES // max(page_bytes, 1)
            wanted = max(min(fitting, PAGE_ROWS_MAX), 1)

    def close(self) -> None:
        """Let go of the engine's moment."""
        self._reader.close()


class SnapshotDesk:
    """Where Raft's requests for snapshots meet the engine. One per store.

    Invariant: at most ``snapshots_sending_max`` are in ``_taken`` and ``_sending`` together, one per replica.
    """

    __slots__ = ("_config", "_engine", "_retry_at_ms", "_sending", "_taken", "now_ms", "sizes")

    def __init__(self, config: StoreConfig, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._taken: dict[_Key, RegionSnapshot] = {}
        self._sending: set[_Key] = set()
        self._retry_at_ms: dict[_Key, int] = {}
        self.now_ms = 0
        self.sizes: dict[RegionId, int] = {}
        """Estimated bytes per region, told by the store; for the carrier's time limit."""

    @property
    def count(self) -> int:
        """Snapshots that are held now."""
        return len(self._taken) + len(self._sending)

    def take(self, region_id: RegionId, request_index: int, to: int) -> Snapshot | None:
        """The snapshot that Raft asked for; its rows wait here until ``hand_out``. None: not now."""
        key = (region_id, to)
        if self.count >= self._config.snapshots_sending_max or key in self._taken or key in self._sending:
            return None
        if self.now_ms < self._retry_at_ms.get(key, 0):
            return None
        made = _describe(self._engine, region_id)
        if made is None or made[1].index < request_index:
            return None
        region, metadata = made
        reader = self._engine.range_reader(region.start_key, region.end_key or None)
        self._taken[key] = RegionSnapshot(reader, self.sizes.get(region_id, 0))
        return Snapshot(encode_region(region), metadata)

    def hand_out(self, region_id: RegionId, to: int) -> RegionSnapshot | None:
        """The rows that belong to a MsgSnapshot about to be sent; ``finished`` must follow. None: they are gone."""
        source = self._taken.pop((region_id, to), None)
        if source is not None:
            self._sending.add((region_id, to))
        return source

    def finished(self, region_id: RegionId, to: int, succeeded: bool) -> None:
        """The carrier is done with a snapshot."""
        key = (region_id, to)
        self._sending.discard(key)
        if succeeded:
            self._retry_at_ms.pop(key, None)
        else:
            self._retry_at_ms[key] = self.now_ms + self._config.snapshot_retry_ms

    def forget(self, region_id: RegionId) -> None:
        """The region is no longer here: what was taken and not handed out is let go."""
        for key in [key for key in self._taken if key[0] == region_id]:
            self._taken.pop(key).close()
        for key in [key for key in self._retry_at_ms if key[0] == region_id]:
            del self._retry_at_ms[key]
        self.sizes.pop(region_id, None)

    def close(self) -> None:
        """Let go of everything that was not handed out."""
        for source in self._taken.values():
            source.close()
        self._taken.clear()


def _describe(engine: Reader, region_id: RegionId) -> tuple[Region, SnapshotMetadata] | None:
    """Region and position as the engine has them now; None if the region is not whole there."""
    region_data = engine.get(CF_META, region_state_key(region_id))
    apply_data = engine.get(CF_RAFT, apply_state_key(region_id))
    if region_data is None or apply_data is None or engine.get(CF_META, install_key(region_id)) is not None:
        return None
    region, state = decode_region(region_data), decode_apply_state(apply_data)
    term = _term_at(engine, region_id, state)
    if term is None:
        return None
    conf_state: ConfState = conf_state_of(region)
    return region, SnapshotMetadata(conf_state, state.applied_index, term)


def _term_at(engine: Reader, region_id: RegionId, state: ApplyState) -> int | None:
    if state.applied_index == state.truncated_index:
        return state.truncated_term
    entry = engine.get(CF_RAFT, log_key(region_id, state.applied_index))
    return decode_log_entry(state.applied_index, entry).term if entry is not None else None
