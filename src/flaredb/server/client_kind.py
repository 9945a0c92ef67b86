"""What the user agent tells of a client: whether its scan loses rows when it meets a region error.

The Rust client on tonic 0.10, inside the official Python wheel too, takes a RawScan answer with a region error for an
empty range and goes on; a gRPC status makes it raise instead. Later Rust clients, Go, Java and everything on gRPC's own
libraries for Python and C++ read the region error (wire facts 3.5, DANGER). An unknown client is taken for the worst.
"""

from __future__ import annotations

import re

_TONIC = re.compile(r"(?:^|\s)tonic/(\d+)\.(\d+)")
_TONIC_THAT_READS_REGION_ERRORS = (0, 11)
_GRPC_LIBRARY = re.compile(r"(?:^|\s)grpc-(?:go|java|python|c\+\+)")


def scan_loses_rows(user_agent: str) -> bool:
    """True if a region error in a RawScan answer may be taken for 'no rows' by this client."""
    tonic = _TONIC.search(user_agent)
    if tonic:
        return (int(tonic[1]), int(tonic[2])) < _TONIC_THAT_READS_REGION_ERRORS
    return _GRPC_LIBRARY.search(user_agent) is None
