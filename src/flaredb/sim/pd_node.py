"""PD as a process in virtual time, and calls to it over the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flaredb.engine.base import EngineError
from flaredb.engine.memory import Keep
from flaredb.model.cluster import SplitIds
from flaredb.pd.core import PdCore
from flaredb.pd.messages import Answer, Call, Called, Fatal, Input, Note, SendOrder, Sync, SyncDone
from flaredb.sim.disk import Disk
from flaredb.sim.mover import show_step
from flaredb.sim.pd_link import TIMED_OUT
from flaredb.sim.pd_wire import answer_over_wire, call_over_wire, order_over_wire
from flaredb.sim.process import Process
from flaredb.sim.world import MS, Clock
from flaredb.store.messages import OrderReceived

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster

WALL_START_MS = 1_700_000_000_000
DONE = Callable[[Any], None]


class PdNode(Process):
    """The placement driver, which may be down."""

    def __init__(self, cluster: SimCluster) -> None:
        super().__init__(cluster.world, "pd")
        self.cluster = cluster
        self._rng = self.world.rng(self.name)
        self.disk = Disk(self.world, self.world.rng("pd/disk"), cluster.options.disk, self.name)
        self.clock = Clock(self.world, 1_000)
        self.wall_offset_ms = 0
        """What jumps of the wall clock have added."""
        self.core: PdCore | None = None
        self._inbox: list[Input] = []
        self._is_scheduled = False
        self._timer = 0

    @property
    def is_up(self) -> bool:
        """True while the process runs."""
        return self.core is not None

    def start(self) -> None:
        """A new process on what the disk holds."""
        assert self.core is None, "PD runs already"
        self.begin_life()
        self._inbox.clear()
        self._is_scheduled = False
        self.world.trace(self.name, "start")
        try:
            self.core = PdCore(self.cluster.options.pd, self.disk.open(), self._rng)
        except EngineError as error:
            self.cluster.on_pd_death(str(error))

    def die(self, keep: Keep, why: str) -> None:
        """The process ends; calls that wait stay unanswered."""
        if self.core is None:
            return
        self.core = None
        self.begin_life()
        kept, lost = self.disk.crash(keep)
        self.world.trace(self.name, "dies", f"{why}; of the unsynced batches {kept} kept, {lost} lost")
        self.cluster.on_pd_death(why)

    def call(self, source: str, call: Call, done: DONE, timeout_ms: int) -> None:
        """Call PD from the node ``source``; ``done`` gets the answer, a PdError, or TIMED_OUT, once."""
        is_done = False

        def finish(answer: Any) -> None:
            nonlocal is_done
            if not is_done:
                is_done = True
                done(answer)

        def arrive() -> None:
            if self.core is not None:
                self._submit(Called((source, finish), call_over_wire(call)))

        self.world.after(timeout_ms * MS, lambda: finish(TIMED_OUT))
        self.cluster.network.send_call(source, self.name, arrive)

    def _submit(self, item: Input) -> None:
        self._inbox.append(item)
        self._schedule(self.cluster.options.step_delay_us)

    def _schedule(self, delay_us: int) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.later(delay_us, self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        core = self.core
        if core is None:
            return
        inputs, self._inbox = self._inbox, []
        wall_ms = WALL_START_MS + self.world.now_us // MS + self.wall_offset_ms
        effects = core.step(self.clock.now_ms(), wall_ms, inputs)
        self.world.trace(self.name, "step", f"{len(inputs)} {len(effects)}")
        self.cluster.invariants.after_pd_step(core)
        for effect in effects:
            self._perform(effect)
            if self.core is not core:
                return
        self._plan_next(core)

    def _plan_next(self, core: PdCore) -> None:
        deadline_ms = core.next_deadline_ms()
        if self._inbox:
            self._schedule(self.cluster.options.step_delay_us)
        elif deadline_ms is not None:
            self._timer += 1
            timer = self._timer

            def wake() -> None:
                if timer == self._timer:
                    self._schedule(0)

            self.later(max(self.clock.when_us(deadline_ms) - self.world.now_us, 0), wake)

    def _perform(self, effect: Any) -> None:
        if isinstance(effect, Answer):
            source, finish = effect.token
            if isinstance(effect.result, tuple) and effect.result and isinstance(effect.result[0], SplitIds):
                self.cluster.invariants.after_grant(effect.result)
            result = answer_over_wire(effect.result)
            self.cluster.network.send_call(self.name, source, lambda: finish(result))
        elif isinstance(effect, Sync):
            self.disk.sync(effect.sequence, lambda sequence: self._submit(SyncDone(sequence)), self._on_sync_failed)
        elif isinstance(effect, SendOrder):
            self._send_order(effect)
        elif isinstance(effect, Note):
            fields = " ".join(f"{name}={value}" for name, value in effect.fields)
            self.world.trace(self.name, "note", f"{effect.event} {fields}")
        else:
            assert isinstance(effect, Fatal), f"unknown effect {effect!r}"
            self.die("prefix", effect.reason)

    def _send_order(self, effect: SendOrder) -> None:
        order = order_over_wire(effect.order)
        self.cluster.invariants.after_order(order)
        node = self.cluster.find(effect.store_id)
        if node is not None:
            target = node
            self.world.trace(self.name, "order", f"r{order.region_id} {target.name} {show_step(order.step)}")
            self.cluster.network.send_call(self.name, target.name, lambda: target.submit(OrderReceived(order)))

    def _on_sync_failed(self, error: EngineError) -> None:
        self.die("prefix", str(error))
