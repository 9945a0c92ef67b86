"""Ordered key-value storage: one contract (base), RocksDB, and a twin in memory that loses what was not synced."""
