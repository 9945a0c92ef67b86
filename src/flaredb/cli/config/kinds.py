"""Whose configuration a file is: a store's or PD's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flaredb.model.errors import ConfigError
from flaredb.server.settings import PdSettings, StoreSettings, load_pd_settings, load_store_settings
from flaredb.server.toml_file import read_toml

Settings = StoreSettings | PdSettings
KINDS = ("store", "pd")
NAMES = {"store": "a store", "pd": "PD"}


def load(kind: str, path: Path | None, profile: str | None = None) -> Settings:
    """The settings of a kind of server with this file.

    Errors: ConfigError for anything that is not right, with the name of the file.
    """
    try:
        return _load(kind, path, profile)
    except ConfigError as error:
        if path is None or str(path) in str(error):
            raise
        raise ConfigError(f"{path}: {error}") from error


def _load(kind: str, path: Path | None, profile: str | None) -> Settings:
    if kind == "store":
        return load_store_settings(path, {} if profile is None else {"profile": profile})
    if profile is not None:
        raise ConfigError("PD has no profiles: leave --profile out, or say --for store")
    return load_pd_settings(path, {})


def kinds_of(path: Path) -> list[str]:
    """Those whose configuration a file can be.

    Errors: ConfigError for a file that cannot be read, or is right for neither; the complaint is that of the server
    that more of its sections belong to.
    """
    tables = read_toml(path)
    found: list[str] = []
    complaints: dict[str, ConfigError] = {}
    for kind in KINDS:
        try:
            load(kind, path)
        except ConfigError as error:
            complaints[kind] = error
        else:
            found.append(kind)
    if not found:
        raise complaints[max(KINDS, key=lambda kind: _known(kind, tables))]
    return found


def _known(kind: str, tables: Mapping[str, Any]) -> int:
    sections = (StoreSettings() if kind == "store" else PdSettings()).to_dict()
    return sum(section in sections for section in tables)
