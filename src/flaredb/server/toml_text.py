"""TOML tables put together and written; light enough for a command that only starts other processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def dump_toml(tables: Mapping[str, Any], prefix: str = "") -> str:
    """TOML text of nested tables of strings, numbers, booleans and lists of strings; reading it gives them back."""
    lines = [f"{_quote(key)} = {json.dumps(value)}\n" for key, value in tables.items() if not isinstance(value, dict)]
    for key, value in tables.items():
        if isinstance(value, dict):
            path = f"{prefix}{_quote(key)}"
            lines.append(f"\n[{path}]\n{dump_toml(value, path + '.')}")
    return "".join(lines)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables in one, ``over`` winning key by key, at any depth; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _quote(key: str) -> str:
    plain = key and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in key)
    return key if plain else json.dumps(key)
