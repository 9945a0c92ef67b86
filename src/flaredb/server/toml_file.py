"""Strict TOML: every key is known, every value fits, and a refusal says what would have been right.

A section is a frozen msgspec struct. A field's name carries its unit, and the unit says how the value is written:
``raft_base_tick_interval_ms`` is the key ``raft-base-tick-interval`` with a duration, ``raft_entry_max_size_bytes`` the
key ``raft-entry-max-size`` with a size.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flaredb.model import units
from flaredb.model.errors import ConfigError


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all sections."""


AnySection = TypeVar("AnySection", bound=Section)
_PARSERS: dict[str, tuple[str, Callable[[str], int], str]] = {
    "_ms": ("a duration", units.parse_duration_ms, units.DURATION_EXAMPLES),
    "_bytes": ("a size", units.parse_size_bytes, units.SIZE_EXAMPLES),
}


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables.

    Errors: ConfigError for a file that cannot be read or is not TOML; the message names the file and the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def build(
    kind: type[AnySection], table: Mapping[str, Any], prefix: str = "", known_paths: Sequence[str] = ()
) -> AnySection:
    """A section from a TOML table; what the table leaves out keeps its default.

    ``prefix`` and ``known_paths`` serve the recursion: the path so far, and every path of the whole file.

    Errors: ConfigError for an unknown key (with its full path and the nearest known one) and for a value that does not
    fit (with key, value and what is allowed).
    """
    fields = {toml_key(info.name): info for info in msgspec.structs.fields(kind)}
    known_paths = known_paths or _paths(kind)
    values: dict[str, Any] = {}
    for key, value in table.items():
        path = prefix + key
        if key not in fields:
            raise ConfigError(_unknown_key(path, [prefix + known for known in fields], known_paths))
        info = fields[key]
        values[info.name] = _value(path, info.name, info.type, value, known_paths)
    return kind(**values)


def to_dict(section: Section) -> dict[str, Any]:
    """The section as the tables it could be read from; durations and sizes as text."""
    tables: dict[str, Any] = {}
    for info in msgspec.structs.fields(section):
        value = getattr(section, info.name)
        if isinstance(value, Section):
            value = to_dict(value)
        elif info.name.endswith("_ms"):
            value = units.format_duration(value)
        elif info.name.endswith("_bytes"):
            value = units.format_size(value)
        elif isinstance(value, tuple):
            value = list(value)
        tables[toml_key(info.name)] = value
    return tables


def toml_key(field_name: str) -> str:
    """The TOML key of a field: kebab case, without the unit."""
    return field_name.removesuffix("_ms").removesuffix("_bytes").replace("_", "-")


def _value(path: str, name: str, kind: Any, value: Any, known_paths: Sequence[str]) -> Any:
    if isinstance(kind, type) and issubclass(kind, Section):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} is a section: write [{path}] and its keys below it")
        return build(kind, value, path + ".", known_paths)
    for suffix, (_, parse, examples) in _PARSERS.items():
        if name.endswith(suffix):
            value = _parsed(path, value, parse, examples)
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path} = {_show(value)} is not allowed: it must be {allowed(name, kind)}") from error


def _parsed(path: str, value: Any, parse: Callable[[str], int], examples: str) -> int:
    if parse is units.parse_size_bytes and isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        if isinstance(value, str):
            return parse(value)
    except ValueError:
        pass
    raise ConfigError(f"{path} = {_show(value)} is not allowed: it must be {examples}")


def allowed(name: str, kind: Any) -> str:
    """What a field accepts, in words: "a duration of at least 1ms"; its name says the unit."""
    info = msgspec.inspect.type_info(kind)
    match info:
        case msgspec.inspect.IntType(ge=low, le=high):
            return _noun(name) + _bounds(name, low, high)
        case msgspec.inspect.FloatType():
            return "a number above 0 and at most 1"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.LiteralType(values=values):
            return "one of " + ", ".join(_show(value) for value in values)
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            return "a list of strings"
        case msgspec.inspect.DictType():
            return 'a table of strings such as { zone = "east" }'
        case msgspec.inspect.StrType(min_length=length) if length:
            return "a string that is not empty"
    return "a string"


def _noun(name: str) -> str:
    for suffix, (noun, _, _) in _PARSERS.items():
        if name.endswith(suffix):
            return noun
    return "a whole number"


def _bounds(name: str, low: int | None, high: int | None) -> str:
    limits = (("at least", low or None), ("at most", high))
    parts = [f"{word} {_in_unit(name, bound)}" for word, bound in limits if bound is not None]
    return " of " + " and ".join(parts) if parts else ""


def _in_unit(name: str, bound: int) -> str:
    if name.endswith("_ms"):
        return units.format_duration(bound)
    return units.format_size(bound) if name.endswith("_bytes") else str(bound)


def _unknown_key(path: str, siblings: list[str], known_paths: Sequence[str]) -> str:
    """The refusal, with the same key of another section, else the nearest sibling, else the nearest key anywhere."""
    prefix, _, key = path.rpartition(".")
    prefix = prefix and prefix + "."
    sibling_keys = [sibling.removeprefix(prefix) for sibling in siblings]
    nearest = (
        [known for known in known_paths if known.rpartition(".")[2] == key]
        or [prefix + sibling for sibling in difflib.get_close_matches(key, sibling_keys, n=1, cutoff=0.7)]
        or difflib.get_close_matches(path, known_paths, n=1, cutoff=0.7)
    )
    if nearest:
        return f"unknown configuration key {path}; did you mean {nearest[0]}?"
    return f"unknown configuration key {path}; known here: {', '.join(siblings)}"


def _paths(kind: type[Section], prefix: str = "") -> list[str]:
    """The full path of every key, sections included."""
    paths: list[str] = []
    for info in msgspec.structs.fields(kind):
        paths.append(prefix + toml_key(info.name))
        if isinstance(info.type, type) and issubclass(info.type, Section):
            paths += _paths(info.type, paths[-1] + ".")
    return paths


def _show(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
