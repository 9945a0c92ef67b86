"""A `flaredb demo` in processes of its own, for measurements."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flaredb.cli.ctl.http import Pd

START_SECONDS_MAX = 30


class Demo:
    """A `flaredb demo` with three stores. As a context manager it is stopped at the end."""

    def __init__(self, split_keys: str, data_dir: str = "", config: str = "") -> None:
        """``split_keys``: borders of the first regions, with commas between. ``data_dir``: an empty directory on the
        disk to measure; "": a temporary one. ``config``: TOML for the stores.
        """
        directory = Path(tempfile.mkdtemp())
        self._ready = directory / "ready.json"
        command = [sys.executable, "-m", "flaredb", "demo", "--ready-file", str(self._ready)]
        command += ["--split-keys", split_keys]
        if data_dir:
            command += ["--data-dir", data_dir]
        if config:
            path = directory / "stores.toml"
            path.write_text(config)
            command += ["--config", str(path)]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        while not self._ready.exists():
            if self.process.poll() is not None or time.perf_counter() - self.started > START_SECONDS_MAX:
                raise SystemExit("flaredb demo did not start")
            pause(0.01)
        self.ready_seconds = time.perf_counter() - self.started
        self.facts = json.loads(self._ready.read_text())
        self.pids = [store["pid"] for store in self.facts["stores"]]

    def stop(self) -> None:
        """End all of its processes."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def hold_still(pd: Pd) -> None:
    """PD moves nothing by itself from now on."""
    pd.post("/config", {"leader-schedule-limit": 0, "region-schedule-limit": 0})


def pause(seconds: float) -> None:
    """Let time pass: what is measured takes it."""
    threading.Event().wait(seconds)


def await_true(condition: Callable[[], bool], seconds_max: float, what: str) -> None:
    """Wait for a condition. Errors: SystemExit naming ``what`` after ``seconds_max``."""
    end = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds_max:g} s")
        pause(0.05)
