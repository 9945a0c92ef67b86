"""What both server commands do around their run: a broken data directory is one line, not a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flaredb.model.errors import FlareDBError

Settings = TypeVar("Settings")

EXIT_FAILURE = 1
EXIT_STATE_CORRUPT = 65
EXIT_ENGINE_FAILED = 74


class CannotServe(FlareDBError):
    """A server process cannot start on its data directory, or go on with it."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def serve(run: Callable[[Settings], int], settings: Settings, data_dir: str) -> int:
    """The exit status of ``run``, which keeps its data in ``data_dir``.

    Errors: CannotServe for a directory that cannot be opened, whose disk fails or whose state is corrupt.
    """
    from flaredb.engine.base import EngineCorrupted, EngineError, EngineFailed
    from flaredb.wire.records import StateCorrupted

    try:
        return run(settings)
    except StateCorrupted as error:
        raise CannotServe(_advice(data_dir, str(error)), EXIT_STATE_CORRUPT) from error
    except EngineCorrupted as error:
        raise CannotServe(_one_line(error), EXIT_STATE_CORRUPT) from error
    except EngineFailed as error:
        raise CannotServe(_one_line(error), EXIT_ENGINE_FAILED) from error
    except EngineError as error:
        raise CannotServe(_one_line(error), EXIT_FAILURE) from error


def _advice(data_dir: str, reason: str) -> str:
    where = "" if data_dir in reason else f"{data_dir}: "
    return f"{where}the state on disk is corrupt: {reason}. Keep the directory for inspection; do not serve from it"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
