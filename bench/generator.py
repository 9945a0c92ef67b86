"""Makes load and measures it: the compiled generator of load/, built here; where that fails, the one in Python.

The one in Python is no fair judge: on a small machine it takes more of the cores than the servers it measures.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.routes import Route

SOURCES = Path(__file__).parent / "load"
BUILT = Path(__file__).parents[1] / "build" / "bench" / "flareload"
BUILD = ("-O2", "-Wall", "-Wextra", "-o", str(BUILT), str(SOURCES / "flareload.c"), "-lnghttp2")
CURE = "Debian and Ubuntu: apt-get install gcc libnghttp2-dev; Fedora: dnf install gcc libnghttp2-devel"


class NoCompiler(Exception):
    """The compiled generator cannot be built here; the message says why and what to install."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of the servers. ``in_flight`` operations are unanswered at any time, whatever the protocol."""

    protocol: str
    """etcd, unary or batch; see load/flareload.c."""

    in_flight: int
    reads_percent: int = 0
    keys: int = 20_000
    value_bytes: int = 128
    frame: int = 64
    connections: int = 1
    """For each host."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a work's keys are: ``routes`` is empty for etcd. ``pids``: the servers whose CPU time is counted."""

    addresses: tuple[str, ...]
    pids: tuple[int, ...]
    routes: tuple[Route, ...] = ()
    pd_address: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run."""

    ops_per_s: float
    p50_ms: float
    p99_ms: float
    operations: int
    errors: int
    missing: int
    """Gets that found no value."""

    server_cpu_s_per_1000: float
    generator_cpu_s_per_1000: float


def flare_target(routes: Sequence[Route], pids: Sequence[int], pd_address: str = "") -> Target:
    """FlareDB's stores, each once."""
    addresses = tuple(dict.fromkeys(route.address for route in routes))
    return Target(addresses, tuple(pids), tuple(routes), pd_address)


def build() -> Path:
    """Build the generator, if it is not newer than its source. Errors: NoCompiler."""
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if BUILT.exists() and BUILT.stat().st_mtime > newest:
        return BUILT
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompiler(f"there is no C compiler. {CURE}")
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([compiler, *BUILD], capture_output=True, text=True)
    if done.returncode:
        raise NoCompiler(f"{compiler} {' '.join(BUILD)} fails: {done.stderr.strip()[:300]} {CURE}")
    return BUILT


class Generator(Protocol):
    """Either of the two below."""

    name: str

    def run(self, target: Target, work: Work, seconds: float, warm_up: float, *, fill: bool = False) -> Figures:
        """One run, or with ``fill`` every key written once. Errors: SystemExit with the generator's words."""
        ...


class Compiled:
    """The generator in C."""

    name = "compiled generator (bench/load/flareload.c)"

    def __init__(self) -> None:
        """Errors: NoCompiler."""
        self._path = build()

    def command(self, target: Target, work: Work, seconds: float, warm_up: float, routes_file: str) -> list[str]:
        """The command line of one run."""
        words = [str(self._path), "--protocol", work.protocol, "--in-flight", str(work.in_flight)]
        words += ["--reads", str(work.reads_percent), "--keys", str(work.keys), "--value-bytes", str(work.value_bytes)]
        words += ["--frame", str(work.frame), "--connections", str(work.connections)]
        words += ["--seconds", f"{seconds:g}", "--warm-up", f"{warm_up:g}", "--pids", ",".join(map(str, target.pids))]
        words += ["--routes", routes_file] if target.routes else []
        return [*words, *target.addresses]

    def run(self, target: Target, work: Work, seconds: float, warm_up: float, *, fill: bool = False) -> Figures:
        """As Generator.run."""
        with tempfile.NamedTemporaryFile("w", suffix=".routes") as routes:
            for route in target.routes:
                start, context = route.start_key.hex() or "-", route.context.SerializeToString().hex()
                routes.write(f"{start} {target.addresses.index(route.address)} {context}\n")
            routes.flush()
            words = self.command(target, work, seconds, warm_up, routes.name) + (["--fill"] if fill else [])
            done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")
        found = json.loads(done.stdout)
        thousands = max(found["operations"], 1) / 1000
        return Figures(
            found["ops_per_s"],
            found["p50_ms"],
            found["p99_ms"],
            found["operations"],
            found["errors"],
            found["missing"],
            found["server_cpu_s"] / thousands,
            found["generator_cpu_s"] / thousands,
        )


class InPython:
    """kv_load.py, for machines without a compiler. It makes no mixed load."""

    name = "generator in Python (bench/kv_load.py): no fair judge, see bench/README.md"

    def run(self, target: Target, work: Work, seconds: float, warm_up: float, *, fill: bool = False) -> Figures:  # noqa: ARG002
        """As Generator.run, but ``fill`` writes random keys for a while, so some may stay without a value."""
        words = [sys.executable, "-m", "bench.kv_load", "--mode", work.protocol, "--in-flight", str(work.in_flight)]
        words += ["--pd", target.pd_address] if target.routes else ["--etcd", target.addresses[0]]
        words += ["--op", "get" if work.reads_percent > 50 else "put", "--keys", str(work.keys)]
        words += ["--seconds", f"{seconds:g}", "--warm-up", f"{warm_up:g}", "--pids", ",".join(map(str, target.pids))]
        words += ["--value-bytes", str(work.value_bytes), "--batch", str(work.frame)]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        cpu, operations = found["server_cpu_s_per_1000"], round(found["ops_per_s"] * seconds)
        return Figures(
            found["ops_per_s"], found["p50_ms"], found["p99_ms"], operations, found["errors"], 0, cpu or 0.0, 0.0
        )
