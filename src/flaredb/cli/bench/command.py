"""``flaredb bench``."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click

from flaredb.cli.exits import EXIT_DONE, EXIT_FAILURE
from flaredb.cli.grammar import RootCommand, Session, pass_session

if TYPE_CHECKING:
    from flaredb.aio import Client
    from flaredb.cli.bench.load import Load, Results, Second

CLEAN = "clean"
EXIT_INTERRUPTED = 130
KEYS_MAX = 10**12


@click.command(cls=RootCommand, short_help="a load on the cluster, and what it took")
@click.argument("workload", type=click.Choice(["put", "get", "mixed", "scan", CLEAN]))
@click.option("--concurrency", type=click.IntRange(1, 100_000), metavar="N", help="callers at a time  [default: 64]")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="open loop: calls due a second")
@click.option("--keys", type=click.IntRange(1, KEYS_MAX), default=10_000, show_default=True, metavar="N")
@click.option("--value-bytes", type=click.IntRange(0), default=128, show_default=True, metavar="N")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, metavar="S")
@click.option("--warm-up", type=click.FloatRange(min=0), default=2.0, show_default=True, metavar="S")
@click.option("--read-percent", type=click.FloatRange(0, 100), metavar="P", help="of mixed: gets  [default: 50]")
@click.option("--scan-rows", type=click.IntRange(1), metavar="N", help="of scan: rows of each  [default: 100]")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, metavar="S")
@click.option("--name", default="default", show_default=True, help="its keys are below flaredb-bench/NAME/")
@click.option("--seed", type=int, default=1, show_default=True, help="same seed, same keys and values")
@click.option("--cleanup", is_flag=True, help="delete what was written, at the end")
@pass_session
def bench(
    session: Session,
    workload: str,
    concurrency: int | None,
    rate: float | None,
    keys: int,
    value_bytes: int,
    seconds: float,
    warm_up: float,
    read_percent: float | None,
    scan_rows: int | None,
    timeout: float,
    name: str,
    seed: int,
    cleanup: bool,
) -> int:
    """Put a load on the cluster and tell what it took: put, get, mixed (gets and puts) or scan; clean deletes what
    earlier runs left.

    Without --rate each of --concurrency callers asks again once it is answered (closed loop). With --rate calls are due
    at fixed times, whatever the answers take, and latencies count from then (open loop); --concurrency is then the most
    calls under way, by default 1024.

    Only keys below flaredb-bench/NAME/ are written or deleted. get, mixed and scan write all --keys first. The exit
    status is 1 if any call failed or could not be sent in time.
    """
    if read_percent is not None and workload != "mixed":
        raise click.UsageError(f"--read-percent is for mixed, not for {workload}")
    if scan_rows is not None and workload != "scan":
        raise click.UsageError(f"--scan-rows is for scan, not for {workload}")
    if not name or not name.isprintable() or "/" in name:
        raise click.UsageError(f'--name "{name}" cannot be part of a key: write letters and digits')
    from flaredb.cli.bench.load import CLOSED_CONCURRENCY, OPEN_CONCURRENCY, Load

    load = Load(
        workload,
        concurrency or (OPEN_CONCURRENCY if rate else CLOSED_CONCURRENCY),
        rate or 0.0,
        keys,
        value_bytes,
        seconds,
        warm_up,
        50.0 if read_percent is None else read_percent,
        scan_rows or 100,
        name,
        seed,
    )
    return _run_loop(_bench(session, load, timeout, cleanup))


def _run_loop(work: object) -> int:
    runner: object = asyncio.run
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        pass
    return runner(work)  # type: ignore[operator,no-any-return]


async def _bench(session: Session, load: Load, timeout: float, cleanup: bool) -> int:
    from flaredb.aio import connect
    from flaredb.cli.bench.run import clean

    async with connect(session.addresses, timeout=timeout) as db:
        if load.workload == CLEAN:
            rows = await clean(db, load.prefix)
            session.show(
                {"deleted": rows, "prefix": load.prefix.decode()}, f"{rows:,} keys below {load.prefix!r} deleted"
            )
            return EXIT_DONE
        if load.needs_rows:
            await _fill(db, load)
        results, was_broken_off = await _measure(db, load)
        _show(session, load, results)
        if cleanup:
            rows = await clean(db, load.prefix)
            _tell(f"{rows:,} keys below {load.prefix!r} deleted")
        else:
            _tell(f"its keys stay below {load.prefix!r}; flaredb bench clean{_name_option(load)} deletes them")
    if was_broken_off:
        return EXIT_INTERRUPTED
    return EXIT_FAILURE if results.failed or results.unsent or not results.done else EXIT_DONE


async def _fill(db: Client, load: Load) -> None:
    from flaredb.cli.bench.run import fill

    watched = sys.stderr.isatty()

    def told(written: int) -> None:
        if watched:
            click.echo(f"\rwriting {load.keys:,} keys: {100 * written // load.keys} %", err=True, nl=False)

    await fill(db, load, told)
    _tell(("\r\x1b[K" if watched else "") + f"{load.keys:,} keys of {load.value_bytes:,} B are written")


async def _measure(db: Client, load: Load) -> tuple[Results, bool]:
    from flaredb.cli.bench.report import describe, second_line
    from flaredb.cli.bench.run import Runner

    watched = sys.stderr.isatty()
    _tell(describe(load))

    def tell(number: int, second: Second) -> None:
        if watched:
            click.echo(second_line(number, second), err=True)

    runner = Runner(db, load, tell)
    running = asyncio.ensure_future(runner.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return runner.results, True
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    return runner.results, False


def _show(session: Session, load: Load, results: Results) -> None:
    from flaredb.cli.bench.report import remarks, result_json, result_table

    table = result_table(results)
    if sys.stderr.isatty():
        click.echo(err=True)
    session.show(result_json(load, results), table)
    for text, is_bad in remarks(load, results):
        if is_bad or sys.stderr.isatty():
            _tell(text)


def _tell(text: str) -> None:
    """What is not the result goes to standard error."""
    click.echo(text, err=True)


def _name_option(load: Load) -> str:
    return "" if load.name == "default" else f" --name {load.name}"
