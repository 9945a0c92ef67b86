"""Runs a server process's main coroutine on the fastest event loop there is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

GC_THRESHOLDS = (20_000, 20, 20)
"""Python looks for garbage in cycles after 700 new objects by default, over and over within one batch of messages,
and there are next to no cycles. So it looks less often: a third less CPU with a thousand quiet regions."""


def run_until_told(main: Coroutine[Any, Any, int]) -> int:
    """Run to the end on uvloop, or on asyncio's own loop where uvloop is not installed."""
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return int(uvloop.run(main))
