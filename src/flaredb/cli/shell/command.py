"""``flaredb shell``: the command's options."""

from __future__ import annotations

import sys

import click

from flaredb.cli.grammar import RootCommand, Session, pass_session


@click.command("shell", cls=RootCommand)
@click.option("-e", "--execute", metavar="LINE", multiple=True, help="carry this out and end; several in turn")
@click.option("--stop-on-error", is_flag=True, help="without a terminal: end at the first line that fails")
@pass_session
def shell(session: Session, execute: tuple[str, ...], stop_on_error: bool) -> int:
    """Read and write data, one command after the other; FlareDB's or TiKV's.

    The commands are those of `flaredb kv`, and where, regions and stores; help lists them. Without a terminal, lines
    are read from standard input; the exit status is 0 only if none has failed.
    """
    from flaredb.cli.shell.caller import ShellCaller
    from flaredb.cli.shell.lines import Lines, run_all

    with ShellCaller(session.addresses) as caller:
        lines = Lines(session, caller)
        if execute:
            return run_all(lines, execute, stop_on_error)
        if not sys.stdin.isatty():
            return run_all(lines, sys.stdin, stop_on_error)
        from flaredb.cli.shell.greeting import greet
        from flaredb.cli.shell.prompt import talk

        greet(caller)
        return talk(lines, session.addresses)
