"""SplitRegion on the wire: raw and encoded keys, results, region errors, requests that are wrong in themselves."""

from __future__ import annotations

import grpc

from flaredb.model.commands import Split
from flaredb.model.errors import EpochNotMatch, InvalidSplitKeys
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.keys import encode_memcomparable
from flaredb.model.region import Peer, Region, RegionEpoch
from flaredb.wire.convert import region_to_pb
from flaredb.wire.pb import kvrpcpb_pb2
from tests.rim.kv_rig import STORE_ID, context, each_front, serve  # noqa: F401

EPOCH = RegionEpoch(version=4, conf_ver=1)


def region(region_id: int, start: bytes, end: bytes) -> Region:
    return Region(RegionId(region_id), start, end, EPOCH, (Peer(PeerId(region_id * 10), StoreId(STORE_ID)),))


LEFT, MIDDLE, RIGHT = region(8, b"", b"g"), region(9, b"g", b"m"), region(7, b"m", b"")


async def test_the_store_gets_sorted_raw_keys_with_both_parts_of_the_epoch() -> None:
    async with serve() as rig:
        rig.store.decide = lambda request: (LEFT, MIDDLE, RIGHT)
        answer = await rig.call("SplitRegion", split_keys=[b"m", b"g", b"m"], is_raw_kv=True)
        (request,) = rig.store.requests
        assert request.command == Split((b"g", b"m"), conf_ver=1)
        assert (request.region_id, request.version, request.peer_id, request.store_id) == (7, 3, 11, STORE_ID)
        assert list(answer.regions) == [region_to_pb(found) for found in (LEFT, MIDDLE, RIGHT)]
        assert not answer.HasField("left")
        assert not answer.HasField("right")


async def test_two_results_are_left_and_right_and_the_old_single_key_is_read() -> None:
    async with serve() as rig:
        rig.store.decide = lambda request: (MIDDLE, RIGHT)
        answer = await rig.call("SplitRegion", split_key=b"m", is_raw_kv=True)
        assert rig.store.requests[0].command == Split((b"m",), conf_ver=1)
        assert (answer.left, answer.right) == (region_to_pb(MIDDLE), region_to_pb(RIGHT))


async def test_keys_that_are_not_raw_are_encoded() -> None:
    async with serve() as rig:
        rig.store.decide = lambda request: (MIDDLE, RIGHT)
        await rig.call("SplitRegion", split_keys=[b"t1", b""])
        assert rig.store.requests[0].command == Split((b"", encode_memcomparable(b"t1")), conf_ver=1)


async def test_region_errors_are_told_as_such() -> None:
    async with serve() as rig:
        rig.store.decide = lambda request: EpochNotMatch(RegionId(7), 3, (RIGHT, LEFT, MIDDLE))
        answer = await rig.call("SplitRegion", split_keys=[b"m"], is_raw_kv=True)
        assert len(answer.region_error.epoch_not_match.current_regions) == 3
        rig.store.decide = lambda request: InvalidSplitKeys(RegionId(7), "because")
        answer = await rig.call("SplitRegion", split_keys=[b"m"], is_raw_kv=True)
        assert "because" in answer.region_error.message


async def test_requests_that_are_wrong_in_themselves_are_a_status() -> None:
    async with serve() as rig:
        other = await rig.error("SplitRegion", context=context(cluster_id=99), split_keys=[b"m"])
        assert other.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "99" in (other.details() or "")
        version = await rig.error("SplitRegion", context=context(api_version=kvrpcpb_pb2.V2), split_keys=[b"m"])
        assert version.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert not rig.store.requests
