"""The ``flaredb`` command.

Exit codes: 0 done, 1 failure, 2 wrong usage or configuration, 65 state on disk is corrupt, 70 an invariant is broken,
74 the storage engine failed, 128 + n ended by signal n. Errors are one line on standard error: what is wrong and what
to change.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from flaredb import __version__
from flaredb.cli.ctl.command import ctl
from flaredb.cli.demo_command import demo
from flaredb.cli.pd_command import pd
from flaredb.cli.server_command import server
from flaredb.cli.serving import CannotServe
from flaredb.cli.sim_command import sim
from flaredb.model.errors import ConfigError, FlareDBError

EXIT_FAILURE = 1
EXIT_USAGE = 2


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flaredb", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """FlareDB: a replicated key-value store that speaks TiKV's protocol.

    `flaredb demo` starts a whole cluster to try; `flaredb pd` and `flaredb server` run one process each; `flaredb ctl`
    looks at a cluster and gives it orders; `flaredb sim` tests whole clusters under faults.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


cli.add_command(demo)
cli.add_command(pd)
cli.add_command(server)
cli.add_command(ctl)
cli.add_command(sim)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        code = cli.main(args=arguments, prog_name="flaredb", standalone_mode=False)
    except click.ClickException as error:
        code = _complain(_usage_message(error), EXIT_USAGE)
    except ConfigError as error:
        code = _complain(str(error), EXIT_USAGE)
    except CannotServe as error:
        code = _complain(str(error), error.exit_status)
    except FlareDBError as error:
        code = _complain(str(error), EXIT_FAILURE)
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


def _complain(message: str, code: int) -> int:
    click.echo(f"flaredb: {message}", err=True)
    return code
