"""One store as a process: a core, its disk and clock, the inputs that wait for it, and its deaths.

What a real loop does (server/loop.py), in virtual time: inputs that arrive close together share a step, effects are
performed in order, and the process may die between any two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flaredb.engine.base import EngineError
from flaredb.engine.memory import Keep
from flaredb.model.ids import StoreId
from flaredb.raft import MessageType
from flaredb.sim.disk import Disk
from flaredb.sim.pd_link import PdLink
from flaredb.sim.process import Process
from flaredb.sim.snapshots import KeptSnapshots
from flaredb.sim.world import Clock
from flaredb.store.incoming import CONTRADICTION
from flaredb.store.messages import (
    AskSplit,
    CheckRegion,
    Effect,
    Fatal,
    Input,
    Note,
    RaftEnvelope,
    RefreshRoutes,
    Reply,
    ReportRegion,
    ReportSplit,
    SendRaft,
    SendSnapshot,
    Sync,
    SyncDone,
)
from flaredb.store.store import Store

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster

INPUTS_PER_STEP_MAX = 256
LATE_NEWS_US = 10_000
"""As server/loop.py."""

INBOX_MAX = 20_000


@dataclass(slots=True)
class Aim:
    """Kill the process right after an effect like this one; of several messages to one store, only some leave."""

    what: str
    """vote, ack, append, answer, sync or any."""

    keep: Keep

    def hits(self, effect: Effect) -> bool:
        """True for the effect to die after."""
        if isinstance(effect, SendRaft):
            return any(_WHAT.get(envelope.message.msg_type) == self.what for envelope in effect.envelopes)
        if isinstance(effect, Reply):
            return self.what == "answer"
        return self.what == "any" or (self.what == "sync" and isinstance(effect, Sync))


AIMS = ("vote", "ack", "append", "answer", "sync", "any")
_WHAT = {
    MessageType.MsgRequestVoteResponse: "vote",
    MessageType.MsgRequestVote: "vote",
    MessageType.MsgAppendResponse: "ack",
    MessageType.MsgAppend: "append",
}


class StoreNode(Process):
    """A store process that may be down.

    Invariants: ``store`` is None while the process is down, or up and not registered yet; nothing of an earlier life
    reaches a later one.
    """

    def __init__(self, cluster: SimCluster, number: int) -> None:
        super().__init__(cluster.world, f"s{number}")
        self.cluster = cluster
        self._rng = self.world.rng(self.name)
        self.disk = Disk(self.world, self.world.rng(f"{self.name}/disk"), cluster.options.disk, self.name)
        self.files = KeptSnapshots()
        self.clock = Clock(self.world, self._rng.randrange(1_000, 1_000_000))
        self.store: Store | None = None
        self.store_id = StoreId(0)
        """0 until PD has given it one."""
        self.link = PdLink(self)
        self.aim: Aim | None = None
        self.is_up = False
        self.is_draining = False
        """Somebody has asked PD to empty this store."""

        self.deaths = 0
        self.died_us = 0
        """When it died last."""

        self.fatal_reason = ""
        self._earlier_refusals = 0
        self._inbox: list[Input] = []
        self._late_news: list[Input] = []
        """For the next step, which may come late."""
        self._is_scheduled = False
        self._wake_us = 0
        """When the newest timer wakes the process; older ones are void."""

    # ------------------------------------------------ life and death

    def start(self) -> None:
        """A new process on what the disk holds. The core is made once PD has told who this is."""
        assert not self.is_up, f"{self.name} runs already"
        self.begin_life()
        self.is_up = True
        self.fatal_reason = ""
        self._wake_us = 0
        self._inbox.clear()
        self._late_news.clear()
        self._is_scheduled = False
        self.world.trace(self.name, "start")
        try:
            self.link.start(self.disk.open())
        except EngineError as error:
            self.die("synced", str(error))

    def open_store(self, store_id: StoreId) -> None:
        """The link knows who this is: load the core."""
        self.store_id = store_id
        try:
            self.store = self.cluster.make_store(self)
        except EngineError as error:
            self.die("synced", str(error))
            return
        self.cluster.on_store_opened(self)
        self._schedule(0)

    def die(self, keep: Keep, why: str) -> None:
        """The process ends between two effects; the disk keeps what ``keep`` says."""
        if not self.is_up:
            return
        self.is_up = False
        self.deaths += 1
        self.died_us = self.world.now_us
        self.begin_life()
        self.aim = None
        self.fatal_reason = why
        self.link.stop()
        if self.store is not None:
            self._earlier_refusals = self.engine_refusals
            self.store.close()
            self.store = None
        kept, lost = self.disk.crash(keep)
        self.world.trace(self.name, "dies", f"{why}; of the unsynced batches {kept} kept, {lost} lost")
        self.cluster.on_death(self)

    @property
    def engine_refusals(self) -> int:
        """Writes refused with ServerIsBusy because the engine is behind, in all lives."""
        return self._earlier_refusals + (self.store.busy_counts.get("engine", 0) if self.store is not None else 0)

    # ------------------------------------------------ the loop

    def submit(self, item: Input) -> None:
        """Hand an input to the next step; dropped if nobody is there, or too much waits."""
        if self.store is None or len(self._inbox) >= INBOX_MAX:
            return
        self._inbox.append(item)
        self._schedule(self.cluster.options.step_delay_us)

    def _schedule(self, delay_us: int) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.later(delay_us, self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        store = self.store
        if store is None:
            return
        inputs, self._inbox = self._inbox[:INPUTS_PER_STEP_MAX], self._inbox[INPUTS_PER_STEP_MAX:]
        if self._late_news:
            inputs, self._late_news = self._late_news + inputs, []
        self.cluster.drift.look(self, store)
        effects = store.step(self.clock.now_ms(), inputs)
        self.cluster.drift.look(self, store)
        self.world.trace(self.name, "step", f"{len(inputs)} {len(effects)}")
        if not (effects and isinstance(effects[0], Fatal)):
            self.cluster.invariants.after_step(self, store, effects)
        if self._perform_all(store, effects):
            self._plan_next(store)

    def _perform_all(self, store: Store, effects: list[Effect]) -> bool:
        """False if the process died meanwhile."""
        for effect in effects:
            if self.aim is not None and self.aim.hits(effect):
                self._die_at(effect)
                return False
            self._perform(effect)
            if self.store is not store:
                return False
        return True

    def _plan_next(self, store: Store) -> None:
        deadline_ms = store.next_deadline_ms()
        if self._inbox or deadline_ms <= store.now_ms:
            self._schedule(self.cluster.options.step_delay_us)
            return
        now_us = self.world.now_us
        when_us = max(self.clock.when_us(deadline_ms), now_us)
        if when_us == self._wake_us > now_us:
            return
        self._wake_us = when_us

        def wake() -> None:
            if when_us == self._wake_us:
                self._wake_us = 0
                self._schedule(0)

        self.later(when_us - now_us, wake)

    def _die_at(self, effect: Effect) -> None:
        assert self.aim is not None
        aim = self.aim
        if isinstance(effect, SendRaft) and len(effect.envelopes) > 1:
            some = self._rng.randrange(1, len(effect.envelopes) + 1)
            self._perform(SendRaft(effect.to_store, effect.envelopes[:some]))
        else:
            self._perform(effect)
        self.die(aim.keep, f"aimed: {aim.what}")

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, SendRaft):
            self.cluster.send_raft(self, effect.to_store, effect.envelopes)
        elif isinstance(effect, Sync):
            self.disk.sync(effect.sequence, self._on_synced, self._on_sync_failed)
        elif isinstance(effect, Reply):
            self.cluster.deliver_answers(self, effect.answers)
        elif isinstance(effect, ReportRegion):
            self.link.report_region(effect.heartbeat)
        elif isinstance(effect, AskSplit):
            self.link.ask_split(effect.region, effect.count)
        elif isinstance(effect, ReportSplit):
            self.link.report_split(effect.regions)
        elif isinstance(effect, RefreshRoutes):
            self.link.refresh_routes()
        elif isinstance(effect, CheckRegion):
            self.link.check_region(effect.region_id)
        elif isinstance(effect, Note):
            assert effect.event != CONTRADICTION, _fields(effect)
            self.world.trace(self.name, "note", f"{effect.event} {_fields(effect)}")
        elif isinstance(effect, SendSnapshot):
            self.cluster.snapshots.send(self, effect)
        else:
            assert isinstance(effect, Fatal), f"unknown effect {effect!r}"
            self.cluster.on_fatal(self, effect)

    def _on_synced(self, sequence: int) -> None:
        if self.cluster.options.promises_early:
            self.later(0, lambda: self._give_promises(sequence))
        else:
            self.submit(SyncDone(sequence))

    def _give_promises(self, sequence: int) -> None:
        """As a process does that had nothing else to do: what others wait for leaves, the store's own news waits."""
        store = self.store
        if store is None:
            return
        effects = [] if self._inbox else store.take_promises(sequence)
        # Not after_step: the core's clock stands where its last step was, perhaps before a pause.
        self.cluster.invariants.check_promises(self, effects)
        if not self._perform_all(store, effects):
            return
        if not effects or store.waiting_requests:
            self.submit(SyncDone(sequence))
            return
        self._late_news.append(SyncDone(sequence))
        self.later(LATE_NEWS_US, lambda: self._schedule(0))

    def _on_sync_failed(self, error: EngineError) -> None:
        self.cluster.on_fatal(self, Fatal(f"the storage engine failed to sync: {error}", 74))


def _fields(note: Note) -> str:
    return " ".join(f"{name}={value}" for name, value in note.fields)


def summary(envelopes: list[RaftEnvelope]) -> str:
    """Messages in a few words, for trace lines."""
    return ", ".join(_one(envelope) for envelope in envelopes)


def _one(envelope: RaftEnvelope) -> str:
    message: Any = envelope.message
    name = message.msg_type.name[3:]
    extra = f"+{len(message.entries)}" if message.entries else ""
    refusal = "!" if message.reject else ""
    return f"r{envelope.region_id}:{name}{refusal} t{message.term} i{message.index}{extra} c{message.commit}"
