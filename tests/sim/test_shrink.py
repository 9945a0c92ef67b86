"""A failing run becomes a smaller one that fails in the same way, and one command line says which."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flaredb.cli.sim_command import sim
from flaredb.model.errors import ConfigError
from flaredb.sim.options import SimOptions
from flaredb.sim.run import Report, run
from flaredb.sim.settings import drawn, with_setting
from flaredb.sim.shrink import kind_of, shrink

from .mutants import MUTANTS

KINDS = (
    ("keys and moments", "key b'k000.0' is not linearizable: c1: a read", "key b'k1' is not linearizable: c2: a swap"),
    (
        "names and numbers",
        "s1 region 8: voted for 3 in term 7, but its disk knows term 6",
        "s2 region 9: voted for 1 in term 2, but its disk knows term 1",
    ),
    (
        "who leads",
        "region 8: peer 4 on s1 leads in term 3, and so did peer 5",
        "region 2: peer 1 on s3 leads in term 9, and so did peer 2",
    ),
)


@pytest.mark.parametrize(("why", "one", "other"), KINDS, ids=[row[0] for row in KINDS])
def test_the_kind_of_a_violation_leaves_out(why: str, one: str, other: str) -> None:
    assert kind_of(one) == kind_of(other) != ""


def test_different_rules_are_different_kinds() -> None:
    assert len({kind_of(text) for row in KINDS for text in row[1:]}) == len(KINDS)


def _fails_with_crashes_of_two_stores(options: SimOptions) -> Report:
    fails = options.faults.crash_ms and options.stores >= 2 and options.seconds >= 7 and options.workload.writers >= 3
    return Report(options.seed, failure="s1 region 3: acknowledged entry 5" if fails else "", fault_seconds=9.5)


def test_everything_that_does_not_matter_goes() -> None:
    seed = next(n for n in range(100) if drawn(n, 60).faults.crash_ms and drawn(n, 60).stores > 3)
    found = _fails_with_crashes_of_two_stores(drawn(seed, 60))
    small = shrink(found, 60, attempt=_fails_with_crashes_of_two_stores)
    options = drawn(small.seed, small.seconds, small.settings)
    assert (options.seconds, options.stores, options.regions, options.workload.writers) == (7, 2, 1, 3)
    assert options.faults.names() == ["crash"]
    assert options.replicas == options.pd.max_replicas == options.pd.initial_stores == 2
    assert _fails_with_crashes_of_two_stores(options).failure
    assert small.command().startswith(f"flaredb sim --seed {seed} --seconds 7 --set ")


def test_tries_are_bounded_and_other_failures_do_not_count() -> None:
    tries = []

    def attempt(options: SimOptions) -> Report:
        tries.append(options)
        return Report(options.seed, failure="PD hands out the id 7 twice")

    small = shrink(Report(1, failure="key b'a' is not linearizable: why"), 60, tries_max=12, attempt=attempt)
    assert len(tries) == small.tries == 12
    assert (small.seconds, small.settings) == (60, ())


def test_a_planted_bug_fails_in_a_smaller_run_by_the_printed_command() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "an answer before the sync")
    settings = ("stores=3", "replicas=3", "faults.crash_ms=1500", "faults.aimed_crash_ms=1500")
    with mutant.installed():
        found = next(report for seed in range(20) if (report := run(drawn(seed, 20, settings))).failure)
        small = shrink(found, 20, settings, tries_max=25)
        assert small.seconds < 20
        assert len(small.settings) > len(settings), "something else was taken away, too"
        arguments = small.command().split()[2:]
        again = CliRunner().invoke(sim, arguments, standalone_mode=False)
        assert again.return_value == 1
        assert small.report.failure in again.output
    assert not run(drawn(small.seed, small.seconds, small.settings)).failure


BAD_SETTINGS = (
    ("no value", "stores", "write name=value"),
    ("an unknown name", "faults.crash=1", "did you mean faults.crash_ms"),
    ("no integer", "stores=many", "an integer"),
    ("no number", "weather.loss=much", "a number"),
    ("no stores", "stores=0", "at least one store"),
)


@pytest.mark.parametrize(("why", "setting", "told"), BAD_SETTINGS, ids=[row[0] for row in BAD_SETTINGS])
def test_a_wrong_setting_is_refused_with_the_cure(why: str, setting: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        with_setting(drawn(1, 10), setting)


def test_runs_in_several_processes_are_those_of_one() -> None:
    outputs = []
    for jobs in ("1", "2"):
        done = CliRunner().invoke(
            sim, ["--seed", "3", "--runs", "3", "--seconds", "2", "--jobs", jobs], standalone_mode=False
        )
        assert done.return_value == 0, done.output
        outputs.append(done.output.partition(" simulated")[0])
    assert outputs[0] == outputs[1]
    assert "3 runs from seed 3, 0 failed" in outputs[0]
