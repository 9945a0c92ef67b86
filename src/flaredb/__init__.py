"""FlareDB: a strongly consistent, range-sharded, replicated key-value store that speaks TiKV's protocol."""

__version__ = "0.1.0"
