"""How far a long command is, told on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import click

from flaredb.model.units import format_duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

SHOWN_AFTER_S = 0.5
"""What takes less shows no bar, and loads none."""

LINE_EVERY_S = 10.0
"""Where nobody watches."""


class Progress:
    """Of one command. As a context manager it removes its bar at the end."""

    def __init__(self, verb: str, noun: str, total_bytes: int = 0, now_s: Callable[[], float] = time.monotonic) -> None:
        """``verb`` in the past: "imported"; ``noun`` of one: "pair". ``total_bytes``: 0 where it is not known."""
        self._verb = verb
        self._noun = noun
        self._total_bytes = total_bytes
        self._now_s = now_s
        self._began_s = self._told_s = now_s()
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, count: int, bytes_done: int = 0) -> None:
        """So many are done, and so much of the total."""
        now_s = self._now_s()
        if sys.stderr.isatty():
            if now_s - self._began_s >= SHOWN_AFTER_S:
                self._show(count, bytes_done)
        elif now_s - self._told_s >= LINE_EVERY_S:
            self._told_s = now_s
            click.echo(f"flaredb: {self.summary(count)} so far", err=True)

    def summary(self, count: int) -> str:
        """ "imported 34,527 pairs in 1.3 s, 26,559 a second"."""
        took_s = self.took_s
        plural = "" if count == 1 else "s"
        rate = f", {count / took_s:,.0f} a second" if count and took_s else ""
        return f"{self._verb} {count:,} {self._noun}{plural} in {time_text(took_s)}{rate}"

    @property
    def took_s(self) -> float:
        """Seconds since the beginning."""
        return self._now_s() - self._began_s

    def _show(self, count: int, bytes_done: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")]
            ends = [*columns, TimeRemainingColumn()] if self._total_bytes else columns[:2]
            self._bar = Bar(*ends, console=Console(stderr=True), transient=True)
            self._bar.add_task("", total=self._total_bytes or None)
            self._bar.start()
        (task_id,) = self._bar.task_ids
        rate = count / max(self.took_s, 0.001)
        self._bar.update(
            task_id, description=f"{self._verb} {count:,} {self._noun}s, {rate:,.0f} a second", completed=bytes_done
        )


def time_text(duration_s: float) -> str:
    """For people: "0.8 ms", "12 ms", "1.3 s", "2m05s"."""
    if duration_s < 0.010:
        return f"{duration_s * 1_000:.1f} ms"
    if duration_s < 1:
        return f"{duration_s * 1_000:.0f} ms"
    return f"{duration_s:.1f} s" if duration_s < 60 else format_duration(round(duration_s) * 1_000)
