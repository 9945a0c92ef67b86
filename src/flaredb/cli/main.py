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
from typing import Any, NoReturn

import click

from flaredb import __version__
from flaredb.cli.guard import guarded
from flaredb.cli.lazy import LazyCommands, Places
from flaredb.cli.startup import begin_process, end_process

COMMANDS: Places = {
    "demo": ("flaredb.cli.demo_command:demo", "start a whole cluster to try"),
    "pd": ("flaredb.cli.pd_command:pd", "run one placement driver"),
    "server": ("flaredb.cli.server_command:server", "run one store"),
    "status": ("flaredb.cli.status.command:status", "how the cluster is, in a sentence"),
    "top": ("flaredb.cli.top.command:top", "a live view of stores, regions, rates and moves"),
    "bench": ("flaredb.cli.bench.command:bench", "a load on the cluster, and what it took"),
    "doctor": ("flaredb.cli.doctor.command:doctor", "what is wrong with this machine or cluster, and how to mend it"),
    "ctl": ("flaredb.cli.ctl.command:ctl", "look at a cluster and give it orders"),
    "kv": ("flaredb.cli.kv.command:kv", "read and write data"),
    "shell": ("flaredb.cli.shell.command:shell", "commands on data, one after the other"),
    "config": ("flaredb.cli.config.command:config", "check and explain configuration files"),
    "completion": ("flaredb.cli.completion_command:completion", "completion of commands by your shell"),
    "sim": ("flaredb.cli.sim_command:sim", "test whole clusters under faults, in virtual time"),
}
"""Every command: one line each, loaded when it is called."""

EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: whoever read the output has gone."""


class Main(LazyCommands):
    """The root of all commands."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command. That nobody reads its output any more ends it without a word."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            with contextlib.suppress(OSError):
                # What is still buffered must not fail once more while the interpreter ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_BROKEN_PIPE


@click.group(
    cls=Main,
    places=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="flaredb", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """FlareDB: a replicated key-value store that speaks TiKV's protocol.

    `flaredb demo` starts a whole cluster to try; `flaredb pd` and `flaredb server` run one process each; `flaredb kv`
    and `flaredb shell` read and write data; `flaredb status`, `top` and `doctor` say how a cluster is; `flaredb ctl`
    looks at it closely and gives it orders; `flaredb bench` loads it; `flaredb sim` tests whole clusters under faults.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    if arguments is None:
        begin_process()
    code = guarded(lambda: cli.main(args=arguments, prog_name="flaredb", standalone_mode=False))
    end_process()
    sys.exit(code)
