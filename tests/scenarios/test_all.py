"""The sixteen are all there, each is proved by removing its guard, and docs/reliability.md says where."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = (HERE.parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
NUMBERS = range(1, 17)
ON_PROCESSES = (5, 7, 12)
"""R2 and R3 have theirs in tests/chaos."""


def names_of(number: int) -> list[str]:
    """Names of the tests of one scenario in its own file."""
    [path] = HERE.glob(f"test_r{number:02}_*.py")
    return [name for name in _functions(path) if name.startswith(f"test_r{number:02}_")]


def _functions(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("number", NUMBERS)
def test_each_is_played_with_its_guard_and_without(number: int) -> None:
    names = names_of(number)
    without = [name for name in names if name.startswith(f"test_r{number:02}_without_")]
    assert without
    assert len(names) > len(without)


@pytest.mark.parametrize("number", ON_PROCESSES)
def test_some_are_played_on_processes_too(number: int) -> None:
    assert any(name.startswith(f"test_r{number:02}_") for name in _functions(HERE / "test_real_processes.py"))


def test_the_table_of_the_documentation_names_each_file_once() -> None:
    rows = re.findall(r"^\| R(\d+) \|.*?\]\(\.\./tests/scenarios/(\w+\.py)\)", TABLE, re.MULTILINE)
    here = {int(path.name[6:8]): path.name for path in HERE.glob("test_r[01][0-9]_*.py")}
    assert {int(number): name for number, name in rows} == here
    assert [int(number) for number, _ in rows] == list(NUMBERS)
