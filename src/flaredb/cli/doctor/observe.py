"""Looking at this machine and its network. Everything here takes a moment and changes nothing that stays."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import tempfile
import time
from importlib import metadata
from pathlib import Path

from flaredb.cli.doctor.judge_addresses import Dialled, Port

DIAL_TIMEOUT_S = 1.5
SYNC_ROUNDS = 20
SYNC_BYTES = 4_096
SYNC_PATIENCE_S = 5.0
"""A slow disk is asked less often."""

PACKAGES = ("grpcio", "protobuf", "rocksdict", "uvloop", "aiohttp", "msgspec")


def try_port(address: str) -> Port:
    """Try to listen there, and stop at once."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        return Port.UNKNOWN_HOST
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(where)
            trial.listen()
        except OSError as error:
            known = {errno.EADDRINUSE: Port.TAKEN, errno.EACCES: Port.FORBIDDEN, errno.EADDRNOTAVAIL: Port.NOT_HERE}
            return known.get(error.errno or 0, Port.TAKEN)
    return Port.FREE


def dial(address: str, timeout_s: float = DIAL_TIMEOUT_S) -> Dialled:
    """Connect there, and hang up."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return Dialled.UNKNOWN_HOST
    try:
        with socket.create_connection(found[0][4][:2], timeout_s):  # type: ignore[arg-type]
            return Dialled.CONNECTED
    except ConnectionRefusedError:
        return Dialled.REFUSED
    except OSError:
        return Dialled.SILENT


def own_address_towards(host: str) -> str:
    """How this machine is seen from ``host``; "" if that cannot be told. Nothing is sent."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(host.strip("[]"), 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as trial:
            trial.connect(where)
            address = str(trial.getsockname()[0])
    except OSError:
        return ""
    return f"[{address}]" if ":" in address else address


def existing_part(path: Path) -> Path:
    """The directory itself, or the nearest one above that is there."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def sync_seconds(directory: Path) -> list[float]:
    """How long small synced writes take there. Errors: OSError if it cannot be written."""
    samples: list[float] = []
    end_s = time.monotonic() + SYNC_PATIENCE_S
    with tempfile.NamedTemporaryFile(prefix=".flaredb-doctor-", dir=directory) as file:
        while len(samples) < SYNC_ROUNDS and (time.monotonic() < end_s or not samples):
            os.write(file.fileno(), bytes(SYNC_BYTES))
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            samples.append(time.perf_counter() - began_s)
    return samples


def filesystem_of(directory: Path) -> str:
    """The type of the file system that holds a directory; "" where /proc does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in mounts:
        _, place, this_kind, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        if len(place) >= len(best) and directory.absolute().resolve().is_relative_to(place):
            best, kind = place, this_kind
    return kind


def disk_bytes(directory: Path) -> tuple[int, int]:
    """Free and total."""
    usage = shutil.disk_usage(directory)
    return usage.free, usage.total


def open_files() -> tuple[int, int]:
    """Soft and hard limit; -1 is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return tuple(-1 if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard))  # type: ignore[return-value]


def packages() -> tuple[dict[str, str], dict[str, str]]:
    """Versions needed at least, and versions installed, by name."""
    required = dict.fromkeys(PACKAGES, "")
    try:
        needs = metadata.requires("flaredb") or []
    except metadata.PackageNotFoundError:
        needs = []
    for need in needs:
        name, _, least = need.partition(";")[0].strip().partition(">=")
        if name in required:
            required[name] = least.strip()
    installed = {}
    for name in required:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return required, installed
