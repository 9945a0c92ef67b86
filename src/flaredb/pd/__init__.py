"""Placement core: ids, timestamps, stores, the region directory, the initial layout. No I/O; see messages.py."""
