"""Servers as forks of one process: they start, end and are told of as executed ones are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from flaredb.cli import forked
from flaredb.cli.forked import UNKNOWN_STATUS, ForkedProcess, Nursery
from flaredb.cli.parent import REQUEST_BYTES_MAX
from flaredb.cli.ports import PortPicker
from flaredb.cli.processes import Child, ChildFailed, Processes
from flaredb.cli.waiting import wait_until

pytestmark = pytest.mark.process


def add_pd(processes: Processes, directory: Path, name: str = "pd") -> Child:
    address = f"http://127.0.0.1:{PortPicker().pick()}"
    return processes.add_flaredb(name, ["pd", "--client-urls", address, "--data-dir", str(directory / name)])


def nursery_of(child: Child) -> int:
    return int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_servers_are_forks_with_names_and_logs_of_their_own(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        first, second = add_pd(processes, tmp_path, "pd-1"), add_pd(processes, tmp_path, "pd-2")
        for child in (first, second):
            child.start()
        addresses = []
        for child in (first, second):
            facts = child.wait_ready(60)
            addresses.append(facts["address"])
            assert facts["pid"] == child.pid
            assert Path(f"/proc/{child.pid}/comm").read_text() == f"flaredb {child.name}\n"
            assert os.getpgid(child.pid) == child.pid
        nursery = nursery_of(first)
        assert nursery == nursery_of(second) != os.getpid()
        assert len(list(Path(f"/proc/{nursery}/task").iterdir())) == 1
        logs = (first.log_path, second.log_path)
        # A server's log is written by a thread of its own, and the last line follows the ready file.
        assert wait_until(lambda: all(a in log.read_text() for a, log in zip(addresses, logs, strict=True)), 60)
        told = [log.read_text() for log in logs]
    assert [address in log for log in told for address in addresses] == [True, False, False, True]
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert not Path(f"/proc/{nursery}").exists()


def test_a_killed_server_is_told_and_starts_again(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add_pd(processes, tmp_path)
        child.start()
        before = child.wait_ready(60)["pid"]
        child.kill()
        assert (child.is_running(), child.exit_code) == (False, -signal.SIGKILL)
        assert "signal 9 (Killed)" in child.describe_end()
        child.start()
        assert child.wait_ready(60)["pid"] != before


def test_a_server_that_cannot_start_shows_its_last_lines(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.add_flaredb("store-1", ["server", "--config", str(tmp_path / "nowhere.toml")])
        child.start()
        with pytest.raises(ChildFailed, match=r"store-1 ended with exit code 2(?s:.*)nowhere\.toml"):
            child.wait_ready(60)


def test_variables_of_its_own_need_an_execution(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add_pd(processes, tmp_path)
        child.environment["LD_PRELOAD"] = ""
        child.start()
        child.wait_ready(60)
        assert nursery_of(child) == os.getpid()


def test_without_its_nursery_a_server_is_executed(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        first, second = add_pd(processes, tmp_path, "pd-1"), add_pd(processes, tmp_path, "pd-2")
        first.start()
        first.wait_ready(60)
        nursery = nursery_of(first)
        os.kill(nursery, signal.SIGKILL)
        assert wait_until(lambda: first.exit_code is not None, 60)
        second.start()
        second.wait_ready(60)
        assert nursery_of(second) == os.getpid()


@contextmanager
def nursery_at(directory: Path) -> Iterator[tuple[Nursery, Path]]:
    read_fd, write_fd = os.pipe()
    log_path = directory / "log"
    try:
        with log_path.open("ab") as log:
            nursery = Nursery([read_fd], log)
        yield nursery, log_path
        nursery.close()
    finally:
        os.close(read_fd)
        os.close(write_fd)


def run(nursery: Nursery, log_path: Path, *arguments: str, **environment: str) -> ForkedProcess:
    with log_path.open("ab") as log:
        return nursery.launch("toy", arguments, {"PATH": os.environ["PATH"], **environment}, log)


def test_exit_status_environment_and_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "slip.toml").write_text("[raftstor]\n")
    with nursery_at(tmp_path) as (nursery, log_path):
        monkeypatch.chdir(tmp_path / "here")
        assert run(nursery, log_path, "--version").wait() == 0
        assert run(nursery, log_path, "config", "check", "slip.toml").wait() == 2
        assert run(nursery, log_path, "kv", "get", "a", FLAREDB_URL="no-scheme://x").wait() == 2
    told = log_path.read_text()
    assert "unknown configuration key raftstor" in told
    assert "no-scheme" in told


def test_a_request_that_is_too_long_is_refused_here(tmp_path: Path) -> None:
    with nursery_at(tmp_path) as (nursery, log_path):
        with pytest.raises(OSError, match="are more than"):
            run(nursery, log_path, "--version", LONG="x" * REQUEST_BYTES_MAX)
        assert run(nursery, log_path, "--version").wait() == 0


def test_nothing_is_waited_for_once_the_nursery_is_gone(tmp_path: Path) -> None:
    with nursery_at(tmp_path) as (nursery, log_path):
        server = run(nursery, log_path, "--version")
        assert server.wait() == 0
        os.kill(nursery.pid, signal.SIGKILL)
        assert wait_until(lambda: nursery.is_gone(), 60)
        with pytest.raises(OSError, match=r"pipe|reset|connected"):
            run(nursery, log_path, "--version")
        lost = ForkedProcess(nursery, 99)
        assert (lost.pid, lost.poll(), lost.wait()) == (0, UNKNOWN_STATUS, UNKNOWN_STATUS)
        lost.kill()


def test_a_good_end_that_is_told_late_is_a_good_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late:
        """Its word comes between the wait for it and the look for the process."""

        pid_of = staticmethod(lambda request_id: 1)
        words: ClassVar[list[int | None]] = [None, 0]

        def status_of(self, request_id: int, timeout_s: float = 0.0) -> int | None:
            return self.words.pop(0)

    monkeypatch.setattr(forked, "_exists", lambda pid: False)
    assert ForkedProcess(Late(), 1).wait() == 0  # type: ignore[arg-type]
