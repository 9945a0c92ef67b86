"""Operators that run, and those that ran: admits, sends orders, gives up, remembers.

What is sent is never taken for done. An order goes out when its step begins and when the region's epoch or leader
changed, and is repeated while reports show no effect; one that comes too late names an epoch that is no more.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import RegionOrder
from flaredb.pd.builder import BuildError, check_quorum
from flaredb.pd.messages import Note, OperatorStatus, SendOrder
from flaredb.pd.operator import Influence, Kind, Operator
from flaredb.pd.region_tree import RegionRecord, RegionTree
from flaredb.pd.steps import IN_JOINT, AddLearner, PromoteLearner, RemovePeer, TransferLeader, must_wait
from flaredb.pd.store_limits import Direction, StoreLimits, cost

HISTORY_MAX = 1_000
RUNNING_MAX = 4_096


class OperatorController:
    """Invariants: at most one operator runs per region; _running holds exactly those that run, _counts counts them by
    the limit they use; _timers holds an entry of every running operator's serial and wake_ms, and others that count for
    nothing.
    """

    def __init__(self, regions: RegionTree, limits: StoreLimits, is_live: Callable[[StoreId], bool]) -> None:
        """``is_live`` tells whose replicas count for a quorum now."""
        self._regions = regions
        self._is_live = is_live
        self._limits = limits
        self._running: dict[RegionId, Operator] = {}
        self._ended: deque[Operator] = deque(maxlen=HISTORY_MAX)
        self._counts = dict.fromkeys(Kind, 0)
        self._timers: list[tuple[int, int, RegionId]] = []
        self._serial = 0
        self._now_ms = 0
        self._wall_ms = 0
        self.sends: list[SendOrder] = []
        """Orders to give since the core last took them."""

        self.notes: list[Note] = []
        """What happened since the core last took it."""

        self.ended_regions: list[RegionId] = []
        """Regions whose operator ended since the scheduler last looked."""

    def start_step(self, now_ms: int, wall_ms: int) -> None:
        """The time at which everything until the next call happens."""
        self._now_ms, self._wall_ms = now_ms, wall_ms

    # ------------------------------------------------------------ facts

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Operator]:
        """Those that run, by region id."""
        return (self._running[region_id] for region_id in sorted(self._running))

    @property
    def ended(self) -> Iterator[Operator]:
        """Those that ended lately, oldest first."""
        return iter(self._ended)

    def running(self, region_id: RegionId) -> Operator | None:
        """The region's operator, if one runs."""
        return self._running.get(region_id)

    def last_ended(self, region_id: RegionId) -> Operator | None:
        """The one that ended last of a region, if it is remembered."""
        return next((operator for operator in reversed(self._ended) if operator.region_id == region_id), None)

    def count(self, kind: Kind) -> int:
        """Operators that run and use up the limit of that kind."""
        return self._counts[kind]

    def influences(self) -> dict[StoreId, Influence]:
        """What all that run will still add to each store."""
        totals: dict[StoreId, Influence] = {}
        for operator in self._running.values():
            record = self._regions.by_id(operator.region_id)
            if record is not None:
                operator.add_influence(record, totals)
        return totals

    @property
    def next_due_ms(self) -> int | None:
        """When ``tick`` has something to do."""
        return self._timers[0][0] if self._timers else None

    # ------------------------------------------------------------ admission

    def refusal(self, operator: Operator, *, obey_limits: bool = True) -> str:
        """Why it is not admitted; "" if it is."""
        record = self._regions.by_id(operator.region_id)
        if record is None:
            return "the region is gone"
        if record.region.epoch != operator.epoch:
            return "the region changed meanwhile"
        if record.leader is None:
            return "nobody is known to lead the region"
        other = self._running.get(operator.region_id)
        if other is not None and other.priority >= operator.priority:
            return f"operator {other.desc} runs for the region already"
        if len(self._running) >= RUNNING_MAX:
            return f"{RUNNING_MAX} operators run already"
        return self._limit_in_the_way(operator) if obey_limits else ""

    def add(self, operator: Operator, *, obey_limits: bool = True) -> str:
        """Start it; why not, or ""."""
        reason = self.refusal(operator, obey_limits=obey_limits)
        if reason:
            return reason
        other = self._running.get(operator.region_id)
        if other is not None:
            self._end(other, OperatorStatus.REPLACE, f"operator {operator.desc} takes its place")
        self._serial += 1
        operator.serial = self._serial
        operator.step_since_ms = self._now_ms
        operator.created_at_ms = operator.started_at_ms = self._wall_ms
        self._running[operator.region_id] = operator
        self._counts[operator.kind.counts_as()] += 1
        self._take_tokens(operator)
        self._wake_at(operator, self._now_ms)
        self._note(operator, "operator created", "")
        self._look(operator)
        return ""

    def cancel(self, region_id: RegionId, reason: str) -> Operator | None:
        """End the region's operator; the one that was ended."""
        operator = self._running.get(region_id)
        if operator is not None:
            self._end(operator, OperatorStatus.CANCEL, reason)
        return operator

    def cancel_adding_to(self, store_id: StoreId, reason: str) -> None:
        """End the operators that would still give the store a replica."""
        self._cancel_if(
            lambda operator: any(
                isinstance(step, AddLearner | PromoteLearner) and step.at.store_id == store_id
                for step in operator.steps[operator.current :]
            ),
            reason,
        )

    def cancel_leading_to(self, store_id: StoreId, reason: str) -> None:
        """End the operators that are just about to make the store lead."""
        self._cancel_if(
            lambda operator: isinstance(operator.step, TransferLeader) and operator.step.at.store_id == store_id, reason
        )

    def _cancel_if(self, is_hopeless: Callable[[Operator], bool], reason: str) -> None:
        for operator in list(self):
            if is_hopeless(operator):
                self._end(operator, OperatorStatus.CANCEL, reason)

    def _limit_in_the_way(self, operator: Operator) -> str:
        tokens = cost(operator.size_mib)
        for store_id, direction in _moves(operator):
            if not self._limits.allows(store_id, direction, tokens, self._now_ms):
                return f"store {store_id} has used up its store limit ({direction.name.lower()}-peer)"
        return ""

    def _take_tokens(self, operator: Operator) -> None:
        for store_id, direction in _moves(operator):
            self._limits.take(store_id, direction, cost(operator.size_mib), self._now_ms)

    # ------------------------------------------------------------ progress

    def on_report(self, region_id: RegionId) -> None:
        """The region was reported, changed, or is gone."""
        operator = self._running.get(region_id)
        if operator is not None:
            self._look(operator)
            self._wake_in_time(operator)

    def tick(self) -> None:
        """Repeat orders and end what takes too long."""
        while self._timers and self._timers[0][0] <= self._now_ms:
            at_ms, serial, region_id = heapq.heappop(self._timers)
            operator = self._running.get(region_id)
            if operator is None or operator.serial != serial or operator.wake_ms != at_ms:
                continue
            operator.wake_ms = 0
            self._look(operator)
            self._wake_in_time(operator)

    def _wake_in_time(self, operator: Operator) -> None:
        """A step may be over sooner than the one before it was to be looked at again."""
        if operator.is_running:
            wake_ms = max(self._now_ms + 1, min(operator.resend_at_ms, operator.deadline_ms()))
            if not operator.wake_ms or wake_ms < operator.wake_ms:
                self._wake_at(operator, wake_ms)

    def _wake_at(self, operator: Operator, wake_ms: int) -> None:
        operator.wake_ms = wake_ms
        heapq.heappush(self._timers, (wake_ms, operator.serial, operator.region_id))

    def _look(self, operator: Operator) -> None:
        record = self._regions.by_id(operator.region_id)
        if record is None:
            self._end(operator, OperatorStatus.CANCEL, "the region is gone")
            return
        if operator.advance(record, self._now_ms):
            self._end(operator, OperatorStatus.SUCCESS, "")
            return
        problem = operator.problem(record) or self._danger(operator, record, laggards=True)
        if problem:
            self._end(operator, OperatorStatus.CANCEL, problem)
        elif self._now_ms >= operator.deadline_ms():
            took_s = (self._now_ms - operator.step_since_ms) // 1000
            self._end(operator, OperatorStatus.TIMEOUT, f"the step '{operator.step}' took {took_s} s")
        elif must_wait(operator.step, record) or self._danger(operator, record, laggards=False):
            operator.resend_at_ms = self._now_ms + operator.step.resend_ms
        else:
            self._send(operator, record)

    def _danger(self, operator: Operator, record: RegionRecord, *, laggards: bool) -> str:
        """Why the rest of the plan, safe when it was made, is not safe any more: a store may have died since."""
        if any(peer.role in IN_JOINT for peer in record.region.peers):
            return ""  # out of a joint configuration there is one way only
        try:
            check_quorum(record, operator.steps[operator.current :], self._is_live, laggards=laggards)
        except BuildError as error:
            return str(error)
        return ""

    def _send(self, operator: Operator, record: RegionRecord) -> None:
        if record.leader is None or operator.step.conf_ver_seen(record):
            # Nobody to send to, or done as far as the leader can: what is left takes its time.
            operator.resend_at_ms = self._now_ms + operator.step.resend_ms
            return
        # A leader just elected refuses what needs a replica that it has not heard of yet, and reports when it has.
        sent = (operator.current, record.region.epoch, record.leader.id, record.pending_peers)
        if sent == operator.sent and self._now_ms < operator.resend_at_ms:
            return
        operator.sent = sent
        operator.resend_at_ms = self._now_ms + operator.step.resend_ms
        order = RegionOrder(record.region.id, record.region.epoch, record.leader, operator.step.order())
        self.sends.append(SendOrder(record.leader.store_id, order))

    def _end(self, operator: Operator, status: OperatorStatus, reason: str) -> None:
        del self._running[operator.region_id]
        self._counts[operator.kind.counts_as()] -= 1
        operator.status, operator.reason = status, reason
        operator.ended_at_ms = max(self._wall_ms, 1)
        self._ended.append(operator)
        self.ended_regions.append(operator.region_id)
        self._note(operator, f"operator ended: {status.name.lower()}", reason)

    def _note(self, operator: Operator, event: str, reason: str) -> None:
        fields: list[tuple[str, Any]] = [
            ("region_id", operator.region_id),
            ("operator", operator.desc),
            ("change", operator.brief or str(operator.steps[0])),
        ]
        if reason:
            fields.append(("reason", reason))
        self.notes.append(Note(event, tuple(fields)))


def _moves(operator: Operator) -> Iterator[tuple[StoreId, Direction]]:
    """Stores that get or lose a replica."""
    for step in operator.steps:
        if isinstance(step, AddLearner):
            yield step.at.store_id, Direction.ADD
        elif isinstance(step, RemovePeer):
            yield step.at.store_id, Direction.REMOVE
