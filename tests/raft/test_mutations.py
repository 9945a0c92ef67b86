"""The tests of the core are worth something: with any rule of Raft taken out, the named ones fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .mutants import MUTANTS, Mutant

REPOSITORY = Path(__file__).parents[2]
CORE = REPOSITORY / "src" / "flaredb" / "raft"
CLUSTER_SEEDS = 150
RUN_DEADLINE_S = 300
pytestmark = pytest.mark.timeout(RUN_DEADLINE_S + 20)

TESTS_FAILED = 1
"""pytest's exit status when tests ran and some failed; a broken import or an unknown test gives another."""

SEARCH = f"""
import sys, flaredb.raft
from tests.raft.cluster import Cluster
from tests.raft.safety import Violation
assert flaredb.raft.__file__.startswith(sys.argv[1]), flaredb.raft.__file__
for seed in range({CLUSTER_SEEDS}):
    try:
        Cluster(seed).run()
    except Violation as e:
        print("found:", e)
        break
"""

CHECK = """
import sys, pytest, flaredb.raft
assert flaredb.raft.__file__.startswith(sys.argv[1]), flaredb.raft.__file__
# The copy has no plugin of pytest's; and it is imported before pytest could rewrite it, which pytest would say.
quiet = ["-p", "no:flaredb", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *quiet, *sys.argv[2:]]))
"""


def copy_of_core(where: Path) -> Path:
    """A package `flaredb` with nothing but the core; returns the core's directory."""
    core = where / "flaredb" / "raft"
    shutil.copytree(CORE, core, ignore=shutil.ignore_patterns("__pycache__"))
    (where / "flaredb" / "__init__.py").write_text("")
    return core


def mutate(core: Path, mutant: Mutant) -> None:
    source = (core / mutant.file).read_text()
    assert source.count(mutant.old) == 1, f"{mutant.file} holds {source.count(mutant.old)} times: {mutant.old}"
    (core / mutant.file).write_text(source.replace(mutant.old, mutant.new))


def run(where: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code that sees the copy instead of the core."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join((str(where), str(REPOSITORY)))
    return subprocess.run(
        [sys.executable, "-c", code, str(where), *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_DEADLINE_S,
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.rule)
def test_without_the_rule_a_test_fails(mutant: Mutant, tmp_path: Path) -> None:
    mutate(copy_of_core(tmp_path), mutant)
    done = run(tmp_path, CHECK, *mutant.killers)
    assert done.returncode == TESTS_FAILED, done.stdout + done.stderr
    for killer in mutant.killers:
        assert f"FAILED {killer}" in done.stdout, f"{killer} passes without the rule: {mutant.rule}\n{done.stdout}"


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.cluster], ids=lambda m: m.rule)
def test_without_the_rule_chance_finds_a_violation(mutant: Mutant, tmp_path: Path) -> None:
    mutate(copy_of_core(tmp_path), mutant)
    done = run(tmp_path, SEARCH)
    assert "found: seed" in done.stdout, f"{CLUSTER_SEEDS} seeds found nothing\n{done.stderr}"


def test_with_every_rule_the_same_tests_pass(tmp_path: Path) -> None:
    """So it is the missing rule that fails them, not the copy."""
    copy_of_core(tmp_path)
    done = run(tmp_path, CHECK, *sorted({killer for m in MUTANTS for killer in m.killers}))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_of_the_list_is_taken_out_once() -> None:
    rules = {
        "vote only once per term",
        "log up-to-date check",
        "commit only entries of the own term by counting",
        "persist before answering",
        "quorum in both halves of a joint configuration",
        "one pending change",
        "learners are not counted",
        "ReadIndex needs a commit in the own term",
        "a lease needs CheckQuorum",
        "a snapshot never goes back",
        "truncation on conflict only",
        "a transfer stops proposals",
    }
    assert rules <= {m.rule.partition(":")[0] for m in MUTANTS}
    assert len({m.rule for m in MUTANTS}) == len(MUTANTS)
