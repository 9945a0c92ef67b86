"""A cluster whose regions are moved for measurements: filled, ordered about, watched from logs and /proc."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from bench.demo import await_true, hold_still, pause

from flaredb.cli.cluster_plan import private_plan, private_ports
from flaredb.cli.ctl.http import Pd, PdRefused
from flaredb.cli.local_cluster import LocalCluster, StoreProcess
from flaredb.cli.official_client import connected
from flaredb.cli.ports import PortPicker
from flaredb.cli.probe import Probe, ProbeFailed, RegionView, status_json
from flaredb.cli.processes import Processes
from flaredb.model.limits import MIB
from flaredb.server.toml_text import merge

BATCH_BYTES = MIB // 2
SETTLE_SECONDS_MAX = 300.0
SAMPLE_SECONDS = 0.05
STORES: dict[str, Any] = {
    "coprocessor": {"region-split-size": "0"},
    "raftstore": {"max-peer-down-duration": "2s", "abnormal-leader-missing-duration": "5s"},
}
"""No region splits by itself; down and missing replicas are told of in seconds, as a demo has it."""

QUICK_SCHEDULE = {"store-limit": 100_000_000, "max-store-down-time": "3s"}
_LINE = re.compile(r'^\[(\S+ \S+ [+-]\d\d:\d\d)\] \[\w+\] \[\S+\] \["([^"]+)"\](.*)$')
_FIELD = re.compile(r'\[(\w+)=("(?:[^"\\]|\\.)*"|[^\]]*)\]')


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a process's log; ``at_s`` is wall time."""

    at_s: float
    event: str
    fields: dict[str, str]


class MoveRig:
    """One PD and some stores, which are stopped at the end. Stores go by number, from 1."""

    def __init__(
        self, stores: int, split_keys: Sequence[str] = (), data_dir: str | None = None, config: Any = None
    ) -> None:
        """``config``: tables of every store's file, over STORES."""
        self._directory = tempfile.TemporaryDirectory(dir=data_dir)
        directory = Path(self._directory.name)
        self._picker = PortPicker()
        self._processes = Processes(directory)
        plan = private_plan(stores, tuple(split_keys), self._picker)
        self.local = LocalCluster(directory, plan, self._processes, merge(STORES, config or {}))
        self.pd_address = plan.pd_address
        self.pd = Pd(plan.pd_address)
        self.probe = Probe(plan.pd_address)

    def __enter__(self) -> MoveRig:
        try:
            self.local.start()
            self.local.wait_serving()
            self.set(**QUICK_SCHEDULE)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop every process and delete the data."""
        self.probe.close()
        self._processes.close()
        self._directory.cleanup()

    # ------------------------------------------------ orders

    def set(self, **settings: Any) -> None:
        """Change settings of PD."""
        self.pd.post("/config", settings)

    def hold_still(self) -> None:
        """Nothing moves by itself."""
        hold_still(self.pd)

    def add_store(self) -> StoreProcess:
        """One store more, serving."""
        return self.local.add_store(private_ports(self._picker))

    def order(self, name: str, region_id: int, **fields: Any) -> None:
        """Start an operator as soon as PD takes it."""

        def is_taken() -> bool:
            try:
                self.pd.post("/operators", {"name": name, "region_id": region_id, **fields})
            except PdRefused:
                return False
            return True

        await_true(is_taken, SETTLE_SECONDS_MAX, f"{name} of region {region_id}")

    def await_idle(self, still_seconds: float = 0.0) -> float:
        """Until no operator has run for ``still_seconds``; how long ago, on the monotonic clock, the last one did."""
        end = time.monotonic() + SETTLE_SECONDS_MAX
        busy = time.monotonic()
        while time.monotonic() - busy <= still_seconds or self.pd.get("/operators"):
            now = time.monotonic()
            if self.pd.get("/operators"):
                busy = now
            if now > end:
                raise SystemExit(f"operators still run after {SETTLE_SECONDS_MAX:g} s")
            pause(0.05)
        return busy

    def operators(self) -> list[str]:
        """Those that ended, as texts."""
        return list(self.pd.get("/operators/records"))

    # ------------------------------------------------ what is where

    def regions(self) -> list[RegionView]:
        """All, as PD has them; asked again while PD does not know."""
        found: list[list[RegionView]] = []

        def is_known() -> bool:
            try:
                found.append(self.probe.regions())
            except ProbeFailed:
                return False
            return True

        await_true(is_known, SETTLE_SECONDS_MAX, "PD's answer")
        return found[0]

    def replicas(self, region: RegionView) -> dict[int, int]:
        """Role by store id."""
        return {peer.store_id: peer.role for peer in region.meta.peers}

    def are_whole(self, replicas: int = 3) -> bool:
        """Every region has that many voters and nothing else, and every store has installed what it holds."""
        regions = self.regions()
        if any(list(self.replicas(region).values()) != [0] * replicas for region in regions):
            return False
        return not any(self.is_filling(store) for store in self.local.stores if store.child.is_running())

    def is_filling(self, store: StoreProcess) -> bool:
        """A snapshot is being installed there."""
        regions = status_json(store.ports.status_address, "/regions") or []
        views = (status_json(store.ports.status_address, f"/region/{region_id}") for region_id in regions)
        return any(view and view.get("is_filling") for view in views)

    def store_loads(self) -> list[dict[str, int]]:
        """Replicas, leaders and MiB of each store, as PD counts them."""
        return [
            {name: int(found["status"][name]) for name in ("region_count", "leader_count", "region_size")}
            for found in self.pd.get("/stores")["stores"]
            if found["store"]["state_name"] == "Up"
        ]

    # ------------------------------------------------ data

    def fill(self, size_bytes: int, value_bytes: int, prefixes: Sequence[bytes] = (b"",)) -> int:
        """Write rows of ``value_bytes`` behind each prefix in turn until all together hold ``size_bytes``; how many."""
        rng = Random(1)
        row_bytes = value_bytes + 16
        count = size_bytes // len(prefixes) // row_bytes
        with connected(self.pd_address) as client:
            for prefix in prefixes:
                for first in range(0, count, max(BATCH_BYTES // row_bytes, 1)):
                    numbers = range(first, min(first + max(BATCH_BYTES // row_bytes, 1), count))
                    client.batch_put({prefix + b"row-%09d" % number: rng.randbytes(value_bytes) for number in numbers})
        return count * len(prefixes)

    # ------------------------------------------------ logs and memory

    def log_lines(self, since_s: float) -> Iterator[tuple[str, LogLine]]:
        """Name of the process and line, since a wall time."""
        for child in (self.local.pd, *(store.child for store in self.local.stores)):
            for text in child.log_path.read_text(encoding="utf-8", errors="replace").splitlines():
                found = _LINE.match(text)
                if found is None:
                    continue
                at_s = datetime.strptime(found[1], "%Y/%m/%d %H:%M:%S.%f %z").timestamp()
                if at_s >= since_s:
                    yield child.name, LogLine(at_s, found[2], dict(_FIELD.findall(found[3])))

    @contextmanager
    def memory(self) -> Iterator[dict[str, list[int]]]:
        """Bytes of resident memory by store, sampled while the block runs: first before, then at the peak."""
        found = {store.child.name: [rss_bytes(store.child.pid)] * 2 for store in self.local.stores}
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(SAMPLE_SECONDS):
                for store in self.local.stores:
                    seen = found[store.child.name]
                    seen[1] = max(seen[1], rss_bytes(store.child.pid))

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield found
        finally:
            stop.set()
            thread.join()


def rss_bytes(pid: int) -> int:
    """Resident memory of a process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


class Load:
    """Official clients that write in a process of their own while the block runs; ``found`` is set at its end."""

    def __init__(self, pd_address: str, clients: int, prefix: str) -> None:
        self.found: dict[str, Any] = {}
        command = [sys.executable, "-m", "bench.official_load", "--pd", pd_address, "--clients", str(clients)]
        command += ["--seconds", "0", "--timeline", "--prefix", prefix]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Load:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "writing":
            raise SystemExit("the clients do not write")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._process.kill()
        out, _ = self._process.communicate()
        if error is None:
            self.found = json.loads(out)

    def rate(self, since_s: float, until_s: float) -> float:
        """Acknowledged writes a second between two times of the monotonic clock, to a tenth of a second."""
        timeline = self.found["timeline"]
        first, counts = timeline["first"], timeline["counts"]
        low, high = int(since_s * 10) - first, max(int(until_s * 10), int(since_s * 10) + 1) - first
        return 10.0 * sum(counts[max(low, 0) : high]) / max(high - low, 1)
