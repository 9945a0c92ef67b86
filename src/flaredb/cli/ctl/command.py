"""``flaredb ctl``: the words it knows. Each is loaded when it is called."""

from __future__ import annotations

import click

from flaredb.cli.grammar import LazyGroup

_HERE = "flaredb.cli.ctl"


@click.group(
    cls=LazyGroup,
    short_help="look at a cluster and give it orders",
    context_settings={"help_option_names": ["-h", "--help"]},
    places={
        "store": (f"{_HERE}.store:store", "stores: show, drain, label, limit"),
        "region": (f"{_HERE}.region:region", "regions: show, find by key, split, check"),
        "operator": (f"{_HERE}.operator:operator", "moves under way: show, add, remove"),
        "scheduler": (f"{_HERE}.scheduler:scheduler", "who orders moves: show, add, remove, pause"),
        "config": (f"{_HERE}.config:config", "settings: show, set"),
        "why": (f"{_HERE}.why:why", "why something is or is not happening"),
        "cluster": (f"{_HERE}.cluster:cluster", "the cluster's id and size"),
        "member": (f"{_HERE}.cluster:member", "the members of PD"),
        "health": (f"{_HERE}.cluster:health", "whether PD's members are well"),
        "ping": (f"{_HERE}.cluster:ping", "how long PD takes to answer"),
    },
)
def ctl() -> None:
    """Look at a cluster and give it orders, as pd-ctl does.

    Tables on a terminal, tab-separated values with a line of headings in a pipe, JSON with -o json. Keys are written as
    text, b'...', hex:00ff or b64:AP8=. The exit status is 0 only if what was asked for was done. There is no
    interactive mode: call it once for each order.
    """
