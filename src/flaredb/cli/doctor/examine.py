"""The examination: everything that is looked at, in its order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flaredb.cli.ctl.http import Pd, PdRefused, PdUnreachable
from flaredb.cli.doctor import judge_addresses as addresses
from flaredb.cli.doctor import judge_machine as machine
from flaredb.cli.doctor import observe
from flaredb.cli.doctor.findings import Finding, ok, problem, warning
from flaredb.cli.doctor.judge_addresses import Advertised, Dialled, Port
from flaredb.cli.doctor.subject import Subject, load_subject
from flaredb.cli.grammar import DEFAULT_PD
from flaredb.cli.status.gather import list_stores, store_of
from flaredb.cli.status.words import count
from flaredb.cli.store_pages import ask_store, is_loopback, is_own_host
from flaredb.model.errors import ConfigError, FlareDBError


def examine(config: Path | None, data_dir: Path | None, urls: str) -> Iterator[Finding]:
    """All findings, as they are made. ``urls``: where PD is, "" for what the configuration says, or the usual place.

    Errors: ConfigError for ``urls`` that are none.
    """
    subject = None
    if config is not None:
        try:
            subject = load_subject(config)
            yield ok("config", f"{config} can be used: it is for a {'store' if subject.kind == 'store' else 'PD'}")
        except ConfigError as error:
            yield problem("config", str(error), "mend that, and look again")
    where = urls or (",".join(subject.pd_addresses) if subject else DEFAULT_PD)
    pd = Pd(where)
    yield from _versions()
    yield from _machine(subject, data_dir)
    running = False
    if subject is not None:
        running = _runs(subject)
        yield from _ports(subject, running)
    stores: list[dict[str, Any]] = []
    answers = False
    try:
        stores = list_stores(pd)
        answers = True
        yield ok("pd", f"PD answers at {where}")
    except (PdUnreachable, PdRefused) as error:
        if subject is not None and subject.kind == "pd" and not running:
            yield warning("pd", "PD does not run", "start it: flaredb pd --config FILE")
        else:
            what = str(error).partition(": name its address")[0]
            yield problem("pd", what, "start it by flaredb pd, or name where it is by --pd or FLAREDB_URL")
    if subject is not None:
        yield from _advertised(subject, stores, pd, running)
    if answers:
        yield from _clock(pd)
        yield from _members(stores, pd)


def _versions() -> Iterator[Finding]:
    yield machine.judge_python(sys.version_info[:2])
    yield from machine.judge_packages(*observe.packages())


def _machine(subject: Subject | None, data_dir: Path | None) -> Iterator[Finding]:
    yield machine.judge_files(*observe.open_files(), subject.engine_files_max if subject else _USUAL_ENGINE_FILES)
    path = data_dir or (Path(subject.data_dir) if subject else None)
    if path is None:
        return
    there = observe.existing_part(path)
    yield machine.judge_disk(str(path), *observe.disk_bytes(there))
    try:
        yield machine.judge_sync(str(path), observe.sync_seconds(there), observe.filesystem_of(there))
    except OSError as error:
        yield machine.judge_sync(str(there), (), "", error.strerror or str(error))


_USUAL_ENGINE_FILES = 512


def _runs(subject: Subject) -> bool:
    """True if the process that this configuration is for serves already: it says so itself."""
    if subject.kind == "pd":
        return ask_store(_dialable(subject.listens["client-urls"]), "/pd/api/v1/version").answered
    page = ask_store(_dialable(subject.listens["server.status-addr"]), "/config")
    try:
        return bool(page.answered and json.loads(page.text)["storage"]["data-dir"] == subject.data_dir)
    except (ValueError, KeyError, TypeError):
        return False


def _ports(subject: Subject, running: bool) -> Iterator[Finding]:
    findings = []
    for setting, address in subject.listens.items():
        port = observe.try_port(address)
        findings.append(addresses.judge_port(setting, address, Port.OURS if running and port == Port.TAKEN else port))
    where = ", ".join(subject.listens.values())
    yield from _bad_or_summary(
        findings, "ports", f"it runs already, at {where}" if running else f"free to listen on: {where}"
    )


def _advertised(subject: Subject, stores: list[dict[str, Any]], pd: Pd, running: bool) -> Iterator[Finding]:
    hosts = {_host(item["store"].get("address", "")) for item in stores} | {*pd.hosts}
    others = {host for host in hosts if host not in addresses.WILDCARDS and not is_own_host(host)}
    own = observe.own_address_towards(min(others)) if others else ""
    looks = [_look(setting, address, running) for setting, address in subject.advertised.items()]
    findings = [addresses.judge_advertised(look, others, own, running) for look in looks]
    alone = all(look.is_loopback for look in looks)
    summary = "this machine alone, as is everybody it has to do with" if alone else "can be reached"
    yield from _bad_or_summary(findings, "advertise", f"{', '.join(subject.advertised.values())}: {summary}")


def _look(name: str, address: str, dial: bool) -> Advertised:
    host = _host(address)
    dialled = observe.dial(address) if dial and host not in addresses.WILDCARDS else Dialled.NOT_TRIED
    return Advertised(name, address, dialled, is_loopback(host), is_own_host(host))


def _clock(pd: Pd) -> Iterator[Finding]:
    import grpc

    from flaredb.cli.doctor.pd_clock import clock_samples

    try:
        yield machine.judge_clock(clock_samples(pd.addresses))
    except (FlareDBError, TimeoutError, grpc.RpcError):
        yield machine.judge_clock(())


def _members(stores: list[dict[str, Any]], pd: Pd) -> Iterator[Finding]:
    afar = not any(is_own_host(host) for host in pd.hosts)
    hosts = {_host(item["store"].get("address", "")) for item in stores}
    spread = len(hosts) > 1
    findings = []
    for item in stores:
        meta, status = item["store"], item.get("status") or {}
        looks = [_look(name, address, True) for name, address in _addresses(meta)]
        findings += addresses.judge_store(meta["id"], looks, afar, spread)
        findings += _store_disk(meta, status)
    yield from _bad_or_summary(
        findings, "reach", f"{count(len(stores), 'store')} can be reached at all their addresses"
    )
    versions = {int(item["store"]["id"]): item["store"].get("version", "") for item in stores}
    try:
        yield machine.judge_cluster_versions(str(pd.get("/version").get("version", "")), versions)
    except PdRefused:
        return


def _addresses(meta: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind, field in (("clients", "address"), ("other stores", "peer_address"), ("status", "status_address")):
        if meta.get(field):
            yield kind, meta[field]


def _store_disk(meta: dict[str, Any], status: dict[str, Any]) -> list[Finding]:
    store = store_of({"store": meta, "status": status}, {}, 0.0)
    if not store.capacity_bytes:
        return []
    found = machine.judge_disk(f"store {store.id}", store.available_bytes, store.capacity_bytes)
    return [found] if found.severity else []


def _bad_or_summary(findings: list[Finding], check: str, summary: str) -> Iterator[Finding]:
    """What is well is told in one line."""
    bad = [finding for finding in findings if finding.severity]
    if findings and not bad:
        yield ok(check, summary)
    yield from bad


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _dialable(address: str) -> str:
    """An address that is bound to a wildcard is dialled on this machine."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in addresses.WILDCARDS else address
