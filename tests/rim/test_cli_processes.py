"""Child processes, with toy programs: none survives, and a failure shows what it said last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flaredb.cli.processes import Child, ChildFailed, Processes
from flaredb.cli.waiting import wait_until

READY = (
    "import json, os, sys, signal\n"
    "from flaredb.server.ready_file import write_ready_file\n"
    "from flaredb.cli.parent import end_with_parent\n"
    "end_with_parent()\n"
    "print('serving', flush=True)\n"
    "write_ready_file(sys.argv[1], address='127.0.0.1:1', store_id=7)\n"
)
SERVES = READY + "signal.pause()\n"
IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
STUBBORN = "import signal\n" + IGNORES + SERVES
FAILS = "import sys\nprint('line one')\nsys.exit('the disk is full')\n"
SILENT = "import signal\nsignal.pause()\n"
# A parent that starts a toy child, says its process id and waits to be killed.
PARENT = (
    "import signal, sys\n"
    "from pathlib import Path\n"
    "from flaredb.cli.processes import Processes\n"
    "processes = Processes(Path(sys.argv[1]))\n"
    "child = processes.add('toy', [sys.executable, '-c', sys.argv[2], sys.argv[1] + '/toy.ready'])\n"
    "child.start()\n"
    "child.wait_ready(60)\n"
    "print(child.pid, flush=True)\n"
    "signal.pause()\n"
)


def add(processes: Processes, directory: Path, program: str, name: str = "toy") -> Child:
    return processes.add(name, [sys.executable, "-c", program, str(directory / f"{name}.ready")])


def is_alive(pid: int) -> bool:
    """True unless the process is gone or waits to be reaped by somebody else."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter: gone between opening and reading
        return False
    return state != "Z"


def test_child_becomes_ready_and_is_stopped_with_its_owner(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add(processes, tmp_path, SERVES)
        child.start()
        facts = child.wait_ready(60)
        assert (facts["pid"], facts["store_id"], facts["address"]) == (child.pid, 7, "127.0.0.1:1")
        assert processes.running() == [child]
    assert child.exit_code == -signal.SIGTERM
    assert child.log_path.read_text() == "serving\n"


def test_child_that_fails_at_start_shows_its_last_lines(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add(processes, tmp_path, FAILS)
        child.start()
        with pytest.raises(ChildFailed) as failed:
            child.wait_ready(60)
    assert "toy ended with exit code 1" in str(failed.value)
    assert "  line one\n  the disk is full" in str(failed.value)


def test_child_that_never_becomes_ready_is_told(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add(processes, tmp_path, SILENT)
        child.start()
        with pytest.raises(ChildFailed, match=r"toy is not ready after 0\.1 s"):
            child.wait_ready(0.1)


def test_killed_child_can_be_started_again(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add(processes, tmp_path, SERVES)
        child.start()
        first_pid = child.wait_ready(60)["pid"]
        child.kill()
        assert not child.is_running()
        assert "signal 9 (Killed)" in child.describe_end()
        child.start()
        assert child.wait_ready(60)["pid"] != first_pid
    assert child.log_path.read_text() == "serving\nserving\n"


def test_ready_file_of_an_earlier_process_does_not_count(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add(processes, tmp_path, SILENT)
        child.ready_path.write_text('{"pid": 1, "store_id": 1}')
        child.start()
        assert child.ready_facts() is None


def test_stubborn_child_is_killed_after_the_deadline(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add(processes, tmp_path, STUBBORN)
        child.start()
        child.wait_ready(60)
        processes.stop([child], deadline_s=0.1)
        assert child.exit_code == -signal.SIGKILL


def test_paused_child_is_stopped_too(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = add(processes, tmp_path, SERVES)
        child.start()
        child.wait_ready(60)
        child.send(signal.SIGSTOP)
    assert child.exit_code == -signal.SIGTERM


@pytest.mark.parametrize("program", [SERVES, STUBBORN], ids=["polite", "stubborn"])
def test_child_ends_when_its_parent_is_killed(program: str, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child_pid = int(parent.stdout.readline())
    try:
        assert is_alive(child_pid)
        parent.kill()
        parent.wait()
        assert wait_until(lambda: not is_alive(child_pid), 60)
    finally:
        parent.stdout.close()
        if is_alive(child_pid):
            os.kill(child_pid, signal.SIGKILL)


# A command with a child, as the demo is: the first signal stops politely, the second at once.
COMMAND = (
    "import signal, sys\n"
    "from pathlib import Path\n"
    "from flaredb.cli.processes import Processes\n"
    "from flaredb.cli.signals import Interrupted, StopSignals\n"
    "from flaredb.cli.waiting import pause\n"
    "with StopSignals() as signals:\n"
    "    try:\n"
    "        with Processes(Path(sys.argv[1])) as processes:\n"
    "            signals.on_second = processes.kill_all\n"
    "            child = processes.add('toy', [sys.executable, '-c', sys.argv[2], sys.argv[1] + '/toy.ready'])\n"
    "            child.start()\n"
    "            child.wait_ready(60)\n"
    "            try:\n"
    "                print('up', flush=True)\n"
    "                while True:\n"
    "                    pause(5)\n"
    "            except Interrupted:\n"
    "                print('stopping', flush=True)\n"
    "                raise\n"
    "    except Interrupted as interrupted:\n"
    "        print('ended by', interrupted.number, child.exit_code, flush=True)\n"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_stops_politely(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path), SERVES], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "up\n"
        command.send_signal(number)
        assert command.stdout.read() == f"stopping\nended by {int(number)} {-signal.SIGTERM}\n"


def test_second_signal_kills(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path), STUBBORN], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "up\n"
        command.send_signal(signal.SIGINT)
        assert command.stdout.readline() == "stopping\n"
        command.send_signal(signal.SIGINT)
        assert command.stdout.read() == f"ended by {int(signal.SIGINT)} {-signal.SIGKILL}\n"
