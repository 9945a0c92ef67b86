"""``flaredb top``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from flaredb.cli.grammar import RootCommand, Session, pass_session

if TYPE_CHECKING:
    from flaredb.cli.top.poller import Poller, View

SORT_NAMES = ("id", "reads", "writes", "leaders", "regions", "lagging", "cpu")
KEY_WAIT_S = 0.1
ONCE_S_MAX = 2.0
"""Between the two looks that one frame needs."""
LOOKS_MAX = 3
"""A store that is slow to answer for the first time gets one look more."""


@click.command(cls=RootCommand, short_help="a live view of stores, regions, rates and moves")
@click.option("--once", is_flag=True, help="print one frame and end, as where the output is no terminal")
@click.option("--sort", type=click.Choice(SORT_NAMES), default="id", show_default=True, help="order of the stores")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="S",
    help="between two looks",
)
@pass_session
def top(session: Session, once: bool, sort: str, interval: float) -> int:
    """Watch a cluster: its verdict, what every store does (calls and bytes a second from its metrics, as of the last
    interval), what moves, and the busiest regions (keys read and written as of their last report to PD).

    Keys: q ends, s and S take the next and the last order of the stores, a space holds the picture. The exit status of
    --once is that of flaredb status; otherwise 0.
    """
    from flaredb.cli.top.poller import Poller

    poller = Poller(session.pd)
    if once or session.form not in ("", "table") or not sys.stdout.isatty():
        return _once(poller, interval, sort, session.form)
    return _live(poller, sort, interval)


def _once(poller: Poller, interval: float, sort: str, form: str) -> int:
    from flaredb.cli.output import show
    from flaredb.cli.top.frame import frame, frame_json, store_rows
    from flaredb.cli.waiting import pause

    view = poller.poll()
    looks = 1
    while not _has_rates(view) and looks < LOOKS_MAX:
        pause(min(interval, ONCE_S_MAX))
        view = poller.poll()
        looks += 1
    if form in ("json", "jsonl", "tsv"):
        show(form, frame_json(view), store_rows(view))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        if not console.is_terminal:
            # Whatever reads this is not cut off at the width of a terminal that it does not have.
            console = Console(highlight=False, width=max(console.width, 160))
        console.print(frame(view, sort, 1_000_000, console.width))
    return int(view.verdict.level)


def _has_rates(view: View) -> bool:
    """Every store that answers has been asked twice; or there is nobody to ask."""
    from flaredb.cli.status.facts import Reach

    stores = view.facts.stores if view.facts is not None else ()
    return all(store.id in view.rates for store in stores if store.reach == Reach.ANSWERS) and not (
        stores and not view.rates
    )


def _live(poller: Poller, sort: str, interval: float) -> int:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from flaredb.cli.top.frame import frame
    from flaredb.cli.top.keys import Keys
    from flaredb.cli.top.poller import PollingThread

    console = Console(highlight=False)
    held: View | None = None
    shown: object = None
    with (
        Keys() as keys,
        PollingThread(poller, interval) as polling,
        Live(Text("asking the cluster ..."), console=console, screen=True, auto_refresh=False) as live,
    ):
        live.refresh()
        while True:
            view = held or polling.view
            state = (view, sort, console.size)
            if view is not None and state != shown:
                width, height = console.size
                said = _help(sort, interval, held is not None)
                live.update(frame(view, sort, height, width, said), refresh=True)
                shown = state
            key = keys.wait(KEY_WAIT_S)
            if key in ("q", "Q", "\x1b"):
                return 0
            if key in ("s", "S"):
                at = SORT_NAMES.index(sort) + (1 if key == "s" else -1)
                sort = SORT_NAMES[at % len(SORT_NAMES)]
            elif key == " ":
                held = None if held else polling.view
                shown = None


def _help(sort: str, interval: float, is_held: bool) -> str:
    held = "held; space goes on" if is_held else "space holds"
    return f"q ends   s sorts stores (by {sort})   {held}   every {interval:g} s"
