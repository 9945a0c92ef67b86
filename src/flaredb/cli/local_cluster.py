"""One PD and several stores as processes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaredb.cli.cluster_plan import ClusterPlan, StorePorts
from flaredb.cli.ports import HOST
from flaredb.cli.processes import Child, ChildFailed, Processes
from flaredb.cli.waiting import pause
from flaredb.server.toml_text import dump_toml, merge

if TYPE_CHECKING:
    from flaredb.cli.probe import RegionView

READY_DEADLINE_S = 30.0
# Quick elections: the official Python client gives up after about 1.5 s (wire facts 3.4). Leaders report a silent
# replica within seconds, so that max-store-down-time of PD alone says when a dead store is replaced.
QUICK_STORE: dict[str, Any] = {
    "raftstore": {
        "raft-base-tick-interval": "50ms",
        "raft-heartbeat-ticks": 2,
        "raft-election-timeout-ticks": 10,
        "raft-min-election-timeout-ticks": 10,
        "raft-max-election-timeout-ticks": 16,
        "max-peer-down-duration": "5s",
        "pd-heartbeat-tick-interval": "5s",
        "pd-store-heartbeat-tick-interval": "1s",
        "abnormal-leader-missing-duration": "5s",
    }
}
# A store that is gone is replaced while one watches.
QUICK_PD: dict[str, Any] = {"schedule": {"max-store-down-time": "10s"}}


@dataclass(slots=True)
class StoreProcess:
    """One store; ``store_id`` is 0 until the process has said which store it is."""

    number: int
    ports: StorePorts
    child: Child
    store_id: int = 0


class LocalCluster:
    """The processes of a cluster. They end with ``processes``, whose owner closes it."""

    def __init__(
        self,
        directory: Path,
        plan: ClusterPlan,
        processes: Processes,
        store_tables: Mapping[str, Any] | None = None,
        peer_address_of: Callable[[StorePorts], str] | None = None,
    ) -> None:
        """``store_tables``: configuration of every store, over the quick elections that such a cluster has.
        ``peer_address_of``: host:port by which other stores reach one; None: as it listens.
        """
        self._peer_address_of = peer_address_of
        self.plan = plan
        self.directory = directory
        self._processes = processes
        self._common_tables = merge(QUICK_STORE, store_tables or {})
        self.pd = processes.add_flaredb("pd", ["pd", "--config", str(self._write("pd.toml", self._pd_tables()))])
        self.stores: list[StoreProcess] = []
        for ports in plan.stores:
            self._make_store(ports)

    def start(self) -> None:
        """Start every process; none is waited for."""
        self.pd.start()
        for store in self.stores:
            store.child.start()

    def add_store(self, ports: StorePorts, deadline_s: float = READY_DEADLINE_S) -> StoreProcess:
        """Start one store more in a running cluster; returns when it serves. PD fills it.

        Errors: ChildFailed as Child.wait_ready.
        """
        self.plan = replace(self.plan, stores=(*self.plan.stores, ports))
        store = self._make_store(ports)
        store.child.start()
        self.learn_store(store, deadline_s)
        return store

    def stop_store(self, store: StoreProcess) -> None:
        """Stop one store politely; it stays in the plan."""
        self._processes.stop([store.child])

    def _make_store(self, ports: StorePorts) -> StoreProcess:
        number = len(self.stores) + 1
        tables = merge(self._common_tables, self._store_tables(number, ports))
        if self._peer_address_of is not None:
            tables = merge(tables, {"server": {"advertise-peer-addr": self._peer_address_of(ports)}})
        config = self._write(f"store-{number}.toml", tables)
        child = self._processes.add_flaredb(f"store-{number}", ["server", "--config", str(config)])
        store = StoreProcess(number, ports, child)
        self.stores.append(store)
        return store

    def wait_serving(self, deadline_s: float = READY_DEADLINE_S) -> list[RegionView]:
        """The regions, as soon as all processes serve and every region has accepted a write.

        Errors: ChildFailed if a process ends, or if the cluster does not serve within ``deadline_s`` seconds.
        """
        end_s = time.monotonic() + deadline_s
        # Imported while the children start: it takes as long as they do.
        from flaredb.cli.probe import Probe, ProbeFailed

        self.pd.wait_ready(deadline_s)
        for store in self.stores:
            self.learn_store(store, end_s - time.monotonic())
        with Probe(self.plan.pd_address) as probe:
            while True:
                try:
                    return probe.check_serving()
                except ProbeFailed as error:
                    self.check_running()
                    if time.monotonic() >= end_s:
                        raise ChildFailed(
                            f"the cluster does not serve after {deadline_s:g} s: {error}; logs: {self.directory}/*.log"
                        ) from error
                pause()

    def learn_store(self, store: StoreProcess, deadline_s: float = READY_DEADLINE_S) -> None:
        """Wait until a store serves and note its id.

        Errors: ChildFailed as Child.wait_ready.
        """
        store.store_id = int(store.child.wait_ready(deadline_s)["store_id"])

    def check_running(self) -> None:
        """Raise ChildFailed, with its last log lines, for a process that has ended."""
        for child in [self.pd, *(store.child for store in self.stores)]:
            if not child.is_running():
                raise ChildFailed(child.describe_end())

    def store_of(self, store_id: int) -> StoreProcess:
        """The process that is this store."""
        return next(store for store in self.stores if store.store_id == store_id)

    def leader_number(self, key: bytes, patience_s: float) -> int:
        """Number of the store that leads the key's region, as PD knows it; 0 if it knows none.

        Errors: ProbeFailed if PD, asked again and again, does not answer within ``patience_s`` seconds.
        """
        from flaredb.cli.probe import Probe, asked_again

        with Probe(self.plan.pd_address) as probe:
            regions = asked_again(probe.regions, patience_s)
        leads = {region.leader_store_id for region in regions if region.contains(key)}
        return next((store.number for store in self.stores if store.store_id in leads), 0)

    def _pd_tables(self) -> dict[str, Any]:
        return QUICK_PD | {
            "data-dir": str(self.directory / "pd"),
            "client-urls": f"http://{self.plan.pd_address}",
            "replication": {"max-replicas": self.plan.replicas},
            "bootstrap": {"split-keys": list(self.plan.split_keys), "stores": len(self.plan.stores)},
        }

    def _store_tables(self, number: int, ports: StorePorts) -> dict[str, Any]:
        return {
            "server": {
                "addr": ports.address,
                "peer-addr": f"{HOST}:{ports.peer}",
                "status-addr": ports.status_address,
            },
            "storage": {"data-dir": str(self.directory / f"store-{number}")},
            "pd": {"endpoints": [self.plan.pd_address]},
        }

    def _write(self, name: str, tables: Mapping[str, Any]) -> Path:
        path = self.directory / name
        path.write_text(dump_toml(tables), encoding="utf-8")
        return path
