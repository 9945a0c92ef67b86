"""Ordered key-value storage: one contract (base), RocksDB, and a twin in memory whose crash loses what was not synced."""
