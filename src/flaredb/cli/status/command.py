"""``flaredb status``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from flaredb.cli.grammar import RootCommand, Session, pass_session

if TYPE_CHECKING:
    from rich.console import Console

    from flaredb.cli.status.facts import ClusterFacts
    from flaredb.cli.status.verdict import Verdict

WATCH_S = 2.0


@click.command(cls=RootCommand, short_help="how the cluster is, in a sentence")
@click.option("--watch", is_flag=True, help=f"every {WATCH_S:g} s until Ctrl-C; in a pipe, a line upon each change")
@pass_session
def status(session: Session, watch: bool) -> int:
    """How the cluster is: a sentence, what moves and for how long, what failures it survives and why, its stores.

    The exit status is 0 if the cluster is healthy, 1 if it is degraded (everything serves, but something is missing),
    and 2 if some regions cannot serve, or PD does not answer.
    """
    session.pd  # noqa: B018  # an address that is none is refused before anything else
    if not watch:
        facts, verdict = look(session)
        _print(session, facts, verdict)
        return int(verdict.level)
    return _watch(session)


def look(session: Session) -> tuple[ClusterFacts | None, Verdict]:
    """Ask, and judge; without facts if PD does not answer."""
    from flaredb.cli.ctl.http import PdRefused, PdUnreachable
    from flaredb.cli.status.gather import gather
    from flaredb.cli.status.verdict import judge, unreachable

    try:
        facts = gather(session.pd)
    except (PdUnreachable, PdRefused) as error:
        return None, unreachable(str(error))
    return facts, judge(facts)


def _print(session: Session, facts: ClusterFacts | None, verdict: Verdict) -> None:
    from flaredb.cli.output import chosen, show
    from flaredb.cli.status import view

    if chosen(session.form) != "table":
        show(session.form, view.json_view(facts, verdict), view.facts_view(verdict))
        return
    from rich.console import Console

    _print_lines(Console(highlight=False), verdict)
    if facts is not None and facts.stores:
        click.echo()
        show("table", None, view.store_table(facts, verdict))


def _print_lines(console: Console, verdict: Verdict) -> None:
    from rich.text import Text

    from flaredb.cli.status.view import lines

    for text, style in lines(verdict):
        head, colon, rest = text.partition(":")
        if style.startswith("bold"):
            shown = Text.assemble((head + colon, style), rest)
        else:
            shown = Text(text, style=style)
        console.print(shown, soft_wrap=not console.is_terminal)


def _watch(session: Session) -> int:
    """Until Ctrl-C."""
    import time

    from flaredb.cli.waiting import pause

    said = ""
    while True:
        facts, verdict = look(session)
        if sys.stdout.isatty() and session.form in ("", "table"):
            click.clear()
            click.echo(f"{time.strftime('%H:%M:%S')}  every {WATCH_S:g} s, Ctrl-C ends it\n")
            _print(session, facts, verdict)
        elif session.form:
            _print(session, facts, verdict)
        elif verdict.sentence != said:
            click.echo(f"{time.strftime('%H:%M:%S')}\t{verdict.sentence}")
            said = verdict.sentence
        sys.stdout.flush()
        pause(WATCH_S)
