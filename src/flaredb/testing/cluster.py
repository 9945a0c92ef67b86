"""A real cluster for tests: one PD and some stores, each a process on a free port, data in a temporary directory."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flaredb.client.limits import ClientOptions
from flaredb.model.errors import FlareDBError

if TYPE_CHECKING:
    from flaredb.cli.cluster_plan import StorePorts
    from flaredb.cli.local_cluster import LocalCluster
    from flaredb.faces.aio_client import Client as AsyncClient
    from flaredb.faces.sync_client import Client
    from flaredb.testing.partitions import Partitions

START_DEADLINE_S = 30.0
START_TRIES = 3
PD_PATIENCE_S = 10.0
"""For PD to answer a question of a test: it may stand still for a moment on a busy machine."""


class ClusterError(FlareDBError):
    """The cluster did not do what was asked of it in time; the text has the last log lines of what failed."""


class Cluster:
    """Start, hurt and mend a cluster. Stores are named by number, from 1.

    As a context manager it is ready on entry, in about a second, and leaves no process and no file behind.
    """

    def __init__(
        self,
        stores: int = 3,
        *,
        split_keys: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        directory: Path | str | None = None,
        partitions: bool = False,
    ) -> None:
        """``split_keys``: where the first regions begin, as `flaredb demo --split-keys` takes them. ``config``: tables
        for every store's file, such as {"coprocessor": {"region-max-size": "1MiB"}}. ``directory``: where data and
        logs are kept; None: a temporary one that is deleted. ``partitions``: stores talk through this process, so that
        ``partition`` and ``isolate`` can cut them off.
        """
        if stores < 1:
            raise ValueError(f"a cluster has at least one store, not {stores}")
        self._store_count = stores
        self._split_keys = tuple(split_keys)
        self._config = config
        self._kept_directory = Path(directory) if directory is not None else None
        self._open = contextlib.ExitStack()
        self._local: LocalCluster | None = None
        self._paused: set[int] = set()
        self._has_partitions = partitions
        self._partitions: Partitions | None = None

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start all processes; returns once every region takes writes. Errors: ClusterError.

        Ports are looked for, not held, so another process may be faster: then other ports are tried.
        """
        from flaredb.cli.processes import ChildFailed

        tries = START_TRIES if self._kept_directory is None else 1
        for tries_left in reversed(range(tries)):
            try:
                self._start_once()
            except ChildFailed as error:
                if not tries_left or not error.port_was_taken:
                    raise ClusterError(str(error)) from error
            else:
                return

    def _start_once(self) -> None:
        from flaredb.cli.cluster_plan import private_plan
        from flaredb.cli.local_cluster import LocalCluster
        from flaredb.cli.ports import PortPicker
        from flaredb.cli.processes import Processes

        assert self._local is None, "the cluster runs already"
        try:
            directory = self._directory()
            processes = self._open.enter_context(Processes(directory))
            plan = private_plan(self._store_count, self._split_keys, PortPicker())
            self._local = LocalCluster(directory, plan, processes, self._config, self._relays())
            self._local.start()
            self._local.wait_serving(START_DEADLINE_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop every process and delete what is temporary."""
        self._local = self._partitions = None
        self._open.close()

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------ looking at it

    @property
    def address(self) -> str:
        """host:port of PD: what clients are given."""
        return self._running().plan.pd_address

    @property
    def url(self) -> str:
        """The same as a URL, for FLAREDB_URL."""
        return f"flaredb://{self.address}"

    @property
    def stores(self) -> list[int]:
        """The stores' numbers."""
        return [store.number for store in self._running().stores]

    def connect(self, *, options: ClientOptions | None = None) -> Client:
        """A synchronous client of this cluster; close it."""
        from flaredb.faces.sync_client import Client

        return Client(self.address, options=options)

    def aio_connect(self, *, options: ClientOptions | None = None) -> AsyncClient:
        """An asyncio client of this cluster; close it."""
        from flaredb.faces.aio_client import Client

        return Client(self.address, options=options)

    def leader(self, key: bytes) -> int:
        """Number of the store that leads the key's region, as PD knows it; 0 if it knows none.

        Errors: flaredb.cli.probe.ProbeFailed if PD does not answer within PD_PATIENCE_S.
        """
        return self._running().leader_number(key, PD_PATIENCE_S)

    def store_id(self, number: int) -> int:
        """The id that PD knows a store by."""
        return int(self._store(number).store_id)

    def log(self, number: int) -> str:
        """Everything that a store has logged; number 0 is PD."""
        local = self._running()
        child = local.pd if number == 0 else self._store(number).child
        return child.log_path.read_text(encoding="utf-8", errors="replace")

    # ------------------------------------------------------------ hurting and mending it

    def kill(self, number: int) -> None:
        """SIGKILL a store: what a power cut does to a process, though not to its machine's disk cache."""
        self._paused.discard(number)
        self._store(number).child.kill()

    def stop(self, number: int) -> None:
        """SIGTERM a store and wait for its end: it hands its leaders over first."""
        self._paused.discard(number)
        self._running().stop_store(self._store(number))

    def restart(self, number: int) -> None:
        """Start a store that has ended on its old data; returns once it serves. Errors: ClusterError."""
        store = self._store(number)
        if store.child.is_running():
            self.stop(number)
        store.child.start()
        self._wait_ready(lambda: self._running().learn_store(store, START_DEADLINE_S))

    def pause(self, number: int) -> None:
        """SIGSTOP a store: its connections stay and say nothing, as on a frozen machine."""
        self._store(number).child.send(signal.SIGSTOP)
        self._paused.add(number)

    def resume(self, number: int) -> None:
        """SIGCONT a paused store."""
        self._store(number).child.send(signal.SIGCONT)
        self._paused.discard(number)

    def kill_pd(self) -> None:
        """SIGKILL PD: stores and clients go on with what they know."""
        self._running().pd.kill()

    def restart_pd(self) -> None:
        """Start PD again after its end; returns once it serves. Errors: ClusterError."""
        pd = self._running().pd
        pd.start()
        self._wait_ready(lambda: pd.wait_ready(START_DEADLINE_S))

    def partition(self, first: int, second: int) -> None:
        """Nothing passes between two stores any more; PD and clients still reach both. Needs ``partitions=True``."""
        self._network().cut(self.store_id(first), self.store_id(second))

    def isolate(self, number: int) -> None:
        """Cut a store off from all others, as partition does."""
        for other in self.stores:
            if other != number:
                self.partition(number, other)

    def heal(self) -> None:
        """End partitions, resume what is paused, start what has ended. Errors: ClusterError."""
        local = self._running()
        if self._partitions is not None:
            self._partitions.mend()
        for number in sorted(self._paused):
            self.resume(number)
        if not local.pd.is_running():
            self.restart_pd()
        for store in local.stores:
            if not store.child.is_running():
                self.restart(store.number)

    # ------------------------------------------------------------ inside

    def _running(self) -> LocalCluster:
        if self._local is None:
            raise ClusterError("the cluster does not run: use it as a context manager, or call start()")
        return self._local

    def _store(self, number: int) -> Any:
        stores = self._running().stores
        if not 1 <= number <= len(stores):
            raise ValueError(f"there is no store {number}: stores are numbered from 1 to {len(stores)}")
        return stores[number - 1]

    def _directory(self) -> Path:
        if self._kept_directory is not None:
            self._kept_directory.mkdir(parents=True, exist_ok=True)
            return self._kept_directory
        directory = Path(tempfile.mkdtemp(prefix="flaredb-test-"))
        self._open.callback(shutil.rmtree, directory, ignore_errors=True)
        return directory

    def _relays(self) -> Callable[[StorePorts], str] | None:
        if not self._has_partitions:
            return None
        from flaredb.cli.ports import HOST
        from flaredb.testing.partitions import Partitions

        network = self._partitions = Partitions()
        self._open.callback(network.close)
        return lambda ports: network.relay_to(HOST, ports.peer)

    def _network(self) -> Partitions:
        self._running()
        if self._partitions is None:
            raise ClusterError("this cluster has no network that can be cut: make it with Cluster(partitions=True)")
        return self._partitions

    @staticmethod
    def _wait_ready(wait: Callable[[], object]) -> None:
        from flaredb.cli.processes import ChildFailed

        try:
            wait()
        except ChildFailed as error:
            raise ClusterError(str(error)) from error
