"""A real cluster for tests: one PD and several stores as processes, private ports, data in the test's directory."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from flaredb.cli.cluster_plan import private_plan, private_ports
from flaredb.cli.local_cluster import READY_DEADLINE_S, LocalCluster, StoreProcess
from flaredb.cli.official_client import connected
from flaredb.cli.ports import PortPicker
from flaredb.cli.probe import Probe, RegionView
from flaredb.cli.processes import Child, Processes
from flaredb.cli.waiting import wait_until
from flaredb.server.toml_text import merge
from tests.integration.calls import PATIENCE_S

START_DEADLINE_S = 2 * READY_DEADLINE_S

CALM: dict[str, Any] = {
    "raftstore": {
        "raft-election-timeout-ticks": 100,
        "raft-min-election-timeout-ticks": 100,
        "raft-max-election-timeout-ticks": 160,
        "abnormal-leader-missing-duration": "30s",
    }
}
"""Elections after 5 to 8 s, for tests that need a leader to stay: a process that stands still for some seconds on a
busy machine is deposed otherwise. The first leaders do not wait for them."""


PORTS = PortPicker()
"""For tests that start processes by themselves."""


class Cluster:
    """Start, hurt and mend a cluster. Stores are named by number, from 1; ``stores[0]`` is store number 1.

    As a context manager it starts the cluster, waits until every region takes writes, and at the end closes clients
    and stops every process.
    """

    def __init__(
        self,
        directory: Path,
        stores: int = 3,
        split_keys: Sequence[str] = ("L",),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """``config``: tables for every store's file, such as {"raftstore": {"raft-log-gc-threshold": 10}}.

        FLAREDB_TEST_GRPC_SERVER in the environment is server.grpc-server where ``config`` does not say otherwise.
        """
        if server := os.environ.get("FLAREDB_TEST_GRPC_SERVER"):
            config = merge({"server": {"grpc-server": server}}, config or {})
        self._picker = PortPicker()
        plan = private_plan(stores, tuple(split_keys), self._picker)
        self._processes = Processes(directory)
        self._open = contextlib.ExitStack()
        self._local = LocalCluster(directory, plan, self._processes, config)

    @property
    def pd_address(self) -> str:
        """host:port of PD."""
        return self._local.plan.pd_address

    @property
    def pd(self) -> Child:
        """The process of PD."""
        return self._local.pd

    @property
    def stores(self) -> list[StoreProcess]:
        """The store processes, by number."""
        return self._local.stores

    def start(self, deadline_s: float = START_DEADLINE_S) -> list[RegionView]:
        """Start everything that does not run; the regions, once each has taken a write."""
        for child in [self._local.pd, *(store.child for store in self.stores)]:
            if not child.is_running():
                child.start()
        return self._local.wait_serving(deadline_s)

    def stop(self) -> None:
        """Stop every process politely; ``start`` brings them back on the same data."""
        self._processes.stop([store.child for store in self.stores], at_once=True)
        self._processes.stop([self._local.pd])

    def stop_store(self, number: int) -> None:
        """Stop one store politely."""
        self._processes.stop([self.store(number).child])

    def kill(self, number: int) -> None:
        """SIGKILL one store."""
        self.store(number).child.kill()

    def restart(self, number: int, deadline_s: float = START_DEADLINE_S) -> None:
        """Start a store that has ended, on its old data and addresses; returns when it serves."""
        store = self.store(number)
        store.child.start()
        self._local.learn_store(store, deadline_s)

    def add_store(self) -> StoreProcess:
        """Start one store more; returns when it serves."""
        return self._local.add_store(private_ports(self._picker), START_DEADLINE_S)

    def number_of(self, store_id: int) -> int:
        """The number of the store process with this id."""
        return self._local.store_of(store_id).number

    def kill_pd(self) -> None:
        """SIGKILL PD."""
        self._local.pd.kill()

    def restart_pd(self, deadline_s: float = START_DEADLINE_S) -> None:
        """Start PD again after its end; returns when it serves."""
        self._local.pd.start()
        self._local.pd.wait_ready(deadline_s)

    def pause(self, number: int) -> None:
        """SIGSTOP: the store keeps its connections and says nothing."""
        self.store(number).child.send(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """SIGCONT after a pause."""
        self.store(number).child.send(signal.SIGCONT)

    def store(self, number: int) -> StoreProcess:
        """The store process of this number, from 1."""
        return self.stores[number - 1]

    def client(self) -> Any:
        """A tikv_client.RawClient, valid until the cluster is closed."""
        return self._open.enter_context(connected(self.pd_address))

    def probe(self) -> Probe:
        """Plain calls to PD and stores, valid until the cluster is closed."""
        return self._open.enter_context(Probe(self.pd_address))

    def leader_number(self, key: bytes) -> int:
        """Number of the store that leads the region of ``key`` according to PD; 0 if there is none."""
        return self._local.leader_number(key, PATIENCE_S)

    @staticmethod
    def wait_for(predicate: Callable[[], bool], deadline_s: float = READY_DEADLINE_S) -> None:
        """Return as soon as the predicate holds; AssertionError if it does not in ``deadline_s`` seconds."""
        assert wait_until(predicate, deadline_s), f"{predicate.__name__} does not hold after {deadline_s:g} s"

    def log(self, number: int) -> str:
        """Everything a store has logged; number 0 is PD."""
        child = self._local.pd if number == 0 else self.store(number).child
        return child.log_path.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Close clients and stop every process."""
        try:
            self._open.close()
        finally:
            self._processes.close()

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
