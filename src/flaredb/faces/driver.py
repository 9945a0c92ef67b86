"""Drives plans on an asyncio event loop: asks stores and PD, keeps time. No task and no future per step."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Protocol

from flaredb.client.errors import BusyError, ClosedError
from flaredb.client.limits import ClientOptions
from flaredb.client.plan import Core
from flaredb.client.steps import AskPd, AskStore, Plan, Together, Wait
from flaredb.faces.lookups import Lookups
from flaredb.model.ids import StoreId
from flaredb.rpc.kv import KvCall, KvLinks
from flaredb.rpc.pd import PdClient, PdClientTimes
from flaredb.wire.raw_requests import encode_context, encode_request

PD_TIMES = PdClientTimes(call_timeout_ms=1_500, retry_window_ms=0, connect_window_ms=0)
"""One attempt each: plans decide about the next."""


def now_ms() -> int:
    """Milliseconds of the monotonic clock, which all deadlines are in."""
    return time.monotonic_ns() // 1_000_000


class Answer(Protocol):
    """Where a plan's end goes: asyncio.Future is one."""

    def done(self) -> bool:
        """True if nobody waits any more."""

    def set_result(self, result: Any, /) -> None:
        """The plan has ended with this."""

    def set_exception(self, error: Exception, /) -> None:
        """The plan has raised this."""


class Pursuit(KvCall):
    """One plan that is being driven."""

    __slots__ = ("_answer", "_driver", "_plan")

    def __init__(self, driver: Driver, plan: Plan, answer: Answer) -> None:
        self._driver = driver
        self._plan = plan
        self._answer = answer

    def answered(self, outcome: Any) -> None:
        """The step's outcome is there: go on."""
        answer = self._answer
        if answer.done():
            self._plan.close()
            self._driver.ended()
            return
        try:
            step = self._plan.send(outcome)
        except StopIteration as stop:
            self._driver.ended()
            answer.set_result(stop.value)
        except Exception as error:
            self._driver.ended()
            answer.set_exception(error)
        else:
            if self._driver.closed:
                self._plan.close()
                self._driver.ended()
                answer.set_exception(closed_error())
            else:
                self._take(step)

    def is_given_up(self) -> bool:
        """True if nobody waits for the plan any more."""
        return self._answer.done()

    def _take(self, step: Any) -> None:
        driver = self._driver
        if type(step) is AskStore:
            route = step.route
            context = route.context
            if context is None:
                context = route.context = encode_context(route.region, route.peer)
            self.method, self.request = encode_request(step.command, context, step.ttl_s, driver.core.options.atomic)
            self.due_ms = step.due_ms
            driver.links.send(route.store_id, self)
        elif type(step) is AskPd:
            driver.lookups.ask(step, self.answered)
        elif type(step) is Wait:
            asyncio.get_running_loop().call_later(step.duration_ms / 1000, self.answered, None)
        else:
            assert type(step) is Together
            _Gathering(driver, step, self._answer, self).start()


class _Gathering:
    """Plans that run at the same time for one pursuit."""

    def __init__(self, driver: Driver, step: Together, waiter: Answer, pursuit: Pursuit) -> None:
        self._driver = driver
        self._plans = step.plans
        self._at_once = step.at_once
        self._waiter = waiter
        self._pursuit = pursuit
        self._outcomes: list[Any] = [None] * len(step.plans)
        self._begun = 0
        self._left = len(step.plans)

    def start(self) -> None:
        for _ in range(min(self._at_once, len(self._plans))):
            self._begin()

    def _begin(self) -> None:
        number = self._begun
        self._begun += 1
        self._driver.begin(self._plans[number], _Part(self, number))

    def finish(self, number: int, outcome: Any) -> None:
        self._outcomes[number] = outcome
        self._left -= 1
        if not self._left:
            self._pursuit.answered(self._outcomes)
        elif self._begun < len(self._plans):
            self._begin()

    def is_given_up(self) -> bool:
        return self._waiter.done()


class _Part:
    """The answer of one plan of a gathering."""

    __slots__ = ("_gathering", "_number")

    def __init__(self, gathering: _Gathering, number: int) -> None:
        self._gathering = gathering
        self._number = number

    def done(self) -> bool:
        return self._gathering.is_given_up()

    def set_result(self, result: Any, /) -> None:
        self._gathering.finish(self._number, result)

    def set_exception(self, error: Exception, /) -> None:
        self._gathering.finish(self._number, error)


class Driver:
    """One client's connections and what it knows. Everything happens on the event loop that it was made on."""

    def __init__(self, core: Core) -> None:
        """Pre: on the event loop that will be used. Nothing is connected yet."""
        self.core = core
        self.loop = asyncio.get_running_loop()
        self._pd = PdClient(core.options.endpoints, PD_TIMES)
        self._addresses: dict[int, str] = {}
        self.links = KvLinks(self._address_of, now_ms)
        self.lookups = Lookups(self._pd, core, now_ms)
        self._under_way = 0
        self.closed = False
        core.on_drop_store = self._forget_address

    def start(self, plan: Plan, answer: Answer) -> None:
        """Drive ``plan`` to its end, which goes to ``answer``: at once, or later on the loop."""
        if self.closed:
            plan.close()
            answer.set_exception(closed_error())
        elif self._under_way >= self.core.options.calls_max:
            plan.close()
            answer.set_exception(
                BusyError(
                    f"this client has {self._under_way} calls under way, the most it may (client option calls_max); "
                    "await some before you start more"
                )
            )
        else:
            self.begin(plan, answer)

    def begin(self, plan: Plan, answer: Answer) -> None:
        """The same for a part of a plan that has been started."""
        self._under_way += 1
        Pursuit(self, plan, answer).answered(None)

    def ended(self) -> None:
        """A plan has come to its end."""
        self._under_way -= 1

    async def close(self) -> None:
        """Close all connections; calls under way end with an error."""
        self.closed = True
        await self.links.close()
        self.lookups.close()
        await self._pd.close()

    async def _address_of(self, store_id: int) -> str:
        address = self._addresses.get(store_id)
        if address is None:
            async with asyncio.timeout(PD_TIMES.call_timeout_ms / 1000 * 2):
                store = await self._pd.get_store(StoreId(store_id))
            if not store.address:
                raise ConnectionError(f"PD knows no address of store {store_id}")
            address = self._addresses[store_id] = store.address
        return address

    def _forget_address(self, store_id: int) -> None:
        self._addresses.pop(store_id, None)


def closed_error() -> ClosedError:
    """The error for any use after close."""
    return ClosedError("this client is closed; open a new one with flaredb.connect() or flaredb.aio.connect()")


def make_core(options: ClientOptions) -> Core:
    """A core on this machine's clock."""
    return Core(options, now_ms, random.Random())
