"""The benchmarks of regions at rest and of many regions, run tiny so that they cannot rot; only memory is judged."""

import pytest

from bench import idle, many


def test_regions_at_rest_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    idle.main(["--only", "one,three,restart", "--regions", "10", "--entries", "2000", "--seconds", "2"])
    printed = capsys.readouterr().out
    assert printed.count("% of a core") == 4
    assert "restart with 2,000 log entries" in printed


def test_a_sleeping_replica_takes_less_than_a_kilobyte_and_a_half() -> None:
    few, many_regions = idle.object_bytes(3, 20), idle.object_bytes(3, 220)
    assert (many_regions - few) / 200 < 1_500


def test_puts_over_many_regions_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    many.main(["--regions", "2,8", "--puts", "300", "--rounds", "1"])
    assert capsys.readouterr().out.count("us of CPU per put") == 2
