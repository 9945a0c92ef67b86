"""``flaredb ctl region``: regions, where they are and how they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from flaredb.cli.ctl.http import PdRefused, key_path
from flaredb.cli.ctl.operator import POLICIES, order_split, timeout_option, wait_option
from flaredb.cli.grammar import ID, CommonGroup, Session, pass_session
from flaredb.cli.notation import KEY, KEYS
from flaredb.cli.output import Column, Facts, Table, key_text

SCAN_STEP = 1_024
CHECKS = (
    "miss-peer",
    "extra-peer",
    "down-peer",
    "pending-peer",
    "learner-peer",
    "offline-peer",
    "empty-region",
)
LIST_DEFAULT = 16
_ROLE_MARKS = {"Learner": "L", "IncomingVoter": "+", "DemotingVoter": "-"}


@click.group(cls=CommonGroup, short_help="regions: show, find by key, split, check")
def region() -> None:
    """Regions: all; one by its id; or those that a word picks.

    In a list, "1 2 4L" are the stores of the replicas; L marks a learner, + and - a voter that comes or goes.
    """


@region.command("show")
@click.argument("region_id", metavar="[ID]", type=ID, required=False)
@pass_session
def show_region(session: Session, region_id: int | None) -> None:
    """All regions, or one."""
    if region_id is None:
        _show_list(session, session.pd.get("/regions"))
        return
    answer = session.pd.get(f"/region/id/{region_id}")
    if not answer:
        raise PdRefused(404, f"region {region_id} does not exist: list all by region")
    session.show(answer, _facts(answer))


@region.command("key")
@click.option("--format", "form", type=click.Choice(["raw", "hex"]), help="read KEY as pd-ctl does  [default: raw]")
@click.argument("key")
@pass_session
def region_of_key(session: Session, form: str | None, key: str) -> None:
    """The region that holds a key."""
    read: bytes = KEY.convert(f"hex:{key}" if form == "hex" else key, None, click.get_current_context())
    answer = session.pd.get(f"/region/key/{key_path(read)}")
    session.show(answer, _facts(answer))


@region.command("keys")
@click.argument("start", type=KEY)
@click.argument("end", type=KEY, required=False)
@click.argument("limit", type=click.IntRange(min=1), default=LIST_DEFAULT)
@pass_session
def region_keys(session: Session, start: bytes, end: bytes | None, limit: int) -> None:
    """Regions from the one with a key on, in order."""
    _show_list(session, session.pd.get(_range_path(start, end or b"", limit)))


@region.command("scan")
@pass_session
def scan(session: Session) -> None:
    """All regions in the order of their keys, asked for in parts."""
    found: list[Any] = []
    start = b""
    while True:
        part = session.pd.get(_range_path(start, b"", SCAN_STEP)).get("regions") or []
        found += part
        start = bytes.fromhex(part[-1].get("end_key", "")) if part else b""
        if not start:
            break
    _show_list(session, {"count": len(found), "regions": found})


@region.command("split")
@click.argument("region_id", metavar="ID", type=ID)
@click.option("--policy", type=click.Choice(POLICIES), help="how to find where to cut  [default: scan]")
@click.option("--keys", type=KEYS, metavar="K1,K2", help="cut at these keys (policy usekey)")
@wait_option
@timeout_option
@pass_session
def split(
    session: Session, region_id: int, policy: str | None, keys: tuple[bytes, ...] | None, wait: bool, timeout_s: float
) -> None:
    """Cut a region in halves, or at keys; as operator add split-region."""
    order_split(session, region_id, policy, keys, wait, timeout_s)


@region.command("store")
@click.argument("store_id", metavar="STORE", type=ID)
@click.argument("kind", type=click.Choice(["all", "leader", "learner", "pending"]), default="all")
@pass_session
def of_store(session: Session, store_id: int, kind: str) -> None:
    """Regions with a replica on a store; or only those that it leads, learns, or has pending."""
    _show_list(session, session.pd.get(f"/regions/store/{store_id}?type={kind}"))


@region.command("sibling")
@click.argument("region_id", metavar="ID", type=ID)
@pass_session
def sibling(session: Session, region_id: int) -> None:
    """The neighbours of a region."""
    _show_list(session, session.pd.get(f"/regions/sibling/{region_id}"))


@region.command("check")
@click.argument("state", type=click.Choice(CHECKS))
@pass_session
def check(session: Session, state: str) -> None:
    """Regions that need care."""
    _show_list(session, session.pd.get(f"/regions/check/{state}"))


@region.command("range-holes")
@pass_session
def range_holes(session: Session) -> None:
    """Ranges that no region is known to hold."""
    answer = session.pd.get("/regions/range-holes") or []
    table = Table([Column("from key"), Column("to key")], note="" if answer else "the regions cover every key")
    table.rows = [[key_text(start, "-inf"), key_text(end, "+inf")] for start, end in answer]
    session.show(answer, table)


def _top(word: str, path: str, text: str) -> None:
    @region.command(word, help=text)
    @click.argument("limit", type=click.IntRange(min=1), default=LIST_DEFAULT)
    @pass_session
    def top(session: Session, limit: int) -> None:
        _show_list(session, session.pd.get(f"/regions/{path}?limit={limit}"))


_top("topsize", "size", "The largest regions.")
_top("topkeys", "keys", "The regions with the most keys.")
_top("topread", "readflow", "The regions that are read the most.")
_top("topwrite", "writeflow", "The regions that are written the most.")
_top("topconfver", "confver", "The regions whose members changed the most often.")
_top("topversion", "version", "The regions that split the most often.")


def _range_path(start: bytes, end: bytes, limit: int) -> str:
    return f"/regions/key?key={quote(start, safe='')}&end_key={quote(end, safe='')}&limit={limit}"


def _show_list(session: Session, answer: Mapping[str, Any]) -> None:
    regions = answer.get("regions") or []
    table = Table(
        [
            Column("region", True),
            Column("from key", may_shrink=True),
            Column("to key", may_shrink=True),
            Column("leader", True),
            Column("stores"),
            Column("MiB", True),
            Column("keys", True),
            Column("epoch", True),
            Column("state"),
        ],
        note="" if regions else "no such region",
    )
    for item in regions:
        epoch = item.get("epoch") or {}
        table.rows.append(
            [
                str(item["id"]),
                key_text(item.get("start_key", ""), "-inf"),
                key_text(item.get("end_key", ""), "+inf"),
                str((item.get("leader") or {}).get("store_id", "none")),
                " ".join(_stores(item)),
                str(item.get("approximate_size", 0)),
                str(item.get("approximate_keys", 0)),
                f"{epoch.get('version', 0)}.{epoch.get('conf_ver', 0)}",
                _state(item),
            ]
        )
    session.show(answer, table)


def _facts(item: Mapping[str, Any]) -> Facts:
    epoch = item.get("epoch") or {}
    leader = item.get("leader") or {}
    down = {entry["peer"]["id"]: entry.get("down_seconds", 0) for entry in item.get("down_peers") or []}
    pending = {peer["id"] for peer in item.get("pending_peers") or []}
    pairs = [
        ("region", str(item["id"])),
        ("from key", key_text(item.get("start_key", ""), "-inf")),
        ("to key", key_text(item.get("end_key", ""), "+inf")),
        ("epoch", f"version {epoch.get('version', 0)}, conf_ver {epoch.get('conf_ver', 0)}"),
        ("leader", f"store {leader['store_id']}" if leader.get("store_id") else "none is known"),
    ]
    for peer in item.get("peers") or []:
        marks = [peer.get("role_name", "Voter").lower()]
        marks += ["pending"] if peer["id"] in pending else []
        marks += [f"down for {down[peer['id']]} s"] if peer["id"] in down else []
        pairs.append((f"peer {peer['id']}", f"store {peer['store_id']}, {', '.join(marks)}"))
    pairs += [
        ("size", f"{item.get('approximate_size', 0)} MiB"),
        ("keys", str(item.get("approximate_keys", 0))),
        ("written", f"{item.get('written_bytes', 0)} bytes, {item.get('written_keys', 0)} keys"),
        ("read", f"{item.get('read_bytes', 0)} bytes, {item.get('read_keys', 0)} keys"),
    ]
    return Facts(pairs)


def _stores(item: Mapping[str, Any]) -> list[str]:
    peers = sorted(item.get("peers") or [], key=lambda peer: peer["store_id"])
    return [f"{peer['store_id']}{_ROLE_MARKS.get(peer.get('role_name', ''), '')}" for peer in peers]


def _state(item: Mapping[str, Any]) -> str:
    parts = []
    if not (item.get("leader") or {}).get("store_id"):
        parts.append("no leader")
    down = [str(entry["peer"]["store_id"]) for entry in item.get("down_peers") or []]
    pending = [str(peer["store_id"]) for peer in item.get("pending_peers") or []]
    parts += [f"down on {' '.join(down)}"] if down else []
    parts += [f"pending on {' '.join(pending)}"] if pending else []
    return ", ".join(parts) or "ok"
