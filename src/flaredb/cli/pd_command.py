"""``flaredb pd``: one placement driver, with the flags that users of pd-server know."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="run one placement driver")
@click.option("--name", help="name of this member  [default: pd]")
@click.option("--client-urls", metavar="URL", help="what to listen on  [default: http://127.0.0.1:2379]")
@click.option("--advertise-client-urls", metavar="URL", help="what clients and stores are told to use")
@click.option("--data-dir", metavar="DIR", help="where the state is kept  [default: default.NAME]")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file; flags win over it")
@click.option("-L", "--log-level", metavar="LEVEL", help="trace, debug, info, warn, error or fatal  [default: info]")
@click.option("--log-file", metavar="FILE", help="log here instead of to standard error")
@click.option("--split-keys", metavar="K1,K2", help="regions of a new cluster: split at these keys (text or hex:..)")
@click.option("--initial-stores", type=int, metavar="N", help="stores to wait for before placing these regions")
@click.option("--ready-file", metavar="FILE", help="write addresses and process id here once serving")
def pd(
    name: str | None,
    client_urls: str | None,
    advertise_client_urls: str | None,
    data_dir: str | None,
    config: Path | None,
    log_level: str | None,
    log_file: str | None,
    split_keys: str | None,
    initial_stores: int | None,
    ready_file: str | None,
) -> int:
    """Run one placement driver (PD) until SIGTERM."""
    from flaredb.cli.flags import comma_list, tables_of
    from flaredb.cli.parent import end_with_parent
    from flaredb.cli.serving import serve
    from flaredb.server.settings import load_pd_settings

    flags = {
        "name": name,
        "client-urls": client_urls,
        "advertise-client-urls": advertise_client_urls,
        "data-dir": data_dir,
        "log.level": log_level,
        "log.file.filename": log_file,
        "bootstrap.split-keys": comma_list(split_keys),
        "bootstrap.stores": initial_stores,
        "ready-file": ready_file,
    }
    settings = load_pd_settings(config, tables_of(flags))
    end_with_parent()
    from flaredb.server.pd_node import run_pd

    return serve(run_pd, settings, settings.data_path)
