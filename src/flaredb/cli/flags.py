"""Flags into the nested tables that a configuration file would have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaredb.model.errors import ConfigError


def tables_of(flags: Mapping[str, object]) -> dict[str, Any]:
    """Tables of dotted keys: {"server.addr": "x"} -> {"server": {"addr": "x"}}; a flag that was not given is None."""
    tables: dict[str, Any] = {}
    for path, value in flags.items():
        if value is None:
            continue
        *sections, key = path.split(".")
        table = tables
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = value
    return tables


def comma_list(text: str | None) -> list[str] | None:
    """The parts of "a,b"; spaces around a part do not count."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def labels(text: str | None) -> dict[str, str] | None:
    """Labels as tikv-server takes them: "zone=east,host=h1".

    Errors: ConfigError for a part without "=".
    """
    parts = comma_list(text)
    if parts is None:
        return None
    pairs = [part.partition("=") for part in parts]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ConfigError(
                f'--labels "{text}": write name=value pairs with commas between, such as zone=east,host=h1'
            )
    return {name: value for name, _, value in pairs}
