"""``flaredb kv``: the words it knows. Each is loaded when it is called."""

from __future__ import annotations

import click

from flaredb.cli.grammar import LazyGroup
from flaredb.cli.lazy import Places

_HERE = "flaredb.cli.kv"

COMMANDS: Places = {
    "get": (f"{_HERE}.read:get", "print the value of a key, or of several"),
    "put": (f"{_HERE}.write:put", "write a pair"),
    "delete": (f"{_HERE}.write:delete", "remove keys, or all with a prefix"),
    "cas": (f"{_HERE}.write:cas", "write a value if the present one is as expected"),
    "scan": (f"{_HERE}.read:scan", "print the pairs of a range, in order"),
    "count": (f"{_HERE}.read:count", "count the keys of a range"),
    "import": (f"{_HERE}.importing:import_", "write the pairs of a csv or jsonl file"),
    "export": (f"{_HERE}.exporting:export", "write the pairs of a range to a csv or jsonl file"),
}


@click.group(
    cls=LazyGroup,
    places=COMMANDS,
    short_help="read and write data",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def kv() -> None:
    """Read and write data, of FlareDB or of TiKV.

    Keys and values are written as text, "b'a\\x00'" (in quotes, or the shell takes its own), hex:6100 or b64:YQA=, and
    shown as text or b'a\\x00', whichever reads back as the same bytes. The exit status is 3 for a key without a value.
    """
