"""Waiting for a condition, with a deadline; signals are acted upon at once."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

POLL_S = 0.005


def pause(duration_s: float = POLL_S) -> None:
    """Give the processor away for a moment; a signal handler may raise out of it."""
    select.select([], [], [], duration_s)


def wait_until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """True as soon as the condition holds, False if it does not within ``deadline_s`` seconds."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end_s:
            return False
        pause()
    return True
