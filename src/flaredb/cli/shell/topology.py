"""What a shell tells of the cluster: ``where``, ``regions``, ``stores``. Only calls that TiKV's PD has too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flaredb.cli.grammar import PrintingCommand, Session, pass_session
from flaredb.cli.notation import KEY, json_key, shown
from flaredb.cli.output import Column, Facts, Table
from flaredb.cli.shell.caller import ShellCaller
from flaredb.model.errors import FlareDBError
from flaredb.model.keys import format_key, format_range

if TYPE_CHECKING:
    from flaredb.model.cluster import RegionRoute, StoreMeta
    from flaredb.rpc.pd import PdClient

REGIONS_SHOWN = 100
PAGE = 1_000


class _Cluster(NamedTuple):
    routes: list[RegionRoute]
    stores: dict[int, StoreMeta]

    def address(self, store_id: int) -> str:
        return self.stores[store_id].address if store_id in self.stores else "?"


@click.command("where", cls=PrintingCommand)
@click.argument("key", type=KEY)
@pass_session
def where(session: Session, key: bytes) -> None:
    """Which region has a key, who leads it, and on which stores it is."""
    session.met(key)

    async def find(pd: PdClient) -> _Cluster:
        route = await pd.get_region(key)
        return _Cluster([route] if route is not None else [], await _stores(pd))

    cluster: _Cluster = _caller(session).ask_pd(find)
    if not cluster.routes:
        raise FlareDBError(f"PD knows no region that has {shown(key)}: has a store joined?")
    (route,) = cluster.routes
    region, leader = route.region, route.leader.store_id if route.leader else 0
    others = [peer.store_id for peer in region.peers if peer.store_id != leader]
    pairs = [
        ("key", shown(key)),
        ("region", f"{region.id} {format_range(region.start_key, region.end_key)}"),
        ("leader", f"store {leader} at {cluster.address(leader)}" if leader else "none is known"),
        ("others", ", ".join(f"store {store_id} at {cluster.address(store_id)}" for store_id in others) or "none"),
        ("epoch", f"{region.epoch.version}.{region.epoch.conf_ver}"),
    ]
    session.show({**json_key(key), **_region_json(route)}, Facts(pairs))


@click.command("regions", cls=PrintingCommand)
@click.option("--start", type=KEY, metavar="KEY", default="", help="from the region of this key on")
@click.option("--limit", type=click.IntRange(min=1), default=REGIONS_SHOWN, show_default=True, metavar="N")
@pass_session
def regions(session: Session, start: bytes, limit: int) -> None:
    """The regions in key order: who leads them, and on which stores they are."""

    async def find(pd: PdClient) -> _Cluster:
        routes: list[RegionRoute] = []
        key = start
        while len(routes) <= limit:
            page = await pd.scan_regions(key, b"", min(PAGE, limit + 1 - len(routes)))
            routes += page
            if not page or not (key := page[-1].region.end_key):
                break
        return _Cluster(routes, {})

    cluster: _Cluster = _caller(session).ask_pd(find)
    table = Table(
        [
            Column("region", True),
            Column("from key", may_shrink=True),
            Column("to key", may_shrink=True),
            Column("leader", True),
            Column("stores"),
            Column("epoch"),
        ]
    )
    for route in cluster.routes[:limit]:
        region = route.region
        table.rows.append(
            [
                str(region.id),
                format_key(region.start_key) if region.start_key else "-inf",
                format_key(region.end_key) if region.end_key else "+inf",
                str(route.leader.store_id) if route.leader else "none",
                " ".join(str(store_id) for store_id in sorted(peer.store_id for peer in region.peers)),
                f"{region.epoch.version}.{region.epoch.conf_ver}",
            ]
        )
    if len(cluster.routes) > limit:
        table.note = f"there are more: --limit, or --start {table.rows[-1][2]}"
    session.show([_region_json(route) for route in cluster.routes[:limit]], table)


@click.command("stores", cls=PrintingCommand)
@pass_session
def stores(session: Session) -> None:
    """The stores: where they are and how they do."""
    found: dict[int, StoreMeta] = _caller(session).ask_pd(_stores)
    table = Table(
        [Column("store", True), Column("address"), Column("state"), Column("version"), Column("labels")],
        note="" if found else "no store has joined yet",
    )
    for store in found.values():
        labels = ",".join(f"{name}={value}" for name, value in store.labels)
        table.rows.append([str(store.id), store.address, store.state.name.capitalize(), store.version, labels])
    raw = [
        {"store": store.id, "address": store.address, "state": store.state.name.capitalize(), "version": store.version}
        for store in found.values()
    ]
    session.show(raw, table)


def _caller(session: Session) -> ShellCaller:
    assert isinstance(session.caller, ShellCaller)
    return session.caller


async def _stores(pd: PdClient) -> dict[int, StoreMeta]:
    found = await pd.get_all_stores(exclude_tombstones=True)
    return {store.id: store for store in sorted(found, key=lambda store: store.id)}


def _region_json(route: RegionRoute) -> dict[str, Any]:
    region = route.region
    return {
        "region": region.id,
        "start_key": format_key(region.start_key),
        "start_key_hex": region.start_key.hex(),
        "end_key": format_key(region.end_key),
        "end_key_hex": region.end_key.hex(),
        "leader_store": route.leader.store_id if route.leader else None,
        "stores": sorted(peer.store_id for peer in region.peers),
        "version": region.epoch.version,
        "conf_ver": region.epoch.conf_ver,
    }
