"""The store process: runs a StoreNode until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from flaredb.server.logs import setup_logging
from flaredb.server.node import StoreNode
from flaredb.server.run import run_until_told
from flaredb.server.settings import StoreSettings


def run_store(settings: StoreSettings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status.

    Errors: ConfigError, EngineError and PdError before serving; after that a Fatal effect ends the process.
    """
    setup_logging(settings.log.level, settings.log.file.filename or None, settings.log.format)
    return run_until_told(_serve(settings))


async def _serve(settings: StoreSettings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = StoreNode(settings)
    try:
        if await _started(node, stop):
            await stop.wait()
    finally:
        await node.stop()
    return node.exit_status


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
