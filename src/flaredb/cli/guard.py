"""From an error to one line on standard error and an exit status: the same for a process and a line of the shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from flaredb.cli.exits import EXIT_FAILURE, EXIT_USAGE
from flaredb.model.errors import ConfigError, FlareDBError

EXIT_INTERRUPTED = 130


def guarded(run: Callable[[], Any], place: str = "") -> int:
    """The exit status of a command; ``place`` stands before what is wrong, such as "line 3: "."""
    try:
        return run() or 0
    except click.ClickException as error:
        return _complain(place + _usage_message(error), EXIT_USAGE)
    except ConfigError as error:
        return _complain(f"{place}{error}", EXIT_USAGE)
    except FlareDBError as error:
        return _complain(f"{place}{error}", getattr(error, "exit_status", EXIT_FAILURE))
    except OSError as error:
        return _complain(f"{place}{error.filename or 'the system'}: {error.strerror or error}", EXIT_FAILURE)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED


def _usage_message(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path.strip()
        return f"{message}; see {path} --help" if path else f"{message}; see help"
    return message


def _complain(message: str, status: int) -> int:
    click.echo(f"flaredb: {message}", err=True)
    return status
