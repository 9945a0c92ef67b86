"""The ``flaredb`` command.

Exit codes: 0 done, 1 failure, 2 wrong usage or configuration, 3 the answer is no, 65 state on disk is corrupt, 70 an
invariant is broken, 74 the storage engine failed, 128 + n ended by signal n. Errors are one line on standard error:
what is wrong and what to change.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from flaredb import __version__
from flaredb.cli.exits import EXIT_FAILURE, EXIT_USAGE
from flaredb.cli.lazy import LazyCommands, Places
from flaredb.model.errors import ConfigError, FlareDBError

COMMANDS: Places = {
    "demo": ("flaredb.cli.demo_command:demo", "start a whole cluster to try"),
    "pd": ("flaredb.cli.pd_command:pd", "run one placement driver"),
    "server": ("flaredb.cli.server_command:server", "run one store"),
    "status": ("flaredb.cli.status.command:status", "how the cluster is, in a sentence"),
    "top": ("flaredb.cli.top.command:top", "a live view of stores, regions, rates and moves"),
    "bench": ("flaredb.cli.bench.command:bench", "a load on the cluster, and what it took"),
    "doctor": ("flaredb.cli.doctor.command:doctor", "what is wrong with this machine or cluster, and how to mend it"),
    "ctl": ("flaredb.cli.ctl.command:ctl", "look at a cluster and give it orders"),
    "sim": ("flaredb.cli.sim_command:sim", "test whole clusters under faults, in virtual time"),
}
"""Every command: one line each, loaded when it is called."""

EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: whoever read the output has gone."""


@click.group(
    cls=LazyCommands,
    places=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="flaredb", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """FlareDB: a replicated key-value store that speaks TiKV's protocol.

    `flaredb demo` starts a whole cluster to try; `flaredb pd` and `flaredb server` run one process each; `flaredb ctl`
    looks at a cluster and gives it orders; `flaredb sim` tests whole clusters under faults.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        code = cli.main(args=arguments, prog_name="flaredb", standalone_mode=False)
    except click.ClickException as error:
        code = _complain(_usage_message(error), EXIT_USAGE)
    except ConfigError as error:
        code = _complain(str(error), EXIT_USAGE)
    except FlareDBError as error:
        code = _complain(str(error), getattr(error, "exit_status", EXIT_FAILURE))
    except BrokenPipeError:
        code = _silent(EXIT_BROKEN_PIPE)
    except OSError as error:
        code = _complain(f"{error.filename or 'the system'}: {error.strerror or error}", EXIT_FAILURE)
    except (KeyboardInterrupt, click.Abort):
        code = 130
    sys.exit(code or 0)


def _usage_message(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message}; see {error.ctx.command_path} --help"
    return message


def _silent(code: int) -> int:
    """Nobody reads: what is still buffered must not fail once more while the interpreter ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _complain(message: str, code: int) -> int:
    click.echo(f"flaredb: {message}", err=True)
    return code
