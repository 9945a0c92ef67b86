"""The one gate: every request passes it before anything else, and again when leadership or the region changed.

The order of the checks is TiKV's, because clients act on the first that fails (wire facts 3.5): region, store, peer,
leader, term, epoch, keys. Behind the gate the types are trusted.
"""

from __future__ import annotations

from flaredb.model.commands import (
    DELETE_RANGE,
    BatchGet,
    BatchScan,
    ChangeMembers,
    Checksum,
    Command,
    Get,
    Request,
    Scan,
    Split,
    Write,
)
from flaredb.model.errors import (
    EpochNotMatch,
    KeyNotInRegion,
    MismatchPeerId,
    NotLeader,
    StaleCommand,
    StoreNotMatch,
)
from flaredb.model.ids import StoreId
from flaredb.model.region import Region
from flaredb.store.commands.split import check_split_keys
from flaredb.store.peer import Peer
from flaredb.store.region_map import RegionMap

REGIONS_TOLD_MAX = 64
"""Regions that one EpochNotMatch carries at most."""


class LeaderUnknown(NotLeader):
    """No leader is known: the request may be held for a while before it is refused."""


def check(peer: Peer, store_id: StoreId, request: Request, regions: RegionMap) -> None:
    """Let a request to an existing region pass, or raise the RegionError that names what is wrong."""
    if request.store_id != store_id:
        raise StoreNotMatch(request.store_id, store_id)
    region = peer.region
    if request.peer_id != peer.meta.id:
        raise MismatchPeerId(region.id, request.peer_id, peer.meta.id)
    if not peer.is_leader:
        _check_follower(peer, request)
    if request.term and peer.term > request.term + 1:
        raise StaleCommand(f"region {region.id} is at term {peer.term}, the request was made for term {request.term}")
    check_epoch(region, request, regions)
    check_keys(region, request.command)


def check_epoch(region: Region, request: Request, regions: RegionMap) -> None:
    """Raise EpochNotMatch unless the request was made for the region as it is (wire facts 4.6).

    Data compares the version, changes of members conf_ver, splits both.
    """
    epoch, command = region.epoch, request.command
    is_other_range = request.version != epoch.version and not isinstance(command, ChangeMembers)
    has_other_members = isinstance(command, Split | ChangeMembers) and command.conf_ver != epoch.conf_ver
    if is_other_range or has_other_members:
        raise epoch_not_match(region, request.version, regions)


def epoch_not_match(region: Region, asked_version: int, regions: RegionMap) -> EpochNotMatch:
    """The error with what covers the range that the region had at ``asked_version``: itself and those here that were
    split off since. They lie to its left, because the rightmost piece keeps the id.
    """
    born_since: list[Region] = []
    left = regions.ending_at(region.start_key) if asked_version < region.epoch.version else None
    while left is not None and left.epoch.version > asked_version and len(born_since) < REGIONS_TOLD_MAX - 1:
        born_since.append(left)
        left = regions.ending_at(left.start_key)
    return EpochNotMatch(region.id, asked_version, (region, *reversed(born_since)))


def _check_follower(peer: Peer, request: Request) -> None:
    leader = peer.leader()
    if leader is None:
        raise LeaderUnknown(peer.region.id, None)
    if request.replica_read and not isinstance(request.command, Write | Split | ChangeMembers):
        return
    raise NotLeader(peer.region.id, leader)


def check_keys(region: Region, command: Command) -> None:
    """Raise KeyNotInRegion for the first key of the command outside the region."""
    if isinstance(command, Write):
        for operation in command.operations:
            if not region.contains(operation[2]):
                raise KeyNotInRegion(operation[2], region)
            if operation[0] == DELETE_RANGE and not region.contains_as_end(operation[3]):
                raise KeyNotInRegion(operation[3], region)
    elif isinstance(command, Get):
        if not region.contains(command.key):
            raise KeyNotInRegion(command.key, region)
    elif isinstance(command, BatchGet):
        for key in command.keys:
            if not region.contains(key):
                raise KeyNotInRegion(key, region)
    elif isinstance(command, Scan):
        _check_scan(region, command)
    elif isinstance(command, BatchScan):
        for scan in command.scans:
            _check_scan(region, scan)
    elif isinstance(command, Split):
        check_split_keys(region, command.keys)
    elif isinstance(command, Checksum):
        for start, _ in command.ranges:
            _check_start(region, start)


def _check_scan(region: Region, scan: Scan) -> None:
    """A scan must begin in the region, or exactly at its end; it stops by itself at the region's other end."""
    if not scan.reverse:
        _check_start(region, scan.start)
    elif scan.end < region.start_key or (region.end_key and scan.end > region.end_key):
        raise KeyNotInRegion(scan.end, region)


def _check_start(region: Region, start: bytes) -> None:
    if not region.contains(start) and start != region.end_key:
        raise KeyNotInRegion(start, region)
