"""Ports and addresses, judged. Pure: what was observed goes in, findings come out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from flaredb.cli.doctor.findings import Finding, ok, problem, warning

WILDCARDS = ("", "0.0.0.0", "[::]", "::")


class Port(Enum):
    """What came of trying to listen on an address of the configuration."""

    FREE = auto()
    OURS = auto()
    """Somebody listens: the very process that this configuration is for."""

    TAKEN = auto()
    FORBIDDEN = auto()
    """The system lets only an administrator listen there."""

    NOT_HERE = auto()
    """The host is no address of this machine."""

    UNKNOWN_HOST = auto()


class Dialled(Enum):
    """What came of connecting to an address."""

    CONNECTED = auto()
    REFUSED = auto()
    SILENT = auto()
    UNKNOWN_HOST = auto()
    NOT_TRIED = auto()


@dataclass(frozen=True, slots=True)
class Advertised:
    """An address by which others are to reach this process, or one that a store gave to PD."""

    name: str
    """The setting that has it, or whose it is."""

    address: str
    dialled: Dialled = Dialled.NOT_TRIED
    is_loopback: bool = False
    is_own: bool = True
    """An address of this machine."""


def judge_port(setting: str, address: str, port: Port) -> Finding:
    """Whether the process can listen there."""
    number = address.rpartition(":")[2]
    host = address.rpartition(":")[0]
    if port == Port.FREE:
        return ok("ports", f"{address} is free for {setting}")
    if port == Port.OURS:
        return ok("ports", f"{address} ({setting}) is held by the process that this configuration is for: it runs")
    if port == Port.TAKEN:
        return problem(
            "ports",
            f"{address} is taken by another process, so {setting} cannot be served",
            f"see who has it by: ss -ltnp 'sport = :{number}'; end that process, or give {setting} another port",
        )
    if port == Port.FORBIDDEN:
        return problem(
            "ports",
            f"this user may not listen on {address}",
            f"give {setting} a port above 1023",
        )
    if port == Port.UNKNOWN_HOST:
        return problem("ports", f"the host of {setting} = {address} is not known here", f"write an address for {host}")
    return problem(
        "ports",
        f"{host} is no address of this machine, so {setting} cannot be served",
        f"set {setting} to 0.0.0.0:{number}, and its advertise- twin to {address}",
    )


def judge_advertised(item: Advertised, others: Collection[str], own_address: str, is_running: bool) -> Finding:
    """Whether others can reach this process by it.

    ``others``: hosts of PD and of the other stores that are not this machine. ``own_address``: how this machine is
    seen from there, "" if not known. ``is_running``: the process serves, so a refusal means something.
    """
    host, _, port = item.address.rpartition(":")
    better = f'set {item.name} = "{own_address or "HOST"}:{port}"'
    if not own_address:
        better += ", where HOST is how the others reach this machine"
    if host in WILDCARDS:
        return problem("advertise", f"{item.name} = {item.address}: nobody can dial a wildcard", better)
    if item.dialled == Dialled.UNKNOWN_HOST:
        return problem("advertise", f"{item.name} = {item.address}: this host is not known", better)
    if item.is_loopback:
        if others:
            return problem(
                "advertise",
                f"{item.name} = {item.address} is this machine alone, but {_some(others)} must reach it",
                better,
            )
        return ok("advertise", f"{item.name} = {item.address}: this machine alone, as is everybody it has to do with")
    if is_running and item.dialled in (Dialled.REFUSED, Dialled.SILENT):
        return problem(
            "advertise",
            f"{item.name} = {item.address} does not lead to this process ({_dialled(item.dialled)})",
            f"open port {port} in the firewall or forward it here, or {better}",
        )
    if not item.is_own and item.dialled != Dialled.CONNECTED:
        return warning(
            "advertise",
            f"{item.name} = {item.address} is no address of this machine",
            f"make sure that port {port} there is forwarded here, or {better}",
        )
    return ok("advertise", f"{item.name} = {item.address} can be reached")


def judge_store(store_id: int, items: Sequence[Advertised], is_seen_from_afar: bool, spread: bool) -> list[Finding]:
    """Whether the addresses that a store gave out lead anywhere; one finding if all have the same trouble.

    ``is_seen_from_afar``: PD is on another machine than this one. ``spread``: the cluster has several machines.
    """
    troubles = [(item, _trouble(item, is_seen_from_afar or spread)) for item in items]
    first = troubles[0][1]
    if first and len(items) > 1 and all(trouble == first for _, trouble in troubles):
        ports = ", ".join(item.address.rpartition(":")[2] for item in items)
        host = items[0].address.rpartition(":")[0]
        return [_unreached(store_id, f"store {store_id}", f"{host}, ports {ports}", first)]
    findings = []
    for item, trouble in troubles:
        if trouble:
            findings.append(_unreached(store_id, f"store {store_id} ({item.name})", item.address, trouble))
        else:
            findings.append(ok("reach", f"store {store_id} ({item.name}) can be reached at {item.address}"))
    return findings


class _Trouble(Enum):
    """Why an address does not lead to its store."""

    WILDCARD = auto()
    LOOPBACK = auto()
    UNKNOWN_HOST = auto()
    REFUSED = auto()
    SILENT = auto()


def _trouble(item: Advertised, has_other_machines: bool) -> _Trouble | None:
    if item.address.rpartition(":")[0] in WILDCARDS:
        return _Trouble.WILDCARD
    if item.is_loopback and has_other_machines:
        return _Trouble.LOOPBACK
    return {
        Dialled.UNKNOWN_HOST: _Trouble.UNKNOWN_HOST,
        Dialled.REFUSED: _Trouble.REFUSED,
        Dialled.SILENT: _Trouble.SILENT,
    }.get(item.dialled)


def _unreached(store_id: int, name: str, where: str, trouble: _Trouble) -> Finding:
    advertise = "set its server.advertise- addresses to what others reach, and start it again"
    what, fix = {
        _Trouble.WILDCARD: (f"{name} is known as {where}, which nobody can dial", advertise),
        _Trouble.LOOPBACK: (
            f"{name} is known as {where}, which on every other machine is that machine itself",
            advertise,
        ),
        _Trouble.UNKNOWN_HOST: (
            f"{name} is known as {where}, and that host is not known here",
            "add it to the name service (or /etc/hosts), or advertise a number",
        ),
        _Trouble.REFUSED: (
            f"{name} cannot be reached at {where}: nobody listens there",
            f"start it; if it never comes back, let it go by flaredb ctl store delete {store_id}",
        ),
        _Trouble.SILENT: (
            f"{name} cannot be reached at {where}: no answer",
            "look whether that machine runs, and whether a firewall stands before it",
        ),
    }[trouble]
    return problem("reach", what, fix)


def _dialled(dialled: Dialled) -> str:
    return {Dialled.REFUSED: "nobody listens there", Dialled.SILENT: "no answer"}.get(dialled, "not tried")


def _some(hosts: Collection[str]) -> str:
    found = sorted(hosts)
    return f"{found[0]} and {len(found) - 1} more" if len(found) > 2 else " and ".join(found)
