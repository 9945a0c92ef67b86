"""Ctrl-C and SIGTERM for a command that has child processes: the first stops politely, the second at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The first signal. A KeyboardInterrupt, because event loops let only that through their callbacks."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number) or f"signal {number}")
        self.number = number


class StopSignals:
    """While entered: the first signal raises Interrupted in the main thread, every later one calls ``on_second``."""

    def __init__(self) -> None:
        self.on_second: Callable[[], None] = lambda: None
        self._stopping = False
        self._before: list[tuple[signal.Signals, object]] = []

    def begin_stop(self) -> None:
        """From here on nothing is raised: the stop is under way, and any signal makes it immediate."""
        self._stopping = True

    def __enter__(self) -> StopSignals:
        self._before = [(number, signal.signal(number, self._handle)) for number in _SIGNALS]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self.on_second()
            return
        self._stopping = True
        raise Interrupted(number)
