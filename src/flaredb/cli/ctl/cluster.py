"""``flaredb ctl cluster``, ``member``, ``health`` and ``ping``."""

from __future__ import annotations

import time

import click

from flaredb.cli.grammar import CommonCommand, CommonGroup, Session, pass_session
from flaredb.cli.output import Column, Facts, Table


@click.group(cls=CommonGroup, short_help="the cluster's id and size")
def cluster() -> None:
    """The cluster's id, and how many replicas its regions should have."""


@cluster.command("show", hidden=True)
@pass_session
def show_cluster(session: Session) -> None:
    """The cluster's id, and how many replicas its regions should have."""
    answer = session.pd.get("/cluster")
    pairs = [("cluster id", str(answer["id"])), ("replicas", str(answer.get("max_peer_count", "")))]
    session.show(answer, Facts(pairs))


@cluster.command("status")
@pass_session
def cluster_status(session: Session) -> None:
    """Whether the cluster has regions, and since when."""
    answer = session.pd.get("/cluster/status")
    pairs = [
        ("bootstrapped", "yes" if answer["is_initialized"] else "no"),
        *([("since", answer["raft_bootstrap_time"])] if answer["is_initialized"] else []),
    ]
    session.show(answer, Facts(pairs))


@click.command(cls=CommonCommand, short_help="the members of PD")
@pass_session
def member(session: Session) -> None:
    """The members of PD, and which of them leads."""
    answer = session.pd.get("/members")
    leads = (answer.get("leader") or {}).get("member_id")
    table = Table([Column("id", True), Column("name"), Column("address"), Column("version"), Column("leads")])
    for item in answer.get("members", []):
        table.rows.append(
            [
                str(item["member_id"]),
                item.get("name", ""),
                ",".join(item.get("client_urls") or []),
                item.get("binary_version", ""),
                "yes" if item["member_id"] == leads else "",
            ]
        )
    session.show(answer, table)


@click.command(cls=CommonCommand, short_help="whether PD's members are well")
@pass_session
def health(session: Session) -> int:
    """Whether PD's members are well; exit status 1 if one is not."""
    answer = session.pd.get("/health")
    table = Table([Column("id", True), Column("name"), Column("address"), Column("health")])
    for item in answer:
        state = "well" if item.get("health") else "unwell"
        addresses = ",".join(item.get("client_urls") or [])
        table.rows.append([str(item.get("member_id", "")), item.get("name", ""), addresses, state])
    session.show(answer, table)
    return 0 if all(item.get("health") for item in answer) else 1


@click.command(cls=CommonCommand, short_help="how long PD takes to answer")
@pass_session
def ping(session: Session) -> None:
    """How long PD takes to answer."""
    began_s = time.monotonic()
    session.pd.get("/ping")
    took_ms = (time.monotonic() - began_s) * 1_000
    session.show({"time_ms": round(took_ms, 3)}, f"PD answers in {took_ms:.1f} ms")
