"""``flaredb sim``: whole clusters in virtual time, one for each seed, under faults, every answer checked."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="test FlareDB: a whole cluster under faults, in virtual time, from one seed")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="decides everything in a run")
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="run this many seeds from there")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="of faults, in virtual time")
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), help="write what happened here, line by line")
def sim(seed: int, runs: int, seconds: int, trace: Path | None) -> int:
    """Run clusters of stores, PD and clients in virtual time, break things, and check that nothing was lost.

    Everything follows from the seed: the size of the cluster, the load, the faults and their moments. A run that
    fails prints the command that repeats it.
    """
    from flaredb.sim.options import draw
    from flaredb.sim.run import run

    failed = 0
    for number in range(seed, seed + runs):
        options = draw(number, seconds)
        if trace is None:
            report = run(options)
        else:
            with trace.open("w", encoding="utf-8") as sink:
                report = run(options, sink)
        click.echo(report.summary())
        if report.failure:
            failed += 1
            click.echo(f"  {report.options}")
            if report.where:
                click.echo(report.where.rstrip())
            click.echo(f"  reproduce: flaredb sim --seed {number} --seconds {seconds} --trace seed-{number}.txt")
    if runs > 1:
        click.echo(f"{runs} runs, {failed} failed")
    return 1 if failed else 0
