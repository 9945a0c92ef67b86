"""``flaredb doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flaredb.cli.grammar import RootCommand, Session, pass_session

if TYPE_CHECKING:
    from flaredb.cli.doctor.findings import Finding

_WORDS = {0: ("ok", "green"), 1: ("warning", "yellow"), 2: ("problem", "bold red")}


@click.command(cls=RootCommand, short_help="what is wrong with this machine or cluster, and how to mend it")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="of a store or PD: its ports too")
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="measure this directory's disk")
@pass_session
def doctor(session: Session, config: Path | None, data_dir: Path | None) -> int:
    """Look for what is wrong. This machine: versions, file limits, disk, sync time, clock; with --config also the ports
    and addresses of the process it is for. The cluster: whether PD and every store can be reached, and their versions.

    Each finding says what to do about it. The exit status is 0 if all is well, 1 with warnings, 2 with problems.
    """
    from flaredb.cli.doctor.examine import examine
    from flaredb.cli.doctor.findings import worst
    from flaredb.cli.output import Column, Table, chosen, show

    findings: list[Finding] = []
    is_for_people = chosen(session.form) == "table"
    for finding in examine(config, data_dir, session.urls):
        findings.append(finding)
        if is_for_people:
            _print(finding)
    if is_for_people:
        _print_end(findings)
    else:
        table = Table([Column("severity"), Column("check"), Column("finding"), Column("fix")])
        table.rows = [[_WORDS[item.severity][0], item.check, item.what, item.fix] for item in findings]
        rows = [
            {"severity": _WORDS[item.severity][0], "check": item.check, "finding": item.what, "fix": item.fix}
            for item in findings
        ]
        show(session.form, {"verdict": _WORDS[worst(findings)][0], "findings": rows}, table)
    return int(worst(findings))


def _print(finding: Finding) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    word, style = _WORDS[finding.severity]
    if not console.is_terminal:
        click.echo(f"{word:<8} {finding.check:<10} {finding.what}")
        if finding.fix:
            click.echo(f"{'':<20}fix: {finding.fix}")
        return
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_column(width=8)
    line.add_column(width=10)
    line.add_column()
    line.add_row(Text(word, style=style), Text(finding.check, style="dim"), Text(finding.what))
    if finding.fix:
        line.add_row("", "", Text.assemble(("fix: ", "bold"), finding.fix))
    console.print(Padding(line, 0))


def _print_end(findings: list[Finding]) -> None:
    from flaredb.cli.status.words import count

    problems = sum(finding.severity == 2 for finding in findings)
    warnings = sum(finding.severity == 1 for finding in findings)
    parts = [count(number, noun) for number, noun in ((problems, "problem"), (warnings, "warning")) if number]
    click.echo(f"\n{' and '.join(parts) or 'All is well'}{'' if parts else ': nothing to mend'}.")
