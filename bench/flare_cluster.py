"""A FlareDB of three durable stores on this machine, to be loaded: one region led on each, data in a directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.demo import await_true, hold_still
from bench.routes import Route, find_routes

from flaredb.cli.cluster_plan import private_plan
from flaredb.cli.ctl.http import Pd
from flaredb.cli.local_cluster import LocalCluster, StoreProcess
from flaredb.cli.ports import PortPicker
from flaredb.cli.processes import Processes
from flaredb.model.errors import ConfigError
from flaredb.server.settings import load_store_settings
from flaredb.server.toml_text import dump_toml

STORES = 3
SETTLE_SECONDS_MAX = 60.0


def keys_split_evenly(keys: int, regions: int) -> tuple[str, ...]:
    """The borders that give each region an equal share of the load generator's keys."""
    return tuple(f"key-{keys * number // regions:012d}" for number in range(1, regions))


def settings_of(words: list[str]) -> dict[str, dict[str, str]]:
    """["server.grpc-server=built-in"] as tables."""
    tables: dict[str, dict[str, str]] = {}
    for word in words:
        name, _, value = word.partition("=")
        section, _, key = name.rpartition(".")
        tables.setdefault(section, {})[key] = value
    return tables


def is_known(tables: Mapping[str, Any]) -> bool:
    """True if a store takes these settings: what is measured may be older than what measures it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.toml"
        path.write_text(dump_toml(tables), encoding="utf-8")
        try:
            load_store_settings(path, {})
        except ConfigError:
            return False
    return True


@contextmanager
def _python_path(source: Path | None) -> Iterator[None]:
    """Processes that are started meanwhile take the package from there."""
    before = os.environ.get("PYTHONPATH")
    if source is not None:
        os.environ["PYTHONPATH"] = str(source)
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH", None)
        if before is not None:
            os.environ["PYTHONPATH"] = before


class FlareCluster:
    """One PD and three stores; as a context manager they are stopped at the end.

    The leaders are spread: PD makes as many regions as there are stores, and moves leaders until each has its own.
    """

    def __init__(
        self,
        directory: Path,
        keys: int,
        regions: int = STORES,
        config: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        """``config``: tables of every store's file. ``source``: where another version of the package is; None: this."""
        self._source = source
        directory.mkdir(parents=True, exist_ok=True)
        self._processes = Processes(directory, forks=False)
        plan = private_plan(STORES, keys_split_evenly(keys, regions), PortPicker())
        self.local = LocalCluster(directory, plan, self._processes, config)
        self.pd_address = plan.pd_address

    def __enter__(self) -> FlareCluster:
        try:
            with _python_path(self._source):
                self.local.start()
            self.local.wait_serving()
            await_true(self._is_spread, SETTLE_SECONDS_MAX, "every store leads its share of the regions")
            # Nothing moves while it is measured.
            hold_still(Pd(self.pd_address))
        except BaseException:
            self._processes.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._processes.close()

    @property
    def stores(self) -> list[StoreProcess]:
        """By number, from 1."""
        return self.local.stores

    @property
    def pids(self) -> list[int]:
        """Of the three stores."""
        return [store.child.pid for store in self.stores]

    def routes(self) -> list[Route]:
        """All regions in key order, once each has a leader."""
        found: list[list[Route]] = []

        def has_all() -> bool:
            try:
                found.append(find_routes(self.pd_address))
            except SystemExit:
                return False
            return True

        await_true(has_all, SETTLE_SECONDS_MAX, "every region has a leader")
        return found[-1]

    def _is_spread(self) -> bool:
        """Each store leads its share; of many regions PD leaves some odd ones where they are."""
        routes = self.routes()
        leaders = [route.address for route in routes]
        share = max(len(routes) // STORES * 9 // 10, 1)
        return all(leaders.count(store.ports.address) >= share for store in self.stores)
