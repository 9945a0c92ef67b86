"""What PD orders a region's leader to do, one step at a time (wire facts 4.5).

An order is carried out only by the leader it names, and only at exactly the epoch it names; otherwise it is dropped
without an answer. PD judges progress by what heartbeats show, and repeats an order that shows no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from flaredb.model.ids import RegionId
from flaredb.model.region import Peer, RegionEpoch


class ChangeKind(IntEnum):
    """One step of a membership change; numbers of eraftpb.ConfChangeType."""

    ADD_NODE = 0
    """Make the peer a voter; an existing learner is promoted."""

    REMOVE_NODE = 1
    ADD_LEARNER_NODE = 2
    """Make the peer a learner; an existing voter is demoted."""


class SplitPolicy(IntEnum):
    """How the keys of an ordered split are found; numbers of pdpb.CheckPolicy."""

    SCAN = 0
    """Read all rows, cut where the piece to the left holds half of the bytes."""

    APPROXIMATE = 1
    """As SCAN, from samples where they are good enough."""

    USEKEY = 2
    """Cut at the keys given."""


@dataclass(frozen=True, slots=True)
class PeerChange:
    """What is to become of one replica."""

    kind: ChangeKind
    peer: Peer


@dataclass(frozen=True, slots=True)
class ChangePeers:
    """One change: simple. Several: enter a joint configuration. None: leave it."""

    changes: tuple[PeerChange, ...]


@dataclass(frozen=True, slots=True)
class TransferLeader:
    """Hand leadership to one of these peers, whichever is furthest."""

    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class SplitOrder:
    """Cut the region; ``keys`` only with USEKEY."""

    policy: SplitPolicy
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class RegionOrder:
    """An order to the leader ``target`` of a region, valid at exactly ``epoch``."""

    region_id: RegionId
    epoch: RegionEpoch
    target: Peer
    step: ChangePeers | TransferLeader | SplitOrder
