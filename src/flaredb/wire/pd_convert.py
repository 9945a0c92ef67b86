"""pdpb messages <-> the model and the placement core's vocabulary."""

from __future__ import annotations

from flaredb.model.cluster import DownPeer, RegionHeartbeat, RegionRoute, StoreStats
from flaredb.model.ids import StoreId
from flaredb.wire.convert import peer_from_pb, peer_to_pb, region_from_pb, region_to_pb
from flaredb.wire.pb import metapb_pb2, pdpb_pb2


def stats_to_pb(stats: StoreStats) -> pdpb_pb2.StoreStats:
    return pdpb_pb2.StoreStats(
        store_id=stats.store_id,
        capacity=stats.capacity_bytes,
        available=stats.available_bytes,
        used_size=stats.used_size_bytes,
        region_count=stats.region_count,
        start_time=stats.start_time_s,
        is_busy=stats.is_busy,
        sending_snap_count=stats.sending_snap_count,
        receiving_snap_count=stats.receiving_snap_count,
        applying_snap_count=stats.applying_snap_count,
        is_stopping=stats.is_stopping,
        bytes_written=stats.bytes_written,
        keys_written=stats.keys_written,
        bytes_read=stats.bytes_read,
        keys_read=stats.keys_read,
        interval=pdpb_pb2.TimeInterval(start_timestamp=stats.interval_start_s, end_timestamp=stats.interval_end_s),
    )


def stats_from_pb(stats: pdpb_pb2.StoreStats) -> StoreStats:
    return StoreStats(
        store_id=StoreId(stats.store_id),
        capacity_bytes=stats.capacity,
        available_bytes=stats.available,
        used_size_bytes=stats.used_size,
        region_count=stats.region_count,
        start_time_s=stats.start_time,
        is_busy=stats.is_busy,
        sending_snap_count=stats.sending_snap_count,
        receiving_snap_count=stats.receiving_snap_count,
        applying_snap_count=stats.applying_snap_count,
        is_stopping=stats.is_stopping,
        bytes_written=stats.bytes_written,
        keys_written=stats.keys_written,
        bytes_read=stats.bytes_read,
        keys_read=stats.keys_read,
        interval_start_s=stats.interval.start_timestamp,
        interval_end_s=stats.interval.end_timestamp,
    )


def down_peer_to_pb(down: DownPeer) -> pdpb_pb2.PeerStats:
    return pdpb_pb2.PeerStats(peer=peer_to_pb(down.peer), down_seconds=down.down_seconds)


def down_peer_from_pb(down: pdpb_pb2.PeerStats) -> DownPeer:
    return DownPeer(peer_from_pb(down.peer), down.down_seconds)


def heartbeat_to_pb(heartbeat: RegionHeartbeat) -> pdpb_pb2.RegionHeartbeatRequest:
    """Without a header: the sender knows its cluster."""
    return pdpb_pb2.RegionHeartbeatRequest(
        region=region_to_pb(heartbeat.region),
        leader=peer_to_pb(heartbeat.leader),
        term=heartbeat.term,
        down_peers=[down_peer_to_pb(down) for down in heartbeat.down_peers],
        pending_peers=[peer_to_pb(peer) for peer in heartbeat.pending_peers],
        bytes_written=heartbeat.bytes_written,
        keys_written=heartbeat.keys_written,
        bytes_read=heartbeat.bytes_read,
        keys_read=heartbeat.keys_read,
        approximate_size=heartbeat.approximate_size_bytes,
        approximate_keys=heartbeat.approximate_keys,
        interval=pdpb_pb2.TimeInterval(
            start_timestamp=heartbeat.interval_start_s, end_timestamp=heartbeat.interval_end_s
        ),
    )


def heartbeat_from_pb(heartbeat: pdpb_pb2.RegionHeartbeatRequest) -> RegionHeartbeat:
    """Errors: ValueError for a peer role that this build does not know."""
    return RegionHeartbeat(
        region=region_from_pb(heartbeat.region),
        leader=peer_from_pb(heartbeat.leader),
        term=heartbeat.term,
        down_peers=[down_peer_from_pb(down) for down in heartbeat.down_peers],
        pending_peers=[peer_from_pb(peer) for peer in heartbeat.pending_peers],
        bytes_written=heartbeat.bytes_written,
        keys_written=heartbeat.keys_written,
        bytes_read=heartbeat.bytes_read,
        keys_read=heartbeat.keys_read,
        approximate_size_bytes=heartbeat.approximate_size,
        approximate_keys=heartbeat.approximate_keys,
        interval_start_s=heartbeat.interval.start_timestamp,
        interval_end_s=heartbeat.interval.end_timestamp,
    )


def _leader_to_pb(route: RegionRoute) -> metapb_pb2.Peer | None:
    return peer_to_pb(route.leader) if route.leader is not None else None


def route_to_pb(route: RegionRoute) -> pdpb_pb2.Region:
    """As ScanRegions lists it."""
    return pdpb_pb2.Region(
        region=region_to_pb(route.region),
        leader=_leader_to_pb(route),
        down_peers=[down_peer_to_pb(down) for down in route.down_peers],
        pending_peers=[peer_to_pb(peer) for peer in route.pending_peers],
    )


def route_from_pb(
    region: pdpb_pb2.Region | pdpb_pb2.RegionResponse | pdpb_pb2.GetRegionResponse,
) -> RegionRoute:
    """Pre: its ``region`` is set. A leader without an id is no leader."""
    return RegionRoute(
        region_from_pb(region.region),
        peer_from_pb(region.leader) if region.leader.id else None,
        tuple(down_peer_from_pb(down) for down in region.down_peers),
        tuple(peer_from_pb(peer) for peer in region.pending_peers),
    )


def route_to_response(route: RegionRoute) -> pdpb_pb2.RegionResponse:
    """As QueryRegion lists it."""
    return pdpb_pb2.RegionResponse(
        region=region_to_pb(route.region),
        leader=_leader_to_pb(route),
        down_peers=[down_peer_to_pb(down) for down in route.down_peers],
        pending_peers=[peer_to_pb(peer) for peer in route.pending_peers],
    )


def fill_region_response(response: pdpb_pb2.GetRegionResponse, route: RegionRoute | None) -> None:
    """As GetRegion answers; nothing is set where no region was found."""
    if route is None:
        return
    response.region.CopyFrom(region_to_pb(route.region))
    if route.leader is not None:
        response.leader.CopyFrom(peer_to_pb(route.leader))
    response.down_peers.extend(down_peer_to_pb(down) for down in route.down_peers)
    response.pending_peers.extend(peer_to_pb(peer) for peer in route.pending_peers)


def barrier_to_pb(service_id: bytes, safe_point: int, ttl_s: int) -> pdpb_pb2.GCBarrierInfo:
    """A service's hold on old data, in the newer protocol's words."""
    return pdpb_pb2.GCBarrierInfo(
        barrier_id=service_id.decode(errors="replace"), barrier_ts=safe_point, ttl_seconds=ttl_s
    )
