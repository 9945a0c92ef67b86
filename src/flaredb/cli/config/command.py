"""``flaredb config``: the words it knows. Each is loaded when it is called."""

from __future__ import annotations

import click

from flaredb.cli.lazy import LazyCommands

_HERE = "flaredb.cli.config"


@click.group(
    cls=LazyCommands,
    places={
        "check": (f"{_HERE}.check:check", "whether configuration files are right"),
        "show": (f"{_HERE}.show:show", "the settings in force, and where each comes from"),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
def config() -> None:
    """Look at configuration files of stores and PD, without starting anything.

    What a running PD has in force, and may be changed: flaredb ctl config.
    """
