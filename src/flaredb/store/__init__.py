"""The store core: many regions on one store, each a Raft group. No I/O; see messages.py for its vocabulary."""
