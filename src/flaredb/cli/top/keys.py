"""Single keys from a terminal, without Enter and without waiting."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any

_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.)")


class Keys:
    """As a context manager: the terminal hands over each key at once, and is put back at the end. Ctrl-C still ends."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno()
        self._before: list[Any] | None = None
        self._pressed = ""

    def __enter__(self) -> Keys:
        if os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def wait(self, timeout_s: float) -> str:
        """The next key, or "" if none is pressed in time."""
        if self._before is None:
            select.select([], [], [], timeout_s)
            return ""
        if not self._pressed and select.select([self._fd], [], [], timeout_s)[0]:
            self._pressed = keys_in(os.read(self._fd, 256).decode("utf-8", "replace"))
        key, self._pressed = self._pressed[:1], self._pressed[1:]
        return key


def keys_in(text: str) -> str:
    """The keys that are one character each; those that a terminal tells by several (arrows, F1) are left out."""
    return _SEQUENCE.sub("", text)
