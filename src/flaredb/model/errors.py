"""Operating errors. Each carries the cure; the wire maps them to errorpb in one table (wire/errors.py).

Three kinds of failure are never mixed: these exceptions; asserts for broken invariants; the store's Fatal effect for a
bad environment (ARCHITECTURE.md, failures).
"""

from __future__ import annotations

from collections.abc import Sequence

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import format_key, format_range
from flaredb.model.region import Peer, Region


class FlareDBError(Exception):
    """Root of all errors that FlareDB raises on purpose."""

    retryable: bool = False
    """True if the same call can succeed later or elsewhere without a change of its arguments."""


class ConfigError(FlareDBError):
    """A setting, flag or layout that cannot work; the message names it and says what to change."""


class InvalidRequest(FlareDBError):
    """A request that is wrong in itself; answered as the response's error string."""


class RegionError(FlareDBError):
    """A request that reached the wrong place or a bad moment; answered as ``region_error``."""

    retryable = True


class NotLeader(RegionError):
    """This peer does not lead the region. ``leader`` is unset while none is known."""

    def __init__(self, region_id: RegionId, leader: Peer | None) -> None:
        where = f"its leader is peer {leader.id} on store {leader.store_id}" if leader else "no leader is known yet"
        super().__init__(f"region {region_id} is not led here; {where}")
        self.region_id = region_id
        self.leader = leader


class RegionNotFound(RegionError):
    """No replica of the region is on this store."""

    def __init__(self, region_id: RegionId, store_id: StoreId, known: str = "") -> None:
        super().__init__(f"region {region_id} is not on store {store_id}{'; ' + known if known else ''}")
        self.region_id = region_id


class KeyNotInRegion(RegionError):
    """The key lies outside the region that the request names."""

    def __init__(self, key: bytes, region: Region) -> None:
        bounds = format_range(region.start_key, region.end_key)
        super().__init__(f"key {format_key(key)} is not in region {region.id} {bounds}")
        self.key = key
        self.region_id = region.id
        self.start_key = region.start_key
        self.end_key = region.end_key


class EpochNotMatch(RegionError):
    """The client's idea of the region is out of date, or ahead; ``current_regions`` tells what is true here."""

    def __init__(self, region_id: RegionId, asked: int, current_regions: Sequence[Region]) -> None:
        now = current_regions[0].epoch.version if current_regions else "unknown"
        super().__init__(f"region {region_id} is at epoch version {now}, the request has {asked}")
        self.current_regions = tuple(current_regions)


class StoreNotMatch(RegionError):
    """The request is meant for another store: the address has changed hands."""

    def __init__(self, request_store_id: StoreId, actual_store_id: StoreId) -> None:
        super().__init__(f"this is store {actual_store_id}, the request is for store {request_store_id}")
        self.request_store_id = request_store_id
        self.actual_store_id = actual_store_id


class MismatchPeerId(RegionError):
    """The request names another replica than the one on this store."""

    def __init__(self, region_id: RegionId, request_peer_id: PeerId, store_peer_id: PeerId) -> None:
        super().__init__(f"region {region_id} has peer {store_peer_id} here, the request is for peer {request_peer_id}")
        self.request_peer_id = request_peer_id
        self.store_peer_id = store_peer_id


class StaleCommand(RegionError):
    """The request's term is outdated, or its proposal was replaced by a new leader's and never applied."""

    def __init__(self, message: str = "the command was overtaken by a change of leader and was not applied") -> None:
        super().__init__(message)


class ServerIsBusy(RegionError):
    """A bounded queue is full; try again after ``backoff_ms``."""

    def __init__(self, reason: str, backoff_ms: int) -> None:
        super().__init__(f"{reason}; try again in {backoff_ms} ms")
        self.reason = reason
        self.backoff_ms = backoff_ms


class RaftEntryTooLarge(RegionError):
    """The write does not fit a log entry; nothing of it was applied."""

    retryable = False

    def __init__(self, region_id: RegionId, entry_size_bytes: int, entry_size_bytes_max: int) -> None:
        super().__init__(
            f"the write of {entry_size_bytes} bytes to region {region_id} exceeds the limit of "
            f"{entry_size_bytes_max} bytes (raftstore.raft-entry-max-size); send it in smaller batches"
        )
        self.region_id = region_id
        self.entry_size_bytes = entry_size_bytes


class ReadIndexNotReady(RegionError):
    """The leader could not confirm its leadership in time for this read."""

    def __init__(self, region_id: RegionId, reason: str) -> None:
        super().__init__(f"region {region_id} cannot serve a consistent read now: {reason}")
        self.region_id = region_id
        self.reason = reason


class InvalidSplitKeys(RegionError):
    """The region cannot be cut at these keys, now or later; only the message travels."""

    retryable = False

    def __init__(self, region_id: RegionId, reason: str) -> None:
        super().__init__(f"region {region_id} cannot be split like this: {reason}")
        self.region_id = region_id


class ChangeRefused(RegionError):
    """The region's members cannot be changed like this, or not now; only the message travels."""

    def __init__(self, region_id: RegionId, reason: str) -> None:
        super().__init__(f"the members of region {region_id} are not changed: {reason}")
        self.region_id = region_id
        self.reason = reason


class StoreClosing(RegionError):
    """The store is shutting down; only the message travels (wire facts 3.5, 'only message set')."""

    def __init__(self) -> None:
        super().__init__("the store is shutting down")


class UndeterminedResult(RegionError):
    """The write was proposed and its fate is not known: it may be applied later, or never."""

    retryable = False

    def __init__(self, region_id: RegionId, waited_ms: int | None = None) -> None:
        """``waited_ms`` None: not for lack of time, but because its replica here can no longer tell."""
        what = (
            "proposed here, but this replica was replaced or removed before it could tell; it may be applied"
            if waited_ms is None
            else f"proposed but neither applied nor replaced within {waited_ms} ms; it may still be applied"
        )
        super().__init__(f"the write to region {region_id} was {what}")
