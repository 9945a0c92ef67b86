"""The project's own files, as the tidy tests read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "flaredb"
GENERATED = PACKAGE / "wire" / "pb"
CORES = ("model", "raft", "store", "pd", "client")


def written(*folders: str) -> list[Path]:
    """Python files below these folders of the repository that people wrote, in a fixed order."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in files if GENERATED not in file.parents]


def of_rooms(*rooms: str) -> list[Path]:
    """Python files of rooms of the package."""
    return written(*(f"src/flaredb/{room}" for room in rooms))


@cache
def parsed(file: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def calls(file: Path) -> Iterator[ast.Call]:
    """Every call in the file."""
    return (node for node in ast.walk(parsed(file)) if isinstance(node, ast.Call))


def place(file: Path, line: int) -> str:
    """file:line, relative to the repository."""
    return f"{file.relative_to(ROOT)}:{line}"
