"""The seeds that found something are run with every change, and each has a test of its own that shows what it found."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from flaredb.sim.options import draw
from flaredb.sim.run import run
from tests.sim.kept_seeds import KEPT_SEEDS, KeptSeed

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("kept", KEPT_SEEDS, ids=lambda kept: str(kept.seed))
def test_a_kept_seed_holds_every_promise(kept: KeptSeed) -> None:
    report = run(draw(kept.seed, kept.seconds))
    again = f"flaredb sim --seed {kept.seed} --seconds {kept.seconds} --trace trace.txt"
    assert not report.failure, f"{report.summary()}\n{report.options}\n{report.where}\nreproduce: {again}"


@pytest.mark.parametrize("kept", KEPT_SEEDS, ids=lambda kept: str(kept.seed))
def test_what_it_found_has_a_test_of_its_own(kept: KeptSeed) -> None:
    path, name = kept.replayed_by.split("::")
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_no_seed_is_listed_twice() -> None:
    assert len({(kept.seed, kept.seconds) for kept in KEPT_SEEDS}) == len(KEPT_SEEDS)
