"""Snapshots for other replicas: made when Raft asks, read by whoever carries them, and bounded in number.

A snapshot is the engine's own: one moment of all column families. Region, applied index and its term are read from that
moment, so they fit the rows whatever the running step has staged. It costs nothing to make; the rows are read while it
is sent. What is held at once is bounded, because it pins memory and files.
"""

from __future__ import annotations

from collections.abc import Iterator

from flaredb.engine.base import CF_META, CF_RAFT, Engine
from flaredb.engine.base import Snapshot as EngineSnapshot
from flaredb.model.commands import DATA_CFS
from flaredb.model.ids import RegionId
from flaredb.model.keys import apply_state_key, install_key, log_key, region_state_key
from flaredb.model.region import Region
from flaredb.raft import ConfState, Snapshot, SnapshotMetadata
from flaredb.store.config import StoreConfig
from flaredb.store.roles import conf_state_of
from flaredb.wire.snapshots import CHUNK_ROWS_BYTES, encode_chunk
from flaredb.wire.states import ApplyState, decode_apply_state, decode_log_entry, decode_region, encode_region

SCAN_ROWS_MAX = 512
"""Rows read from the engine at a time; fewer where they are large, so that a page holds about one chunk."""

_FIRST_SCAN_ROWS = 4

_Key = tuple[RegionId, int]
"""Region, and the peer that the snapshot is for."""


class RegionSnapshot:
    """Implements messages.SnapshotSource."""

    __slots__ = ("_is_closed", "_region", "_snapshot", "size_bytes")

    def __init__(self, snapshot: EngineSnapshot, region: Region, size_bytes: int) -> None:
        self._snapshot = snapshot
        self._region = region
        self._is_closed = False
        self.size_bytes = size_bytes

    def chunks(self) -> Iterator[bytes]:
        """The rows, column family by column family, in key order."""
        for cf in range(len(DATA_CFS)):
            yield from self._chunks_of(cf)

    def _chunks_of(self, cf: int) -> Iterator[bytes]:
        rows: list[tuple[bytes, bytes]] = []
        size_bytes = 0
        for key, value in self._rows(DATA_CFS[cf]):
            rows.append((key, value))
            size_bytes += len(key) + len(value)
            if size_bytes >= CHUNK_ROWS_BYTES:
                yield encode_chunk(cf, rows)
                rows, size_bytes = [], 0
        if rows:
            yield encode_chunk(cf, rows)

    def _rows(self, cf: str) -> Iterator[tuple[bytes, bytes]]:
        """Read in pages: an engine may gather all rows of a scan before the first is asked for."""
        start, end = self._region.start_key, self._region.end_key or None
        wanted = _FIRST_SCAN_ROWS
        while True:
            page = list(self._snapshot.scan(cf, start, end, limit=wanted))
            yield from page
            if len(page) < wanted:
                return
            start = page[-1][0] + b"\x00"
            size_bytes = sum(len(key) + len(value) for key, value in page)
            fitting = len(page) * CHUNK_ROWS_BYTES // max(size_bytes, 1)
            wanted = max(min(fitting, SCAN_ROWS_MAX), 1)

    def close(self) -> None:
        """Let go of the engine's snapshot."""
        if not self._is_closed:
            self._is_closed = True
            self._snapshot.close()


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
        engine_snapshot = self._engine.snapshot()
        made = _describe(engine_snapshot, region_id)
        if made is None or made[1].index < request_index:
            engine_snapshot.close()
            return None
        region, metadata = made
        self._taken[key] = RegionSnapshot(engine_snapshot, region, self.sizes.get(region_id, 0))
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


def _describe(snapshot: EngineSnapshot, region_id: RegionId) -> tuple[Region, SnapshotMetadata] | None:
    """Region and position as of the engine's snapshot; None if the region is not whole there."""
    region_data = snapshot.get(CF_META, region_state_key(region_id))
    apply_data = snapshot.get(CF_RAFT, apply_state_key(region_id))
    if region_data is None or apply_data is None or snapshot.get(CF_META, install_key(region_id)) is not None:
        return None
    region, state = decode_region(region_data), decode_apply_state(apply_data)
    term = _term_at(snapshot, region_id, state)
    if term is None:
        return None
    conf_state: ConfState = conf_state_of(region)
    return region, SnapshotMetadata(conf_state, state.applied_index, term)


def _term_at(snapshot: EngineSnapshot, region_id: RegionId, state: ApplyState) -> int | None:
    if state.applied_index == state.truncated_index:
        return state.truncated_term
    entry = snapshot.get(CF_RAFT, log_key(region_id, state.applied_index))
    return decode_log_entry(state.applied_index, entry).term if entry is not None else None
