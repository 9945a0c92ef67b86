"""``flaredb kv put``, ``delete`` and ``cas``."""

from __future__ import annotations

import sys

import click

from flaredb.cli.exits import EXIT_DONE, EXIT_NO
from flaredb.cli.flags import SECONDS
from flaredb.cli.kv.calls import Call, check_may_read_stdin, check_range, data_command, range_options
from flaredb.cli.notation import KEY, VALUE, VALUE_OR_STDIN, json_key, shown

COUNTED_MAX = 10_000
"""Keys that are counted before a range is deleted; more are "more than"."""


@data_command("put")
@click.argument("key", type=KEY)
@click.argument("value", type=VALUE_OR_STDIN)
@click.option("--if-absent", is_flag=True, help="only if the key has no value; else exit status 3")
@click.option("--ttl", "ttl_s", type=SECONDS, help="gone after this time, where the servers support it")
async def put(call: Call, key: bytes, value: bytes | str, if_absent: bool, ttl_s: float | None) -> int:
    """Write a pair. VALUE "-": the bytes of standard input; a dash is written as b'-'."""
    call.session.met(key)
    if isinstance(value, str):
        check_may_read_stdin(call.session)
        value = sys.stdin.buffer.read()
    if if_absent:
        if not await call.db.put_if_absent(key, value, ttl=ttl_s, **call.options):
            click.echo(f"flaredb: {shown(key)} has a value already; nothing was written", err=True)
            return EXIT_NO
    else:
        await call.db.put(key, value, ttl=ttl_s, **call.options)
    call.session.show({**json_key(key), "written": True}, "OK")
    return EXIT_DONE


@data_command("cas")
@click.argument("key", type=KEY)
@click.argument("old", type=VALUE, required=False)
@click.argument("new", type=VALUE, required=False)
@click.option("--absent", is_flag=True, help="expect no value: write cas KEY NEW --absent")
@click.option("--delete", "is_delete", is_flag=True, help="remove the key: write cas KEY OLD --delete")
async def cas(call: Call, key: bytes, old: bytes | None, new: bytes | None, absent: bool, is_delete: bool) -> int:
    """Write NEW if the value is OLD, in one step. Exit status 3 if it was not, with the value on standard error."""
    old, new = _swap(old, new, absent, is_delete)
    call.session.met(key)
    result = await call.db.compare_and_swap(key, old, new, **call.options)
    if not result:
        found = "no value" if result.previous is None else shown(result.previous)
        click.echo(f"flaredb: {shown(key)} has {found}; nothing was written", err=True)
        return EXIT_NO
    call.session.show({**json_key(key), "written": True}, "OK")
    return EXIT_DONE


def _swap(old: bytes | None, new: bytes | None, absent: bool, is_delete: bool) -> tuple[bytes | None, bytes | None]:
    """(expected, wanted); None is absence. Errors: UsageError for anything else than one of the three forms."""
    given = [value for value in (old, new) if value is not None]
    if (absent and is_delete) or len(given) != 2 - absent - is_delete:
        raise click.UsageError("write cas KEY OLD NEW, cas KEY NEW --absent, or cas KEY OLD --delete")
    if absent:
        return None, given[0]
    return given[0], None if is_delete else given[1]


@data_command("delete")
@click.argument("keys", metavar="[KEY]...", type=KEY, nargs=-1)
@range_options
@click.option("--yes", is_flag=True, help="do not ask before deleting a range")
async def delete(
    call: Call, keys: tuple[bytes, ...], prefix: bytes | None, start: bytes | None, end: bytes | None, yes: bool
) -> int:
    """Remove keys, or all keys of a range. A key without a value is no error.

    Deleting a range asks first, or takes --yes. It goes region by region: keys written meanwhile may stay.
    """
    is_range = not (prefix is start is end is None)
    if bool(keys) == is_range:
        raise click.UsageError("name keys, or one range by --prefix or --start and --end")
    if keys:
        await call.db.delete_many(keys, **call.options)
        call.session.show([{**json_key(key), "deleted": True} for key in keys], "OK")
        return EXIT_DONE
    check_range(prefix, start, end)
    what = _range_text(prefix, start, end)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"this deletes {what}: say --yes")
        click.confirm(f"Delete {what} ({await _counted(call, prefix, start, end)})?", abort=True, err=True)
    await call.db.delete_range(b"" if prefix is None and start is None else start, end, prefix=prefix, **call.options)
    call.session.show({"deleted": what}, "OK")
    return EXIT_DONE


def _range_text(prefix: bytes | None, start: bytes | None, end: bytes | None) -> str:
    if prefix is not None:
        return f"every key that starts with {shown(prefix)}" if prefix else "every key"
    bounds = [f"from {shown(start)} on"] if start else []
    bounds += [f"below {shown(end)}"] if end else []
    return f"every key {', '.join(bounds)}".rstrip()


async def _counted(call: Call, prefix: bytes | None, start: bytes | None, end: bytes | None) -> str:
    found = 0
    async for _ in call.db.scan(start, end, prefix=prefix, keys_only=True, limit=COUNTED_MAX + 1, **call.options):
        found += 1
    if found > COUNTED_MAX:
        return f"more than {COUNTED_MAX:,} keys"
    return f"{found:,} key{'' if found == 1 else 's'}"
