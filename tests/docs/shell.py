"""A bash that runs the commands of a document, one after the other, and what it starts."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

from flaredb.cli.ports import PortPicker, claim, is_free
from flaredb.cli.waiting import wait_until
from flaredb.server.settings import PEER_PORT_OFFSET

WAIT_S = 90
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PD_PORT = 2379
STORE_PORTS = (20160, 20161, 20162, 20163)
STATUS_PORTS = (20180, 20181, 20182, 20183)


class Shell:
    """Commands run as a reader would type them, in ``directory``, with the project's programs on the path.

    Ports that the documents name are replaced by free ones, or by those of the demo that the document has started.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        picker = PortPicker()
        self._ports = {port: picker.pick() for port in (PD_PORT, *STATUS_PORTS)}
        self._ports |= {port: _store_port(picker) for port in STORE_PORTS}
        self._env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "TERM": "xterm",
            "FLAREDB_URL": f"127.0.0.1:{self._ports[PD_PORT]}",
            "PS1": "",
        }
        self._stays: list[_Terminal] = []
        self._bash = self._spawn(["bash", "--norc", "--noprofile"])

    def run(self, command: str) -> tuple[int, list[str]]:
        """Exit status of a command, and the lines it printed on both streams."""
        self._bash.type(f'{self._here(command)}\necho "--end-- $?"\n')
        printed: list[str] = []
        try:
            for line in self._bash.lines(WAIT_S):
                before, end, status = line.partition("--end-- ")
                if before or not end:
                    printed.append(before)
                if end:
                    return int(status), printed
        except Empty:
            pass
        raise AssertionError(f"{command!r} did not come back within {WAIT_S} s; so far: {printed}")

    def start(self, command: str, last: str) -> list[str]:
        """Start a command that goes on serving; its lines up to the one that is like ``last``."""
        command = self._here(command)
        ready = self._directory / f"ready-{len(self._stays)}.json"
        if command.startswith("flaredb demo"):
            command += f" --pd-port {self._ports[PD_PORT]} --ready-file {ready}"
        serving = self._spawn(["bash", "-c", f"exec {command}"])
        self._stays.append(serving)
        wanted = re.sub(r"[\d.,]+", "0", last)
        printed: list[str] = []
        try:
            for line in serving.lines(WAIT_S):
                printed.append(line)
                if re.sub(r"[\d.,]+", "0", line) == wanted:
                    break
        except Empty:
            raise AssertionError(f"no line like {last!r} (end or {WAIT_S} s); so far: {printed}") from None
        if ready.exists():
            self._learn(ready)
        return printed

    def close(self) -> None:
        """Stop what was started, politely, then what is left."""
        for serving in reversed(self._stays):
            serving.end(signal.SIGINT, 20)
        self._bash.end(signal.SIGTERM, 5)

    def _learn(self, ready: Path) -> None:
        """The ports of a demo that runs."""
        report = json.loads(ready.read_text(encoding="utf-8"))
        for number, store in enumerate(report["stores"]):
            for base, address in ((20160, store["address"]), (20180, store["status_address"])):
                self._ports[base + number] = int(address.rpartition(":")[2])

    def _here(self, command: str) -> str:
        def port(match: re.Match[str]) -> str:
            return str(self._ports.get(int(match[0]), match[0]))

        return re.sub(r"\b(2379|2\d{4})\b", port, command)

    def _spawn(self, arguments: list[str]) -> _Terminal:
        return _Terminal(arguments, self._directory, self._env)


def _store_port(picker: PortPicker) -> int:
    """A port for a store that will take another, behind it, for other stores: that one is kept free too."""
    port = picker.pick()
    while not (is_free(port + PEER_PORT_OFFSET) and claim(port + PEER_PORT_OFFSET)):
        port = picker.pick()
    return port


class _Terminal:
    """A process whose output is a terminal's, so that it prints what a reader of the documents would see."""

    def __init__(self, arguments: list[str], directory: Path, env: dict[str, str]) -> None:
        self._screen, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 120))
        self.process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=env,
            stdin=subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, text: str) -> None:
        """Give the process input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def lines(self, deadline_s: float) -> Iterator[str]:
        """Lines as they come. Errors: Empty after the deadline, or when no more can come."""
        end_s = time.monotonic() + deadline_s
        while (line := self._lines.get(timeout=max(end_s - time.monotonic(), 0.01))) is not None:
            yield line
        raise Empty

    def end(self, first: signal.Signals, first_s: float) -> None:
        """End the process and all that it started: politely, and after a while for good."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        for by, wait_s in ((first, first_s), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, by)
            if wait_until(self._is_gone, wait_s):
                break
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._screen)

    def _is_gone(self) -> bool:
        self.process.poll()
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def _read(self) -> None:
        unfinished = b""
        with contextlib.suppress(OSError):  # the last writer is gone
            while read := os.read(self._screen, 65_536):
                *lines, unfinished = (unfinished + read).split(b"\n")
                for line in lines:
                    self._lines.put(_ESCAPE.sub("", line.decode(errors="replace")).rstrip("\r").rpartition("\r")[2])
        self._lines.put(None)
