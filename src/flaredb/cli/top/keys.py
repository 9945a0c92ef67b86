"""Single keys from a terminal, without Enter and without waiting."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any


class Keys:
    """As a context manager: the terminal hands over each key at once, and is put back at the end. Ctrl-C still ends."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno()
        self._before: list[Any] | None = None

    def __enter__(self) -> Keys:
        if os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def wait(self, timeout_s: float) -> str:
        """The next key, or "" if none is pressed in time, or one that is told by several characters (an arrow)."""
        if self._before is None:
            select.select([], [], [], timeout_s)
            return ""
        ready, _, _ = select.select([self._fd], [], [], timeout_s)
        pressed = os.read(self._fd, 16).decode("utf-8", "replace") if ready else ""
        return "" if pressed.startswith("\x1b") and len(pressed) > 1 else pressed[:1]
