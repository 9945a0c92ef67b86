"""Options of a run by name: what ``flaredb sim --set stores=3 --set faults.crash_ms=0`` means.

Names are those of options.py, with a dot before a field of a part. Whatever else must change with a value so that the
run can work changes with it: fewer stores are fewer replicas, and PD is told of both.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from flaredb.model.errors import ConfigError
from flaredb.sim.options import SimOptions, draw, split_keys


def drawn(seed: int, seconds: int, settings: Iterable[str] = ()) -> SimOptions:
    """The options of a seed, some of them set by "name=value". Errors: ConfigError that names the nearest option."""
    options = draw(seed, seconds)
    for setting in settings:
        options = with_setting(options, setting)
    return options


def command(seed: int, seconds: int, settings: Iterable[str]) -> str:
    """The command line that runs it again."""
    return " ".join(["flaredb sim", f"--seed {seed}", f"--seconds {seconds}", *(f"--set {item}" for item in settings)])


def with_setting(options: SimOptions, setting: str) -> SimOptions:
    """The options with "name=value" set. Errors: ConfigError."""
    name, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f'--set "{setting}": write name=value, such as faults.crash_ms=0')
    known = dict(_values(options))
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else "the names are in src/flaredb/sim/options.py"
        raise ConfigError(f"--set {setting}: there is no option {name}; {hint}")
    return _fit(_replaced(options, name.split("."), _parsed(setting, known[name], text)))


def _values(part: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every option that has a plain value, by its dotted name."""
    for field in fields(part):
        value = getattr(part, field.name)
        if is_dataclass(value):
            yield from _values(value, f"{prefix}{field.name}.")
        elif isinstance(value, bool | int | float):
            yield prefix + field.name, value


def _parsed(setting: str, now: object, text: str) -> bool | int | float:
    try:
        if isinstance(now, bool):
            return {"true": True, "false": False}[text.lower()]
        return int(text) if isinstance(now, int) else float(text)
    except (KeyError, ValueError):
        wanted = "true or false" if isinstance(now, bool) else "an integer" if isinstance(now, int) else "a number"
        raise ConfigError(f"--set {setting}: the value must be {wanted}, as {now} is") from None


def _replaced(part: Any, path: list[str], value: object) -> Any:
    head, *rest = path
    return replace(part, **{head: _replaced(getattr(part, head), rest, value) if rest else value})


def _fit(options: SimOptions) -> SimOptions:
    """What follows from the counts of stores, replicas and regions."""
    if options.stores < 1 or options.replicas < 1 or options.regions < 1:
        raise ConfigError("a run needs at least one store, one replica and one region")
    replicas = min(options.replicas, options.stores)
    pd = replace(
        options.pd, max_replicas=replicas, initial_stores=options.stores, split_keys=split_keys(options.regions)
    )
    return replace(options, replicas=replicas, pd=pd)
