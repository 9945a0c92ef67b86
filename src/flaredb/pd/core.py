"""The placement core: one step takes calls and returns answers, without any I/O but unsynced writes to its engine.

A step: finished syncs release the answers that waited for them; calls are handled in order; calls that wait for
knowledge are looked at again if something changed, or answered as well as possible when their time is up; scheduling
does what is due, a bounded part of it; then what was staged is written, and if somebody must not hear of it before it
is durable, one Sync covers the whole step. Answers and orders leave in the order they were made: while a sync is under
way, later ones queue behind it, so nobody reads what a power cut could still take back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

from flaredb.engine.base import Engine, EngineError
from flaredb.model.ids import ClusterId
from flaredb.pd.cluster import Stores
from flaredb.pd.config import PdConfig
from flaredb.pd.gc import GcSafePoints
from flaredb.pd.handlers import Handlers, NotYet
from flaredb.pd.held import HeldCalls
from flaredb.pd.messages import Answer, Called, Effect, Fatal, Input, Sync, SyncDone
from flaredb.pd.region_tree import RegionTree
from flaredb.pd.scheduling import Scheduling
from flaredb.pd.splitter import Job
from flaredb.pd.state import PdState
from flaredb.pd.tso import TimestampOracle
from flaredb.wire.pd_states import PdIdent


class PdCore:
    """One placement driver.

    Invariants: answers leave in the order in which they were made; _unsynced holds the answers behind each sync under
    way, oldest first; _synced <= _sync_sequence.

    Errors of the constructor: StateCorrupted; ConfigError for a configuration that cannot work or a directory that is
    not PD's. A failed engine shows as a Fatal effect, after which nothing is answered any more.
    """

    def __init__(self, config: PdConfig, engine: Engine, rng: Random) -> None:
        """Load what is on disk. A new directory becomes a new cluster: ``rng`` gives it its identity.

        ``rng`` also picks, later on, which of many regions are looked at.

        Post: the identity is durable.
        """
        config.validate()
        fresh_ident = PdIdent(rng.getrandbits(63) + 1, rng.getrandbits(63) + 1)
        self._state = PdState(engine)
        self._handlers = Handlers(self._state, config, fresh_ident, rng)
        if self._state.write_staged():
            engine.sync()
        self._held = HeldCalls(config.hold_ms, config.held_calls_max)
        self._sync_sequence = 0
        self._synced = 0
        self._unsynced: deque[tuple[int, list[Effect]]] = deque()
        self._effects: list[Effect] = []
        self._now_ms = 0

    # ------------------------------------------------------------ facts for the rim, read only

    @property
    def cluster_id(self) -> ClusterId:
        """Never 0."""
        return ClusterId(self._handlers.ident.cluster_id)

    @property
    def member_id(self) -> int:
        """Never 0."""
        return self._handlers.ident.member_id

    @property
    def stores(self) -> Stores:
        """Stores by id; not to be changed from outside."""
        return self._handlers.stores

    @property
    def regions(self) -> RegionTree:
        """The region directory; not to be changed from outside."""
        return self._handlers.regions

    @property
    def tso(self) -> TimestampOracle:
        """The source of timestamps."""
        return self._handlers.tso

    @property
    def gc(self) -> GcSafePoints:
        """The GC safe points."""
        return self._handlers.gc

    @property
    def max_replicas(self) -> int:
        """Replicas wanted per region."""
        return self._handlers.max_replicas

    @property
    def bootstrapped_at_ms(self) -> int | None:
        """Unix milliseconds; None while the cluster has no regions."""
        return self._handlers.bootstrapped_at_ms

    @property
    def last_id(self) -> int:
        """The newest id handed out, as far as this process knows."""
        return self._handlers.ids.last

    @property
    def scheduling(self) -> Scheduling:
        """Operators, schedulers and settings; not to be changed from outside."""
        return self._handlers.scheduling

    @property
    def held_calls(self) -> int:
        """Calls that wait for something to become known."""
        return len(self._held)

    def next_deadline_ms(self) -> int | None:
        """When step must be called again, at the latest, even without inputs; None: no need."""
        due = [self._held.next_deadline_ms, self._handlers.scheduling.next_due_ms]
        return min((moment_ms for moment_ms in due if moment_ms is not None), default=None)

    # ------------------------------------------------------------ the step

    def step(self, now_ms: int, wall_ms: int, inputs: Sequence[Input]) -> list[Effect]:
        """Take the inputs in order and return what is to be done, in order.

        Units: ``now_ms`` is a clock that never goes back, ``wall_ms`` unix time, which may.
        """
        self._now_ms = now_ms
        self._effects = []
        self._handlers.start_step(now_ms, wall_ms)
        released: list[Effect] = []
        for item in inputs:
            if isinstance(item, SyncDone):
                released += self._release(item.sequence)
            else:
                self._call(item)
        if self._handlers.regions_changed:
            self._handlers.regions_changed = False
            self._look_again()
        for called in self._held.take_due(now_ms):
            result = self._handlers.handle(called.call)
            self._effects.append(Answer(called.token, result.best if isinstance(result, NotYet) else result))
        self._handlers.scheduling.run()
        return released + self._write()

    def _release(self, sequence: int) -> list[Effect]:
        self._synced = max(self._synced, sequence)
        released: list[Effect] = []
        while self._unsynced and self._unsynced[0][0] <= self._synced:
            released += self._unsynced.popleft()[1]
        return released

    def _write(self) -> list[Effect]:
        """Write what the step staged; its answers leave now, or after the newest sync under way."""
        effects = [*self._handlers.take_notes(), *self._effects, *self._handlers.scheduling.take_effects()]
        try:
            must_sync = self._state.write_staged()
        except EngineError as error:
            return [Fatal(f"the storage engine failed to write: {error}")]
        if must_sync:
            self._sync_sequence += 1
            self._unsynced.append((self._sync_sequence, effects))
            return [Sync(self._sync_sequence)]
        if self._sync_sequence > self._synced:
            if effects:
                self._unsynced.append((self._sync_sequence, effects))
            return []
        return effects

    def _call(self, called: Called) -> None:
        result = self._handlers.handle(called.call)
        if isinstance(result, NotYet):
            if self._held.hold(called, self._now_ms):
                return
            result = result.best
        if isinstance(result, Job):
            result.hold(called.token)
        else:
            self._effects.append(Answer(called.token, result))

    def _look_again(self) -> None:
        for deadline_ms, called in self._held.take_all():
            result = self._handlers.handle(called.call)
            if isinstance(result, NotYet):
                self._held.put_back(deadline_ms, called)
            else:
                self._effects.append(Answer(called.token, result))
