"""``flaredb config show``: every setting, its value in force, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flaredb.cli.grammar import PrintingCommand, Session, pass_session
from flaredb.cli.output import Column, Table

if TYPE_CHECKING:
    from flaredb.cli.config.kinds import Settings


@click.command("show", cls=PrintingCommand)
@click.argument("path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--for", "kind", type=click.Choice(("store", "pd")), help="whose  [default: by FILE's keys, else a store's]"
)
@click.option("--profile", metavar="NAME", help="as `flaredb server --profile NAME`")
@click.option("--diff", is_flag=True, help="only what is not as by default")
@pass_session
def show(session: Session, path: Path | None, kind: str | None, profile: str | None, diff: bool) -> None:
    """Every setting that a server would run with, given this file, and where its value comes from."""
    from flaredb.cli.config.kinds import kinds_of, load

    chosen = kind or (kinds_of(path)[0] if path is not None else "store")
    settings, defaults = load(chosen, path, profile), load(chosen, None)
    rows = [row for row in _rows(settings, defaults, path) if not diff or row.value != row.default]
    headings = [Column("setting"), Column("value")]
    if diff:
        headings.append(Column("default"))
    table = Table([*headings, Column("from", may_shrink=True)], note="" if rows else "everything is as by default")
    for row in rows:
        values = [_text(row.value), _text(row.default)] if diff else [_text(row.value)]
        table.rows.append([row.path, *values, row.origin])
    raw = [{"setting": row.path, "value": row.value, "default": row.default, "from": row.origin} for row in rows]
    session.show(raw, table)


class _Row(NamedTuple):
    path: str
    value: Any
    default: Any
    origin: str


def _rows(settings: Settings, defaults: Settings, path: Path | None) -> Iterator[_Row]:
    from flaredb.server.profiles import profile_tables
    from flaredb.server.toml_file import read_toml

    in_file = dict(_leaves(read_toml(path))) if path is not None else {}
    profile = getattr(settings, "profile", "default")
    in_profile = dict(_leaves(profile_tables(profile)))
    values, default_values = dict(_leaves(settings.to_dict())), dict(_leaves(defaults.to_dict()))
    for name, value in values.items():
        origin = "default"
        if name in in_file:
            origin = str(path)
        elif name in in_profile:
            origin = f"profile {profile}"
        elif value != default_values.get(name):
            origin = "--profile" if name == "profile" else origin
        default = default_values.get(name)
        rule = _DERIVED.get(name)
        if rule is not None:
            if not value or value == "0B":
                origin, value = f"by {rule.of}", rule.value(settings)
            default = rule.value(defaults)
        yield _Row(name, value, default, origin)


def _leaves(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name != "server.labels":
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)


class _Rule(NamedTuple):
    of: str
    """The setting that it follows from."""

    value: Callable[[Any], Any]


def _size(size_bytes: int) -> str:
    from flaredb.model.units import format_size

    return format_size(size_bytes)


_DERIVED = {
    "server.peer-addr": _Rule("server.addr", lambda store: store.peer_addr),
    "server.advertise-addr": _Rule("server.addr", lambda store: store.server.advertise_addr or store.server.addr),
    "server.advertise-status-addr": _Rule(
        "server.status-addr", lambda store: store.server.advertise_status_addr or store.server.status_addr
    ),
    "server.advertise-peer-addr": _Rule(
        "server.peer-addr", lambda store: store.server.advertise_peer_addr or store.peer_addr
    ),
    "raftstore.raft-min-election-timeout-ticks": _Rule(
        "raftstore.raft-election-timeout-ticks", lambda store: store.raftstore.election_timeout_ticks_min
    ),
    "raftstore.raft-max-election-timeout-ticks": _Rule(
        "raftstore.raft-min-election-timeout-ticks", lambda store: store.raftstore.election_timeout_ticks_max
    ),
    "coprocessor.region-max-size": _Rule(
        "coprocessor.region-split-size", lambda store: _size(store.coprocessor.max_size_bytes)
    ),
    "coprocessor.region-split-keys": _Rule("coprocessor.region-split-size", lambda store: store.coprocessor.split_keys),
    "coprocessor.region-max-keys": _Rule("coprocessor.region-split-keys", lambda store: store.coprocessor.max_keys),
    "data-dir": _Rule("name", lambda pd: pd.data_path),
    "advertise-client-urls": _Rule("client-urls", lambda pd: pd.advertise_client_urls or pd.client_urls),
    "bootstrap.stores": _Rule("replication.max-replicas", lambda pd: pd.stores_wanted),
}
"""Settings whose empty value stands for another one."""
