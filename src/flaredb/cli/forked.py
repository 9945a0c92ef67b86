"""Servers as forks of one process that has imported everything: the side that asks for them (see nursery.py)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from flaredb.cli.parent import REQUEST_BYTES_MAX

CAN_FORK = sys.platform == "linux"
"""Elsewhere libraries of the system may not survive a fork."""

UNKNOWN_STATUS = 70
"""Exit status of a server of whose end nothing was heard."""

FORK_DEADLINE_S = 60.0
LAST_WORD_S = 1.0


class Nursery:
    """The process that forks, and what it has said of the servers. Any thread may call."""

    def __init__(self, pass_fds: Sequence[int], log: IO[bytes]) -> None:
        """``pass_fds`` are inherited by every server; ``log``: where the nursery itself complains."""
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flaredb.cli.nursery", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno(), *pass_fds],
                process_group=0,
            )
        self._lock = threading.RLock()  # a signal's handler may come in between
        self._last_id = 0
        self._pids: dict[int, int] = {}
        self._statuses: dict[int, int] = {}
        self._is_gone = False

    def launch(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]
    ) -> ForkedProcess:
        """Ask for ``flaredb ARGUMENTS`` under a name; its output goes to ``log``.

        Errors: OSError if the nursery is gone or this is more than it takes.
        """
        with self._lock:
            self._last_id += 1
            request = {
                "id": self._last_id,
                "name": name,
                "arguments": list(arguments),
                "environment": dict(environment),
                "directory": str(Path.cwd()),
            }
            packet = json.dumps(request).encode()
            if len(packet) > REQUEST_BYTES_MAX:
                raise OSError(f"{len(packet)} bytes of arguments and environment are more than {REQUEST_BYTES_MAX}")
            socket.send_fds(self._connection, [packet], [log.fileno()])
            return ForkedProcess(self, self._last_id)

    @property
    def pid(self) -> int:
        """Process id of the nursery itself."""
        return self._process.pid

    def is_gone(self) -> bool:
        """True once it has ended."""
        return self._process.poll() is not None

    def pid_of(self, request_id: int) -> int:
        """The process id, as soon as it is known; 0: the nursery ended before it forked."""
        with self._lock:
            while request_id not in self._pids and self._hear(FORK_DEADLINE_S):
                pass
            return self._pids.get(request_id, 0)

    def status_of(self, request_id: int, timeout_s: float = 0.0) -> int | None:
        """The exit status, -n for an end by signal n; None if it still runs after ``timeout_s``."""
        with self._lock:
            while request_id not in self._statuses:
                if not self._hear(timeout_s):
                    return UNKNOWN_STATUS if self._is_gone else None
            return self._statuses[request_id]

    def close(self) -> None:
        """End the nursery. Servers that still run are not waited for."""
        self._is_gone = True
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _hear(self, timeout_s: float) -> bool:
        """Take in one answer; False if none came in time. Holds the lock."""
        if self._is_gone or not select.select([self._connection], [], [], timeout_s)[0]:
            return False
        try:
            packet = self._connection.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            packet = b""
        if not packet:
            self._is_gone = True
            return False
        answer: dict[str, Any] = json.loads(packet)
        for name, known in (("pid", self._pids), ("status", self._statuses)):
            if name in answer:
                known[answer["id"]] = answer[name]
        return True


class ForkedProcess:
    """One server, with what of subprocess.Popen's face :class:`~flaredb.cli.processes.Child` uses."""

    def __init__(self, nursery: Nursery, request_id: int) -> None:
        self._nursery = nursery
        self._id = request_id

    @property
    def pid(self) -> int:
        """Its process id; 0 if it never came to be."""
        return self._nursery.pid_of(self._id)

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._nursery.status_of(self._id)

    def wait(self) -> int:
        """Its exit status once it has ended; an end of which the word was lost counts as one too."""
        while (status := self._nursery.status_of(self._id, LAST_WORD_S)) is None:
            if not _exists(self.pid):
                status = self._nursery.status_of(self._id)
                return UNKNOWN_STATUS if status is None else status
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None and (pid := self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
