"""``flaredb ctl why``: a sentence or two on why something is or is not happening. Not in stock PD."""

from __future__ import annotations

import click

from flaredb.cli.ctl.http import key_path
from flaredb.cli.grammar import ID, CommonGroup, Session, pass_session
from flaredb.cli.notation import KEY


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
    session.show(answer, answer["why"])
