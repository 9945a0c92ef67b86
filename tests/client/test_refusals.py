"""Region errors there and back: what the wire makes of them, the client reads as the same."""

from __future__ import annotations

import pytest

from flaredb.model import errors
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.outcomes import Cause, Refusal
from flaredb.wire.errors import region_error_to_pb
from flaredb.wire.pb import errorpb_pb2
from flaredb.wire.refusals import _CAUSES, refusal_from_pb
from tests.client.driving import region

R = region(7, b"a", b"b", version=4)
ID = RegionId(7)
THERE_AND_BACK = [
    (errors.NotLeader(ID, R.peers[1]), Cause.NOT_LEADER, {"leader": R.peers[1]}),
    (errors.NotLeader(ID, None), Cause.NOT_LEADER, {}),
    (errors.RegionNotFound(ID, StoreId(1)), Cause.REGION_NOT_FOUND, {}),
    (errors.KeyNotInRegion(b"k", R), Cause.KEY_NOT_IN_REGION, {}),
    (errors.EpochNotMatch(ID, 3, [R]), Cause.EPOCH_NOT_MATCH, {"regions": (R,)}),
    (errors.StoreNotMatch(StoreId(1), StoreId(2)), Cause.STORE_NOT_MATCH, {}),
    (errors.MismatchPeerId(ID, PeerId(1), PeerId(2)), Cause.MISMATCH_PEER_ID, {}),
    (errors.StaleCommand(), Cause.STALE_COMMAND, {}),
    (errors.ServerIsBusy("full", 30), Cause.SERVER_IS_BUSY, {"backoff_ms": 30}),
    (errors.RaftEntryTooLarge(ID, 9, 8), Cause.RAFT_ENTRY_TOO_LARGE, {"size_bytes": 9}),
    (errors.ReadIndexNotReady(ID, "no quorum"), Cause.READ_INDEX_NOT_READY, {}),
    (errors.UndeterminedResult(ID, 5), Cause.UNDETERMINED_RESULT, {}),
    (errors.StoreClosing(), Cause.OTHER_REGION_ERROR, {}),
]


@pytest.mark.parametrize(("error", "cause", "more"), THERE_AND_BACK, ids=lambda item: type(item).__name__)
def test_there_and_back(error: errors.RegionError, cause: Cause, more: dict[str, object]) -> None:
    assert refusal_from_pb(region_error_to_pb(error)) == Refusal(cause, str(error), **more)  # type: ignore[arg-type]


def test_every_kind_of_error_is_known() -> None:
    members = {field.name for field in errorpb_pb2.Error.DESCRIPTOR.fields} - {"message"}
    assert set(_CAUSES) == members
