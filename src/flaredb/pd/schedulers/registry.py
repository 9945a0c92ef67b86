"""The schedulers that are there: added, removed, paused by people; run when their time has come."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from flaredb.model.ids import StoreId
from flaredb.pd.messages import PdError, PdErrorKind, SchedulerView
from flaredb.pd.schedulers.balance_leader import BalanceLeader
from flaredb.pd.schedulers.balance_region import BalanceRegion
from flaredb.pd.schedulers.base import Scheduler
from flaredb.pd.schedulers.evict_leader import EvictLeader
from flaredb.pd.view import View

KNOWN = (BalanceLeader.name, BalanceRegion.name, EvictLeader.name)
DEFAULT: dict[str, list[int]] = {BalanceLeader.name: [], BalanceRegion.name: []}
BUSY_INTERVAL_MS = 100
IDLE_INTERVAL_MS = 5_000
_BACKOFF = 2
PAUSE_S_MAX = 10**9


@dataclass(slots=True)
class _Entry:
    scheduler: Scheduler
    interval_ms: int = BUSY_INTERVAL_MS
    next_ms: int = 0
    paused_at_ms: int = 0
    """Unix milliseconds, as the following; 0: not paused."""

    resume_at_ms: int = 0
    summary: str = ""
    did_something: bool = False


class Schedulers:
    """Invariant: what is there is what the settings have written down."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._entries: dict[str, _Entry] = {}
        recorded = view.settings.schedulers
        for name, stores in sorted((DEFAULT if recorded is None else recorded).items()):
            if name in KNOWN:
                self._entries[name] = _Entry(_make(name, [StoreId(store_id) for store_id in stores]))

    @property
    def evicted(self) -> frozenset[StoreId]:
        """Stores that are to lead nothing; also while the scheduler is paused."""
        entry = self._entries.get(EvictLeader.name)
        return frozenset(entry.scheduler.stores) if entry and isinstance(entry.scheduler, EvictLeader) else frozenset()

    @property
    def next_due_ms(self) -> int | None:
        """When ``run`` has something to do."""
        return min((entry.next_ms for entry in self._entries.values()), default=None)

    def wake(self) -> None:
        """Something changed: look soon."""
        for entry in self._entries.values():
            entry.interval_ms = BUSY_INTERVAL_MS
            entry.next_ms = min(entry.next_ms, self._view.now_ms + BUSY_INTERVAL_MS)

    def run(self, wall_ms: int) -> None:
        """Let those whose time has come look at the cluster."""
        view = self._view
        for name in sorted(self._entries):
            entry = self._entries[name]
            if entry.next_ms > view.now_ms:
                continue
            admitted = 0
            if entry.resume_at_ms <= wall_ms:
                entry.paused_at_ms = entry.resume_at_ms = 0
                outcome = entry.scheduler.schedule(view)
                refused = ""
                for operator in outcome.operators:
                    reason = view.controller.add(operator)
                    admitted += not reason
                    refused = reason or refused
                entry.summary = outcome.summary or refused
            entry.did_something = bool(admitted)
            entry.interval_ms = BUSY_INTERVAL_MS if admitted else min(IDLE_INTERVAL_MS, entry.interval_ms * _BACKOFF)
            entry.next_ms = view.now_ms + entry.interval_ms

    # ------------------------------------------------------------ by people

    def views(self, wall_ms: int) -> tuple[SchedulerView, ...]:
        """By name."""
        return tuple(self._view_of(name, wall_ms) for name in sorted(self._entries))

    def summary(self, name: str) -> str:
        """What its last run came to; "" if it is not there."""
        entry = self._entries.get(name)
        return entry.summary if entry else ""

    def add(self, name: str, store_id: StoreId | None) -> None:
        """Errors: PdError."""
        if name not in KNOWN:
            raise _unknown(name, KNOWN)
        if name == EvictLeader.name:
            self._add_evicted(store_id)
        elif name in self._entries:
            raise PdError(PdErrorKind.INVALID_VALUE, f"{name} is there already")
        else:
            self._entries[name] = _Entry(_make(name, []))
        self._save()

    def remove(self, name: str) -> None:
        """Errors: PdError."""
        head, _, tail = name.rpartition("-")
        evict = self._entries.get(EvictLeader.name)
        if head == EvictLeader.name and tail.isdigit() and evict and isinstance(evict.scheduler, EvictLeader):
            if int(tail) not in evict.scheduler.stores:
                raise PdError(PdErrorKind.INVALID_VALUE, f"{head} is not there for store {tail}")
            evict.scheduler.stores.discard(StoreId(int(tail)))
            if not evict.scheduler.stores:
                del self._entries[head]
        elif name in self._entries:
            del self._entries[name]
        else:
            raise _unknown(name, tuple(sorted(self._entries)))
        self._save()

    def pause(self, name: str, delay_s: int, wall_ms: int) -> None:
        """0 resumes. Errors: PdError."""
        if not 0 <= delay_s <= PAUSE_S_MAX:
            raise PdError(PdErrorKind.INVALID_VALUE, f"a pause is 0 to {PAUSE_S_MAX} seconds, not {delay_s}")
        names = sorted(self._entries) if name == "all" else [name]
        for one in names:
            if one not in self._entries:
                raise _unknown(one, tuple(sorted(self._entries)))
            entry = self._entries[one]
            entry.paused_at_ms = wall_ms if delay_s else 0
            entry.resume_at_ms = wall_ms + delay_s * 1000 if delay_s else 0
        self.wake()

    def forget_store(self, store_id: StoreId) -> None:
        """The store was removed for good."""
        if store_id in self.evicted:
            self.remove(f"{EvictLeader.name}-{store_id}")

    def _add_evicted(self, store_id: StoreId | None) -> None:
        store = self._view.store(store_id) if store_id is not None else None
        if store_id is None or store is None:
            raise PdError(PdErrorKind.INVALID_VALUE, f"{EvictLeader.name} needs a store; store {store_id} is not known")
        entry = self._entries.setdefault(EvictLeader.name, _Entry(EvictLeader(set())))
        assert isinstance(entry.scheduler, EvictLeader)
        if store_id in entry.scheduler.stores:
            raise PdError(PdErrorKind.INVALID_VALUE, f"{EvictLeader.name} is there for store {store_id} already")
        entry.scheduler.stores.add(store_id)

    def _save(self) -> None:
        stores = {EvictLeader.name: sorted(int(store_id) for store_id in self.evicted)}
        self._view.settings.set_schedulers({name: stores.get(name, []) for name in sorted(self._entries)})
        self.wake()

    def _view_of(self, name: str, wall_ms: int) -> SchedulerView:
        entry = self._entries[name]
        stores = tuple(sorted(entry.scheduler.stores)) if isinstance(entry.scheduler, EvictLeader) else ()
        paused = entry.resume_at_ms > wall_ms
        status = (
            "paused" if paused else "scheduling" if entry.did_something else "pending" if entry.summary else "normal"
        )
        shown = (entry.paused_at_ms, entry.resume_at_ms) if paused else (0, 0)
        return SchedulerView(name, stores, *shown, status, "" if paused else entry.summary)


def _make(name: str, stores: list[StoreId]) -> Scheduler:
    if name == BalanceLeader.name:
        return BalanceLeader()
    return BalanceRegion() if name == BalanceRegion.name else EvictLeader(set(stores))


def _unknown(name: str, known: tuple[str, ...]) -> PdError:
    near = difflib.get_close_matches(name, known, 1, 0.4)
    hint = f"did you mean {near[0]}?" if near else "there are " + (", ".join(known) or "none")
    return PdError(PdErrorKind.INVALID_VALUE, f"there is no scheduler {name}; {hint}")
