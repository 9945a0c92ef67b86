"""Settings of flow control, and their relations to the engine's own brakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from flaredb.engine.rocks_options import RocksOptions
from flaredb.server.toml_file import Section
from flaredb.store.config import FlowLimits

Positive = Annotated[int, msgspec.Meta(ge=1)]
FLOW = FlowLimits()


class FlowControlSettings(Section, frozen=True, kw_only=True):
    """[storage.flow-control]: how far the engine may be behind before writes are refused with ServerIsBusy.

    From a threshold on the more are refused the further it is behind, from twice the threshold on all. Keys are TiKV's.
    """

    memtables_threshold: Positive = FLOW.memtables
    """Full memtables that wait to be flushed. Half of RocksDB's own brake at most."""

    l0_files_threshold: Positive = FLOW.level0_files
    """Table files on level 0, of the column family that has most."""

    soft_pending_compaction_bytes_limit_bytes: Positive = FLOW.pending_bytes_soft
    """Bytes that wait to be compacted. TiKV: 192GiB."""

    hard_pending_compaction_bytes_limit_bytes: Positive = FLOW.pending_bytes_hard
    """From here on no write is let in. TiKV: 1TiB."""

    def problems(self) -> Iterator[str]:
        """What would let RocksDB stop the whole process before writes are refused, or contradicts itself."""
        rocks = RocksOptions()
        for name, threshold, brake in (
            ("memtables-threshold", self.memtables_threshold, rocks.write_buffers_unflushed_max),
            ("l0-files-threshold", self.l0_files_threshold, rocks.level0_slowdown_files),
        ):
            if 2 * threshold >= brake:
                yield (
                    f"storage.flow-control.{name} = {threshold} must be less than {brake // 2}: RocksDB itself brakes "
                    f"at {brake}, and writes are refused up to twice the threshold only"
                )
        soft, hard = self.soft_pending_compaction_bytes_limit_bytes, self.hard_pending_compaction_bytes_limit_bytes
        if soft >= hard:
            yield (
                f"storage.flow-control.soft-pending-compaction-bytes-limit = {soft} must be less than "
                f"storage.flow-control.hard-pending-compaction-bytes-limit = {hard} (bytes)"
            )
