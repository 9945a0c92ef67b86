"""``flaredb ctl store``: stores, how they do, and orders to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from flaredb.cli.ctl.http import PdRefused
from flaredb.cli.grammar import ID, CommonGroup, Session, pass_session
from flaredb.cli.output import Column, Facts, Table

STATES = ("up", "offline", "tombstone", "disconnected", "down")
LIMIT_KINDS = ("add-peer", "remove-peer")
DRAIN_TIMEOUT_S = 86_400.0


@click.group(cls=CommonGroup, short_help="stores: show, drain, label, limit")
def store() -> None:
    """Stores: all of them, one by its id, or orders to one."""


@store.command("show")
@click.argument("store_id", metavar="[ID]", type=ID, required=False)
@pass_session
def show_store(session: Session, store_id: int | None) -> None:
    """All stores that were not removed, or one."""
    if store_id is None:
        _show_list(session, session.pd.get("/stores"), "no store has joined yet")
    else:
        answer = session.pd.get(f"/store/{store_id}")
        session.show(answer, _facts(answer))


@store.command("check")
@click.argument("state", type=click.Choice(STATES, case_sensitive=False))
@pass_session
def check(session: Session, state: str) -> None:
    """Stores in a state, tombstones too."""
    _show_list(session, session.pd.get(f"/stores/check?state={state}"), f"no store is {state}")


@store.command("delete")
@click.argument("words", metavar="ID", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="return when it is a tombstone: all its replicas are elsewhere")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=DRAIN_TIMEOUT_S,
    show_default=True,
    help="with --wait: give up waiting after that",
)
@pass_session
def delete(session: Session, words: tuple[str, ...], wait: bool, timeout_s: float) -> None:
    """Drain a store. Its replicas move to others, then it is a tombstone and may be stopped.

    ID may be "addr HOST:PORT" too.
    """
    store_id = _store_id(session, words)
    answer = session.pd.delete(f"/store/{store_id}")
    if not wait:
        session.say(answer)
        return
    from flaredb.cli.ctl.waiting import told, wait_for_tombstone

    try:
        with told(store_id) as tell:
            found = wait_for_tombstone(session.pd, store_id, timeout_s, tell)
    except KeyboardInterrupt:
        click.echo(f"flaredb: the drain goes on; call it off by store cancel-delete {store_id}", err=True)
        raise
    session.show(found, f"store {store_id} is a tombstone: it holds nothing any more and may be stopped")


@store.command("cancel-delete")
@click.argument("words", metavar="ID", nargs=-1, required=True)
@pass_session
def cancel_delete(session: Session, words: tuple[str, ...]) -> None:
    """Call a drain off. The store is Up again. ID may be "addr HOST:PORT" too."""
    store_id = _store_id(session, words)
    state = session.pd.get(f"/store/{store_id}")["store"]
    if state.get("state", 0) != 1:
        raise PdRefused(400, f"store {store_id} is {state['state_name']}, not Offline: there is no drain to call off")
    session.say(session.pd.post(f"/store/{store_id}/state?state=Up"))


@store.command("label")
@click.argument("store_id", metavar="ID", type=ID)
@click.argument("labels", metavar="KEY=VALUE...", nargs=-1, required=True)
@click.option("-r", "--rewrite", is_flag=True, help="drop the labels that are not named")
@click.option("-d", "--delete", "drop", is_flag=True, help="drop the labels whose KEYs are named")
@pass_session
def label(session: Session, store_id: int, labels: tuple[str, ...], rewrite: bool, drop: bool) -> None:
    """Label a store, such as zone=east host=h1."""
    if drop:
        for key in labels:
            session.say(session.pd.delete(f"/store/{store_id}/label", key))
        return
    pairs = [text.partition("=") for text in labels]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise click.UsageError(f'"{key}{equals}{value}" is no label: write KEY=VALUE, such as zone=east')
    query = "?force=true" if rewrite else ""
    session.say(session.pd.post(f"/store/{store_id}/label{query}", {key: value for key, _, value in pairs}))


@store.command("weight")
@click.argument("store_id", metavar="ID", type=ID)
@click.argument("leader", metavar="LEADER", type=click.FloatRange(min=0))
@click.argument("region", metavar="REGION", type=click.FloatRange(min=0))
@pass_session
def weight(session: Session, store_id: int, leader: float, region: float) -> None:
    """How much a store should have. LEADER is for leaderships, REGION for data; other stores have 1."""
    session.say(session.pd.post(f"/store/{store_id}/weight", {"leader": leader, "region": region}))


@store.command("limit")
@click.argument("words", metavar="[ID|all RATE] [add-peer|remove-peer]", nargs=-1)
@pass_session
def limit(session: Session, words: tuple[str, ...]) -> None:
    """Limit how fast replicas come and go. Peers per minute of a store: show all, or set one or all."""
    rest = list(words)
    kind = rest.pop() if rest and rest[-1] in LIMIT_KINDS else ""
    if not rest:
        _show_limits(session, session.pd.get(f"/stores/limit?type={kind}" if kind else "/stores/limit"))
        return
    if len(rest) != 2 or not (rest[0] == "all" or rest[0].isdigit()):
        raise click.UsageError("write store limit, or store limit ID RATE [add-peer|remove-peer], or all for ID")
    try:
        rate = float(rest[1])
    except ValueError as error:
        raise click.UsageError(f'"{rest[1]}" is no rate: write peers per minute, such as 15') from error
    body = {"rate": rate, **({"type": kind} if kind else {})}
    session.say(session.pd.post("/stores/limit" if rest[0] == "all" else f"/store/{rest[0]}/limit", body))


@store.command("remove-tombstone")
@pass_session
def remove_tombstone(session: Session) -> None:
    """Forget the stores that were removed."""
    session.say(session.pd.delete("/stores/remove-tombstone"))


def _store_id(session: Session, words: tuple[str, ...]) -> int:
    """Of "4", or of "addr HOST:PORT"."""
    if len(words) == 1 and words[0].isdigit():
        return int(words[0])
    if len(words) != 2 or words[0] != "addr":
        raise click.UsageError(f'"{" ".join(words)}" is no store: write its id, or addr HOST:PORT')
    for item in session.pd.get("/stores").get("stores") or []:
        if item["store"]["address"] == words[1]:
            return int(item["store"]["id"])
    raise PdRefused(404, f"no store has the address {words[1]}: list them by store")


def _show_list(session: Session, answer: Mapping[str, Any], none: str) -> None:
    stores = answer.get("stores") or []
    table = Table(
        [
            Column("store", True),
            Column("address"),
            Column("state"),
            Column("leaders", True),
            Column("regions", True),
            Column("MiB", True),
            Column("free", True),
            Column("uptime", True),
            Column("labels", may_shrink=True),
        ],
        note="" if stores else none,
    )
    for item in sorted(stores, key=lambda item: item["store"]["id"]):
        meta, status = item["store"], item.get("status") or {}
        table.rows.append(
            [
                str(meta["id"]),
                meta.get("address", ""),
                meta.get("state_name", ""),
                str(status.get("leader_count", 0)),
                str(status.get("region_count", 0)),
                str(status.get("region_size", 0)),
                status.get("available", ""),
                _uptime(status.get("uptime", "")),
                _labels(meta),
            ]
        )
    session.show(answer, table)


def _facts(item: Mapping[str, Any]) -> Facts:
    meta, status = item["store"], item.get("status") or {}
    pairs = [
        ("store", str(meta["id"])),
        ("address", meta.get("address", "")),
        ("state", meta.get("state_name", "")),
        ("version", meta.get("version", "")),
        ("labels", _labels(meta)),
        ("peer address", meta.get("peer_address", "")),
        ("status address", meta.get("status_address", "")),
        ("leaders", f"{status.get('leader_count', 0)} ({status.get('leader_size', 0)} MiB)"),
        ("regions", f"{status.get('region_count', 0)} ({status.get('region_size', 0)} MiB)"),
        ("weights", f"leader {status.get('leader_weight', 1):g}, region {status.get('region_weight', 1):g}"),
        ("disk", _disk(status)),
        ("started", status.get("start_ts", "")),
        ("last heartbeat", status.get("last_heartbeat_ts", "")),
    ]
    for name in ("learner_count", "pending_peer_count", "sending_snap_count", "receiving_snap_count"):
        if status.get(name):
            pairs.append((name.removesuffix("_count").replace("_", " ") + "s", str(status[name])))
    if status.get("is_busy"):
        pairs.append(("busy", "yes"))
    return Facts([(name, value) for name, value in pairs if value])


def _show_limits(session: Session, answer: Mapping[str, Any]) -> None:
    table = Table([Column("store", True), *(Column(kind, True) for kind in LIMIT_KINDS)])
    for store_id, rates in sorted(answer.items(), key=lambda entry: int(entry[0])):
        table.rows.append([store_id, *(f"{rates[kind]:g}" if kind in rates else "" for kind in LIMIT_KINDS)])
    session.show(answer, table)


def _labels(meta: Mapping[str, Any]) -> str:
    return ",".join(f"{item['key']}={item['value']}" for item in meta.get("labels") or [])


def _disk(status: Mapping[str, Any]) -> str:
    parts = [f"{status.get('used_size', '')} used", f"{status.get('available', '')} available"]
    return ", ".join([*parts, f"of {status.get('capacity', '')}"])


def _uptime(text: str) -> str:
    """Go writes fractions of a second: "1h2m3.9s"."""
    whole, dot, _ = text.partition(".")
    return f"{whole}s" if dot else text
