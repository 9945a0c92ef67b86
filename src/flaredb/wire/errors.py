"""The one table from region errors to errorpb (wire facts 2.2).

Clients act on the member that is set, and people read the message, so both are always filled. StoreClosing has no
member of its own: clients take a bare message as 'ask another replica' (wire facts 3.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flaredb.model import errors
from flaredb.wire.convert import peer_to_pb, region_to_pb
from flaredb.wire.pb import errorpb_pb2 as pb


def region_error_to_pb(error: errors.RegionError) -> pb.Error:
    """errorpb.Error with its message and, where the protocol has one, the member of this kind of error."""
    out = pb.Error(message=str(error))
    fill = _FILL.get(type(error))
    if fill is not None:
        fill(error, out)
    return out


def member_of(kind: type[errors.RegionError]) -> str:
    """The member of errorpb.Error that a kind of error sets, "" for one that has its message only."""
    fill = _FILL[kind]
    return "" if fill is _message_only else fill.__name__.removeprefix("_")


def _not_leader(error: errors.NotLeader, out: pb.Error) -> None:
    out.not_leader.region_id = error.region_id
    if error.leader is not None:
        out.not_leader.leader.CopyFrom(peer_to_pb(error.leader))


def _region_not_found(error: errors.RegionNotFound, out: pb.Error) -> None:
    out.region_not_found.region_id = error.region_id


def _key_not_in_region(error: errors.KeyNotInRegion, out: pb.Error) -> None:
    member = out.key_not_in_region
    member.key = error.key
    member.region_id = error.region_id
    member.start_key = error.start_key
    member.end_key = error.end_key


def _epoch_not_match(error: errors.EpochNotMatch, out: pb.Error) -> None:
    out.epoch_not_match.SetInParent()
    out.epoch_not_match.current_regions.extend(region_to_pb(region) for region in error.current_regions)


def _store_not_match(error: errors.StoreNotMatch, out: pb.Error) -> None:
    out.store_not_match.request_store_id = error.request_store_id
    out.store_not_match.actual_store_id = error.actual_store_id


def _mismatch_peer_id(error: errors.MismatchPeerId, out: pb.Error) -> None:
    out.mismatch_peer_id.request_peer_id = error.request_peer_id
    out.mismatch_peer_id.store_peer_id = error.store_peer_id


def _stale_command(_error: errors.StaleCommand, out: pb.Error) -> None:
    out.stale_command.SetInParent()


def _server_is_busy(error: errors.ServerIsBusy, out: pb.Error) -> None:
    out.server_is_busy.reason = error.reason
    out.server_is_busy.backoff_ms = error.backoff_ms


def _raft_entry_too_large(error: errors.RaftEntryTooLarge, out: pb.Error) -> None:
    out.raft_entry_too_large.region_id = error.region_id
    out.raft_entry_too_large.entry_size = error.entry_size_bytes


def _read_index_not_ready(error: errors.ReadIndexNotReady, out: pb.Error) -> None:
    out.read_index_not_ready.region_id = error.region_id
    out.read_index_not_ready.reason = error.reason


def _undetermined_result(error: errors.UndeterminedResult, out: pb.Error) -> None:
    out.undetermined_result.message = str(error)


def _message_only(_error: errors.RegionError, _out: pb.Error) -> None:
    """The message says it all."""


_FILL: dict[type[errors.RegionError], Callable[[Any, pb.Error], None]] = {
    errors.NotLeader: _not_leader,
    errors.RegionNotFound: _region_not_found,
    errors.KeyNotInRegion: _key_not_in_region,
    errors.EpochNotMatch: _epoch_not_match,
    errors.StoreNotMatch: _store_not_match,
    errors.MismatchPeerId: _mismatch_peer_id,
    errors.StaleCommand: _stale_command,
    errors.ServerIsBusy: _server_is_busy,
    errors.RaftEntryTooLarge: _raft_entry_too_large,
    errors.ReadIndexNotReady: _read_index_not_ready,
    errors.UndeterminedResult: _undetermined_result,
    errors.InvalidSplitKeys: _message_only,
    errors.ChangeRefused: _message_only,
    errors.StoreClosing: _message_only,
}

TABLED_ERRORS = frozenset(_FILL)
"""The kinds of region error that the table names; a test holds that it misses none."""
