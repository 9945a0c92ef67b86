"""``flaredb kv get``, ``scan`` and ``count``."""

from __future__ import annotations

import sys

import click

from flaredb.cli.exits import EXIT_DONE, EXIT_NO
from flaredb.cli.kv.calls import Call, check_range, data_command, range_options
from flaredb.cli.notation import KEY, json_key, json_row, shown
from flaredb.cli.output import Column


@data_command("get")
@click.argument("keys", metavar="KEY...", type=KEY, nargs=-1, required=True)
@click.option("--raw", is_flag=True, help="the bytes of the value and nothing else")
async def get(call: Call, keys: tuple[bytes, ...], raw: bool) -> int:
    """Print the value of a key. Exit status 3 if there is none.

    With several keys, print pairs, in the order given.
    """
    if len(keys) > 1:
        if raw:
            raise click.UsageError("--raw prints one value: name one key")
        return await _get_many(call, keys)
    (key,) = keys
    call.session.met(key)
    value = await call.db.get(key, **call.options)
    if value is None:
        return _missing([key])
    if raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
    else:
        call.session.show(json_row(key, value), shown(value))
    return EXIT_DONE


async def _get_many(call: Call, keys: tuple[bytes, ...]) -> int:
    from flaredb.cli.output_rows import Rows

    values = await call.db.get_many(keys, **call.options)
    missing = []
    with Rows(call.session.form, _PAIR) as rows:
        for key, value in zip(keys, values, strict=True):
            call.session.met(key)
            if value is None:
                missing.append(key)
            else:
                rows.add([shown(key), shown(value)], json_row(key, value))
    return _missing(missing)


def _missing(keys: list[bytes]) -> int:
    for key in keys:
        click.echo(f"flaredb: {shown(key)} has no value", err=True)
    return EXIT_NO if keys else EXIT_DONE


@data_command("scan")
@range_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="so many rows at most")
@click.option("--reverse", is_flag=True, help="from the last key down")
@click.option("--keys-only", is_flag=True, help="without values")
async def scan(
    call: Call,
    prefix: bytes | None,
    start: bytes | None,
    end: bytes | None,
    limit: int | None,
    reverse: bool,
    keys_only: bool,
) -> None:
    """Print the pairs of a range in key order, as they come; without options, all of them.

    Rows are read in pages: each is as of a moment of its own, and --timeout is for each.
    """
    from flaredb.cli.output_rows import Rows

    check_range(prefix, start, end)
    with Rows(call.session.form, _PAIR[:1] if keys_only else _PAIR) as rows:
        if keys_only:
            keys = call.db.scan(start, end, prefix=prefix, reverse=reverse, limit=limit, keys_only=True, **call.options)
            async for key in keys:
                call.session.met(key)
                rows.add([shown(key)], json_key(key))
        else:
            pairs = call.db.scan(start, end, prefix=prefix, reverse=reverse, limit=limit, **call.options)
            async for key, value in pairs:
                call.session.met(key)
                rows.add([shown(key), shown(value)], json_row(key, value))


@data_command("count")
@range_options
async def count(call: Call, prefix: bytes | None, start: bytes | None, end: bytes | None) -> None:
    """Count the keys of a range; without options, of everything. It fetches the keys to count them."""
    from flaredb.cli.kv.progress import Progress

    check_range(prefix, start, end)
    found = 0
    with Progress("counted", "key") as progress:
        async for _ in call.db.scan(start, end, prefix=prefix, keys_only=True, **call.options):
            found += 1
            if not found % _TELL_EVERY:
                progress.tell(found)
    call.session.show({"count": found}, str(found))


_PAIR = [Column("key"), Column("value")]
_TELL_EVERY = 1_000
