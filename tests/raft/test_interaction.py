"""Scripted scenarios with golden output: tests/raft/testdata/*.txt, run by interaction.py."""

import os
from pathlib import Path

import pytest

from . import interaction

SCENARIOS = sorted((Path(__file__).parent / "testdata").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_scenario(path: Path) -> None:
    differences = interaction.run_file(path, rewrite=os.environ.get("FLAREDB_REWRITE") == "1")
    for command, expected, actual in differences[:1]:
        assert actual == expected, f"{path.name}: {command}"


def test_there_are_at_least_forty_scenarios() -> None:
    assert len(SCENARIOS) >= 40
