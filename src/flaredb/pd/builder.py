"""From a region as it is to the replicas that are wanted: the steps in between.

New replicas come as learners and must keep up before they vote; whoever leads and must go hands over first; removals
come last, and of those the dead before the living. Where several voters change, one joint configuration covers them
all; where the leader has nobody to hand over to but a newcomer, single steps do. Every configuration on the way has a
quorum of replicas that are alive and keep up: ``check_quorum`` walks the plan and refuses it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flaredb.model.ids import PeerId, StoreId
from flaredb.model.region import Peer, PeerRole
from flaredb.pd.operator import Kind
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.steps import (
    IN_JOINT,
    AddLearner,
    EnterJoint,
    LeaveJoint,
    PeerAt,
    PromoteLearner,
    RemovePeer,
    Step,
    TransferLeader,
)

Wanted = Mapping[StoreId, PeerRole]
"""Replicas by store; VOTER or LEARNER."""


class BuildError(Exception):
    """There is no safe plan; the message says why."""


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What the builder asks about stores."""

    is_live: Callable[[StoreId], bool]
    """Heard of lately: its replicas count for a quorum."""

    leader_refusal: Callable[[StoreId], str]
    """Why the store must not be given leaders; "" if it may."""

    leader_load: Callable[[StoreId], float]
    """The less, the better a place for a leader."""

    take_id: Callable[[], int]
    """An id for a new replica."""

    joint: bool
    """Joint configurations may be used."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps, and what they are about."""

    steps: tuple[Step, ...]
    kind: Kind
    brief: str


def build(record: RegionRecord, wanted: Wanted, context: BuildContext, leader: StoreId | None = None) -> Plan:
    """The steps to the wanted replicas, and to a leader on store ``leader`` if that is given.

    Errors: BuildError if nothing is to be done, nothing can be done, or the quorum would be in danger.
    """
    draft = _Draft(record, wanted, context, leader)
    steps = draft.steps()
    if not steps:
        raise BuildError("the region is so already")
    check_quorum(record, steps, context.is_live)
    return Plan(tuple(steps), _kind(steps), _brief(steps))


class _Draft:
    """Pre of its methods: the constructor raised nothing."""

    def __init__(self, record: RegionRecord, wanted: Wanted, context: BuildContext, leader: StoreId | None) -> None:
        self._record = record
        self._context = context
        region = record.region
        if record.leader is None:
            raise BuildError("nobody is known to lead it")
        if any(peer.role in IN_JOINT for peer in region.peers):
            raise BuildError("it is in a joint configuration, which must be left first")
        self._leader = record.leader
        now = {peer.store_id: peer for peer in region.peers}
        self._check_wanted(now, wanted)
        self._stay = [peer for peer in region.peers if peer.role == PeerRole.VOTER and peer.store_id in wanted]
        self._gone = [_at(peer) for peer in region.peers if peer.store_id not in wanted]
        self._demotes = [
            _at(peer) for peer in region.peers if peer.store_id not in wanted and peer.role == PeerRole.VOTER
        ]
        self._next_store = self._pick_leader(wanted, leader)
        self._added = [
            PeerAt(PeerId(context.take_id()), store_id) for store_id in sorted(wanted) if store_id not in now
        ]
        self._promotes = [at for at in self._added if wanted[at.store_id] == PeerRole.VOTER] + [
            _at(peer)
            for peer in region.peers
            if peer.role == PeerRole.LEARNER and wanted.get(peer.store_id) == PeerRole.VOTER
        ]

    def steps(self) -> list[Step]:
        steps: list[Step] = [AddLearner(at) for at in self._added]
        stays = any(peer.store_id == self._leader.store_id for peer in self._stay)
        bridge = None if stays else self._bridge()
        several = len(self._promotes) + len(self._demotes) > 1 and bool(self._demotes)
        if self._context.joint and several and (stays or bridge):
            leads = self._leader.store_id
            if bridge is not None:
                steps.append(TransferLeader(leads, _at(bridge)))
                leads = bridge.store_id
            promotes, demotes = tuple(self._promotes), tuple(self._demotes)
            steps += [EnterJoint(promotes, demotes), LeaveJoint(promotes, demotes)]
            steps += self._transfer_from(leads)
        else:
            steps += [PromoteLearner(at) for at in self._promotes]
            steps += self._transfer_from(self._leader.store_id)
        dead_first = sorted(self._gone, key=lambda at: (self._counts(at), at.store_id))
        return steps + [RemovePeer(at) for at in dead_first]

    def _check_wanted(self, now: Mapping[StoreId, Peer], wanted: Wanted) -> None:
        if PeerRole.VOTER not in wanted.values():
            raise BuildError("no voter would be left")
        for store_id, role in wanted.items():
            peer = now.get(store_id)
            if peer is None and not self._context.is_live(store_id):
                raise BuildError(f"store {store_id}, which should get a replica, is not heard of")
            if peer is not None and peer.role == PeerRole.VOTER and role == PeerRole.LEARNER:
                raise BuildError(f"a voter, here on store {store_id}, is not made a learner; remove it instead")
            if peer is not None and peer.role != role and not self._counts(_at(peer)):
                raise BuildError(f"the learner on store {store_id} does not keep up, so it cannot vote yet")

    def _pick_leader(self, wanted: Wanted, leader: StoreId | None) -> StoreId:
        """The store that is to lead in the end."""
        if leader is not None:
            peer = self._record.region.peer_on(leader)
            if wanted.get(leader) != PeerRole.VOTER:
                raise BuildError(f"store {leader}, which should lead, will hold no voter")
            if peer is not None and peer.role == PeerRole.VOTER and not self._counts(_at(peer)):
                raise BuildError(f"the replica on store {leader}, which should lead, is down or lags")
            return leader
        if any(peer.store_id == self._leader.store_id for peer in self._stay):
            return self._leader.store_id
        bridge = self._bridge()
        if bridge is not None:
            return bridge.store_id
        context = self._context
        able = [store for store, role in wanted.items() if role == PeerRole.VOTER and context.is_live(store)]
        if not able:
            raise BuildError("no living replica could lead in its leader's place")
        return min(able, key=lambda store: (bool(context.leader_refusal(store)), context.leader_load(store), store))

    def _bridge(self) -> Peer | None:
        """A voter that stays and can lead, the wanted leader if it is one."""
        able = [peer for peer in self._stay if self._counts(_at(peer)) and peer.id != self._leader.id]
        wanted_store = getattr(self, "_next_store", None)
        context = self._context
        return min(
            able,
            key=lambda peer: (
                peer.store_id != wanted_store,
                bool(context.leader_refusal(peer.store_id)),
                context.leader_load(peer.store_id),
                peer.store_id,
            ),
            default=None,
        )

    def _transfer_from(self, leads: StoreId) -> list[Step]:
        if leads == self._next_store:
            return []
        for at in (*self._promotes, *(_at(peer) for peer in self._stay)):
            if at.store_id == self._next_store:
                return [TransferLeader(leads, at)]
        raise AssertionError("the next leader is one of the voters to be")

    def _counts(self, at: PeerAt) -> bool:
        return counts_for_quorum(self._record, at, self._context.is_live)


def counts_for_quorum(record: RegionRecord, at: PeerAt, is_live: Callable[[StoreId], bool]) -> bool:
    """The replica is alive, as far as its store and its leader tell, and keeps up."""
    return is_live(at.store_id) and not record.is_down(at.peer_id) and not record.is_pending(at.peer_id)


def check_quorum(
    record: RegionRecord, steps: Iterable[Step], is_live: Callable[[StoreId], bool], *, laggards: bool = False
) -> None:
    """Walk through the configurations of a plan; ``laggards``: count replicas that live, though they do not keep up.

    Errors: BuildError for the first configuration without a quorum of living voters.
    """
    voters = {_at(peer) for peer in record.region.peers if peer.role == PeerRole.VOTER}
    alive = {
        at
        for at in map(_at, record.region.peers)
        if counts_for_quorum(record, at, is_live)
        or (laggards and is_live(at.store_id) and not record.is_down(at.peer_id))
    }
    for step in steps:
        joined: set[PeerAt] = set()
        if isinstance(step, AddLearner):
            alive.add(step.at)  # the step ends only once it keeps up
        elif isinstance(step, PromoteLearner):
            voters = voters | {step.at}
        elif isinstance(step, RemovePeer):
            voters = voters - {step.at}
        elif isinstance(step, EnterJoint):
            joined = voters
            voters = (voters | set(step.promotes)) - set(step.demotes)
        elif isinstance(step, TransferLeader) and step.at not in alive:
            raise BuildError(f"{step.at}, which should lead, is down or lags")
        else:
            continue
        for configuration in (joined, voters):
            living = len(configuration & alive)
            if configuration and living * 2 <= len(configuration):
                raise BuildError(f"the step '{step}' would leave {living} of {len(configuration)} voters alive")


def _at(peer: Peer) -> PeerAt:
    return PeerAt(peer.id, peer.store_id)


def _kind(steps: Iterable[Step]) -> Kind:
    kind = Kind(0)
    for step in steps:
        kind |= Kind.LEADER if isinstance(step, TransferLeader) else Kind.REGION
    return kind


def _brief(steps: Iterable[Step]) -> str:
    added = [str(step.at.store_id) for step in steps if isinstance(step, AddLearner)]
    removed = [str(step.at.store_id) for step in steps if isinstance(step, RemovePeer)]
    moves = [step for step in steps if isinstance(step, TransferLeader)]
    if added and removed:
        return f"move peer: store {', '.join(removed)} to {', '.join(added)}"
    if added:
        return f"add peer: store {', '.join(added)}"
    if removed:
        return f"remove peer: store {', '.join(removed)}"
    if moves:
        return f"transfer leader: store {moves[0].from_store_id} to {moves[-1].at.store_id}"
    return "promote learner"
