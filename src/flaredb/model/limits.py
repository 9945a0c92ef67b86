"""Numbers that bound what users and peers may send. Sizes in bytes."""

KIB = 1024
MIB = 1024 * KIB

KEY_SIZE_BYTES_MAX = 8 * KIB
"""Longest user key; setting storage.max-key-size (wire facts 3.6)."""

ENTRY_SIZE_BYTES_MAX = 8 * MIB
"""Largest Raft log entry; setting raftstore.raft-entry-max-size."""
