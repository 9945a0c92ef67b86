"""Operators: a plan for one region, step after step, judged by its leader's reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Flag, IntEnum, auto

from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import Peer, RegionEpoch
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.schedule_messages import OperatorStatus, OperatorView
from flaredb.pd.steps import AddLearner, RemovePeer, Step, TransferLeader


class Kind(Flag):
    """What an operator is about. The first of these words that it has is the limit it counts for."""

    ADMIN = auto()
    SPLIT = auto()
    REPLICA = auto()
    REGION = auto()
    LEADER = auto()

    def words(self) -> str:
        """Comma-separated, as tools show it."""
        return ",".join(str(kind.name).lower() for kind in Kind if kind in self)

    def counts_as(self) -> Kind:
        """The one limit that it uses up."""
        return next(kind for kind in Kind if kind in self)


class Priority(IntEnum):
    """A higher one takes a region over from a lower one."""

    BALANCE = 1
    REPAIR = 2
    ADMIN = 3


@dataclass(slots=True)
class Influence:
    """What an operator's steps that are still to come will add to a store, or take from it."""

    peers: int = 0
    peer_mib: int = 0
    leaders: int = 0
    leader_mib: int = 0


@dataclass(slots=True)
class Operator:
    """One plan. Invariant: steps[:current] were seen finished; ended_at_ms is 0 exactly while it runs."""

    region_id: RegionId
    desc: str
    brief: str
    kind: Kind
    priority: Priority
    epoch: RegionEpoch
    """The region's when the plan was made."""

    size_mib: int
    steps: tuple[Step, ...]
    current: int = 0
    status: OperatorStatus = OperatorStatus.RUNNING
    reason: str = ""
    step_since_ms: int = 0
    """Core time at which the current step became the current one."""

    created_at_ms: int = 0
    """Unix milliseconds, as the following."""

    started_at_ms: int = 0
    ended_at_ms: int = 0
    sent: tuple[int, RegionEpoch, int, tuple[Peer, ...]] | None = None
    """(step, epoch, leader's peer id, replicas that lag) of the last order."""

    resend_at_ms: int = 0
    wake_ms: int = 0
    """Core time at which its controller looks at it without a report; 0: never."""

    serial: int = field(default=0, compare=False)

    @property
    def step(self) -> Step:
        """The current one. Pre: it runs."""
        return self.steps[self.current]

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return self.status == OperatorStatus.RUNNING

    def deadline_ms(self) -> int:
        """Core time at which the current step has taken too long."""
        return self.step_since_ms + self.step.timeout_ms(self.size_mib)

    def advance(self, record: RegionRecord, now_ms: int) -> bool:
        """Go past the steps that the report shows finished; True if none is left."""
        while self.current < len(self.steps) and self.step.is_finished(record):
            self.current += 1
            self.step_since_ms = now_ms
        return self.current == len(self.steps)

    def problem(self, record: RegionRecord) -> str:
        """Why it must be given up, seeing this report; "" if it goes on. Pre: not all steps are done.

        A split leaves the members alone, so the version may move; conf_ver may not move by more than the steps
        explain, or somebody else changes the region.
        """
        moved = record.region.epoch.conf_ver - self.epoch.conf_ver
        explained = sum(step.conf_ver_delta for step in self.steps[: self.current]) + self.step.conf_ver_seen(record)
        if moved > explained:
            return f"its members changed otherwise: conf_ver moved by {moved}, the steps done explain {explained}"
        return self.step.problem(record)

    def add_influence(self, record: RegionRecord, totals: dict[StoreId, Influence]) -> None:
        """Add what is still to come for each store to ``totals``."""
        for step in self.steps[self.current :]:
            if isinstance(step, AddLearner):
                if step.at.role_in(record) is None:
                    self._add(totals, step.at.store_id, 1, 0)
            elif isinstance(step, RemovePeer):
                self._add(totals, step.at.store_id, -1, 0)
            elif isinstance(step, TransferLeader):
                self._add(totals, step.from_store_id, 0, -1)
                self._add(totals, step.at.store_id, 0, 1)

    def _add(self, totals: dict[StoreId, Influence], store_id: StoreId, peers: int, leaders: int) -> None:
        coming = totals.setdefault(store_id, Influence())
        coming.peers += peers
        coming.peer_mib += peers * self.size_mib
        coming.leaders += leaders
        coming.leader_mib += leaders * self.size_mib

    def view(self) -> OperatorView:
        """For tools."""
        return OperatorView(
            self.region_id,
            self.desc,
            self.brief,
            self.kind.words(),
            self.status,
            self.reason,
            self.epoch,
            tuple(str(step) for step in self.steps),
            tuple(step.timeout_ms(self.size_mib) // 1000 for step in self.steps),
            self.current,
            self.size_mib * 1024 * 1024,
            self.created_at_ms,
            self.started_at_ms,
            self.ended_at_ms,
        )
