"""Errors: each says what is wrong with names and numbers, what to do, and whether to try again."""

from __future__ import annotations

import inspect

import pytest

from flaredb.model import errors
from flaredb.model.errors import (
    EpochNotMatch,
    FlareDBError,
    KeyNotInRegion,
    MismatchPeerId,
    NotLeader,
    RaftEntryTooLarge,
    ReadIndexNotReady,
    RegionError,
    RegionNotFound,
    ServerIsBusy,
    StaleCommand,
    StoreClosing,
    StoreNotMatch,
)
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, Region, RegionEpoch

REGION = Region(RegionId(7), b"a", b"", RegionEpoch(5, 3), (Peer(PeerId(11), StoreId(1)),))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotLeader(RegionId(7), REGION.peers[0]), ["region 7", "peer 11", "store 1"]),
        (NotLeader(RegionId(7), None), ["region 7", "no leader is known yet"]),
        (RegionNotFound(RegionId(7), StoreId(2)), ["region 7", "store 2"]),
        (RegionNotFound(RegionId(7), StoreId(2), "it was moved"), ["region 7", "store 2", "it was moved"]),
        (KeyNotInRegion(b"\x00A", REGION), [r"b'\x00A'", "region 7", "[b'a', +inf)"]),
        (EpochNotMatch(RegionId(7), 4, [REGION]), ["region 7", "version 5", "the request has 4"]),
        (EpochNotMatch(RegionId(7), 4, []), ["region 7", "the request has 4"]),
        (StoreNotMatch(StoreId(1), StoreId(2)), ["this is store 2", "for store 1"]),
        (MismatchPeerId(RegionId(7), PeerId(10), PeerId(11)), ["region 7", "peer 11 here", "for peer 10"]),
        (StaleCommand(), ["was not applied"]),
        (ServerIsBusy("the queue is full", 250), ["the queue is full", "250 ms"]),
        (
            RaftEntryTooLarge(RegionId(7), 9_000_000, 8_388_608),
            ["9000000 bytes", "8388608 bytes", "raftstore.raft-entry-max-size", "smaller batches"],
        ),
        (ReadIndexNotReady(RegionId(7), "no quorum"), ["region 7", "no quorum"]),
        (StoreClosing(), ["shutting down"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_message_names_what_it_is_about(error: RegionError, words: list[str]) -> None:
    assert all(word in str(error) for word in words), str(error)


def test_what_clients_need_is_kept_as_values() -> None:
    assert NotLeader(RegionId(7), REGION.peers[0]).leader == REGION.peers[0]
    outside = KeyNotInRegion(b"A", REGION)
    assert (outside.key, outside.region_id, outside.start_key, outside.end_key) == (b"A", 7, b"a", b"")
    assert EpochNotMatch(RegionId(7), 4, [REGION]).current_regions == (REGION,)
    assert ServerIsBusy("x", 250).backoff_ms == 250
    mismatch = StoreNotMatch(StoreId(1), StoreId(2))
    assert (mismatch.request_store_id, mismatch.actual_store_id) == (1, 2)


def test_only_what_can_change_is_worth_another_try() -> None:
    assert NotLeader(RegionId(7), None).retryable
    assert ServerIsBusy("x", 1).retryable
    assert not RaftEntryTooLarge(RegionId(7), 9, 8).retryable
    assert not errors.ConfigError("x").retryable
    assert not errors.InvalidRequest("x").retryable


def test_every_error_belongs_to_the_tree_and_explains_itself() -> None:
    own = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert len(own) > 10
    for kind in own:
        assert issubclass(kind, FlareDBError)
        assert kind.__doc__, kind


def test_a_caller_can_catch_region_errors_apart_from_wrong_requests() -> None:
    assert not issubclass(errors.InvalidRequest, RegionError)
    assert not issubclass(errors.ConfigError, RegionError)
