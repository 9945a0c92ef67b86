"""``flaredb ctl operator``: what PD is doing to regions, and what it is told to do."""

from __future__ import annotations

from typing import Any

import click

from flaredb.cli.ctl.operator_view import ended_operator, operator_facts, operator_table
from flaredb.cli.ctl.waiting import DEFAULT_TIMEOUT_S, order_and_wait
from flaredb.cli.grammar import ID, CommonGroup, Session, pass_session
from flaredb.cli.notation import KEYS
from flaredb.cli.output import Column, Table

KINDS = ("admin", "leader", "region", "waiting")
POLICIES = ("scan", "approximate", "usekey")

wait_option = click.option("--wait", is_flag=True, help="return when it is done; exit status 1 if it fails")
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    help="with --wait: give up waiting after that",
)


@click.group(cls=CommonGroup, short_help="moves under way: show, add, remove")
def operator() -> None:
    """Operators: changes to regions that PD has ordered, in steps."""


@operator.command("show")
@click.argument("kinds", metavar="[KIND]...", nargs=-1, type=click.Choice(KINDS))
@pass_session
def show_operators(session: Session, kinds: tuple[str, ...]) -> None:
    """The operators that run: all, or those that are admin, leader, region or waiting."""
    query = "&".join(f"kind={kind}" for kind in kinds)
    answer = session.pd.get(f"/operators?{query}" if query else "/operators") or []
    session.show(answer, operator_table(answer))


@operator.command("check")
@click.argument("region_id", metavar="REGION", type=ID)
@pass_session
def check_operator(session: Session, region_id: int) -> None:
    """How the newest operator of a region stands, or how it ended."""
    answer = session.pd.get(f"/operators/{region_id}")
    session.show(answer, operator_facts(answer))


@operator.command("history")
@click.argument("since_s", metavar="[SINCE]", type=click.IntRange(min=0), default=0)
@pass_session
def history(session: Session, since_s: int) -> None:
    """Operators that ended, since a time in unix seconds."""
    answer = session.pd.get(f"/operators/records?from={since_s}") or []
    table = Table([Column("region", True), Column("operator"), Column("does", may_shrink=True), Column("ended")])
    table.rows = [ended_operator(text) for text in answer]
    table.note = "" if answer else "no operator has ended"
    session.show(answer, table)


@operator.command("remove")
@click.argument("region_id", metavar="REGION", type=ID)
@pass_session
def remove_operator(session: Session, region_id: int) -> None:
    """Stop the operator of a region; what it has done so far stays."""
    session.say(session.pd.delete(f"/operators/{region_id}"))


@operator.group("add", cls=CommonGroup)
def add() -> None:
    """Order a change to a region."""


def _on_store(name: str, text: str) -> None:
    """A command REGION STORE."""

    @add.command(name, help=text)
    @click.argument("region_id", metavar="REGION", type=ID)
    @click.argument("store_id", metavar="STORE", type=ID)
    @wait_option
    @timeout_option
    @pass_session
    def order(session: Session, region_id: int, store_id: int, wait: bool, timeout_s: float) -> None:
        field = "to_store_id" if name == "transfer-leader" else "store_id"
        give(session, {"name": name, "region_id": region_id, field: store_id}, wait, timeout_s)


_on_store("add-peer", "Give a region another replica, on a store.")
_on_store("add-learner", "Give a region a replica that does not vote, on a store.")
_on_store("remove-peer", "Take away the replica of a region that is on a store.")
_on_store("transfer-leader", "Make the replica on a store lead the region.")


@add.command("transfer-peer")
@click.argument("region_id", metavar="REGION", type=ID)
@click.argument("from_store_id", metavar="FROM", type=ID)
@click.argument("to_store_id", metavar="TO", type=ID)
@wait_option
@timeout_option
@pass_session
def transfer_peer(
    session: Session, region_id: int, from_store_id: int, to_store_id: int, wait: bool, timeout_s: float
) -> None:
    """Move a replica of a region from one store to another."""
    body = {
        "name": "transfer-peer",
        "region_id": region_id,
        "from_store_id": from_store_id,
        "to_store_id": to_store_id,
    }
    give(session, body, wait, timeout_s)


@add.command("split-region")
@click.argument("region_id", metavar="REGION", type=ID)
@click.option("--policy", type=click.Choice(POLICIES), help="how to find where to cut  [default: scan]")
@click.option("--keys", type=KEYS, metavar="K1,K2", help="cut at these keys (policy usekey)")
@wait_option
@timeout_option
@pass_session
def split_region(
    session: Session, region_id: int, policy: str | None, keys: tuple[bytes, ...] | None, wait: bool, timeout_s: float
) -> None:
    """Cut a region in halves, or at keys."""
    order_split(session, region_id, policy, keys, wait, timeout_s)


@add.command("scatter-region")
@click.argument("region_id", metavar="REGION", type=ID)
@wait_option
@timeout_option
@pass_session
def scatter_region(session: Session, region_id: int, wait: bool, timeout_s: float) -> None:
    """Spread a region anew. Its replicas go to whichever stores have the fewest."""
    give(session, {"name": "scatter-region", "region_id": region_id}, wait, timeout_s)


def order_split(
    session: Session, region_id: int, policy: str | None, keys: tuple[bytes, ...] | None, wait: bool, timeout_s: float
) -> None:
    """Order a split. Errors: click.UsageError for keys without usekey, and the other way round."""
    if (policy or "usekey") != "usekey" and keys:
        raise click.UsageError(f"--policy={policy} finds the keys itself: leave out --keys, or write --policy=usekey")
    if policy == "usekey" and not keys:
        raise click.UsageError("--policy=usekey needs --keys: where to cut, such as --keys=m,hex:00ff")
    body: dict[str, Any] = {
        "name": "split-region",
        "region_id": region_id,
        "policy": "usekey" if keys else policy or "scan",
        "keys": [key.hex() for key in keys or ()],
    }
    give(session, body, wait, timeout_s)


def give(session: Session, body: dict[str, Any], wait: bool, timeout_s: float) -> None:
    """Send an order; with ``wait`` return when it is carried out.

    Errors: CtlFailed if it ends otherwise, or not in time.
    """
    if not wait:
        session.say(session.pd.post("/operators", body))
        return
    session.say(order_and_wait(session.pd, body, timeout_s))
