"""``flaredb ctl why``: a sentence or two on why something is or is not happening. Not in stock PD."""

from __future__ import annotations

from typing import Any

import click

from flaredb.cli.ctl.http import key_path
from flaredb.cli.grammar import ID, CommonGroup, Session, pass_session
from flaredb.cli.notation import KEY
from flaredb.cli.output import Prose
from flaredb.cli.status.facts import Reach
from flaredb.cli.status.gather import reaches, status_addresses
from flaredb.cli.status.words import named
from flaredb.cli.store_pages import ask_stores


@click.group(cls=CommonGroup, short_help="why something is or is not happening")
def why() -> None:
    """Why something is or is not happening to a region, a store or a key, in one or two sentences."""


@why.command("region")
@click.argument("region_id", metavar="ID", type=ID)
@pass_session
def why_region(session: Session, region_id: int) -> None:
    """What a region waits for, or that it is well."""
    _show(session, f"/why/region/{region_id}")


@why.command("store")
@click.argument("store_id", metavar="ID", type=ID)
@pass_session
def why_store(session: Session, store_id: int) -> None:
    """What a store waits for, or that it is well."""
    _show(session, f"/why/store/{store_id}")


@why.command("key")
@click.argument("key", type=KEY)
@pass_session
def why_key(session: Session, key: bytes) -> None:
    """As region, for the region that holds a key."""
    _show(session, f"/why/key/{key_path(key)}")


def _show(session: Session, path: str) -> None:
    answer = session.pd.get(path)
    silent = _silent_stores(session, answer)
    text = answer["why"]
    if silent:
        # PD notices a store's silence only after a while.
        answer = {**answer, "not_answering": silent}
        text += f" But {named('store', silent)} {'does' if len(silent) == 1 else 'do'} not answer right now."
    session.show(answer, Prose(text))


def _silent_stores(session: Session, answer: dict[str, Any]) -> list[int]:
    """Those that it is about which PD calls Up though nobody listens there."""
    pd = session.pd
    if answer.get("store_id"):
        wanted = {answer["store_id"]}
    else:
        region = pd.get(f"/region/id/{answer['region_id']}") if answer.get("region_id") else None
        wanted = {peer["store_id"] for peer in (region or {}).get("peers") or []}
    listed = pd.get("/stores").get("stores") or []
    # The others are asked too: only where one of them answers, silence proves something.
    pages = ask_stores(status_addresses(listed, pd.hosts), "/status")
    found = reaches(listed, pages, pd.hosts)
    up = {item["store"]["id"] for item in listed if item["store"].get("state_name") == "Up"}
    return sorted(store_id for store_id in wanted & up if found.get(store_id) == Reach.GONE)
