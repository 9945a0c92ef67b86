"""Slow, failing and forgotten syncs of a running process, by strace, which ends with the block."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator

from flaredb.cli.waiting import wait_until

NEEDS = ("linux", "strace")
SYNCS = "fsync,fdatasync"
ATTACH_DEADLINE_S = 20.0
DETACH_DEADLINE_S = 10.0

SLOW = "delay_exit=200000"
"""Each sync takes 0.2 s more."""
FAILING = "error=EIO"
"""No sync is carried out, and each says so."""
FORGOTTEN = "retval=0"
"""No sync is carried out, and each says it was: a disk that lies."""


@contextlib.contextmanager
def injected(pid: int, what: str) -> Iterator[None]:
    """Every sync of the process behaves as ``what`` says until the end of the block."""
    rules = ["-e", f"trace={SYNCS}", "-e", f"inject={SYNCS}:{what}"]
    command = ["strace", "-f", "-p", str(pid), "-o", "/dev/null", *rules]
    with tempfile.TemporaryFile() as said:
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:

            def is_attached() -> bool:
                said.seek(0)
                return b"attached" in said.read() or tracer.poll() is not None

            assert wait_until(is_attached, ATTACH_DEADLINE_S), "strace does not attach"
            said.seek(0)
            assert tracer.poll() is None, f"strace ended: {said.read().decode()}"
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            try:
                tracer.wait(DETACH_DEADLINE_S)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.wait()
