"""``flaredb demo``: the command's options; the work is in cli/demo.py and cli/tour/."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="start a whole cluster to try")
@click.option("--tour", is_flag=True, help="load real data, kill a leader, verify everything, end by itself")
@click.option("--stores", type=click.IntRange(1, 64), metavar="N", help="number of stores  [default: 3]")
@click.option("--split-keys", metavar="K1,K2", help="split the key space there (text or hex:..)  [default: L]")
@click.option("--pd-port", type=click.IntRange(1, 65535), metavar="PORT", help="PD's port  [default: 2379 if free]")
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="keep the data there")
@click.option("--ready-file", type=click.Path(path_type=Path), metavar="FILE", help="write addresses here when ready")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file for the stores")
def demo(
    tour: bool,
    stores: int | None,
    split_keys: str | None,
    pd_port: int | None,
    data_dir: Path | None,
    ready_file: Path | None,
    config: Path | None,
) -> int:
    """Start one PD and several stores as processes on this machine, ready for any official TiKV client."""
    from flaredb.cli.demo import DemoOptions, run_demo
    from flaredb.cli.flags import comma_list

    options = DemoOptions(
        tour=tour,
        store_count=stores,
        split_keys=comma_list(split_keys),
        pd_port=pd_port or 0,
        data_dir=data_dir,
        ready_file=ready_file,
        config=config,
    )
    return run_demo(options)
