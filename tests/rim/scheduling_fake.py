"""Stands in for the scheduling part of the placement core: keeps what was asked, answers what a test laid out.

Store states move as orders say, so that a drain can be watched; everything else is canned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from flaredb.model.cluster import StoreMeta, StoreState, StoreStats
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import RegionEpoch
from flaredb.pd import messages as pd
from tests.pd.helpers import WALL_MS, store


def status(store_id: int, **fields: Any) -> pd.StoreStatus:
    """A store with 3 of 9 leaders."""
    gib = 1024**3
    stats = StoreStats(StoreId(store_id), capacity_bytes=100 * gib, available_bytes=93 * gib, used_size_bytes=7 * gib)
    values: dict[str, Any] = {
        "meta": store(store_id, start_timestamp_s=WALL_MS // 1000 - 3_723, last_heartbeat_ns=WALL_MS * 1_000_000),
        "state_name": "Up",
        "stats": stats,
        "silence_ms": 40,
        "leader_count": 3,
        "region_count": 9,
        "learner_count": 0,
        "pending_peer_count": 0,
        "leader_size_bytes": 3 << 25,
        "region_size_bytes": 9 << 25,
        "leader_weight": 1.0,
        "region_weight": 1.0,
        "leader_score": 3.0,
        "region_score": 288.0,
        "add_peer_limit": 15.0,
        "remove_peer_limit": 15.0,
    }
    return pd.StoreStatus(**{**values, **fields})


def operator(region_id: int, **fields: Any) -> pd.OperatorView:
    """A move of a replica, half done."""
    values: dict[str, Any] = {
        "region_id": RegionId(region_id),
        "desc": "balance-region",
        "brief": "mv peer: store [1] to [4]",
        "kind": "region",
        "status": pd.OperatorStatus.RUNNING,
        "reason": "",
        "epoch": RegionEpoch(5, 3),
        "steps": (
            "add learner peer 900 on store 4",
            "use joint consensus, promote learner peer 900 on store 4 to voter",
            "remove peer 201 on store 1",
        ),
        "step_timeouts_s": (600, 600, 600),
        "current_step": 1,
        "size_bytes": 32 << 20,
        "created_at_ms": WALL_MS,
        "started_at_ms": WALL_MS + 10,
        "ended_at_ms": 0,
    }
    return pd.OperatorView(**{**values, **fields})


def scheduler(name: str, **fields: Any) -> pd.SchedulerView:
    values: dict[str, Any] = {
        "name": name,
        "store_ids": (),
        "paused_at_ms": 0,
        "resume_at_ms": 0,
        "status": "pending",
        "summary": "all stores are within 5% of each other",
    }
    return pd.SchedulerView(**{**values, **fields})


SETTINGS = {
    "schedule": {"region-schedule-limit": 2048, "enable-joint-consensus": True, "max-store-down-time": "30m"},
    "replication": {"max-replicas": 3, "location-labels": ""},
}


class FakeScheduling:
    """``call`` goes in front of a real core's; ``asked`` holds the calls that it took."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.on_look: Callable[[], None] = lambda: None
        """Called before each look at stores: time goes by."""

        self.statuses: dict[int, pd.StoreStatus] = {1: status(1), 2: status(2)}
        self.answers: dict[type, Any] = {
            pd.ListOperators: (operator(2),),
            pd.GetOperator: operator(2),
            pd.AddOperator: operator(2),
            pd.CancelOperator: operator(2),
            pd.ListSchedulers: (scheduler("balance-leader-scheduler"), scheduler("balance-region-scheduler")),
            pd.AddScheduler: None,
            pd.RemoveScheduler: None,
            pd.PauseScheduler: None,
            pd.RemoveTombstones: (),
            pd.SetStoreLabels: store(1),
            pd.SetStoreWeight: None,
            pd.SetStoreLimit: None,
            pd.GetScheduleConfig: SETTINGS,
            pd.SetScheduleConfig: None,
            pd.SplitRegions: pd.SplitResult(100, (RegionId(7), RegionId(8))),
            pd.ScatterRegion: pd.ScatterResult(100, ()),
            pd.Why: "it is well: three replicas, all of them caught up",
        }
        """By call: what answers it; a function is called with the call, a list answers item after item."""

    def in_front_of(self, call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def answer(request: Any) -> Any:
            found = self._answer(request)
            return await call(request) if found is NotImplemented else found

        return answer

    def _answer(self, request: Any) -> Any:
        if isinstance(request, pd.GetStoreStatus):
            self.on_look()
            if request.store_id is None:
                return tuple(self.statuses.values())
            return (self.statuses[request.store_id],)
        if isinstance(request, pd.RemoveStore | pd.CancelRemoveStore):
            self.asked.append(request)
            canned = self.answers.get(type(request))
            if canned is not None:
                return canned
            state = StoreState.OFFLINE if isinstance(request, pd.RemoveStore) else StoreState.UP
            return self.set_state(request.store_id, state)
        if type(request) not in self.answers:
            return NotImplemented
        self.asked.append(request)
        answer = self.answers[type(request)]
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(request) if callable(answer) else answer

    def set_state(self, store_id: int, state: StoreState, **fields: Any) -> StoreMeta:
        known = self.statuses[store_id]
        meta = replace(known.meta, state=state)
        self.statuses[store_id] = replace(known, meta=meta, state_name=state.name.capitalize(), **fields)
        return meta
