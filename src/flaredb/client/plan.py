"""How one request is pursued until it is answered: find the region, ask, judge the outcome, wait, again, until the
deadline."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from flaredb.client.backoff import HINTS_MAX, RULES, Rule, Where, wait_ms
from flaredb.client.errors import (
    ClientError,
    ConnectionError,
    NotSupportedError,
    RequestRefusedError,
    TimeoutError,
    TtlNotEnabledError,
    UndeterminedError,
    shown,
)
from flaredb.client.history import History
from flaredb.client.limits import ClientOptions, value_too_large
from flaredb.client.region_cache import RegionCache, Route
from flaredb.client.steps import AskPd, AskStore, Plan, Wait
from flaredb.model.cluster import RegionRoute
from flaredb.model.commands import Command, Write
from flaredb.model.outcomes import TROUBLES, Cause, Failed, Lost, NotSent, Refusal, Trouble
from flaredb.model.region import Region

TTL_CURE = (
    "on TiKV set storage.enable-ttl = true before the cluster's first start; FlareDB keeps every value until it is "
    "deleted, so leave ttl out"
)


class Moved(Exception):
    """The request must be made anew, because its region is not what it was; only for plans of many keys."""


class Core:
    """What a client knows of its cluster, and how it pursues requests. One thread at a time.

    ``on_drop_store`` is told of a store whose address is in doubt.
    """

    def __init__(
        self,
        options: ClientOptions,
        now_ms: Callable[[], int],
        rng: random.Random,
        on_drop_store: Callable[[int], None] = lambda _store_id: None,
    ) -> None:
        self.options = options
        self.cache = RegionCache()
        self.now_ms = now_ms
        self._rng = rng
        self.on_drop_store = on_drop_store

    def learn(self, found: list[RegionRoute]) -> None:
        """What PD answered."""
        now_ms = self.now_ms()
        for route in found:
            self.cache.learn(route, now_ms)

    def pursue(
        self,
        key: bytes,
        make: Callable[[Region], Command],
        deadline_ms: int,
        *,
        below: bool = False,
        patient: bool = False,
        idempotent: bool = False,
        ttl_s: int = 0,
        fits: Callable[[Region], bool] | None = None,
    ) -> Plan:
        """Have the region of ``key`` (``below``: of the keys just below it) do what ``make`` makes for it.

        ``patient``: a try may take all of the time. ``idempotent``: a write may be applied twice. ``fits``: whether
        the request can go to a region as it is.

        Result: the command's. Errors: ClientError; Moved if the region does not fit any more.
        """
        history: History | None = None
        cache = self.cache
        while True:
            now_ms = self.now_ms()
            route = cache.find_below(key, now_ms) if below else cache.find(key, now_ms)
            if route is None:
                history = history or History(now_ms)
                route = yield from self.locate(key, deadline_ms, history, below=below)
                now_ms = self.now_ms()
            if fits is not None and not fits(route.region):
                raise Moved
            command = make(route.region)
            is_write = type(command) is Write
            due_ms = deadline_ms
            if not is_write and not patient:
                due_ms = min(deadline_ms, now_ms + self.options.read_try_ms)
            outcome = yield AskStore(command, route, due_ms, ttl_s)
            if type(outcome) not in TROUBLES:
                return outcome
            history = history or History(now_ms)
            yield from self._judge(key, route, outcome, history, deadline_ms, is_write and not idempotent, ttl_s)

    def locate(self, key: bytes, deadline_ms: int, history: History, *, count: int = 1, below: bool = False) -> Plan:
        """The route of a key, asked of PD. Result: Route. Errors: TimeoutError, ConnectionError."""
        while True:
            outcome = yield AskPd(key, deadline_ms, count, below)
            now_ms = self.now_ms()
            route = self.cache.find_below(key, now_ms) if below else self.cache.find(key, now_ms)
            if route is not None:
                return route
            if outcome is None:
                cause, text = Cause.REGION_UNKNOWN, f"PD names no region with a replica for key {shown(key)}"
            else:
                cause, text = Cause.PD_UNREACHABLE, outcome.reason
            tries_before = history.note(cause, text, now_ms)
            yield from self._pause(RULES[cause], cause, tries_before, history, deadline_ms, key, 0)

    def _judge(
        self,
        key: bytes,
        route: Route,
        outcome: Trouble,
        history: History,
        deadline_ms: int,
        must_not_repeat: bool,
        ttl_s: int,
    ) -> Plan:
        """Learn from a failed try and wait as long as it asks for; raises what ends the call."""
        region_id = route.region.id
        if isinstance(outcome, Failed):
            raise refused(outcome.message, key, region_id, ttl_s)
        cause, text = _cause(outcome)
        rule = RULES[cause]
        now_ms = self.now_ms()
        tries_before = history.note(cause, text, now_ms)
        if rule.unknown and must_not_repeat:
            raise UndeterminedError(
                f"the fate of the write of key {shown(key)} is unknown: {text}. It may be applied now, later or never; "
                "read the key to find out, or write with idempotent=True if it may be applied twice"
                f"{_tail(history)}",
                key=key,
                region_id=region_id,
                history=str(history),
            )
        if rule.ends:
            raise _fatal(cause, outcome, key, region_id)
        if self._redirect(rule, route, outcome, history):
            return
        asked_ms = outcome.backoff_ms if isinstance(outcome, Refusal) else 0
        yield from self._pause(rule, cause, tries_before, history, deadline_ms, key, region_id, asked_ms)

    def _redirect(self, rule: Rule, route: Route, outcome: Trouble, history: History) -> bool:
        """Put what the outcome says into the cache. True if the next try need not wait."""
        cache = self.cache
        if rule.drops_store:
            self.on_drop_store(route.store_id)
        if rule.where is Where.LEADER and isinstance(outcome, Refusal):
            return self._follow(route, outcome, history)
        history.hints = 0
        if rule.where is Where.REGIONS and isinstance(outcome, Refusal) and outcome.regions:
            now_ms = self.now_ms()
            cache.drop(route)
            for region in outcome.regions:
                cache.learn(RegionRoute(region, region.peer_on(route.store_id)), now_ms)
        elif rule.where is Where.NEXT:
            if not cache.try_next(route):
                cache.drop(route)
        elif rule.where is not Where.SAME:
            cache.drop(route)
        return False

    def _follow(self, route: Route, outcome: Refusal, history: History) -> bool:
        history.hints += 1
        if outcome.leader is None:
            # An election is under way, or this replica was cut off: the others know better, and PD after a round.
            if history.hints % (len(route.region.peers) + 1) == 0 or not self.cache.try_next(route):
                self.cache.drop(route)
            return False
        if not self.cache.switch(route, outcome.leader):
            self.cache.drop(route)
            return history.hints <= 1
        return history.hints <= HINTS_MAX

    def _pause(
        self,
        rule: Rule,
        cause: Cause,
        tries_before: int,
        history: History,
        deadline_ms: int,
        key: bytes,
        region_id: int,
        asked_ms: int = 0,
    ) -> Plan:
        left_ms = deadline_ms - self.now_ms()
        if left_ms <= 0:
            raise out_of_time(key, region_id, history)
        duration_ms = wait_ms(rule, tries_before, self._rng.random(), asked_ms)
        if duration_ms:
            # The last try comes before the deadline, however long the wait should be.
            yield Wait(min(duration_ms, max(1, left_ms - min(50, left_ms // 2))))
            history.waited(cause, self.now_ms())


def _cause(outcome: Trouble) -> tuple[Cause, str]:
    if isinstance(outcome, Refusal):
        return outcome.cause, outcome.message or outcome.cause
    if isinstance(outcome, Lost):
        return Cause.ANSWER_LOST, outcome.reason
    assert isinstance(outcome, NotSent)
    return outcome.cause, outcome.reason


def _tail(history: History) -> str:
    return f" (tried: {history})" if str(history) else ""


def out_of_time(key: bytes, region_id: int, history: History) -> ClientError:
    """The error of a call whose deadline has passed and that certainly had no effect."""
    last = f"; last: {history.last_text}" if history.last_text else ""
    if history.only(Cause.PD_UNREACHABLE, Cause.STORE_UNREACHABLE):
        return ConnectionError(
            f"the cluster cannot be reached{_tail(history)}{last}; check that it runs and that its addresses can be "
            "reached from here",
            key=key,
            region_id=region_id,
            history=str(history),
        )
    return TimeoutError(
        f"the deadline passed for key {shown(key)}{_tail(history)}{last}; a longer one: timeout=",
        key=key,
        region_id=region_id,
        history=str(history),
    )


def refused(message: str, key: bytes, region_id: int, ttl_s: int = 0) -> RequestRefusedError:
    """The error for a server's own words."""
    kind: type[RequestRefusedError] = RequestRefusedError
    if ttl_s and "ttl" in message.lower():
        kind, message = TtlNotEnabledError, f"{message} ({TTL_CURE})"
    elif message.startswith("UNIMPLEMENTED"):
        kind = NotSupportedError
    return kind(f"the server refuses: {message}", key=key, region_id=region_id)


def _fatal(cause: Cause, outcome: Trouble, key: bytes, region_id: int) -> ClientError:
    assert isinstance(outcome, Refusal)
    if cause is Cause.RAFT_ENTRY_TOO_LARGE:
        error: ClientError = value_too_large(key, outcome.size_bytes, max(outcome.size_bytes - 1, 0))
        error.args = (f"{outcome.message or error} (server setting raftstore.raft-entry-max-size)",)
        error.region_id = region_id
        return error
    return RequestRefusedError(f"the region refuses: {outcome.message}", key=key, region_id=region_id)


def result_of(outcome: Any) -> Any:
    """A result of Together: raises it if it is an error."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
