"""What clients ask of a region, as the store takes it: already valid in itself (column family, key size).

An operation of a write is a plain tuple, because thousands a second are made, encoded and applied:

    (PUT, cf, key, value)   (DELETE, cf, key)   (DELETE_RANGE, cf, start, end)
    (COMPARE_AND_SWAP, cf, key, expected | None, value | None)

``cf`` indexes DATA_CFS. ``expected`` None means 'must be absent'; ``value`` None means 'delete on success'.
A DELETE_RANGE end of b"" is the end of the region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flaredb.model.ids import PeerId, RegionId, StoreId

if TYPE_CHECKING:
    from flaredb.model.orders import ChangePeers  # clients start without it

DATA_CFS = ("default", "lock", "write")
"""Column families that users can name; index 0 is meant where a request names none."""

PUT = 0
DELETE = 1
DELETE_RANGE = 2
COMPARE_AND_SWAP = 3

Operation = tuple[Any, ...]


@dataclass(slots=True)
class Write:
    """Operations of one request, applied together. Result: None, or a CasResult for a COMPARE_AND_SWAP."""

    operations: list[Operation]
    size_bytes: int
    """Keys and values together; what flow control and the entry limit count."""


@dataclass(slots=True)
class Get:
    """Result: the value, or None where the key is absent."""

    cf: int
    key: bytes


@dataclass(slots=True)
class BatchGet:
    """Result: list of (key, value) of the keys that exist, in request order."""

    cf: int
    keys: list[bytes]


@dataclass(slots=True)
class Scan:
    """Rows of [start, end) in the region, at most ``limit``; an empty end is no bound. Result: list of (key, value).

    ``start`` is the lower bound whatever the direction; reverse returns the same rows from the upper end.
    """

    cf: int
    start: bytes
    end: bytes
    limit: int
    reverse: bool = False
    keys_only: bool = False


@dataclass(slots=True)
class BatchScan:
    """Several scans of one region, ``limit`` rows each. Result: their rows, concatenated."""

    scans: list[Scan]


@dataclass(slots=True)
class Checksum:
    """CRC-64/XZ over key and value of each pair in the ranges, XORed. Result: ChecksumResult."""

    ranges: list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Split:
    """Cut the region at ``keys``: ascending, strictly inside it. Result: tuple of Region, in key order.

    Unlike data, a split compares both parts of the epoch (wire facts 4.6).
    """

    keys: tuple[bytes, ...]
    conf_ver: int
    """Region epoch conf_ver that the caller knows."""

    reason: str = "admin"
    """Why, for logs: admin, size."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all keys."""
        return sum(map(len, self.keys))


@dataclass(slots=True)
class ChangeMembers:
    """Change the region's replicas (model/orders.py ChangePeers). Result: the Region after it.

    Compares conf_ver, like TiKV's ChangePeer (wire facts 4.6).
    """

    change: ChangePeers
    conf_ver: int


Admin = Split | ChangeMembers
"""What changes a region rather than its data."""

Command = Write | Get | BatchGet | Scan | BatchScan | Checksum | Split | ChangeMembers


@dataclass(slots=True)
class Request:
    """One command and the routing context that came with it (kvrpcpb.Context, wire facts 2.3)."""

    token: Any
    """Whatever the rim needs to answer; comes back unchanged with the result, exactly once."""

    command: Command
    region_id: RegionId
    version: int
    """Region epoch version that the client cached. conf_ver is not compared for data (wire facts 4.6)."""

    peer_id: PeerId
    store_id: StoreId
    term: int = 0
    """Client's idea of the leader's term; 0: do not check."""

    replica_read: bool = False
    """A read may be served by a follower, after ReadIndex from the leader."""

    deadline_ms: int = 0
    """Set by the store when it first holds the request; 0: not held yet."""


@dataclass(frozen=True, slots=True)
class CasResult:
    """Outcome of COMPARE_AND_SWAP; ``previous`` is the value before, None if absent."""

    succeeded: bool
    previous: bytes | None


@dataclass(frozen=True, slots=True)
class ChecksumResult:
    """Checksum of all pairs, their number, and bytes of keys and values together."""

    checksum: int
    total_kvs: int
    total_bytes: int
