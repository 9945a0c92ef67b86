"""The simulator's clients: the real client core, and two kinds of plain ones beside it.

The core (flaredb.client) decides; its plans are driven here as faces/driver.py drives them on asyncio, and its requests
and their answers pass the encoders of the client port. Plain clients know only what their test needs: pinned readers
ask one store and nobody else, because retries at the leader hide stale reads; once-only writers try a thing once, as a
client without any error handling does. None of them repeats a write whose fate is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flaredb.client.plan import Core
from flaredb.client.steps import AskPd, AskStore, Plan, Together, Wait
from flaredb.model.cluster import RegionRoute
from flaredb.model.commands import Command, Request, Write
from flaredb.model.errors import FlareDBError, RegionError, UndeterminedResult
from flaredb.model.ids import StoreId
from flaredb.model.outcomes import Cause, Lost, NotSent
from flaredb.model.region import Peer
from flaredb.pd.messages import Call, GetPrevRegion, GetRegion, KeyRange, ScanRegions
from flaredb.sim.world import MS
from flaredb.wire.raw_calls import RAW_CALLS
from flaredb.wire.raw_requests import encode_context, encode_request
from flaredb.wire.requests import Known, RequestRules, RouteReader

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster

PD_TIMEOUT_MS = 1_500
TRY_TIMEOUT_MS = 2_000
BACKOFF_MS = 50
RULES = RequestRules()

Finish = Callable[[Any], None]
"""Takes an operation's result, or the error that ended it."""


class NoAnswer:
    """An answer that did not come, or came too late: the request may have had its effect."""


class NotTaken:
    """The connection was refused: the request had no effect."""


NO_ANSWER = NoAnswer()
NOT_TAKEN = NotTaken()


@dataclass(frozen=True, slots=True)
class Refused:
    """A plain client's operation had no effect, and the client has given up."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A plain client's operation may have had its effect, now or later."""


# ---------------------------------------------------------------- the real core


class Driver:
    """Drives plans of one client core in virtual time."""

    def __init__(self, cluster: SimCluster, name: str, core: Core) -> None:
        self._cluster = cluster
        self._name = name
        self._core = core
        self._routes = RouteReader(1)

    def start(self, plan: Plan, finish: Finish) -> None:
        """Drive ``plan`` to its end. ``finish`` gets its result or the exception that it raised."""
        self._advance(plan, None, finish)

    def _advance(self, plan: Plan, outcome: Any, finish: Finish) -> None:
        try:
            step = plan.send(outcome)
        except StopIteration as done:
            finish(done.value)
            return
        except FlareDBError as error:
            finish(error)
            return

        def go_on(result: Any) -> None:
            self._advance(plan, result, finish)

        if isinstance(step, AskStore):
            self._ask_store(step, go_on)
        elif isinstance(step, AskPd):
            self._ask_pd(step, go_on)
        elif isinstance(step, Wait):
            self._cluster.world.after(step.duration_ms * MS, lambda: go_on(None))
        else:
            assert isinstance(step, Together)
            self._together(step, go_on)

    def _ask_store(self, step: AskStore, done: Finish) -> None:
        """As bytes, there and back: server/unary.py and rpc/kv.py without the connection."""
        route = step.route
        if route.context is None:
            route.context = encode_context(route.region, route.peer)
        method, data = encode_request(step.command, route.context, step.ttl_s)
        call = RAW_CALLS[method.name]
        message: Any = call.request.FromString(data)
        command = call.read(message, RULES)
        if isinstance(command, Known):
            done(command.result)
            return

        def answered(result: Any) -> None:
            if result is NO_ANSWER:
                done(Lost("no answer came"))
            elif result is NOT_TAKEN:
                done(NotSent("nobody takes the connection"))
            else:
                done(method.decode(call.answer(result)))

        request = Request(None, command, *self._routes.read(message.context))
        self._cluster.call_store(self._name, request, answered, max(step.due_ms - self._core.now_ms(), 0))

    def _ask_pd(self, step: AskPd, done: Finish) -> None:
        """As faces/lookups.py and rpc/pd.py."""

        def ask(call: Call) -> None:
            timeout_ms = min(PD_TIMEOUT_MS, max(step.due_ms - self._core.now_ms(), 0))
            self._cluster.pd.call(self._name, call, answered, timeout_ms)

        def answered(found: Any) -> None:
            if isinstance(found, RegionRoute):
                if step.below and found.region.start_key == step.key:
                    ask(GetPrevRegion(step.key))
                    return
                self._core.learn([found])
            elif isinstance(found, tuple):
                self._core.learn(list(found))
            elif found is not None:
                done(NotSent(f"PD: {found}", Cause.PD_UNREACHABLE))
                return
            done(None)

        ask(GetRegion(step.key) if step.below else ScanRegions((KeyRange(step.key, b""),), limit=step.count))

    def _together(self, step: Together, done: Finish) -> None:
        outcomes: list[Any] = [None] * len(step.plans)
        waiting = list(enumerate(step.plans))[::-1]
        left = len(step.plans)

        def begin() -> None:
            number, plan = waiting.pop()

            def finish(outcome: Any) -> None:
                nonlocal left
                outcomes[number] = outcome
                left -= 1
                if not left:
                    done(outcomes)
                elif waiting:
                    begin()

            self._advance(plan, None, finish)

        for _ in range(min(step.at_once, len(step.plans))):
            begin()


# ---------------------------------------------------------------- plain clients


@dataclass(frozen=True, slots=True)
class _Find:
    key: bytes


@dataclass(frozen=True, slots=True)
class _Pause:
    duration_ms: int


_PlainPlan = Generator[_Find | _Pause | Request, Any, Any]


class PlainClient:
    """Asks PD for the region at every try, and a store once; see the two kinds above."""

    def __init__(self, cluster: SimCluster, name: str, only_store: StoreId | None, replica_read: bool) -> None:
        """``only_store``: ask no other store, until the time is up. ``replica_read``: take answers of followers."""
        self._cluster = cluster
        self._name = name
        self._only_store = only_store
        self._replica_read = replica_read

    def start(self, key: bytes, command: Command, deadline_ms: int, finish: Finish) -> None:
        """Pursue one operation on the region that holds ``key``. ``finish`` gets its result, Refused or Unknown."""
        self._advance(self._plan(key, command, deadline_ms), None, finish)

    def _plan(self, key: bytes, command: Command, deadline_ms: int) -> _PlainPlan:
        why = "no time"
        while self._cluster.world.now_us // MS < deadline_ms:
            route = yield _Find(key)
            peer = self._peer_of(route) if isinstance(route, RegionRoute) else None
            if peer is None:
                outcome: Any = NOT_TAKEN
            else:
                region = route.region
                outcome = yield Request(
                    None,
                    command,
                    region.id,
                    region.epoch.version,
                    peer.id,
                    peer.store_id,
                    replica_read=self._replica_read,
                )
            if isinstance(command, Write) and (outcome is NO_ANSWER or isinstance(outcome, UndeterminedResult)):
                return Unknown()
            if not isinstance(outcome, NoAnswer | NotTaken | RegionError):
                return outcome
            why = type(outcome).__name__
            if self._only_store is None:
                break
            yield _Pause(4 * BACKOFF_MS)
        return Refused(why)

    def _peer_of(self, route: RegionRoute) -> Peer | None:
        if self._only_store is not None:
            return route.region.peer_on(self._only_store)
        return route.leader or route.region.peers[0]

    def _advance(self, plan: _PlainPlan, outcome: Any, finish: Finish) -> None:
        try:
            step = plan.send(outcome)
        except StopIteration as done:
            finish(done.value)
            return

        def go_on(result: Any) -> None:
            self._advance(plan, result, finish)

        if isinstance(step, _Find):
            self._cluster.pd.call(self._name, GetRegion(step.key), go_on, PD_TIMEOUT_MS)
        elif isinstance(step, _Pause):
            self._cluster.world.after(step.duration_ms * MS, lambda: go_on(None))
        else:
            self._cluster.call_store(self._name, step, go_on, TRY_TIMEOUT_MS)
