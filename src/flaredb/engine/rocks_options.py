"""Tuning of the RocksDB engine, with units in the names. No import of the library: anyone may hold options."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RocksOptions:
    """What an operator or a test may tune. The defaults suit several stores on one small machine.

    Memory of one engine is bounded by block_cache_size_bytes + write_buffers_size_bytes plus the memtables
    being flushed (another write_buffers_size_bytes at worst) and index blocks outside the cache: none, they
    are charged to it.
    """

    block_cache_size_bytes: int = 64 * _MIB
    write_buffers_size_bytes: int = 64 * _MIB
    """All memtables of all column families together; reaching it flushes the largest."""

    write_buffer_size_bytes: int = 32 * _MIB
    """One memtable of one column family."""

    wal_size_bytes_max: int = 256 * _MIB
    """Beyond it the column families that hold the oldest log are flushed; bounds replay at open."""

    open_files_max: int = 512
    background_jobs_max: int = 2
    level1_size_bytes: int = 64 * _MIB
    sst_file_size_bytes: int = 16 * _MIB
    level0_compaction_trigger_files: int = 4

    level0_slowdown_files: int = 1_000
    """RocksDB's own brake, far away on purpose: it would stop the whole process, not one request. The
    store's flow control reads `Engine.stats` and refuses requests long before."""

    level0_stop_files: int = 2_000
    pending_compaction_size_bytes_max: int = 1 << 50
    """Soft and hard limit of RocksDB, out of reach for the same reason."""

    write_buffers_unflushed_max: int = 16
    """Memtables of one column family, filling or waiting for their flush, before RocksDB stops writes."""

    bloom_bits_per_key: int = 10
    compression: str = "lz4"
    """`lz4`, `zstd`, `snappy` or `none`."""

    mark_every_s: float = 1.0
    """How often the number of the last synced write is noted (rocks_mark)."""

    def validate(self) -> None:
        """Check the relations between fields. Errors: ValueError that names the fields."""
        if self.write_buffer_size_bytes > self.write_buffers_size_bytes:
            raise ValueError("write_buffer_size_bytes must not exceed write_buffers_size_bytes")
        if not self.level0_compaction_trigger_files < self.level0_slowdown_files <= self.level0_stop_files:
            raise ValueError(
                "level0 files must satisfy compaction_trigger < slowdown <= stop, got "
                f"{self.level0_compaction_trigger_files}, {self.level0_slowdown_files}, {self.level0_stop_files}"
            )
        if self.compression not in ("lz4", "zstd", "snappy", "none"):
            raise ValueError(f"compression must be lz4, zstd, snappy or none, not {self.compression!r}")
        if self.background_jobs_max < 2:
            raise ValueError("background_jobs_max must be at least 2: one flush beside one compaction")
