"""The store process: runs a StoreNode until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from flaredb.server.logs import setup_logging
from flaredb.server.node import StoreNode
from flaredb.server.run import run_until_told
from flaredb.server.settings import StoreSettings


def run_store(settings: StoreSettings) -> int:
    """Serve until told; returns the exit status.

    SIGTERM: first hand the leaders to other stores, while serving. SIGINT, and a second signal of either: stop at once.

    Errors: ConfigError, EngineError and PdError before serving; after that a Fatal effect ends the process.
    """
    setup_logging(settings.log.level, settings.log.file.filename or None, settings.log.format)
    return run_until_told(_serve(settings))


async def _serve(settings: StoreSettings) -> int:
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def on_term() -> None:
        (stop_now if stop.is_set() else stop).set()

    def on_interrupt() -> None:
        stop.set()
        stop_now.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, on_term)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    node = StoreNode(settings)
    try:
        if await _started(node, stop):
            await stop.wait()
            if not stop_now.is_set():
                await _first_of(node.hand_over(), stop_now.wait())
    finally:
        await node.stop()
    return node.exit_status


async def _first_of(*works: Coroutine[Any, Any, Any]) -> None:
    """Run until one is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _started(node: StoreNode, stop: asyncio.Event) -> bool:
    """Start, which may wait long for PD; False if told to stop before it is done."""
    starting = asyncio.ensure_future(node.start())
    told = asyncio.ensure_future(stop.wait())
    await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if starting.done():
        await starting
        return True
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting
    return False
