"""The loop of a PD process: steps the placement core and performs its effects."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from flaredb.model.ids import StoreId
from flaredb.model.orders import RegionOrder
from flaredb.pd.core import PdCore
from flaredb.pd.messages import Answer, Call, Called, Effect, Fatal, Input, Note, SendOrder, Sync, SyncDone
from flaredb.server.logs import log_event
from flaredb.server.loop import monotonic_ms
from flaredb.server.syncer import Syncer

log = logging.getLogger(__name__)


class PdLoop:
    """``call`` returns when the answer is known and durable. Use it on the event loop's thread only."""

    def __init__(self, core: PdCore, syncer: Syncer, fatal: Callable[[str, int], None]) -> None:
        self.core = core
        self.on_order: Callable[[StoreId, RegionOrder], None] = lambda _store_id, _order: None
        """Takes an order to a store; until somebody takes them they are lost, which PD makes good."""

        self._syncer = syncer
        self._fatal = fatal
        self._loop = asyncio.get_running_loop()
        self._inbox: list[Input] = []
        self._is_scheduled = False
        self._is_stopped = False
        self._timer: asyncio.TimerHandle | None = None

    async def call(self, call: Call) -> Any:
        """The result, or a PdError as a value."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._submit(Called(future, call))
        return await future

    def stop(self) -> None:
        """No further step; calls that wait stay unanswered and end with their connection."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _submit(self, item: Input) -> None:
        self._inbox.append(item)
        self._schedule()

    def _schedule(self) -> None:
        if not (self._is_scheduled or self._is_stopped):
            self._is_scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        if self._is_stopped:
            return
        inputs, self._inbox = self._inbox, []
        try:
            for effect in self.core.step(monotonic_ms(), time.time_ns() // 1_000_000, inputs):
                self._perform(effect)
        except Exception as error:
            self.stop()
            self._fatal(f"an invariant is broken: {type(error).__name__}: {error}", 70)
            raise
        self._plan_next()

    def _plan_next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_ms = self.core.next_deadline_ms()
        if deadline_ms is not None and not self._is_scheduled:
            self._timer = self._loop.call_later(max(deadline_ms - monotonic_ms(), 1) / 1000, self._schedule)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Answer):
            if not effect.token.done():
                effect.token.set_result(effect.result)
        elif isinstance(effect, Sync):
            self._syncer.sync(effect.sequence, self._on_synced, self._on_sync_failed)
        elif isinstance(effect, Note):
            log_event(log, getattr(logging, effect.level), effect.event, **dict(effect.fields))
        elif isinstance(effect, SendOrder):
            self.on_order(effect.store_id, effect.order)
        else:
            assert isinstance(effect, Fatal), f"unknown effect {effect!r}"
            self.stop()
            self._fatal(effect.reason, effect.exit_status)

    def _on_synced(self, sequence: int) -> None:
        self._submit(SyncDone(sequence))

    def _on_sync_failed(self, error: Exception) -> None:
        self.stop()
        self._fatal(f"the storage engine failed to sync: {error}", 74)
