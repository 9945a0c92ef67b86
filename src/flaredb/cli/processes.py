"""Child processes that live no longer than this one: start, watch, kill, restart, stop.

Each child writes its output to a log file and, once it serves, a ready file (server/ready_file.py). Children are in
process groups of their own, so that Ctrl-C reaches them only through here, and hold the reading end of a pipe by which
they notice that this process is gone (cli/parent.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from flaredb.cli.forked import CAN_FORK, ForkedProcess, Nursery
from flaredb.cli.parent import PARENT_FD_VARIABLE
from flaredb.cli.waiting import wait_until
from flaredb.model.errors import FlareDBError

LOG_LINES_SHOWN = 15
LOG_BYTES_SHOWN = 64 * 1024
STOP_DEADLINE_S = 30.0
"""A store may hand its leaders over for 20 s."""

Launch = Callable[[Mapping[str, str], IO[bytes]], ForkedProcess]
"""From environment and log to a process."""


class ChildFailed(FlareDBError):
    """A child ended, or did not become ready in time; the message shows its last log lines."""

    @property
    def port_was_taken(self) -> bool:
        """True if it found another process on a port that had looked free: others may be tried."""
        return "port in use" in str(self)


class Child:
    """One child process, which can be started again after its end.

    Invariant: at most one process runs; ``ready_path`` exists only if the current one has said that it serves.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log_path: Path,
        ready_path: Path,
        parent_fd: int,
        at_once: signal.Signals = signal.SIGTERM,
    ) -> None:
        """``at_once``: the signal upon which it stops without finishing anything for others."""
        self.name = name
        self.at_once = at_once
        self.log_path = log_path
        self.ready_path = ready_path
        self.environment: dict[str, str] = {}
        """Variables that the next process gets besides those of this one."""
        self.launch: Launch | None = None
        """How to come to a process sooner than by executing ``argv``, if there is a way."""

        self._argv = list(argv)
        self._parent_fd = parent_fd
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    @property
    def pid(self) -> int:
        """Id of the current or last process; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """None while running (or never started); -n for an end by signal n."""
        return self._process.poll() if self._process else None

    def is_running(self) -> bool:
        """True between a start and the end of that process."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; its output is appended to the log file."""
        assert not self.is_running(), f"{self.name} runs already"
        self.ready_path.unlink(missing_ok=True)
        environment = {**os.environ, **self.environment, PARENT_FD_VARIABLE: str(self._parent_fd)}
        with self.log_path.open("ab") as log:
            # What a variable such as LD_PRELOAD does, it does at the execution of a program only.
            if self.launch is not None and not self.environment:
                with contextlib.suppress(OSError):
                    self._process = self.launch(environment, log)
                    return
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[self._parent_fd],
                process_group=0,
            )

    def ready_facts(self) -> dict[str, Any] | None:
        """What the ready file says, once it is there.

        Errors: ChildFailed if the process has ended.
        """
        try:
            facts: dict[str, Any] = json.loads(self.ready_path.read_bytes())
            return facts
        except FileNotFoundError:
            if not self.is_running():
                raise ChildFailed(self.describe_end()) from None
            return None

    def wait_ready(self, deadline_s: float) -> dict[str, Any]:
        """The ready file's facts as soon as they are there.

        Errors: ChildFailed if the process ends before, or is not ready in ``deadline_s`` seconds.
        """
        if not wait_until(lambda: self.ready_facts() is not None, deadline_s):
            raise ChildFailed(
                f"{self.name} is not ready after {deadline_s:g} s; its last log lines:\n{self.log_tail()}"
            )
        facts = self.ready_facts()
        assert facts is not None
        return facts

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def describe_end(self) -> str:
        """How the process ended, with its last log lines."""
        code = self.exit_code
        how = f"signal {-code} ({signal.strsignal(-code)})" if code is not None and code < 0 else f"exit code {code}"
        return f"{self.name} ended with {how}; its last log lines ({self.log_path}):\n{self.log_tail()}"

    def log_tail(self, lines_max: int = LOG_LINES_SHOWN) -> str:
        """The last lines of the log, indented."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(-min(LOG_BYTES_SHOWN, log.seek(0, os.SEEK_END)), os.SEEK_END)
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            text = ""
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines_max:]) or "  (the log is empty)"


class Processes:
    """A set of children with one life time; as a context manager it leaves none behind."""

    def __init__(self, directory: Path, *, forks: bool = CAN_FORK) -> None:
        """``forks``: servers are forks of one process that has imported everything, which is much quicker."""
        self.children: dict[str, Child] = {}
        self._directory = directory
        self._parent_fd, self._lifeline_fd = os.pipe()
        self._forks = forks
        self._nursery: Nursery | None = None

    def add(self, name: str, argv: Sequence[str], at_once: signal.Signals = signal.SIGTERM) -> Child:
        """A child of this name, not yet started; log and ready file are NAME.log and NAME.ready."""
        assert name not in self.children, f"two children named {name}"
        log, ready = self._directory / f"{name}.log", self._directory / f"{name}.ready"
        child = Child(name, argv, log, ready, self._parent_fd, at_once)
        self.children[name] = child
        return child

    def add_flaredb(self, name: str, arguments: Sequence[str]) -> Child:
        """A child that runs this installation's ``flaredb`` with these arguments and its ready file."""
        ready = str(self._directory / f"{name}.ready")
        arguments = [*arguments, "--ready-file", ready]
        child = self.add(name, [sys.executable, "-P", "-m", "flaredb", *arguments], at_once=signal.SIGINT)
        if self._forks:

            def launch(environment: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
                if self._nursery is None:
                    self._nursery = Nursery([self._parent_fd], log)
                return self._nursery.launch(name, arguments, environment, log)

            child.launch = launch
        return child

    def running(self) -> list[Child]:
        """The children that have not ended, in the order they were added."""
        return [child for child in self.children.values() if child.is_running()]

    def stop(self, children: Iterable[Child], deadline_s: float = STOP_DEADLINE_S, *, at_once: bool = False) -> None:
        """SIGTERM to all of them, and SIGKILL to those that are still there after ``deadline_s`` seconds.

        ``at_once``: for a whole cluster. A store that gets SIGTERM hands its leaders to other stores first.

        Post: all have ended.
        """
        waited_for = list(children)
        for child in waited_for:
            child.send(child.at_once if at_once else signal.SIGTERM)
            child.send(signal.SIGCONT)
        wait_until(lambda: not any(child.is_running() for child in waited_for), deadline_s)
        for child in waited_for:
            child.kill()

    def kill_all(self) -> None:
        """SIGKILL to every child, without waiting; a signal handler may call it."""
        for child in self.children.values():
            child.send(signal.SIGKILL)

    def clear(self) -> None:
        """Stop the children, the first added last, and forget them: their names are free again."""
        running = self.running()
        self.stop(running[1:], at_once=True)
        self.stop(running[:1], at_once=True)
        self.children.clear()

    def close(self) -> None:
        """Stop the children, the first added last, and release the pipe."""
        self.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
        for fd in (self._parent_fd, self._lifeline_fd):
            os.close(fd)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
