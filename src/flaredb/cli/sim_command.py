"""``flaredb sim``: whole clusters in virtual time, one for each seed, under faults, every answer checked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flaredb.sim.run import Report

PROGRESS_S = 30.0
LOTS_AT_ONCE = 4
"""Seeds handed out per process at a time: enough to keep it busy, few enough to stop soon."""


@click.command(short_help="test FlareDB: a whole cluster under faults, in virtual time, from one seed")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="decides everything in a run")
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="run this many seeds from there")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="of faults, in virtual time")
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), help="write what happened here, line by line")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="an option that the seed does not decide")
@click.option("--shrink", is_flag=True, help="look for a smaller run that fails in the same way")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="processes for several runs")
def sim(
    seed: int, runs: int, seconds: int, trace: Path | None, settings: tuple[str, ...], shrink: bool, jobs: int
) -> int:
    """Run clusters of stores, PD and clients in virtual time, break things, and check that nothing was lost.

    Everything follows from the seed: the size of the cluster, the load, the faults and their moments. A run that
    fails prints the command that repeats it.
    """
    from flaredb.sim.settings import drawn

    drawn(seed, seconds, settings)  # what is wrong with a setting is wrong with it for every seed
    if trace is not None and (runs > 1 or shrink):
        raise click.UsageError("--trace is for one run, without --runs and --shrink")
    if runs > 1:
        return _run_many(seed, runs, seconds, settings, shrink, jobs)
    report = _run_one(seed, seconds, settings, trace)
    _tell(report, seconds, settings)
    if report.failure and shrink:
        _shrink(report, seconds, settings)
    return 1 if report.failure else 0


def _run_one(seed: int, seconds: int, settings: tuple[str, ...], trace: Path | None = None) -> Report:
    from flaredb.sim.run import run
    from flaredb.sim.settings import drawn

    options = drawn(seed, seconds, settings)
    if trace is None:
        return run(options)
    with trace.open("w", encoding="utf-8") as sink:
        return run(options, sink)


def _run_many(seed: int, runs: int, seconds: int, settings: tuple[str, ...], shrink: bool, jobs: int) -> int:
    """Runs in the order of their seeds; a line for each failure, and now and then how far it is."""
    failed, simulated_s = 0, 0.0
    started_s = told_s = time.monotonic()
    for done, report in enumerate(_reports(seed, runs, seconds, settings, jobs), 1):
        simulated_s += report.simulated_seconds
        if report.failure:
            failed += 1
            _tell(report, seconds, settings)
            if shrink:
                _shrink(report, seconds, settings)
        if time.monotonic() - told_s >= PROGRESS_S:
            told_s = time.monotonic()
            click.echo(f"{done} of {runs} runs, {failed} failed; to go on from here: --seed {seed + done}")
    minutes = (time.monotonic() - started_s) / 60
    click.echo(
        f"{runs} runs from seed {seed}, {failed} failed; {simulated_s / 3600:.2f} simulated hours in {minutes:.1f} min"
    )
    return 1 if failed else 0


def _reports(seed: int, runs: int, seconds: int, settings: tuple[str, ...], jobs: int) -> Iterator[Report]:
    seeds = iter(range(seed, seed + runs))
    if jobs == 1:
        yield from (_run_one(number, seconds, settings) for number in seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_run_one, number, seconds, settings) for number in islice(seeds, jobs * LOTS_AT_ONCE)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(_run_one, number, seconds, settings) for number in islice(seeds, 1)]


def _tell(report: Report, seconds: int, settings: tuple[str, ...]) -> None:
    from flaredb.sim.settings import command

    click.echo(report.summary())
    if report.failure:
        click.echo(f"  {report.options}")
        if report.where:
            click.echo(report.where.rstrip())
        click.echo(f"  reproduce: {command(report.seed, seconds, settings)} --trace seed-{report.seed}.txt")


def _shrink(report: Report, seconds: int, settings: tuple[str, ...]) -> None:
    from flaredb.sim.shrink import shrink

    click.echo("  looking for a smaller run that fails in the same way ...")
    small = shrink(report, seconds, settings, say=lambda line: click.echo(f"    {line}"))
    click.echo(f"  {small.tries} tries; smallest: {small.report.failure}")
    click.echo(f"  reproduce: {small.command()} --trace small-{small.seed}.txt")
