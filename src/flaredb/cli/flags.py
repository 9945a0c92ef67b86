"""Flags: types of values that several commands take, and tables as a configuration file would have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from flaredb.model.errors import ConfigError


class SecondsType(click.ParamType):  # type: ignore[type-arg]
    """A time in seconds: "2", "0.5", or with a unit, "500ms", "1m30s"."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Seconds, more than 0."""
        if not isinstance(value, str):
            return value
        try:
            seconds = float(value)
        except ValueError:
            seconds = self._with_unit(value, param, context)
        if not 0 < seconds < float("inf"):
            self.fail(f'"{value}" is no time to wait: write seconds, such as 2, or 500ms', param, context)
        return seconds

    def _with_unit(self, value: str, param: click.Parameter | None, context: click.Context | None) -> float:
        from flaredb.model.units import parse_duration_ms

        try:
            return parse_duration_ms(value) / 1000
        except ValueError:
            self.fail(f'"{value}" is no time: write seconds, such as 2, or 500ms', param, context)


SECONDS = SecondsType()


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
