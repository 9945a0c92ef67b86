"""The demo: a whole cluster as processes of this machine, until Ctrl-C; or the tour on such a cluster."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from flaredb import __version__
from flaredb.cli.cluster_plan import PD_PORT, ClusterPlan, load_plan, new_plan, renewed_plan
from flaredb.cli.local_cluster import LocalCluster
from flaredb.cli.ports import PortPicker, is_free
from flaredb.cli.processes import Child, ChildFailed, Processes
from flaredb.cli.signals import Interrupted, StopSignals
from flaredb.cli.waiting import pause
from flaredb.model.errors import ConfigError

DEFAULT_STORES = 3
DEFAULT_SPLIT_KEYS = ("L",)
WATCH_INTERVAL_S = 0.2
START_TRIES = 3
CHOSEN_BY_DEMO = {
    "server": ("addr", "advertise-addr", "status-addr", "advertise-status-addr", "peer-addr", "advertise-peer-addr"),
    "storage": ("data-dir",),
    "pd": ("endpoints",),
}


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for; None and 0: not asked for."""

    tour: bool = False
    store_count: int | None = None
    split_keys: list[str] | None = None
    pd_port: int = 0
    data_dir: Path | None = None
    ready_file: Path | None = None
    config: Path | None = None


def run_demo(options: DemoOptions) -> int:
    """Run the demo until a signal, or the tour until its end; the exit code.

    Post: no process is left, and no file unless --data-dir was given.
    Errors: ConfigError for options that cannot work; ChildFailed; TourFailed.
    """
    began_s = time.monotonic()
    store_tables = _store_tables(options.config)
    with StopSignals() as signals:
        try:
            with (
                _directory(options.data_dir) as directory,
                _locked(directory),
                _processes(directory, signals) as processes,
            ):
                cluster, regions = _started(options, directory, processes, store_tables)
                return _run_cluster(cluster, processes, options, regions, time.monotonic() - began_s)
        except Interrupted as interrupted:
            return 128 + interrupted.number
        finally:
            if options.ready_file is not None:
                options.ready_file.unlink(missing_ok=True)


def _started(
    options: DemoOptions, directory: Path, processes: Processes, store_tables: dict[str, Any]
) -> tuple[LocalCluster, int]:
    """A cluster that serves, and its number of regions. Errors: ConfigError, ChildFailed.

    Ports are looked for, not held, so another process may be faster: then other ports are tried.
    """
    for tries_left in reversed(range(START_TRIES)):
        plan = _plan(options, directory)
        plan.save(directory)
        cluster = LocalCluster(directory, plan, processes, store_tables)
        try:
            cluster.start()
            return cluster, len(cluster.wait_serving())
        except ChildFailed as error:
            if not tries_left or not error.port_was_taken:
                raise
        processes.clear()
    raise AssertionError("the last try returns or raises")


def _run_cluster(cluster: LocalCluster, processes: Processes, options: DemoOptions, regions: int, took_s: float) -> int:
    if options.ready_file is not None:
        _write_ready_file(options.ready_file, cluster)
    if options.tour:
        from flaredb.cli.tour.run import run_tour

        return run_tour(cluster, took_s)
    click.echo("\n".join(first_screen(cluster, regions, options, took_s)))
    try:
        _watch(processes)
    except Interrupted:
        click.echo(f"stopping {', '.join(child.name for child in processes.running())} (again: at once)", err=True)
    return 0


def first_screen(cluster: LocalCluster, region_count: int, options: DemoOptions, took_s: float) -> list[str]:
    """What a newcomer sees: at most 14 lines, the last saying that the cluster is ready."""
    plan = cluster.plan
    count = len(plan.stores)
    kept = options.data_dir is not None
    in_use = f"   ({PD_PORT} is in use)" if plan.pd_port != PD_PORT and not options.pd_port and not kept else ""
    return [
        f"flaredb {__version__}   1 PD, {count} store{'s' * (count > 1)}, {region_count} "
        f"region{'s' * (region_count > 1)}, {plan.replicas} replica{'s' * (plan.replicas > 1)} of each",
        "",
        f"  pd        {plan.pd_address}{in_use}",
        f"  stores    {_shortened([ports.address for ports in plan.stores])}",
        f"  metrics   {_shortened([f'http://{ports.status_address}/metrics' for ports in plan.stores], 1)}",
        f"  data      {cluster.directory}   ({'kept' if kept else 'deleted on exit; --data-dir DIR keeps it'})",
        f"  logs      {cluster.directory}/*.log",
        "",
        f'  python    import flaredb; db = flaredb.connect("{plan.pd_address}")',
        '            db.put(b"hello", b"world"); print(db.get(b"hello"))',
        f'            (or any TiKV client: RawClient.connect(["{plan.pd_address}"]))',
        "",
        f"Ready in {took_s:.2f} s. Ctrl-C stops it.",
    ]


def _shortened(addresses: list[str], shown: int = 4) -> str:
    more = f"   and {len(addresses) - shown} more" if len(addresses) > shown else ""
    return "  ".join(addresses[:shown]) + more


def _watch(processes: Processes) -> None:
    """Until a signal raises: tell of every process that ends."""
    ended: set[Child] = set()
    while True:
        for child in processes.children.values():
            if child not in ended and not child.is_running():
                ended.add(child)
                click.echo(f"flaredb: {child.describe_end()}", err=True)
        pause(WATCH_INTERVAL_S)


def _plan(options: DemoOptions, directory: Path) -> ClusterPlan:
    picker = PortPicker()
    if options.pd_port and not is_free(options.pd_port):
        raise ConfigError(f"port {options.pd_port} is in use: choose another --pd-port, or leave it out for a free one")
    before = load_plan(directory)
    if before is None:
        split_keys = DEFAULT_SPLIT_KEYS if options.split_keys is None else tuple(options.split_keys)
        _check_split_keys(split_keys)
        return new_plan(options.store_count or DEFAULT_STORES, split_keys, picker, options.pd_port)
    if options.split_keys is not None and tuple(options.split_keys) != before.split_keys:
        raise ConfigError(f"{directory} holds a cluster that has its regions already; leave --split-keys out")
    return renewed_plan(before, options.store_count or len(before.stores), picker, options.pd_port)


def _check_split_keys(split_keys: tuple[str, ...]) -> None:
    if split_keys == DEFAULT_SPLIT_KEYS:
        return  # settings take a moment to import
    from flaredb.server.settings import BootstrapSettings

    BootstrapSettings(split_keys=split_keys).validate()


def _store_tables(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    from flaredb.server.settings import load_store_settings
    from flaredb.server.toml_file import read_toml

    tables = read_toml(config)
    for section, keys in CHOSEN_BY_DEMO.items():
        for key in keys:
            if key in tables.get(section, {}):
                raise ConfigError(f"{config}: the demo chooses {section}.{key} for each store; leave it out")
    load_store_settings(config, {})
    return tables


@contextlib.contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    """The data directory: the one named, kept; or a temporary one, deleted."""
    if data_dir is not None:
        data_dir.mkdir(parents=True, exist_ok=True)
        yield data_dir.resolve()
        return
    temporary = Path(tempfile.mkdtemp(prefix="flaredb-"))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another demo runs on {directory}: stop it or choose another --data-dir") from error
        yield


@contextlib.contextmanager
def _processes(directory: Path, signals: StopSignals) -> Iterator[Processes]:
    with Processes(directory) as processes:
        signals.on_second = processes.kill_all
        try:
            yield processes
        finally:
            signals.begin_stop()


def _write_ready_file(path: Path, cluster: LocalCluster) -> None:
    facts = {
        "pd": cluster.plan.pd_address,
        "pd_pid": cluster.pd.pid,
        "stores": [
            {
                "id": store.store_id,
                "address": store.ports.address,
                "status_address": store.ports.status_address,
                "pid": store.child.pid,
            }
            for store in cluster.stores
        ],
    }
    unfinished = path.with_name(f"{path.name}.tmp")
    unfinished.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    unfinished.replace(path)
