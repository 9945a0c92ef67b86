"""``flaredb server``: one store, with the flags that users of tikv-server know."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="run one store")
@click.option("--pd-endpoints", "--pd", metavar="H1:P1,H2:P2", help="where PD is  [default: 127.0.0.1:2379]")
@click.option("-A", "--addr", metavar="HOST:PORT", help="gRPC for clients  [default: 127.0.0.1:20160]")
@click.option("--advertise-addr", metavar="HOST:PORT", help="how clients reach addr, if not as bound")
@click.option("--status-addr", metavar="HOST:PORT", help="HTTP: metrics, status  [default: 127.0.0.1:20180]")
@click.option("--advertise-status-addr", metavar="HOST:PORT", help="how others reach status-addr")
@click.option("--peer-addr", metavar="HOST:PORT", help="Raft between stores  [default: addr, ten ports further on]")
@click.option("--advertise-peer-addr", metavar="HOST:PORT", help="how other stores reach peer-addr")
@click.option("-s", "--data-dir", metavar="DIR", help="where the data is kept  [default: flaredb-store]")
@click.option("-C", "--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file; flags win over it")
@click.option("--profile", metavar="NAME", help="tikv: the numbers of TiKV, under what the file says")
@click.option("--labels", metavar="K=V,K=V", help="where the store stands, for the placement of replicas")
@click.option("-L", "--log-level", metavar="LEVEL", help="trace, debug, info, warn, error or fatal  [default: info]")
@click.option("-f", "--log-file", metavar="FILE", help="log here instead of to standard error")
@click.option("--ready-file", metavar="FILE", help="write addresses and process id here once serving")
def server(
    pd_endpoints: str | None,
    addr: str | None,
    advertise_addr: str | None,
    status_addr: str | None,
    advertise_status_addr: str | None,
    peer_addr: str | None,
    advertise_peer_addr: str | None,
    data_dir: str | None,
    config: Path | None,
    profile: str | None,
    labels: str | None,
    log_level: str | None,
    log_file: str | None,
    ready_file: str | None,
) -> int:
    """Run one store until SIGTERM."""
    from flaredb.cli.flags import comma_list, tables_of
    from flaredb.cli.flags import labels as label_table
    from flaredb.cli.parent import end_with_parent
    from flaredb.cli.serving import serve
    from flaredb.server.settings import load_store_settings

    flags = {
        "profile": profile,
        "pd.endpoints": comma_list(pd_endpoints),
        "server.addr": addr,
        "server.advertise-addr": advertise_addr,
        "server.status-addr": status_addr,
        "server.advertise-status-addr": advertise_status_addr,
        "server.peer-addr": peer_addr,
        "server.advertise-peer-addr": advertise_peer_addr,
        "server.labels": label_table(labels),
        "storage.data-dir": data_dir,
        "log.level": log_level,
        "log.file.filename": log_file,
        "ready-file": ready_file,
    }
    settings = load_store_settings(config, tables_of(flags))
    end_with_parent()
    from flaredb.server.main import run_store

    return serve(run_store, settings, settings.storage.data_dir)
