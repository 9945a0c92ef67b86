"""The first line of a shell: which cluster this is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flaredb import __version__
from flaredb.cli.shell.caller import ShellCaller
from flaredb.model.errors import FlareDBError

if TYPE_CHECKING:
    from flaredb.rpc.pd import PdClient

REGIONS_COUNTED = 1_000


def greet(caller: ShellCaller) -> None:
    """Say hello. A cluster that does not answer is told of: it may come back."""

    async def ask(pd: PdClient) -> str:
        stores = await pd.get_all_stores(exclude_tombstones=True)
        regions = await pd.scan_regions(b"", b"", REGIONS_COUNTED)
        more = "at least " if len(regions) == REGIONS_COUNTED else ""
        return f"{_counted(len(stores), 'store')}, {more}{_counted(len(regions), 'region')}"

    try:
        what = str(caller.ask_pd(ask))
    except FlareDBError as error:
        what = f"the cluster does not answer: {error}"
    click.echo(f"flaredb {__version__}   {what}   help lists the commands, Tab completes")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
