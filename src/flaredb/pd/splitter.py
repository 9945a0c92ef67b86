"""Cuts regions at keys that a caller names, and answers when they are cut or the caller's time is up.

Keys of one region go into one order, up to a bound; the region keeps its id on the last piece, so the keys that are
left lie in it again, and its next report brings the next order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flaredb.model.ids import RegionId
from flaredb.model.limits import KEY_SIZE_BYTES_MAX
from flaredb.model.orders import SplitPolicy
from flaredb.pd.builder import Plan
from flaredb.pd.messages import Answer, PdError, PdErrorKind, SplitResult
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.planning import operator_of
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.steps import SplitRegion
from flaredb.pd.view import View

DESC = "split-region"
KEYS_MAX = 10_000
KEYS_PER_ORDER_MAX = 256
ORDER_BYTES_MAX = 256 * 1024
JOBS_MAX = 64
LIFE_MS = 180_000
RETRY_MS = 1_000
_ENCODED_KEY_BYTES_MAX = KEY_SIZE_BYTES_MAX * 2
"""Keys of transactions reach PD in their longer, encoded form."""


@dataclass(slots=True, eq=False)
class Job:
    """One call. Invariant: open_keys holds, ascending, the keys that no region is known to begin at."""

    keys_count: int
    open_keys: list[bytes]
    old_ids: set[RegionId]
    """Regions that there were before."""

    done_keys: list[bytes]
    answer_at_ms: int
    end_at_ms: int
    group: str | None
    """Scatter what is new; None: do not."""

    token: Any = None
    is_held: bool = False
    """Somebody waits for the answer."""

    submitted: dict[RegionId, bool] = field(default_factory=dict)
    """New regions that were given to the scatterer, and whether it took them."""

    def hold(self, token: Any) -> None:
        """The caller waits."""
        self.token, self.is_held = token, True


class Splitter:
    """Jobs end when all their keys are cut, or their time is over; at most JOBS_MAX at a time."""

    def __init__(self, view: View, scatter: Callable[[RegionId, str], bool]) -> None:
        self._view = view
        self._scatter = scatter
        self._jobs: list[Job] = []
        self._retry_at_ms = 0
        self.answers: list[Answer] = []
        """To give since the core last took them."""

    @property
    def next_due_ms(self) -> int | None:
        """When ``run`` has something to do."""
        if not self._jobs:
            return None
        held = [job.answer_at_ms for job in self._jobs if job.is_held]
        return min([self._retry_at_ms, *held])

    def submit(self, keys: tuple[bytes, ...], wait_ms: int, group: str | None) -> SplitResult | Job:
        """The result, or the job that will give it to whoever holds it. Errors: PdError INVALID_VALUE."""
        wanted = sorted(set(keys))
        self._check(wanted)
        now_ms = self._view.now_ms
        answer_at_ms = now_ms + min(max(wait_ms, 0), LIFE_MS)
        job = Job(len(wanted), wanted, set(), [], answer_at_ms, now_ms + LIFE_MS, group)
        for key in wanted:
            record = self._view.regions.by_key(key)
            if record is not None:
                job.old_ids.add(record.region.id)
                if record.region.start_key == key:  # a border already: what lies before it is old too
                    before = self._view.regions.before(key)
                    job.old_ids.update([before.region.id] if before else [])
        self._settle(job)
        if not job.open_keys:
            return self._result(job)
        if len(self._jobs) >= JOBS_MAX:
            raise PdError(PdErrorKind.UNKNOWN, f"{JOBS_MAX} splits are under way; wait for some to end")
        self._jobs.append(job)
        self._order_all(job)
        self._retry_at_ms = min(self._retry_at_ms, now_ms + RETRY_MS) if len(self._jobs) > 1 else now_ms + RETRY_MS
        return job

    def on_region(self, record: RegionRecord) -> None:
        """A region is new or changed: it may begin at a key that is waited for, and hold further ones."""
        for job in self._jobs:
            self._look(job, record)

    def run(self) -> None:
        """Answer who waited long enough or for all; order again what was lost."""
        now_ms = self._view.now_ms
        retry = now_ms >= self._retry_at_ms
        if retry:
            self._retry_at_ms = now_ms + RETRY_MS
        for job in list(self._jobs):
            if retry and job.open_keys:
                self._settle(job)
                self._order_all(job)
            if job.is_held and (not job.open_keys or now_ms >= job.answer_at_ms):
                self.answers.append(Answer(job.token, self._result(job)))
                job.is_held, job.token = False, None
            if not job.open_keys or now_ms >= job.end_at_ms:
                self._submit_new(job)
                self._jobs.remove(job)

    def _check(self, keys: list[bytes]) -> None:
        if not keys or not keys[0]:
            raise PdError(PdErrorKind.INVALID_VALUE, "a split needs keys, none of them empty")
        if len(keys) > KEYS_MAX:
            raise PdError(PdErrorKind.INVALID_VALUE, f"{len(keys)} split keys are too many: at most {KEYS_MAX} a call")
        if max(map(len, keys)) > _ENCODED_KEY_BYTES_MAX:
            raise PdError(PdErrorKind.INVALID_VALUE, f"a split key has at most {_ENCODED_KEY_BYTES_MAX} bytes")

    def _settle(self, job: Job) -> None:
        """Strike off every key that is a border now."""
        borders = {key for key in job.open_keys if self._is_border(key)}
        job.done_keys += sorted(borders)
        job.open_keys = [key for key in job.open_keys if key not in borders]

    def _is_border(self, key: bytes) -> bool:
        record = self._view.regions.by_key(key)
        return record is not None and record.region.start_key == key

    def _look(self, job: Job, record: RegionRecord) -> None:
        start, end = record.region.start_key, record.region.end_key
        low = bisect_left(job.open_keys, start)
        if low < len(job.open_keys) and job.open_keys[low] == start:
            job.done_keys.append(job.open_keys.pop(low))
        high = bisect_left(job.open_keys, end) if end else len(job.open_keys)
        if low < high:
            self._order(record, job.open_keys[low:high])

    def _order_all(self, job: Job) -> None:
        index = 0
        while index < len(job.open_keys):
            record = self._view.regions.by_key(job.open_keys[index])
            if record is None:
                index += 1
                continue
            end = record.region.end_key
            high = bisect_left(job.open_keys, end) if end else len(job.open_keys)
            self._order(record, job.open_keys[index:high])
            index = max(high, index + 1)

    def _order(self, record: RegionRecord, keys: list[bytes]) -> None:
        if record.leader is None or not record.is_reported:
            return
        running = self._view.controller.running(record.region.id)
        if running is not None and running.priority >= Priority.ADMIN:
            return
        self._view.controller.add(split_operator(record, SplitPolicy.USEKEY, _portion(keys)), obey_limits=False)

    def _result(self, job: Job) -> SplitResult:
        new = self._new_ids(job)
        self._submit_new(job)
        took = sum(job.submitted.get(region_id, False) for region_id in new)
        scattered = 0 if job.group is None else (took * 100 // len(new) if new else 100)
        return SplitResult(len(job.done_keys) * 100 // job.keys_count, tuple(new), scattered)

    def _submit_new(self, job: Job) -> None:
        if job.group is None:
            return
        for region_id in self._new_ids(job):
            if not job.submitted.get(region_id, False):
                job.submitted[region_id] = self._scatter(region_id, job.group)

    def _new_ids(self, job: Job) -> list[RegionId]:
        """Of regions that begin or end at a key of the job and were not there before, by id."""
        found: set[RegionId] = set()
        for key in job.done_keys:
            for record in (self._view.regions.by_key(key), self._view.regions.before(key)):
                if record is not None:
                    found.add(record.region.id)
        return sorted(found - job.old_ids)


def split_operator(record: RegionRecord, policy: SplitPolicy, keys: tuple[bytes, ...]) -> Operator:
    """Cut one region. Pre: with USEKEY, keys ascend and lie inside the region."""
    step = SplitRegion(record.region.start_key, record.region.end_key, policy, keys)
    return operator_of(record, DESC, Plan((step,), Kind.SPLIT, str(step)), Priority.ADMIN, Kind.ADMIN)


def _portion(keys: list[bytes]) -> tuple[bytes, ...]:
    """As many of the first keys as go into one order."""
    size_bytes = 0
    for count, key in enumerate(keys[:KEYS_PER_ORDER_MAX]):
        size_bytes += len(key)
        if count and size_bytes > ORDER_BYTES_MAX:
            return tuple(keys[:count])
    return tuple(keys[:KEYS_PER_ORDER_MAX])
