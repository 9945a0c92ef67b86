"""``flaredb kv export``: the pairs of a range into a file, which is there only once it is whole."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from flaredb.cli.kv.calls import Call, check_range, data_command, range_options
from flaredb.cli.kv.formats import FORMATS, PairWriter, format_of
from flaredb.cli.kv.progress import Progress

TELL_EVERY = 1_000


@data_command("export")
@click.argument("name", metavar="FILE")
@range_options
@click.option("--format", "form", type=click.Choice(FORMATS), help="of the file  [default: as its name ends]")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="so many pairs at most")
@click.option("--hex", "is_hex", is_flag=True, help="key_hex and value_hex instead of key and value")
@click.option("--force", is_flag=True, help="replace FILE if it exists")
async def export(
    call: Call,
    name: str,
    prefix: bytes | None,
    start: bytes | None,
    end: bytes | None,
    form: str | None,
    limit: int | None,
    is_hex: bool,
    force: bool,
) -> None:
    """Write the pairs of a range to a csv or jsonl file, in key order; "-" is standard output.

    Import reads it back, byte for byte. It is not a snapshot: pages of some thousand pairs are each as of a moment of
    their own. A file gets its name only when it is whole.
    """
    check_range(prefix, start, end)
    chosen = "jsonl" if name == "-" and form is None else format_of(name, form)
    count = 0
    with Progress("exported", "pair") as progress, _target(name, force) as target:
        writer = PairWriter(target, chosen, is_hex)
        async for key, value in call.db.scan(start, end, prefix=prefix, limit=limit, **call.options):
            writer.write(key, value)
            count += 1
            if not count % TELL_EVERY:
                progress.tell(count)
    if name == "-":
        click.echo(f"flaredb: {progress.summary(count)}", err=True)
    else:
        call.session.show({"pairs": count, "seconds": round(progress.took_s, 3)}, progress.summary(count))


@contextlib.contextmanager
def _target(name: str, force: bool) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    if Path(name).exists() and not force:
        raise click.UsageError(f"{name} exists: say --force to replace it")
    unfinished = Path(f"{name}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield file
        unfinished.replace(name)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
