"""Settings of scheduling that change while PD runs: names and defaults are PD's (wire facts 5)."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from flaredb.model import units
from flaredb.model.errors import ConfigError

UNLIMITED_PER_MINUTE = 100_000_000.0
"""A store limit that never holds anything back, as PD writes it."""

REPLICAS_MAX = 63
NUMBER_MAX = 10**12
"""Of any setting; in milliseconds 31 years."""

LABELS_CHARACTERS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Replaced as a whole when a setting changes. Times in milliseconds."""

    max_store_down_time_ms: int = 30 * 60_000
    """Silence after which a store is down: its replicas are replaced."""

    leader_schedule_limit: int = 4
    """Operators of balance-leader at a time; 0 stops it."""

    region_schedule_limit: int = 2048
    """Operators of balance-region at a time; 0 stops it."""

    replica_schedule_limit: int = 64
    """Repairs at a time; 0 stops them."""

    max_snapshot_count: int = 64
    """A store that sends, receives or applies more snapshots is left alone."""

    max_pending_peer_count: int = 64
    """A store with more replicas that lag gets no further ones."""

    store_limit: float = 15.0
    """Peers a minute that may be added to a store, and as many removed from it."""

    low_space_ratio: float = 0.8
    """A store fuller than this gets no further replicas."""

    tolerant_size_ratio: float = 0.0
    """Difference in region sizes that balance-region leaves alone, in average regions; 0: less than one move mends."""

    patrol_region_interval_ms: int = 10
    """Pause between two lots of regions that are checked, while there is something to do."""

    enable_joint_consensus: bool = True
    enable_remove_down_replica: bool = True
    enable_replace_offline_replica: bool = True
    enable_make_up_replica: bool = True
    enable_remove_extra_replica: bool = True
    enable_location_replacement: bool = True
    halt_scheduling: bool = False
    """Stop everything but orders by people."""

    max_replicas: int = 3
    location_labels: tuple[str, ...] = ()
    """Store labels from the widest place to the narrowest, such as zone, host: replicas are kept apart by them."""

    def validate(self) -> None:
        """Raise ConfigError for the first thing that cannot work, saying what to change."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and value < 0:
                raise ConfigError(f"{kebab(field.name)} = {value} must not be negative")
            if isinstance(value, int | float) and value > NUMBER_MAX:
                raise ConfigError(f"{kebab(field.name)} = {value} must be at most {NUMBER_MAX}")
        if sum(map(len, self.location_labels)) > LABELS_CHARACTERS_MAX:
            raise ConfigError(f"location-labels must have at most {LABELS_CHARACTERS_MAX} characters together")
        if not 1 <= self.max_replicas <= REPLICAS_MAX:
            raise ConfigError(f"max-replicas = {self.max_replicas} must be 1 to {REPLICAS_MAX}")
        if not 0 < self.low_space_ratio <= 1:
            raise ConfigError(f"low-space-ratio = {self.low_space_ratio} must be above 0 and at most 1")
        if self.max_store_down_time_ms < 1:
            raise ConfigError("max-store-down-time must be above 0")
        if self.patrol_region_interval_ms < 1:
            raise ConfigError("patrol-region-interval must be at least 1ms")


REPLICATION_FIELDS = ("max_replicas", "location_labels")


def kebab(field_name: str) -> str:
    """The name people use: "max_store_down_time_ms" -> "max-store-down-time"."""
    return field_name.removesuffix("_ms").replace("_", "-")


_FIELDS = {kebab(field.name): field.name for field in fields(ScheduleConfig)}
_DEFAULTS = ScheduleConfig()


def changed(config: ScheduleConfig, changes: Iterable[tuple[str, Any]]) -> ScheduleConfig:
    """The configuration with the changes made; names and values as SetScheduleConfig takes them.

    Errors: ConfigError naming the nearest name, or what the value must be.
    """
    values = {}
    for name, value in changes:
        field = field_of(name)
        values[field] = parse_value(name, field, value)
    new = replace(config, **values)
    new.validate()
    return new


def field_of(name: str) -> str:
    """The field of a kebab-case name. Errors: ConfigError naming the nearest one."""
    bare = name.removeprefix("schedule.").removeprefix("replication.").replace("_", "-")
    if bare not in _FIELDS:
        near = difflib.get_close_matches(bare, _FIELDS, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(sorted(_FIELDS))
        raise ConfigError(f"there is no setting {name}; {hint}")
    return _FIELDS[bare]


def parse_value(name: str, field: str, value: Any) -> Any:
    """The value as the field holds it. Errors: ConfigError saying what it must be."""
    kind, parse = _parser(field)
    try:
        return parse(value)
    except (AttributeError, OverflowError, TypeError, ValueError):
        raise ConfigError(f"{name} = {value!r} is not allowed: it must be {kind}") from None


def tables(config: ScheduleConfig) -> dict[str, dict[str, Any]]:
    """The settings as GetScheduleConfig answers them."""
    found: dict[str, dict[str, Any]] = {"schedule": {}, "replication": {}}
    for name, field in _FIELDS.items():
        table = found["replication" if field in REPLICATION_FIELDS else "schedule"]
        table[name] = shown(field, getattr(config, field))
    return found


def shown(field: str, value: Any) -> Any:
    """A value as people write it: durations and lists as text."""
    if field.endswith("_ms"):
        return units.format_duration(value)
    return ",".join(value) if isinstance(value, tuple) else value


def _parser(field: str) -> tuple[str, Callable[[Any], Any]]:
    if field.endswith("_ms"):
        return units.DURATION_EXAMPLES, _duration_ms
    default = getattr(_DEFAULTS, field)
    if isinstance(default, bool):
        return "true or false", _bool
    if isinstance(default, int):
        return "a whole number", _int
    if isinstance(default, float):
        return "a number", _float
    return 'names separated by commas, such as "zone,host"', _names


def _duration_ms(value: Any) -> int:
    return units.parse_duration_ms(str(value).strip())


def _bool(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        raise ValueError(value)
    return word == "true"


def _int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError(value)
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError(value)
    return float(value)


def _names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else list(value)
    names = tuple(part.strip() for part in parts if part.strip())
    if len(set(names)) < len(names):
        raise ValueError(value)
    return names
