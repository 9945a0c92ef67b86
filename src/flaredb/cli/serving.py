"""What both server commands do around their run: a broken data directory is one line, not a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flaredb.model.errors import FlareDBError

Settings = TypeVar("Settings")


def serve(run: Callable[[Settings], int], settings: Settings) -> int:
    """The exit status of ``run``.

    Errors: FlareDBError with the engine's message for a data directory that cannot be opened.
    """
    from flaredb.engine.base import EngineError

    try:
        return run(settings)
    except EngineError as error:
        raise FlareDBError(str(error)) from error
