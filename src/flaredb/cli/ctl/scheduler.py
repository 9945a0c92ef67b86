"""``flaredb ctl scheduler``: who orders moves by itself."""

from __future__ import annotations

import click

from flaredb.cli.ctl.http import PdRefused
from flaredb.cli.grammar import ID, CommonGroup, Session, pass_session
from flaredb.cli.output import Column, Table

FOR_STORES = ("evict-leader-scheduler", "grant-leader-scheduler")
"""Schedulers that are added for a store."""


@click.group(cls=CommonGroup, short_help="who orders moves: show, add, remove, pause")
def scheduler() -> None:
    """Schedulers look at the whole cluster and order moves that make it better."""


@scheduler.command("show")
@pass_session
def show_schedulers(session: Session) -> None:
    """The schedulers, and what each does or waits for."""
    names = session.pd.get("/schedulers") or []
    paused = set(session.pd.get("/schedulers?status=paused") or [])
    table = Table([Column("scheduler"), Column("status"), Column("what it does", may_shrink=True)])
    shown = []
    for name in names:
        status, summary = _diagnosis(session, name)
        status = "paused" if name in paused else status
        shown.append({"name": name, "status": status, "summary": summary})
        table.rows.append([name, status, summary])
    session.show(shown, table)


@scheduler.command("add")
@click.argument("name")
@click.argument("store_id", metavar="[STORE]", type=ID, required=False)
@pass_session
def add_scheduler(session: Session, name: str, store_id: int | None) -> None:
    """Add a scheduler; evict-leader-scheduler needs the id of a store, and may be added for several."""
    if name in FOR_STORES and store_id is None:
        raise click.UsageError(f"{name} is added for a store: name its id too")
    body: dict[str, object] = {"name": name}
    if store_id is not None:
        body["store_id"] = store_id
    if name in FOR_STORES and name in (session.pd.get("/schedulers") or []):
        session.say(session.pd.post(f"/scheduler-config/{name}/config", body))
    else:
        session.say(session.pd.post("/schedulers", body))


@scheduler.command("remove")
@click.argument("name")
@pass_session
def remove_scheduler(session: Session, name: str) -> None:
    """Take a scheduler away; evict-leader-scheduler-4 is that of store 4 only."""
    for one in FOR_STORES:
        if name.startswith(f"{one}-"):
            session.say(session.pd.delete(f"/scheduler-config/{one}/delete/{_path(name[len(one) + 1 :])}"))
            return
    session.say(session.pd.delete(f"/schedulers/{_path(name)}"))


@scheduler.command("pause")
@click.argument("name")
@click.argument("seconds", type=click.IntRange(min=1))
@pass_session
def pause_scheduler(session: Session, name: str, seconds: int) -> None:
    """Let a scheduler rest for a number of seconds; "all" pauses every one."""
    session.pd.post(f"/schedulers/{_path(name)}", {"delay": seconds})
    session.say(f"{_named(name)} for {seconds} s.")


@scheduler.command("resume")
@click.argument("name")
@pass_session
def resume_scheduler(session: Session, name: str) -> None:
    """Let a paused scheduler go on."""
    session.pd.post(f"/schedulers/{_path(name)}", {"delay": 0})
    session.say("All schedulers go on." if name == "all" else f"{name} goes on.")


def _diagnosis(session: Session, name: str) -> tuple[str, str]:
    """Stock PD knows it of some schedulers only."""
    try:
        answer = session.pd.get(f"/schedulers/diagnostic/{_path(name)}")
    except PdRefused:
        return "", ""
    return answer.get("status", ""), answer.get("summary", "")


def _named(name: str) -> str:
    return "All schedulers rest" if name == "all" else f"{name} rests"


def _path(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
