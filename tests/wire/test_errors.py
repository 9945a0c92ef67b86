"""Every region error reaches clients with its member and a message."""

from __future__ import annotations

import pytest

from flaredb.model import errors
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, Region, RegionEpoch
from flaredb.wire.errors import TABLED_ERRORS, region_error_to_pb

REGION = Region(
    RegionId(7), b"b", b"m", RegionEpoch(3, 2), (Peer(PeerId(11), StoreId(1)), Peer(PeerId(12), StoreId(2)))
)
LEADER = REGION.peers[1]

CASES = [
    ("a leader elsewhere", errors.NotLeader(RegionId(7), LEADER), "not_leader"),
    ("no leader yet", errors.NotLeader(RegionId(7), None), "not_leader"),
    ("region not here", errors.RegionNotFound(RegionId(7), StoreId(1)), "region_not_found"),
    ("key outside", errors.KeyNotInRegion(b"z", REGION), "key_not_in_region"),
    ("region has changed", errors.EpochNotMatch(RegionId(7), 2, [REGION]), "epoch_not_match"),
    ("region has changed, nothing known", errors.EpochNotMatch(RegionId(7), 2, []), "epoch_not_match"),
    ("another store", errors.StoreNotMatch(StoreId(4), StoreId(1)), "store_not_match"),
    ("another replica", errors.MismatchPeerId(RegionId(7), PeerId(9), PeerId(11)), "mismatch_peer_id"),
    ("overtaken", errors.StaleCommand(), "stale_command"),
    ("overloaded", errors.ServerIsBusy("the queue is full", 250), "server_is_busy"),
    ("too large", errors.RaftEntryTooLarge(RegionId(7), 9_000_000, 8_388_608), "raft_entry_too_large"),
    ("no read index", errors.ReadIndexNotReady(RegionId(7), "a new leader"), "read_index_not_ready"),
    ("fate not known", errors.UndeterminedResult(RegionId(7), 900), "undetermined_result"),
    ("closing", errors.StoreClosing(), None),
]


@pytest.mark.parametrize(("error", "member"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_error_sets_its_message_and_only_its_member(error: errors.RegionError, member: str | None) -> None:
    out = region_error_to_pb(error)
    assert out.message == str(error) != ""
    assert [field.name for field, _ in out.ListFields() if field.name != "message"] == ([member] if member else [])


def test_the_table_names_every_region_error_of_the_model() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RegionError)}
    assert kinds - {errors.RegionError} == TABLED_ERRORS


def test_the_leader_is_a_whole_peer_or_unset() -> None:
    known = region_error_to_pb(errors.NotLeader(RegionId(7), LEADER)).not_leader
    assert (known.region_id, known.leader.id, known.leader.store_id) == (7, 12, 2)
    assert not region_error_to_pb(errors.NotLeader(RegionId(7), None)).not_leader.HasField("leader")


def test_bounds_and_current_regions_are_told() -> None:
    outside = region_error_to_pb(errors.KeyNotInRegion(b"z", REGION)).key_not_in_region
    assert (outside.key, outside.region_id, outside.start_key, outside.end_key) == (b"z", 7, b"b", b"m")
    (current,) = region_error_to_pb(errors.EpochNotMatch(RegionId(7), 2, [REGION])).epoch_not_match.current_regions
    assert (current.id, current.region_epoch.version, [peer.id for peer in current.peers]) == (7, 3, [11, 12])


def test_numbers_of_the_other_members() -> None:
    busy = region_error_to_pb(errors.ServerIsBusy("the queue is full", 250)).server_is_busy
    assert (busy.reason, busy.backoff_ms) == ("the queue is full", 250)
    large = region_error_to_pb(errors.RaftEntryTooLarge(RegionId(7), 9_000_000, 8_388_608)).raft_entry_too_large
    assert (large.region_id, large.entry_size) == (7, 9_000_000)
    store = region_error_to_pb(errors.StoreNotMatch(StoreId(4), StoreId(1))).store_not_match
    assert (store.request_store_id, store.actual_store_id) == (4, 1)
    peer = region_error_to_pb(errors.MismatchPeerId(RegionId(7), PeerId(9), PeerId(11))).mismatch_peer_id
    assert (peer.request_peer_id, peer.store_peer_id) == (9, 11)
    read = region_error_to_pb(errors.ReadIndexNotReady(RegionId(7), "a new leader")).read_index_not_ready
    assert (read.region_id, read.reason) == (7, "a new leader")
    unknown = region_error_to_pb(errors.UndeterminedResult(RegionId(7), 900)).undetermined_result
    assert "may still be applied" in unknown.message
