"""Goes round all regions and lets the checkers mend what they find; first those that something just happened to.

Cheap when idle: a round that could do nothing doubles the pause to the next one, and every event shortens it again.
"""

from __future__ import annotations

from flaredb.model.ids import RegionId
from flaredb.pd.checkers import check_region
from flaredb.pd.operator import Kind
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.view import View

LOT = 128
"""Regions looked at in one step."""

SUSPECTS_MAX = 4_096
ROUND_PAUSE_MS = 1_000
ROUND_PAUSE_MAX_MS = 10_000


class Patrol:
    """Invariant: at most SUSPECTS_MAX suspects; whoever does not fit is found by the next round."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._suspects: dict[RegionId, None] = {}
        self._next_key = b""
        self._pause_ms = ROUND_PAUSE_MS
        self._next_ms = 0
        self._found_in_round = False

    @property
    def next_due_ms(self) -> int:
        """When ``run`` has something to do."""
        return self._view.now_ms if self._suspects else self._next_ms

    def suspect(self, record: RegionRecord) -> None:
        """Look at this region before the others if it does not look well."""
        if record.is_healthy() and len(record.region.peers) == self._view.config.max_replicas:
            return
        if len(self._suspects) < SUSPECTS_MAX:
            self._suspects[record.region.id] = None

    def wake(self) -> None:
        """Something changed for many regions: go round soon."""
        self._pause_ms = ROUND_PAUSE_MS
        self._next_ms = min(self._next_ms, self._view.now_ms)

    def run(self) -> None:
        """Look at a bounded number of regions."""
        for region_id in list(self._suspects)[:LOT]:
            del self._suspects[region_id]
            record = self._view.regions.by_id(region_id)
            if record is not None:
                self._check(record)
        if self._next_ms <= self._view.now_ms:
            self._go_on()

    def _go_on(self) -> None:
        view = self._view
        lot = view.regions.scan(self._next_key, b"", LOT)
        for record in lot:
            self._check(record)
        if len(lot) == LOT and lot[-1].region.end_key:
            self._next_key = lot[-1].region.end_key
            self._next_ms = view.now_ms + view.config.patrol_region_interval_ms
            return
        self._pause_ms = ROUND_PAUSE_MS if self._found_in_round else min(ROUND_PAUSE_MAX_MS, self._pause_ms * 2)
        self._found_in_round = False
        self._next_key = b""
        self._next_ms = view.now_ms + self._pause_ms

    def _check(self, record: RegionRecord) -> None:
        view = self._view
        if view.is_busy(record.region.id) or view.controller.count(Kind.REPLICA) >= view.config.replica_schedule_limit:
            return
        finding = check_region(view, record)
        if finding is not None and finding.operator is not None:
            self._found_in_round |= not view.controller.add(finding.operator)
