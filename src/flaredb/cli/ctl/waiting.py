"""Waiting for what was ordered: for an operator to end, for a store to be empty."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from flaredb.cli.ctl.http import Pd, PdRefused, PdUnreachable
from flaredb.cli.ctl.operator_view import duration_text, status_of
from flaredb.cli.waiting import pause
from flaredb.model.errors import FlareDBError

DEFAULT_TIMEOUT_S = 3_600.0
POLL_S = 0.5
OUTAGE_S = 30.0
"""How long PD may be away meanwhile: it may be restarted."""

RATE_WINDOW_S = 30.0
STALL_S = 20.0
"""Without progress for that long, PD is asked why."""

LINE_EVERY_S = 5.0
"""Where nobody watches, progress is told at most that often."""


class CtlFailed(FlareDBError):
    """What was ordered did not happen; the message says how it stands."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, to be replaced in tests."""

    now_s: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = pause


def order_and_wait(pd: Pd, body: dict[str, Any], timeout_s: float, clock: Clock | None = None) -> str:
    """Order an operator and wait for its end; a sentence on success.

    Errors: CtlFailed if it ends otherwise, or not in time.
    """
    clock = clock or Clock()
    region_id = body["region_id"]
    path = f"/operators/{region_id}"
    before = _get_or_none(pd, path)
    pd.post("/operators", body)
    end_s = clock.now_s() + timeout_s
    while True:
        text = _asked_again(lambda: _get_or_none(pd, path), clock)
        if text is None or text == before:
            return f"region {region_id}: there was nothing to do"
        status, _, reason = status_of(text)
        if status == "SUCCESS":
            return f"region {region_id}: {body['name']} is done"
        if status != "RUNNING":
            why = f": {reason}" if reason else ""
            raise CtlFailed(f"region {region_id}: {body['name']} ended as {status.lower() or text}{why}")
        if clock.now_s() >= end_s:
            raise CtlFailed(
                f"region {region_id}: {body['name']} is still under way after {duration_text(timeout_s)}; look at it "
                f"by operator check {region_id}"
            )
        clock.pause(POLL_S / 5)


@dataclass(slots=True)
class DrainProgress:
    """How far a store is: regions ``left`` of ``of``."""

    left: int
    of: int
    rate: float = 0.0
    """Regions per second, lately."""

    why: str = ""
    """PD's explanation, if nothing has moved for long."""

    @property
    def text(self) -> str:
        """For people."""
        if not self.left:
            return "no region left; waiting to be buried"
        parts = [f"{self.left:,} of {_regions(self.of)} left"]
        if self.rate and not self.why:
            parts.append(f"{self.rate:.1f}/s, about {duration_text(self.left / self.rate)} to go")
        if self.why:
            parts.append(self.why)
        return "; ".join(parts)


def wait_for_tombstone(
    pd: Pd, store_id: int, timeout_s: float, tell: Callable[[DrainProgress], None], clock: Clock | None = None
) -> dict[str, Any]:
    """Return the store's object once it is a tombstone, or {} if it was even forgotten since.

    Errors: CtlFailed if somebody called the drain off, or it is not over in time; PdUnreachable.
    """
    clock = clock or Clock()
    began_s = changed_s = clock.now_s()
    samples: deque[tuple[float, int]] = deque()
    most, why = 0, ""
    while True:
        answer = _asked_again(lambda: _get_or_none(pd, f"/store/{store_id}"), clock)
        now_s = clock.now_s()
        if answer is None:
            return {}
        state = answer["store"]["state_name"]
        left = answer["status"].get("region_count", 0)
        if state == "Tombstone":
            found: dict[str, Any] = answer
            return found
        if state != "Offline" and not answer["store"].get("state"):
            raise CtlFailed(f"store {store_id} is {state} again with {_regions(left)}: somebody called the drain off")
        most = max(most, left)
        if samples and samples[-1][1] != left:
            changed_s, why = now_s, ""
        samples.append((now_s, left))
        while samples[0][0] < now_s - RATE_WINDOW_S:
            samples.popleft()
        if now_s - changed_s >= STALL_S and not why:
            why = _why_store(pd, store_id)
        tell(DrainProgress(left, most, _rate(samples), why))
        if now_s - began_s >= timeout_s:
            raise CtlFailed(
                f"store {store_id} still has {_regions(left)} after {duration_text(timeout_s)}; the drain goes on: "
                f"look at it by store {store_id} or why store {store_id}"
            )
        clock.pause(POLL_S)


@contextmanager
def told(store_id: int) -> Iterator[Callable[[DrainProgress], None]]:
    """Tells of a drain on standard error: a bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines(store_id, Clock()).tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("draining store {task.fields[store]}"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", store=store_id, total=None)

        def tell(drain: DrainProgress) -> None:
            progress.update(task, description=drain.text, total=drain.of or 1, completed=drain.of - drain.left)

        yield tell


class _Lines:
    """Progress as lines: the first one, changes not too often, and an explanation at once."""

    def __init__(self, store_id: int, clock: Clock) -> None:
        self._store_id = store_id
        self._clock = clock
        self._told: tuple[int, str] | None = None
        self._told_s = 0.0

    def tell(self, drain: DrainProgress) -> None:
        """Print a line if there is something new to say."""
        now_s = self._clock.now_s()
        new = (drain.left, drain.why)
        if new == self._told:
            return
        is_due = self._told is None or now_s - self._told_s >= LINE_EVERY_S or drain.why != self._told[1]
        if is_due or not drain.left:
            click.echo(f"store {self._store_id}: {drain.text}", err=True)
            self._told, self._told_s = new, now_s


def _regions(count: int) -> str:
    return f"{count:,} region{'' if count == 1 else 's'}"


def _rate(samples: deque[tuple[float, int]]) -> float:
    (first_s, first), (last_s, last) = samples[0], samples[-1]
    return max(0.0, (first - last) / (last_s - first_s)) if last_s > first_s else 0.0


def _why_store(pd: Pd, store_id: int) -> str:
    """Stock PD does not say."""
    try:
        return str(pd.get(f"/why/store/{store_id}")["why"])
    except (PdRefused, PdUnreachable):
        return f"nothing has moved for {STALL_S:.0f} s"


def _get_or_none(pd: Pd, path: str) -> Any:
    try:
        return pd.get(path)
    except PdRefused as refused:
        # Stock PD says 500 for an operator that it does not know.
        if refused.status == 404 or "operator not found" in str(refused):
            return None
        raise


def _asked_again(ask: Callable[[], Any], clock: Clock) -> Any:
    """The answer, although PD may be away for a while."""
    end_s = clock.now_s() + OUTAGE_S
    while True:
        try:
            return ask()
        except PdUnreachable:
            if clock.now_s() >= end_s:
                raise
            clock.pause(POLL_S)
