"""The steps that operators are made of. A step judges itself by what the region's leader reports, and by nothing else.

What a step adds to conf_ver: wire facts 4.6; when it is finished and how long it may take: wire facts 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flaredb.model.ids import PeerId, StoreId
from flaredb.model.keys import format_key
from flaredb.model.orders import (
    ChangeKind,
    ChangePeers,
    PeerChange,
    SplitOrder,
    SplitPolicy,
)
from flaredb.model.orders import TransferLeader as TransferOrder
from flaredb.model.region import Peer, PeerRole
from flaredb.pd.region_tree import RegionRecord

Order = ChangePeers | TransferOrder | SplitOrder

_FAST_MS = 60_000
_FAST_MS_PER_MIB = 600
_SLOW_MS = 600_000
_SLOW_MS_PER_MIB = 6_000

RESEND_MS = 5_000
RESEND_QUICK_MS = 2_000
IN_JOINT = (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER)


def fast_ms(size_mib: int) -> int:
    """Time for a step that moves no data."""
    return max(_FAST_MS, _FAST_MS_PER_MIB * size_mib)


def slow_ms(size_mib: int) -> int:
    """Time for a step that copies the region."""
    return max(_SLOW_MS, _SLOW_MS_PER_MIB * size_mib)


class Step(Protocol):
    """One thing for a region's leader to do."""

    @property
    def conf_ver_delta(self) -> int:
        """What it adds to the region's conf_ver once it is finished."""

    @property
    def resend_ms(self) -> int:
        """After which time an order without effect is repeated."""

    def is_finished(self, record: RegionRecord, /) -> bool:
        """The leader reports what the step is for."""

    def conf_ver_seen(self, record: RegionRecord, /) -> int:
        """What it has added to conf_ver so far, while it is not finished."""

    def problem(self, record: RegionRecord, /) -> str:
        """Why it can never be finished; "" if it still can."""

    def order(self) -> Order:
        """What to tell the leader."""

    def timeout_ms(self, size_mib: int) -> int:
        """How long it may take."""


@dataclass(frozen=True, slots=True)
class PeerAt:
    """A replica and where it is."""

    peer_id: PeerId
    store_id: StoreId

    def role_in(self, record: RegionRecord) -> PeerRole | None:
        """Its role now; None if the region has no such replica."""
        peer = record.region.peer_on(self.store_id)
        return peer.role if peer is not None and peer.id == self.peer_id else None

    def __str__(self) -> str:
        return f"peer {self.peer_id} on store {self.store_id}"


@dataclass(frozen=True, slots=True)
class AddLearner:
    """A new replica; finished once it keeps up."""

    at: PeerAt
    conf_ver_delta = 1
    resend_ms = RESEND_MS

    def is_finished(self, record: RegionRecord, /) -> bool:
        """It is there and not pending."""
        return (
            self.at.role_in(record) is not None
            and not record.is_pending(self.at.peer_id)
            and not record.is_down(self.at.peer_id)
        )

    def conf_ver_seen(self, record: RegionRecord, /) -> int:
        """1 from when it is there, though it does not keep up yet."""
        return int(self.at.role_in(record) is not None)

    def problem(self, record: RegionRecord, /) -> str:
        """Another replica on that store."""
        other = record.region.peer_on(self.at.store_id)
        if other is not None and other.id != self.at.peer_id:
            return f"store {self.at.store_id} holds another replica, peer {other.id}"
        return ""

    def order(self) -> Order:
        """One simple change."""
        return _simple(ChangeKind.ADD_LEARNER_NODE, self.at, PeerRole.LEARNER)

    def timeout_ms(self, size_mib: int) -> int:
        """Slow: data is copied."""
        return slow_ms(size_mib)

    def __str__(self) -> str:
        return f"add learner {self.at}"


@dataclass(frozen=True, slots=True)
class PromoteLearner:
    """A learner becomes a voter."""

    at: PeerAt
    conf_ver_delta = 1
    resend_ms = RESEND_QUICK_MS

    def is_finished(self, record: RegionRecord, /) -> bool:
        """It votes."""
        return self.at.role_in(record) == PeerRole.VOTER

    def conf_ver_seen(self, _record: RegionRecord, /) -> int:
        """Nothing before it is finished."""
        return 0

    def problem(self, record: RegionRecord, /) -> str:
        """The learner is gone."""
        return "" if self.at.role_in(record) is not None else f"{self.at} is not there any more"

    def order(self) -> Order:
        """One simple change."""
        return _simple(ChangeKind.ADD_NODE, self.at, PeerRole.VOTER)

    def timeout_ms(self, size_mib: int) -> int:
        """Fast."""
        return fast_ms(size_mib)

    def __str__(self) -> str:
        return f"promote learner {self.at}"


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """A replica goes; never the leader."""

    at: PeerAt
    conf_ver_delta = 1
    resend_ms = RESEND_MS

    def is_finished(self, record: RegionRecord, /) -> bool:
        """It is gone."""
        return self.at.role_in(record) is None

    def conf_ver_seen(self, _record: RegionRecord, /) -> int:
        """Nothing before it is finished."""
        return 0

    def problem(self, record: RegionRecord, /) -> str:
        """It leads the region (again)."""
        if record.leader is not None and record.leader.id == self.at.peer_id:
            return f"{self.at} leads the region"
        return ""

    def order(self) -> Order:
        """One simple change."""
        return _simple(ChangeKind.REMOVE_NODE, self.at, PeerRole.VOTER)

    def timeout_ms(self, size_mib: int) -> int:
        """Fast."""
        return fast_ms(size_mib)

    def __str__(self) -> str:
        return f"remove {self.at}"


@dataclass(frozen=True, slots=True)
class TransferLeader:
    """Another voter leads."""

    from_store_id: StoreId
    at: PeerAt
    conf_ver_delta = 0
    resend_ms = RESEND_QUICK_MS

    def is_finished(self, record: RegionRecord, /) -> bool:
        """It leads."""
        return record.leader is not None and record.leader.id == self.at.peer_id

    def conf_ver_seen(self, _record: RegionRecord, /) -> int:
        """It changes no members."""
        return 0

    def problem(self, record: RegionRecord, /) -> str:
        """It is gone, not heard, or does not vote."""
        role = self.at.role_in(record)
        if role is None:
            return f"{self.at} is not there any more"
        if record.is_down(self.at.peer_id):
            return f"{self.at} is not heard"
        return f"{self.at} is a learner" if role == PeerRole.LEARNER else ""

    def order(self) -> Order:
        """To one peer."""
        return TransferOrder((Peer(self.at.peer_id, self.at.store_id),))

    def timeout_ms(self, size_mib: int) -> int:
        """Fast."""
        return fast_ms(size_mib)

    def __str__(self) -> str:
        return f"transfer leader from store {self.from_store_id} to store {self.at.store_id}"


@dataclass(frozen=True, slots=True)
class EnterJoint:
    """Several voters change at once: the region enters a joint configuration."""

    promotes: tuple[PeerAt, ...]
    demotes: tuple[PeerAt, ...]
    resend_ms = RESEND_QUICK_MS

    @property
    def conf_ver_delta(self) -> int:
        """One per replica."""
        return len(self.promotes) + len(self.demotes)

    def is_finished(self, record: RegionRecord, /) -> bool:
        """All named are in their roles, or past them: the leader may have left the joint configuration by itself."""
        return all(at.role_in(record) in (PeerRole.INCOMING_VOTER, PeerRole.VOTER) for at in self.promotes) and all(
            at.role_in(record) in (PeerRole.DEMOTING_VOTER, PeerRole.LEARNER) for at in self.demotes
        )

    def conf_ver_seen(self, _record: RegionRecord, /) -> int:
        """All or nothing."""
        return 0

    def problem(self, record: RegionRecord, /) -> str:
        """One of them is gone, or the leader would be demoted."""
        for at in (*self.promotes, *self.demotes):
            if at.role_in(record) is None:
                return f"{at} is not there any more"
        if record.leader is not None and any(at.peer_id == record.leader.id for at in self.demotes):
            return (
                f"peer {record.leader.id} on store {record.leader.store_id}, which is to be removed, leads the region"
            )
        return ""

    def order(self) -> Order:
        """All changes in one order."""
        promotes = (_change(ChangeKind.ADD_NODE, at, PeerRole.VOTER) for at in self.promotes)
        demotes = (_change(ChangeKind.ADD_LEARNER_NODE, at, PeerRole.LEARNER) for at in self.demotes)
        return ChangePeers((*promotes, *demotes))

    def timeout_ms(self, size_mib: int) -> int:
        """Fast, once more for each change."""
        return fast_ms(size_mib) * (self.conf_ver_delta + 1)

    def __str__(self) -> str:
        return "enter joint configuration: " + _changes_in_words(self.promotes, self.demotes)


@dataclass(frozen=True, slots=True)
class LeaveJoint:
    """Only the new voters of a joint configuration stay voters."""

    promotes: tuple[PeerAt, ...]
    demotes: tuple[PeerAt, ...]
    resend_ms = RESEND_QUICK_MS

    @property
    def conf_ver_delta(self) -> int:
        """One per replica."""
        return len(self.promotes) + len(self.demotes)

    def is_finished(self, record: RegionRecord, /) -> bool:
        """No replica is between two roles."""
        return not any(peer.role in IN_JOINT for peer in record.region.peers)

    def conf_ver_seen(self, _record: RegionRecord, /) -> int:
        """All or nothing."""
        return 0

    def problem(self, record: RegionRecord, /) -> str:
        """The leader would lose its vote."""
        if record.leader is not None:
            leader = record.region.peer(record.leader.id)
            if leader is not None and leader.role == PeerRole.DEMOTING_VOTER:
                return f"peer {leader.id} on store {leader.store_id}, which is being demoted, leads the region"
        return ""

    def order(self) -> Order:
        """No changes: leave."""
        return ChangePeers(())

    def timeout_ms(self, size_mib: int) -> int:
        """Fast, once more for each change."""
        return fast_ms(size_mib) * (self.conf_ver_delta + 1)

    def __str__(self) -> str:
        return "leave joint configuration: " + _changes_in_words(self.promotes, self.demotes)


@dataclass(frozen=True, slots=True)
class SplitRegion:
    """The region is cut; finished once its range is another."""

    start_key: bytes
    end_key: bytes
    policy: SplitPolicy
    keys: tuple[bytes, ...] = ()
    conf_ver_delta = 0
    resend_ms = RESEND_MS

    def is_finished(self, record: RegionRecord, /) -> bool:
        """Its range changed."""
        return (record.region.start_key, record.region.end_key) != (self.start_key, self.end_key)

    def conf_ver_seen(self, _record: RegionRecord, /) -> int:
        """It changes no members."""
        return 0

    def problem(self, _record: RegionRecord, /) -> str:
        """None."""
        return ""

    def order(self) -> Order:
        """The policy and the keys."""
        return SplitOrder(self.policy, self.keys)

    def timeout_ms(self, size_mib: int) -> int:
        """Fast."""
        return fast_ms(size_mib)

    def __str__(self) -> str:
        if self.policy != SplitPolicy.USEKEY:
            return f"split region in halves ({self.policy.name.lower()})"
        more = f" and {len(self.keys) - 1} more keys" if len(self.keys) > 1 else ""
        return f"split region at {format_key(self.keys[0])}{more}"


def must_wait(step: Step, record: RegionRecord) -> bool:
    """The replica that is to vote or lead does not keep up just now; a new leader says so of all for a moment."""
    match step:
        case PromoteLearner(at) | TransferLeader(_, at):
            return record.is_pending(at.peer_id)
        case EnterJoint(promotes, _):
            return any(record.is_pending(at.peer_id) for at in promotes)
        case _:
            return False


def _change(kind: ChangeKind, at: PeerAt, role: PeerRole) -> PeerChange:
    return PeerChange(kind, Peer(at.peer_id, at.store_id, role))


def _simple(kind: ChangeKind, at: PeerAt, role: PeerRole) -> ChangePeers:
    return ChangePeers((_change(kind, at, role),))


def _changes_in_words(promotes: tuple[PeerAt, ...], demotes: tuple[PeerAt, ...]) -> str:
    words = [f"promote {at}" for at in promotes] + [f"demote {at}" for at in demotes]
    return ", ".join(words)
