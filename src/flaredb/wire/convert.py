"""Cluster objects between the protocol (metapb) and the model: regions, peers, epochs, stores.

Fields that the model does not keep (encryption, flashback, witness) are left unset on the way out.
"""

from __future__ import annotations

from flaredb.model.cluster import NodeState, StoreMeta, StoreState
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.wire.pb import metapb_pb2 as metapb


def epoch_to_pb(epoch: RegionEpoch) -> metapb.RegionEpoch:
    """The epoch as clients and stores exchange it."""
    return metapb.RegionEpoch(conf_ver=epoch.conf_ver, version=epoch.version)


def epoch_from_pb(message: metapb.RegionEpoch) -> RegionEpoch:
    """The epoch; an unset message is (0, 0), which no region has."""
    return RegionEpoch(version=message.version, conf_ver=message.conf_ver)


def peer_to_pb(peer: Peer) -> metapb.Peer:
    """The replica as clients and stores exchange it."""
    return metapb.Peer(id=peer.id, store_id=peer.store_id, role=int(peer.role))  # type: ignore[arg-type]


def peer_from_pb(message: metapb.Peer) -> Peer:
    """The replica.

    Errors: ValueError for a role that the protocol does not have.
    """
    return Peer(PeerId(message.id), StoreId(message.store_id), PeerRole(message.role))


def region_to_pb(region: Region) -> metapb.Region:
    """The region with its range, epoch and replicas, in their order."""
    return metapb.Region(
        id=region.id,
        start_key=region.start_key,
        end_key=region.end_key,
        region_epoch=epoch_to_pb(region.epoch),
        peers=[peer_to_pb(peer) for peer in region.peers],
    )


def region_from_pb(message: metapb.Region) -> Region:
    """The region.

    Errors: ValueError for a replica without an id or a store, or of a role that the protocol does not have.
    """
    if not all(peer.id and peer.store_id for peer in message.peers):
        raise ValueError(f"region {message.id} has a member without an id or a store")
    return Region(
        id=RegionId(message.id),
        start_key=message.start_key,
        end_key=message.end_key,
        epoch=epoch_from_pb(message.region_epoch),
        peers=tuple(peer_from_pb(peer) for peer in message.peers),
    )


def store_to_pb(store: StoreMeta) -> metapb.Store:
    """The store with everything the model knows of it."""
    return metapb.Store(
        id=store.id,
        address=store.address,
        peer_address=store.peer_address,
        status_address=store.status_address,
        version=store.version,
        labels=[metapb.StoreLabel(key=key, value=value) for key, value in store.labels],
        state=int(store.state),  # type: ignore[arg-type]
        node_state=int(store.node_state),  # type: ignore[arg-type]
        start_timestamp=store.start_timestamp_s,
        last_heartbeat=store.last_heartbeat_ns,
        deploy_path=store.deploy_path,
        git_hash=store.git_hash,
    )


def store_from_pb(message: metapb.Store) -> StoreMeta:
    """The store.

    Errors: ValueError for a state that the protocol does not have.
    """
    return StoreMeta(
        id=StoreId(message.id),
        address=message.address,
        peer_address=message.peer_address,
        status_address=message.status_address,
        version=message.version,
        labels=tuple((label.key, label.value) for label in message.labels),
        state=StoreState(message.state),
        node_state=NodeState(message.node_state),
        start_timestamp_s=message.start_timestamp,
        last_heartbeat_ns=message.last_heartbeat,
        deploy_path=message.deploy_path,
        git_hash=message.git_hash,
    )
