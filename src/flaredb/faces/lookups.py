"""Questions to PD about regions: few at a time, and an answer serves all calls that it happens to answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from flaredb.client.plan import Core
from flaredb.client.steps import AskPd
from flaredb.model.errors import FlareDBError
from flaredb.model.outcomes import Cause, NotSent
from flaredb.rpc.pd import PdClient

QUESTIONS_MAX = 4
"""Questions under way; others wait for a place, or for an answer that covers their key too."""

Told = Callable[[Any], None]


class _Question:
    """One call that waits for PD; told once."""

    __slots__ = ("step", "told")

    def __init__(self, step: AskPd, told: Told) -> None:
        self.step = step
        self.told: Told | None = told

    def tell(self, outcome: NotSent | None) -> None:
        told, self.told = self.told, None
        if told is not None:
            told(outcome)


class Lookups:
    """Asks PD for the plans of one client. Told None: the cache has been given what PD answered."""

    def __init__(self, pd: PdClient, core: Core, now_ms: Callable[[], int]) -> None:
        self._pd = pd
        self._core = core
        self._now_ms = now_ms
        self._waiting: deque[_Question] = deque()
        self._tasks: dict[asyncio.Task[None], _Question] = {}

    def ask(self, step: AskPd, told: Told) -> None:
        """Find the regions of ``step``; ``told`` is called later, at the latest when it is due."""
        loop = asyncio.get_running_loop()
        question = _Question(step, told)
        late = NotSent("PD did not answer in time", Cause.PD_UNREACHABLE)
        timer = loop.call_later(max(0, step.due_ms - self._now_ms()) / 1000, question.tell, late)

        def told_once(outcome: Any) -> None:
            timer.cancel()
            told(outcome)

        question.told = told_once
        self._waiting.append(question)
        self._begin()

    def close(self) -> None:
        """Stop asking; those who wait are told."""
        closed = NotSent("the client was closed", Cause.PD_UNREACHABLE)
        for task, question in list(self._tasks.items()):
            task.cancel()
            question.tell(closed)
        self._tell_all(closed)

    def _begin(self) -> None:
        while self._waiting and len(self._tasks) < QUESTIONS_MAX:
            question = self._waiting.popleft()
            if question.told is None:
                continue
            task = asyncio.get_running_loop().create_task(self._look(question))
            self._tasks[task] = question
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._begin()

    async def _look(self, question: _Question) -> None:
        step = question.step
        try:
            if step.below:
                found = await self._pd.get_region_below(step.key)
                routes = [found] if found is not None else []
            else:
                routes = await self._pd.scan_regions(step.key, b"", step.count)
        except FlareDBError as error:
            trouble = NotSent(str(error), Cause.PD_UNREACHABLE)
            question.tell(trouble)
            # They would have to wait for the same PD.
            self._tell_all(trouble)
        else:
            self._core.learn(routes)
            question.tell(None)
            self._tell_covered()

    def _tell_covered(self) -> None:
        """Tell those whose key is known by now."""
        waiting, self._waiting = self._waiting, deque()
        now_ms = self._now_ms()
        cache = self._core.cache
        for question in waiting:
            step = question.step
            known = cache.find_below(step.key, now_ms) if step.below else cache.find(step.key, now_ms)
            if known is not None:
                question.tell(None)
            else:
                self._waiting.append(question)

    def _tell_all(self, outcome: NotSent) -> None:
        waiting, self._waiting = self._waiting, deque()
        for question in waiting:
            question.tell(outcome)
