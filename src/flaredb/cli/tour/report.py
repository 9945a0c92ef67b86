"""How the tour speaks: numbered parts with their time, bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


@dataclass(slots=True)
class Part:
    """One part of the tour: what happened in it, one line each."""

    title: str
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Add a fact; it is printed when the part is over."""
        self.lines.append(line)


class TourReport:
    """Prints the parts as they end and remembers how long each took."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.durations_s: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def part(self, title: str) -> Iterator[Part]:
        """Time what happens inside; it is printed once it is over, unless it failed."""
        part = Part(title)
        began_s = time.monotonic()
        yield part
        self.add(part, time.monotonic() - began_s)

    def add(self, part: Part, took_s: float) -> None:
        """Print a part that is over."""
        self.durations_s.append((part.title, took_s))
        number = len(self.durations_s)
        first, *others = part.lines or [""]
        self._print(f"{number:<3}{part.title:<10} {first:<84} {took_s:6.2f} s")
        for line in others:
            self._print(f"   {'':<10} {line}")

    def each(self, items: Sequence[Item], label: str) -> Iterator[Item]:
        """The items one by one, with a bar that goes away at the end; no bar where nobody watches."""
        if not self.console.is_terminal:
            yield from items
            return
        from rich.progress import track

        yield from track(items, description=f"   {label}", console=self.console, transient=True)

    def _print(self, line: str) -> None:
        self.console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)
