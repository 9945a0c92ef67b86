"""errorpb -> what a client learns of a refused request: the reverse of errors.py, for every error that servers send."""

from __future__ import annotations

from flaredb.model.outcomes import Cause, Refusal
from flaredb.wire.convert import peer_from_pb, region_from_pb
from flaredb.wire.pb import errorpb_pb2 as pb

_CAUSES = {
    "not_leader": Cause.NOT_LEADER,
    "region_not_found": Cause.REGION_NOT_FOUND,
    "key_not_in_region": Cause.KEY_NOT_IN_REGION,
    "epoch_not_match": Cause.EPOCH_NOT_MATCH,
    "server_is_busy": Cause.SERVER_IS_BUSY,
    "stale_command": Cause.STALE_COMMAND,
    "store_not_match": Cause.STORE_NOT_MATCH,
    "raft_entry_too_large": Cause.RAFT_ENTRY_TOO_LARGE,
    "max_timestamp_not_synced": Cause.MAX_TIMESTAMP_NOT_SYNCED,
    "read_index_not_ready": Cause.READ_INDEX_NOT_READY,
    "proposal_in_merging_mode": Cause.PROPOSAL_IN_MERGING_MODE,
    "data_is_not_ready": Cause.DATA_IS_NOT_READY,
    "region_not_initialized": Cause.REGION_NOT_INITIALIZED,
    "disk_full": Cause.DISK_FULL,
    "RecoveryInProgress": Cause.RECOVERY_IN_PROGRESS,
    "FlashbackInProgress": Cause.FLASHBACK_IN_PROGRESS,
    "FlashbackNotPrepared": Cause.FLASHBACK_NOT_PREPARED,
    "is_witness": Cause.IS_WITNESS,
    "mismatch_peer_id": Cause.MISMATCH_PEER_ID,
    "bucket_version_not_match": Cause.BUCKET_VERSION_NOT_MATCH,
    "undetermined_result": Cause.UNDETERMINED_RESULT,
}
"""Member of errorpb.Error -> cause; a test holds that it misses none."""


def refusal_from_pb(error: pb.Error) -> Refusal:
    """The refusal; an error with only a message, or of a kind that this build does not know, is OTHER_REGION_ERROR.

    Errors: ValueError for a replica's role that the protocol does not have.
    """
    member = next((field.name for field, _ in error.ListFields() if field.name != "message"), "")
    refusal = Refusal(_CAUSES.get(member, Cause.OTHER_REGION_ERROR), error.message)
    if member == "not_leader" and error.not_leader.leader.id:
        refusal.leader = peer_from_pb(error.not_leader.leader)
    elif member == "epoch_not_match":
        refusal.regions = tuple(region_from_pb(region) for region in error.epoch_not_match.current_regions)
    elif member == "server_is_busy":
        refusal.backoff_ms = error.server_is_busy.backoff_ms
    elif member == "raft_entry_too_large":
        refusal.size_bytes = error.raft_entry_too_large.entry_size
    return refusal
