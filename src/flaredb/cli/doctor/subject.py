"""The process that a configuration file is for: where it listens, how others reach it, where its data is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flaredb.server.settings import PdSettings, StoreSettings, load_pd_settings, load_store_settings
from flaredb.server.toml_file import read_toml

_OF_PD_ONLY = frozenset(
    {
        "name",
        "data-dir",
        "client-urls",
        "advertise-client-urls",
        "tso-save-interval",
        "replication",
        "schedule",
        "bootstrap",
    }
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Addresses are host:port, by the setting that has them."""

    kind: Literal["store", "pd"]
    data_dir: str
    pd_addresses: tuple[str, ...]
    listens: dict[str, str] = field(default_factory=dict)
    advertised: dict[str, str] = field(default_factory=dict)
    engine_files_max: int = 0


def load_subject(path: Path) -> Subject:
    """What a file describes: PD if it has settings that only PD has, else a store. Errors: ConfigError."""
    if _OF_PD_ONLY & read_toml(path).keys():
        return _of_pd(load_pd_settings(path, {}))
    return _of_store(load_store_settings(path, {}))


def _of_store(settings: StoreSettings) -> Subject:
    server = settings.server
    listens = {
        "server.addr": server.addr,
        "server.status-addr": server.status_addr,
        "server.peer-addr": settings.peer_addr,
    }
    advertised = {
        "server.advertise-addr": server.advertise_addr or server.addr,
        "server.advertise-status-addr": server.advertise_status_addr or server.status_addr,
        "server.advertise-peer-addr": server.advertise_peer_addr or settings.peer_addr,
    }
    files = settings.rocksdb.max_open_files
    return Subject("store", settings.storage.data_dir, settings.pd_addresses, listens, advertised, files)


def _of_pd(settings: PdSettings) -> Subject:
    addresses = settings.advertise_addresses or (settings.address,)
    return Subject(
        "pd",
        settings.data_path,
        (settings.address,),
        {"client-urls": settings.address},
        {"advertise-client-urls": addresses[0]},
    )
