"""Where the processes of a cluster on this machine listen, kept in its data directory for the next start."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from flaredb.cli.ports import HOST, PortPicker
from flaredb.model.errors import ConfigError

PLAN_FILE = "cluster.json"
PD_PORT, STORE_PORT, PEER_PORT, STATUS_PORT = 2379, 20160, 20170, 20180


@dataclass(frozen=True, slots=True)
class StorePorts:
    """Ports of one store; all different."""

    grpc: int
    peer: int
    status: int

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{HOST}:{self.grpc}"

    @property
    def status_address(self) -> str:
        """host:port of the status server."""
        return f"{HOST}:{self.status}"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """One PD and its stores. ``split_keys`` are what the cluster was created with; the disk wins afterwards."""

    pd_port: int
    stores: tuple[StorePorts, ...]
    split_keys: tuple[str, ...]

    @property
    def pd_address(self) -> str:
        """host:port of PD."""
        return f"{HOST}:{self.pd_port}"

    @property
    def replicas(self) -> int:
        """Replicas of each region: three if there are as many stores."""
        return min(3, len(self.stores))

    def save(self, directory: Path) -> None:
        """Keep the plan in ``directory``."""
        (directory / PLAN_FILE).write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")


def load_plan(directory: Path) -> ClusterPlan | None:
    """The plan of the cluster in ``directory``; None if there is none.

    Errors: ConfigError if the file is there but not a plan.
    """
    path = directory / PLAN_FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        stores = tuple(StorePorts(**ports) for ports in saved["stores"])
        return ClusterPlan(saved["pd_port"], stores, tuple(saved["split_keys"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is not readable as a cluster's plan ({error}); choose another --data-dir") from error


def new_plan(store_count: int, split_keys: tuple[str, ...], picker: PortPicker, pd_port: int = 0) -> ClusterPlan:
    """A plan with the usual ports as far as they are free; ``pd_port`` 0: the usual one or, if in use, another."""
    pd = picker.pick(pd_port or PD_PORT)
    return ClusterPlan(pd, tuple(_store_ports(number, picker) for number in range(store_count)), split_keys)


def private_plan(store_count: int, split_keys: tuple[str, ...], picker: PortPicker) -> ClusterPlan:
    """A plan that keeps clear of the usual ports, so that many clusters can run side by side."""
    stores = tuple(private_ports(picker) for _ in range(store_count))
    return ClusterPlan(picker.pick(), stores, split_keys)


def private_ports(picker: PortPicker) -> StorePorts:
    """Ports of one more store that keep clear of the usual ones."""
    return StorePorts(picker.pick(), picker.pick(), picker.pick())


def next_ports(plan: ClusterPlan, picker: PortPicker) -> StorePorts:
    """Ports of one more store of this cluster: the usual ones as far as they are free."""
    return _store_ports(len(plan.stores), picker)


def renewed_plan(before: ClusterPlan, store_count: int, picker: PortPicker, pd_port: int = 0) -> ClusterPlan:
    """The same cluster again: its ports as far as they are free, and further stores if more are asked for.

    Errors: ConfigError if fewer stores are asked for than hold the data.
    """
    if store_count < len(before.stores):
        raise ConfigError(
            f"the data is on {len(before.stores)} stores; start it with --stores {len(before.stores)} or more, or "
            "choose another --data-dir"
        )
    pd = picker.pick(pd_port or before.pd_port)
    kept = tuple(
        StorePorts(picker.pick(ports.grpc), picker.pick(ports.peer), picker.pick(ports.status))
        for ports in before.stores
    )
    added = tuple(_store_ports(number, picker) for number in range(len(kept), store_count))
    return ClusterPlan(pd, kept + added, before.split_keys)


def _store_ports(number: int, picker: PortPicker) -> StorePorts:
    if number >= PEER_PORT - STORE_PORT:
        return StorePorts(picker.pick(), picker.pick(), picker.pick())
    return StorePorts(*(picker.pick(first + number) for first in (STORE_PORT, PEER_PORT, STATUS_PORT)))
