"""SplitRegion between its protobuf messages and the store's command (wire facts 2.6 and 3.7)."""

from __future__ import annotations

from collections.abc import Sequence

from flaredb.model.commands import Split
from flaredb.model.errors import RegionError
from flaredb.model.keys import encode_memcomparable
from flaredb.model.region import Region
from flaredb.wire.convert import region_to_pb
from flaredb.wire.errors import region_error_to_pb
from flaredb.wire.pb import kvrpcpb_pb2 as pb


def read_split(data: bytes) -> tuple[bytes, Split]:
    """The encoded context of a SplitRegionRequest, and its command; keys in order, each once.

    Keys that are not raw are memcomparable-encoded, as transactional clients encode theirs. Which keys fit, the region
    decides. Errors: DecodeError.
    """
    request = pb.SplitRegionRequest.FromString(data)
    keys = list(request.split_keys) or [request.split_key]
    if not request.is_raw_kv:
        keys = [encode_memcomparable(key) if key else key for key in keys]
    conf_ver = request.context.region_epoch.conf_ver
    return request.context.SerializeToString(), Split(tuple(sorted(set(keys))), conf_ver)


def encode_split_result(result: Sequence[Region] | RegionError) -> bytes:
    """SplitRegionResponse: all results in key order; left and right too where there are exactly two."""
    if isinstance(result, RegionError):
        return pb.SplitRegionResponse(region_error=region_error_to_pb(result)).SerializeToString()
    response = pb.SplitRegionResponse(regions=[region_to_pb(region) for region in result])
    if len(result) == 2:
        response.left.CopyFrom(response.regions[0])
        response.right.CopyFrom(response.regions[1])
    return response.SerializeToString()
