"""A process that imports what a server needs once, and forks for each server that is asked for.

A server spends most of its start importing, about half a second of CPU; the four processes of a small cluster would
each do it anew. The other end is :mod:`flaredb.cli.forked`. Messages are JSON objects, one to a packet:

    request  {"id": 1, "name": "store-1", "arguments": ["server", ...], "environment": {...}, "directory": "/..."},
             with the log's descriptor
    answers  {"id": 1, "pid": 4711}, and once it has ended {"id": 1, "status": 0}; -n: by signal n

Forking is safe only as long as there is one thread, so nothing here may start another. When the other end is gone it
ends, and so do the servers, by :mod:`flaredb.cli.parent`.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flaredb.cli.parent import REQUEST_BYTES_MAX


class Nursery:
    """Forks and reaps."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._id_of: dict[int, int] = {}
        """Request by process id, of those that live."""

        self._woken, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    def run(self) -> list[str] | None:
        """Serve until the other end is gone: None. In each child: the arguments of the server it is to become."""
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._connection, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._woken in ready:
                self._woken.recv(4096)
                self._reap()
            if self._connection in ready:
                packet, descriptors, _, _ = socket.recv_fds(self._connection, REQUEST_BYTES_MAX, 1)
                if not packet:
                    return None
                if (arguments := self._fork(json.loads(packet), *descriptors)) is not None:
                    return arguments

    def _fork(self, request: Mapping[str, Any], log_fd: int) -> list[str] | None:
        """The arguments in the child, None in the nursery."""
        if pid := os.fork():
            os.close(log_fd)
            self._id_of[pid] = request["id"]
            self._say(id=request["id"], pid=pid)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for end in (self._connection, self._woken, self._waker):
            end.close()
        os.setpgid(0, 0)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log_fd, stream.fileno())
        os.close(log_fd)
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        Path("/proc/self/comm").write_text(f"flaredb {request['name']}", encoding="utf-8")
        return list(request["arguments"])

    def _reap(self) -> None:
        while self._id_of:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._say(id=self._id_of.pop(pid), status=os.waitstatus_to_exitcode(status))

    def _say(self, **answer: int) -> None:
        with contextlib.suppress(OSError):  # nobody listens: the next read says so
            self._connection.send(json.dumps(answer).encode())


def main() -> None:
    """``python -m flaredb.cli.nursery FD``; FD is one end of a pair of sockets that keep packets apart."""
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        _import_servers()
        arguments = Nursery(connection).run()
    if arguments is not None:
        from flaredb.cli.main import main as flaredb

        sys.argv = ["flaredb", *arguments]
        flaredb()


def _import_servers() -> None:
    from flaredb.cli.startup import begin_process, loading

    begin_process()
    with loading():
        import flaredb.cli.flags
        import flaredb.cli.main
        import flaredb.cli.parent
        import flaredb.cli.pd_command
        import flaredb.cli.server_command
        import flaredb.cli.serving
        import flaredb.server.main
        import flaredb.server.pd_node  # noqa: F401


if __name__ == "__main__":
    main()
