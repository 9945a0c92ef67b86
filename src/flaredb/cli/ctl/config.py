"""``flaredb ctl config``: PD's settings that may change while it runs."""

from __future__ import annotations

from typing import Any

import click

from flaredb.cli.grammar import CommonGroup, Session, pass_session
from flaredb.cli.output import Column, Table

SECTIONS = {"schedule": "/config/schedule", "replication": "/config/replicate"}


@click.group(cls=CommonGroup, short_help="settings: show, set")
def config() -> None:
    """PD's settings that may change while it runs."""


@config.command("show")
@click.argument("section", type=click.Choice(["all", *SECTIONS]), default="all")
@pass_session
def show_config(session: Session, section: str) -> None:
    """The settings in force: all, or those of one section."""
    if section == "all":
        answer = session.pd.get("/config")
        sections = {name: answer.get(name, {}) for name in SECTIONS}
    else:
        answer = session.pd.get(SECTIONS[section])
        sections = {section: answer}
    table = Table([Column("section"), Column("setting"), Column("value", may_shrink=True)])
    for name, settings in sections.items():
        table.rows += [[name, setting, _text(value)] for setting, value in sorted(settings.items())]
    session.show(answer, table)


@config.command("set")
@click.argument("name")
@click.argument("value")
@pass_session
def set_config(session: Session, name: str, value: str) -> None:
    """Change a setting, such as region-schedule-limit 8. It is kept over a restart."""
    session.say(session.pd.post("/config", {name: _number_or_text(value)}))


def _number_or_text(value: str) -> Any:
    """As pd-ctl sends values."""
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        return number if number == number and abs(number) != float("inf") else value
    return value


def _text(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    import json

    return json.dumps(value)
