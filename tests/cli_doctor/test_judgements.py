"""What the doctor makes of what it sees."""

from __future__ import annotations

import pytest

from flaredb.cli.doctor.findings import Finding, Severity, ok, problem, warning, worst
from flaredb.cli.doctor.judge_addresses import Advertised, Dialled, Port, judge_advertised, judge_port, judge_store
from flaredb.cli.doctor.judge_machine import (
    ClockSample,
    judge_clock,
    judge_cluster_versions,
    judge_disk,
    judge_files,
    judge_packages,
    judge_python,
    judge_sync,
)

OK, WARNING, PROBLEM = Severity.OK, Severity.WARNING, Severity.PROBLEM
GIB = 1 << 30

PORTS = [
    ("nobody listens there", Port.FREE, OK, ""),
    ("the process runs already", Port.OURS, OK, ""),
    ("somebody else has it", Port.TAKEN, PROBLEM, "ss -ltnp 'sport = :20160'"),
    ("a port below 1024", Port.FORBIDDEN, PROBLEM, "above 1023"),
    (
        "an address of another machine",
        Port.NOT_HERE,
        PROBLEM,
        "set server.addr to 0.0.0.0:20160, and its advertise- twin",
    ),
    ("a host that nobody knows", Port.UNKNOWN_HOST, PROBLEM, "write an address for h1"),
]


@pytest.mark.parametrize(("case", "port", "severity", "fix"), PORTS, ids=[row[0] for row in PORTS])
def test_ports(case: str, port: Port, severity: Severity, fix: str) -> None:
    found = judge_port("server.addr", "h1:20160", port)
    assert (found.check, found.severity) == ("ports", severity)
    assert fix in found.fix
    assert "h1" in found.what


def advertised(
    address: str, dialled: Dialled = Dialled.NOT_TRIED, loopback: bool = False, own: bool = True
) -> Advertised:
    return Advertised("server.advertise-addr", address, dialled, loopback, own)


LOOPBACK = advertised("127.0.0.1:20160", loopback=True)
ADVERTISED = [
    ("nobody can dial a wildcard", advertised("0.0.0.0:20160"), set(), False, PROBLEM, '"10.0.0.7:20160"'),
    ("loopback, and everybody is here", LOOPBACK, set(), False, OK, ""),
    ("loopback, and others are elsewhere", LOOPBACK, {"10.0.0.1"}, False, PROBLEM, '"10.0.0.7:20160"'),
    ("an address of this machine, not started yet", advertised("10.0.0.7:20160"), {"10.0.0.1"}, False, OK, ""),
    (
        "it runs, and can be dialled",
        advertised("10.0.0.7:20160", Dialled.CONNECTED),
        {"10.0.0.1"},
        True,
        OK,
        "",
    ),
    (
        "it runs, and a firewall stands before it",
        advertised("10.0.0.7:20160", Dialled.SILENT),
        {"10.0.0.1"},
        True,
        PROBLEM,
        "open port 20160 in the firewall",
    ),
    (
        "it runs behind a forwarded address that works",
        advertised("203.0.113.9:20160", Dialled.CONNECTED, own=False),
        {"10.0.0.1"},
        True,
        OK,
        "",
    ),
    (
        "an address of some other machine",
        advertised("203.0.113.9:20160", own=False),
        {"10.0.0.1"},
        False,
        WARNING,
        "make sure that port 20160 there is forwarded here",
    ),
    (
        "a name that is not known",
        advertised("h9:20160", Dialled.UNKNOWN_HOST, own=False),
        set(),
        True,
        PROBLEM,
        "set server.advertise-addr",
    ),
]


@pytest.mark.parametrize(
    ("case", "item", "others", "running", "severity", "fix"), ADVERTISED, ids=[row[0] for row in ADVERTISED]
)
def test_advertised_addresses(
    case: str, item: Advertised, others: set[str], running: bool, severity: Severity, fix: str
) -> None:
    found = judge_advertised(item, others, "10.0.0.7", running)
    assert (found.check, found.severity) == ("advertise", severity)
    assert fix in found.fix


def test_an_address_that_one_cannot_know_is_left_to_the_reader() -> None:
    found = judge_advertised(LOOPBACK, {"a", "b", "c"}, "", False)
    assert "a and 2 more must reach it" in found.what
    assert found.fix.endswith('"HOST:20160", where HOST is how the others reach this machine')


def of_store(address: str, dialled: Dialled, name: str = "clients", loopback: bool = False) -> Advertised:
    return Advertised(name, address, dialled, loopback)


UP = of_store("h1:20160", Dialled.CONNECTED)
STORES = [
    ("it can be reached", [UP], False, [(OK, "store 1 (clients) can be reached at h1:20160")]),
    (
        "it is down: one finding for all of its ports",
        [of_store("h1:20160", Dialled.REFUSED), of_store("h1:20170", Dialled.REFUSED, "other stores")],
        True,
        [(PROBLEM, "store 1 cannot be reached at h1, ports 20160, 20170: nobody listens there")],
    ),
    (
        "one of its ports is shut",
        [UP, of_store("h1:20170", Dialled.SILENT, "other stores")],
        True,
        [
            (OK, "store 1 (clients) can be reached at h1:20160"),
            (PROBLEM, "store 1 (other stores) cannot be reached at h1:20170: no answer"),
        ],
    ),
    (
        "a loopback address, on a machine that is the whole cluster",
        [of_store("127.0.0.1:20160", Dialled.CONNECTED, loopback=True)],
        False,
        [(OK, "store 1 (clients) can be reached at 127.0.0.1:20160")],
    ),
    (
        "a loopback address in a cluster of several machines, though something answers here",
        [of_store("127.0.0.1:20160", Dialled.CONNECTED, loopback=True)],
        True,
        [
            (
                PROBLEM,
                "store 1 (clients) is known as 127.0.0.1:20160, which on every other machine is that machine itself",
            )
        ],
    ),
    (
        "a wildcard",
        [of_store("0.0.0.0:20160", Dialled.NOT_TRIED)],
        False,
        [(PROBLEM, "store 1 (clients) is known as 0.0.0.0:20160, which nobody can dial")],
    ),
    (
        "a name that is not known",
        [of_store("h9:20160", Dialled.UNKNOWN_HOST)],
        True,
        [(PROBLEM, "store 1 (clients) is known as h9:20160, and that host is not known here")],
    ),
]


@pytest.mark.parametrize(("case", "items", "spread", "expected"), STORES, ids=[row[0] for row in STORES])
def test_reaching_a_store(
    case: str, items: list[Advertised], spread: bool, expected: list[tuple[Severity, str]]
) -> None:
    found = judge_store(1, items, False, spread)
    assert [(item.severity, item.what) for item in found] == expected
    assert all(item.fix for item in found if item.severity)


def clock(ahead_s: float, took_s: float = 0.002) -> ClockSample:
    return ClockSample(100.0, 100.0 + took_s, 100.0 + took_s / 2 - ahead_s)


CLOCKS = [
    ("it agrees", [clock(0.0)], OK, "agrees with PD's timestamps (within 2 ms)"),
    ("a little ahead", [clock(0.3)], OK, "agrees with PD's timestamps (within 300 ms)"),
    ("ahead", [clock(0.8)], WARNING, "is 800 ms ahead of PD's"),
    ("behind", [clock(-0.8)], WARNING, "is 800 ms behind PD's"),
    ("far behind", [clock(-60)], PROBLEM, "is 60,000 ms behind PD's"),
    ("PD answers too slowly to be sure", [clock(0.8, 2.0)], OK, "agrees"),
    ("the quickest answer counts", [clock(0.8, 2.0), clock(0.6, 0.002)], WARNING, "is 600 ms ahead"),
    ("PD gives no timestamps", [], WARNING, "could not be compared"),
]


@pytest.mark.parametrize(("case", "samples", "severity", "words"), CLOCKS, ids=[row[0] for row in CLOCKS])
def test_clock(case: str, samples: list[ClockSample], severity: Severity, words: str) -> None:
    found = judge_clock(samples)
    assert (found.check, found.severity) == ("clock", severity)
    assert words in found.what
    assert bool(found.fix) == bool(severity)


SYNCS = [
    ("an SSD", [0.0004] * 20, "ext4", "", OK, "takes 0.40 ms"),
    ("one slow sync among quick ones is told, not judged", [0.0004] * 19 + [0.2], "ext4", "", OK, "at most 200.0 ms"),
    ("a turning disk", [0.015] * 20, "xfs", "", WARNING, "takes 15.00 ms"),
    ("a disk that suffers", [0.2] * 5, "xfs", "", PROBLEM, "takes 200.00 ms"),
    ("memory", [0.0001] * 20, "tmpfs", "", PROBLEM, "is in memory (tmpfs)"),
    ("somewhere else", [0.002] * 20, "nfs4", "", WARNING, "network file system (nfs4)"),
    ("syncs that do nothing", [0.000001] * 20, "ext4", "", WARNING, "no disk is that quick"),
    ("not ours", [], "", "Permission denied", PROBLEM, "/data cannot be written: Permission denied"),
]


@pytest.mark.parametrize(("case", "seconds", "kind", "error", "severity", "words"), SYNCS, ids=[r[0] for r in SYNCS])
def test_sync(case: str, seconds: list[float], kind: str, error: str, severity: Severity, words: str) -> None:
    found = judge_sync("/data", seconds, kind, error)
    assert (found.check, found.severity) == ("fsync", severity)
    assert words in found.what
    assert bool(found.fix) == bool(severity)


FILES = [
    ("plenty", 20_000, 100_000, 512, OK, ""),
    ("no limit", -1, -1, 512, OK, ""),
    ("a little short, and may be raised", 1_024, 1_048_576, 512, WARNING, "ulimit -n 65536 before the start"),
    ("far too few", 256, 1_048_576, 512, PROBLEM, "ulimit -n 65536"),
    ("and may not be raised", 1_024, 1_024, 512, WARNING, "/etc/security/limits.conf: the hard limit is 1,024"),
    ("an engine that keeps every file open", 20_000, -1, -1, PROBLEM, "LimitNOFILE=66536"),
]


@pytest.mark.parametrize(("case", "soft", "hard", "engine", "severity", "fix"), FILES, ids=[row[0] for row in FILES])
def test_open_files(case: str, soft: int, hard: int, engine: int, severity: Severity, fix: str) -> None:
    found = judge_files(soft, hard, engine)
    assert (found.check, found.severity) == ("files", severity)
    assert fix in found.fix


DISKS = [
    ("room", 500 * GIB, 1000 * GIB, OK),
    ("fuller than PD likes", 150 * GIB, 1000 * GIB, WARNING),
    ("nearly full", 40 * GIB, 1000 * GIB, PROBLEM),
    ("a small disk with a fair share but no room", GIB // 4, GIB, PROBLEM),
    ("nothing is known of it", 0, 0, PROBLEM),
]


@pytest.mark.parametrize(("case", "free", "total", "severity"), DISKS, ids=[row[0] for row in DISKS])
def test_disk(case: str, free: int, total: int, severity: Severity) -> None:
    found = judge_disk("/data", free, total)
    assert (found.check, found.severity) == ("disk", severity)
    assert bool(found.fix) == bool(severity)


PACKAGES = [
    ("all there", {"grpcio": "1.85.3"}, [ok("versions", "grpcio 1.85.3")]),
    (
        "too old, though its text sorts behind",
        {"grpcio": "1.9.0"},
        [problem("versions", "grpcio 1.9.0 is installed, 1.66 is needed", "pip install --upgrade 'grpcio>=1.66'")],
    ),
    ("missing", {}, [problem("versions", "grpcio is not installed", "pip install --upgrade 'grpcio>=1.66'")]),
]


@pytest.mark.parametrize(("case", "installed", "expected"), PACKAGES, ids=[row[0] for row in PACKAGES])
def test_packages(case: str, installed: dict[str, str], expected: list[Finding]) -> None:
    assert judge_packages({"grpcio": "1.66"}, installed) == expected


def test_interpreter() -> None:
    assert judge_python((3, 14)) == ok("versions", "Python 3.14")
    assert judge_python((3, 9)).severity == PROBLEM


def test_versions_of_the_cluster() -> None:
    assert judge_cluster_versions("6.5.0", {1: "6.5.0", 2: "6.5.0"}).what == "PD speaks 6.5.0, all stores speak 6.5.0"
    found = judge_cluster_versions("6.10.0", {1: "6.10.0", 2: "6.5.0"})
    assert found == warning("versions", "stores speak different versions: 6.10.0, 6.5.0", "bring store 2 up to date")


def test_worst_is_the_exit_status() -> None:
    assert worst([]) == 0
    assert worst([ok("a", "b"), problem("a", "b", "c"), warning("a", "b", "c")]) == 2
