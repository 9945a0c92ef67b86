"""The machine, judged: its clock, disk, limits and packages. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flaredb.cli.doctor.findings import Finding, ok, problem, warning
from flaredb.cli.status.view import size
from flaredb.model.limits import MIB

CLOCK_WARN_S = 0.5
CLOCK_PROBLEM_S = 5.0

SYNC_WARN_MS = 10.0
SYNC_PROBLEM_MS = 100.0
SYNC_SUSPICIOUS_MS = 0.005
"""No storage is that quick: the sync does not reach any."""

MEMORY_FILESYSTEMS = ("tmpfs", "ramfs")
NETWORK_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "glusterfs", "fuse.glusterfs")

FILES_SPARE = 1_000
"""File descriptors beside the engine's: connections, logs, snapshots."""

FILES_USUAL = 65_536

FREE_PROBLEM = 0.05
FREE_BYTES_PROBLEM = 512 * MIB


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One question to PD: our clock before and after, PD's time between; unix seconds."""

    asked_s: float
    answered_s: float
    pd_s: float

    @property
    def ahead_s(self) -> float:
        """Our clock less PD's, as if the question had taken as long as the answer."""
        return (self.asked_s + self.answered_s) / 2 - self.pd_s

    @property
    def doubt_s(self) -> float:
        """The truth is within this of ``ahead_s``; a millisecond for PD's own grain."""
        return (self.answered_s - self.asked_s) / 2 + 0.001


def judge_clock(samples: Sequence[ClockSample]) -> Finding:
    """Our clock against PD's timestamps; the quickest answer counts, as it leaves the least doubt."""
    if not samples:
        return warning(
            "clock", "the clock could not be compared with PD's: PD gives no timestamps", "start PD, and look again"
        )
    best = min(samples, key=lambda sample: sample.doubt_s)
    shown = f"{abs(best.ahead_s) * 1_000:,.0f} ms {'ahead of' if best.ahead_s > 0 else 'behind'} PD's"
    sure_s = abs(best.ahead_s) - best.doubt_s
    fix = "keep it set by NTP: timedatectl set-ntp true, or install chrony, on this machine and on PD's"
    if sure_s > CLOCK_PROBLEM_S:
        return problem(
            "clock", f"this machine's clock is {shown}: times in logs and timestamps cannot be compared", fix
        )
    if sure_s > CLOCK_WARN_S:
        return warning("clock", f"this machine's clock is {shown}", fix)
    return ok(
        "clock", f"this machine's clock agrees with PD's timestamps (within {_ms(max(0, sure_s) + best.doubt_s)})"
    )


def judge_sync(path: str, seconds: Sequence[float], filesystem: str, error: str = "") -> Finding:
    """How long the data directory takes to make a small write durable; ``filesystem`` is its type, "" if not known."""
    if error:
        return problem(
            "fsync",
            f"{path} cannot be written: {error}",
            "give the directory to the user that runs the store, or choose another storage.data-dir",
        )
    median_ms, most_ms = statistics.median(seconds) * 1_000, max(seconds) * 1_000
    shown = f"a synced write to {path} takes {median_ms:.2f} ms (at most {most_ms:.1f} ms of {len(seconds)})"
    if filesystem in MEMORY_FILESYSTEMS:
        return problem(
            "fsync",
            f"{path} is in memory ({filesystem}): all data is lost with the machine's next start",
            "set storage.data-dir to a directory on a disk",
        )
    if filesystem in NETWORK_FILESYSTEMS:
        return warning(
            "fsync",
            f"{path} is on a network file system ({filesystem}); {shown}",
            "set storage.data-dir to a local disk: every write waits for its sync",
        )
    if median_ms > SYNC_PROBLEM_MS:
        return problem("fsync", f"{shown}; every write waits for two of these", "put the data on an SSD of its own")
    if median_ms > SYNC_WARN_MS:
        return warning("fsync", f"{shown}; every write waits for two of these", "put the data on an SSD of its own")
    if median_ms < SYNC_SUSPICIOUS_MS:
        return warning(
            "fsync",
            f"{shown}: no disk is that quick",
            "look whether syncs are switched off (mount options, libeatmydata, the hypervisor's cache mode)",
        )
    return ok("fsync", shown)


def judge_files(soft: int, hard: int, engine_files_max: int) -> Finding:
    """The limit of open files; -1 is none. ``engine_files_max``: rocksdb.max-open-files, -1 for no limit."""
    needed = (FILES_USUAL if engine_files_max < 0 else engine_files_max) + FILES_SPARE
    shown = "without limit" if soft < 0 else f"{soft:,}"
    if soft < 0 or soft >= needed:
        return ok("files", f"open files: {shown} allowed, {needed:,} are enough")
    wanted = max(needed, FILES_USUAL)
    fix = f"LimitNOFILE={wanted} in the systemd unit, or "
    if hard < 0 or hard >= needed:
        fix += f"ulimit -n {wanted if hard < 0 else min(hard, wanted)} before the start"
    else:
        fix += f"a nofile line in /etc/security/limits.conf: the hard limit is {hard:,}"
    if soft < needed // 2:
        return problem("files", f"open files: {shown} allowed, {needed:,} may be needed", fix)
    return warning("files", f"open files: {shown} allowed, {needed:,} may be needed", fix)


def judge_disk(path: str, free_bytes: int, total_bytes: int, low_space_ratio: float = 0.8) -> Finding:
    """Room for the data. ``low_space_ratio``: PD's setting, above which it gives a store no more replicas."""
    share = free_bytes / total_bytes if total_bytes else 0.0
    shown = f"{size(free_bytes)} of {size(total_bytes)} are free at {path} ({100 * share:.0f} %)"
    if share < FREE_PROBLEM or free_bytes < FREE_BYTES_PROBLEM:
        return problem("disk", f"{shown}; a store whose disk is full stops", "make room, or move the data directory")
    if share < 1 - low_space_ratio:
        return warning(
            "disk",
            f"{shown}; PD gives no more replicas to a store that is {100 * low_space_ratio:.0f} % full",
            "make room, add a store, or raise PD's schedule.low-space-ratio",
        )
    return ok("disk", shown)


def judge_packages(required: Mapping[str, str], installed: Mapping[str, str]) -> list[Finding]:
    """Packages that are needed. ``required``: the least version by name, "" for any."""
    shown, findings = [], []
    for name, least in required.items():
        version = installed.get(name, "")
        fix = f"pip install --upgrade '{name}{f'>={least}' if least else ''}'"
        if not version:
            findings.append(problem("versions", f"{name} is not installed", fix))
        elif least and _numbers(version) < _numbers(least):
            findings.append(problem("versions", f"{name} {version} is installed, {least} is needed", fix))
        else:
            shown.append(f"{name} {version}")
    return [ok("versions", ", ".join(shown)), *findings] if shown else findings


def judge_python(running: tuple[int, int], least: tuple[int, int] = (3, 11)) -> Finding:
    """The interpreter."""
    text = ".".join(map(str, running))
    if running < least:
        wanted = ".".join(map(str, least))
        return problem("versions", f"Python {text} runs this, {wanted} is needed", f"install Python {wanted} or newer")
    return ok("versions", f"Python {text}")


def judge_cluster_versions(pd: str, stores: Mapping[int, str]) -> Finding:
    """Versions of the protocol that PD and the stores speak, by store id."""
    found = sorted({version for version in stores.values() if version})
    if len(found) > 1:
        old = [store_id for store_id, version in stores.items() if version == min(found, key=_numbers)]
        which = f"store{'' if len(old) == 1 else 's'} {', '.join(map(str, sorted(old)))}"
        return warning("versions", f"stores speak different versions: {', '.join(found)}", f"bring {which} up to date")
    spoken = f"PD speaks {pd}" + (f", all stores speak {found[0]}" if found else "")
    return ok("versions", spoken)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _ms(seconds: float) -> str:
    return f"{seconds * 1_000:.0f} ms" if seconds >= 0.001 else "1 ms"
